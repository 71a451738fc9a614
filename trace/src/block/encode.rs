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
use super::images::ImageTable;
use super::latencies::Latencies;
use super::numbers::{NumBuffer, RUN};
use super::origins::OriginTable;
use super::strings::Interner;
use super::time::Times;
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
    pub(super) times: Times,
    pub(super) data: Captured,
    pub(super) origins: OriginTable,
    pub(super) latencies: Latencies,
}

/// What every event has, side by side: one place to write to for each event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Index into [`Content::kinds`].
    pub(super) kind: u16,
    pub(super) cpu: u16,
    /// Index into [`Content::contexts`].
    pub(super) context: u32,
    /// From the event before, as [`Times`] gives it.
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
    /// What an event whose arguments are all numbers may cost.
    weight: usize,
    /// Which arguments are no numbers: a bit for each.
    texts: u64,
}

/// The numbers of the last few events of a type, less than a run. An event writes to as many columns as it has numbers; memory that the
/// caches do not have is waited for once for several events, and each of them writes to what the caches have.
#[derive(Debug)]
struct Latest {
    events: usize,
    rets: [i64; RUN],
    fd_nums: [i64; RUN],
    fds: [u32; RUN],
    /// Per argument; not used where it is a text.
    args: Box<[[i64; RUN]]>,
}

/// The event types that this builder has met, in order of their first event ever.
#[derive(Debug, Default)]
pub(super) struct KindBuffers {
    /// Index into `list` by event type; grows as needed.
    slots: Vec<u16>,
    pub(super) list: Vec<KindBuffer>,
}

/// Stands for a type that was not met: the list is not so long.
const NO_SLOT: u16 = u16::MAX;

impl KindBuffers {
    /// Where in the list an event type is.
    #[inline]
    fn slot(&self, id: EventType) -> u16 {
        self.slots.get(id.0 as usize).copied().unwrap_or(NO_SLOT)
    }

    /// Adds a type that was not met.
    fn add(&mut self, schema: &Schema, id: EventType) -> Result<(), PushError> {
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
        Ok(())
    }

    /// Brings all that the events carry to the columns.
    fn settle(&mut self) {
        self.list.iter_mut().for_each(KindBuffer::settle);
    }
}

