//! One event: what happened, when, by whom; the types that writer and readers share.

use std::fmt;
use std::sync::Arc;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::fd::FdEntry;
use crate::process::ProcessImage;

/// The stream that an event came from. Order matters: it breaks ties of equal timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Source {
    /// ctrace's own events: start, stop, gap, clock step, source lost or regained.
    Capture = 0,
    /// System calls and process life, from the kernel.
    Syscall = 1,
    /// Events of the Docker engine.
    Docker = 2,
    /// Lines that containers wrote.
    ContainerLog = 3,
    /// Records of the kernel's audit subsystem, grouped by serial.
    Audit = 4,
    /// Kubernetes API server audit.
    K8sAudit = 5,
    /// Records of other tools' logs; imported only.
    Log = 6,
}

impl Source {
    /// Every source, in tie-breaking order.
    pub const ALL: [Source; 7] = [
        Source::Capture,
        Source::Syscall,
        Source::Docker,
        Source::ContainerLog,
        Source::Audit,
        Source::K8sAudit,
        Source::Log,
    ];

    /// The name in output, in rules (`source:`) and in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Source::Capture => "capture",
            Source::Syscall => "syscall",
            Source::Docker => "docker",
            Source::ContainerLog => "container_log",
            Source::Audit => "audit",
            Source::K8sAudit => "k8s_audit",
            Source::Log => "log",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of event this is: an x86_64 or i386 syscall number, or one of ctrace's own kinds.
///
/// The number is what files store and never changes its meaning:
///
/// | range | meaning |
/// | --- | --- |
/// | 0 – 0x0FFF | x86_64 syscall number (`arch/x86/entry/syscalls/syscall_64.tbl`) |
/// | 0x1000 – 0x1FFF | events that are not syscalls |
/// | 0x2000 – 0x2FFF | i386 syscall number + 0x2000, made by a 32-bit program or `int 0x80`; the last is [`Self::UNKNOWN_COMPAT_SYSCALL`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct EventType(pub u16);

impl EventType {
    /// A syscall number outside the x86_64 table; its number is the first argument.
    pub const UNKNOWN_SYSCALL: EventType = EventType(0x1000);
    /// The same of the i386 table.
    pub const UNKNOWN_COMPAT_SYSCALL: EventType = EventType(0x2FFF);
    /// A process (its last thread) ended. Falco's `procexit`.
    pub const PROCEXIT: EventType = EventType(0x1001);
    /// A request of io_uring has a result, mostly its only one. What it did follows as an event of the syscall that does the same.
    pub const IO_URING_REQ: EventType = EventType(0x1002);
    /// A signal was delivered to a process. Falco's `signaldeliver`; imported captures only.
    pub const SIGNALDELIVER: EventType = EventType(0x1003);
    /// The scheduler gave the CPU to another thread. Falco's `switch`; imported captures only.
    pub const SWITCH: EventType = EventType(0x1004);
    /// A page was not in memory. Falco's `page_fault`; imported captures only.
    pub const PAGE_FAULT: EventType = EventType(0x1005);
    /// What an engine said of a container. Falco's `container`; imported captures only.
    pub const CONTAINER: EventType = EventType(0x1006);
    /// The digest of a file that was executed, of a kernel module or a BPF program that was loaded, or why there is none.
    /// Comes after the call that it is about: see [`crate::artifact`].
    pub const ARTIFACT: EventType = EventType(0x1007);
    /// A Docker engine event.
    pub const DOCKER: EventType = EventType(0x1010);
    /// A line that a container wrote.
    pub const CONTAINER_LOG: EventType = EventType(0x1011);
    /// An audit event: all records of one serial.
    pub const AUDIT: EventType = EventType(0x1012);
    /// A Kubernetes audit event.
    pub const K8S_AUDIT: EventType = EventType(0x1013);
    /// A record of another tool's log (an alert of Falco, a journal entry); imported only.
    pub const LOG: EventType = EventType(0x1014);
    /// The recording began.
    pub const CAPTURE_START: EventType = EventType(0x1020);
    /// The recording ended in order.
    pub const CAPTURE_STOP: EventType = EventType(0x1021);
    /// Events were lost; says which class, how many and when.
    pub const GAP: EventType = EventType(0x1022);
    /// The wall clock was set while recording.
    pub const CLOCK_STEP: EventType = EventType(0x1023);
    /// A source could not be opened or went away.
    pub const SOURCE_LOST: EventType = EventType(0x1024);
    /// A source came (back).
    pub const SOURCE_FOUND: EventType = EventType(0x1025);
    /// Events were recorded out of order, because they came too late; says how many and by how much.
    pub const LATE: EventType = EventType(0x1026);
    /// The machine slept: nothing ran, and nothing is missing.
    pub const SUSPEND: EventType = EventType(0x1027);
    /// A file was imported: which one, its digest, and what became of its contents. Stands behind its events.
    pub const IMPORTED: EventType = EventType(0x1030);
    /// A piece of an imported file that was not understood, as it stood there.
    pub const IMPORT_RAW: EventType = EventType(0x1031);

