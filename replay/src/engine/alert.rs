//! Alerts: what a rule says about an event, and how it is printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::{self, FieldArg, Value};
use ctrace_trace::escape;
use ctrace_trace::event::Source;
use ctrace_trace::segment::{CaseId, Hex, SegmentHeader};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};

use crate::rules::{Priority, Rule};

/// A rule's finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// SHA-256 over case, event and rule, in hexadecimal: the same in every replay on any machine.
    pub id: String,
    /// Number of the event in the recording.
    pub seq: u64,
    /// When it happened, UTC nanoseconds.
    pub ts: u64,
    /// The rule's name.
    pub rule: Arc<str>,
    /// Its priority.
    pub priority: Priority,
    /// Where the event came from.
    pub source: Source,
    /// The rule's tags, sorted.
    pub tags: Arc<[String]>,
    /// The host that was recorded.
    pub hostname: Arc<str>,
    /// The rule's output filled in, without time and priority.
    pub message: String,
    /// The fields of the output by name, typed; `null` where absent. `evt.time` is always there.
    pub output_fields: BTreeMap<String, serde_json::Value>,
    /// `ts` as ISO 8601.
    time: String,
}

/// What the alerts of a rule have in common.
#[derive(Debug)]
pub(super) struct RuleText {
    name: Arc<str>,
    tags: Arc<[String]>,
}

impl RuleText {
    pub(super) fn new(rule: &Rule) -> RuleText {
        RuleText { name: rule.name.as_str().into(), tags: rule.tags.as_slice().into() }
    }
}

impl Alert {
    /// The alert of a rule about an event, of which the columns of the rule's output and the time are there.
    pub(super) fn new(rule: &Rule, text: &RuleText, event: EventView<'_>, header: &SegmentHeader) -> Alert {
        let mut output_fields = BTreeMap::new();
        rule.output.fields(&mut |field| {
            let value = match field.parts.as_slice() {
                [(part, _)] if is_time_of_day(part.name) => json!(event.ts()),
                _ => to_json(&field.shown(crate::typed::eval::Subject::Event(event))),
            };
            output_fields.insert(field.text.clone(), value);
        });
        output_fields.insert("evt.time".to_owned(), json!(event.ts()));
        Alert {
            id: id(header.about.case_id, event, &rule.name),
            seq: event.seq(),
            ts: event.ts(),
            rule: text.name.clone(),
            priority: rule.priority,
            source: event.spec().map_or(Source::Syscall, |s| s.source),
            tags: text.tags.clone(),
            hostname: header.about.host.name.as_str().into(),
            message: rule.output.plain(event),
            output_fields,
            time: time_of(event),
        }
    }

    /// One line as Falco prints it: `HH:MM:SS.nnnnnnnnn: Priority message`, UTC, safe for terminals.
    pub fn text(&self) -> String {
        escape::text(&self.output())
    }

    /// One line of JSON with the keys of Falco's, in its order (sorted).
    pub fn json(&self) -> String {
        let fields: Map<_, _> = self.output_fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        json!({
            "hostname": &*self.hostname,
            "output": self.output(),
            "output_fields": fields,
            "priority": self.priority.name(),
            "rule": &*self.rule,
            "source": self.source.name(),
            "tags": &*self.tags,
            "time": self.time,
        })
        .to_string()
    }

    fn output(&self) -> String {
        let clock = self.time.split_once('T').map_or("", |(_, clock)| clock.trim_end_matches('Z'));
        format!("{clock}: {} {}", self.priority, self.message)
    }
}

/// Fields that Falco shows as text in output lines and as nanoseconds in JSON.
fn is_time_of_day(name: &str) -> bool {
    matches!(name, "evt.time" | "evt.time.s" | "evt.time.iso8601" | "evt.datetime" | "evt.datetime.s")
}

fn time_of(event: EventView<'_>) -> String {
    catalogue::find("evt.time.iso8601").map_or_else(String::new, |f| f.of(event, &FieldArg::None).to_string())
}

fn to_json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Absent => serde_json::Value::Null,
        Value::Bool(b) => json!(b),
        Value::Int(v) => json!(v),
        Value::Uint(v) => json!(v),
        Value::Str(s) => json!(escape::lossless(s)),
        Value::Ip(ip) => json!(ip.to_string()),
        Value::List(items) => items.iter().map(|i| json!(escape::lossless(i))).collect(),
    }
}

/// What tells this alert from every other, in a form that cannot be read two ways.
fn id(case: CaseId, event: EventView<'_>, rule: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(case.0);
    hash.update(event.seq().to_le_bytes());
    hash.update(event.ts().to_le_bytes());
    hash.update(event.kind().map_or(0, |k| k.0).to_le_bytes());
    hash.update(rule);
    let mut out = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", Hex(&hash.finalize()));
    out
}
