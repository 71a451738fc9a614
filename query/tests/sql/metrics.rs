//! A query reads only what it must.

use ctrace_query::Session;

use super::world::{BLOCKS, PER_BLOCK, World};
use super::{csv, recorded, recorded_world};

/// A counter of the scan, summed over its partitions.
fn metric(session: &Session, sql: &str, name: &str) -> u64 {
    let plan = csv(session, &format!("EXPLAIN ANALYZE {sql}"));
    let scan = plan
        .lines()
        .find(|l| l.contains("BlockScan"))
        .unwrap_or_else(|| panic!("no scan in {plan}"));
    let Some((_, rest)) = scan.split_once(&format!("{name}=")) else {
        panic!("no {name} in {scan}")
    };
    let value = rest.split([',', ']']).next().unwrap_or_default().trim();
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let factor = match unit {
        "K" => 1e3,
        "M" => 1e6,
        _ => 1.0,
    };
    (number.parse::<f64>().unwrap_or_else(|e| panic!("{value}: {e}")) * factor) as u64
}

fn pruned(session: &Session, condition: &str) -> u64 {
    metric(
        session,
        &format!("SELECT seq, proc_name FROM events WHERE {condition}"),
        "blocks_pruned",
    )
}

#[test]
fn heads_rule_blocks_out() {
    let recorded = recorded();
    let session = &recorded.session;
    assert_eq!(pruned(session, "evt_type = 'docker'"), BLOCKS - 1);
    assert_eq!(pruned(session, "evt_type IN ('gap', 'docker')"), BLOCKS - 2);
    assert_eq!(pruned(session, "evt_type LIKE 'conn%'"), BLOCKS - 1);
    assert_eq!(pruned(session, "evt_type = 'no such type'"), BLOCKS);
    assert_eq!(pruned(session, "ts >= '2026-11-21T00:00:00Z'"), 5);
    assert_eq!(pruned(session, "seq < 500"), BLOCKS - 2);
    assert_eq!(pruned(session, "container_id = 'cccccccccccc'"), BLOCKS);
    assert_eq!(
        pruned(session, "container_id = 'aaaaaaaaaaaa' AND evt_type = 'connect'"),
        BLOCKS - 1
    );
    assert_eq!(pruned(session, "container_id <> 'nothing'"), 0);
}

#[test]
fn dictionaries_rule_blocks_out_before_rows_are_decoded() {
    // Parts of a file that lie close together are read along: small blocks would be read whole.
    let recorded = recorded_world(World::new().with_blocks_of(20_000));
    let session = &recorded.session;
    let sql = "SELECT ts, evt_type, fd_name FROM events WHERE proc_name = 'nobody'";
    assert_eq!(metric(session, sql, "blocks_without_match"), BLOCKS);
    let all = "SELECT ts, evt_type, fd_name, proc_name FROM events";
    let (selective, whole) = (metric(session, sql, "bytes_read"), metric(session, all, "bytes_read"));
    assert!(selective * 2 < whole, "{selective} of {whole} bytes");
}

#[test]
fn addresses_rule_blocks_out_before_references_are_decoded() {
    // Parts of a file that lie close together are read along: small blocks would be read whole.
    let recorded = recorded_world(World::new().with_blocks_of(20_000));
    let session = &recorded.session;
    let sql = |condition: &str| format!("SELECT count(*), count(DISTINCT fd_name) FROM events WHERE {condition}");
    let fd = metric(session, "SELECT fd_name FROM events", "bytes_read");
    for condition in [
        "cidr_contains('203.0.113.0/24', fd_sip)",
        "fd_sport = 1",
        "fd_cip = '203.0.113.1'",
    ] {
        let sql = sql(condition);
        let bytes = metric(session, &sql, "bytes_read");
        assert!(0 < bytes && bytes * 2 < fd, "{condition}: {bytes} of {fd} bytes");
        assert_eq!(csv(session, &sql), "0,0", "{condition}");
    }
    // What texts they had is known from then on, whatever the condition; of numbers nothing is kept.
    for (condition, pruned) in [
        ("cidr_contains('198.51.100.0/24', fd_sip)", BLOCKS),
        ("fd_cip LIKE '203.%'", BLOCKS),
        ("fd_sport = 2", 0),
    ] {
        let sql = sql(condition);
        assert_eq!(metric(session, &sql, "blocks_pruned"), pruned, "{condition}");
        assert_eq!(
            metric(session, &sql, "blocks_without_match"),
            BLOCKS - pruned,
            "{condition}"
        );
        assert_eq!(csv(session, &sql), "0,0", "{condition}");
    }
    // What has no address may pass, and then every block is looked at.
    let none = "fd_sip IS NULL OR cidr_contains('203.0.113.0/24', fd_sip)";
    assert_eq!(metric(session, &sql(none), "blocks_without_match"), 0);
    let all = csv(session, "SELECT count(*) FROM events");
    let with: u64 = csv(session, "SELECT count(*) FROM events WHERE fd_sip IS NOT NULL")
        .parse()
        .expect("a number");
    let without: u64 = csv(session, &format!("SELECT count(*) FROM events WHERE {none}"))
        .parse()
        .expect("a number");
    assert!(with > 0 && without > 0, "{with} and {without}");
    assert_eq!((with + without).to_string(), all);
}

