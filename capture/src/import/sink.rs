//! Where importers put what they read, and the account of what could not be read.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ctrace_trace::event::{Arg, Event, EventType, OriginFile};
use ctrace_trace::segment::Host;
use ctrace_trace::snapshot::HostSnapshot;

use super::batch::Sender;
use super::output::{Opening, Output, Refused};
use super::{End, FileReport, ImportError, ImportOptions, Input};

/// Where something stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file: its place among those that are read together.
    pub file: u32,
    /// Offset of its first byte in the decompressed file.
    pub offset: u64,
    /// Its line, from 1; 0 where the format has no lines.
    pub line: u64,
}

/// So many damaged pieces of a file are described; the others are counted.
const MAX_PROBLEMS: usize = 20;
/// So much of a piece that cannot be read is kept.
const MAX_RAW: usize = 64 << 10;

/// So many pieces wait for the first event's time.
const MAX_TIMELESS: usize = 256;

/// A piece that was not understood, until a time is known.
struct Timeless {
    origin: Origin,
    reason: String,
    raw: Vec<u8>,
}

/// Where events go: into the case, or to the thread that merges them with those of other files.
pub(super) enum Way<'a> {
    Case(Box<Output<'a>>),
    Merge(Box<Sender>),
}

/// Takes what an importer reads.
pub struct Sink<'a> {
    options: &'a ImportOptions,
    way: Way<'a>,
    /// How much was read from disk.
    read: Arc<AtomicU64>,
    latest: u64,
    /// Pieces without a time that stood before the first event: they get that one's.
    timeless: Vec<Timeless>,
    /// The files that were begun.
    known: Vec<Arc<OriginFile>>,
    file: Option<FileReport>,
    files: Vec<FileReport>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(options: &'a ImportOptions, way: Way<'a>, read: Arc<AtomicU64>) -> Sink<'a> {
        Sink {
            options,
            way,
            read,
            latest: 0,
            timeless: Vec::new(),
            known: Vec::new(),
            file: None,
            files: Vec::new(),
        }
    }

    /// What was asked for.
    pub fn options(&self) -> &'a ImportOptions {
        self.options
    }

    /// A place in the file that is being read.
    pub fn origin(&self, offset: u64, line: u64) -> Origin {
        Origin {
            file: self.known.len().saturating_sub(1) as u32,
            offset,
            line,
        }
    }

    /// Says which host the file is of. Counts until the first event; of several files the first one's host is kept.
    pub fn host(&mut self, host: Host) {
        self.opening().host.get_or_insert(host);
    }

    /// Says what ran on the host at the beginning. Counts until the first event, as [`Sink::host`].
    pub fn state(&mut self, state: HostSnapshot) {
        self.opening().state.get_or_insert(state);
    }

    /// Says what the file does not tell, with the reason. Counts until the first event.
    pub fn missing(&mut self, what: &str, why: &str) {
        self.opening().missing.push((what.to_owned(), why.to_owned()));
    }

    fn opening(&mut self) -> &mut Opening {
        match &mut self.way {
            Way::Case(output) => &mut output.opening,
            Way::Merge(sender) => &mut sender.opening,
        }
    }

    /// Writes an event. Events should come in the order of time.
    ///
    /// # Errors
    /// Where the case cannot be written, or the user wants to stop.
    pub fn event(&mut self, origin: Origin, event: &Event<'_>) -> Result<(), ImportError> {
        if !self.timeless.is_empty() {
            self.write_timeless(event.ts)?;
        }
        self.write(Some(origin), event)?;
        self.latest = event.ts;
        Ok(())
    }

    fn write(&mut self, origin: Option<Origin>, event: &Event<'_>) -> Result<(), ImportError> {
        let file = origin.and_then(|o| self.known.get(o.file as usize));
        let at = origin.zip(file).map(|(at, file)| ctrace_trace::event::Origin {
            file,
            offset: at.offset,
            line: at.line,
        });
        let refused = match &mut self.way {
            Way::Case(output) => output.event(at, event)?,
            Way::Merge(sender) => {
                sender.event(at, event)?;
                None
            }
        };
        if let Some((Refused(reason), origin)) = refused.zip(origin) {
            self.note_bad(origin, &reason);
        }
        if let (Some(file), Some(_)) = (&mut self.file, origin) {
            file.events += 1;
        }
        Ok(())
    }

    /// Keeps a piece that is damaged, as it is. `ts` is its time where that is known, else 0 for that of the event
    /// before.
    ///
    /// # Errors
    /// As [`Sink::event`].
    pub fn bad(&mut self, origin: Origin, ts: u64, reason: &str, raw: &[u8]) -> Result<(), ImportError> {
        self.note_bad(origin, reason);
        self.raw(origin, ts, reason, raw)
    }

    /// Keeps a whole piece of a kind that this version does not know, as it is. It is counted and is no damage.
    ///
    /// # Errors
    /// As [`Sink::event`].
    pub fn unknown(&mut self, origin: Origin, ts: u64, kind: &str, raw: &[u8]) -> Result<(), ImportError> {
        if let Some(file) = &mut self.file {
            file.unknown += 1;
        }
        self.raw(origin, ts, kind, raw)
    }

    fn note_bad(&mut self, origin: Origin, reason: &str) {
        if let Some(file) = &mut self.file {
            file.note_bad(origin, reason);
        }
    }

    fn raw(&mut self, origin: Origin, ts: u64, reason: &str, raw: &[u8]) -> Result<(), ImportError> {
        let raw = raw.get(..MAX_RAW).unwrap_or(raw);
        let ts = if ts == 0 { self.latest } else { ts };
        if ts == 0 && self.timeless.len() < MAX_TIMELESS {
            self.timeless.push(Timeless {
                origin,
                reason: reason.to_owned(),
                raw: raw.to_vec(),
            });
            return Ok(());
        }
        self.write_raw(origin, ts, reason, raw)
    }

    fn write_timeless(&mut self, ts: u64) -> Result<(), ImportError> {
        for piece in std::mem::take(&mut self.timeless) {
            self.write_raw(piece.origin, ts, &piece.reason, &piece.raw)?;
        }
        Ok(())
    }

    fn write_raw(&mut self, origin: Origin, ts: u64, reason: &str, raw: &[u8]) -> Result<(), ImportError> {
        let format = self.file.as_ref().map_or("", |f| f.format);
        let args = [
            Arg::Str(format.as_bytes()),
            number(origin.offset),
            if origin.line == 0 {
                Arg::None
            } else {
                number(origin.line)
            },
            Arg::Str(reason.as_bytes()),
            Arg::Str(raw),
        ];
        self.write(Some(origin), &Event::bare(ts, EventType::IMPORT_RAW, &args))
    }

    /// Tells how much of the file was read from disk, for the progress.
    pub fn at(&mut self, input: &Input) {
        let before: u64 = self.files.iter().map(|f| f.bytes).sum();
        self.read.store(before + input.disk_bytes(), Ordering::Relaxed);
    }

    pub(super) fn begin_file(
        &mut self,
        (id, path): (u64, &Path),
        format: &'static str,
        input: &Input,
    ) -> Result<(), ImportError> {
        self.at(input);
        let name = path.to_string_lossy().into_owned().into_bytes();
        self.known.push(Arc::new(OriginFile { id, name }));
        self.file = Some(FileReport::new(id, path, format));
        self.tell()
    }

    /// Writes down what the file was, behind its events: its digest is known only now.
    pub(super) fn end_file(&mut self, input: Input, end: End) -> Result<(), ImportError> {
        self.write_timeless(self.latest)?;
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        file.end = end;
        (file.sha256, file.bytes) = input.close()?;
        let latest = self.latest;
        file.with_event(latest, |event| self.write(None, event))?;
        self.files.push(file);
        self.read
            .store(self.files.iter().map(|f| f.bytes).sum(), Ordering::Relaxed);
        self.tell()
    }

    fn tell(&mut self) -> Result<(), ImportError> {
        match &mut self.way {
            Way::Case(output) => output.tell(),
            Way::Merge(_) => Ok(()),
        }
    }

    /// What became of the files, and where their events went.
    pub(super) fn finish(self) -> (Vec<FileReport>, Way<'a>) {
        (self.files, self.way)
    }
}

