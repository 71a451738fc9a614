//! Writing a case: events become blocks, blocks become segments, segments rotate.

mod config;
mod folder;
mod gaps;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use config::{CaseConfig, Existing, Keep, OnFull, Opening, Rotation, Summary};

use super::error::CaseError;
use crate::block::{BlockBuilder, Compressor, PushError};
use crate::event::{Event, EventType, Origin};
use crate::segment::{About, CaseId, Previous, Room, SegmentError, SegmentHeader, SegmentWriter, Totals, is_full};
use folder::{Folder, Start};
use gaps::Gaps;

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
    gaps: Gaps,
    /// What is missing and in no block yet.
    untold: Gaps,
    /// When a block was last lost and that was told, and how long what comes then may wait; UTC nanoseconds.
    told_ts: u64,
    patience_ns: u64,
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
            gaps: Gaps::default(),
            untold: Gaps::default(),
            told_ts: 0,
            patience_ns: 0,
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
    #[inline]
    pub fn push(&mut self, event: &Event<'_>) -> Result<u64, CaseError> {
        if self.stands_apart(event) {
            return self.push_apart(event, None);
        }
        match self.builder.push(event) {
            Ok(()) => Ok(self.last_seq()),
            Err(refused) => self.push_refused(event, None, refused),
        }
    }

    /// Adds an event that stood in a file.
    ///
    /// # Errors
    /// As [`CaseWriter::push`].
    pub fn push_from(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<u64, CaseError> {
        if self.stands_apart(event) {
            return self.push_apart(event, origin);
        }
        match self.builder.push_from(event, origin) {
            Ok(()) => Ok(self.last_seq()),
            Err(refused) => self.push_refused(event, origin, refused),
        }
    }

    /// Whether an event may be the first of its block, or is a gap.
    #[inline]
    fn stands_apart(&self, event: &Event<'_>) -> bool {
        self.builder.is_full() || event.kind == EventType::GAP || !self.follows(event.ts)
    }

    /// Whether the block being built, which has events, may have one of that time without more thought: it is no older than
    /// the oldest of them.
    #[inline]
    fn follows(&self, ts: u64) -> bool {
        let most = self.config.block_span_ns.unwrap_or(u64::MAX);
        let range = self.builder.time_range();
        range.is_some_and(|(min, _)| ts.wrapping_sub(min) < most)
    }

    /// Adds an event that may be the first of its block, or is a gap. Apart, so that results are not moved about for each event.
    #[inline(never)]
    fn push_apart(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<u64, CaseError> {
        if self.builder.is_full() || !(self.builder.is_empty() || self.spans(event.ts)) {
            return self.push_into_next(event, origin);
        }
        self.add_and_tell(event, origin)
    }

    /// The number of the event that was added last.
    #[inline]
    fn last_seq(&self) -> u64 {
        self.block_seq + self.builder.len() as u64 - 1
    }

    /// Adds an event that its block refuses to the next one, where that may help.
    #[cold]
    fn push_refused(
        &mut self,
        event: &Event<'_>,
        origin: Option<Origin<'_>>,
        refused: PushError,
    ) -> Result<u64, CaseError> {
        match refused {
            // Full before its 64 Ki events are reached: large payloads.
            PushError::Full | PushError::TooLarge { .. } if !self.builder.is_empty() => {
                self.push_into_next(event, origin)
            }
            other => Err(self.not_added(event, other.into())),
        }
    }

    /// Ends the block before it adds an event.
    fn push_into_next(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<u64, CaseError> {
        let written = self.flush();
        self.add_and_tell(event, origin).and_then(|seq| written.map(|()| seq))
    }

    fn add_and_tell(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<u64, CaseError> {
        match self.add(event, origin) {
            Ok(()) => Ok(self.last_seq()),
            Err(error) => Err(self.not_added(event, error)),
        }
    }

    /// Counts an event that cannot be stored.
    #[cold]
    fn not_added(&mut self, event: &Event<'_>, error: CaseError) -> CaseError {
        if let CaseError::Event(_) = &error {
            self.summary.lost += 1;
            self.untold.unwritten(1, (event.ts, event.ts), &error.reason());
        }
        error
    }

    fn add(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<(), CaseError> {
        if self.builder.is_empty() {
            self.tell_untold();
        }
        match self.builder.push_from(event, origin) {
            // Full before its 64 Ki events are reached: large payloads.
            Err(PushError::Full | PushError::TooLarge { .. }) if !self.builder.is_empty() => {
                let written = self.flush();
                self.builder.push_from(event, origin)?;
                written?;
            }
            pushed => pushed?,
        }
        if event.kind == EventType::GAP
            && let Some(spec) = self.config.schema.get(event.kind)
        {
            self.gaps.note(spec, event);
        }
        Ok(())
    }

    /// Whether the block being built, which has events, may have one of that time.
    #[inline]
    fn spans(&self, ts: u64) -> bool {
        let most = self.config.block_span_ns;
        let range = self.builder.time_range();
        range.is_some_and(|(min, max)| most.is_none_or(|most| max.max(ts) - min.min(ts) < most))
    }

    /// Another handle of the file of the segment that is being written, for whoever makes it durable meanwhile
    /// (`fdatasync`); `None` between two segments.
    ///
    /// # Errors
    /// Where the process has too many descriptors.
    pub fn file(&self) -> Option<io::Result<File>> {
        self.segment.as_ref().map(|segment| segment.file.handle())
    }

    /// Writes the events taken so far as a block, whatever its size. What cannot be written becomes a gap of the next block
    /// that can.
    ///
    /// # Errors
    /// As [`CaseWriter::push`].
    pub fn flush(&mut self) -> Result<(), CaseError> {
        self.flush_into(Room::Free)
    }

    fn flush_into(&mut self, room: Room) -> Result<(), CaseError> {
        let removed = self.leave_removed();
        self.tell_untold();
        let events = self.builder.len() as u64;
        if events == 0 {
            return removed;
        }
        let window = self.builder.time_range().unwrap_or_default();
        match self.write_block(room) {
            Ok(()) => {
                self.patience_ns = 0;
                self.tell_untold();
                self.enforce_bounds().and(removed)
            }
            Err(e) => {
                let lost = events.saturating_sub(self.gaps.events());
                let error = e.costing(lost);
                self.block_lost(lost, window, &error);
                Err(error)
            }
        }
    }

    /// Gives up a segment whose file somebody removed: what is written there is lost when the recording ends. The next one
    /// says what is missing, in a new folder where the old one is gone too.
    fn leave_removed(&mut self) -> Result<(), CaseError> {
        let Some(current) = self.segment.take_if(|current| current.file.is_removed()) else {
            return Ok(());
        };
        let (path, totals) = (current.file.open_path(), current.totals);
        let lost = self.untold.removed(&totals);
        self.summary.lost += lost;
        self.summary.events = self.summary.events.saturating_sub(totals.events);
        self.folder.renew()?;
        Err(CaseError::Removed { path, lost })
    }

    /// Puts what is not told yet into the block being built. What a block that is full does not take is for the next.
    fn tell_untold(&mut self) {
        if self.untold.is_empty() {
            return;
        }
        let schema = Arc::clone(&self.config.schema);
        let Some(spec) = schema.get(EventType::GAP) else { return };
        self.untold.tell(spec, |event| {
            let taken = self.builder.push_from(event, None).is_ok();
            if taken {
                self.gaps.note(spec, event);
            }
            taken
        });
    }

    /// Keeps what is to be said of a block that could not be written, and says it at once in the room that is reserved
    /// for that: the recorder may be killed before there is any other. It says it less and less often, so that this room
    /// suffices however long that lasts.
    fn block_lost(&mut self, lost: u64, window: (u64, u64), error: &CaseError) {
        // Whatever happened, the builder starts over; its numbers are given to the next events.
        self.builder = BlockBuilder::new(Arc::clone(&self.config.schema));
        self.untold.merge(std::mem::take(&mut self.gaps));
        if lost > 0 {
            self.summary.lost += lost;
            self.untold.unwritten(lost, window, &error.reason());
        }
        if window.1 < self.told_ts.saturating_add(self.patience_ns) || self.untold.is_empty() {
            return;
        }
        self.tell_untold();
        if self.write_block(Room::Reserved).is_ok() {
            self.told_ts = window.1;
            self.patience_ns = (self.patience_ns * 2).max(config::BLOCK_SPAN_NS);
        } else {
            self.builder = BlockBuilder::new(Arc::clone(&self.config.schema));
            self.untold.merge(std::mem::take(&mut self.gaps));
        }
    }

    fn write_block(&mut self, room: Room) -> Result<(), CaseError> {
        if room == Room::Free {
            self.rotate_if_due()?;
        }
        let events = self.builder.len() as u64;
        let link = self.current()?.file.link();
        let block = self
            .builder
            .finish(self.block_seq, link, &mut self.compressor)
            .map_err(|source| CaseError::Block { lost: events, source })?;
        if room == Room::Free {
            self.stay_within((block.head_bytes.len() + block.body.len()) as u64)?;
        }
        self.with_room(|file| file.block(&block, room))?;
        let mut totals = Totals {
            lost: std::mem::take(&mut self.gaps).totals(),
            ..Totals::default()
        };
        totals.add_block(&block.head, &self.config.schema);
        self.current()?.totals.add(&totals);
        self.block_seq += events;
        self.summary.events += events;
        self.summary.blocks += 1;
        Ok(())
    }

    /// Writes to the current segment; makes room by deleting old ones where that is the policy. What was deleted
    /// gives its room back only when the last reader has closed it.
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

    /// Makes sure that the case may have so many bytes more.
    fn stay_within(&mut self, bytes: u64) -> Result<(), CaseError> {
        let Some(max) = self.config.max_bytes else {
            return Ok(());
        };
        loop {
            let current = self.segment.as_ref().map(|c| c.file.bytes() + c.file.kept_room());
            if self.folder.bytes() + current.unwrap_or(0) + bytes <= max {
                return Ok(());
            }
            if !self.make_room()? {
                let path = self.folder.path().to_owned();
                return Err(CaseError::AtBound { path, lost: 0, max });
            }
        }
    }

    /// Ends a segment before its next block. It goes on where there is no room for another one: without a segment there
    /// would be nowhere to say so.
    fn rotate_if_due(&mut self) -> Result<(), CaseError> {
        let Some(current) = &self.segment else { return Ok(()) };
        let span = current.totals.ts.map_or(0, |(min, max)| max - min);
        let (rotation, max) = (self.config.rotation, self.config.max_bytes);
        let due = rotation
            .segment_size(max)
            .is_some_and(|size| current.file.bytes() >= size)
            || rotation.every_ns.is_some_and(|ns| span >= ns);
        if !due {
            return Ok(());
        }
        let room = current.file.successor_room();
        let there_is = self
            .stay_within(room)
            .and_then(|()| self.with_room(|file| Ok(file.reserve(room)?)));
        match there_is {
            Err(e) if e.is_storage_full() => Ok(()),
            Err(e) => Err(e),
            Ok(()) => self.close_segment(),
        }
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
            let (folder, path) = (self.folder.handle()?, self.folder.path());
            match SegmentWriter::create(folder, path, &header, opening.state.as_ref(), self.config.sync) {
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
            kept_bytes: self.folder.bytes() + current,
            ..self.summary
        }
    }

    /// The case's id.
    pub fn id(&self) -> CaseId {
        self.id
    }

    /// Writes what is left, closes the segment and makes everything durable. On a full disk, what is left goes into the
    /// room that is reserved where it fits, as what is missing does.
    ///
    /// # Errors
    /// As [`CaseWriter::push`]; where the segment could not be closed it is left unfinished, and readable up to its last
    /// block.
    pub fn close(&mut self) -> Result<(), CaseError> {
        let flushed = self.flush_into(Room::Reserved);
        // What is missing, where that was not told at once.
        let told = self.flush_into(Room::Reserved);
        self.close_segment()?;
        self.enforce_bounds()?;
        flushed.and(told)
    }

    /// Closes the case; see [`CaseWriter::close`].
    ///
    /// # Errors
    /// As [`CaseWriter::close`].
    pub fn finish(mut self) -> Result<Summary, CaseError> {
        self.close().map(|()| self.summary())
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
