//! Blocks: up to 64 Ki events, coded in columns over dictionaries of their own, so that each is readable alone.

mod args;
mod containers;
mod contexts;
mod data;
pub mod decode;
pub mod decoded;
pub mod encode;
pub mod error;
mod fd_refs;
mod fds;
mod finish;
pub mod frame;
pub mod head;
mod images;
mod kinds;
mod latencies;
mod nearest;
mod numbers;
mod origins;
mod plan;
mod pool;
mod raw_path;
mod strings;
mod time;
mod varint;

pub use decode::{Decoder, verify};
pub use encode::{BlockBuilder, EncodedBlock};
pub use error::{BlockError, PushError};
pub use frame::Compressor;
pub use head::{BlockHead, Hash};
pub use plan::ranges;
pub(crate) use plan::ranges_beyond;

use std::ops::{BitOr, BitOrAssign};

/// A block has no more events.
pub const MAX_EVENTS: u32 = 1 << 16;
/// No frame has more bytes after decompression.
pub const MAX_FRAME: usize = 64 << 20;
/// All frames of a block together have no more bytes after decompression.
pub const MAX_RAW: u64 = 256 << 20;
/// A block has no more strings.
pub const MAX_STRINGS: u32 = 1 << 21;
/// The strings of a block have no more bytes.
pub const MAX_STRING_BYTES: usize = 64 << 20;
/// A block has no more process images.
pub const MAX_IMAGES: u32 = 1 << 18;
/// A block has no more containers.
pub const MAX_CONTAINERS: u32 = 1 << 16;
/// A block has no more open objects.
pub const MAX_FDS: u32 = 1 << 17;
/// No event type has more parameters.
pub const MAX_PARAMS: usize = 64;

/// Which columns of a block to decode. Combine with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Need(pub u32);

impl Need {
    /// Nothing but the header.
    pub const NOTHING: Need = Need(0);
    /// Event types ([`decoded::Decoded::kinds`], `kind`).
    pub const KIND: Need = Need(1);
    /// Threads and the event's thread.
    pub const CONTEXT: Need = Need(1 << 1);
    /// Process images, containers and the strings of both.
    pub const IMAGES: Need = Need(1 << 2);
    /// Open objects of the hot family, their device and inode numbers, their strings, and which event uses which;
    /// descriptor numbers.
    pub const FD_HOT: Need = Need(1 << 3);
    /// The same for the bulk family.
    pub const FD_BULK: Need = Need(1 << 4);
    /// Open objects of both families.
    pub const FD: Need = Need(Self::FD_HOT.0 | Self::FD_BULK.0);
    /// Arguments of the hot family with their strings (implies the results and objects that they are coded against).
    pub const ARGS_HOT: Need = Need(1 << 5);
    /// Arguments of the bulk family.
    pub const ARGS_BULK: Need = Need(1 << 6);
    /// Arguments of both families.
    pub const ARGS: Need = Need(Self::ARGS_HOT.0 | Self::ARGS_BULK.0);
    /// Results of the hot family.
    pub const RET_HOT: Need = Need(1 << 7);
    /// Results of the bulk family.
    pub const RET_BULK: Need = Need(1 << 8);
    /// Results of both families.
    pub const RET: Need = Need(Self::RET_HOT.0 | Self::RET_BULK.0);
    /// Time stamps.
    pub const TS: Need = Need(1 << 9);
    /// CPU numbers.
    pub const CPU: Need = Need(1 << 10);
    /// Captured buffer bytes.
    pub const DATA: Need = Need(1 << 11);
    /// Open objects of the hot family without device and inode, their strings, and which objects the events of each
    /// type use ([`decoded::KindColumns::fds`]): what can be had without knowing which events these are.
    pub const OBJECTS_HOT: Need = Need(1 << 12);
    /// Threads, but not which event is of which.
    pub const THREADS: Need = Need(1 << 13);
    /// Which event types each thread has ([`decoded::Decoded::thread_has`]).
    pub const THREAD_KINDS: Need = Need(1 << 14);
    /// Where imported events stood ([`decoded::Decoded::origins`]).
    pub const ORIGIN: Need = Need(1 << 15);
    /// Open objects of both families without names and flags: kind and socket of each entry of
    /// [`decoded::Dictionaries::fds`], but not which event uses which. The rest comes where objects are asked for.
    pub const SOCKETS: Need = Need(1 << 16);
    /// Arguments of the hot family, type by type ([`decoded::KindColumns::args`], [`decoded::Decoded::event_of_type`]):
    /// what can be had of them without knowing which events these are.
    pub const ARG_COLUMNS_HOT: Need = Need(1 << 17);
    /// How long calls took ([`decoded::Decoded::latency`]).
    pub const LATENCY: Need = Need(1 << 18);
    /// Everything.
    pub const ALL: Need = Need((1 << 19) - 1);

    /// With what the columns asked for are coded against: arguments need the objects of their family, objects need
    /// types and results, objects of the bulk family those of the hot one; types and CPUs need threads.
    pub const fn implied(self) -> Need {
        let mut need = self.0;
        if self.intersects(Need::ARGS_BULK) {
            need |= Need::FD_BULK.0;
        }
        if need & Need::FD_BULK.0 != 0 {
            need |= Need::RET_BULK.0 | Need::FD_HOT.0;
        }
        if self.intersects(Need::ARGS_HOT) {
            need |= Need::FD_HOT.0 | Need::ARG_COLUMNS_HOT.0;
        }
        if need & Need::FD_HOT.0 != 0 {
            need |= Need::RET_HOT.0;
        }
        if need & (Need::FD_HOT.0 | Need::ARG_COLUMNS_HOT.0) != 0 {
            need |= Need::OBJECTS_HOT.0;
        }
        if need & Need::RET.0 != 0 {
            need |= Need::KIND.0;
        }
        if need & (Need::CPU.0 | Need::KIND.0) != 0 {
            need |= Need::CONTEXT.0;
        }
        if need & (Need::CONTEXT.0 | Need::THREAD_KINDS.0) != 0 {
            need |= Need::THREADS.0;
        }
        Need(need)
    }

    /// What is asked for beyond `other`.
    pub const fn beyond(self, other: Need) -> Need {
        Need(self.0 & !other.0)
    }

    /// Whether all of `other` is asked for.
    pub const fn contains(self, other: Need) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is asked for.
    pub const fn intersects(self, other: Need) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Need {
    type Output = Need;
    fn bitor(self, other: Need) -> Need {
        Need(self.0 | other.0)
    }
}

impl BitOrAssign for Need {
    fn bitor_assign(&mut self, other: Need) {
        self.0 |= other.0;
    }
}
