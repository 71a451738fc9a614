//! Joins by number give the rows that a join gives which knows nothing of numbers.

use ctrace_query::Session;
use ctrace_query::export::export;

use super::{csv, options, recorded};

/// Numbers of some events, one that no event has and one that is absent.
const FOUND: &str = "CREATE TABLE found AS
    SELECT seq, evt_type AS why FROM events WHERE seq % 37 = 5 AND seq BETWEEN 40 AND 900
    UNION ALL SELECT arrow_cast(1000000000, 'UInt64'), 'nowhere'
    UNION ALL SELECT arrow_cast(NULL, 'UInt64'), 'absent'";

/// `{0}` and `{1}` are both numbers: as they are, or in a way in which nobody knows them again.
const JOINS: [&str; 8] = [
    "SELECT f.why, e.seq, e.proc_name, e.ts FROM found f JOIN events e ON {0} = {1} ORDER BY e.seq",
    "SELECT f.why, f.seq, e.evt_type FROM found f LEFT JOIN events e ON {0} = {1} ORDER BY f.seq, f.why",
    "SELECT count(*), count(f.why), max(e.seq) FROM found f RIGHT JOIN events e ON {0} = {1}",
    "SELECT count(*), count(f.why), count(e.seq) FROM found f FULL JOIN events e ON {0} = {1}",
    "SELECT f.why, e.seq FROM found f JOIN events e ON {0} = {1} AND e.evt_type = f.why WHERE e.evt_type <> 'close' ORDER BY e.seq",
    "SELECT e.seq FROM events e WHERE EXISTS (SELECT 1 FROM found f WHERE {0} = {1}) AND e.proc_name IS NOT NULL ORDER BY e.seq",
    "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM found f WHERE {0} = {1})",
    "WITH RECURSIVE walk AS (SELECT arrow_cast(45, 'UInt64') AS seq UNION ALL
        SELECT arrow_cast(e.seq + 3, 'UInt64') FROM walk f JOIN events e ON {0} = {1} WHERE f.seq < 300)
     SELECT count(*), min(seq), max(seq) FROM walk",
];

fn check(session: &Session) {
    session.batches(FOUND).expect("a table");
    let mut rows = 0;
    for join in JOINS {
        let with = |f: &str, e: &str| csv(session, &join.replace("{0}", f).replace("{1}", e));
        let plain = with("f.seq + 0", "e.seq + 0");
        assert_eq!(with("f.seq", "e.seq"), plain, "{join}");
        rows += plain.lines().count();
    }
    assert!(rows > 60, "{rows} rows say little");
}

#[test]
fn blocks_give_the_rows_of_plain_joins() {
    let recorded = recorded();
    check(&recorded.session);
    let plan = csv(
        &recorded.session,
        "EXPLAIN SELECT e.ts FROM found f JOIN events e ON e.seq = f.seq",
    );
    assert!(
        plan.contains("Noting: [seq]") && plan.contains("partners=[seq]"),
        "{plan}"
    );
    let metrics = csv(
        &recorded.session,
        "EXPLAIN ANALYZE SELECT e.ts FROM events e WHERE e.seq IN (SELECT seq FROM found WHERE why <> 'nowhere')",
    );
    assert!(!metrics.contains("blocks_without_match=0"), "{metrics}");
}

#[test]
fn files_give_the_rows_of_plain_joins() {
    let recorded = recorded();
    let dir = recorded.folder.path().join("export");
    export(&recorded.session, &dir, &|_, _| ()).expect("the export");
    let session = Session::folder(&dir, &options()).expect("a session");
    check(&session);
    let plan = csv(
        &session,
        "EXPLAIN SELECT e.ts FROM found f JOIN events e ON e.seq = f.seq",
    );
    assert!(plan.contains("has_partner(seq@"), "{plan}");
}
