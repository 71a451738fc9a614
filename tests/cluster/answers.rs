//! A cluster gives what one machine gives, or says why it cannot.

use ctrace_query::library::LIBRARY;

use crate::fleet::Fleet;
use crate::nodes::Nodes;
use crate::run::{Ran, ctrace};

/// Statements whose rows have one order.
const STATEMENTS: &[&str] = &[
    "SELECT count(*) FROM events",
    "SELECT host, count(*) AS n FROM events GROUP BY host ORDER BY host",
    "SELECT host, proc_name, count(*) AS n FROM events GROUP BY host, proc_name ORDER BY n DESC, host, proc_name LIMIT 20",
    "SELECT fd_name, count(*) AS n FROM events WHERE evt_type = 'openat' AND evt_failed GROUP BY fd_name ORDER BY n DESC, fd_name",
    // The files are sorted by time, and stages hand sorted rows to each other.
    "SELECT date_trunc('second', ts) AS s, count(*) AS n, min(ts), max(ts) FROM events GROUP BY s ORDER BY s",
    "SELECT s, sum(n) OVER (ORDER BY s) FROM (SELECT date_trunc('second', ts) AS s, count(*) AS n FROM events GROUP BY s) ORDER BY s",
    "SELECT ts, host, seq, evt_type FROM events ORDER BY ts, host, seq LIMIT 500",
    "SELECT host, seq, proc_name, row_number() OVER (PARTITION BY host, proc_pid ORDER BY seq) AS n,
            lag(evt_type) OVER (PARTITION BY host, proc_pid ORDER BY seq) AS before
     FROM events WHERE proc_pid IS NOT NULL ORDER BY host, seq",
    "SELECT host, n, count(*) FROM (SELECT host, row_number() OVER (PARTITION BY host, proc_pid ORDER BY ts, seq) AS n FROM events)
     GROUP BY host, n ORDER BY host, n",
    "SELECT e.host, p.name, p.cmdline, count(*) AS n
     FROM events e JOIN processes p ON p.host = e.host AND p.process_key = e.process_key
     GROUP BY e.host, p.name, p.cmdline ORDER BY n DESC, e.host, p.name, p.cmdline",
    "SELECT count(*) FROM events a JOIN events b ON a.seq = b.seq AND a.host < b.host",
    "SELECT name, pid, start_ts FROM processes p
     WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.process_key = p.process_key AND e.host = p.host) ORDER BY pid, start_ts, name",
    "SELECT proc_name, count(DISTINCT fd_name) AS files FROM events GROUP BY proc_name ORDER BY files DESC, proc_name",
    "SELECT count(*) FROM events WHERE host = 'web-1' AND proc_cmdline LIKE '%sh%' AND regexp_like(fd_name, '^/etc/.*')",
    "WITH t AS (SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name)
     SELECT proc_name FROM t WHERE n > (SELECT avg(n) FROM t) ORDER BY proc_name",
    "SELECT seq, host FROM events WHERE host = 'db-1' UNION ALL SELECT seq, host FROM events WHERE host = 'web-1' ORDER BY host, seq",
    "SELECT host, array_agg(DISTINCT proc_name ORDER BY proc_name) FROM events GROUP BY host ORDER BY host",
    "SELECT grouping(host) AS g, host, count(*) FROM events GROUP BY ROLLUP(host) ORDER BY g, host",
    "SELECT path, host, calls FROM (SELECT path, count(*) AS calls, min(pid) AS host FROM files GROUP BY path) ORDER BY path",
    "SELECT connection, pid, calls, bytes_in, bytes_out FROM connections ORDER BY connection, pid",
    "SELECT * FROM images ORDER BY image",
    "SELECT name, pid FROM processes_as_of('2026-11-21 17:27:40') ORDER BY pid, name",
    // What Ballista gives wrong rows for, and what its executors do not know: done here with the rows that they send.
    "SELECT count(*) FROM events WHERE entropy(fd_name) > 3.5 AND evt_type = 'openat'",
    "SELECT basename(fd_name) AS name, count(*) AS n FROM events WHERE path_in(fd_name, '/etc') GROUP BY name ORDER BY n DESC, name",
    "SELECT host, seq FROM events WHERE basename(fd_name) = 'shadow' ORDER BY host, seq",
    "SELECT server_ip, is_private_ip(server_ip), cidr_contains('10.0.0.0/8', server_ip) FROM connections ORDER BY server_ip, connection",
    "SELECT name, pid, ancestors(process_key) FROM processes WHERE descends_from(process_key, 'runc') ORDER BY pid, name, start_ts",
    "SELECT host, type, count(*) AS n FROM audit_records GROUP BY host, type ORDER BY host, type",
    "WITH RECURSIVE t AS (SELECT host, process_key, 0 AS d FROM processes WHERE parent_key IS NULL UNION ALL
     SELECT p.host, p.process_key, d + 1 FROM processes p JOIN t ON p.parent_key = t.process_key AND p.host = t.host WHERE d < 20)
     SELECT host, d, count(*) FROM t GROUP BY host, d ORDER BY host, d",
    "SELECT a.host, a.seq FROM (SELECT * FROM events ORDER BY ts, seq LIMIT 3000) a
     JOIN (SELECT * FROM events ORDER BY ts, seq LIMIT 3000) b ON a.host = b.host AND a.seq = b.seq ORDER BY 1, 2",
    "SELECT host, seq FROM events INTERSECT SELECT host, seq FROM events WHERE evt_failed ORDER BY host, seq",
    "SELECT seq, lag(seq) OVER (ORDER BY ts, host, seq) AS before FROM events ORDER BY ts, host, seq",
    "SELECT 1 + 1 AS two",
    "DESCRIBE users",
    "SELECT count(*) > 0 FROM information_schema.tables WHERE table_name = 'events'",
];

