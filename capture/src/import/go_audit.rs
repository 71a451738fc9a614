//! go-audit's JSON: one object for each audit event, with the records' own text and the names of the users in them
//! (`AuditMessageGroup` in `parser.go` of github.com/slackhq/go-audit).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;

use serde::Deserialize;

use super::documents::Whole;
use super::lines::{self, Line};
use super::world::{SeenContainer, World, pod_labels};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, audit_log, documents};
use crate::audit::{AuditEvent, RecordError, RecordType, Stamp};
use crate::json::{Reader, Text};

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

/// The time of the records of a line, where they are such.
fn stamp(line: &[u8]) -> Option<u64> {
    let (mut memory, mut stamp) = (Memory::default(), Vec::new());
    let group = memory.read(within(line)).ok()?;
    group.memory.messages.first()?;
    group.write_stamp(&mut stamp).map(|stamp| stamp.ts_ns)
}

/// What was read of an event, for one after the other. Texts are those of its JSON where they have no escapes.
#[derive(Default)]
struct Memory {
    messages: Vec<Message>,
    /// The members of objects whose values are texts.
    members: Vec<[Text; 2]>,
    /// The texts that have escapes.
    apart: String,
}

/// A record.
struct Message {
    kind: RecordType,
    /// What follows the stamp.
    data: Text,
    /// The container of the process, where go-audit was told to ask for it: which members.
    containers: Range<usize>,
}

/// What all records of an event share.
struct Head {
    sequence: u64,
    /// Seconds and milliseconds, as in the records.
    timestamp: Text,
    /// Names of users by their numbers: which members.
    users: Range<usize>,
}

/// The records of an event.
struct Group<'a> {
    head: Head,
    memory: &'a Memory,
    json: &'a str,
}

/// An event in any form: what is read of it, and what is wrong with it, is what serde says.
#[derive(Deserialize)]
struct AnyGroup<'a> {
    sequence: u64,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<AnyMessage<'a>>,
    #[serde(default)]
    uid_map: BTreeMap<String, String>,
}

/// What is wrong with it is said of its ordinary name.
#[derive(Deserialize)]
#[serde(rename = "Message")]
struct AnyMessage<'a> {
    #[serde(rename = "type")]
    kind: u16,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default)]
    containers: BTreeMap<String, String>,
}

/// More members than these are looked through in their order, which only [`AnyGroup`] has.
const FEW: usize = 64;
/// More memory than this is not kept for the next event.
const KEPT: usize = 1 << 16;

impl Memory {
    fn clear(&mut self) {
        self.messages.clear();
        self.members.clear();
        self.apart.clear();
        self.messages.shrink_to(KEPT);
        self.members.shrink_to(KEPT);
        self.apart.shrink_to(KEPT);
    }

    /// Reads an event.
    fn read<'a>(&'a mut self, json: &'a [u8]) -> Result<Group<'a>, String> {
        if let Some((head, json)) = self.usual(json) {
            let memory = &*self;
            return Ok(Group { head, memory, json });
        }
        let any = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let head = self.any(&any).ok_or("an event that is too long")?;
        let (memory, json) = (&*self, "");
        Ok(Group { head, memory, json })
    }

    /// Reads one that has nothing rare in it. `None` says nothing of whether it is one.
    fn usual<'a>(&mut self, json: &'a [u8]) -> Option<(Head, &'a str)> {
        self.clear();
        let mut reader = Reader::new(json)?;
        let (mut sequence, mut timestamp, mut users, mut is_told) = (None, None, None, false);
        reader.members(|name, reader| {
            match name {
                "sequence" if sequence.is_none() => sequence = Some(reader.digits()?),
                "timestamp" if timestamp.is_none() => timestamp = Some(reader.text(&mut self.apart)?),
                "messages" if !is_told => {
                    is_told = true;
                    reader.elements(|reader| self.message(reader))?;
                }
                "uid_map" if users.is_none() => users = Some(self.texts(reader)?),
                // Twice, which is wrong.
                "sequence" | "timestamp" | "messages" | "uid_map" => return None,
                _ => reader.skip()?,
            }
            Some(())
        })?;
        reader.end().filter(|()| is_told)?;
        let head = Head {
            sequence: sequence?,
            timestamp: timestamp?,
            users: users.unwrap_or_default(),
        };
        Some((head, reader.document()))
    }

    fn message(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (mut kind, mut data, mut containers) = (None, None, None);
        reader.members(|name, reader| {
            match name {
                "type" if kind.is_none() => kind = Some(u16::try_from(reader.digits()?).ok()?),
                "data" if data.is_none() => data = Some(reader.text(&mut self.apart)?),
                "containers" if containers.is_none() => containers = Some(self.texts(reader)?),
                "type" | "data" | "containers" => return None,
                _ => reader.skip()?,
            }
            Some(())
        })?;
        self.messages.push(Message {
            kind: RecordType(kind?),
            data: data?,
            containers: containers.unwrap_or_default(),
        });
        Some(())
    }

    /// Reads an object of a few texts.
    fn texts(&mut self, reader: &mut Reader<'_>) -> Option<Range<usize>> {
        let start = self.members.len();
        reader.text_members(&mut self.apart, &mut self.members)?;
        Some(start..self.members.len()).filter(|texts| texts.len() <= FEW)
    }

    /// Takes over what was read elsewhere.
    fn any(&mut self, any: &AnyGroup<'_>) -> Option<Head> {
        self.clear();
        for message in &any.messages {
            let (kind, containers) = (RecordType(message.kind), self.any_texts(&message.containers)?);
            let data = Text::append(&message.data, &mut self.apart)?;
            self.messages.push(Message { kind, data, containers });
        }
        Some(Head {
            sequence: any.sequence,
            timestamp: Text::append(&any.timestamp, &mut self.apart)?,
            users: self.any_texts(&any.uid_map)?,
        })
    }

    fn any_texts(&mut self, texts: &BTreeMap<String, String>) -> Option<Range<usize>> {
        let start = self.members.len();
        for (name, text) in texts {
            let name = Text::append(name, &mut self.apart)?;
            self.members.push([name, Text::append(text, &mut self.apart)?]);
        }
        Some(start..self.members.len())
    }
}

