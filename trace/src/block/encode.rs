//! Building a block: events go in one by one, a head and a body come out.

use std::sync::Arc;

use super::args::ArgBuffer;
use super::contexts::ContextTable;
use super::data::Captured;
use super::decoded::{ABSENT, Context};
use super::error::{BlockError, PushError};
use super::fds::FdTable;
use super::finish::Coder;
use super::frame::Compressor;
use super::head::{BlockHead, Hash};
use super::images::{ImageCost, ImageTable};
use super::latencies::Latencies;
use super::numbers::NumBuffer;
use super::origins::OriginTable;
use super::strings::Interner;
use super::time::Steps;
use super::{MAX_EVENTS, MAX_PARAMS, MAX_STRINGS};
use crate::event::{Event, EventType, Origin};
use crate::process::ProcessImage;
use crate::schema::{EventSpec, Schema};

/// A block whose parts may take so many bytes uncompressed should end.
const SOFT_LIMIT: usize = 16 << 20;
/// An event that would take a block beyond this is refused. Leaves room below [`super::MAX_FRAME`].
const HARD_LIMIT: usize = 48 << 20;
/// What an event without arguments may cost.
const EVENT_WEIGHT: usize = 64;

/// Where the number of a file stands in the ids of its images and objects, and how many of its bits: importers count
/// from 1, and from the topmost bit.
const SPACE_SHIFT: u32 = 48;
const SPACES: u64 = (1 << 15) - 1;

/// A finished block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBlock {
    /// The head.
    pub head: BlockHead,
    /// The head as it is stored.
    pub head_bytes: Vec<u8>,
    /// The frames.
    pub body: Vec<u8>,
    /// SHA-256 of `head_bytes`: the `prev` of the next link.
    pub hash: Hash,
}

/// Collects events for one block after another; keeps its memory between blocks.
#[derive(Debug)]
pub struct BlockBuilder {
    schema: Arc<Schema>,
    content: Content,
    weight: usize,
    coder: Coder,
}

/// The events of a block under construction, in columns already.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) kinds: KindBuffers,
    pub(super) strings: Interner,
    pub(super) images: ImageTable,
    pub(super) fds: FdTable,
    pub(super) contexts: ContextTable,
    pub(super) rows: Vec<Row>,
    pub(super) steps: Steps,
    pub(super) data: Captured,
    pub(super) origins: OriginTable,
    pub(super) latencies: Latencies,
    /// That of the first event.
    pub(super) base_ts: u64,
    /// Smallest and largest time stamp; `None` where there is no event.
    pub(super) range: Option<(u64, u64)>,
    pub(super) ts_unsorted: bool,
}

/// What every event has, side by side: one place to write to for each event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Index into [`Content::kinds`].
    pub(super) kind: u16,
    pub(super) cpu: u16,
    /// Index into [`Content::contexts`].
    pub(super) context: u32,
    /// From the event before, as [`Steps`] gives it.
    pub(super) step: u32,
}

/// What the events of one type carry.
#[derive(Debug)]
pub(super) struct KindBuffer {
    pub(super) spec: EventSpec,
    pub(super) rets: NumBuffer,
    pub(super) fd_nums: NumBuffer,
    /// Provisional indices of open objects.
    pub(super) fds: Vec<u32>,
    pub(super) args: Vec<ArgBuffer>,
}

/// The event types that this builder has met, in order of their first event ever.
#[derive(Debug, Default)]
pub(super) struct KindBuffers {
    /// Index into `list` by event type; grows as needed.
    slots: Vec<u16>,
    pub(super) list: Vec<KindBuffer>,
}

const NO_SLOT: u16 = u16::MAX;

impl KindBuffers {
    #[inline]
    fn slot(&mut self, schema: &Schema, id: EventType) -> Result<u16, PushError> {
        match self.slots.get(id.0 as usize) {
            Some(&slot) if slot != NO_SLOT => Ok(slot),
            _ => self.add(schema, id),
        }
    }

