//! Sysmon for Linux: its XML, one event a line as syslog files have it, without syslog's beginning, or printed over many
//! lines.

use std::borrow::Cow;
use std::sync::LazyLock;

use ctrace_trace::event::{Arg, Event, EventType};
use memchr::memmem::Finder;

use super::json_records::command_line;
use super::lines::{self, Line};
use super::processes::Seen;
use super::world::World;
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, xml_events};
use crate::docker::parse_rfc3339;

/// The importer of Sysmon's events.
pub(super) struct Sysmon;

impl Importer for Sysmon {
    fn name(&self) -> &'static str {
        "sysmon"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let is_own = |event: &[u8]| memchr::memmem::find(event, b"Sysmon").is_some();
        let mut events = xml_events::first(start).map(is_own);
        let first = lines::first(start)
            .find(|l| !xml_events::is_wrapping(l))
            .unwrap_or_default();
        match events.next() {
            Some(true) if memchr::memmem::find(first, b"<Event").is_some() => Confidence::Likely,
            // Other programs write to the same file.
            Some(first) if first || events.any(|own| own) => Confidence::Possible,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        xml_events::first(input.start()).next().and_then(time)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

/// Names of the kinds of events, by number (Sysmon's documentation).
const KINDS: [(&[u8], &str); 10] = [
    (b"1", "ProcessCreate"),
    (b"3", "NetworkConnect"),
    (b"4", "ServiceStateChange"),
    (b"5", "ProcessTerminate"),
    (b"9", "RawAccessRead"),
    (b"10", "ProcessAccess"),
    (b"11", "FileCreate"),
    (b"16", "ServiceConfigurationChange"),
    (b"23", "FileDelete"),
    (b"255", "Error"),
];

/// The reading of logs.
#[derive(Default)]
struct Log {
    world: World,
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        xml_events::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Log {
    fn line(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let Some(xml) = xml_events::event(line.text) else {
            return sink.unknown(line.origin, 0, "no event of Sysmon", line.text);
        };
        let Some(ts) = time(xml) else {
            return sink.bad(line.origin, 0, "an event without a time", line.text);
        };
        let number = between(xml, b"<EventID>").unwrap_or_default();
        let kind = KINDS
            .iter()
            .find(|(n, _)| *n == number)
            .map(|(_, kind)| kind.as_bytes());
        let executes = number == b"1";
        // Who looks at another process is its source there.
        let pid = data(xml, "ProcessId").or_else(|| data(xml, "SourceProcessId"));
        let seen = pid.and_then(|p| decimal(&p)).map(|pid| seen(xml, pid, ts, executes));
        if let Some(parent) = parent(xml) {
            self.world.processes.see(&parent);
        }
        let image = self.world.image(seen, None);
        let pid = image.map(|image| image.pid);
        let message = message(xml);
        let args = [
            Arg::Str(b"sysmon"),
            Arg::text(kind.unwrap_or(number)),
            Arg::None,
            Arg::text(&message),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: pid.unwrap_or(0),
            image,
            ..Event::bare(ts, EventType::LOG, &args)
        };
        sink.event(line.origin, &event)?;
        if number == b"5"
            && let Some(pid) = pid
        {
            self.world.processes.exit(pid);
        }
        Ok(())
    }
}

/// The command, the file, the ends of a connection, the process that was looked at, or what Sysmon says of itself.
fn message(xml: &[u8]) -> Cow<'_, [u8]> {
    let told = ["CommandLine", "TargetFilename"];
    if let Some(text) = told.iter().find_map(|name| data(xml, name)) {
        return text;
    }
    if data(xml, "DestinationIp").is_some() {
        let part = |name| data(xml, name).unwrap_or_default();
        let colon: &[u8] = b":";
        return [
            &*part("Protocol"),
            b" ",
            &part("SourceIp"),
            colon,
            &part("SourcePort"),
            b"->",
            &part("DestinationIp"),
            colon,
            &part("DestinationPort"),
        ]
        .concat()
        .into();
    }
    let told = ["TargetImage", "Device", "State", "Configuration", "Description"];
    told.iter().find_map(|name| data(xml, name)).unwrap_or_default()
}

fn seen(xml: &[u8], pid: u32, ts: u64, executes: bool) -> Seen<'_> {
    let exe = data(xml, "Image").or_else(|| data(xml, "SourceImage"));
    Seen {
        pid,
        ppid: parent_pid(xml),
        user: data(xml, "User").or_else(|| data(xml, "SourceUser")),
        name: exe.as_deref().map(name),
        // Arguments are joined by blanks there.
        argv: data(xml, "CommandLine").map(|line| command_line(line, exe.as_deref())),
        exe_path: exe,
        cwd: data(xml, "CurrentDirectory"),
        exec_ts: executes.then_some(ts),
        ..Seen::default()
    }
}

/// The name is not told; the kernel makes it of the file's.
fn name<'a>(exe: &[u8]) -> Cow<'a, [u8]> {
    let name = exe.rsplit(|b| *b == b'/').next().unwrap_or_default();
    Cow::Owned(name.get(..15).unwrap_or(name).to_vec())
}

/// 0 where Sysmon does not know it.
fn parent_pid(xml: &[u8]) -> Option<u32> {
    data(xml, "ParentProcessId")
        .and_then(|p| decimal(&p))
        .filter(|p| *p != 0)
}

fn parent(xml: &[u8]) -> Option<Seen<'_>> {
    let exe = data(xml, "ParentImage");
    Some(Seen {
        pid: parent_pid(xml)?,
        user: data(xml, "ParentUser"),
        name: exe.as_deref().map(name),
        argv: data(xml, "ParentCommandLine").map(|line| command_line(line, exe.as_deref())),
        exe_path: exe,
        ..Seen::default()
    })
}

