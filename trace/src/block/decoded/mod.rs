//! A block in memory: dictionaries and columns after decoding, and the views through which everything reads them.
//!
//! The codec fills these structures; catalogue, rules and SQL only look at them through the views. Ids have been
//! checked by the decoder: an id in a decoded block is always valid in that block.

mod dictionaries;
mod event;
mod origins;
mod strings;

pub use self::dictionaries::{Context, Dictionaries, FdRecord, FdView, ImageEntry, ImageView, RawPath};
pub use self::event::EventView;
pub use self::origins::{OriginView, Origins};
pub use self::strings::{Cut, StrId, Strings};
use super::Need;
use crate::schema::EventSpec;

/// "No value" in decoded number columns.
pub const ABSENT: i64 = i64::MIN;

/// The values of one parameter of one event type, in the order of the events of that type.
#[derive(Clone, Debug)]
pub enum ArgColumn {
    /// Numbers; [`ABSENT`] for none.
    Num(Vec<i64>),
    /// Strings.
    Str(Vec<StrId>),
    /// Paths.
    Path(Vec<(StrId, RawPath)>),
}

/// One event type of a block with its parameters.
#[derive(Clone, Debug)]
pub struct KindColumns {
    /// What the type carries.
    pub spec: std::sync::Arc<EventSpec>,
    /// How many events of this type the block has.
    pub events: u32,
    /// The rows of this type, ascending.
    pub rows: Vec<u32>,
    /// Types of the hot family: the open object of each event, an index into [`Dictionaries::fds`], 0 for none. Empty
    /// where no event has one.
    pub fds: Vec<u32>,
    /// One per parameter; empty when arguments of this family were not asked for.
    pub args: Vec<ArgColumn>,
}

/// The decoded columns of a block. A column that was not asked for is empty.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Which columns there are.
    pub(crate) have: Need,
    /// Name of the host that the events are of; empty where the block belongs to no segment.
    pub host: String,
    /// How many events there are.
    pub len: usize,
    /// Number of the first event in the recording; events of a block are numbered consecutively.
    pub first_seq: u64,
    /// Dictionaries.
    pub dict: Dictionaries,
    /// The event types present. Types of the hot family come first.
    pub kinds: Vec<KindColumns>,
    /// Per event: index into `kinds`.
    pub kind: Vec<u16>,
    /// Per event: position among the events of its type; there where arguments are.
    pub ordinal: Vec<u32>,
    /// Per thread: where its events end if they are taken thread by thread.
    pub(crate) thread_ends: Vec<u32>,
    /// Event types thread by thread; empty where there are more than a byte can tell apart.
    pub(crate) thread_kinds: Vec<u8>,
    /// Per event: UTC nanoseconds.
    pub ts: Vec<u64>,
    /// Per event: CPU.
    pub cpu: Vec<u16>,
    /// Per event: index into `dict.contexts`.
    pub context: Vec<u32>,
    /// Per event: result; [`ABSENT`] for none.
    pub ret: Vec<i64>,
    /// Per event: descriptor number; [`ABSENT`] for none.
    pub fd_num: Vec<i64>,
    /// Per event: index into `dict.fds`; 0 for none.
    pub fd: Vec<u32>,
    /// Per event: captured bytes, end offsets into `data_bytes`.
    pub data_ends: Vec<u32>,
    /// Captured bytes of all events.
    pub data_bytes: Vec<u8>,
    /// Where events were imported from.
    pub origins: Origins,
    /// Per event: nanoseconds that the call took, [`ABSENT`] where that is not known; empty where it is of none.
    pub latency: Vec<i64>,
}

impl Decoded {
    /// A view of one event. `row` must be below `len`.
    pub fn event(&self, row: usize) -> EventView<'_> {
        debug_assert!(row < self.len);
        EventView { block: self, row }
    }

    /// A view of an event of the hot family by its type and its position among the events of that type, both indices.
    /// With [`Need::ARG_COLUMNS_HOT`] it shows its arguments and what its type says; all else of it is as if it had not been
    /// asked for.
    pub fn event_of_type(&self, kind: u16, ordinal: u32) -> EventView<'_> {
        EventView::of_type(self, kind, ordinal)
    }

    /// Whether a thread may have events of a type, given as indices into `dict.contexts` and `kinds`. Certain where
    /// [`Need::THREAD_KINDS`] was asked for and the block has no more than 256 types.
    pub fn thread_has(&self, context: usize, kind: usize) -> bool {
        let start = match context.checked_sub(1) {
            Some(before) => self.thread_ends.get(before).copied(),
            None => Some(0),
        };
        let (Some(start), Some(end)) = (start, self.thread_ends.get(context)) else {
            return true;
        };
        match (self.thread_kinds.get(start as usize..*end as usize), u8::try_from(kind)) {
            (Some(kinds), Ok(kind)) => kinds.contains(&kind),
            _ => true,
        }
    }

    /// How many events each thread has, by index into `dict.contexts`.
    pub fn events_of_threads(&self) -> impl Iterator<Item = u32> + '_ {
        let starts = std::iter::once(0).chain(self.thread_ends.iter().copied());
        let ends = self.thread_ends.iter();
        ends.zip(starts).map(|(end, start)| end.saturating_sub(start))
    }

    /// Views of all events, in order.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> {
        (0..self.len).map(|row| self.event(row))
    }
}