impl FileReport {
    /// Of a file of which nothing was read yet.
    pub(super) fn new(id: u64, path: &Path, format: &'static str) -> FileReport {
        FileReport {
            id,
            path: path.to_owned(),
            format,
            sha256: [0; 32],
            bytes: 0,
            events: 0,
            unknown: 0,
            bad: 0,
            problems: Vec::new(),
            end: End::Whole,
        }
    }

    /// Makes the event that tells of the file.
    pub(super) fn with_event<R>(&self, ts: u64, take: impl FnOnce(&Event<'_>) -> R) -> R {
        let hex: String = self.sha256.iter().map(|b| format!("{b:02x}")).collect();
        let path = self.path.to_string_lossy();
        let cut = match &self.end {
            End::Whole => (Arg::None, Arg::None),
            End::Cut { offset, reason } => (number(*offset), Arg::Str(reason.as_bytes())),
            End::Unread { reason } => (Arg::None, Arg::Str(reason.as_bytes())),
        };
        let args = [
            Arg::Str(path.as_bytes()),
            Arg::Str(self.format.as_bytes()),
            number(self.bytes),
            Arg::Str(hex.as_bytes()),
            number(self.events),
            number(self.unknown),
            number(self.bad),
            cut.0,
            cut.1,
        ];
        take(&Event::bare(ts, EventType::IMPORTED, &args))
    }

    /// Counts a damaged piece, and describes it if it is among the first.
    pub(super) fn note_bad(&mut self, origin: Origin, reason: &str) {
        self.bad += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push((origin, reason.to_owned()));
        }
    }
}

fn number(n: u64) -> Arg<'static> {
    Arg::Num(i64::try_from(n).unwrap_or(i64::MAX))
}