#[test]
fn threads_are_counted_without_their_rows() {
    // Parts of a file that lie close together are read along: small blocks would be read whole.
    let recorded = recorded_world(World::new().with_blocks_of(20_000));
    let session = &recorded.session;
    let results = "count(*), count(proc_exepath), count(container_id)";
    for keys in ["proc_name", "thread_tid", "proc_exepath, thread_tid, container_id"] {
        let sql = |condition: &str| {
            format!("SELECT {keys}, {results} FROM events {condition} GROUP BY {keys} ORDER BY {keys}")
        };
        // All rows pass, but each has to be looked at.
        let (threads, rows) = (sql(""), sql("WHERE seq < 1000000000"));
        assert_eq!(csv(session, &threads), csv(session, &rows), "{threads}");
        let (few, many) = (
            metric(session, &threads, "bytes_read"),
            metric(session, &rows, "bytes_read"),
        );
        assert!(few < many, "{threads}: {few} of {many} bytes");
    }
}

#[test]
fn only_the_columns_asked_for_are_read() {
    // Parts of a file that lie close together are read along: small blocks would be read whole.
    let recorded = recorded_world(World::new().with_blocks_of(20_000));
    let session = &recorded.session;
    let bytes = |sql: &str| metric(session, sql, "bytes_read");
    let (one, all) = (bytes("SELECT evt_cpu FROM events"), bytes("SELECT * FROM events"));
    assert!(one * 3 < all, "{one} of {all} bytes");
    // Objects of the bulk family are not needed for types of the hot one.
    let hot = bytes("SELECT fd_name FROM events WHERE evt_type = 'openat'");
    let both = bytes("SELECT fd_name FROM events WHERE evt_type IN ('openat', 'read', 'write', 'close')");
    assert!(hot < both, "{hot} of {both} bytes");
    // A table of one event type reads the blocks that have it.
    assert_eq!(metric(session, "SELECT raw FROM docker_events", "blocks_read"), 1);
}

#[test]
fn a_limit_stops_reading() {
    let recorded = recorded();
    let read = metric(
        &recorded.session,
        "SELECT seq, proc_name FROM events LIMIT 10",
        "blocks_read",
    );
    assert!(read <= 2, "{read} blocks");
}

#[test]
fn counts_and_bounds_come_from_the_heads() {
    let recorded = recorded();
    let session = &recorded.session;
    for sql in [
        "SELECT count(*) FROM events",
        "SELECT min(ts), max(ts), min(seq), max(seq), count(*) FROM events",
        "SELECT count(*) FROM events WHERE evt_type = 'openat'",
        "SELECT count(*) FROM docker_events",
    ] {
        let plan = csv(session, &format!("EXPLAIN {sql}"));
        assert!(!plan.contains("BlockScan"), "{sql} reads blocks: {plan}");
    }
    assert_eq!(
        csv(session, "SELECT count(*) FROM events"),
        (BLOCKS * PER_BLOCK + 5).to_string()
    );
    let counted = csv(
        session,
        "SELECT sum(CASE WHEN evt_type = 'openat' THEN 1 ELSE 0 END) FROM events",
    );
    assert_eq!(
        csv(session, "SELECT count(*) FROM events WHERE evt_type = 'openat'"),
        counted
    );
    let bounds = csv(session, "SELECT min(ts), max(ts) FROM events");
    assert_eq!(
        bounds,
        csv(
            session,
            "SELECT min(t), max(t) FROM (SELECT ts + interval '0' second AS t FROM events)"
        )
    );
}

#[test]
fn the_plan_says_how_many_blocks_are_read() {
    let recorded = recorded();
    let plan = csv(
        &recorded.session,
        "EXPLAIN SELECT seq FROM events WHERE evt_type = 'docker' AND proc_name IS NULL",
    );
    assert!(plan.contains(&format!("blocks=1/{BLOCKS}")), "{plan}");
}

#[test]
fn rows_in_order_of_time_are_not_sorted_again() {
    let recorded = recorded();
    let plan = csv(&recorded.session, "EXPLAIN SELECT ts, seq FROM events ORDER BY ts, seq");
    assert!(!plan.contains("SortExec"), "{plan}");
}
