//! LAUREL's JSON: one object for each audit event, with a member for each type of record.

use ctrace_trace::audit::syscall_name;
use ctrace_trace::event::{Arg, Event, EventType};

use super::documents::Whole;
use super::json_records::{World, bytes, id, text};
use super::lines::Line;
use super::processes::Seen;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::audit::Record;
use crate::json::{Document, Json};

/// The importer of LAUREL's logs.
pub(super) struct Laurel;

impl Importer for Laurel {
    fn name(&self) -> &'static str {
        "laurel"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let mut memory = Document::default();
        match memory.parse(documents::first(start).next().unwrap_or_default()) {
            Ok(read) if stamp(read.root()).is_some() => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let mut memory = Document::default();
        let read = memory.parse(documents::first(input.start()).next()?).ok()?;
        stamp(read.root()).map(|(ts, _)| ts)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

/// The reading of logs.
#[derive(Default)]
struct Log {
    world: World,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        let mut document = Document::default();
        documents::each(input, sink, |line, is_whole, sink| {
            self.line(&mut document, line, is_whole, sink)
        })
    }
}

/// Time and serial: `"ID":"1795300000.123:71"`.
fn stamp(record: Json<'_>) -> Option<(u64, u64)> {
    // The stamp is that of the records, and is read as such.
    let line = format!("type=SYSCALL msg=audit({}): ", record.get("ID")?.as_str()?);
    let record = Record::parse_line(line.as_bytes()).ok()?;
    Some((record.stamp.ts_ns, record.stamp.serial))
}

/// Members that are no records.
const OTHERS: [&str; 3] = ["ID", "NODE", "PARENT_INFO"];

impl Log {
    fn line(
        &mut self,
        document: &mut Document,
        line: Line<'_>,
        is_whole: Whole,
        sink: &mut Sink<'_>,
    ) -> Result<bool, ImportError> {
        let read = match document.parse(line.text) {
            Ok(read) => read,
            // Not whole: it may go on in the next line.
            Err(_) if is_whole == Whole::Unknown => return Ok(false),
            Err(error) => {
                sink.bad(line.origin, 0, &error.to_string(), line.text)?;
                return Ok(true);
            }
        };
        self.record(read.root(), line, sink)?;
        Ok(true)
    }

    fn record(&mut self, record: Json<'_>, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let (Some((ts, serial)), Some(members)) = (stamp(record), record.as_object()) else {
            return sink.bad(line.origin, 0, "no ID with time and serial", line.text);
        };
        let is_record = |k: &&str| !OTHERS.contains(k) && !k.starts_with("CONTAINER");
        let types: Vec<&str> = members.map(|(name, _)| name).filter(is_record).collect();
        // A system call knows best who acted; else the first record.
        let main = types.iter().find(|t| **t == "SYSCALL").or(types.first());
        let main = main.and_then(|t| record.get(t)).unwrap_or(Json::null());
        let main = main.at(0).unwrap_or(main);
        let key = key(main);
        let syscall = syscall(main);
        let success = match (text(main, &["success"]), text(main, &["res"])) {
            ("", "success" | "1") => "yes",
            ("", "failed" | "0") => "no",
            (told, _) => told,
        };
        let exe = text(main, &["exe"]);
        let (pid, auid) = (id(main, &["pid"]), id(main, &["auid"]));
        let image = self.world.image(pid.map(|pid| seen(pid, main, record)), None);
        let types = types.join(",");
        let args = [
            i64::try_from(serial).map_or(Arg::None, Arg::Num),
            Arg::text(types.as_bytes()),
            Arg::text(key.as_bytes()),
            Arg::text(syscall.as_bytes()),
            Arg::text(success.as_bytes()),
            pid.map_or(Arg::None, |p| Arg::Num(p.into())),
            auid.map_or(Arg::None, |a| Arg::Num(if a == u32::MAX { -1 } else { a.into() })),
            Arg::text(exe.as_bytes()),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: pid.unwrap_or(0),
            image: image.as_ref(),
            ..Event::bare(ts, EventType::AUDIT, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// The keys of a record: one text, or a list.
fn key(record: Json<'_>) -> String {
    match record.get("key").and_then(Json::as_array) {
        None => text(record, &["key"]).to_owned(),
        Some(keys) => keys.filter_map(Json::as_str).collect::<Vec<_>>().join(","),
    }
}

/// The name of the call, which LAUREL only tells where it translates; else what its number means.
fn syscall(record: Json<'_>) -> String {
    let told = text(record, &["SYSCALL"]);
    let Some(number) = id(record, &["syscall"]).filter(|_| told.is_empty()) else {
        return told.to_owned();
    };
    let arch = text(record, &["arch"]).trim_start_matches("0x");
    let name = u32::from_str_radix(arch, 16)
        .ok()
        .and_then(|arch| syscall_name(arch, number));
    name.map_or_else(|| number.to_string(), str::to_owned)
}

fn seen<'v>(pid: u32, main: Json<'v>, record: Json<'v>) -> Seen<'v> {
    let argv = record.pointer("/EXECVE/ARGV").and_then(Json::as_array);
    let argv = argv.map(|list| {
        let args: Vec<&str> = list.filter_map(Json::as_str).collect();
        args.join("\0").into_bytes().into()
    });
    Seen {
        pid,
        ppid: id(main, &["ppid"]),
        uid: id(main, &["uid"]),
        euid: id(main, &["euid"]),
        gid: id(main, &["gid"]),
        egid: id(main, &["egid"]),
        loginuid: id(main, &["auid"]),
        user: bytes(main, &["EUID"]),
        group: bytes(main, &["EGID"]),
        login_user: bytes(main, &["AUID"]),
        name: bytes(main, &["comm"]),
        exe_path: bytes(main, &["exe"]),
        cwd: bytes(record, &["CWD", "cwd"]),
        argv,
        ..Seen::default()
    }
}
