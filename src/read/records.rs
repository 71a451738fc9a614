//! The records of audit events, with what their fields mean: as `ausearch -i` prints them, and as JSON.

use std::cell::OnceCell;

use ctrace_trace::audit::{Interpreter, Names, Record};
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::Case;
use ctrace_trace::escape;
use ctrace_trace::event::{Arg, EventType};
use serde_json::{Value, json};

/// Interprets records with the names of users and groups that a case has.
#[derive(Default)]
pub(super) struct Records {
    names: OnceCell<Names>,
}

impl Records {
    /// Takes over the names, the first time.
    pub(super) fn learn(&self, case: &Case) {
        self.names.get_or_init(|| names(case));
    }

    fn interpreter(&self) -> Interpreter<'_> {
        Interpreter::new(self.names.get_or_init(Names::default))
    }

    /// Lines as `ausearch -i` has them, a separator first; nothing for events of other sources.
    pub(super) fn lines(&self, event: EventView<'_>) -> Option<String> {
        let raw = raw(event)?;
        let mut out = "----".to_owned();
        for line in raw.split(|b| *b == b'\n') {
            out.push('\n');
            match Record::parse_line(line) {
                Ok(record) => out.push_str(&self.interpreter().line(&record)),
                Err(_) => out.push_str(&escape::bytes(line)),
            }
        }
        Some(out)
    }

    /// Each record with its fields: as they stand there, and what they mean.
    pub(super) fn json(&self, event: EventView<'_>) -> Option<Value> {
        let lines = raw(event)?.split(|b| *b == b'\n');
        let records = lines.filter_map(|line| Record::parse_line(line).ok());
        let records: Vec<Value> = records.map(|record| self.record(&record)).collect();
        (!records.is_empty()).then_some(Value::Array(records))
    }

    fn record(&self, record: &Record<'_>) -> Value {
        let fields = self.interpreter().fields(record).into_iter().map(|field| {
            json!({
                "name": escape::lossless(field.name),
                "raw": escape::lossless(field.raw),
                "value": escape::lossless(&field.value),
            })
        });
        json!({"type": record.kind.to_string(), "fields": fields.collect::<Vec<_>>()})
    }
}

/// The records of an audit event.
fn raw(event: EventView<'_>) -> Option<&[u8]> {
    match event.arg_named("raw") {
        Arg::Str(raw) if event.kind() == Some(EventType::AUDIT) => Some(raw),
        _ => None,
    }
}

/// Of all snapshots: an account may be made while it is recorded.
fn names(case: &Case) -> Names {
    let mut names = Names::default();
    for segment in case.segments() {
        if let Ok(Some(snapshot)) = segment.snapshot() {
            names.learn(&snapshot);
        }
    }
    names
}