impl KindBuffer {
    fn new(spec: &EventSpec) -> KindBuffer {
        let args: Vec<ArgBuffer> = spec.params.iter().map(ArgBuffer::new).collect();
        let is_text = |at: &usize| !matches!(args[*at], ArgBuffer::Num { .. });
        let texts = (0..args.len()).filter(is_text).fold(0, |texts, at| texts | 1 << at);
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
                args: vec![[ABSENT; RUN]; args.len()].into(),
            },
            weight: EVENT_WEIGHT + NUM_WEIGHT * args.len(),
            texts,
            args,
        }
    }

    /// Notes the numbers among an event's arguments, which count once the event is [added](KindBuffer::add), and says what
    /// it may cost; `None` where its arguments are not those declared.
    #[inline]
    fn note(&mut self, event: &Event<'_>) -> Option<usize> {
        if self.latest.args.len() != event.args.len() {
            return None;
        }
        let at = self.latest.events % RUN;
        let mut others = 0;
        for (index, (places, arg)) in self.latest.args.iter_mut().zip(event.args).enumerate() {
            let Arg::Num(v) = arg else {
                places[at] = ABSENT;
                others |= 1 << index;
                continue;
            };
            places[at] = *v;
        }
        let weight = self.weight + event.data.len();
        if others | self.texts == 0 {
            return Some(weight);
        }
        self.weigh_others(event.args, others, weight)
    }

    /// Checks the arguments that are no numbers, given as bits, and corrects what an event may cost.
    #[inline(never)]
    fn weigh_others(&self, args: &[Arg<'_>], others: u64, mut weight: usize) -> Option<usize> {
        // A number where a text belongs.
        if self.texts & !others != 0 {
            return None;
        }
        for index in bits(others) {
            let cost = match (args.get(index)?, self.args.get(index)?) {
                (Arg::None, _) => NONE_WEIGHT,
                (Arg::Str(s), ArgBuffer::Str(_)) => s.len() + STRING_WEIGHT,
                (Arg::Path { resolved, raw }, ArgBuffer::Path(_)) => resolved.len() + raw.len() + 2 * STRING_WEIGHT,
                _ => return None,
            };
            weight = weight - NUM_WEIGHT + cost;
        }
        Some(weight)
    }

    /// Adds an event whose numbers were noted just now. `fd` is its open object, which is among `fds`.
    #[inline]
    fn add(&mut self, event: &Event<'_>, fd: u32, fds: &FdTable, strings: &mut Interner) {
        let at = self.latest.events % RUN;
        self.latest.rets[at] = event.ret.unwrap_or(ABSENT);
        self.latest.fd_nums[at] = event.fd_num.map_or(ABSENT, i64::from);
        self.latest.fds[at] = fd;
        self.latest.events = at + 1;
        if at + 1 == RUN {
            self.settle_run();
        }
        if self.texts != 0 {
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
        for at in bits(self.texts) {
            if let (Some(buffer), Some(arg)) = (self.args.get_mut(at), args.get(at)) {
                buffer.push_text(arg, &object, strings);
            }
        }
    }

    /// Brings the numbers of a whole run of events to the columns.
    #[inline(never)]
    fn settle_run(&mut self) {
        let latest = &mut self.latest;
        self.rets.extend_by_run(&latest.rets);
        self.fd_nums.extend_by_run(&latest.fd_nums);
        self.fds.extend_from_slice(&latest.fds);
        for (buffer, numbers) in self.args.iter_mut().zip(&latest.args) {
            if let ArgBuffer::Num { values, .. } = buffer {
                values.extend_by_run(numbers);
            }
        }
        latest.events = 0;
    }

    /// The same of what is there of a run.
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

    /// Why an event's arguments are not those declared.
    #[cold]
    fn refusal(&self, event: &Event<'_>) -> PushError {
        if self.args.len() != event.args.len() {
            return PushError::ArgCount {
                name: self.spec.name.clone(),
                declared: self.args.len(),
                given: event.args.len(),
            };
        }
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

/// The places of the bits that are set.
fn bits(mut of: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (of != 0).then(|| of.trailing_zeros() as usize);
        of &= of.wrapping_sub(1);
        place
    })
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
        let event_number = content.rows.len();
        if event_number >= MAX_EVENTS as usize {
            return Err(PushError::Full);
        }
        let slot = content.kinds.slot(event.kind);
        let Some(kind) = content.kinds.list.get_mut(slot as usize) else {
            return self.push_first(event, more);
        };
        let Some(weight) = kind.note(event) else {
            return Err(kind.refusal(event));
        };
        let mut weight = weight + more;
        // 0 for none, and for one that is not there yet.
        let mut fd = event.fd.and_then(|fd| content.fds.find(fd.id)).unwrap_or(0);
        let new_fd = || event.fd.filter(|_| fd == 0);
        if let Some(new) = new_fd() {
            weight += new.name.len() + new.name_raw.len();
        }
        // One that none has stands for no image.
        let acted = event.image.map_or(u64::MAX, |image| content.images.spaced(image.id));
        let recent = content.contexts.recent(event.tid, acted);
        if recent.is_none() {
            weight = match weigh_image(&content.images, event, weight) {
                Ok(weight) => weight,
                Err(too_much) => return Err(too_large(too_much, self.weight)),
            };
        }
        if self.weight + weight > HARD_LIMIT {
            return Err(too_large(weight, self.weight));
        }
        self.weight += weight;
        let strings = &mut content.strings;
        let context =
            recent.unwrap_or_else(|| add_context(&mut content.contexts, &mut content.images, strings, event, acted));
        if let Some(new) = new_fd() {
            fd = content.fds.add(new, strings);
        }
        kind.add(event, fd, &content.fds, strings);
        if let Some(latency) = event.latency {
            content.latencies.add(event_number, latency);
        }
        if !event.data.is_empty() {
            content.data.add(event_number, event.data);
        }
        content.rows.push(Row {
            kind: slot,
            cpu: event.cpu,
            context,
            step: content.times.step(event.ts),
        });
        Ok(())
    }

    /// Adds an event of a type that was not met.
    #[cold]
    #[inline(never)]
    fn push_first(&mut self, event: &Event<'_>, more: usize) -> Result<(), PushError> {
        self.content.kinds.add(&self.schema, event.kind)?;
        self.push_weighing(event, more)
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
        self.content.times.range()
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
        c.times.clear();
    }
}

#[cold]
fn too_large(bytes: usize, used: usize) -> PushError {
    PushError::TooLarge {
        bytes,
        limit: HARD_LIMIT.saturating_sub(used),
    }
}

/// Adds to what an event may cost the image that acted where that is not there yet; an error where there is no room for it.
#[inline(never)]
fn weigh_image(images: &ImageTable, event: &Event<'_>, mut weight: usize) -> Result<usize, usize> {
    if let Some(image) = event.image.filter(|image| images.find(image.id).is_none()) {
        let cost = images.cost(image);
        weight += cost.bytes + cost.container_bytes;
        if !images.has_room(cost) {
            return Err(weight);
        }
    }
    Ok(weight)
}

/// The thread of an event, which was not there lately. `acted` is the id of its image, in its space.
#[inline(never)]
fn add_context(
    contexts: &mut ContextTable,
    images: &mut ImageTable,
    strings: &mut Interner,
    event: &Event<'_>,
    acted: u64,
) -> u32 {
    let image = event.image.map(|image| match images.find(image.id) {
        Some(at) => at,
        None => images.add(image, strings),
    });
    contexts.id(Context { tid: event.tid, image }, acted)
}
