//! Functions, tables of a moment, alerts.

use std::sync::Arc;

use ctrace_query::{AlertRow, Data, Options, QueryError, Session};
use ctrace_trace::case::Case;

use super::world::{BLOCKS, PER_BLOCK, START, World};
use super::{csv, options, recorded};

#[test]
fn functions_work_on_columns_and_are_pushed_down() {
    let recorded = recorded();
    let session = &recorded.session;
    let same = |a: &str, b: &str| assert_eq!(csv(session, a), csv(session, b), "{a}");
    same(
        "SELECT count(*) FROM events WHERE path_in(fd_name, '/etc')",
        "SELECT count(*) FROM events WHERE fd_name LIKE '/etc/%'",
    );
    same(
        "SELECT DISTINCT basename(fd_name), dirname(fd_name) FROM events WHERE fd_name = '/etc/passwd'",
        "SELECT 'passwd', '/etc'",
    );
    same(
        "SELECT count(*) FROM events WHERE cidr_contains('10.0.0.0/24', fd_sip)",
        "SELECT count(*) FROM events WHERE fd_sip LIKE '10.0.0.%'",
    );
    same(
        "SELECT is_private_ip('8.8.8.8'), is_private_ip(NULL), b64_decode('aGk='), entropy('abab')",
        "SELECT false, NULL, 'hi', 1.0",
    );
    let plan = csv(
        session,
        "EXPLAIN SELECT count(*) FROM events WHERE path_in(fd_name, '/etc')",
    );
    assert!(plan.contains("entries=[path_in"), "{plan}");
    for function in session.functions() {
        assert!(
            !function.doc.is_empty() && function.usage.ends_with(')'),
            "{function:?}"
        );
    }
}

#[test]
fn audit_records_are_interpreted() {
    let recorded = recorded();
    let record =
        "'type=SYSCALL msg=audit(1.002:3): arch=c000003e syscall=2 exit=-13 a1=241 uid=0 auid=1000 key=(null)'";
    let sql = format!(
        "SELECT audit_field(r, 'exit'), audit_value(r, 'exit', host), audit_value(r, 'a1', host),
                audit_value(r, 'uid', host), audit_value(r, 'auid', host), audit_value(r, 'no', host),
                audit_interpret('no record', host)
         FROM (SELECT {record} AS r, 'elsewhere' AS host)"
    );
    let expected = "-13,EACCES(Permission denied),O_WRONLY|O_CREAT|O_TRUNC,root,unknown(1000),,";
    assert_eq!(csv(&recorded.session, &sql), expected);
}

#[test]
fn ancestry_is_found_in_cases_and_exports() {
    let recorded = recorded();
    let dir = recorded.folder.path().join("export");
    ctrace_query::export::export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    let folder = Session::folder(&dir, &options()).expect("a session");
    for session in [&recorded.session, &folder] {
        assert_eq!(
            csv(
                session,
                "SELECT array_to_string(ancestors(process_key), '<') FROM processes WHERE name = 'cat'"
            ),
            "bash<systemd"
        );
        let below = "SELECT name FROM processes WHERE descends_from(process_key, 'bash') ORDER BY pid";
        assert_eq!(csv(session, below), "cat\nodd\\xff%");
        assert_eq!(
            csv(
                session,
                "SELECT count(*) FROM events WHERE descends_from(process_key, '/usr/bin/bash')"
            ),
            csv(session, "SELECT count(*) FROM events WHERE proc_ppid = 200")
        );
    }
    let nobody = csv(
        &folder,
        "SELECT count(*) FROM processes WHERE descends_from(process_key, 'nobody')",
    );
    assert_eq!(nobody, "0");
}

#[test]
fn recursion_goes_deep() {
    let recorded = recorded();
    let sql = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT max(i) FROM n";
    assert_eq!(csv(&recorded.session, sql), "500");
}

