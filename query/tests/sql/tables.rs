//! What the tables hold.

use super::{csv, recorded};

#[test]
fn names_of_columns_are_unique_and_explained() {
    let recorded = recorded();
    for table in recorded.session.tables() {
        let mut names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before, "table {}", table.name);
        for column in &table.columns {
            assert!(!column.doc.is_empty(), "{}.{} has no meaning", table.name, column.name);
        }
    }
    let names: Vec<&str> = recorded.session.tables().iter().map(|t| t.name.as_str()).collect();
    let expected = "events processes containers docker_events container_logs audit users snapshots gaps segments artifacts units syscalls files connections images audit_records";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
}

#[test]
fn tables_about_the_recording() {
    let recorded = recorded();
    let session = &recorded.session;
    let all = csv(session, "SELECT count(*) FROM events");
    assert_eq!(csv(session, "SELECT sum(events) FROM segments"), all);
    let ordered =
        "SELECT count(*) FROM segments a JOIN segments b ON b.segment = a.segment + 1 WHERE b.from_ts < a.to_ts";
    assert_eq!(csv(session, ordered), "0");
    assert_eq!(
        csv(session, "SELECT DISTINCT processes, open_files FROM snapshots"),
        "7,0"
    );
    let joined = "SELECT count(*) FROM snapshots JOIN segments USING (segment)";
    assert_eq!(csv(session, joined), csv(session, "SELECT count(*) FROM segments"));
    assert_eq!(csv(session, "SELECT count(*) FROM users"), "0");
}

#[test]
fn views_add_up() {
    let recorded = recorded();
    let session = &recorded.session;
    let same = |view: &str, events: &str| assert_eq!(csv(session, view), csv(session, events), "{view}");
    same(
        "SELECT count(*) FROM syscalls",
        "SELECT count(*) FROM events WHERE source = 'syscall'",
    );
    same(
        "SELECT path, sum(calls), sum(failed), min(first_ts) FROM files GROUP BY path ORDER BY path",
        "SELECT fd_name, count(*), count(*) FILTER (WHERE evt_rawres < 0), min(ts) FROM events
         WHERE fd_type = 'file' GROUP BY fd_name ORDER BY fd_name",
    );
    same(
        "SELECT sum(calls), count(DISTINCT server_port) FROM connections",
        "SELECT count(*), 2 FROM events WHERE fd_typechar = '4'",
    );
    assert_eq!(
        csv(session, "SELECT image, containers FROM images ORDER BY image"),
        "busybox,1\nnginx:1.25,1"
    );
    let records = csv(session, "SELECT serial, type, record FROM audit_records");
    assert!(records.starts_with("815,SYSCALL,type=SYSCALL "), "{records}");
}

#[test]
fn processes_are_images_with_parent_and_end() {
    let recorded = recorded();
    let session = &recorded.session;
    let rows = csv(
        session,
        "SELECT pid, ppid, name, cmdline, user_name, loginuid, exit_code, container_name FROM processes ORDER BY pid",
    );
    let expected = "\
1,,systemd,systemd,root,,,host
77,1,idle,idle,,0,,host
200,1,bash,bash -l,root,,,host
300,200,cat,cat /etc/passwd,ada,1000,1,host
400,1,nginx,nginx -g daemon,root,,,web-1
500,1,sh,sh -c it's,root,,,job-7
600,200,odd\\xff%,odd\\xff%,,,,host";
    assert_eq!(rows, expected);
    let tree = csv(
        session,
        "WITH RECURSIVE up AS (
             SELECT process_key, parent_key, name, 0 AS depth FROM processes WHERE pid = 300
             UNION ALL
             SELECT p.process_key, p.parent_key, p.name, up.depth + 1 FROM up JOIN processes p ON p.process_key = up.parent_key)
         SELECT depth, name FROM up ORDER BY depth",
    );
    assert_eq!(tree, "0,cat\n1,bash\n2,systemd");
    assert_eq!(
        csv(session, "SELECT args[2] FROM processes WHERE pid = 300"),
        "/etc/passwd"
    );
}

#[test]
fn events_name_their_process() {
    let recorded = recorded();
    let session = &recorded.session;
    let wrong = "SELECT count(*) FROM events e JOIN processes p ON p.process_key = e.process_key
                 WHERE p.name <> e.proc_name OR p.pid <> e.proc_pid OR p.container_id <> e.container_id
                    OR p.cmdline <> e.proc_cmdline OR p.container_name <> e.container_name";
    assert_eq!(csv(session, wrong), "0");
    let joined = csv(
        session,
        "SELECT count(*) FROM events e JOIN processes p ON p.process_key = e.process_key",
    );
    assert_eq!(joined, csv(session, "SELECT count(proc_pid) FROM events"));
}

#[test]
fn what_is_learned_later_names_earlier_events() {
    let recorded = recorded();
    let session = &recorded.session;
    let named = "SELECT DISTINCT container_name FROM events WHERE container_id = 'bbbbbbbbbbbb'";
    assert_eq!(csv(session, named), "job-7");
    let case = ctrace_trace::case::Case::open(&recorded.folder.path().join("case")).expect("the case opens");
    let options = ctrace_query::Options {
        resolve_late: false,
        ..super::options()
    };
    let as_recorded = ctrace_query::Session::case(case, &options).expect("a session");
    assert_eq!(csv(&as_recorded, named), "\"\"", "no name");
    let rows = csv(
        session,
        "SELECT container_id, name, image FROM containers ORDER BY name",
    );
    assert_eq!(rows, "bbbbbbbbbbbb,job-7,busybox\naaaaaaaaaaaa,web-1,nginx:1.25");
}

#[test]
fn tables_of_one_event_type_have_its_parameters() {
    let recorded = recorded();
    let session = &recorded.session;
    assert_eq!(
        csv(
            session,
            "SELECT type, action, name, image, exit_code FROM docker_events ORDER BY seq"
        ),
        "container,start,job-7,busybox,\ncontainer,die,job-7,busybox,137"
    );
    // Lines say of which container they are.
    let log = "SELECT seq, ts, container_id, container_full_id, container_name, stream, message, partial, attrs FROM container_logs";
    assert_eq!(csv(session, log), "");
    assert_eq!(
        csv(
            session,
            "SELECT source, count, cpu, to_ts - from_ts, host, date FROM gaps"
        ),
        "syscall,42,-1,PT1S,lab host,2026-11-21"
    );
    assert_eq!(
        csv(session, "SELECT serial, types, key, syscall, pid FROM audit"),
        "815,\"SYSCALL,PATH\",shadow,,300"
    );
}

#[test]
fn bytes_that_are_no_text_stay_distinguishable() {
    let recorded = recorded();
    let session = &recorded.session;
    assert_eq!(
        csv(session, "SELECT DISTINCT proc_name FROM events WHERE proc_pid = 600"),
        "odd\\xff%"
    );
    assert_eq!(
        csv(session, "SELECT count(*) > 0 FROM events WHERE fd_name = '/tmp/\\xc3('"),
        "true"
    );
}
