//! Building a block: events go in one by one, a head and a body come out.

use std::sync::Arc;

use super::args::{ArgBuffer, Named};
use super::contexts::ContextTable;
use super::data::Captured;
use super::decoded::{ABSENT, Context, FdRecord};
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
use crate::event::{Arg, Event, EventType, Origin};
use crate::fd::FdEntry;
use crate::schema::{EventSpec, Schema};

/// A block whose parts may take so many bytes uncompressed should end. Strings are counted with what they weigh: it ends
/// before it has half of those that it can have.
const SOFT_LIMIT: usize = 16 << 20;
const _: () = assert!(SOFT_LIMIT / STRING_WEIGHT <= MAX_STRINGS as usize / 2);
/// An event that would take a block beyond this is refused. Leaves room below [`super::MAX_FRAME`].
const HARD_LIMIT: usize = 48 << 20;
/// What an event without arguments may cost.
const EVENT_WEIGHT: usize = 64;
/// What a number may cost at most, an argument that is none, and a string beside its bytes.
const NUM_WEIGHT: usize = 11;
const NONE_WEIGHT: usize = 2;
const STRING_WEIGHT: usize = 16;

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
    latest: Latest,
    declared: Kinds,
    /// Which arguments are no numbers.
    texts: Vec<usize>,
}

/// Which arguments are numbers, strings and paths: a bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    numbers: u64,
    strings: u64,
    paths: u64,
}

impl Kinds {
    /// Whether each argument that is given is of the kind that is declared.
    #[inline]
    fn take(self, given: Kinds) -> bool {
        given.numbers & !self.numbers | given.strings & !self.strings | given.paths & !self.paths == 0
    }
}

/// So many events of a type are kept before they go to its columns.
const RUN: usize = 32;

/// The numbers of the last few events of a type. An event writes to as many columns as it has numbers; memory that the
/// caches do not have is waited for once for several events, and each of them writes to what the caches have.
#[derive(Debug)]
struct Latest {
    events: usize,
    rets: [i64; RUN],
    fd_nums: [i64; RUN],
    fds: [u32; RUN],
    /// Per argument; not used where it is a text.
    args: Vec<[i64; RUN]>,
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
        self.list.push(KindBuffer::new(spec));
        Ok(slot)
    }

    /// Brings all that the events carry to the columns.
    fn settle(&mut self) {
        self.list.iter_mut().for_each(KindBuffer::settle);
    }
}

impl KindBuffer {
    fn new(spec: &EventSpec) -> KindBuffer {
        let args: Vec<ArgBuffer> = spec.params.iter().map(ArgBuffer::new).collect();
        let mut declared = Kinds::default();
        for (at, buffer) in args.iter().enumerate() {
            match buffer {
                ArgBuffer::Num { .. } => declared.numbers |= 1 << at,
                ArgBuffer::Str(_) => declared.strings |= 1 << at,
                ArgBuffer::Path(_) => declared.paths |= 1 << at,
            }
        }
        KindBuffer {
            spec: spec.clone(),
            rets: NumBuffer::default(),
            fd_nums: NumBuffer::default(),
            fds: Vec::new(),
            latest: Latest {
                events: 0,
                rets: [ABSENT; RUN],
                fd_nums: [ABSENT; RUN],
                fds: [0; RUN],
                args: vec![[ABSENT; RUN]; spec.params.len()],
            },
            declared,
            texts: (0..args.len()).filter(|at| declared.numbers >> at & 1 == 0).collect(),
            args,
        }
    }

