//! Alerts: what a rule says about an event.

mod making;
mod said;
mod writing;

use std::sync::Arc;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::rules::Priority;
use crate::shown::{Escaping, Page, Piece, Shown};
use crate::triage::Seen;
pub(crate) use making::Maker;
pub(crate) use said::Said;

/// A rule that matched an event.
///
/// It holds the values that its output shows, and what it has in common with others by reference; lines are made of
/// them when they are asked for.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Number of the event in the recording.
    pub event: u64,
    /// When the event happened, UTC nanoseconds.
    pub ts: u64,
    /// What was lost near it; `None` where the recording is complete there.
    pub incomplete: Option<Box<Incomplete>>,
    said: Arc<Said>,
    origin: Arc<Origin>,
    values: Arc<Values>,
    /// Where its values begin.
    first: u32,
    /// Its line, where it was made beforehand: a part of its values' lines.
    line: Option<(Shape, u32, u32)>,
    source: &'static str,
    /// Of a correlation: the id of the last match's alert.
    last: Option<Box<[u8]>>,
    seen: Option<Box<Seen>>,
    /// What correlations want of it.
    pub(crate) captured: Vec<Option<String>>,
}

/// What is missing within ten seconds of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// How many events; 0 where nobody can say, or none are.
    pub lost: u64,
    /// When the first loss may have begun, UTC nanoseconds.
    pub from_ts: u64,
    /// When the last was over.
    pub to_ts: u64,
    /// The sources that lost them, sorted; `damaged block` for one that cannot be read, `missing blocks` for a hole
    /// between two.
    pub sources: Vec<String>,
    /// What the recorder forgot of processes and descriptors, sorted.
    pub forgotten: Vec<String>,
}

/// How alerts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As Falco prints them.
    Text,
    /// As Falco prints them with `json_output`.
    Json,
}

impl Shape {
    fn escaping(self) -> Escaping {
        match self {
            Shape::Text => Escaping::VisibleText,
            Shape::Json => Escaping::VisibleJson,
        }
    }
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
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    case_id: Vec<u8>,
    hostname: String,
    /// The key of the host with its value.
    json: Piece,
}

impl Origin {
    pub(crate) fn new(case_id: &[u8], hostname: &str) -> Arc<Origin> {
        Arc::new(Origin {
            case_id: case_id.to_vec(),
            hostname: hostname.to_owned(),
            json: Piece::json(format!("\"hostname\":{}", Json::from(hostname))),
        })
    }

    /// Whether it is that recording.
    pub(crate) fn is(&self, case_id: &[u8], hostname: &str) -> bool {
        self.case_id == case_id && self.hostname == hostname
    }
}

/// Values of some alerts.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) page: Page,
    pub(crate) list: Vec<Shown>,
    /// Lines that were made beforehand.
    pub(crate) lines: String,
}

impl Alert {
    /// Name of the rule.
    pub fn rule(&self) -> &str {
        &self.said.rule
    }

    /// Priority of the rule.
    pub fn priority(&self) -> Priority {
        self.said.priority
    }

    /// Tags of the rule, sorted.
    pub fn tags(&self) -> &[String] {
        &self.said.tags
    }

    /// The ATT&CK techniques that the rule's tags name, sorted.
    pub fn techniques(&self) -> &[String] {
        &self.said.techniques
    }

    /// Source of the event.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Name of the recorded host.
    pub fn hostname(&self) -> &str {
        &self.origin.hostname
    }

    /// SHA-256 of the case's id, the event's number and time, and the rule's name, in hexadecimal: the same alert has the
    /// same id in every replay. A correlation has the id of its last match's alert in place of the case's.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.last.as_deref().unwrap_or(&self.origin.case_id));
        hash.update(self.event.to_le_bytes());
        hash.update(self.ts.to_le_bytes());
        hash.update(self.rule());
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
        let mut out = String::with_capacity(64);
        for b in hash.finalize() {
            out.push(digit(b >> 4));
            out.push(digit(b & 15));
        }
        out
    }

    /// Whether it is about several events: its event is the last of them.
    pub fn is_correlation(&self) -> bool {
        self.said.index == usize::MAX
    }

    /// Index of the rule.
    pub(crate) fn index(&self) -> usize {
        self.said.index
    }

    /// Whether it serves correlations alone.
    pub(crate) fn is_silent(&self) -> bool {
        self.said.silent
    }

    /// What triage asked of its event.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.seen.as_deref()
    }

    /// The same with other answers.
    pub(crate) fn with_seen(&self, seen: Seen) -> Alert {
        Alert {
            seen: Some(Box::new(seen)),
            ..self.clone()
        }
    }

    /// The value of a slot.
    fn value(&self, values: &Values, slot: usize) -> Shown {
        let at = (self.first as usize).checked_add(slot);
        let found = at.and_then(|at| values.list.get(at));
        found.copied().unwrap_or(Shown::ABSENT)
    }
}
