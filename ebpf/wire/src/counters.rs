//! What each CPU submitted and lost, per lane.

use crate::Pod;

/// Totals since the programs were loaded, kept once per CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records handed to each lane's ring, indexed by [`crate::spec::Lane`].
    pub submitted: [u64; 2],
    /// Records that did not fit into each lane's ring, indexed by [`crate::spec::Lane`].
    pub lost: [u64; 2],
}

// SAFETY: four u64 in C layout.
unsafe impl Pod for Counters {}

const _: () = assert!(size_of::<Counters>() == 32);
