//! Where importers put what they read: the case being written, and the account of what could not be read.

use std::path::Path;
use std::time::{Duration, Instant};

use ctrace_trace::case::{CaseConfig, CaseError, CaseWriter, Opening, Rotation};
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{Capture, CaseId, Host};
use ctrace_trace::snapshot::HostSnapshot;

use super::{End, FileReport, ImportError, ImportOptions, ImportOutcome, Input, Progress};

/// Where in a file something stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Offset of its first byte in the decompressed file.
    pub offset: u64,
    /// Its line, from 1; 0 where the format has no lines.
    pub line: u64,
}

/// So many damaged pieces of a file are described; the others are counted.
const MAX_PROBLEMS: usize = 20;
/// So much of a piece that cannot be read is kept.
const MAX_RAW: usize = 64 << 10;
/// A segment ends at this size, as one of a recording does by default.
const SEGMENT: u64 = 256 << 20;
/// How often progress is told, and after how many events the clock is looked at.
const TOLD_EVERY: Duration = Duration::from_millis(100);
const LOOKED_EVERY: u64 = 8192;

/// So many pieces wait for the first event's time.
const MAX_TIMELESS: usize = 256;

/// A piece that was not understood, until a time is known.
struct Timeless {
    origin: Origin,
    reason: String,
    raw: Vec<u8>,
}

