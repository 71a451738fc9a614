//! Typed, variable-length sections that follow the fixed part of a record.
//!
//! Each opens with a [`Section`] header and is padded to a multiple of eight bytes; what the padding holds means nothing. A reader skips
//! kinds it does not know.

use crate::Pod;

/// Alignment of sections inside a record.
pub const ALIGN: usize = 8;

/// A string argument, without its NUL.
pub const STRING: u8 = 1;
/// A socket address.
pub const SOCKADDR: u8 = 2;
/// Two 32-bit integers.
pub const I32_PAIR: u8 = 3;
/// Bytes of a fixed structure.
pub const STRUCT: u8 = 4;
/// Bytes of a data buffer.
pub const BUFFER: u8 = 5;
/// Strings, each followed by a NUL.
pub const STRING_ARRAY: u8 = 6;
/// [`File`]: the file object behind the record's descriptor, or the program file of an exec.
pub const FILE: u8 = 7;
/// The path of that file: [path components](PATH_MAX). Without a [`FILE`] that of the directory from which relative names of the
/// call start.
pub const FILE_PATH: u8 = 8;
/// [`Socket`]: the socket behind the record's descriptor.
pub const SOCKET: u8 = 9;
/// The socket's own unix address.
pub const UNIX_LOCAL: u8 = 10;
/// The peer's unix address.
pub const UNIX_PEER: u8 = 11;
/// File name that an exec was given.
pub const EXEC_FILENAME: u8 = 12;
/// Interpreter of a script, where it differs from the file name.
pub const EXEC_INTERP: u8 = 13;
/// Command line of an exec: strings, each followed by a NUL.
pub const EXEC_ARGV: u8 = 14;
/// Environment of an exec: strings, each followed by a NUL. Whole, or what was asked for: see [`ENV_MAX`].
pub const EXEC_ENV: u8 = 15;
/// Working directory of a program that starts, or of the caller when its call returned: path components.
pub const CWD: u8 = 16;
/// Path of a cgroup inside its hierarchy.
pub const CGROUP_PATH: u8 = 17;

/// A name on the way from the root to the program's cgroup of version 1, where `arg` is the distance from its end.
pub const CGROUP_NAME: u8 = 18;

/// [`Credentials`]: those of the caller when the call returned.
pub const CREDENTIALS: u8 = 19;

/// The descriptors that the caller has open when its program starts or its call returns: a bit for each from number 0 on,
/// the lowest of a byte first. Of a table with more than the section has room for nothing is said of the higher ones.
/// `arg` is [`TABLE_SHARED`] where others use the table too.
pub const OPEN_FDS: u8 = 20;
/// In `arg` of [`OPEN_FDS`].
pub const TABLE_SHARED: u8 = 1;
/// Bytes of [`OPEN_FDS`].
pub const OPEN_FDS_MAX: usize = 128;

/// Root directory of the caller when its call returned: path components.
pub const ROOT: u8 = 21;

/// Numbers of the descriptors that came with a message (`SCM_RIGHTS`), 32 bits each. What is behind the first of them the
/// [`FILE`] sections of the record say, in this order, and [`FILE_PATH`] the path of the first.
pub const RIGHTS: u8 = 22;
/// Most numbers in [`RIGHTS`].
pub const RIGHTS_MAX: usize = 8;

/// Names of a cgroup of version 1 that are kept, from its own upwards.
pub const CGROUP_NAMES: u8 = 6;
/// Longest name of a cgroup (NAME_MAX), its NUL included.
pub const CGROUP_NAME_MAX: usize = 256;

/// Bits of `arg` that hold the argument index.
pub const ARG_MASK: u8 = 0x0f;
/// In `arg`: there was more than is here.
pub const ARG_TRUNCATED: u8 = 0x80;
/// In `arg`: the memory could not be read (paged out, or a bad pointer); the section is empty.
pub const ARG_FAULT: u8 = 0x40;
/// In `arg` of a path: it leads to the root of a file system that no mount namespace has at a place (`open_tree` with
/// `OPEN_TREE_CLONE`, `fsmount`, `umount` with `MNT_DETACH`). Its last component is then that root, `/`.
pub const ARG_DETACHED: u8 = 0x20;

/// `full_len` of a truncated section whose true length is not known.
pub const FULL_LEN_UNKNOWN: u32 = u32::MAX;

