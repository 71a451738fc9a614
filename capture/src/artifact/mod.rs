//! The contents of what is executed and loaded: digests, and with `--collect` copies.
//!
//! Three threads do it, off the path of events. One opens files at once, before processes end and names go; it reads
//! nothing. The second reads small files, while their processes are still there, and the third, which gets the CPU last,
//! large ones. Their queues are bounded, and what finds no room is told as such. A fourth one ends when it has read, at
//! its leisure, the files of the processes that ran before.
//!
//! A digest is of the file that ran, or there is none. The kernel's own identity of the file (device, inode, times) is in
//! the record of the exec; what is opened must have it, before it is read and after. That is not all: a file that is
//! written twice within one tick of the kernel's clock has the same times. So either that clock had ticked since the last
//! change when the file was executed ([`ticks`]), or the file must still be running when it was read, since the kernel
//! lets nobody write a file that runs. Files in memory (`memfd_create`) are the exception to that last rule, and are
//! marked. Scripts anybody may write while they run: for them only the first proof holds. It does not see what is written
//! through a mapping whose pages were written before and are still on their way to the disk.

mod bpf;
mod file;
mod opener;
mod reader;
mod running;
mod store;
mod threads;
mod ticks;

use ctrace_trace::artifact::{Artifact, ArtifactKind};

pub(crate) use file::{Identity, Place};
pub(crate) use running::{FUSE, Past};
pub use store::Limits;
pub(crate) use threads::{Config, Hasher};
pub(crate) use ticks::Ticks;

/// Something whose contents are asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// A file that a process executes.
    Executed(Executed),
    /// The descriptor of a module that was loaded is to be held open: its file may soon have no name. No answer.
    Hold {
        /// Whose descriptor.
        pid: u32,
        /// Its number.
        fd: i32,
    },
    /// The file of a module that was loaded, or was to be.
    Module {
        /// Where it was.
        place: Place,
        /// Path, as the process saw it.
        path: Vec<u8>,
        /// Device and inode that the process's descriptor had.
        dev: u64,
        ino: u64,
    },
    /// The BPF programs that were loaded up to a time of the boot clock and were not told of yet.
    Programs {
        /// Boot clock.
        until_ns: u64,
    },
}

/// A file that a process executes.
#[derive(Clone, Debug)]
pub(crate) struct Executed {
    /// Where it was executed.
    pub(crate) place: Place,
    /// As the kernel has it.
    pub(crate) identity: Identity,
    /// Absolute path; the name of a file in memory.
    pub(crate) path: Vec<u8>,
    /// How it came to run.
    pub(crate) how: How,
    /// The clock that stamps files had come this far before: UTC nanoseconds. Later changes have other times than earlier.
    pub(crate) ticked_ns: u64,
    /// Whether it is in memory only.
    pub(crate) is_memfd: bool,
    /// On an overlay file system `stat` may show another device and inode than the kernel has.
    pub(crate) is_overlay: bool,
    /// Whether a copy is wanted.
    pub(crate) collect: bool,
}

/// How a file came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The kernel ran it: it is the process's program.
    Program,
    /// The kernel ran its interpreter, which opened it as this descriptor.
    Script(i32),
    /// It was the program of the process already when the recording began.
    Before,
}

impl How {
    /// What it is called.
    pub(crate) fn kind(self) -> ArtifactKind {
        match self {
            How::Program => ArtifactKind::Executable,
            How::Script(_) => ArtifactKind::Script,
            How::Before => ArtifactKind::Running,
        }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The number that the request was given.
    pub(crate) request: u64,
    /// What was found; `None` where nothing more comes.
    pub(crate) artifact: Option<Artifact>,
    /// Whether another try would find the same.
    pub(crate) is_final: bool,
}
