//! LAUREL's JSON: one object for each audit event, with a member for each type of record.

use std::borrow::Cow;

use ctrace_trace::audit::syscall_name;
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};

use super::documents::Whole;
use super::json_records::{World, bytes, command_line, id, text};
use super::lines::Line;
use super::processes::Seen;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::audit::Record;
use crate::json::Json;

/// The importer of LAUREL's logs.
pub(super) struct Laurel;

impl Importer for Laurel {
    fn name(&self) -> &'static str {
        "laurel"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match Json::parse(documents::first(start).next().unwrap_or_default()) {
            Ok(record) if stamp(&record).is_some() => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let record = Json::parse(documents::first(input.start()).next()?).ok()?;
        stamp(&record).map(|(ts, _)| ts)
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
        documents::each(input, sink, |line, is_whole, sink| self.line(line, is_whole, sink))
    }
}

/// Time and serial: `"ID":"1795300000.123:71"`.
fn stamp(record: &Json<'_>) -> Option<(u64, u64)> {
    // The stamp is that of the records, and is read as such.
    let line = format!("type=SYSCALL msg=audit({}): ", record.get("ID")?.as_str()?);
    let record = Record::parse_line(line.as_bytes()).ok()?;
    Some((record.stamp.ts_ns, record.stamp.serial))
}

/// Members that are no records.
const OTHERS: [&str; 3] = ["ID", "NODE", PARENT_INFO];
/// Who started the process, as versions before 0.5 tell it.
const PARENT_INFO: &str = "PARENT_INFO";

impl Log {
    fn line(&mut self, line: Line<'_>, is_whole: Whole, sink: &mut Sink<'_>) -> Result<bool, ImportError> {
        let record = match Json::parse(line.text) {
            Ok(record) => record,
            // Not whole: it may go on in the next line.
            Err(_) if is_whole == Whole::Unknown => return Ok(false),
            Err(error) => {
                sink.bad(line.origin, 0, &error.to_string(), line.text)?;
                return Ok(true);
            }
        };
        self.record(&record, line, sink)?;
        Ok(true)
    }