/// Takes what an importer reads.
pub struct Sink<'a> {
    options: &'a ImportOptions,
    progress: &'a mut dyn FnMut(Progress) -> bool,
    told: Instant,
    total: u64,
    read: u64,
    /// Made at the first event, since a case begins with what is known of its host.
    writer: Option<CaseWriter>,
    host: Option<Host>,
    state: Option<HostSnapshot>,
    missing: Vec<(String, String)>,
    events: u64,
    latest: u64,
    /// Pieces without a time that stood before the first event: they get that one's.
    timeless: Vec<Timeless>,
    file: Option<FileReport>,
    files: Vec<FileReport>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        options: &'a ImportOptions,
        total: u64,
        progress: &'a mut dyn FnMut(Progress) -> bool,
    ) -> Sink<'a> {
        Sink {
            options,
            progress,
            told: Instant::now(),
            total,
            read: 0,
            writer: None,
            host: None,
            state: None,
            missing: Vec::new(),
            events: 0,
            latest: 0,
            timeless: Vec::new(),
            file: None,
            files: Vec::new(),
        }
    }

    /// What was asked for.
    pub fn options(&self) -> &'a ImportOptions {
        self.options
    }

    /// Says which host the file is of. Counts until the first event; of several files the first one's host is kept.
    pub fn host(&mut self, host: Host) {
        self.host.get_or_insert(host);
    }

    /// Says what ran on the host at the beginning. Counts until the first event, as [`Sink::host`].
    pub fn state(&mut self, state: HostSnapshot) {
        self.state.get_or_insert(state);
    }

    /// Says what the file does not tell, with the reason. Counts until the first event.
    pub fn missing(&mut self, what: &str, why: &str) {
        self.missing.push((what.to_owned(), why.to_owned()));
    }

    /// Writes an event. Events should come in the order of time.
    ///
    /// # Errors
    /// Where the case cannot be written, or the user wants to stop.
    pub fn event(&mut self, origin: Origin, event: &Event<'_>) -> Result<(), ImportError> {
        if !self.timeless.is_empty() {
            self.write_timeless(event.ts)?;
        }
        match self.writer()?.push(event) {
            Ok(_) => {}
            // One event that no block can hold costs only itself.
            Err(CaseError::Event(e)) => self.note_bad(origin, &e.to_string()),
            Err(e) => return Err(e.into()),
        }
        self.latest = event.ts;
        self.count()
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
            file.bad += 1;
            if file.problems.len() < MAX_PROBLEMS {
                file.problems.push((origin, reason.to_owned()));
            }
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
        self.own(ts, EventType::IMPORT_RAW, &args)?;
        self.count()
    }

    fn own(&mut self, ts: u64, kind: EventType, args: &[Arg<'_>]) -> Result<(), ImportError> {
        self.writer()?.push(&Event::bare(ts, kind, args))?;
        Ok(())
    }

    fn count(&mut self) -> Result<(), ImportError> {
        self.events += 1;
        if let Some(file) = &mut self.file {
            file.events += 1;
        }
        if self.events.is_multiple_of(LOOKED_EVERY) && self.told.elapsed() >= TOLD_EVERY {
            self.told = Instant::now();
            return self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) -> Result<(), ImportError> {
        let progress = Progress {
            read: self.read,
            total: self.total,
            events: self.events,
        };
        if (self.progress)(progress) {
            Ok(())
        } else {
            Err(ImportError::Interrupted)
        }
    }

    /// Tells how much of the file was read from disk, for the progress.
    pub fn at(&mut self, input: &Input) {
        let before: u64 = self.files.iter().map(|f| f.bytes).sum();
        self.read = before + input.disk_bytes();
    }

    fn writer(&mut self) -> Result<&mut CaseWriter, ImportError> {
        if self.writer.is_none() {
            let writer = self.create()?;
            self.writer = Some(writer);
        }
        self.writer.as_mut().ok_or(ImportError::NoFile)
    }

    fn create(&mut self) -> Result<CaseWriter, CaseError> {
        let output = &self.options.output;
        let id = CaseId::random().map_err(|source| CaseError::Io {
            path: output.clone(),
            source,
        })?;
        let mut sources: Vec<String> = self.file.iter().map(|f| format!("import {}", f.format)).collect();
        sources.dedup();
        let config = CaseConfig {
            tool: self.options.tool.clone(),
            host: self.host.take().unwrap_or_default(),
            capture: Capture {
                command_line: self.options.command_line.clone(),
                sources,
                missing: std::mem::take(&mut self.missing),
                ..Capture::default()
            },
            rotation: Rotation {
                size: Some(SEGMENT),
                ..Rotation::default()
            },
            block_span_ns: None,
            ..CaseConfig::new(id, Schema::current())
        };
        let mut state = self.state.take();
        let opener = move || Opening {
            state: state.take(),
            ..Opening::default()
        };
        CaseWriter::create(output, config, Box::new(opener))
    }

    pub(super) fn begin_file(&mut self, path: &Path, format: &'static str, input: &Input) -> Result<(), ImportError> {
        self.at(input);
        self.file = Some(FileReport {
            path: path.to_owned(),
            format,
            sha256: [0; 32],
            bytes: 0,
            events: 0,
            unknown: 0,
            bad: 0,
            problems: Vec::new(),
            end: End::Whole,
        });
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
        let hex: String = file.sha256.iter().map(|b| format!("{b:02x}")).collect();
        let path = file.path.to_string_lossy().into_owned();
        let cut = match &file.end {
            End::Whole => (Arg::None, Arg::None),
            End::Cut { offset, reason } => (number(*offset), Arg::Str(reason.as_bytes())),
        };
        let args = [
            Arg::Str(path.as_bytes()),
            Arg::Str(file.format.as_bytes()),
            number(file.bytes),
            Arg::Str(hex.as_bytes()),
            number(file.events),
            number(file.unknown),
            number(file.bad),
            cut.0,
            cut.1,
        ];
        self.own(self.latest, EventType::IMPORTED, &args)?;
        self.files.push(file);
        self.read = self.files.iter().map(|f| f.bytes).sum();
        self.tell()
    }

    pub(super) fn finish(mut self) -> Result<ImportOutcome, ImportError> {
        let writer = self.writer.take().ok_or(ImportError::NoFile)?;
        Ok(ImportOutcome {
            summary: writer.finish()?,
            files: self.files,
        })
    }
}

fn number(n: u64) -> Arg<'static> {
    Arg::Num(i64::try_from(n).unwrap_or(i64::MAX))
}