impl<'a> Group<'a> {
    fn text(&self, text: Text) -> &'a str {
        text.of(self.json, &self.memory.apart)
    }

    /// The text of a member.
    fn member(&self, of: &Range<usize>, name: &[u8]) -> Option<&'a str> {
        let all = self.memory.members.get(of.clone())?;
        let [_, text] = match all.len() {
            // Of those with one name the last one counts.
            ..=FEW => all.iter().rfind(|[known, _]| self.text(*known).as_bytes() == name)?,
            _ => all.get(
                all.binary_search_by_key(&name, |[known, _]| self.text(*known).as_bytes())
                    .ok()?,
            )?,
        };
        Some(self.text(*text))
    }

    /// Writes what stands between the type and the text of its records; `None` where that is no stamp.
    fn write_stamp(&self, stamp: &mut Vec<u8>) -> Option<Stamp<'static>> {
        const BEFORE: &[u8] = b" msg=audit(";
        stamp.clear();
        stamp.extend_from_slice(BEFORE);
        stamp.extend_from_slice(self.text(self.head.timestamp).as_bytes());
        // Memory takes whatever is written.
        let _ = write!(stamp, ":{}): ", self.head.sequence);
        let (read, rest) = Stamp::parse(stamp.get(BEFORE.len()..)?)?;
        (rest == b"): ").then_some(Stamp { node: &[], ..read })
    }

    /// The container that one of its records tells of.
    fn container(&self) -> Option<SeenContainer<'a>> {
        let told = self
            .memory
            .messages
            .iter()
            .map(|m| &m.containers)
            .find(|c| !c.is_empty())?;
        let part = |name: &str| self.member(told, name.as_bytes()).unwrap_or_default();
        Some(SeenContainer {
            id: part("id"),
            name: part("name"),
            image: part("image").into(),
            labels: pod_labels([part("pod_name"), part("pod_namespace"), part("pod_uid")]),
            ..SeenContainer::default()
        })
    }

    /// The name of a user that can stand in quotes.
    fn user(&self, id: &[u8]) -> Option<&'a str> {
        let name = self.member(&self.head.users, id)?;
        Some(name).filter(|n| *n != "UNKNOWN_USER" && !n.contains(['"', '\n']))
    }
}

/// The text of a record, which cannot hold the end of a line.
fn one_line<'t>(data: &'t str, memory: &'t mut Vec<u8>) -> &'t [u8] {
    let data = data.trim().as_bytes();
    if let b' '.. = data.iter().fold(u8::MAX, |least, byte| least.min(*byte)) {
        return data;
    }
    memory.clear();
    memory.extend(data.iter().map(|byte| *byte.max(&b' ')));
    memory
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    memory: Memory,
    records: Records,
}

/// The reading of the records.
#[derive(Default)]
struct Records {
    /// One event after the other.
    event: AuditEvent,
    /// Memory for what is written of a record.
    stamp: Vec<u8>,
    line: Vec<u8>,
    world: World,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::each(input, sink, |line, is_whole, sink| self.line(line, is_whole, sink))
    }
}

impl Log {
    fn line(&mut self, line: &Line<'_>, is_whole: Whole, sink: &mut Sink<'_>) -> Result<bool, ImportError> {
        // Behind a prefix more may be open than what is read here.
        if is_whole == Whole::Unknown && !line.text.starts_with(GROUP) {
            return Ok(false);
        }
        match self.memory.read(within(line.text)) {
            Ok(group) => self.records.group(&group, line, sink)?,
            Err(_) if is_whole == Whole::Unknown => return Ok(false),
            Err(reason) => sink.bad(line.origin, 0, &reason, line.text)?,
        }
        Ok(true)
    }
}

impl Records {
    /// Makes events of the records that stand together: one, where none of them ends it.
    fn group(&mut self, group: &Group<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let stamp = group.write_stamp(&mut self.stamp);
        let (mut is_any, mut is_open) = (false, false);
        for message in &group.memory.messages {
            let Some(stamp) = &stamp else {
                return sink.bad(line.origin, 0, &RecordError::NoStamp.to_string(), line.text);
            };
            let is_end = message.kind == RecordType::EOE;
            if !is_end {
                if !is_open {
                    self.event.begin(stamp, line.origin);
                }
                let text = one_line(group.text(message.data), &mut self.line);
                self.event
                    .add_text(message.kind, [&self.stamp, text], |id| group.user(id));
                (is_any, is_open) = (true, true);
            }
            if is_open && (is_end || message.kind.is_single()) {
                is_open = false;
                self.end(group, line, sink)?;
            }
        }
        if is_open {
            self.end(group, line, sink)?;
        }
        if !is_any {
            return sink.bad(line.origin, 0, "an event without records", line.text);
        }
        Ok(())
    }

    fn end(&mut self, group: &Group<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let seen = audit_log::seen(&self.event);
        let image = seen.and_then(|seen| self.world.image(Some(seen), group.container()));
        self.event.with_event(image, |e| sink.event(line.origin, e))
    }
}