    #[cold]
    fn add(&mut self, schema: &Schema, id: EventType) -> Result<u16, PushError> {
        let spec = schema.get(id).ok_or(PushError::UnknownKind(id))?;
        if spec.params.len() > MAX_PARAMS {
            return Err(PushError::TooManyParams(spec.name.clone()));
        }
        let at = id.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, NO_SLOT);
        }
        let slot = self.list.len() as u16;
        self.slots[at] = slot;
        self.list.push(KindBuffer {
            spec: spec.clone(),
            rets: NumBuffer::default(),
            fd_nums: NumBuffer::default(),
            fds: Vec::new(),
            args: spec.params.iter().map(ArgBuffer::new).collect(),
        });
        Ok(slot)
    }
}

impl KindBuffer {
    /// Checks that the arguments are those declared and says what they may cost.
    #[inline]
    fn check(&self, event: &Event<'_>) -> Result<usize, PushError> {
        if self.args.len() != event.args.len() {
            return Err(self.wrong_count(event));
        }
        let mut weight = EVENT_WEIGHT + event.data.len();
        for (index, (buffer, arg)) in self.args.iter().zip(event.args).enumerate() {
            match buffer.weight(arg) {
                Some(more) => weight += more,
                None => return Err(self.wrong_kind(index)),
            }
        }
        Ok(weight)
    }

    #[cold]
    fn wrong_count(&self, event: &Event<'_>) -> PushError {
        PushError::ArgCount {
            name: self.spec.name.clone(),
            declared: self.args.len(),
            given: event.args.len(),
        }
    }

    #[cold]
    fn wrong_kind(&self, index: usize) -> PushError {
        PushError::ArgKind {
            name: self.spec.name.clone(),
            index,
            param: self.spec.params.get(index).map(|p| p.name.clone()).unwrap_or_default(),
        }
    }

    fn clear(&mut self) {
        self.rets.clear();
        self.fd_nums.clear();
        self.fds.clear();
        self.args.iter_mut().for_each(ArgBuffer::clear);
    }
}

impl BlockBuilder {
    /// A builder for events that `schema` declares.
    pub fn new(schema: Arc<Schema>) -> BlockBuilder {
        BlockBuilder {
            schema,
            content: Content::default(),
            weight: 0,
            coder: Coder::default(),
        }
    }

    /// Adds an event. On an error the block is as it was before; after [`PushError::TooLarge`] the event may fit into
    /// the next block.
    pub fn push(&mut self, event: &Event<'_>) -> Result<(), PushError> {
        self.push_from(event, None)
    }