    /// Notes the numbers among an event's arguments, which count once the event is [added](KindBuffer::add). Checks that
    /// the arguments are those declared and says what they may cost.
    #[inline]
    fn note(&mut self, event: &Event<'_>) -> Result<usize, PushError> {
        if self.latest.events == RUN {
            self.settle();
        }
        if self.args.len() != event.args.len() {
            return Err(self.wrong_count(event));
        }
        let at = self.latest.events % RUN;
        let mut weight = EVENT_WEIGHT + event.data.len();
        let (mut bit, mut given) = (1, Kinds::default());
        for (places, arg) in self.latest.args.iter_mut().zip(event.args) {
            places[at] = match arg {
                Arg::Num(v) => {
                    given.numbers |= bit;
                    weight += NUM_WEIGHT;
                    *v
                }
                Arg::None => {
                    weight += NONE_WEIGHT;
                    ABSENT
                }
                Arg::Str(s) => {
                    given.strings |= bit;
                    weight += s.len() + STRING_WEIGHT;
                    ABSENT
                }
                Arg::Path { resolved, raw } => {
                    given.paths |= bit;
                    weight += resolved.len() + raw.len() + 2 * STRING_WEIGHT;
                    ABSENT
                }
            };
            bit <<= 1;
        }
        if !self.declared.take(given) {
            return Err(self.wrong_kind(event));
        }
        Ok(weight)
    }

    /// Adds an event whose numbers were noted just now. `fd` is its open object, which is among `fds`.
    #[inline]
    fn add(&mut self, event: &Event<'_>, fd: u32, fds: &FdTable, strings: &mut Interner) {
        let at = self.latest.events % RUN;
        self.latest.rets[at] = event.ret.unwrap_or(ABSENT);
        self.latest.fd_nums[at] = event.fd_num.map_or(ABSENT, i64::from);
        self.latest.fds[at] = fd;
        self.latest.events += 1;
        if !self.texts.is_empty() {
            let object = event.fd.zip(fds.entries().get(fd as usize));
            self.add_texts(event.args, object, strings);
        }
    }

