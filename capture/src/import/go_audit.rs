//! go-audit's JSON: one object for each audit event, with the records' own text and the names of the users in them
//! (`AuditMessageGroup` in `parser.go` of github.com/slackhq/go-audit).

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use ctrace_trace::audit::ENRICHED;
use ctrace_trace::container::Container;
use serde::Deserialize;

use super::documents::Whole;
use super::json_records::{World, pod_labels};
use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, audit_log, documents};
use crate::audit::{Grouper, Record, RecordType, fields};
use crate::json::Json;

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

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: u16,
    /// What follows the stamp.
    #[serde(borrow)]
    data: Cow<'a, str>,
    /// The container of the process, where go-audit was told to ask for it.
    #[serde(default, borrow)]
    containers: BTreeMap<Text<'a>, Text<'a>>,
}

/// How an event begins.
const GROUP: &[u8] = b"{\"sequence\":";

/// Behind a prefix, where the log was written through syslog.
fn read(line: &[u8]) -> Result<Group<'_>, String> {
    let json = match line.starts_with(GROUP) {
        true => Some(line),
        false => memchr::memmem::find(line, GROUP).and_then(|at| line.get(at..)),
    };
    let json = json.unwrap_or(line);
    // Of what is not as it should be serde says what is wrong.
    match Json::parse_usual(json).and_then(Group::of) {
        Some(group) => Ok(group),
        None => serde_json::from_slice(json).map_err(|e| e.to_string()),
    }
}

impl<'a> Group<'a> {
    fn of(json: Json<'a>) -> Option<Group<'a>> {
        let (mut sequence, mut timestamp, mut messages) = (None, None, None);
        let mut uid_map = BTreeMap::new();
        for (name, value) in members(json)? {
            match (&*name, value) {
                ("sequence", value) => sequence = Some(value.as_u64()?),
                ("timestamp", Json::String(text)) => timestamp = Some(text),
                ("messages", Json::Array(list)) => {
                    messages = Some(list.into_iter().map(Message::of).collect::<Option<_>>()?);
                }
                ("uid_map", users) => uid_map = texts(users)?,
                ("timestamp" | "messages", _) => return None,
                _ => {}
            }
        }
        Some(Group {
            sequence: sequence?,
            timestamp: timestamp?,
            messages: messages?,
            uid_map,
        })
    }
}

impl<'a> Message<'a> {
    fn of(json: Json<'a>) -> Option<Message<'a>> {
        let (mut kind, mut data) = (None, None);
        let mut containers = BTreeMap::new();
        for (name, value) in members(json)? {
            match (&*name, value) {
                ("type", value) => kind = Some(u16::try_from(value.as_u64()?).ok()?),
                ("data", Json::String(text)) => data = Some(text),
                ("data", _) => return None,
                ("containers", told) => containers = texts(told)?,
                _ => {}
            }
        }
        Some(Message {
            kind: kind?,
            data: data?,
            containers,
        })
    }
}

/// An object whose members are texts.
fn texts(json: Json<'_>) -> Option<BTreeMap<Text<'_>, Text<'_>>> {
    let texts = members(json)?.into_iter().map(|(name, value)| match value {
        Json::String(value) => Some((Text(name), Text(value))),
        _ => None,
    });
    texts.collect()
}

fn members<'a>(json: Json<'a>) -> Option<Vec<(Cow<'a, str>, Json<'a>)>> {
    match json {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

impl Group<'_> {
    /// The time of its records, where they are such.
    fn stamp(&self) -> Option<u64> {
        let mut line = String::new();
        self.write_line(self.messages.first()?, &mut line);
        Some(Record::parse_line(line.as_bytes()).ok()?.stamp.ts_ns)
    }

    /// The container that one of its records tells of.
    fn container(&self) -> Option<Container> {
        let told = self.messages.iter().map(|m| &m.containers).find(|c| !c.is_empty())?;
        let part = |name: &str| told.get(name).map_or("", |text| &text.0);
        Some(Container {
            id: part("id").to_owned(),
            name: part("name").to_owned(),
            image: part("image").to_owned(),
            labels: pod_labels([part("pod_name"), part("pod_namespace"), part("pod_uid")]),
            ..Container::default()
        })
    }

    /// A record as auditd writes it, with the names of users behind it.
    fn write_line(&self, message: &Message<'_>, line: &mut String) {
        line.clear();
        line.push_str("type=");
        match RecordType(message.kind).name() {
            Some(name) => line.push_str(name),
            None => line.push_str(&RecordType(message.kind).to_string()),
        }
        line.push_str(" msg=audit(");
        line.push_str(&self.timestamp);
        line.push(':');
        line.push_str(&self.sequence.to_string());
        line.push_str("): ");
        // A line of a log cannot hold the end of one.
        for piece in message.data.trim().split_inclusive(|c: char| c < ' ') {
            let plain = piece.strip_suffix(|c: char| c < ' ');
            line.push_str(plain.unwrap_or(piece));
            line.push_str(plain.map_or("", |_| " "));
        }
        let mut separator = char::from(ENRICHED);
        for field in fields(message.data.as_bytes()).filter(|f| f.name.ends_with(b"uid")) {
            let Some((field, user)) = std::str::from_utf8(field.name).ok().zip(self.user(field.value.text())) else {
                continue;
            };
            line.push(separator);
            line.extend(field.chars().map(|c| c.to_ascii_uppercase()));
            line.push_str("=\"");
            line.push_str(user);
            line.push('"');
            separator = ' ';
        }
    }

    /// The name of a user that can stand in quotes.
    fn user(&self, id: &[u8]) -> Option<&str> {
        let name = &*self.uid_map.get(std::str::from_utf8(id).ok()?)?.0;
        Some(name).filter(|n| *n != "UNKNOWN_USER" && !n.contains(['"', '\n']))
    }
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    world: World,
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
        match read(line.text) {
            Ok(group) => self.group(&group, line, sink)?,
            Err(_) if is_whole == Whole::Unknown => return Ok(false),
            Err(reason) => sink.bad(line.origin, 0, &reason, line.text)?,
        }
        Ok(true)
    }

    fn group(&mut self, group: &Group<'_>, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        let mut text = String::new();
        for message in &group.messages {
            group.write_line(message, &mut text);
            match Record::parse_line(text.as_bytes()) {
                Ok(record) => grouper.push(&record, text.as_bytes(), 0, &mut done),
                Err(error) => return sink.bad(line.origin, 0, &error.to_string(), line.text),
            }
        }
        grouper.finish(&mut done);
        if done.is_empty() {
            return sink.bad(line.origin, 0, "an event without records", line.text);
        }
        for event in done {
            let seen = audit_log::seen(&event);
            let image = seen.and_then(|seen| self.world.image(Some(seen), group.container()));
            event.with_event(image.as_ref(), |e| sink.event(line.origin, e))?;
        }
        Ok(())
    }
}
