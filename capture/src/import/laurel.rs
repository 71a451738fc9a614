//! LAUREL's JSON: one object for each audit event, with a member for each type of record.

use std::borrow::Cow;

use ctrace_trace::audit::syscall_name;
use ctrace_trace::event::{Arg, Event, EventType};

use super::json_records::command_line;
use super::lines::Line;
use super::members::{Fields, id, text};
use super::processes::Seen;
use super::world::{SeenContainer, World};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::audit::Stamp;
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
    /// Memory for what is made of a line.
    types: String,
    argv: Vec<u8>,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::read(input, sink, |record, line, sink| self.record(record, line, sink))
    }
}

/// Time and serial: `"ID":"1795300000.123:71"`.
fn stamp(record: Json<'_>) -> Option<(u64, u64)> {
    let (stamp, rest) = Stamp::parse(record.get("ID")?.as_str()?.as_bytes())?;
    // As it is in records, where a bracket and a colon follow.
    (rest.is_empty() || rest.starts_with(b"):")).then_some((stamp.ts_ns, stamp.serial))
}

impl Log {
    fn record(&mut self, record: Json<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let Some((ts, serial)) = stamp(record) else {
            return sink.bad(line.origin, 0, "no ID with time and serial", line.text);
        };
        let records = Records::of(record, &mut self.types);
        let main = Main::of(records.main());
        records.write_argv(&mut self.argv);
        if let Some(parent) = main.parent(records.parent_info) {
            self.world.processes.see(&parent);
        }
        let seen = main.pid.map(|pid| Seen {
            argv: records.argv(&self.argv, main.exe.as_deref()),
            env: records.env.and_then(environment),
            cwd: records.cwd.clone(),
            ..main.seen(pid)
        });
        let image = self.world.image(seen, main.container(records.container_info));
        let args = [
            i64::try_from(serial).map_or(Arg::None, Arg::Num),
            Arg::text(self.types.as_bytes()),
            Arg::text(main.key.as_bytes()),
            Arg::text(main.syscall.as_bytes()),
            Arg::text(main.success.as_bytes()),
            main.pid.map_or(Arg::None, |p| Arg::Num(p.into())),
            main.auid
                .map_or(Arg::None, |a| Arg::Num(if a == u32::MAX { -1 } else { a.into() })),
            Arg::text(main.exe.as_deref().unwrap_or_default()),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: main.pid.unwrap_or(0),
            image,
            ..Event::bare(ts, EventType::AUDIT, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// The records that say of an event what is asked.
#[derive(Default)]
struct Records<'v> {
    first: Option<Json<'v>>,
    syscall: Option<Json<'v>>,
    /// A list.
    argv: Option<Json<'v>>,
    /// The arguments as one text, where LAUREL was told to write that.
    argv_text: Option<Json<'v>>,
    env: Option<Json<'v>>,
    cwd: Option<Cow<'v, [u8]>>,
    /// Who started the process, as versions before 0.5 tell it.
    parent_info: Option<Json<'v>>,
    /// The container, as the event tells it (deprecated).
    container_info: Option<Json<'v>>,
}

impl<'v> Records<'v> {
    /// Looks through the members of an object, and writes down the types of its records.
    fn of(record: Json<'v>, types: &mut String) -> Records<'v> {
        let mut records = Records::default();
        types.clear();
        for (name, value) in record.as_object().into_iter().flatten() {
            // What has no type of its own is told beside the records.
            match name {
                "ID" | "NODE" => continue,
                "PARENT_INFO" => {
                    records.parent_info = Some(value);
                    continue;
                }
                "CONTAINER_INFO" => {
                    records.container_info = Some(value);
                    continue;
                }
                _ if name.starts_with("CONTAINER") => continue,
                "SYSCALL" => records.syscall = Some(value),
                "EXECVE" => {
                    records.argv = value.get("ARGV").filter(|argv| argv.as_array().is_some());
                    records.argv_text = value.get("ARGV_STR");
                    records.env = value.get("ENV");
                }
                "CWD" => records.cwd = decoded(Fields::of(value).text("cwd")),
                _ => {}
            }
            types.push_str(if records.first.is_some() { "," } else { "" });
            types.push_str(name);
            records.first.get_or_insert(value);
        }
        records
    }

    /// The record that says who acted. A system call knows best; else it is the first.
    fn main(&self) -> Json<'v> {
        let main = self.syscall.or(self.first).unwrap_or(Json::null());
        main.at(0).unwrap_or(main)
    }

    /// The arguments with a NUL between them.
    fn write_argv(&self, line: &mut Vec<u8>) {
        line.clear();
        let args = self.argv.and_then(Json::as_array).into_iter().flatten();
        for (at, arg) in args.filter_map(Json::as_str).enumerate() {
            line.extend_from_slice(if at > 0 { b"\0" } else { b"" });
            line.extend_from_slice(&decode(arg));
        }
    }

    /// The arguments: `list`, which was written before, or one text.
    fn argv<'a>(&self, list: &'a [u8], exe: Option<&[u8]>) -> Option<Cow<'a, [u8]>>
    where
        'v: 'a,
    {
        if self.argv.is_some() {
            return Some(list.into());
        }
        let text = self.argv_text.and_then(Json::as_str)?;
        decoded(text).map(|line| command_line(line, exe))
    }
}

/// What the main record says.
struct Main<'v> {
    syscall: Cow<'v, str>,
    success: &'v str,
    ppid: Option<u32>,
    pid: Option<u32>,
    auid: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    euid: Option<u32>,
    egid: Option<u32>,
    comm: Option<Cow<'v, [u8]>>,
    exe: Option<Cow<'v, [u8]>>,
    key: Cow<'v, str>,
    /// Names of `auid`, `euid` and `egid`.
    login_user: &'v str,
    user: &'v str,
    group: &'v str,
    /// Members `PID`, `PPID` and `SPAWNED_BY`: what LAUREL knows of these processes.
    about_pid: Option<Json<'v>>,
    about_ppid: Option<Json<'v>>,
    spawned_by: Option<Json<'v>>,
}

impl<'v> Main<'v> {
    /// Asks in the order in which LAUREL writes.
    fn of(record: Json<'v>) -> Main<'v> {
        let mut fields = Fields::of(record);
        let (arch, number) = (fields.text("arch"), fields.id("syscall"));
        let mut main = Main {
            syscall: Cow::default(),
            success: fields.text("success"),
            ppid: fields.id("ppid"),
            pid: fields.id("pid"),
            auid: fields.id("auid"),
            uid: fields.id("uid"),
            gid: fields.id("gid"),
            euid: fields.id("euid"),
            egid: fields.id("egid"),
            comm: decoded(fields.text("comm")),
            exe: decoded(fields.text("exe")),
            key: key(fields.get("key")),
            login_user: "",
            user: "",
            group: "",
            about_pid: None,
            about_ppid: None,
            spawned_by: None,
        };
        main.syscall = syscall(arch, number, fields.text("SYSCALL"));
        main.login_user = fields.text("AUID");
        main.user = fields.text("EUID");
        main.group = fields.text("EGID");
        main.about_pid = fields.get("PID");
        main.about_ppid = fields.get("PPID");
        main.spawned_by = fields.get("SPAWNED_BY");
        if main.success.is_empty() {
            main.success = match fields.text("res") {
                "success" | "1" => "yes",
                "failed" | "0" => "no",
                _ => "",
            };
        }
        main
    }

    fn seen(&self, pid: u32) -> Seen<'v> {
        let known = |text: &'v str| (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes()));
        Seen {
            pid,
            ppid: self.ppid,
            uid: self.uid,
            euid: self.euid,
            gid: self.gid,
            egid: self.egid,
            loginuid: self.auid,
            user: known(self.user),
            group: known(self.group),
            // Who is not logged in is `unset` there, which is no name.
            login_user: known(self.login_user).filter(|_| self.auid != Some(u32::MAX)),
            name: self.comm.clone(),
            exe_path: self.exe.clone(),
            ..Seen::default()
        }
    }