    fn record(&mut self, record: &Json<'_>, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let (Some((ts, serial)), Some(members)) = (stamp(record), record.as_object()) else {
            return sink.bad(line.origin, 0, "no ID with time and serial", line.text);
        };
        let is_record = |k: &&str| !OTHERS.contains(k) && !k.starts_with("CONTAINER");
        let types: Vec<&str> = members.iter().map(|(name, _)| &**name).filter(is_record).collect();
        // A system call knows best who acted; else the first record.
        let main = types.iter().find(|t| **t == "SYSCALL").or(types.first());
        let main = main.and_then(|t| record.get(t)).unwrap_or(&Json::Null);
        let main = main.at(0).unwrap_or(main);
        let key = key(main);
        let syscall = syscall(main);
        let success = match (text(main, &["success"]), text(main, &["res"])) {
            ("", "success" | "1") => "yes",
            ("", "failed" | "0") => "no",
            (told, _) => told,
        };
        let exe = decoded(main, &["exe"]).unwrap_or_default();
        let (pid, auid) = (id(main, &["pid"]), id(main, &["auid"]));
        if let Some(parent) = parent(main, record) {
            self.world.processes.see(&parent);
        }
        let image = self
            .world
            .image(pid.map(|pid| seen(pid, main, record)), container(main, record));
        let types = types.join(",");
        let args = [
            i64::try_from(serial).map_or(Arg::None, Arg::Num),
            Arg::text(types.as_bytes()),
            Arg::text(key.as_bytes()),
            Arg::text(syscall.as_bytes()),
            Arg::text(success.as_bytes()),
            pid.map_or(Arg::None, |p| Arg::Num(p.into())),
            auid.map_or(Arg::None, |a| Arg::Num(if a == u32::MAX { -1 } else { a.into() })),
            Arg::text(&exe),
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
fn key(record: &Json<'_>) -> String {
    match record.get("key").and_then(Json::as_array) {
        None => text(record, &["key"]).to_owned(),
        Some(keys) => keys.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
    }
}

/// The name of the call, which LAUREL only tells where it translates; else what its number means.
fn syscall(record: &Json<'_>) -> String {
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

fn seen<'v>(pid: u32, main: &'v Json<'_>, record: &'v Json<'_>) -> Seen<'v> {
    let exe_path = decoded(main, &["exe"]);
    let loginuid = id(main, &["auid"]);
    Seen {
        pid,
        ppid: id(main, &["ppid"]),
        uid: id(main, &["uid"]),
        euid: id(main, &["euid"]),
        gid: id(main, &["gid"]),
        egid: id(main, &["egid"]),
        loginuid,
        user: bytes(main, &["EUID"]),
        group: bytes(main, &["EGID"]),
        // Who is not logged in is `unset` there, which is no name.
        login_user: bytes(main, &["AUID"]).filter(|_| loginuid != Some(u32::MAX)),
        name: decoded(main, &["comm"]),
        cwd: decoded(record, &["CWD", "cwd"]),
        argv: arguments(record, exe_path.as_deref()),
        env: environment(record),
        exe_path,
        ..Seen::default()
    }
}

/// Who started the process: beside its id, where LAUREL was not told to leave that out.
fn parent<'v>(main: &'v Json<'_>, record: &'v Json<'_>) -> Option<Seen<'v>> {
    let pid = id(main, &["ppid"])?;
    let spawned_by = main.get("SPAWNED_BY").filter(|by| id(by, &["pid"]) == Some(pid));
    let told = main
        .get("PPID")
        .into_iter()
        .chain(spawned_by)
        .chain(record.get(PARENT_INFO));
    let mut told = told.filter(|t| t.get("comm").is_some() || t.get("exe").is_some());
    told.next().map(|parent| Seen {
        pid,
        ppid: id(parent, &["ppid"]),
        name: decoded(parent, &["comm"]),
        exe_path: decoded(parent, &["exe"]),
        ..Seen::default()
    })
}

/// The container, as the record of the process tells it, or the event (deprecated).
fn container(main: &Json<'_>, record: &Json<'_>) -> Option<Container> {
    let ids = [
        text(main, &["PID", "container", "id"]),
        text(record, &["CONTAINER_INFO", "ID"]),
    ];
    let id = ids.into_iter().find(|id| !id.is_empty())?;
    Some(Container {
        id: id.to_owned(),
        ..Container::default()
    })
}

/// The arguments: a list, or one text where LAUREL was told to write that.
fn arguments<'v>(record: &'v Json<'_>, exe: Option<&[u8]>) -> Option<Cow<'v, [u8]>> {
    let Some(list) = record.pointer("/EXECVE/ARGV").and_then(Json::as_array) else {
        return decoded(record, &["EXECVE", "ARGV_STR"]).map(|line| command_line(line, exe));
    };
    let args: Vec<Cow<'_, [u8]>> = list.iter().filter_map(Json::as_str).map(decode).collect();
    Some(args.join(&0).into())
}

/// The variables that LAUREL was asked for.
fn environment<'v>(record: &'v Json<'_>) -> Option<Cow<'v, [u8]>> {
    let all = record.pointer("/EXECVE/ENV").and_then(Json::as_object)?;
    let all = all.iter().map(|(name, value)| {
        let value = decode(value.as_str().unwrap_or_default());
        [name.as_bytes(), b"=", &value].concat()
    });
    Some(all.collect::<Vec<_>>().join(&0).into())
}

/// The text at a path, where there is one.
fn decoded<'v>(record: &'v Json<'_>, path: &[&str]) -> Option<Cow<'v, [u8]>> {
    let told = text(record, path);
    (!told.is_empty()).then(|| decode(told))
}

/// LAUREL writes a percent sign and two digits for bytes that are no text, and for `%` and `+`.
fn decode(text: &str) -> Cow<'_, [u8]> {
    let text = text.as_bytes();
    if memchr::memchr(b'%', text).is_none() {
        return text.into();
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        let meant = match (byte, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match meant.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(meant) => {
                out.push(meant);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_decoded() {
        assert_eq!(decode("%2b%25s \u{e4}").as_ref(), "+%s \u{e4}".as_bytes());
        assert_eq!(decode("%f").as_ref(), b"%f");
        assert_eq!(decode("%c3%28%zz").as_ref(), b"\xc3(%zz");
    }
}
