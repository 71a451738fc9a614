//! The case that an import writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ctrace_trace::case::{CaseConfig, CaseError, CaseWriter, Opening as CaseOpening, Rotation, Summary};
use ctrace_trace::event::{Event, EventType, Origin};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{Capture, CaseId, Host};
use ctrace_trace::snapshot::HostSnapshot;

use super::{FileReport, ImportError, ImportOptions, Progress};

/// A segment ends at this size, as one of a recording does by default.
const SEGMENT: u64 = 256 << 20;
/// How often progress is told after the first time, and after how many events the clock is looked at.
const TOLD_EVERY: Duration = Duration::from_millis(100);
const LOOKED_EVERY: u64 = 8192;

/// What a case begins with.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pub(super) host: Option<Host>,
    pub(super) state: Option<HostSnapshot>,
    pub(super) missing: Vec<(String, String)>,
}

/// Why no block can hold an event: it costs only itself.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

/// Writes the case; made at the first event, since it begins with what is known of its host.
pub(super) struct Output<'a> {
    options: &'a ImportOptions,
    progress: &'a mut dyn FnMut(Progress) -> bool,
    told: Option<Instant>,
    total: u64,
    /// What each reader has read from disk.
    read: Vec<Arc<AtomicU64>>,
    /// The formats of the files.
    formats: Vec<&'static str>,
    writer: Option<CaseWriter>,
    pub(super) opening: Opening,
    events: u64,
    latest: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        options: &'a ImportOptions,
        total: u64,
        read: Vec<Arc<AtomicU64>>,
        formats: Vec<&'static str>,
        progress: &'a mut dyn FnMut(Progress) -> bool,
    ) -> Output<'a> {
        Output {
            options,
            progress,
            told: None,
            total,
            read,
            formats,
            writer: None,
            opening: Opening::default(),
            events: 0,
            latest: 0,
        }
    }

    /// What was told before the first event of some file. Of several files the first one's host counts.
    pub(super) fn open_with(&mut self, other: Opening) {
        // The state is of a host: one must not go without the other.
        if self.opening.host.is_none() && self.opening.state.is_none() {
            (self.opening.host, self.opening.state) = (other.host, other.state);
        }
        self.opening.missing.extend(other.missing);
    }

    /// Writes an event.
    pub(super) fn event(
        &mut self,
        origin: Option<Origin<'_>>,
        event: &Event<'_>,
    ) -> Result<Option<Refused>, ImportError> {
        let refused = match self.writer()?.push_from(event, origin) {
            Ok(_) => None,
            Err(CaseError::Event(e)) => Some(Refused(e.to_string())),
            Err(e) => return Err(e.into()),
        };
        self.latest = event.ts;
        if event.kind != EventType::IMPORTED {
            self.events += 1;
            if self.events.is_multiple_of(LOOKED_EVERY) && self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
                self.told = Some(Instant::now());
                self.tell()?;
            }
        }
        Ok(refused)
    }

    /// Tells of a file that was not read.
    pub(super) fn note(&mut self, file: &FileReport) -> Result<(), ImportError> {
        file.with_event(self.latest, |event| self.event(None, event))
            .map(|_| ())
    }

    /// Tells the progress.
    pub(super) fn tell(&mut self) -> Result<(), ImportError> {
        let progress = Progress {
            read: self.read.iter().map(|r| r.load(Ordering::Relaxed)).sum(),
            total: self.total,
            events: self.events,
        };
        if (self.progress)(progress) {
            Ok(())
        } else {
            Err(ImportError::Interrupted)
        }
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
        let config = CaseConfig {
            tool: self.options.tool.clone(),
            host: self.opening.host.take().unwrap_or_default(),
            capture: Capture {
                command_line: self.options.command_line.clone(),
                sources: self.formats.iter().map(|f| format!("import {f}")).collect(),
                missing: std::mem::take(&mut self.opening.missing),
                ..Capture::default()
            },
            rotation: Rotation {
                size: Some(SEGMENT),
                ..Rotation::default()
            },
            block_span_ns: None,
            ..CaseConfig::new(id, Schema::current())
        };
        let mut state = self.opening.state.take();
        let opener = move || CaseOpening {
            state: state.take(),
            ..CaseOpening::default()
        };
        CaseWriter::create(output, config, Box::new(opener))
    }

    pub(super) fn finish(mut self) -> Result<Summary, ImportError> {
        let writer = self.writer.take().ok_or(ImportError::NoFile)?;
        Ok(writer.finish()?)
    }
}
