//! LAUREL's JSON: one object for each audit event, with a member for each type of record.

use std::borrow::Cow;

use ctrace_trace::audit::syscall_name;
use ctrace_trace::event::{Arg, Event, EventType};

use super::documents::Whole;
use super::lines::Line;
use super::members::Fields;
use super::processes::Seen;
use super::world::World;
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
        let mut document = Document::default();
        documents::each(input, sink, |line, is_whole, sink| {
            self.line(&mut document, line, is_whole, sink)
        })
    }
}

/// Time and serial: `"ID":"1795300000.123:71"`.
fn stamp(record: Json<'_>) -> Option<(u64, u64)> {
    let (stamp, rest) = Stamp::parse(record.get("ID")?.as_str()?.as_bytes())?;
    // As it is in records, where a bracket and a colon follow.
    (rest.is_empty() || rest.starts_with(b"):")).then_some((stamp.ts_ns, stamp.serial))
}

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
        let Some((ts, serial)) = stamp(record) else {
            return sink.bad(line.origin, 0, "no ID with time and serial", line.text);
        };
        let records = Records::of(record, &mut self.types);
        let main = Main::of(records.main());
        records.write_argv(&mut self.argv);
        let image = main.pid.map(|pid| {
            let seen = Seen {
                argv: records.argv.is_some().then_some(Cow::Borrowed(&*self.argv)),
                cwd: records.cwd,
                ..main.seen(pid)
            };
            self.world.processes.see(&seen)
        });
        let args = [
            i64::try_from(serial).map_or(Arg::None, Arg::Num),
            Arg::text(self.types.as_bytes()),
            Arg::text(main.key.as_bytes()),
            Arg::text(main.syscall.as_bytes()),
            Arg::text(main.success.as_bytes()),
            main.pid.map_or(Arg::None, |p| Arg::Num(p.into())),
            main.auid
                .map_or(Arg::None, |a| Arg::Num(if a == u32::MAX { -1 } else { a.into() })),
            Arg::text(main.exe.as_bytes()),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: main.pid.unwrap_or(0),
            image: image.as_ref(),
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
    cwd: Option<Cow<'v, [u8]>>,
}

impl<'v> Records<'v> {
    /// Looks through the members of an object, and writes down the types of its records.
    fn of(record: Json<'v>, types: &mut String) -> Records<'v> {
        let mut records = Records::default();
        types.clear();
        for (name, value) in record.as_object().into_iter().flatten() {
            if matches!(name, "ID" | "NODE" | "PARENT_INFO") || name.starts_with("CONTAINER") {
                continue;
            }
            types.push_str(if records.first.is_some() { "," } else { "" });
            types.push_str(name);
            records.first.get_or_insert(value);
            match name {
                "SYSCALL" => records.syscall = Some(value),
                "EXECVE" => records.argv = value.get("ARGV").filter(|argv| argv.as_array().is_some()),
                "CWD" => records.cwd = Fields::of(value).bytes("cwd"),
                _ => {}
            }
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
            line.extend_from_slice(arg.as_bytes());
        }
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
    comm: &'v str,
    exe: &'v str,
    key: Cow<'v, str>,
    /// Names of `auid`, `euid` and `egid`.
    login_user: &'v str,
    user: &'v str,
    group: &'v str,
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
            comm: fields.text("comm"),
            exe: fields.text("exe"),
            key: key(fields.get("key")),
            login_user: "",
            user: "",
            group: "",
        };
        main.syscall = syscall(arch, number, fields.text("SYSCALL"));
        main.login_user = fields.text("AUID");
        main.user = fields.text("EUID");
        main.group = fields.text("EGID");
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
            login_user: known(self.login_user),
            name: known(self.comm),
            exe_path: known(self.exe),
            ..Seen::default()
        }
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
