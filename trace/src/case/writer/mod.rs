//! Writing a case: events become blocks, blocks become segments, segments rotate.

mod config;
mod folder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use config::{CaseConfig, Existing, Keep, OnFull, Opening, Rotation, Summary};

use super::error::{CaseError, is_full};
use crate::block::{BlockBuilder, Compressor, PushError};
use crate::event::{Arg, Event, EventType};
use crate::segment::{About, CaseId, Previous, SegmentError, SegmentHeader, SegmentWriter, Totals};
use folder::{Folder, Start};

/// Gives what each new segment starts from. Called at the first event of a segment: must not take long.
pub type Opener = Box<dyn FnMut() -> Opening + Send>;

/// Writes a case. When it is dropped without [`CaseWriter::finish`], what was written stays as an unfinished segment.
pub struct CaseWriter {
    config: CaseConfig,
    id: CaseId,
    opener: Opener,
    folder: Folder,
    builder: BlockBuilder,
    compressor: Compressor,
    /// The segment being written; begun by the first event after a rotation.
    segment: Option<Current>,
    next_segment: u32,
    previous: Option<Previous>,
    /// Number of the first event of the block being built.
    block_seq: u64,
    /// What the gap events of the block being built say.
    block_lost: BTreeMap<(String, i64), u64>,
    summary: Summary,
}

/// The segment being written.
struct Current {
    file: SegmentWriter,
    totals: Totals,
}

impl CaseWriter {
    /// Begins (or continues) a case in a folder, and its first segment.
    ///
    /// # Errors
    /// Where the folder is in use, not empty (unless the case is to be continued), or cannot be written.
    pub fn create(dir: &Path, config: CaseConfig, opener: Opener) -> Result<CaseWriter, CaseError> {
        let (folder, start) = Folder::open(dir, &config)?;
        let Start {
            id,
            segment,
            seq,
            previous,
        } = start;
        let mut writer = CaseWriter {
            builder: BlockBuilder::new(Arc::clone(&config.schema)),
            compressor: Compressor::new(config.level),
            config,
            id,
            opener,
            folder,
            segment: None,
            next_segment: segment,
            previous,
            block_seq: seq,
            block_lost: BTreeMap::new(),
            summary: Summary::default(),
        };
        writer.begin_segment()?;
        Ok(writer)
    }

    /// Adds an event and returns its number. Events should come in the order of (time, source).
    ///
    /// # Errors
    /// [`CaseError::Event`] for an event that cannot be stored; [`CaseError::Lost`] and [`CaseError::Block`] where the
    /// block before could not be written: this event is then in the next block, and writing can go on. Other errors
    /// come from rotation and lose nothing.
    pub fn push(&mut self, event: &Event<'_>) -> Result<u64, CaseError> {
        let due = self.builder.is_full() || self.spans_too_much(event.ts);
        let written = if due { self.flush() } else { Ok(()) };
        let seq = self.add(event)?;
        written.map(|()| seq)
    }

    fn add(&mut self, event: &Event<'_>) -> Result<u64, CaseError> {
        match self.builder.push(event) {
            // Full before its 64 Ki events are reached: large payloads.
            Err(PushError::Full | PushError::TooLarge { .. }) if !self.builder.is_empty() => {
                let written = self.flush();
                self.builder.push(event)?;
                written?;
            }
            pushed => pushed?,
        }
        if event.kind == EventType::GAP {
            self.note_gap(event);
        }
        Ok(self.block_seq + self.builder.len() as u64 - 1)
    }

    fn spans_too_much(&self, ts: u64) -> bool {
        let Some(most) = self.config.block_span_ns else {
            return false;
        };
        let range = self.builder.time_range();
        range.is_some_and(|(min, max)| max.max(ts) - min.min(ts) >= most)
    }

    fn note_gap(&mut self, event: &Event<'_>) {
        let Some(spec) = self.config.schema.get(event.kind) else {
            return;
        };
        let arg = |name| spec.param(name).and_then(|slot| event.args.get(slot)).copied();
        let num = |name| match arg(name) {
            Some(Arg::Num(n)) => n,
            _ => 0,
        };
        let source = match arg("source") {
            Some(Arg::Str(s)) => String::from_utf8_lossy(s).into_owned(),
            _ => String::new(),
        };
        let sum = self.block_lost.entry((source, num("class"))).or_default();
        *sum = sum.saturating_add(num("count") as u64);
    }