fn query(place: &[&str], statement: &str) -> Ran {
    let fixed = ["query", "--format", "csv"];
    ctrace(fixed.into_iter().chain(place.iter().copied()).chain([statement]))
}

#[test]
fn values_that_cannot_be_computed_are_told_as_here() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let address = nodes.address();
    for statement in [
        "SELECT count(*) FROM (SELECT 1 / (seq - seq) AS x FROM events) WHERE x = 3",
        "SELECT sum(CAST(proc_name AS BIGINT)) FROM events",
    ] {
        // The names of columns may have been printed before.
        let here = query(&[fleet.arg()], statement).code(2);
        let there = query(&["--cluster", &address, fleet.arg()], statement).code(2);
        assert_eq!(there.err, here.err, "{statement}");
    }
}

#[test]
fn a_cluster_answers_as_one_machine_does() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let address = nodes.address();
    for statement in STATEMENTS {
        let here = query(&[fleet.arg()], statement).code(0).silent();
        assert!(here.lines().count() > 1, "{statement}: {here}");
        let there = query(&["--cluster", &address, fleet.arg()], statement).code(0).silent();
        assert_eq!(there, here, "{statement}");
    }
    let file = format!("file://{}", fleet.arg());
    let there = query(&["--cluster", &address, &file], STATEMENTS[1]).code(0).silent();
    assert_eq!(there, query(&[&file], STATEMENTS[1]).code(0).silent());
}

#[test]
fn investigations_of_the_library_run_on_a_cluster() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let address = nodes.address();
    for one in LIBRARY {
        let name = format!("@{}", one.name);
        let here = query(&[fleet.arg()], &name).code(0);
        let there = query(&["--cluster", &address, fleet.arg()], &name).code(0);
        assert_eq!(sorted(&there.out), sorted(&here.out), "{name}");
    }
}

/// Rows that a statement leaves unordered come in any order.
fn sorted(rows: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows
}

#[test]
fn the_plan_says_what_the_cluster_does() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let statement = "EXPLAIN SELECT host, count(*) FROM events WHERE evt_failed AND entropy(fd_name) > 3 GROUP BY host";
    let plan = query(&["--cluster", &nodes.address(), fleet.arg()], statement)
        .code(0)
        .silent();
    let (here, there) = plan.split_once("DistributedQueryExec").expect("a part on the cluster");
    assert!(here.contains("entropy") && !there.contains("entropy"), "{plan}");
    assert!(
        there.contains("evt_failed") && there.contains("TableScan: events"),
        "{plan}"
    );
}

#[test]
fn what_fails_on_a_cluster_is_told_in_one_line() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let address = nodes.address();
    for (statement, why) in [
        ("SELECT * FROM evnts", "did you mean `events`"),
        ("SELECT nme FROM events", "no column `nme`"),
        ("DELETE FROM events", "only read"),
    ] {
        let told = query(&["--cluster", &address, fleet.arg()], statement)
            .code(2)
            .nothing();
        // As on one machine: the first line says it all, others show the place.
        assert_eq!(told, query(&[fleet.arg()], statement).code(2).nothing());
        assert!(
            told.lines().next().is_some_and(|l| l.contains(why)),
            "{statement}: {told}"
        );
    }
    let told = query(&["--cluster", &address, "samples/attack/case"], "SELECT 1")
        .code(2)
        .nothing();
    assert!(told.contains("run `ctrace export` first"), "{told}");
}

#[test]
fn a_file_that_is_no_parquet_is_named() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let address = nodes.address();
    let bad = crate::fleet::files(&fleet.path().join("events")).pop().expect("a file");
    std::fs::write(&bad, b"this is no Parquet file at all").expect("writes");
    for place in [&[fleet.arg()][..], &["--cluster", &address, fleet.arg()]] {
        let told = query(place, "SELECT count(*) FROM events").code(3).nothing();
        let name = bad.file_name().expect("a name").to_str().expect("UTF-8");
        assert!(told.contains(name) && told.lines().count() == 1, "{told}");
    }
}
