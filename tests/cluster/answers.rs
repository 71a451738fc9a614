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
    "SELECT name, pid FROM processes_as_of('2026-11-21 06:07:05') ORDER BY pid, name",
    "SELECT 1 + 1 AS two",
    "DESCRIBE users",
    "SELECT count(*) > 0 FROM information_schema.tables WHERE table_name = 'events'",
];

fn query(place: &[&str], statement: &str) -> Ran {
    let fixed = ["query", "--format", "csv"];
    ctrace(fixed.into_iter().chain(place.iter().copied()).chain([statement]))
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
fn investigations_of_the_library_run_or_say_what_a_cluster_lacks() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let address = nodes.address();
    let mut ran = 0;
    for one in LIBRARY {
        let name = format!("@{}", one.name);
        let there = query(&["--cluster", &address, fleet.arg()], &name);
        if there.code == 0 {
            let here = query(&[fleet.arg()], &name).code(0);
            assert_eq!(sorted(&there.out), sorted(&here.out), "{name}");
            ran += 1;
            continue;
        }
        let told = there.code(2).nothing();
        let lacks =
            told.contains(" is not known to the executors of a cluster") || told.contains(": leave out --cluster");
        assert!(lacks && told.lines().count() == 1, "{name}: {told}");
    }
    assert!(ran * 2 > LIBRARY.len(), "{ran} of {}", LIBRARY.len());
}

/// Rows that a statement leaves unordered come in any order.
fn sorted(rows: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows
}

#[test]
fn what_a_cluster_cannot_run_is_refused_in_one_line() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let address = nodes.address();
    for (statement, why) in [
        ("SELECT count(*) FROM events WHERE entropy(fd_name) > 4", "entropy() is not known to the executors"),
        ("SELECT count(*) FROM connections WHERE cidr_contains('10.0.0.0/8', server_ip)", "cidr_contains() is not known"),
        ("SELECT count(*) FROM processes WHERE descends_from(process_key, 'sshd')", "descends_from() is not known"),
        ("SELECT record FROM audit_records", "string_to_array() is not known"),
        (
            "WITH RECURSIVE t AS (SELECT process_key, 0 AS d FROM processes WHERE parent_key IS NULL UNION ALL
             SELECT p.process_key, d + 1 FROM processes p JOIN t ON p.parent_key = t.process_key WHERE d < 9) SELECT count(*) FROM t",
            "WITH RECURSIVE t does not run on a cluster",
        ),
        ("SELECT * FROM evnts", "did you mean `events`"),
        ("SELECT nme FROM events", "no column `nme`"),
    ] {
        let told = query(&["--cluster", &address, fleet.arg()], statement).code(2).nothing();
        assert!(told.contains(why) && told.lines().count() == 1, "{statement}: {told}");
    }
    // What fails on the executors: they tell, in words of their own.
    let told = query(
        &["--cluster", &address, fleet.arg()],
        "SELECT 1 / (seq - seq) FROM events",
    )
    .code(4);
    assert!(
        told.err.contains(&format!("cluster {address}: ")) && told.err.contains("DivideByZero"),
        "{}",
        told.err
    );
    assert_eq!(told.err.lines().count(), 1, "{}", told.err);

    let told = query(&["--cluster", &address, "samples/attack/case"], "SELECT 1")
        .code(2)
        .nothing();
    assert!(told.contains("run `ctrace export` first"), "{told}");
}