    /// Writes the events taken so far as a block, whatever its size.
    ///
    /// # Errors
    /// As [`CaseWriter::push`].
    pub fn flush(&mut self) -> Result<(), CaseError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let events = self.builder.len() as u64;
        let lost = std::mem::take(&mut self.block_lost);
        if let Err(e) = self.write_block(lost) {
            // Whatever happened, the builder starts over; its numbers are given to the next events.
            self.builder = BlockBuilder::new(Arc::clone(&self.config.schema));
            self.summary.lost += events;
            return Err(match e {
                CaseError::Io { path, source } => CaseError::Lost {
                    path,
                    lost: events,
                    source,
                },
                other => other,
            });
        }
        self.rotate_if_due()
    }

    fn write_block(&mut self, lost: BTreeMap<(String, i64), u64>) -> Result<(), CaseError> {
        let events = self.builder.len() as u64;
        let link = self.current()?.file.link();
        let block = self
            .builder
            .finish(self.block_seq, link, &mut self.compressor)
            .map_err(|source| CaseError::Block { lost: events, source })?;
        self.with_room(|file| file.block(&block))?;
        let mut totals = Totals {
            lost,
            ..Totals::default()
        };
        totals.add_block(&block.head, &self.config.schema);
        self.current()?.totals.add(&totals);
        self.block_seq += events;
        self.summary.events += events;
        self.summary.blocks += 1;
        Ok(())
    }

    /// Writes to the current segment; makes room by deleting old ones where that is the policy.
    fn with_room<T>(
        &mut self,
        mut write: impl FnMut(&mut SegmentWriter) -> Result<T, SegmentError>,
    ) -> Result<T, CaseError> {
        loop {
            let file = &mut self.current()?.file;
            let path = file.open_path();
            match write(file) {
                Err(SegmentError::Io(e)) if is_full(&e) && self.make_room()? => {}
                result => return result.map_err(|e| CaseError::segment(path, e)),
            }
        }
    }

    fn make_room(&mut self) -> Result<bool, CaseError> {
        let dropped = self.config.on_full == OnFull::DropOldest && self.folder.drop_oldest()?;
        self.summary.deleted += u32::from(dropped);
        Ok(dropped)
    }

    fn rotate_if_due(&mut self) -> Result<(), CaseError> {
        let Some(current) = &self.segment else { return Ok(()) };
        let span = current.totals.ts.map_or(0, |(min, max)| max - min);
        let rotation = self.config.rotation;
        let due = rotation.segment_size().is_some_and(|size| current.file.bytes() >= size)
            || rotation.every_ns.is_some_and(|ns| span >= ns);
        if due {
            self.close_segment()?;
        }
        self.enforce_bounds()
    }

    fn enforce_bounds(&mut self) -> Result<(), CaseError> {
        let current = self.segment.as_ref().map_or(0, |c| c.file.bytes());
        self.summary.deleted += self.folder.enforce(self.config.rotation.keep, current)?;
        Ok(())
    }

    fn close_segment(&mut self) -> Result<(), CaseError> {
        let Some(current) = &self.segment else { return Ok(()) };
        let totals = current.totals.clone();
        let closed = self.with_room(|file| file.close(&totals))?;
        self.previous = Some(Previous {
            segment: self.next_segment - 1,
            sha256: closed.sha256,
        });
        self.folder.closed(&closed);
        self.summary.bytes += closed.bytes;
        self.segment = None;
        Ok(())
    }

    /// The segment being written, begun now where there is none.
    fn current(&mut self) -> Result<&mut Current, CaseError> {
        if self.segment.is_none() {
            self.begin_segment()?;
        }
        self.segment
            .as_mut()
            .ok_or_else(|| CaseError::Empty(self.folder.path().to_owned()))
    }

    fn begin_segment(&mut self) -> Result<(), CaseError> {
        let opening = (self.opener)();
        let header = self.header(&opening);
        let created = loop {
            match SegmentWriter::create(self.folder.path(), &header, opening.state.as_ref(), self.config.sync) {
                Err(SegmentError::Io(e)) if is_full(&e) && self.make_room()? => {}
                created => break created,
            }
        };
        let file = created.map_err(|e| CaseError::segment(self.folder.path().to_owned(), e))?;
        self.summary.segments += 1;
        self.next_segment += 1;
        self.segment = Some(Current {
            file,
            totals: Totals::default(),
        });
        self.enforce_bounds()
    }

    fn header(&self, opening: &Opening) -> SegmentHeader {
        let about = About {
            case_id: self.id,
            segment: self.next_segment,
            first_seq: self.block_seq,
            previous: self.previous.clone(),
            tool: self.config.tool.clone(),
            host: self.config.host.clone(),
            capture: self.config.capture.clone(),
            clock: opening.clock,
            required_features: 0,
            optional_features: 0,
            extensions: Vec::new(),
        };
        SegmentHeader {
            about,
            schema: Arc::clone(&self.config.schema),
        }
    }

    /// What was written so far.
    pub fn summary(&self) -> Summary {
        let current = self.segment.as_ref().map_or(0, |c| c.file.bytes());
        Summary {
            bytes: self.summary.bytes + current,
            ..self.summary
        }
    }

    /// The case's id.
    pub fn id(&self) -> CaseId {
        self.id
    }

    /// Writes what is left, closes the segment and makes everything durable.
    ///
    /// # Errors
    /// As [`CaseWriter::push`]; then the last segment is left unfinished, and readable up to its last block.
    pub fn finish(mut self) -> Result<Summary, CaseError> {
        let flushed = self.flush();
        self.close_segment()?;
        self.enforce_bounds()?;
        flushed.map(|()| self.summary)
    }
}

impl std::fmt::Debug for CaseWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaseWriter")
            .field("id", &self.id)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}
