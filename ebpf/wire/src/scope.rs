//! Whose syscalls are recorded, where it is not everyone's.
//!
//! The kernel side keeps one byte for each process id: a child takes over its parent's, a process that is put into a
//! container's cgroup or starts a program of a wanted name gets its own. User space sets the bytes of the processes that
//! were there before. Nothing of it is taken back by the kernel side: it may record too much, and user space, which knows
//! the names of containers, leaves out the rest and clears what need not be recorded further.

use crate::Pod;

/// Process ids that there can be (`PID_MAX_LIMIT` in the kernel's include/linux/threads.h).
pub const PIDS: u32 = 1 << 22;
/// Bytes in each entry of the table: a page, so that user space can map the table.
pub const PAGE: u32 = 4096;

/// In a process's byte: it is, or once was, in a container.
pub const IN_CONTAINER: u8 = 1 << 0;
/// In a process's byte: it was asked for by its id, name or cgroup, or descends from one that was.
pub const WANTED: u8 = 1 << 1;

/// Names and cgroups that a recording can ask for.
pub const LIST_MAX: usize = 8;

/// What the kernel side is told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// 1: only processes whose byte is not zero are recorded. 0: all are.
    pub filter: u32,
    /// 1: processes in containers get [`IN_CONTAINER`].
    pub containers: u32,
    /// Ids of cgroups whose processes get [`WANTED`], also those in cgroups below; 0 ends the list.
    pub cgroups: [u64; LIST_MAX],
    /// Names, NUL-padded, that get a process [`WANTED`] when it starts a program; an empty one ends the list.
    pub comms: [[u64; 2]; LIST_MAX],
}

// SAFETY: a C struct of integers; the assert rules out padding.
unsafe impl Pod for Scope {}

const _: () = assert!(size_of::<Scope>() == 8 + 8 * LIST_MAX + 16 * LIST_MAX);

impl Scope {
    /// Everyone's syscalls.
    pub const EVERYONE: Self = Self {
        filter: 0,
        containers: 0,
        cgroups: [0; LIST_MAX],
        comms: [[0; 2]; LIST_MAX],
    };
}
