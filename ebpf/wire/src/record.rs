//! The fixed part of each record. Variable-length [sections](crate::section) follow it.

use crate::Pod;

/// `kind` of a successful program start: [`Exec`].
pub const KIND_EXEC: u8 = 3;
/// `kind` of a new process or thread: [`Fork`].
pub const KIND_FORK: u8 = 4;
/// `kind` of a thread's end: [`Exit`].
pub const KIND_EXIT: u8 = 5;
/// `kind` of a new cgroup: [`Cgroup`].
pub const KIND_CGROUP_MKDIR: u8 = 6;
/// `kind` of a removed cgroup: [`Cgroup`].
pub const KIND_CGROUP_RMDIR: u8 = 7;
/// `kind` of a request that was submitted to an io_uring: [`IoSubmit`].
pub const KIND_IO_SUBMIT: u8 = 8;
/// `kind` of such a request's end: [`IoComplete`].
pub const KIND_IO_COMPLETE: u8 = 9;
/// `kind` of a record made when a syscall returned: [`Syscall`]. This one has no arguments, and each that there is makes the
/// kind one more.
pub const KIND_SYSCALL: u8 = 16;
/// The same of a syscall that was entered, with a result of zero.
pub const KIND_SYSCALL_ENTER: u8 = 24;

/// Registers that hold arguments of a call: no syscall has more.
pub const MAX_ARGS: usize = 6;

/// How many arguments a syscall has that is of a kind, counted from [`KIND_SYSCALL`] or [`KIND_SYSCALL_ENTER`] on; `None`
/// where it is of another.
pub const fn arg_count(kind: u8, from: u8) -> Option<usize> {
    let count = kind.wrapping_sub(from) as usize;
    if count <= MAX_ARGS { Some(count) } else { None }
}

/// The task runs a 32-bit syscall, so `nr` counts in the i386 table.
pub const FLAG_COMPAT: u8 = 1 << 0;
/// The record had no room for all its sections.
pub const FLAG_SECTIONS_DROPPED: u8 = 1 << 1;
/// The process was asked for by its id, name or cgroup ([`crate::scope::WANTED`]).
pub const FLAG_WANTED: u8 = 1 << 2;
/// Syscalls of this process are not recorded.
pub const FLAG_UNSEEN: u8 = 1 << 3;
/// The descriptors are not as the result says: a seccomp filter or a tracer answered the call, or another thread was
/// quicker. What is behind the descriptor in question now is described, where there is something.
pub const FLAG_UNTRUE: u8 = 1 << 4;
/// The name that the call was given is empty, for which there is no section.
pub const FLAG_EMPTY_NAME: u8 = 1 << 5;

/// Opens every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole record, this header included.
    pub len: u32,
    /// One of the `KIND_*` constants.
    pub kind: u8,
    /// `FLAG_*` bits.
    pub flags: u8,
    /// The CPU that made the record.
    pub cpu: u16,
    /// Nanoseconds of `CLOCK_BOOTTIME`, which counts on through suspend.
    pub ts: u64,
    /// Process id in the initial namespace.
    pub tgid: u32,
    /// Thread id in the initial namespace.
    pub tid: u32,
    /// Id of the task's cgroup in the v2 hierarchy: the inode of its directory.
    pub cgroup: u64,
}

/// A syscall that returned, or (with `KIND_SYSCALL_ENTER`) that was entered.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syscall<A: ?Sized = [u64; MAX_ARGS]> {
    /// Common part, whose kind says how many arguments there are.
    pub header: Header,
    /// Syscall number; −1 after `rt_sigreturn` and where a tracer cancelled the call.
    pub nr: i32,
    /// Zero.
    pub reserved: u32,
    /// Return value, or the negated errno.
    pub ret: i64,
    /// The first argument registers as they are when the record is made.
    pub args: A,
}

impl Syscall<[u64]> {
    /// A whole register; 0 where it was not kept.
    #[inline]
    pub fn arg(&self, at: u8) -> u64 {
        self.args.get(at as usize).copied().unwrap_or(0)
    }

    /// All registers.
    pub fn all_args(&self) -> [u64; MAX_ARGS] {
        core::array::from_fn(|at| self.arg(at as u8))
    }
}

/// A program start, read from the task that will run it.
///
/// Fields the host cannot give hold [`u32::MAX`] or [`u64::MAX`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Common part. `tid` equals `tgid`: the calling thread has become the leader.
    pub header: Header,
    /// Thread id of the caller before the exec; differs from `tid` when it was not the leader.
    pub old_tid: u32,
    /// Process id of the parent.
    pub ppid: u32,
    /// When the process was forked, nanoseconds of `CLOCK_BOOTTIME`.
    pub start: u64,
    /// When the parent process was forked, nanoseconds of `CLOCK_BOOTTIME`.
    pub parent_start: u64,
    /// Audit login uid, 4294967295 when unset.
    pub loginuid: u32,
    /// Audit session id, 4294967295 when unset.
    pub sessionid: u32,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Saved user id.
    pub suid: u32,
    /// Saved group id.
    pub sgid: u32,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Session id in the initial namespace.
    pub sid: u32,
    /// Process group id in the initial namespace.
    pub pgid: u32,
    /// Device number of the controlling terminal ([`crate::section::dev_major`]), 0 for none.
    pub tty: u32,
    /// Process id inside its own pid namespace.
    pub vpid: u32,
    /// Inode number of the mount namespace.
    pub mnt_ns: u32,
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// Inode number of the user namespace.
    pub user_ns: u32,
    /// The thread's name, NUL-padded.
    pub comm: [u8; 16],
}