#[test]
fn a_moment_has_its_processes_containers_and_files() {
    let recorded = recorded();
    let session = &recorded.session;
    let at = |seconds: u64| {
        let ns = START + seconds * 1_000_000_000;
        format!("arrow_cast({ns}, 'Timestamp(ns, \"UTC\")')")
    };
    // `cat` ends after twenty seconds and a half.
    let cat = |seconds| {
        csv(
            session,
            &format!(
                "SELECT count(*) FROM processes_as_of({}) WHERE name = 'cat'",
                at(seconds)
            ),
        )
    };
    assert_eq!((cat(20), cat(21)), ("1".to_owned(), "0".to_owned()));
    let job = "SELECT count(*) FROM containers_as_of('2026-11-20 23:59:59') WHERE name = 'job-7'";
    assert_eq!(csv(session, job), "1");
    let job = "SELECT count(*) FROM containers_as_of('2026-11-21 00:00:01') WHERE name = 'job-7'";
    assert_eq!(csv(session, job), "0", "it died");
    let files = csv(
        session,
        "SELECT count(*), count(DISTINCT fd_name) > 3 FROM open_files_as_of('2026-11-21 00:00:01')",
    );
    assert!(files.ends_with(",true"), "{files}");
    let none = csv(session, "SELECT count(*) FROM open_files_as_of('2026-11-20 00:00:01')");
    assert_eq!(none, "0");
    let minutes = csv(
        session,
        "SELECT (SELECT count(*) FROM processes_as_of('2026-11-21 00:01')) = (SELECT count(*) FROM \
         processes_as_of('2026-11-21 00:01:00'))",
    );
    assert_eq!(minutes, "true", "a time without seconds");
    for wrong in [
        "processes_as_of('yesterday')",
        "processes_as_of('2026-11-21 0:x')",
        "processes_as_of()",
        "open_files_as_of(1, 2)",
    ] {
        let result = session.batches(&format!("SELECT * FROM {wrong}"));
        assert!(matches!(result, Err(QueryError::Statement(_))), "{wrong}: {result:?}");
    }
}

#[test]
fn alerts_are_a_table() {
    let recorded = recorded();
    let case = Case::open(&recorded.folder.path().join("case")).expect("opens");
    let replay = |_: &Case, paths: &[String]| match paths {
        [one] if one == "rules/" => Ok(vec![AlertRow {
            seq: 3,
            ts: START,
            rule: "a rule".to_owned(),
            tags: vec!["x".to_owned()],
            ..AlertRow::default()
        }]),
        _ => Err("no such rules".to_owned()),
    };
    let session = Session::case(case, &options())
        .expect("a session")
        .with_rules(Arc::new(replay));
    let joined = "SELECT a.rule, a.tags[1], e.seq FROM alerts('rules/') a JOIN events e USING (seq)";
    assert_eq!(csv(&session, joined), "a rule,x,3");
    for wrong in ["alerts('elsewhere')", "alerts()", "alerts(1)"] {
        let result = session.batches(&format!("SELECT * FROM {wrong}"));
        let Err(QueryError::Statement(message)) = result else {
            panic!("{wrong}: {result:?}")
        };
        assert!(message.contains("rules"), "{wrong}: {message}");
    }
}

#[test]
fn several_cases_and_exports_are_one() {
    let recorded = recorded();
    let case = recorded.folder.path().join("case");
    let dir = recorded.folder.path().join("export");
    ctrace_query::export::export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    let other = recorded.folder.path().join("other");
    World::new().with_blocks_of(50).write(&other);
    let open = |path| Data::Case(Box::new(Case::open(path).expect("opens")));
    let all = vec![open(&case), open(&other), Data::Folder(dir)];
    let all = Session::over(all, &options()).expect("a session");
    let count = |sql: &str| csv(&all, sql).parse::<u64>().expect("a number");
    assert_eq!(
        count("SELECT count(*) FROM events"),
        2 * (PER_BLOCK * BLOCKS + 5) + 50 * BLOCKS + 5
    );
    let opens = "SELECT count(*) FROM events WHERE evt_type = 'openat' AND proc_name = 'cat'";
    let of_one = csv(&recorded.session, opens).parse::<u64>().expect("a number");
    assert!(count(opens) > 2 * of_one);
    assert_eq!(count("SELECT count(*) FROM processes"), 21);
    assert_eq!(count("SELECT count(DISTINCT process_key) FROM processes"), 7);
    assert_eq!(count("SELECT count(*) FROM docker_events"), 6);
    // Every part takes the condition over.
    let plan = csv(&all, &format!("EXPLAIN {opens}"));
    assert_eq!(plan.matches("BlockScan").count(), 2, "{plan}");
    assert!(!plan.contains("heads=[]"), "{plan}");
    assert_eq!(plan.matches("heads=[").count(), 2, "{plan}");
}