    #[inline(never)]
    fn add_texts(&mut self, args: &[Arg<'_>], object: Option<(&Arc<FdEntry>, &FdRecord)>, strings: &mut Interner) {
        let object = object.map_or(Named::NONE, |(entry, record)| Named {
            name: &entry.name,
            name_raw: &entry.name_raw,
            known: record.name_raw,
        });
        for at in &self.texts {
            if let (Some(buffer), Some(arg)) = (self.args.get_mut(*at), args.get(*at)) {
                buffer.push_text(arg, &object, strings);
            }
        }
    }

    /// Brings the numbers of the last events to the columns.
    #[inline(never)]
    fn settle(&mut self) {
        let latest = &mut self.latest;
        let events = latest.events;
        self.rets.extend(&latest.rets[..events]);
        self.fd_nums.extend(&latest.fd_nums[..events]);
        self.fds.extend_from_slice(&latest.fds[..events]);
        for (buffer, numbers) in self.args.iter_mut().zip(&latest.args) {
            if let ArgBuffer::Num { values, .. } = buffer {
                values.extend(&numbers[..events]);
            }
        }
        latest.events = 0;
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
    fn wrong_kind(&self, event: &Event<'_>) -> PushError {
        let mut pairs = self.args.iter().zip(event.args);
        let index = pairs.position(|(buffer, arg)| !buffer.takes(arg));
        let index = index.unwrap_or_default();
        PushError::ArgKind {
            name: self.spec.name.clone(),
            index,
            param: self.spec.params.get(index).map(|p| p.name.clone()).unwrap_or_default(),
        }
    }

    fn clear(&mut self) {
        self.latest.events = 0;
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
    #[inline]
    pub fn push(&mut self, event: &Event<'_>) -> Result<(), PushError> {
        self.push_weighing(event, 0)
    }

    /// Adds an event that stood in a file.
    ///
    /// # Errors
    /// As [`BlockBuilder::push`].
    #[inline(never)]
    pub fn push_from(&mut self, event: &Event<'_>, origin: Option<Origin<'_>>) -> Result<(), PushError> {
        match &origin {
            None => self.push_weighing(event, 0),
            Some(origin) => self.push_imported(event, origin),
        }
    }

    #[inline(never)]
    fn push_imported(&mut self, event: &Event<'_>, origin: &Origin<'_>) -> Result<(), PushError> {
        self.enter((origin.file.id & SPACES) << SPACE_SHIFT);
        let pushed = self.push_weighing(event, self.content.origins.weight(origin));
        self.enter(0);
        pushed?;
        let content = &mut self.content;
        content.origins.add(content.rows.len() as u32 - 1, origin);
        Ok(())
    }

    /// Who imports counts images and objects anew for each file.
    fn enter(&mut self, space: u64) {
        self.content.images.enter(space);
        self.content.fds.enter(space);
    }

    /// Adds an event that may cost so much more than what it carries and refers to. Few call it: it is put into each, as
    /// every event of a recording comes through here.
    #[inline(always)]
    fn push_weighing(&mut self, event: &Event<'_>, more: usize) -> Result<(), PushError> {
        let content = &mut self.content;
        if content.rows.len() >= MAX_EVENTS as usize {
            return Err(PushError::Full);
        }
        let slot = content.kinds.slot(&self.schema, event.kind)?;
        let mut weight = content.kinds.list[slot as usize].note(event)? + more;
        let fd = event.fd.map_or(Some(0), |fd| content.fds.find(fd.id));
        if let (Some(new), None) = (event.fd, fd) {
            weight += new.name.len() + new.name_raw.len();
        }
        let acted = content.acted(event);
        let context = content.contexts.recent(event.tid, acted);
        if context.is_none() {
            weight = content.weigh_image(event, weight, self.weight)?;
        }
        if self.weight + weight > HARD_LIMIT {
            return Err(too_large(weight, self.weight));
        }
        self.weight += weight;
        let context = context.unwrap_or_else(|| content.context(event, acted));
        let fd = fd.unwrap_or_else(|| content.object(event));
        content.add(event, slot, context, fd);
        Ok(())
    }

    /// How many events the block has so far.
    #[inline]
    pub fn len(&self) -> usize {
        self.content.rows.len()
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.content.rows.is_empty()
    }

    /// Whether the block should be finished before another event is pushed: it has as many events as it can hold, or
    /// what they refer to has grown large.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len() >= MAX_EVENTS as usize || self.weight >= SOFT_LIMIT || self.content.images.is_full()
    }

    /// Smallest and largest time stamp so far.
    #[inline]
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
        self.content.kinds.settle();
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
    /// The id of the image that acted, with the bits of its space; one that none has where it is not known.
    #[inline]
    fn acted(&self, event: &Event<'_>) -> u64 {
        event.image.map_or(u64::MAX, |image| self.images.spaced(image.id))
    }

    /// Adds to what an event may cost the image that acted where that is not there yet, and checks that there is room.
    /// `used` is what the events before it cost.
    #[inline(never)]
    fn weigh_image(&self, event: &Event<'_>, mut weight: usize, used: usize) -> Result<usize, PushError> {
        if let Some(image) = event.image.filter(|image| self.images.find(image.id).is_none()) {
            let cost = self.images.cost(image);
            weight += cost.bytes + cost.container_bytes;
            check_image(self, cost, weight, used)?;
        }
        Ok(weight)
    }

    /// The thread of an event, which was not there lately. `acted` is the image as [`Content::acted`] gives it.
    #[inline(never)]
    fn context(&mut self, event: &Event<'_>, acted: u64) -> u32 {
        let image = event.image.map(|image| match self.images.find(image.id) {
            Some(at) => at,
            None => self.images.add(image, &mut self.strings),
        });
        self.contexts.id(Context { tid: event.tid, image }, acted)
    }

    /// The open object of an event, which is not there yet.
    #[inline(never)]
    fn object(&mut self, event: &Event<'_>) -> u32 {
        event.fd.map_or(0, |fd| self.fds.add(fd, &mut self.strings))
    }

    /// Adds an event that has been checked.
    #[inline(always)]
    fn add(&mut self, event: &Event<'_>, slot: u16, context: u32, fd: u32) {
        let kind = &mut self.kinds.list[slot as usize];
        kind.add(event, fd, &self.fds, &mut self.strings);
        if let Some(latency) = event.latency {
            self.latencies.add(self.rows.len(), latency);
        }
        self.data.add(event.data);
        let row = Row {
            kind: slot,
            cpu: event.cpu,
            context,
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
