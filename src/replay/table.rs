//! Replay over an export: SQL selects the events that rules may match, the engine asks them.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow};
use ctrace_query::{Rows, Session};
use ctrace_replay::{Alert, Columns, Engine, Matching, Outcome, Recording, Selection};
use ctrace_trace::case::Loss;
use ctrace_trace::catalogue::Value;
use ctrace_trace::escape;
use ctrace_trace::names;
use ctrace_trace::schema::NameSet;

use crate::query::coded;
use crate::{exit, output};

/// What a replay over an export did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) alerts: u64,
    pub(crate) incomplete: u64,
    /// How many events the export has, and how many of them SQL selected.
    pub(crate) events: u64,
    pub(crate) selected: u64,
    /// Events that the recorder noted as lost.
    pub(crate) lost: u64,
}

impl Done {
    fn add(&mut self, outcome: &Outcome) {
        self.alerts += outcome.alerts;
        self.incomplete += outcome.incomplete;
        self.selected += outcome.events;
        let lost = outcome.losses.iter().filter(|loss| loss.is_of_events());
        let lost = lost.map(|loss| loss.count);
        self.lost = lost.fold(self.lost, u64::saturating_add);
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} alerts from {} events, of which SQL selected {}",
            self.alerts, self.events, self.selected
        )?;
        if self.lost > 0 {
            write!(f, "; {} events were lost when it was recorded", self.lost)?;
        }
        if self.incomplete > 0 {
            write!(f, "; {} alerts have losses near them", self.incomplete)?;
        }
        Ok(())
    }
}

/// Replays over the tables of a session, host by host; `take` is called for each alert. Says before it begins what the
/// export cannot give.
pub(crate) fn over(
    session: &Session,
    engine: &Engine<'_>,
    matching: Matching,
    take: &mut dyn FnMut(&Alert),
) -> anyhow::Result<Done> {
    let selection = engine.selection();
    check(session, &selection)?;
    tell_missing(&selection);
    let mut done = Done::default();
    let total = rows(session, "SELECT count(*) AS events FROM events")?;
    done.events = total.first().map_or(0, |rows| number(rows, 0, "events"));
    for (host, recording) in recordings(session)? {
        let mut replay = engine.replay_table(&recording, matching, take);
        let sql = format!(
            "SELECT {} FROM events WHERE host = {} AND ({}) ORDER BY seq",
            selection.columns.join(", "),
            literal(&host),
            selection.condition
        );
        for batch in session.sql(&sql).map_err(coded)? {
            let rows = Rows::new(&batch.map_err(coded)?).map_err(coded)?;
            replay.rows(&Selected(&rows));
        }
        let (outcome, unknown) = replay.finish();
        if unknown > 0 {
            output::note(&format!(
                "{unknown} selected events are of types that this version does not know"
            ));
        }
        done.add(&outcome);
    }
    Ok(done)
}

/// The sources of the events of an export.
pub(crate) fn sources(session: &Session) -> anyhow::Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for batch in rows(session, "SELECT DISTINCT source FROM events")? {
        out.extend((0..batch.len()).map(|row| text(&batch, row, "source")));
    }
    Ok(out)
}

/// Rows as the engine reads them.
struct Selected<'a>(&'a Rows);

impl Columns for Selected<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn value(&self, row: usize, column: &str) -> Value<'_> {
        self.0.value(row, column)
    }
}

/// Whether the export has what is selected: one of an earlier version lacks columns.
fn check(session: &Session, selection: &Selection) -> anyhow::Result<()> {
    let lacking = |table: &str, wanted: &[&str]| -> Vec<String> {
        let columns = session.table(table).map_or(&[][..], |t| &t.columns);
        let absent = wanted.iter().filter(|name| columns.iter().all(|c| c.name != **name));
        absent.map(|name| format!("{table}.{name}")).collect()
    };
    let mut absent = lacking("events", &selection.columns);
    absent.extend(lacking("segments", &["case_id", "host"]));
    if absent.is_empty() {
        return Ok(());
    }
    Err(exit::usage(anyhow!(
        "the export lacks {}: export the case with this version",
        absent.join(", ")
    )))
}

/// Names what rules ask for or show and the export does not have.
fn tell_missing(selection: &Selection) {
    for missing in &selection.missing {
        let (rule, field) = (escape::text(&missing.rule), escape::text(&missing.field));
        output::note(&match missing.asked {
            true => format!("rule '{rule}' is left out: the export does not have {field}"),
            false => format!("rule '{rule}' shows {field} as <NA>: the export does not have it"),
        });
    }
}

/// The recordings of the export, by host.
fn recordings(session: &Session) -> anyhow::Result<Vec<(String, Recording)>> {
    let mut out: Vec<(String, Recording)> = Vec::new();
    for batch in rows(
        session,
        "SELECT DISTINCT host, case_id FROM segments ORDER BY host, case_id",
    )? {
        for row in 0..batch.len() {
            let (host, id) = (text(&batch, row, "host"), text(&batch, row, "case_id"));
            if out.iter().any(|(known, _)| *known == host) {
                let host = escape::text(&host);
                return Err(exit::usage(anyhow!(
                    "the export holds several recordings of host '{host}', whose events SQL does not tell apart: replay them one by one"
                )));
            }
            let recording = Recording {
                case_id: unhex(&id).with_context(|| format!("the export's case id '{}' is none", escape::text(&id)))?,
                // An export writes this for a host without a name.
                hostname: if host == "unknown" { String::new() } else { host.clone() },
                losses: losses(session, &host)?,
            };
            out.push((host, recording));
        }
    }
    Ok(out)
}

fn losses(session: &Session, host: &str) -> anyhow::Result<Vec<Loss>> {
    // Tables without rows leave no file.
    if session.table("gaps").is_none() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT seq, source, class, count, cpu, from_ts, to_ts, reason FROM gaps WHERE host = {} ORDER BY seq",
        literal(host)
    );
    let mut out = Vec::new();
    for batch in rows(session, &sql)? {
        out.extend((0..batch.len()).map(|row| Loss {
            seq: number(&batch, row, "seq"),
            source: text(&batch, row, "source"),
            class: class(&text(&batch, row, "class")),
            count: number(&batch, row, "count"),
            cpu: match batch.value(row, "cpu") {
                Value::Int(cpu) => cpu,
                _ => -1,
            },
            from_ts: number(&batch, row, "from_ts"),
            to_ts: number(&batch, row, "to_ts"),
            reason: text(&batch, row, "reason"),
        }));
    }
    Ok(out)
}

/// The class of a loss by its name.
fn class(name: &str) -> i64 {
    let known = names::table(NameSet::GapClass).iter().find(|n| n.name == name);
    known.map_or_else(|| name.parse().unwrap_or(-1), |n| n.value as i64)
}

fn rows(session: &Session, sql: &str) -> anyhow::Result<Vec<Rows>> {
    let batches = session.batches(sql).map_err(coded)?;
    batches.iter().map(|b| Rows::new(b).map_err(coded)).collect()
}

fn text(rows: &Rows, row: usize, column: &str) -> String {
    match rows.value(row, column) {
        Value::Str(text) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    }
}

fn number(rows: &Rows, row: usize, column: &str) -> u64 {
    match rows.value(row, column) {
        Value::Uint(n) => n,
        Value::Int(n) => u64::try_from(n).unwrap_or(0),
        _ => 0,
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let digit = |b: u8| char::from(b).to_digit(16);
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8));
    bytes.collect::<Option<Vec<u8>>>().filter(|_| odd.is_empty())
}
