//! Identity of a process image across blocks, snapshots and tables.

use ctrace_trace::block::decoded::ImageEntry;

/// What tells process images apart: a process id may be used again, and a process may call exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    /// Process id.
    pub(crate) pid: u32,
    /// When the process started.
    pub(crate) start_ts: u64,
    /// When it executed the program.
    pub(crate) exec_ts: u64,
}

impl ProcessId {
    /// The identity of a dictionary entry.
    pub(crate) fn of(image: &ImageEntry) -> ProcessId {
        ProcessId {
            pid: image.pid,
            start_ts: image.start_ts,
            exec_ts: image.exec_ts,
        }
    }

    /// The identity of a dictionary entry that is a process: one without an id only tells the container of an event.
    pub(crate) fn known(image: &ImageEntry) -> Option<ProcessId> {
        (image.pid != 0).then(|| ProcessId::of(image))
    }

    /// The number that stands for it in tables. Exports keep it: the function never changes.
    pub(crate) fn key(self) -> i64 {
        let parts = [u64::from(self.pid), self.start_ts, self.exec_ts];
        let hash = parts
            .into_iter()
            .fold(0x9e37_79b9_7f4a_7c15, |hash, part| mix(hash ^ part));
        (hash >> 1) as i64
    }
}

/// The finalizer of SplitMix64: every bit of the input changes half of the output.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_old_exports_stay_valid() {
        let id = ProcessId {
            pid: 4711,
            start_ts: 1_700_000_000_000_000_001,
            exec_ts: 1_700_000_000_500_000_002,
        };
        assert_eq!(id.key(), KEY);
        assert_ne!(ProcessId { exec_ts: 0, ..id }.key(), KEY);
    }

    const KEY: i64 = 3_047_849_391_159_680_636;
}