    /// The event type of an x86_64 syscall number; numbers that no table has become [`Self::UNKNOWN_SYSCALL`].
    pub const fn syscall(nr: u32) -> EventType {
        if nr < 0x1000 {
            EventType(nr as u16)
        } else {
            Self::UNKNOWN_SYSCALL
        }
    }

    /// The event type of an i386 syscall number (compat call on an x86_64 kernel); numbers that no table has become
    /// [`Self::UNKNOWN_COMPAT_SYSCALL`].
    pub const fn compat_syscall(nr: u32) -> EventType {
        if nr < 0x0FFF {
            EventType(0x2000 | nr as u16)
        } else {
            Self::UNKNOWN_COMPAT_SYSCALL
        }
    }

    /// Whether this stands for the numbers that a table has not.
    pub const fn is_unknown_syscall(self) -> bool {
        self.0 == Self::UNKNOWN_SYSCALL.0 || self.0 == Self::UNKNOWN_COMPAT_SYSCALL.0
    }

    /// Whether this is a syscall made through the 32-bit entry.
    pub const fn is_compat(self) -> bool {
        self.0 & 0xF000 == 0x2000
    }

    /// Whether this is a system call of any kind.
    pub const fn is_syscall(self) -> bool {
        self.0 < 0x1001 || self.is_compat()
    }
}

/// One resolved event on its way into a block.
///
/// `args` must have exactly as many entries as the event type's [`crate::schema::EventSpec::params`], in their order.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When it happened: nanoseconds since the Unix epoch, UTC.
    pub ts: u64,
    /// What happened.
    pub kind: EventType,
    /// The CPU it happened on; 0 where that has no meaning.
    pub cpu: u16,
    /// Kernel thread id in the initial pid namespace; 0 where no thread is known.
    pub tid: u32,
    /// The process image that acted, as far as it is known.
    pub image: Option<&'a Arc<ProcessImage>>,
    /// The result as the kernel returned it (negative errno on failure), where there is one.
    pub ret: Option<i64>,
    /// How long the call took, in nanoseconds: the time of its end less that of its beginning, where both were recorded.
    /// Live recordings have no beginnings.
    pub latency: Option<u64>,
    /// The file descriptor number that the event is about.
    pub fd_num: Option<i32>,
    /// What that descriptor referred to, where it is known.
    pub fd: Option<&'a Arc<FdEntry>>,
    /// The arguments, in the order of the declared parameters.
    pub args: &'a [Arg<'a>],
    /// Captured buffer contents (`--snaplen`); empty when none were captured.
    pub data: &'a [u8],
}

impl<'a> Event<'a> {
    /// An event without thread, process, result and descriptor.
    pub fn bare(ts: u64, kind: EventType, args: &'a [Arg<'a>]) -> Event<'a> {
        Event {
            ts,
            kind,
            cpu: 0,
            tid: 0,
            image: None,
            ret: None,
            latency: None,
            fd_num: None,
            fd: None,
            args,
            data: &[],
        }
    }
}

/// A file that events are imported from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginFile {
    /// Tells the files of an import apart, from 1. Images and objects of events of different files are different ones,
    /// whatever their ids: each file has its own host.
    pub id: u64,
    /// Its name, as its `imported` event has it.
    pub name: Vec<u8>,
}

/// Where an imported event stood.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The file.
    pub file: &'a Arc<OriginFile>,
    /// Offset of its first byte in what the file decompresses to.
    pub offset: u64,
    /// Its line, from 1; 0 where the format has no lines.
    pub line: u64,
}

/// One argument of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// Not captured, not applicable, or the pointer could not be read.
    None,
    /// A number: flags, sizes, ids, descriptors, addresses (two's complement where unsigned 64-bit).
    Num(i64),
    /// Text or bytes.
    Str(&'a [u8]),
    /// A path: absolute and normalised in the view of the caller's mount namespace, and as the caller wrote it.
    Path {
        /// Absolute path.
        resolved: &'a [u8],
        /// The caller's string.
        raw: &'a [u8],
    },
}

impl<'a> Arg<'a> {
    /// A text that is none when it is empty.
    pub fn text(text: &'a [u8]) -> Arg<'a> {
        if text.is_empty() { Arg::None } else { Arg::Str(text) }
    }
}
