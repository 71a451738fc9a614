//! Sessions: errors, cancelling, memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ctrace_query::{Cancel, Options, Param, QueryError, Session, output};
use ctrace_trace::case::Case;

use super::{csv, recorded};

fn message(session: &Session, sql: &str) -> String {
    let error = session.batches(sql).expect_err(sql);
    assert!(error.is_usage(), "{sql}: {error}");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn errors_are_one_line_and_name_the_nearest_column() {
    let recorded = recorded();
    let session = &recorded.session;
    assert_eq!(
        message(session, "SELECT proc_nam FROM events"),
        "no column `proc_nam`; did you mean `proc_name`? (line 1, column 8)"
    );
    assert_eq!(
        message(session, "SELECT e.fdname FROM events e WHERE e.seq = 1"),
        "no column `e.fdname`; did you mean `fd_name`? (line 1, column 8)"
    );
    assert_eq!(
        message(session, "SELECT * FROM event"),
        "no table `event`; did you mean `events`? (line 1, column 15)"
    );
    assert_eq!(
        message(session, "SELECT seq\nFROM events ORDER BY fd_nam"),
        "no column `fd_nam`; did you mean `fd_name`? (line 2, column 22)"
    );
    assert_eq!(
        message(session, "SELECT seq FROM events WHERE evt_type = close"),
        "no column `close`; a text stands in single quotes: 'close' (line 1, column 41)"
    );
    assert_eq!(
        message(session, "SELECT basename(1, 2)"),
        "no function `basename(Int64, Int64)`; there is basename(text) (line 1, column 8)"
    );
    assert_eq!(
        message(session, "SELECT * FROM processes_as_of"),
        "no table `processes_as_of`; it is a function: processes_as_of(…) (line 1, column 15)"
    );
    assert_eq!(
        message(session, "SELECT cidr_contains('10.0.0.0/99', fd_sip) FROM events"),
        "cidr_contains(network, address): `10.0.0.0/99` is no network"
    );
    assert!(message(session, "SELEC 1").contains("SELEC"));
    assert!(message(session, "SELECT nofunction(1)").contains("nofunction"));
    assert_eq!(message(session, "SELECT 1; SELECT 2"), "more than one statement");
    assert_eq!(message(session, "  -- nothing"), "no statement");
    message(session, "SELECT CAST(proc_name AS BIGINT) FROM events");
}

#[test]
fn nothing_is_written() {
    let recorded = recorded();
    let target = recorded.folder.path().join("copy.csv");
    for sql in [
        format!("COPY (SELECT 1) TO '{}'", target.display()),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "DELETE FROM processes".to_owned(),
    ] {
        message(&recorded.session, &sql);
    }
    assert!(!target.exists());
}

#[test]
fn a_running_statement_can_be_cancelled_and_the_session_lives_on() {
    let recorded = recorded();
    let session = &recorded.session;
    let cancel = session.canceller();
    let start = Instant::now();
    // Again and again: on a busy machine the statement may not have begun at the first time.
    let done = Arc::new(AtomicBool::new(false));
    let seen = done.clone();
    let canceller = thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(300));
            cancel.cancel();
        }
    });
    // It never ends, and no step of it takes long: a hash table of a join is built without a pause.
    let endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i % 7 + 1 FROM n) SELECT count(*) FROM n";
    assert!(matches!(session.batches(endless), Err(QueryError::Cancelled)));
    // It is told to end every 0.3 s; a busy machine is slow.
    assert!(start.elapsed() < Duration::from_secs(120));
    done.store(true, Ordering::Relaxed);
    canceller.join().expect("the canceller ends");
    assert_eq!(csv(session, "SELECT 1"), "1");
}

/// A join of everything with everything gave rows from what it had scanned once, and never let go of its thread.
#[test]
fn a_cancelled_join_does_not_keep_the_session() {
    let recorded = recorded();
    let session = &recorded.session;
    let cancel = Cancel::new();
    let its = cancel.clone();
    let endless = "SELECT count(*) FROM events a, events b, events c, events d WHERE a.proc_name < d.proc_name";
    let mut answer = session.sql_with(endless, &[], cancel).expect("it begins");
    // Not before it began, however long that takes.
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        its.cancel();
    });
    assert!(matches!(answer.next(), Some(Err(QueryError::Cancelled))));
    drop(answer);
    canceller.join().expect("the canceller ends");
    // Without an end this would never come.
    assert_eq!(csv(session, "SELECT 1"), "1");
}

#[test]
fn placeholders_have_values() {
    let recorded = recorded();
    let params = [
        ("name".to_owned(), Param::Text("o'x; DROP TABLE events".to_owned())),
        ("1".to_owned(), Param::Int(7)),
    ];
    let answer = recorded
        .session
        .sql_with("SELECT $name AS a, $1 AS b", &params, Cancel::new());
    let batches = answer
        .expect("it begins")
        .collect::<Result<Vec<_>, _>>()
        .expect("a row");
    let rows: Vec<_> = batches.iter().flat_map(|b| output::cells(b).expect("cells")).collect();
    assert_eq!(rows, [["o'x; DROP TABLE events", "7"]]);
    let missing = recorded.session.sql_with("SELECT $other", &params, Cancel::new()).err();
    assert!(matches!(missing, Some(QueryError::Statement(m)) if m.contains("$other")));
}

#[test]
fn a_query_beyond_its_memory_is_refused() {
    let recorded = recorded();
    let case = Case::open(&recorded.folder.path().join("case")).expect("the case opens");
    let options = Options {
        memory_limit: Some(200 << 10),
        ..super::options()
    };
    let session = Session::case(case, &options).expect("a session");
    let sql = "SELECT count(*) FROM (SELECT DISTINCT seq, seq || proc_name, evt_type FROM events)";
    match session.batches(sql) {
        Err(QueryError::Memory(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(
        csv(&session, "SELECT count(*) > 0 FROM events WHERE evt_type = 'openat'"),
        "true"
    );
}

#[test]
fn threads_do_not_change_results() {
    let recorded = recorded();
    let sql = "SELECT seq, ts, proc_name, fd_name, evt_args FROM events ORDER BY seq";
    let expected = csv(&recorded.session, sql);
    for threads in [1, 3, 16] {
        let case = Case::open(&recorded.folder.path().join("case")).expect("the case opens");
        let session = Session::case(
            case,
            &Options {
                threads,
                ..Options::default()
            },
        )
        .expect("a session");
        assert_eq!(csv(&session, sql), expected, "{threads} threads");
        let processes = "SELECT * FROM processes";
        assert_eq!(
            csv(&session, processes),
            csv(&recorded.session, processes),
            "{threads} threads"
        );
    }
}
