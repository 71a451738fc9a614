//! Alerts: what a rule says about an event, in Falco's text and JSON shapes.

use std::fmt::{self, Write};

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::engine::evaluate::{self, Place};
use crate::output::Format;
use crate::rules::{Priority, Rule};
use crate::typed::atom::Extract;
use crate::typed::clock::civil;

/// A rule that matched an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// SHA-256 of the case's id, the event's number and time, and the rule's name, in hexadecimal: the same alert has
    /// the same id in every replay.
    pub id: String,
    /// Number of the event in the recording.
    pub event: u64,
    /// When the event happened, UTC nanoseconds.
    pub ts: u64,
    /// Name of the rule.
    pub rule: String,
    /// Priority of the rule.
    pub priority: Priority,
    /// Source of the event.
    pub source: String,
    /// Tags of the rule, sorted.
    pub tags: Vec<String>,
    /// Name of the recorded host.
    pub hostname: String,
    /// The rule's output with its fields filled in.
    pub message: String,
    /// The fields of the output with their values, typed, by name.
    pub fields: Map<String, Json>,
    /// What correlations want of it.
    pub(crate) captured: Vec<Option<String>>,
    /// Index of the rule.
    pub(crate) index: usize,
    /// Whether it serves correlations alone.
    pub(crate) silent: bool,
}

/// The recording that an event belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) case_id: &'a [u8],
    pub(crate) hostname: &'a str,
}

impl Alert {
    /// The alert of a rule for an event whose columns were decoded as the rule's output needs them.
    pub(crate) fn new(rule: &Rule, event: EventView<'_>, origin: Origin<'_>) -> Alert {
        let ts = event.ts();
        let mut fields = fields(&rule.output, event);
        fields.insert("evt.time".to_owned(), ts.into());
        fields.sort_keys();
        Alert {
            id: id(origin.case_id, event.seq(), ts, &rule.name),
            event: event.seq(),
            ts,
            rule: rule.name.clone(),
            priority: rule.priority,
            source: event.spec().map_or("", |s| s.source.name()).to_owned(),
            tags: rule.tags.clone(),
            hostname: origin.hostname.to_owned(),
            message: rule.output.text(event),
            fields,
            captured: captured(rule, event, origin),
            index: rule.index,
            silent: rule.silent,
        }
    }

    /// `HH:MM:SS.nnnnnnnnn: Priority message`, time of day in UTC; control characters escaped as JSON escapes them.
    pub fn text(&self) -> String {
        let quoted = Json::from(self.output()).to_string();
        quoted
            .strip_prefix('"')
            .and_then(|s| s.strip_suffix('"'))
            .unwrap_or(&quoted)
            .to_owned()
    }

    /// One object in Falco's alert shape, keys sorted as Falco's are.
    pub fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("hostname".to_owned(), self.hostname.as_str().into());
        object.insert("output".to_owned(), self.output().into());
        object.insert("output_fields".to_owned(), Json::Object(self.fields.clone()));
        object.insert("priority".to_owned(), self.priority.name().into());
        object.insert("rule".to_owned(), self.rule.as_str().into());
        object.insert("source".to_owned(), self.source.as_str().into());
        object.insert("tags".to_owned(), self.tags.as_slice().into());
        object.insert("time".to_owned(), Iso8601(self.ts).to_string().into());
        Json::Object(object).to_string()
    }

    /// The id of a correlation's alert whose last match this is.
    pub(crate) fn id_for(&self, correlation: &str) -> String {
        id(self.id.as_bytes(), self.event, self.ts, correlation)
    }

    fn output(&self) -> String {
        format!("{}: {} {}", TimeOfDay(self.ts), self.priority, self.message)
    }
}

/// The values that correlations want.
fn captured(rule: &Rule, event: EventView<'_>, origin: Origin<'_>) -> Vec<Option<String>> {
    let value = |extract: &Extract| evaluate::value(extract, Place::Event(event)).map(|v| v.to_string());
    let each = rule.capture.iter().map(|wanted| match wanted {
        Some(extract) => value(extract),
        None => Some(origin.hostname.to_owned()),
    });
    each.collect()
}

fn id(case_id: &[u8], seq: u64, ts: u64, rule: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(case_id);
    hash.update(seq.to_le_bytes());
    hash.update(ts.to_le_bytes());
    hash.update(rule.as_bytes());
    hash.finalize().iter().fold(String::with_capacity(64), |mut out, b| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// The fields of an output with their values. Transformed values have no key, but the fields in them do, as in Falco.
fn fields(format: &Format, event: EventView<'_>) -> Map<String, Json> {
    let mut out = Map::new();
    for value in format.values() {
        if let Extract::Absent(name) = value {
            out.insert(name.clone(), Json::Null);
        }
        value.fields(&mut |field| {
            let found = evaluate::field_value(field, Place::Event(event));
            out.insert(field.text.clone(), json(&field.text, found, event.ts()));
        });
    }
    out
}

/// Fields that show a time as text in a line are numbers in JSON: nanoseconds since the epoch.
const TIMES: [&str; 5] = [
    "evt.time",
    "evt.time.s",
    "evt.time.iso8601",
    "evt.datetime",
    "evt.datetime.s",
];

fn json(name: &str, value: Value<'_>, ts: u64) -> Json {
    if TIMES.contains(&name) {
        return ts.into();
    }
    match value {
        Value::Absent => Json::Null,
        Value::Bool(b) => b.into(),
        Value::Int(v) => v.into(),
        Value::Uint(v) => v.into(),
        Value::Str(s) => String::from_utf8_lossy(&s).into(),
        Value::Ip(ip) => ip.to_string().into(),
        Value::List(items) => items.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect(),
    }
}

/// `HH:MM:SS.nnnnnnnnn`
struct TimeOfDay(u64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.0 / 1_000_000_000 % 86_400, self.0 % 1_000_000_000);
        write!(
            f,
            "{:02}:{:02}:{:02}.{ns:09}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

/// `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`
struct Iso8601(u64);

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / 86_400_000_000_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{}Z", TimeOfDay(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_known_days() {
        assert_eq!(Iso8601(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(
            Iso8601(951_782_400_000_000_001).to_string(),
            "2000-02-29T00:00:00.000000001Z"
        );
        assert_eq!(
            Iso8601(1_735_689_599_999_999_999).to_string(),
            "2024-12-31T23:59:59.999999999Z"
        );
        assert_eq!(
            Iso8601(4_107_542_400_000_000_000).to_string(),
            "2100-03-01T00:00:00.000000000Z"
        );
    }
}
