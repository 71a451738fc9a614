//! go-audit's JSON: one object for each audit event, with the records' own text and the names of the users in them
//! (`AuditMessageGroup` in `parser.go` of github.com/slackhq/go-audit).

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;
use std::sync::LazyLock;

use ctrace_trace::audit::ENRICHED;
use memchr::memmem::Finder;
use serde::Deserialize;

use super::documents::Whole;
use super::lines::{self, Line};
use super::processes::Processes;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, audit_log, documents};
use crate::audit::{BoxedEvent, Grouper, Record, RecordType, Stamp, fields};
use crate::json::{Document, Json};

/// The importer of go-audit's logs.
pub(super) struct GoAudit;

impl Importer for GoAudit {
    fn name(&self) -> &'static str {
        "go-audit"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next().and_then(stamp) {
            Some(_) => Confidence::Likely,
            None => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        stamp(lines::first(input.start()).next()?)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

/// The records of an event.
struct Group<'a> {
    sequence: u64,
    /// Seconds and milliseconds, as in the records.
    timestamp: Cow<'a, str>,
    messages: Vec<Message<'a>>,
    users: Users<'a>,
}

/// A record.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: u16,
    /// What follows the stamp.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Names of users by their numbers.
enum Users<'a> {
    Usual(Option<Json<'a>>),
    Other(BTreeMap<Text<'a>, Text<'a>>),
}

impl Users<'_> {
    fn get(&self, id: &str) -> Option<&str> {
        match self {
            Users::Usual(users) => (*users)?.get(id)?.as_str(),
            Users::Other(users) => Some(&users.get(id)?.0),
        }
    }
}

/// A group in any form: what is read of it, and what is wrong with it, is what serde says.
#[derive(Deserialize)]
struct AnyGroup<'a> {
    sequence: u64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
    #[serde(default, borrow)]
    uid_map: BTreeMap<Text<'a>, Text<'a>>,
}

/// Borrowed where it can be, which serde does not do within a map.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// How an event begins.
const GROUP: &[u8] = b"{\"sequence\":";

/// The JSON of a line. It stands behind a prefix where the log was written through syslog.
fn within(line: &[u8]) -> &[u8] {
    let json = match line.starts_with(GROUP) {
        true => Some(line),
        false => memchr::memmem::find(line, GROUP).and_then(|at| line.get(at..)),
    };
    json.unwrap_or(line)
}

/// Reads JSON, and hands on what it says.
fn with_group<R>(json: &[u8], document: &mut Document, take: impl FnOnce(Result<&Group<'_>, String>) -> R) -> R {
    let read = document.parse_usual(json);
    if let Some(group) = read.as_ref().and_then(|read| Group::of(read.root())) {
        return take(Ok(&group));
    }
    match serde_json::from_slice::<AnyGroup<'_>>(json) {
        Ok(any) => take(Ok(&Group {
            sequence: any.sequence,
            timestamp: any.timestamp,
            messages: any.messages,
            users: Users::Other(any.uid_map),
        })),
        Err(error) => take(Err(error.to_string())),
    }
}

/// The time of the records of a line, where they are such.
fn stamp(line: &[u8]) -> Option<u64> {
    with_group(within(line), &mut Document::default(), |group| group.ok()?.stamp())
}

/// Most events have no more records.
const USUAL_MESSAGES: usize = 8;

impl<'a> Group<'a> {
    fn of(json: Json<'a>) -> Option<Group<'a>> {
        let users = json.get("uid_map");
        if let Some(users) = users {
            users.as_object()?.all(|(_, name)| name.is_string()).then_some(())?;
        }
        let mut messages = Vec::with_capacity(USUAL_MESSAGES);
        for message in json.get("messages")?.as_array()? {
            messages.push(Message {
                kind: u16::try_from(message.get("type")?.as_u64()?).ok()?,
                data: message.get("data")?.as_str()?.into(),
            });
        }
        Some(Group {
            sequence: json.get("sequence")?.as_u64()?,
            timestamp: json.get("timestamp")?.as_str()?.into(),
            messages,
            users: Users::Usual(users),
        })
    }
}

impl Group<'_> {
    /// The time of its records, where they are such.
    fn stamp(&self) -> Option<u64> {
        let (mut stamp, mut line) = (Vec::new(), Vec::new());
        self.write_stamp(&mut stamp);
        self.write_line(self.messages.first()?, &stamp, &mut line);
        Some(Record::parse_line(&line).ok()?.stamp.ts_ns)
    }

    /// The stamp, as records have it.
    fn write_stamp(&self, stamp: &mut Vec<u8>) {
        stamp.clear();
        stamp.extend_from_slice(b" msg=audit(");
        stamp.extend_from_slice(self.timestamp.as_bytes());
        stamp.push(b':');
        stamp.extend_from_slice(self.sequence.to_string().as_bytes());
        stamp.extend_from_slice(b"): ");
    }

