//! Alerts: what a rule says about an event, in Falco's text and JSON shapes.

use std::fmt::Write;

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value;
use ctrace_trace::escape;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::calendar::{Iso8601, TimeOfDay};
use crate::engine::evaluate::{self, Place};
use crate::output::Format;
use crate::rules::{Priority, Rule};
use crate::triage::Seen;
use crate::typed::atom::Extract;

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
    /// What was lost near it; `None` where the recording is complete there.
    pub incomplete: Option<Incomplete>,
    /// What triage asked of its event.
    pub(crate) seen: Seen,
    /// What correlations want of it.
    pub(crate) captured: Vec<Option<String>>,
    /// Index of the rule.
    pub(crate) index: usize,
    /// Whether it serves correlations alone.
    pub(crate) silent: bool,
}

/// Events that are missing within ten seconds of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// How many.
    pub lost: u64,
    /// When the first loss may have begun, UTC nanoseconds.
    pub from_ts: u64,
    /// When the last was over.
    pub to_ts: u64,
    /// The sources that lost them, sorted; `damaged block` for one that cannot be read, `missing blocks` for a hole
    /// between two.
    pub sources: Vec<String>,
}

/// What is shown of an alert beside Falco's own keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// The alert's id and the number of its event.
    pub ids: bool,
    /// Why it is suppressed, and which entry of which file says so.
    pub suppressed: Option<(&'a str, &'a str)>,
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
            incomplete: None,
            seen: Seen::default(),
            captured: captured(rule, event, origin),
            index: rule.index,
            silent: rule.silent,
        }
    }

    /// `HH:MM:SS.nnnnnnnnn: Priority message`, time of day in UTC; control characters escaped as JSON escapes them. What
    /// Falco does not say follows in brackets.
    pub fn text(&self) -> String {
        self.text_with(Extras::default())
    }

    /// The same with more in brackets.
    pub fn text_with(&self, extras: Extras<'_>) -> String {
        let mut out = self.output();
        if let Some(missing) = &self.incomplete {
            let lost = match missing.lost {
                0 => "uncounted".to_owned(),
                lost => lost.to_string(),
            };
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                " [incomplete: {lost} events of {} lost near it]",
                missing.sources.join(", ")
            );
        }
        if let Some((reason, at)) = extras.suppressed {
            let _ = write!(out, " [suppressed: {reason} ({at})]");
        }
        if extras.ids {
            let _ = write!(out, " [event {} id {}]", self.event, self.id);
        }
        let quoted = Json::from(out).to_string();
        quoted
            .strip_prefix('"')
            .and_then(|s| s.strip_suffix('"'))
            .unwrap_or(&quoted)
            .to_owned()
    }

    /// One object in Falco's alert shape, keys sorted as Falco's are. What Falco does not say stands under one more key,
    /// `ctrace`, which is there only when there is something to say.
    pub fn json(&self) -> String {
        self.json_with(Extras::default())
    }

    /// The same with more under `ctrace`.
    pub fn json_with(&self, extras: Extras<'_>) -> String {
        let mut object = Map::new();
        let more = self.more(extras);
        if !more.is_empty() {
            object.insert("ctrace".to_owned(), Json::Object(more));
        }
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

    /// What stands under the key `ctrace`.
    fn more(&self, extras: Extras<'_>) -> Map<String, Json> {
        let mut out = Map::new();
        if extras.ids || self.incomplete.is_some() {
            out.insert("complete".to_owned(), self.incomplete.is_none().into());
        }
        if extras.ids {
            out.insert("event".to_owned(), self.event.into());
            out.insert("id".to_owned(), self.id.as_str().into());
        }
        if let Some(missing) = &self.incomplete {
            let gap = json!({
                "lost": missing.lost,
                "from": Iso8601(missing.from_ts).to_string(),
                "to": Iso8601(missing.to_ts).to_string(),
                "sources": missing.sources,
            });
            out.insert("losses".to_owned(), gap);
        }
        if let Some((reason, at)) = extras.suppressed {
            out.insert("suppressed".to_owned(), json!({ "reason": reason, "by": at }));
        }
        out
    }

    /// Whether it is about several events: its event is the last of them.
    pub(crate) fn is_correlation(&self) -> bool {
        self.index == usize::MAX
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
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    let mut out = String::with_capacity(64);
    for b in hash.finalize() {
        out.push(digit(b >> 4));
        out.push(digit(b & 15));
    }
    out
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
            out.insert(field.text.clone(), typed(&field.text, found, event.ts()));
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

/// A value as JSON; bytes that are no text stay told apart (`\\xNN`).
fn typed(name: &str, value: Value<'_>, ts: u64) -> Json {
    if TIMES.contains(&name) {
        return ts.into();
    }
    match value {
        Value::Absent => Json::Null,
        Value::Bool(b) => b.into(),
        Value::Int(v) => v.into(),
        Value::Uint(v) => v.into(),
        Value::Str(s) => escape::lossless(&s).into(),
        Value::Ip(ip) => ip.to_string().into(),
        Value::List(items) => items.iter().map(|s| escape::lossless(s).into_owned()).collect(),
    }
}
