//! Logs of JSON whose records have a meaning of their own kind: kept as `log` events, with what they say of a process
//! and its container. What each format calls things is in the file of its name.

use std::borrow::Cow;

use ctrace_trace::event::{Arg, Event, EventType};

use super::lines::{self, Line};
use super::processes::Seen;
use super::syslog::Syslog;
use super::world::{SeenContainer, World};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::json::{Document, Json};

/// A format of records.
#[derive(Clone, Copy)]
pub(super) struct JsonFormat {
    /// For `--format`.
    pub(super) name: &'static str,
    /// Whether a record is of this format.
    pub(super) is_it: fn(Json<'_>) -> bool,
    /// What a record says; an error where it lacks its time.
    pub(super) tell: for<'v> fn(Json<'v>) -> Result<Told<'v>, &'static str>,
}

/// What a record says.
#[derive(Debug, Default)]
pub(super) struct Told<'v> {
    /// When: nanoseconds since the Unix epoch.
    pub(super) ts: u64,
    /// What the format calls such a record.
    pub(super) kind: Cow<'v, str>,
    /// How grave it is, in the format's own words.
    pub(super) severity: Cow<'v, str>,
    /// For people to read.
    pub(super) message: Cow<'v, [u8]>,
    /// Who started the one that acted.
    pub(super) parent: Option<Seen<'v>>,
    /// Who acted.
    pub(super) seen: Option<Seen<'v>>,
    /// Its thread; the first one where that is not told.
    pub(super) tid: Option<u32>,
    /// In which container.
    pub(super) container: Option<SeenContainer<'v>>,
}

/// So many documents of a file are judged.
const JUDGED: usize = 32;

impl JsonFormat {
    fn is_record(&self, document: &[u8]) -> bool {
        let mut memory = Document::default();
        let read = memory.parse(document);
        read.is_ok_and(|read| read.root().is_object() && (self.is_it)(read.root()))
    }
}

impl Importer for JsonFormat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let mut records = documents::first(start)
            .take(JUDGED)
            .map(|document| self.is_record(document));
        let is_first = lines::first(start)
            .next()
            .is_some_and(|l| memchr::memchr(b'{', l).is_some());
        match records.next() {
            Some(true) if is_first => Confidence::Likely,
            // What a program says to people at its start. A log of many programs is one of syslog.
            Some(first) if (first || records.any(|r| r)) && Syslog.sniff(start) == Confidence::No => {
                Confidence::Possible
            }
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        documents::first(input.start()).take(JUDGED).find_map(|document| {
            let mut memory = Document::default();
            let read = memory.parse(document).ok()?;
            let told = (self.is_it)(read.root()).then(|| (self.tell)(read.root()))?;
            told.ok().map(|told| told.ts)
        })
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Records::new(*self))
    }
}

/// The reading of records.
pub(super) struct Records {
    format: JsonFormat,
    pub(super) world: World,
}

impl Reading for Records {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::read(input, sink, |record, line, sink| self.record(record, line, sink))
    }
}

impl Records {
    pub(super) fn new(format: JsonFormat) -> Records {
        Records {
            format,
            world: World::default(),
        }
    }

    /// Keeps a record.
    pub(super) fn record(&mut self, record: Json<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        if !record.is_object() || !(self.format.is_it)(record) {
            return sink.unknown(line.origin, 0, "not a record of this format", line.text);
        }
        let told = match (self.format.tell)(record) {
            Ok(told) => told,
            Err(reason) => return sink.bad(line.origin, 0, reason, line.text),
        };
        if let Some(parent) = told.parent {
            self.world.processes.see(&parent);
        }
        let image = self.world.image(told.seen, told.container);
        let args = [
            Arg::Str(self.format.name.as_bytes()),
            Arg::text(told.kind.as_bytes()),
            Arg::text(told.severity.as_bytes()),
            Arg::text(&told.message),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: told.tid.unwrap_or_else(|| image.map_or(0, |i| i.pid)),
            image,
            ..Event::bare(told.ts, EventType::LOG, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// The arguments of a command line that was told as one text: the program, which is `exe` or ends at the first blank,
/// and the rest as one.
pub(super) fn command_line<'v>(line: Cow<'v, [u8]>, exe: Option<&[u8]>) -> Cow<'v, [u8]> {
    let known = exe.filter(|exe| line.starts_with(exe) && line.get(exe.len()) == Some(&b' '));
    match known.map(<[u8]>::len).or_else(|| memchr::memchr(b' ', &line)) {
        None => line,
        Some(at) => {
            let mut argv = line.into_owned();
            argv.get_mut(at..)
                .and_then(<[u8]>::first_mut)
                .into_iter()
                .for_each(|blank| *blank = 0);
            argv.into()
        }
    }
}