    /// A record as auditd writes it, with the names of users behind it.
    fn write_line(&self, message: &Message<'_>, stamp: &[u8], line: &mut Vec<u8>) {
        line.clear();
        line.extend_from_slice(b"type=");
        match RecordType(message.kind).name() {
            Some(name) => line.extend_from_slice(name.as_bytes()),
            None => line.extend_from_slice(RecordType(message.kind).to_string().as_bytes()),
        }
        line.extend_from_slice(stamp);
        let data = message.data.trim().as_bytes();
        // A line of a log cannot hold the end of one.
        match data.iter().fold(u8::MAX, |least, byte| least.min(*byte)) {
            b' '.. => line.extend_from_slice(data),
            _ => line.extend(data.iter().map(|byte| *byte.max(&b' '))),
        }
        self.write_users(message.data.as_bytes(), line);
    }

    fn write_users(&self, data: &[u8], line: &mut Vec<u8>) {
        static USER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("uid="));
        // Most records have no user, and none has one in every field.
        let Some(last) = USER.find_iter(data).last() else {
            return;
        };
        let mut separator = ENRICHED;
        // Most users of a record are the same.
        let mut known: Option<(&[u8], Option<&str>)> = None;
        for field in fields(data).take_while(|f| f.start <= last + "uid=".len()) {
            if !field.name.ends_with(b"uid") {
                continue;
            }
            let id = field.value.text();
            let (_, user) = *known
                .filter(|(same, _)| *same == id)
                .get_or_insert_with(|| (id, self.user(id)));
            known = Some((id, user));
            let Some(user) = user else { continue };
            line.push(separator);
            let start = line.len();
            line.extend_from_slice(field.name);
            line.get_mut(start..).unwrap_or_default().make_ascii_uppercase();
            line.extend_from_slice(b"=\"");
            line.extend_from_slice(user.as_bytes());
            line.push(b'"');
            separator = b' ';
        }
    }

    /// The name of a user that can stand in quotes.
    fn user(&self, id: &[u8]) -> Option<&str> {
        let name = self.users.get(std::str::from_utf8(id).ok()?)?;
        Some(name).filter(|n| *n != "UNKNOWN_USER" && !n.contains(['"', '\n']))
    }
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    document: Document,
    records: Records,
}

/// The reading of the records.
#[derive(Default)]
struct Records {
    grouper: Grouper,
    done: Vec<BoxedEvent>,
    /// Memory for what is written of a record.
    stamp: Vec<u8>,
    line: Vec<u8>,
    processes: Processes,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::each(input, sink, |line, is_whole, sink| self.line(line, is_whole, sink))
    }
}

impl Log {
    fn line(&mut self, line: Line<'_>, is_whole: Whole, sink: &mut Sink<'_>) -> Result<bool, ImportError> {
        // Behind a prefix more may be open than what is read here.
        if is_whole == Whole::Unknown && !line.text.starts_with(GROUP) {
            return Ok(false);
        }
        let Log { document, records } = self;
        with_group(within(line.text), document, |group| {
            match group {
                Ok(group) => records.group(group, line, sink)?,
                Err(_) if is_whole == Whole::Unknown => return Ok(false),
                Err(reason) => sink.bad(line.origin, 0, &reason, line.text)?,
            }
            Ok(true)
        })
    }
}

impl Records {
    fn group(&mut self, group: &Group<'_>, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        self.done.clear();
        group.write_stamp(&mut self.stamp);
        let mut stamp = None;
        for message in &group.messages {
            group.write_line(message, &self.stamp, &mut self.line);
            let kind = RecordType(message.kind);
            // One stamp for all: it is good, or the first record has said that it is not.
            let again = stamp.and_then(|stamp| Record::parse_again(&self.line, stamp, kind));
            let record = match again.map_or_else(|| Record::parse_line(&self.line), Ok) {
                Ok(record) => record,
                Err(error) => {
                    self.grouper.finish(&mut self.done);
                    return sink.bad(line.origin, 0, &error.to_string(), line.text);
                }
            };
            stamp = Some(Stamp {
                node: &[],
                ..record.stamp
            });
            self.grouper.push(&record, &self.line, 0, &mut self.done);
        }
        self.grouper.finish(&mut self.done);
        if self.done.is_empty() {
            return sink.bad(line.origin, 0, "an event without records", line.text);
        }
        for event in self.done.drain(..) {
            let image = audit_log::seen(&event).map(|seen| self.processes.see(&seen));
            event.with_event(image.as_ref(), |e| sink.event(line.origin, e))?;
            self.grouper.reuse(event);
        }
        Ok(())
    }
}
