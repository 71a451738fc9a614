//! Auditbeat's JSON, in names of the Elastic Common Schema: what its outputs write to files, and what is exported from
//! Elasticsearch. Events of the audit subsystem become such; those of its other modules are kept as records.

use std::borrow::Cow;

use ctrace_trace::event::{Arg, Event, EventType};

use super::json_records::{JsonFormat, Records, Told, command_line};
use super::lines::Line;
use super::members::{bytes, id, number, text};
use super::processes::Seen;
use super::world::SeenContainer;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, audit_log, documents};
use crate::audit::{Grouper, Record};
use crate::docker::parse_rfc3339;
use crate::json::Json;

/// The importer of Auditbeat's events.
pub(super) struct Auditbeat;

static FORMAT: JsonFormat = JsonFormat {
    name: "auditbeat",
    is_it,
    tell,
};

impl Importer for Auditbeat {
    fn name(&self) -> &'static str {
        FORMAT.name
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        FORMAT.sniff(start)
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        FORMAT.first_ts(input)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log {
            records: Records::new(FORMAT),
        })
    }
}

/// The event of a document: of a search's hit, what was found.
fn source<'v>(document: Json<'v>) -> Json<'v> {
    document.get("_source").filter(|s| s.is_object()).unwrap_or(document)
}

/// Modules of Auditbeat, and what they are called as integrations of Elastic's agent.
const MODULES: [&str; 5] = ["auditd", "auditd_manager", "file_integrity", "fim", "system"];

fn is_it(document: Json<'_>) -> bool {
    let record = source(document);
    let module = text(record, &["event", "module"]);
    // Other shippers have modules of the same names.
    let shipper = [&["agent", "type"][..], &["@metadata", "beat"], &["agent", "name"]];
    let shipper = shipper
        .iter()
        .map(|path| text(record, path))
        .find(|name| !name.is_empty());
    let is_own = match shipper {
        Some("auditbeat") => true,
        Some(other) if other.ends_with("beat") => false,
        _ => record.get("auditd").is_some() || module == "file_integrity",
    };
    is_own && MODULES.contains(&module) && record.get("@timestamp").is_some()
}

fn tell<'v>(document: Json<'v>) -> Result<Told<'v>, &'static str> {
    let record = source(document);
    let messages = [&["message"][..], &["event", "summary"], &["file", "path"]];
    let message = messages.iter().map(|path| text(record, path)).find(|m| !m.is_empty());
    Ok(Told {
        ts: parse_rfc3339(text(record, &["@timestamp"])).ok_or("an event without a time")?,
        kind: texts(record, &["event", "action"]).into(),
        message: message.unwrap_or_default().as_bytes().into(),
        seen: seen(record),
        container: container(record),
        ..Told::default()
    })
}

/// One text, or a list of them put together.
fn texts(record: Json<'_>, path: &[&str]) -> String {
    let at = path.iter().try_fold(record, |at, key| at.get(key));
    let list = at.and_then(Json::as_array).into_iter().flatten();
    let list: Vec<&str> = list.filter_map(Json::as_str).collect();
    let one = at.and_then(Json::as_str);
    one.map_or_else(|| list.join(","), str::to_owned)
}

/// The first of some paths that leads to a number of 32 bits; versions before 7 had names of their own.
fn either(record: Json<'_>, now: &[&str], before: &[&str]) -> Option<u32> {
    id(record, now).or_else(|| id(record, before))
}

fn either_text<'v>(record: Json<'v>, now: &[&str], before: &[&str]) -> Option<Cow<'v, [u8]>> {
    bytes(record, now).or_else(|| bytes(record, before))
}

fn seen<'v>(record: Json<'v>) -> Option<Seen<'v>> {
    let argv = record.pointer("/process/args").and_then(Json::as_array);
    let argv = argv.map(|list| list.filter_map(Json::as_str).collect::<Vec<_>>().join("\0"));
    let exe_path = either_text(record, &["process", "executable"], &["process", "exe"]);
    // The record of the title has the arguments as one text.
    let title = || bytes(record, &["process", "title"]).map(|line| command_line(line, exe_path.as_deref()));
    let argv = argv.map(|argv| argv.into_bytes().into()).or_else(title);
    let uid = either(record, &["user", "id"], &["user", "uid"]);
    let gid = either(record, &["user", "group", "id"], &["user", "gid"]);
    let name = either_text(record, &["user", "name"], &["user", "name_map", "uid"]);
    // What differs from the real ones is told only then.
    let euid = either(record, &["user", "effective", "id"], &["user", "euid"]).or(uid);
    Some(Seen {
        pid: id(record, &["process", "pid"])?,
        ppid: either(record, &["process", "parent", "pid"], &["process", "ppid"]),
        uid,
        euid,
        gid,
        egid: either(record, &["user", "effective", "group", "id"], &["user", "egid"]).or(gid),
        loginuid: either(record, &["user", "audit", "id"], &["user", "auid"]),
        user: either_text(record, &["user", "effective", "name"], &["user", "name_map", "euid"])
            .or_else(|| name.clone().filter(|_| euid == uid)),
        real_user: name,
        group: either_text(
            record,
            &["user", "effective", "group", "name"],
            &["user", "name_map", "egid"],
        )
        .or_else(|| bytes(record, &["user", "group", "name"])),
        login_user: either_text(record, &["user", "audit", "name"], &["user", "name_map", "auid"]),
        name: bytes(record, &["process", "name"]),
        cwd: either_text(record, &["process", "working_directory"], &["process", "cwd"]),
        argv,
        exe_path,
        ..Seen::default()
    })
}