#[test]
fn little_memory_is_enough_for_what_spills() {
    let recorded = recorded();
    let dir = recorded.folder.path().join("case");
    let little = Options {
        memory_limit: Some(14 << 20),
        threads: 1,
        ..Options::default()
    };
    let session = Session::case(Case::open(&dir).expect("opens"), &little).expect("a session");
    let sql = "SELECT count(*), sum(n * seq % 1000) FROM (
                   SELECT a.seq, row_number() OVER (ORDER BY a.evt_args, b.proc_name, b.evt_cpu, a.seq) AS n
                   FROM events a, (SELECT DISTINCT proc_name, evt_cpu FROM events) b)";
    assert_eq!(csv(&session, sql), csv(&recorded.session, sql));
    let analyzed = csv(&session, &format!("EXPLAIN ANALYZE {sql}"));
    let spilled = analyzed
        .split("spill_count=")
        .skip(1)
        .any(|rest| !rest.starts_with('0'));
    assert!(spilled, "{analyzed}");
}

#[test]
fn parts_of_windows_are_sorted_by_numbers_and_spill() {
    let recorded = recorded();
    let rows = |more: &str| {
        format!(
            "SELECT count(*), sum(n * seq % 1000), min(n), max(n) FROM (
                 SELECT a.seq, row_number() OVER (PARTITION BY a.proc_pid ORDER BY a.fd_num{more} DESC, a.ts, a.seq DESC, b.pid) AS n
                 FROM events a, (SELECT DISTINCT CAST(seq AS BIGINT) % 80 AS pid FROM events) b)"
        )
    };
    let (numbers, otherwise) = (rows(""), rows(" + 0"));
    let plan = csv(&recorded.session, &format!("EXPLAIN {numbers}"));
    assert!(plan.contains("WindowSort"), "{plan}");
    let plan = csv(&recorded.session, &format!("EXPLAIN {otherwise}"));
    assert!(!plan.contains("WindowSort"), "{plan}");
    let expected = csv(&recorded.session, &otherwise);
    assert_eq!(csv(&recorded.session, &numbers), expected);
    let little = Options {
        memory_limit: Some(14 << 20),
        threads: 1,
        ..Options::default()
    };
    let case = Case::open(&recorded.folder.path().join("case")).expect("opens");
    let session = Session::case(case, &little).expect("a session");
    assert_eq!(csv(&session, &numbers), expected);
    let analyzed = csv(&session, &format!("EXPLAIN ANALYZE {numbers}"));
    assert!(analyzed.contains("left_to_spill=1"), "{analyzed}");
}

#[test]
fn the_evidence_is_not_dropped_and_own_tables_are() {
    let recorded = recorded();
    let session = &recorded.session;
    for wrong in [
        "DROP TABLE events",
        "DROP VIEW syscalls",
        "CREATE TABLE processes AS SELECT 1",
        "CREATE OR REPLACE VIEW events AS SELECT 1 AS seq",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/tmp/x'",
        "INSERT INTO events SELECT * FROM events",
        "CREATE SCHEMA x",
    ] {
        let result = session.batches(wrong);
        let Err(QueryError::ReadOnly(what)) = &result else {
            panic!("{wrong}: {result:?}")
        };
        assert!(!what.contains('\n'), "{what}");
    }
    assert_ne!(csv(session, "SELECT count(*) FROM events"), "0");
    session
        .batches("CREATE VIEW shells AS SELECT * FROM processes WHERE name = 'bash'")
        .expect("a view");
    session
        .batches("CREATE TABLE mine AS SELECT pid FROM shells")
        .expect("a table");
    assert_eq!(csv(session, "SELECT pid FROM mine"), "200");
    session.batches("DROP TABLE mine").expect("dropped");
    assert!(session.batches("SELECT * FROM mine").is_err());
}
