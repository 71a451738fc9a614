//! What the kernel side records of each syscall: a table filled by user space, indexed by syscall number, 64-bit calls
//! first.

use crate::Pod;
use crate::record::MAX_ARGS;

/// Numbers of 64-bit calls in the table, and of 32-bit calls after them; a higher number is recorded without sections,
/// in the bulk lane.
pub const SPEC_COUNT: u32 = 512;

/// Where 32-bit calls begin in the table.
pub const COMPAT_SPECS: u32 = SPEC_COUNT;

/// Entries of the table.
pub const TABLE_SIZE: u32 = 2 * SPEC_COUNT;

/// A bit for each number, the lowest of the first word for zero: set where [something is asked for](is_asked). A call of any other
/// costs this and no more.
pub type Asked = [u64; ASKED_WORDS];
/// Words of [`Asked`].
pub const ASKED_WORDS: usize = (SPEC_COUNT / u64::BITS) as usize;

/// Pointer captures that one syscall can ask for.
pub const CAPTURE_COUNT: usize = 4;

/// The syscall is recorded when it returns.
pub const SELECTED: u8 = 1 << 0;
/// Records go through the priority ring.
pub const PRIORITY: u8 = 1 << 1;
/// The file object behind [`SyscallSpec::fd`] is described when the call succeeded.
pub const FILE: u8 = 1 << 2;
/// The socket behind [`SyscallSpec::fd`] is described.
pub const SOCKET: u8 = 1 << 3;
/// A second record is made at entry, with the captures evaluated there.
///
/// Needs the `sys_enter` program, which is attached only when some syscall has this bit: a program there costs
/// every syscall of the host a few tens of nanoseconds.
pub const ENTER: u8 = 1 << 4;

/// The credentials that the caller has now are described.
pub const CREDENTIALS: u8 = 1 << 5;

/// The working directory that the caller has now is described; not beside [`FILE`]. With [`ROOT`] for a descriptor it is the
/// caller's root directory instead.
pub const DIRECTORY: u8 = 1 << 6;

/// Where the call succeeded, the directory is described from which a relative name leads on: the one behind
/// [`SyscallSpec::fd`], or else the working directory. Not beside [`FILE`] and [`DIRECTORY`].
pub const BASE: u8 = 1 << 7;

/// In [`SyscallSpec::left_out`]: nothing is left out of what was asked for.
pub const NOT_LEFT_OUT: u8 = 0;
/// The call by which 32-bit programs make all others about sockets (arch/x86/entry/syscalls/syscall_32.tbl).
pub const SOCKETCALL: u32 = 102;
/// Kinds of calls that are counted where they are left out: see [`SyscallSpec::left_out`].
pub const LEFT_OUT_KINDS: usize = 2;

/// Opcodes of io_uring that have an entry in the table of what to record of each: [`SELECTED`] and [`PRIORITY`]. One that
/// is higher is not recorded.
pub const IO_OPCODES: usize = 64;

/// Stands for "the return value" where an argument index is expected.
pub const RESULT: u8 = 0xff;
/// Stands for "none" where an argument index is expected.
pub const NO_FD: u8 = 0xfe;
/// In [`SyscallSpec::fd`]: the first argument, which the call closes. It is described only where something is behind it
/// all the same, in a record that is marked [`FLAG_UNTRUE`](crate::record::FLAG_UNTRUE).
pub const CLOSED: u8 = 0xfd;
/// In [`SyscallSpec::fd`]: the result, which the call makes of its first argument. It is described only where the two are
/// not the same file, in a record that is marked so.
pub const COPY: u8 = 0xfc;
/// In [`SyscallSpec::fd`]: all that are open are [listed](crate::section::OPEN_FDS).
pub const ALL_FDS: u8 = 0xfb;
/// In [`SyscallSpec::fd`]: the two that the first capture reads. They are not described, but the record is marked so where
/// they are not the two ends of one object.
pub const PAIR: u8 = 0xfa;
/// In [`SyscallSpec::fd`]: the call is recorded only where something came with its message beside the data.
pub const BROUGHT: u8 = 0xf8;
/// Stands for the caller's root directory where [`DIRECTORY`] describes that.
pub const ROOT: u8 = 0xf9;

/// The ring that a record goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// Few and important: process life cycle, credentials, connections.
    Priority = 0,
    /// Everything else.
    Bulk = 1,
}

/// A pointer argument to follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// One of the `CAPTURE_*` constants.
    pub kind: u8,
    /// Index of the pointer argument, 0 to 5.
    pub arg: u8,
    /// Index of the argument that holds the length (or points to it), or [`RESULT`].
    pub len_arg: u8,
    /// Fixed size in bytes for [`CAPTURE_STRUCT`].
    pub size: u8,
}

// SAFETY: four u8 in C layout.
unsafe impl Pod for Capture {}

