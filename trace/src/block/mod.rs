//! Blocks: up to 64 Ki events, coded in columns over dictionaries of their own, so that each is readable alone.

pub mod decoded;

use std::ops::{BitOr, BitOrAssign};

/// Which columns of a block to decode. Combine with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Need(pub u32);

impl Need {
    /// Nothing but the header.
    pub const NOTHING: Need = Need(0);
    /// Event types ([`decoded::Decoded::kinds`], `kind`, `ordinal`).
    pub const KIND: Need = Need(1);
    /// Threads and the event's thread.
    pub const CONTEXT: Need = Need(1 << 1);
    /// Process images, containers and the strings of both.
    pub const IMAGES: Need = Need(1 << 2);
    /// Open objects of the hot family, their strings, and which event uses which; descriptor numbers.
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
    /// Everything.
    pub const ALL: Need = Need((1 << 12) - 1);

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