    /// Adds an event that stood in a file.
    ///
    /// # Errors
    /// As [`BlockBuilder::push`].
    pub fn push_from(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<(), PushError> {
        let content = &mut self.content;
        if content.rows.len() >= MAX_EVENTS as usize {
            return Err(PushError::Full);
        }
        // Who imports counts images and objects anew for each file.
        let space = origin.as_ref().map_or(0, |o| (o.file.id & SPACES) << SPACE_SHIFT);
        content.images.enter(space);
        content.fds.enter(space);
        let slot = content.kinds.slot(&self.schema, event.kind)?;
        let mut weight = content.kinds.list[slot as usize].check(event)?;
        let fd = event.fd.map(|fd| content.fds.find(fd.id).ok_or(fd));
        if let Some(Err(fd)) = fd {
            weight += fd.name.len() + fd.name_raw.len();
        }
        let image = event.image.map(|image| content.images.find(image.id).ok_or(image));
        if let Some(Err(image)) = image {
            let cost = content.images.cost(image);
            weight += cost.bytes + cost.container_bytes;
            check_image(content, cost, weight, self.weight)?;
        }
        if let Some(origin) = &origin {
            weight += content.origins.weight(origin);
        }
        if self.weight + weight > HARD_LIMIT {
            return Err(too_large(weight, self.weight));
        }
        self.weight += weight;
        let image = image.map(|image| content.image(image));
        let fd = match fd {
            None => 0,
            Some(Ok(at)) => at,
            Some(Err(fd)) => content.fds.add(fd, &mut content.strings),
        };
        if let Some(origin) = &origin {
            content.origins.add(content.rows.len() as u32, origin);
        }
        content.add(event, slot, image, fd);
        Ok(())
    }

    /// How many events the block has so far.
    pub fn len(&self) -> usize {
        self.content.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.content.rows.is_empty()
    }

    /// Whether the block should be finished before another event is pushed: it has as many events as it can hold, or
    /// what they refer to has grown large.
    pub fn is_full(&self) -> bool {
        self.len() >= MAX_EVENTS as usize
            || self.weight >= SOFT_LIMIT
            || self.content.strings.len() >= MAX_STRINGS as usize / 2
            || self.content.images.is_full()
    }

    /// Smallest and largest time stamp so far.
    pub fn time_range(&self) -> Option<(u64, u64)> {
        self.content.range
    }

    /// Codes the events collected so far and starts over. `first_seq` is the number of the first event in the
    /// recording, `prev` the hash of the previous link.
    pub fn finish(
        &mut self,
        first_seq: u64,
        prev: Hash,
        compressor: &mut Compressor,
    ) -> Result<EncodedBlock, BlockError> {
        let (mut head, body) = self.coder.code(&self.content, compressor);
        self.clear();
        head.first_seq = first_seq;
        head.prev = prev;
        let head_bytes = head.encode()?;
        let hash = BlockHead::hash(&head_bytes);
        Ok(EncodedBlock {
            head,
            head_bytes,
            body,
            hash,
        })
    }

    fn clear(&mut self) {
        self.weight = 0;
        let c = &mut self.content;
        c.kinds.list.iter_mut().for_each(KindBuffer::clear);
        c.strings.clear();
        c.images.clear();
        c.fds.clear();
        c.contexts.clear();
        c.rows.clear();
        c.data.clear();
        c.origins.clear();
        c.latencies.clear();
        c.range = None;
        c.base_ts = 0;
        c.steps.start(0);
        c.ts_unsorted = false;
    }
}

fn check_image(content: &Content, cost: ImageCost, bytes: usize, used: usize) -> Result<(), PushError> {
    if content.images.has_room(cost) {
        Ok(())
    } else {
        Err(too_large(bytes, used))
    }
}

#[cold]
fn too_large(bytes: usize, used: usize) -> PushError {
    PushError::TooLarge {
        bytes,
        limit: HARD_LIMIT.saturating_sub(used),
    }
}

impl Content {
    fn image(&mut self, image: Result<u32, &Arc<ProcessImage>>) -> u32 {
        image.unwrap_or_else(|image| self.images.add(image, &mut self.strings))
    }

    /// Adds an event that has been checked.
    fn add(&mut self, event: &Event<'_>, slot: u16, image: Option<u32>, fd: u32) {
        let kind = &mut self.kinds.list[slot as usize];
        kind.rets.push(event.ret.unwrap_or(ABSENT));
        kind.fd_nums.push(event.fd_num.map_or(ABSENT, i64::from));
        kind.fds.push(fd);
        let fd_name = event.fd.map_or(&[][..], |fd| &fd.name);
        for (buffer, arg) in kind.args.iter_mut().zip(event.args) {
            buffer.push(arg, fd_name, &mut self.strings);
        }
        let context = Context { tid: event.tid, image };
        if let Some(latency) = event.latency {
            self.latencies.add(self.rows.len(), latency);
        }
        self.data.add(event.data);
        let row = Row {
            kind: slot,
            cpu: event.cpu,
            context: self.contexts.id(context),
            step: self.step(event.ts),
        };
        self.rows.push(row);
    }

    #[inline]
    fn step(&mut self, ts: u64) -> u32 {
        let Some((min, max)) = &mut self.range else {
            self.range = Some((ts, ts));
            self.base_ts = ts;
            self.steps.start(ts);
            return self.steps.step(ts);
        };
        self.ts_unsorted |= ts < self.steps.last();
        (*min, *max) = (ts.min(*min), ts.max(*max));
        self.steps.step(ts)
    }
}