/// Longest string argument kept, its NUL included.
pub const STRING_MAX: usize = 4096;
/// Longest socket address kept.
pub const SOCKADDR_MAX: usize = 128;
/// Longest command line kept: 64 KiB, of which the last byte is the NUL behind the last argument.
pub const ARGV_MAX: usize = u16::MAX as usize;
/// Longest environment kept whole. Of a longer one only the variables that were [asked for](crate::env) are kept.
pub const ENV_MAX: usize = u16::MAX as usize;
/// Behind this many bytes of such variables no further one is kept.
pub const ENV_CHOSEN_MAX: usize = 4096;
/// Longest path kept, in bytes of components.
///
/// A path comes as its components from the leaf to the root, each followed by a NUL and without slashes: the
/// kernel side walks upwards and turns nothing around. No component at all is the root.
pub const PATH_MAX: usize = 4096;
/// Deepest path kept, in components and crossed mounts.
pub const PATH_DEPTH_MAX: u32 = 96;
/// Largest snap length.
pub const SNAPLEN_MAX: u32 = 4096;

/// Header of a section; `len` bytes follow, then padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// One of this module's kinds.
    pub kind: u8,
    /// Argument index and `ARG_*` bits.
    pub arg: u8,
    /// Bytes of content.
    pub len: u16,
    /// The true length where it is known, else [`FULL_LEN_UNKNOWN`].
    pub full_len: u32,
}

/// The file system is overlayfs.
pub const FILE_OVERLAY: u32 = 1 << 0;
/// The file lives in the overlay's upper layer: made or changed after the container started.
pub const FILE_UPPER: u32 = 1 << 1;
/// Whether it lives in the upper layer could not be told.
pub const FILE_UPPER_UNKNOWN: u32 = 1 << 2;
/// The name is no longer in its directory.
pub const FILE_UNHASHED: u32 = 1 << 3;
/// The file has no directory (pipe, memfd, anonymous inode): its path is its one name.
pub const FILE_PSEUDO: u32 = 1 << 4;
/// No link to the inode is left.
pub const FILE_DELETED: u32 = 1 << 5;

/// The bits of a fraction of a second in nanoseconds. Since 6.13 the kernel marks times that were asked for in the highest bit
/// (`I_CTIME_QUERIED` in linux/fs.h), far above the largest fraction.
pub const FRACTION: u32 = 0x3FFF_FFFF;

/// Identity of a file object. Fields the host cannot give hold [`u32::MAX`] or [`u64::MAX`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Inode number.
    pub ino: u64,
    /// Last change of the inode, seconds of the epoch.
    pub ctime_s: i64,
    /// Last change of the content, seconds of the epoch.
    pub mtime_s: i64,
    /// Nanoseconds of `ctime_s`, in the bits of [`FRACTION`].
    pub ctime_ns: u32,
    /// Nanoseconds of `mtime_s`.
    pub mtime_ns: u32,
    /// Device of the file system: see [`dev_major`] and [`dev_minor`].
    pub dev: u32,
    /// Type and permissions as in `st_mode`.
    pub mode: u32,
    /// Links to the inode.
    pub nlink: u32,
    /// `FILE_*` bits.
    pub flags: u32,
    /// Magic number of the file system as in `statfs`.
    pub fs_magic: u32,
    /// Owner.
    pub uid: u32,
}

/// Credentials of a thread, its ids as the initial user namespace has them. Fields the host cannot give hold [`u32::MAX`]
/// or [`u64::MAX`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Inode number of the user namespace.
    pub user_ns: u32,
    /// What the thread has in common with others: the [`SHARED_*`](crate::record::SHARED_FS) bits of a fork.
    pub shared: u32,
}

/// State of a socket. Addresses in network byte order, IPv4 in the first four bytes; ports in host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Address family (`AF_*`).
    pub family: u16,
    /// Socket type (`SOCK_*`).
    pub kind: u16,
    /// Protocol (`IPPROTO_*`).
    pub protocol: u16,
    /// State (`TCP_ESTABLISHED` is 1).
    pub state: u16,
    /// Local port.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// Inode number of the socket.
    pub ino: u64,
    /// Local address.
    pub local: [u8; 16],
    /// Remote address.
    pub remote: [u8; 16],
}

// SAFETY: C structs of integers; the asserts below rule out padding.
unsafe impl Pod for Section {}
// SAFETY: as above.
unsafe impl Pod for File {}
// SAFETY: as above.
unsafe impl Pod for Socket {}
// SAFETY: as above.
unsafe impl Pod for Credentials {}

const _: () = assert!(size_of::<Section>() == 8);
const _: () = assert!(size_of::<File>() == 24 + 32);
const _: () = assert!(size_of::<Credentials>() == 16 + 24 + 8);
const _: () = assert!(size_of::<Socket>() == 12 + 4 + 8 + 32);

/// Major number of a device as records carry it (the kernel's own `dev_t`: 12 bits major, 20 bits minor).
pub const fn dev_major(dev: u32) -> u32 {
    dev >> 20
}

/// Minor number of a device as records carry it.
pub const fn dev_minor(dev: u32) -> u32 {
    dev & 0xf_ffff
}

/// Rounds a content length up to the next section boundary.
pub const fn padded(len: usize) -> usize {
    (len + ALIGN - 1) & !(ALIGN - 1)
}
