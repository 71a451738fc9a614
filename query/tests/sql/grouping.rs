//! Groups that a scan makes on dictionary entries, of blocks or of Parquet files, are those that DataFusion makes of plain
//! rows.

use std::path::PathBuf;

use ctrace_query::export::export;
use ctrace_query::{Options, Session};

use super::world::{Dice, World};
use super::{Recorded, csv, options, recorded_world};

/// Rows of the case as a table in memory: nothing is pushed into it.
const COPY: &str = "CREATE TABLE plain AS SELECT * FROM events";

const RESULTS: [&str; 6] = [
    "count(*)",
    "count({x})",
    "min(seq), max(seq)",
    "min(ts), max(ts), count(*)",
    "count(DISTINCT {x})",
    "count(*), count(DISTINCT {x}), max(seq)",
];

const CONDITIONS: [&str; 6] = [
    "true",
    "proc_name <> 'cat'",
    "evt_type = 'openat' AND evt_rawres < 0",
    "fd_name IS NOT NULL AND seq % 3 = 0",
    "ts > '2026-11-21T00:00:00Z'",
    "proc_name = 'nobody has this'",
];

/// The statement over a table, its rows in one order.
fn rows(session: &Session, table: &str, statement: &str) -> Vec<String> {
    let rows = csv(session, &statement.replace("{table}", table));
    // What ends the last row is cut, whichever row that is.
    let mut rows: Vec<String> = rows.lines().map(|row| row.trim_end().to_owned()).collect();
    rows.sort();
    rows
}

fn is_pushed(session: &Session, statement: &str) -> bool {
    let plan = csv(session, &format!("EXPLAIN {}", statement.replace("{table}", "events")));
    plan.contains("groups=[")
}

fn exported(recorded: &Recorded) -> PathBuf {
    let dir = recorded.folder.path().join("export");
    export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    dir
}

#[test]
fn groups_are_those_of_plain_rows() {
    let recorded = recorded_world(World::new());
    let one_thread = Options {
        threads: 1,
        ..Options::default()
    };
    let case = ctrace_trace::case::Case::open(&recorded.folder.path().join("case")).expect("the case");
    let files = exported(&recorded);
    let others = [
        Session::case(case, &one_thread).expect("a session"),
        Session::folder(&files, &options()).expect("a session"),
        Session::folder(&files, &one_thread).expect("a session"),
    ];
    let sessions = [&recorded.session, &others[0], &others[1], &others[2]];
    sessions.iter().for_each(|s| drop(s.batches(COPY).expect("the copy")));
    let columns = recorded.session.table("events").expect("the table").columns.clone();
    let mut dice = Dice::new(11);
    let (mut tried, mut pushed) = (0, 0);
    for column in columns.iter().filter(|c| !c.ty.ends_with("[]")) {
        let x = &dice.pick(&columns).name;
        for _ in 0..2 {
            let results = *dice.pick(&RESULTS);
            let (other, condition) = (&dice.pick(&columns).name, *dice.pick(&CONDITIONS));
            let results = results.replace("{x}", x);
            let name = &column.name;
            let (keys, places) = match dice.roll(4) {
                0 => (format!("{name} AS a, {other} AS b"), "1, 2"),
                1 => (format!("{name} AS a, proc_name AS b, evt_type AS c"), "1, 2, 3"),
                _ => (name.clone(), "1"),
            };
            let session = sessions[dice.roll(4)];
            let grouped = format!("SELECT {keys}, {results} FROM {{table}} WHERE {condition} GROUP BY {places}");
            let global = format!("SELECT {results} FROM {{table}} WHERE {condition}");
            let distinct = format!("SELECT DISTINCT {keys} FROM {{table}} WHERE {condition}");
            for statement in [grouped, global, distinct] {
                assert_eq!(
                    rows(session, "events", &statement),
                    rows(session, "plain", &statement),
                    "{statement}"
                );
                tried += 1;
                pushed += usize::from(is_pushed(session, &statement));
            }
        }
    }
    assert!(tried > 500 && pushed > tried / 5, "{pushed} of {tried} are pushed down");
}

#[test]
fn what_belongs_to_dictionary_entries_is_grouped_in_the_scan() {
    let recorded = recorded_world(World::new());
    let files = Session::folder(&exported(&recorded), &options()).expect("a session");
    for statement in [
        "SELECT proc_name, count(*) AS n FROM {table} GROUP BY proc_name ORDER BY n DESC LIMIT 10",
        "SELECT container_id, count(DISTINCT fd_name) FROM {table} GROUP BY container_id",
        "SELECT DISTINCT proc_exepath, evt_type FROM {table} WHERE fd_name LIKE '/etc/%'",
        "SELECT count(*), min(ts), max(ts), count(DISTINCT fd_name) FROM {table} WHERE proc_pid = 300",
        "SELECT evt_type, count(*) FROM {table} WHERE ts > '2026-11-21T00:00:00Z' GROUP BY 1",
    ] {
        assert!(is_pushed(&recorded.session, statement), "{statement}");
        assert!(is_pushed(&files, statement), "{statement}");
    }
    for statement in [
        "SELECT proc_name, sum(evt_rawres) FROM {table} GROUP BY 1",
        "SELECT proc_name, count(*) FROM (SELECT * FROM {table} LIMIT 100) GROUP BY 1",
        "SELECT proc_name, count(*) FILTER (WHERE evt_rawres < 0) FROM {table} GROUP BY 1",
    ] {
        assert!(!is_pushed(&recorded.session, statement), "{statement}");
        assert!(!is_pushed(&files, statement), "{statement}");
    }
    // What rows have of their own is no dictionary.
    let own = "SELECT evt_args, count(*) FROM {table} GROUP BY 1";
    assert!(!is_pushed(&recorded.session, own) && !is_pushed(&files, own));
    assert!(!is_pushed(&files, "SELECT seq, count(*) FROM {table} GROUP BY 1"));
}