/// In [`Fork::shared`]: the child and the forking thread have one working directory and one root.
pub const SHARED_FS: u32 = 1 << 0;
/// In [`Fork::shared`]: they have one table of descriptors.
pub const SHARED_FILES: u32 = 1 << 1;

/// A new process or thread. The header names the parent thread that forked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fork {
    /// Common part; `tgid` and `tid` are the forking thread's.
    pub header: Header,
    /// Process id of the child; equal to the parent's for a new thread.
    pub child_tgid: u32,
    /// Thread id of the child.
    pub child_tid: u32,
    /// When the child was made, nanoseconds of `CLOCK_BOOTTIME`.
    pub child_start: u64,
    /// The child's cgroup in the v2 hierarchy; differs from the parent's with `CLONE_INTO_CGROUP`.
    pub child_cgroup: u64,
    /// Thread id of the child inside its own pid namespace.
    pub child_vtid: u32,
    /// Process id of the child inside its own pid namespace.
    pub child_vpid: u32,
    /// Process id of the child's parent: not the forking process with `CLONE_PARENT`.
    pub child_ppid: u32,
    /// Inode number of the child's pid namespace.
    pub child_pid_ns: u32,
    /// `SHARED_*` bits.
    pub shared: u32,
    /// Zero.
    pub reserved: u32,
    /// The child's name, NUL-padded.
    pub comm: [u8; 16],
}

/// In [`Exit::call`]: no call.
pub const NO_CALL: u32 = u32::MAX;

/// The end of a thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Common part.
    pub header: Header,
    /// The thread's exit status as `wait` reports it: code in bits 8 to 15, signal in bits 0 to 6, core 0x80.
    pub exit_code: u32,
    /// Threads of the process that still live; 0 means that the process has ended.
    pub threads_left: u32,
    /// The status that the whole group was told to end with (`exit_group`, a fatal signal), or 0.
    pub group_exit_code: u32,
    /// Number of the call by which the thread ended itself (`exit`, `exit_group`; with [`FLAG_COMPAT`] of the 32-bit
    /// table), where that call is recorded; [`NO_CALL`] where it ended otherwise or that cannot be told.
    pub call: u32,
    /// What that call was given, or 0.
    pub status: i32,
    /// Zero.
    pub reserved: u32,
    /// When the thread was made, nanoseconds of `CLOCK_BOOTTIME`.
    pub start: u64,
    /// The thread's name, NUL-padded.
    pub comm: [u8; 16],
}

/// A cgroup that came or went. The header's task is the one that did it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Common part.
    pub header: Header,
    /// Inode number of the cgroup's directory.
    pub id: u64,
    /// 0 in the v2 hierarchy, the hierarchy's number in v1.
    pub hierarchy: u32,
    /// Zero.
    pub reserved: u32,
}

/// In [`IoSubmit::flags`]: the file is given by its place among the ring's own, not by a descriptor
/// (`IOSQE_FIXED_FILE`).
pub const IO_FIXED_FILE: u32 = 1;
/// In [`IoSubmit::flags`]: the request stays and has a result for each connection, message or part of what is read. None
/// of the caller's bits.
pub const IO_MULTISHOT: u32 = 1 << 8;

/// A request that was submitted to an io_uring. It carries what the same syscall would: its arguments, strings and
/// addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoSubmit {
    /// Common part.
    pub header: Header,
    /// The kernel's name of the request: an address that no other has until it is completed.
    pub request: u64,
    /// What the program named it.
    pub user_data: u64,
    /// One of `IORING_OP_*`.
    pub opcode: u32,
    /// `IOSQE_*` bits, and [`IO_MULTISHOT`].
    pub flags: u32,
    /// The descriptor it works on, -1 where it works on none.
    pub fd: i32,
    /// Where among the ring's own files the new one goes, from 1; 0 where it becomes a descriptor.
    pub slot: u32,
    /// Arguments of the syscall that does the same.
    pub args: [u64; 6],
}

/// A result of such a request, mostly its end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoComplete {
    /// Common part. The task may be another thread than that which submitted it.
    pub header: Header,
    /// As in [`IoSubmit::request`].
    pub request: u64,
    /// Result, or the negated errno.
    pub res: i32,
    /// 1 where the request goes on, 0 where it ended.
    pub more: u32,
}

// SAFETY: all of these are C structs of integers; the asserts below rule out padding.
unsafe impl Pod for Header {}
// SAFETY: as above.
unsafe impl<const ARGS: usize> Pod for Syscall<[u64; ARGS]> {}
// SAFETY: as above.
unsafe impl Pod for Exec {}
// SAFETY: as above.
unsafe impl Pod for Fork {}
// SAFETY: as above.
unsafe impl Pod for Exit {}
// SAFETY: as above.
unsafe impl Pod for Cgroup {}
// SAFETY: as above.
unsafe impl Pod for IoSubmit {}
// SAFETY: as above.
unsafe impl Pod for IoComplete {}

const _: () = assert!(size_of::<Header>() == 32);
const _: () = assert!(size_of::<Syscall<[u64; 0]>>() == 32 + 16);
const _: () = assert!(size_of::<Syscall>() == 32 + 16 + 48);
const _: () = assert!(size_of::<Exec>() == 32 + 8 + 16 + 32 + 24 + 32 + 16);
const _: () = assert!(size_of::<Fork>() == 32 + 8 + 16 + 16 + 8 + 16);
const _: () = assert!(size_of::<Exit>() == 32 + 24 + 8 + 16);
const _: () = assert!(size_of::<Cgroup>() == 32 + 16);
const _: () = assert!(size_of::<IoSubmit>() == 32 + 16 + 16 + 48);
const _: () = assert!(size_of::<IoComplete>() == 32 + 16);