/// Unused slot; ends the list.
pub const CAPTURE_NONE: u8 = 0;
/// A NUL-terminated string.
pub const CAPTURE_STRING: u8 = 1;
/// A socket address whose length is the value of `len_arg`.
pub const CAPTURE_SOCKADDR: u8 = 2;
/// A socket address that the kernel filled in, its length behind the pointer in `len_arg`; only on success.
pub const CAPTURE_SOCKADDR_RESULT: u8 = 3;
/// Two 32-bit integers that the kernel filled in (`pipe`, `socketpair`); only on success.
pub const CAPTURE_I32_PAIR: u8 = 4;
/// `size` bytes as they are (`open_how`, `clone_args`).
pub const CAPTURE_STRUCT: u8 = 5;
/// Data of a length given by `len_arg`, up to the snap length.
pub const CAPTURE_BUFFER: u8 = 6;
/// An array of string pointers of the caller's word size ending in a null pointer (`argv`). Only in the last slot, and beside another capture.
pub const CAPTURE_STRING_ARRAY: u8 = 7;
/// The address in a `struct msghdr` of the caller's word size (`sendmsg`, `recvmsg`).
pub const CAPTURE_MSGHDR_NAME: u8 = 8;
/// The same of each `struct mmsghdr` of an array (`sendmmsg`, `recvmmsg`), as many as the call's result says, the first
/// one always, and at most [`MESSAGES_MAX`]. Only in the last slot.
pub const CAPTURE_MMSGHDR_NAMES: u8 = 9;

/// The numbers of the descriptors that came with the message of a `struct msghdr` of the caller's word size (`recvmsg`); only
/// on success, and in the first slot. Files are described behind them: see [`crate::section::RIGHTS`].
pub const CAPTURE_RIGHTS: u8 = 10;

/// Most messages of one call whose addresses are kept.
pub const MESSAGES_MAX: u32 = 8;

impl Capture {
    /// A NUL-terminated string behind argument `arg`.
    pub const fn string(arg: u8) -> Self {
        Self {
            kind: CAPTURE_STRING,
            arg,
            len_arg: 0,
            size: 0,
        }
    }

    /// A socket address behind argument `arg`, its length being argument `len_arg`.
    pub const fn sockaddr(arg: u8, len_arg: u8) -> Self {
        Self {
            kind: CAPTURE_SOCKADDR,
            arg,
            len_arg,
            size: 0,
        }
    }

    /// A socket address written by the kernel behind `arg`, its length behind `len_arg`.
    pub const fn sockaddr_result(arg: u8, len_arg: u8) -> Self {
        Self {
            kind: CAPTURE_SOCKADDR_RESULT,
            arg,
            len_arg,
            size: 0,
        }
    }

    /// Two 32-bit integers written by the kernel behind `arg`.
    pub const fn i32_pair(arg: u8) -> Self {
        Self {
            kind: CAPTURE_I32_PAIR,
            arg,
            len_arg: 0,
            size: 0,
        }
    }

    /// `size` bytes behind `arg`.
    pub const fn structure(arg: u8, size: u8) -> Self {
        Self {
            kind: CAPTURE_STRUCT,
            arg,
            len_arg: 0,
            size,
        }
    }

    /// Data behind `arg`, as long as `len_arg` says.
    pub const fn buffer(arg: u8, len_arg: u8) -> Self {
        Self {
            kind: CAPTURE_BUFFER,
            arg,
            len_arg,
            size: 0,
        }
    }

    /// An array of string pointers behind `arg`.
    pub const fn string_array(arg: u8) -> Self {
        Self {
            kind: CAPTURE_STRING_ARRAY,
            arg,
            len_arg: 0,
            size: 0,
        }
    }

    /// The addresses in the array of `struct mmsghdr` behind `arg`.
    pub const fn mmsghdr_names(arg: u8) -> Self {
        Self {
            kind: CAPTURE_MMSGHDR_NAMES,
            ..Self::msghdr_name(arg)
        }
    }

    /// The descriptors that came with the `struct msghdr` behind `arg`.
    pub const fn rights(arg: u8) -> Self {
        Self {
            kind: CAPTURE_RIGHTS,
            ..Self::msghdr_name(arg)
        }
    }

    /// The address in the `struct msghdr` behind `arg`.
    pub const fn msghdr_name(arg: u8) -> Self {
        Self {
            kind: CAPTURE_MSGHDR_NAME,
            arg,
            len_arg: 0,
            size: 0,
        }
    }
}

