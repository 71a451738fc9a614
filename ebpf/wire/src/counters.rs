//! What each CPU submitted, lost and left out, and when it looks at how full a ring is.

use crate::{Pod, spec::LEFT_OUT_KINDS};

/// Totals since the programs were loaded, kept once per CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records handed to each lane's ring, indexed by [`crate::spec::Lane`].
    pub submitted: [u64; 2],
    /// Records that did not fit into each lane's ring, indexed by [`crate::spec::Lane`].
    pub lost: [u64; 2],
    /// Calls that were asked for and left out, indexed by kind: see [`crate::spec::SyscallSpec::left_out`].
    pub left_out: [u64; LEFT_OUT_KINDS],
    /// Bytes of records since it was looked at how full each lane's ring is, indexed by [`crate::spec::Lane`].
    pub unasked: [u64; 2],
}

/// After so many bytes a CPU looks at how full a ring is.
pub const ASK_BYTES: u64 = 16 << 10;
/// A ring of which this part is full wakes user space.
pub const FULL_PART: u64 = 8;

// SAFETY: eight u64 in C layout.
unsafe impl Pod for Counters {}

const _: () = assert!(size_of::<Counters>() == 64);
