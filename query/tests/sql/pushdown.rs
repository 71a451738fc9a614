//! A condition that the scan takes over selects the same rows as one that DataFusion evaluates on plain rows.

use ctrace_query::{ColumnInfo, Session};

use super::world::Dice;
use super::{csv, recorded};

/// Rows of the case as a table in memory: nothing is pushed into it.
const COPY: &str = "CREATE TABLE plain AS SELECT * FROM events";

fn rows(session: &Session, table: &str, condition: &str) -> String {
    csv(
        session,
        &format!("SELECT seq FROM {table} WHERE {condition} ORDER BY seq"),
    )
}

fn check(session: &Session, condition: &str) {
    let (pushed, plain) = (rows(session, "events", condition), rows(session, "plain", condition));
    assert_eq!(pushed, plain, "{condition}");
}

fn plan(session: &Session, condition: &str) -> String {
    csv(session, &format!("EXPLAIN SELECT seq FROM events WHERE {condition}"))
}

/// Some values of a column as SQL literals.
fn values(session: &Session, column: &ColumnInfo) -> Vec<String> {
    let name = &column.name;
    let sql = format!(
        "SELECT DISTINCT CAST(\"{name}\" AS VARCHAR) v FROM plain WHERE \"{name}\" IS NOT NULL ORDER BY v LIMIT 40"
    );
    let batches = session.batches(&sql).expect("distinct values");
    let mut out = Vec::new();
    for batch in &batches {
        let options = arrow::util::display::FormatOptions::new();
        let texts = arrow::util::display::ArrayFormatter::try_new(batch.column(0), &options).expect("texts");
        out.extend((0..batch.num_rows()).map(|row| format!("'{}'", texts.value(row).to_string().replace('\'', "''"))));
    }
    out
}

/// Conditions on one column.
fn conditions(session: &Session, column: &ColumnInfo, dice: &mut Dice) -> Vec<String> {
    let name = format!("\"{}\"", column.name);
    let mut out = vec![format!("{name} IS NULL"), format!("{name} IS NOT NULL")];
    if column.ty == "boolean" {
        out.extend([name.clone(), format!("NOT {name}"), format!("coalesce({name}, true)")]);
        return out;
    }
    if column.ty.ends_with("[]") {
        out.extend([
            format!("array_length({name}) > 1"),
            format!("array_has({name}, 'bash')"),
        ]);
        return out;
    }
    let mut known = values(session, column);
    known.push(if column.ty == "text" {
        "'nobody has this'".to_owned()
    } else {
        "'1'".to_owned()
    });
    let (a, b) = (dice.pick(&known).clone(), dice.pick(&known).clone());
    if column.ty == "timestamp" || column.ty == "duration" || column.ty == "date" {
        let cast = |v: &str| format!("CAST({v} AS VARCHAR)");
        out.extend([format!("{} = {a}", cast(&name)), format!("{} <> {b}", cast(&name))]);
        return out;
    }
    let literal = |v: &str| {
        if column.ty == "text" {
            v.to_owned()
        } else {
            v.trim_matches('\'').to_owned()
        }
    };
    let (a, b) = (literal(&a), literal(&b));
    out.extend([
        format!("{name} = {a}"),
        format!("{name} <> {a}"),
        format!("NOT ({name} = {a})"),
        format!("{name} IN ({a}, {b})"),
        format!("{name} NOT IN ({a}, {b})"),
        format!("{name} > {a}"),
        format!("{name} BETWEEN {a} AND {b}"),
        format!("{name} = {a} OR {name} IS NULL"),
        format!("{name} IS DISTINCT FROM {b}"),
    ]);
    if column.ty == "text" {
        let part: String = a
            .trim_matches('\'')
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .take(3)
            .collect();
        out.extend([
            format!("{name} LIKE '%{part}%'"),
            format!("{name} NOT LIKE '{part}%'"),
            format!("{name} ILIKE '{}%'", part.to_uppercase()),
            format!("{name} ~ '{part}.*[a-z0-9]$'"),
            format!("{name} !~ '^{part}'"),
            format!("length({name}) > 4"),
            format!("coalesce({name}, 'none') = 'none'"),
            format!("upper({name}) = upper({a})"),
        ]);
    } else {
        out.push(format!("{name} % 2 = 0"));
    }
    out
}

#[test]
fn conditions_on_every_column_select_the_same_rows() {
    let recorded = recorded();
    let session = &recorded.session;
    session.batches(COPY).expect("the copy");
    let mut dice = Dice::new(7);
    let columns = session.table("events").expect("the table").columns.clone();
    let mut all = Vec::new();
    for column in &columns {
        let of_column = conditions(session, column, &mut dice);
        // All of a few columns, some of the others: which ones differs from column to column.
        let whole = [
            "evt_type",
            "proc_name",
            "fd_name",
            "container_id",
            "proc_pid",
            "evt_res",
        ];
        let few = !whole.contains(&column.name.as_str());
        let kept: Vec<String> = of_column.into_iter().filter(|_| !few || dice.roll(5) == 0).collect();
        kept.iter().for_each(|c| check(session, c));
        all.extend(kept);
    }
    for _ in 0..60 {
        let (a, b, c) = (dice.pick(&all), dice.pick(&all), dice.pick(&all));
        let combined = match dice.roll(4) {
            0 => format!("({a}) AND ({b})"),
            1 => format!("({a}) OR ({b})"),
            2 => format!("NOT (({a}) AND ({b})) AND ({c})"),
            _ => format!("({a}) AND ({b}) AND NOT ({c})"),
        };
        check(session, &combined);
    }
    assert!(all.len() > 200, "only {} conditions", all.len());
}

#[test]
fn ranges_of_time_and_number_select_the_same_rows() {
    let recorded = recorded();
    let session = &recorded.session;
    session.batches(COPY).expect("the copy");
    for condition in [
        "ts > '2026-11-21T00:00:00Z'",
        "ts BETWEEN '2026-11-20T23:59:54Z' AND '2026-11-20T23:59:58.0001Z'",
        "ts < '2026-11-20T23:59:54Z' OR ts >= '2026-11-21T00:00:10Z'",
        "seq >= 1000 AND seq < 1010",
        "seq = 4000 OR seq = 7",
        "seq IN (3, 900, 5000)",
        "seq > 100000",
        "NOT (seq < 4700)",
        "date = '2026-11-21' AND seq % 97 = 0",
        "ts > '2026-11-21T00:00:00Z' AND proc_name = 'cat' AND evt_type <> 'read'",
        "host = 'lab host' AND seq < 3",
        "process_key IN (SELECT process_key FROM processes WHERE name = 'cat')",
        "ts = (SELECT max(ts) FROM events)",
    ] {
        check(session, condition);
    }
}

#[test]
fn conditions_on_one_column_are_taken_over_whole() {
    let recorded = recorded();
    let session = &recorded.session;
    for condition in [
        "proc_name = 'cat'",
        "proc_name LIKE 'c%' OR proc_name IS NULL",
        "fd_name ~ '^/etc/' AND container_id <> 'host'",
        "evt_type IN ('openat', 'execve')",
        "proc_pid = 300",
        "NOT (proc_name = 'cat')",
    ] {
        let plan = plan(session, condition);
        assert!(!plan.contains("FilterExec"), "{condition}: {plan}");
        assert!(
            plan.contains("entries=[") || plan.contains("heads=["),
            "{condition}: {plan}"
        );
    }
    let plan = plan(session, "proc_name = evt_type");
    assert!(
        plan.contains("FilterExec"),
        "two columns are compared row by row: {plan}"
    );
}
