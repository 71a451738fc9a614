//! go-audit's JSON: one object for each audit event, with the records' own text and the names of the users in them
//! (`AuditMessageGroup` in `parser.go` of github.com/slackhq/go-audit).

use std::borrow::Cow;
use std::collections::BTreeMap;

use ctrace_trace::audit::ENRICHED;
use serde::Deserialize;

use super::lines::{self, Line};
use super::processes::Processes;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, audit_log, documents};
use crate::audit::{Grouper, Record, RecordType, fields};

/// The importer of go-audit's logs.
pub(super) struct GoAudit;

impl Importer for GoAudit {
    fn name(&self) -> &'static str {
        "go-audit"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next().map(read) {
            Some(Ok(group)) if group.stamp().is_some() => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        read(lines::first(start).next()?).ok()?.stamp()
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

/// The records of an event.
#[derive(Deserialize)]
struct Group<'a> {
    sequence: u64,
    /// Seconds and milliseconds, as in the records.
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(default)]
    uid_map: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: u16,
    /// What follows the stamp.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Behind a prefix, where the log was written through syslog.
fn read(line: &[u8]) -> Result<Group<'_>, String> {
    let json = memchr::memmem::find(line, b"{\"sequence\":").and_then(|at| line.get(at..));
    serde_json::from_slice(json.unwrap_or(line)).map_err(|e| e.to_string())
}

impl Group<'_> {
    /// The time of its records, where they are such.
    fn stamp(&self) -> Option<u64> {
        let line = self.line(self.messages.first()?);
        Some(Record::parse_line(&line).ok()?.stamp.ts_ns)
    }

    /// A record as auditd writes it, with the names of users behind it.
    fn line(&self, message: &Message<'_>) -> Vec<u8> {
        let (kind, stamp) = (RecordType(message.kind), &self.timestamp);
        let mut line = format!("type={kind} msg=audit({stamp}:{}): ", self.sequence).into_bytes();
        // A line of a log cannot hold the end of one.
        line.extend(message.data.trim().bytes().map(|b| if b < b' ' { b' ' } else { b }));
        let mut separator = ENRICHED;
        for field in fields(message.data.as_bytes()).filter(|f| f.name.ends_with(b"uid")) {
            let id = std::str::from_utf8(field.value.text()).unwrap_or_default();
            let Some(name) = self
                .uid_map
                .get(id)
                .filter(|n| *n != "UNKNOWN_USER" && !n.contains(['"', '\n']))
            else {
                continue;
            };
            line.push(separator);
            line.extend(field.name.to_ascii_uppercase());
            line.extend_from_slice(format!("=\"{name}\"").as_bytes());
            separator = b' ';
        }
        line
    }
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    processes: Processes,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Log {
    fn line(&mut self, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let group = match read(line.text) {
            Ok(group) => group,
            Err(reason) => return sink.bad(line.origin, 0, &reason, line.text),
        };
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        for message in &group.messages {
            let text = group.line(message);
            match Record::parse_line(&text) {
                Ok(record) => grouper.push(&record, &text, 0, &mut done),
                Err(error) => return sink.bad(line.origin, 0, &error.to_string(), line.text),
            }
        }
        grouper.finish(&mut done);
        if done.is_empty() {
            return sink.bad(line.origin, 0, "an event without records", line.text);
        }
        for event in done {
            let image = audit_log::seen(&event).map(|seen| self.processes.see(&seen));
            event.with_event(image.as_ref(), |e| sink.event(line.origin, e))?;
        }
        Ok(())
    }
}