/// What to record of one syscall.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallSpec {
    /// [`SELECTED`], [`PRIORITY`], [`FILE`], [`SOCKET`], [`ENTER`], [`CREDENTIALS`], [`DIRECTORY`], [`BASE`].
    pub flags: u8,
    /// The file descriptor to describe: an argument index, [`RESULT`], [`CLOSED`], [`COPY`], [`ALL_FDS`], [`PAIR`], [`ROOT`],
    /// [`BROUGHT`] or [`NO_FD`].
    pub fd: u8,
    /// Of a call that was asked for and is not [`SELECTED`] now: from 1 on the number of the counter in
    /// [`Counters::left_out`](crate::counters::Counters::left_out) that counts it.
    pub left_out: u8,
    /// How many argument registers a record has: all that [`fd`](Self::fd) and the captures name are among them. Where
    /// nothing else is recorded of a 32-bit call all are kept.
    pub args: u8,
    /// Pointers to follow, in order; the first [`CAPTURE_NONE`] ends the list.
    pub captures: [Capture; CAPTURE_COUNT],
}

// SAFETY: four u8 and an array of four-byte structs, without a gap.
unsafe impl Pod for SyscallSpec {}

impl SyscallSpec {
    /// A syscall that is not recorded.
    pub const UNSELECTED: Self = Self {
        flags: 0,
        fd: NO_FD,
        left_out: NOT_LEFT_OUT,
        args: MAX_ARGS as u8,
        captures: [Capture {
            kind: 0,
            arg: 0,
            len_arg: 0,
            size: 0,
        }; 4],
    };

    /// A syscall recorded with its plain arguments and result only, in the bulk lane.
    pub const PLAIN: Self = Self {
        flags: SELECTED,
        ..Self::UNSELECTED
    };

    /// The same, with these pointers followed; more than [`CAPTURE_COUNT`] do not compile in a constant. What is read in a
    /// loop goes to the last slot, where there is none yet.
    pub const fn with(mut self, captures: &[Capture]) -> Self {
        let mut i = 0;
        while i < captures.len() {
            let at = if matches!(captures[i].kind, CAPTURE_STRING_ARRAY | CAPTURE_MMSGHDR_NAMES) {
                CAPTURE_COUNT - 1
            } else {
                i
            };
            self.captures[at] = captures[i];
            i += 1;
        }
        self
    }

    /// The same, in the priority lane.
    pub const fn priority(mut self) -> Self {
        self.flags |= PRIORITY;
        self
    }

    /// The same, with no more than the first argument registers, at most [`MAX_ARGS`].
    pub const fn args(mut self, args: u8) -> Self {
        self.args = args;
        self
    }

    /// The same, describing the file object behind `fd` (an argument index or [`RESULT`]).
    pub const fn file(mut self, fd: u8) -> Self {
        self.flags |= FILE;
        self.fd = fd;
        self
    }

    /// The same, describing the socket behind `fd` (an argument index or [`RESULT`]).
    pub const fn socket(mut self, fd: u8) -> Self {
        self.flags |= SOCKET;
        self.fd = fd;
        self
    }

    /// The same, describing the caller's credentials.
    pub const fn credentials(mut self) -> Self {
        self.flags |= CREDENTIALS;
        self
    }

    /// The same, describing the caller's working directory.
    pub const fn directory(mut self) -> Self {
        self.flags |= DIRECTORY;
        self
    }

    /// The same, describing the caller's root directory.
    pub const fn root(mut self) -> Self {
        self.flags |= DIRECTORY;
        self.fd = ROOT;
        self
    }

    /// The same, describing what relative names start from: the directory behind `fd` (an argument index or [`NO_FD`]), or
    /// the working directory.
    pub const fn base(mut self, fd: u8) -> Self {
        self.flags |= BASE;
        self.fd = fd;
        self
    }

    /// The same, only where something came with the message that the first capture reads.
    pub const fn brought(mut self) -> Self {
        self.fd = BROUGHT;
        self
    }

    /// Whether nothing is done where such a call returns: it is neither recorded nor counted.
    const fn is_unselected(&self) -> bool {
        self.flags & SELECTED == 0 && self.left_out == NOT_LEFT_OUT
    }

    /// Not recorded, but counted: `kind` is below [`LEFT_OUT_KINDS`].
    pub const fn left_out(kind: u8) -> Self {
        Self {
            left_out: kind + 1,
            ..Self::UNSELECTED
        }
    }

    /// The same, with a record at entry too.
    pub const fn enter(mut self) -> Self {
        self.flags |= ENTER;
        self
    }
}

/// Whether something is done where a call of this number returns, by what the table of 64-bit calls and that of 32-bit calls
/// have there: else the kernel side need not find out of which one it is.
pub const fn is_asked(nr: u32, native: &SyscallSpec, compat: &SyscallSpec) -> bool {
    nr == SOCKETCALL || !native.is_unselected() || !compat.is_unselected()
}

impl Default for SyscallSpec {
    fn default() -> Self {
        Self::UNSELECTED
    }
}

const _: () = assert!(size_of::<Capture>() == 4);
const _: () = assert!(size_of::<SyscallSpec>() == 20);

/// Scratch buffers that the kernel side needs for each possible CPU, beside the one of execs.
pub const SCRATCH_PER_CPU: u32 = 4;