/// Sysmon reckons `UtcTime` from the time since boot, which stands still while a machine sleeps: hours and days were seen
/// between it and the time of writing. Further away than this it is not believed.
const BELIEVED_NS: u64 = 10_000_000_000;

/// When it happened; the time in `System` is that of writing.
fn time(xml: &[u8]) -> Option<u64> {
    let written = || {
        let at = memchr::memmem::find(xml, b"SystemTime=\"")? + b"SystemTime=\"".len();
        let rest = xml.get(at..)?;
        std::str::from_utf8(rest.get(..memchr::memchr(b'"', rest)?)?).ok()
    };
    let happened = data(xml, "UtcTime").and_then(|t| String::from_utf8(t.into_owned()).ok());
    let happened = happened.and_then(|t| parse_rfc3339(&format!("{}Z", t.replacen(' ', "T", 1))));
    let written = written().and_then(parse_rfc3339);
    match (happened, written) {
        (Some(happened), Some(written)) if happened.abs_diff(written) > BELIEVED_NS => Some(written),
        (happened, written) => happened.or(written),
    }
}

/// What stands between an opening and the next tag.
fn between<'a>(xml: &'a [u8], opening: &[u8]) -> Option<&'a [u8]> {
    until_tag(xml.get(memchr::memmem::find(xml, opening)? + opening.len()..)?)
}

/// The text before the next tag; some tools print it on a line of its own.
fn until_tag(rest: &[u8]) -> Option<&[u8]> {
    let text = rest.get(..memchr::memchr(b'<', rest)?)?;
    Some(if text.starts_with(b"\n") {
        text.trim_ascii()
    } else {
        text
    })
}

/// What Sysmon writes for what it does not know.
const NOTHING: [&[u8]; 4] = [b"", b"-", b"(null)", b"&lt;unknown process&gt;"];

/// The text of `<Data Name="…">`, where one is known.
fn data<'a>(xml: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    static DATA: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("<Data Name=\""));
    let mut all = DATA.find_iter(xml).filter_map(|at| xml.get(at + DATA.needle().len()..));
    let rest = all.find_map(|rest| rest.strip_prefix(name.as_bytes())?.strip_prefix(b"\">"))?;
    let text = until_tag(rest)?;
    (!NOTHING.contains(&text)).then(|| unescape(text))
}

/// The entities of XML.
const ENTITIES: [(&[u8], u8); 5] = [
    (b"&lt;", b'<'),
    (b"&gt;", b'>'),
    (b"&quot;", b'"'),
    (b"&apos;", b'\''),
    (b"&amp;", b'&'),
];

fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'&', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity)) {
            Some((entity, meant)) => {
                out.push(*meant);
                rest = rest.get(entity.len()..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out.into()
}

fn decimal(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
