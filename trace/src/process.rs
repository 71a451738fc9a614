//! Process images: who acted. A new image starts at fork, at exec and when an identity (credentials, name, session,
//! working directory, parent) changes, so that one image says one thing.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::container::Container;
use crate::text::Text;

/// Where the executed file lies and what is odd about it; see [`ProcessImage::exe_flags`].
pub mod exe_flag {
    /// In the upper (writable) layer of an overlay file system.
    pub const UPPER_LAYER: u8 = 1;
    /// In memory only (`memfd_create`).
    pub const MEMFD: u8 = 2;
    /// Writable by the user that ran it.
    pub const WRITABLE: u8 = 4;
    /// Had no name any more when it was run.
    pub const DELETED: u8 = 8;
    /// In a lower (image) layer of an overlay file system.
    pub const LOWER_LAYER: u8 = 16;
}

/// Everything that is constant while a process keeps its image.
///
/// Byte strings are as the kernel gave them and need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessImage {
    /// Unique in a recording, never reused; tells dictionary entries apart while a block is built.
    pub id: u64,
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Parent's thread group id; 0 when unknown or none.
    pub ppid: u32,
    /// Thread group id in the process's own pid namespace.
    pub vpid: u32,
    /// Session id.
    pub sid: u32,
    /// Process group id.
    pub pgid: u32,
    /// Controlling terminal's device number; 0 for none.
    pub tty: u32,
    /// When the process (not the image) started: nanoseconds since the Unix epoch; 0 when unknown.
    pub start_ts: u64,
    /// When this program was executed: nanoseconds since the Unix epoch; 0 when it never called exec or it is unknown.
    pub exec_ts: u64,
    /// The kernel's name of the process (`comm`, at most 15 bytes). Falco's `proc.name`.
    pub name: Vec<u8>,
    /// Absolute path of the executed file in the host's view of the caller's mount namespace. `proc.exepath`.
    pub exe_path: Vec<u8>,
    /// The arguments, NUL-separated, the first being `argv[0]`; `...` at the end of what was cut.
    pub argv: Text,
    /// Selected environment variables, `NAME=value`, NUL-separated; `...` as the last where more may have been there.
    pub env: Text,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// cgroup v2 path.
    pub cgroup: Vec<u8>,
    /// Real user id (what Falco's `user.uid` says is the effective one: see `euid`).
    pub uid: u32,
    /// Effective user id. `user.uid`.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id. `group.gid`.
    pub egid: u32,
    /// Login (audit) user id; `u32::MAX` when unset. `user.loginuid`.
    pub loginuid: u32,
    /// Name of `euid` as the host (or the container's passwd, where it was readable) says; empty when unknown.
    pub user: Vec<u8>,
    /// Name of `egid`; empty when unknown.
    pub group: Vec<u8>,
    /// Name of `loginuid`; empty when unknown or unset.
    pub login_user: Vec<u8>,
    /// Capability sets as bit masks (`linux/capability.h`).
    pub cap_permitted: u64,
    /// See `cap_permitted`.
    pub cap_effective: u64,
    /// See `cap_permitted`.
    pub cap_inheritable: u64,
    /// Inode of the executed file; 0 when unknown.
    pub exe_ino: u64,
    /// Its change time, nanoseconds since the Unix epoch; 0 when unknown.
    pub exe_ctime: u64,
    /// Its modification time, nanoseconds since the Unix epoch; 0 when unknown.
    pub exe_mtime: u64,
    /// Bits of [`exe_flag`].
    pub exe_flags: u8,
    /// Inode numbers of the namespaces; 0 when unknown.
    pub namespaces: Namespaces,
    /// The container it runs in; `None` on the host.
    pub container: Option<Arc<Container>>,
    /// The parent's image as it was when this one began. Chains are cut by the resolver to a bounded length.
    pub parent: Option<Arc<ProcessImage>>,
}

/// Namespace inode numbers, as `/proc/PID/ns` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[expect(missing_docs, reason = "each is the namespace of its name")]
pub struct Namespaces {
    pub mnt: u32,
    pub pid: u32,
    pub net: u32,
    pub user: u32,
}
