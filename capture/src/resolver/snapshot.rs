//! What the resolver is given at the start and gives back at the start of each segment: processes with their open
//! descriptors; and the host that it may ask for what it missed.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::{Namespaces, ProcessImage};

/// The host when the recording began.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Processes in any order; the resolver links parents by `ppid`.
    pub processes: Vec<SnapshotProcess>,
    /// Directories of the cgroup v2 hierarchy: inode number and path.
    pub cgroups: Vec<(u64, Vec<u8>)>,
    /// Containers that an engine told of.
    pub containers: Vec<Arc<Container>>,
    /// Names of users on the host.
    pub users: BTreeMap<u32, Vec<u8>>,
    /// Names of groups on the host.
    pub groups: BTreeMap<u32, Vec<u8>>,
}

/// A process that was there before the recording.
#[derive(Clone, Debug, Default)]
pub struct SnapshotProcess {
    /// The process; `id`, `parent` and `container` are not looked at.
    pub image: ProcessImage,
    /// When it began, nanoseconds of the boot clock, not later than it did; 0 when unknown.
    pub start: u64,
    /// Inode number of its cgroup's directory in the v2 hierarchy; 0 when unknown.
    pub cgroup: u64,
    /// Its root directory, empty for the root of its mount namespace.
    pub root: Vec<u8>,
    /// How many threads it has.
    pub threads: u32,
    /// Its descriptors.
    pub fds: Vec<SnapshotFd>,
}

/// Where a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    /// Its working directory.
    pub cwd: Vec<u8>,
    /// Its root directory, empty for the root of its mount namespace.
    pub root: Vec<u8>,
}

/// A descriptor that was open before the recording, or was asked for.
#[derive(Clone, Debug)]
pub struct SnapshotFd {
    /// Its number.
    pub fd: i32,
    /// What is behind it; `id` is not looked at.
    pub entry: FdEntry,
    /// Whether `exec` closes it.
    pub cloexec: bool,
    /// When the file was made; 0 where its file system does not keep that.
    pub born_ns: u64,
}

/// A living process as the resolver knows it.
#[derive(Clone, Debug)]
pub struct ProcessState {
    /// Who it is.
    pub image: Arc<ProcessImage>,
    /// Its known descriptors in ascending order.
    pub fds: Vec<(i32, Arc<FdEntry>)>,
}

/// The host while it is recorded. What it answers is as of now, which may be later than the record that is looked at.
pub trait Host: Send {
    /// A process that no record introduced.
    fn process(&mut self, pid: u32) -> Option<SnapshotProcess>;
    /// A descriptor that no record introduced, of a process or a thread.
    fn fd(&mut self, pid: u32, fd: i32) -> Option<SnapshotFd>;
    /// Where a file really lies that a process with this mount namespace and root reached by a path at a time of the
    /// boot clock. The path starts at that root, the answer at the root of the mount namespace; it is absent where the
    /// file is, and where a link on the way is newer.
    fn real_path(&mut self, _pid: u32, _ts: u64, _mount_ns: u32, _root: &[u8], _path: &[u8]) -> Option<Vec<u8>> {
        None
    }
    /// The inode numbers of a process's namespaces; 0 for those that are the recorder's own.
    fn own_namespaces(&mut self, _pid: u32) -> Namespaces {
        Namespaces::default()
    }
    /// What is stored of a container in the folder that the command line of its monitor names.
    fn stored_container(&mut self, _monitor: u32, _bundle: &[u8], _id: &str) -> Option<Container> {
        None
    }
    /// The path of a process's cgroup in the v2 hierarchy, where no record told it.
    fn cgroup(&mut self, pid: u32) -> Option<Vec<u8>>;
    /// The names of a user and a group in the view of a process, that is in its container: empty where there they have
    /// none, absent where nobody can look any more.
    fn names(&mut self, _pid: u32, _uid: u32, _gid: u32) -> Option<[Vec<u8>; 2]> {
        None
    }
}

/// A host that is not there: records from elsewhere, or asking is switched off.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn process(&mut self, _: u32) -> Option<SnapshotProcess> {
        None
    }
    fn fd(&mut self, _: u32, _: i32) -> Option<SnapshotFd> {
        None
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
}
