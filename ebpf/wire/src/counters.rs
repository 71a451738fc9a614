//! What each CPU submitted, lost and left out.

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
}

// SAFETY: six u64 in C layout.
unsafe impl Pod for Counters {}

const _: () = assert!(size_of::<Counters>() == 48);