    /// Who started the process: beside its id, where LAUREL was not told to leave that out.
    fn parent(&self, info: Option<Json<'v>>) -> Option<Seen<'v>> {
        let pid = self.ppid?;
        let spawned_by = self.spawned_by.filter(|by| id(*by, &["pid"]) == Some(pid));
        let mut told = [self.about_ppid, spawned_by, info].into_iter().flatten();
        let parent = told.find(|told| told.get("comm").is_some() || told.get("exe").is_some())?;
        Some(Seen {
            pid,
            ppid: id(parent, &["ppid"]),
            name: decoded(text(parent, &["comm"])),
            exe_path: decoded(text(parent, &["exe"])),
            ..Seen::default()
        })
    }

    /// The container, as the record of the process tells it, or the event.
    fn container(&self, info: Option<Json<'v>>) -> Option<SeenContainer<'v>> {
        let of_process = self.about_pid.map_or("", |process| text(process, &["container", "id"]));
        let id = match of_process {
            "" => text(info?, &["ID"]),
            id => id,
        };
        Some(SeenContainer {
            id,
            ..SeenContainer::default()
        })
    }
}

/// The keys of a record: one text, or a list.
fn key(key: Option<Json<'_>>) -> Cow<'_, str> {
    let keys = key.and_then(Json::as_array);
    match keys {
        None => key.and_then(Json::as_str).unwrap_or_default().into(),
        Some(keys) => keys.filter_map(Json::as_str).collect::<Vec<_>>().join(",").into(),
    }
}

/// The name of the call, which LAUREL only tells where it translates; else what its number means.
fn syscall<'v>(arch: &str, number: Option<u32>, told: &'v str) -> Cow<'v, str> {
    let Some(number) = number.filter(|_| told.is_empty()) else {
        return told.into();
    };
    let arch = u32::from_str_radix(arch.trim_start_matches("0x"), 16).ok();
    let name = arch.and_then(|arch| syscall_name(arch, number));
    name.map_or_else(|| number.to_string().into(), Cow::Borrowed)
}

/// The variables that LAUREL was asked for.
fn environment(variables: Json<'_>) -> Option<Cow<'_, [u8]>> {
    let all = variables.as_object()?.map(|(name, value)| {
        let value = decode(value.as_str().unwrap_or_default());
        [name.as_bytes(), b"=", &value].concat()
    });
    Some(all.collect::<Vec<_>>().join(&0).into())
}

/// What a text means, where there is one.
fn decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    (!text.is_empty()).then(|| decode(text))
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