/// Where a processor added it.
fn container(record: Json<'_>) -> Option<SeenContainer<'_>> {
    let container = record.get("container")?;
    Some(SeenContainer {
        id: text(container, &["id"]),
        engine: text(container, &["runtime"]),
        name: text(container, &["name"]),
        image: text(container, &["image", "name"]).into(),
        ..SeenContainer::default()
    })
    .filter(|c| !c.id.is_empty())
}

/// The reading of logs.
struct Log {
    records: Records,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::read(input, sink, |document, line, sink| self.document(document, line, sink))
    }
}

impl Log {
    fn document(&mut self, document: Json<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let record = source(document);
        let kind = message_type(record);
        match tell(document) {
            Ok(told) if is_it(document) && !kind.is_empty() => {
                let original = texts_of_records(record);
                if original.is_empty() || !self.original(&original, &told, line, sink)? {
                    self.audit(record, told, line, sink)?;
                }
                Ok(())
            }
            _ => self.records.record(document, line, sink),
        }
    }

    /// The event from its records, where all of them were told. Whether it could be made.
    fn original(
        &mut self,
        records: &[&str],
        told: &Told<'_>,
        line: &Line<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, ImportError> {
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        for text in records {
            match Record::parse_line(text.as_bytes()) {
                Ok(record) => grouper.push(&record, text.as_bytes(), 0, &mut done),
                Err(_) => return Ok(false),
            }
        }
        grouper.finish(&mut done);
        for event in &done {
            let world = &mut self.records.world;
            // Names of users are only in the document.
            world.image(told.seen.clone(), told.container.clone());
            let image = audit_log::seen(event).map(|seen| world.processes.see(&seen));
            event.with_event(image, |e| sink.event(line.origin, e))?;
        }
        Ok(!done.is_empty())
    }

    /// The event from what the document makes of its records.
    fn audit(
        &mut self,
        record: Json<'_>,
        told: Told<'_>,
        line: &Line<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let pid = told.seen.as_ref().map(|seen| seen.pid);
        let auid = told.seen.as_ref().and_then(|seen| seen.loginuid);
        let image = self.records.world.image(told.seen, told.container);
        let serial = number(record, &["auditd", "sequence"]).and_then(|n| i64::try_from(n).ok());
        let types = message_type(record).to_ascii_uppercase();
        let success = match text(record, &["auditd", "result"]) {
            "success" => "yes",
            "fail" => "no",
            other => other,
        };
        let exe = either_text(record, &["process", "executable"], &["process", "exe"]).unwrap_or_default();
        let keys = keys(record);
        let args = [
            serial.map_or(Arg::None, Arg::Num),
            Arg::text(types.as_bytes()),
            Arg::text(keys.as_bytes()),
            Arg::text(text(record, &["auditd", "data", "syscall"]).as_bytes()),
            Arg::text(success.as_bytes()),
            pid.map_or(Arg::None, |p| Arg::Num(p.into())),
            auid.map_or(Arg::None, |a| Arg::Num(if a == u32::MAX { -1 } else { a.into() })),
            Arg::text(&exe),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: pid.unwrap_or(0),
            image,
            ..Event::bare(told.ts, EventType::AUDIT, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// The type of the first record, which version 6.0 had in another place.
fn message_type<'v>(record: Json<'v>) -> &'v str {
    let before = || match record.get("auditd") {
        Some(_) => text(record, &["event", "type"]),
        None => "",
    };
    Some(text(record, &["auditd", "message_type"]))
        .filter(|kind| !kind.is_empty())
        .unwrap_or_else(before)
}

/// Tags that Elastic's agent adds.
const NO_KEYS: [&str; 2] = ["preserve_original_event", "auditd_manager-auditd"];

/// The keys of rules become tags.
fn keys(record: Json<'_>) -> String {
    let tags = record.get("tags").and_then(Json::as_array).into_iter().flatten();
    let keys = tags.filter_map(Json::as_str).filter(|tag| !NO_KEYS.contains(tag));
    keys.collect::<Vec<_>>().join(",")
}

/// The records as the kernel wrote them, where Auditbeat was told to keep them (`include_raw_message`).
fn texts_of_records<'v>(record: Json<'v>) -> Vec<&'v str> {
    let now = record.pointer("/event/original");
    let told = now.or_else(|| record.pointer("/auditd/messages"));
    match told.and_then(Json::as_str) {
        Some(text) => text.lines().filter(|l| !l.is_empty()).collect(),
        None => told
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect(),
    }
}
