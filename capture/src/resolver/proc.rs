//! The host behind `/proc`: the state that a resolver starts from, and answers while it runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ctrace_trace::container::Container;
use ctrace_trace::process::Namespaces;

use super::snapshot::{Host, Snapshot, SnapshotFd, SnapshotProcess};
use crate::host::{
    Clock, EnvSelection, HostFd, HostProcess, HostState, Names, Sockets, mount_namespace, namespaces, read_cgroup,
    read_fd, read_process, read_stored, real_path,
};

/// The tables of sockets are long: they are read for new sockets at most this often.
const SOCKETS_EVERY: Duration = Duration::from_millis(250);

impl Snapshot {
    /// What a resolver needs of the host's state, with the containers that an engine told of.
    pub fn new(state: &HostState, containers: Vec<Arc<Container>>) -> Snapshot {
        let users = state.names.users.iter().map(|(id, user)| (*id, user.name.clone()));
        let groups = state.names.groups.iter().map(|(id, group)| (*id, group.name.clone()));
        Snapshot {
            processes: state.processes.iter().map(SnapshotProcess::from).collect(),
            cgroups: state.cgroups.iter().map(|(id, path)| (id, path.to_vec())).collect(),
            containers,
            users: users.collect(),
            groups: groups.collect(),
        }
    }

    /// Adds what was read earlier and is not there any more. The records of such a process begin before the state was
    /// read, and its end is among them.
    pub fn add_ended(&mut self, earlier: &[HostProcess]) {
        let still: BTreeSet<u32> = self.processes.iter().map(|p| p.image.pid).collect();
        let ended = earlier.iter().filter(|p| !still.contains(&p.image.pid));
        self.processes.extend(ended.map(SnapshotProcess::from));
    }
}

impl From<&HostProcess> for SnapshotProcess {
    fn from(process: &HostProcess) -> SnapshotProcess {
        SnapshotProcess {
            image: process.image.clone(),
            start: process.start_ns,
            cgroup: process.cgroup_id,
            root: process.root.clone(),
            threads: u32::try_from(process.threads.len()).unwrap_or(u32::MAX),
            fds: process.fds.iter().map(SnapshotFd::from).collect(),
        }
    }
}

impl From<&HostFd> for SnapshotFd {
    fn from(fd: &HostFd) -> SnapshotFd {
        SnapshotFd {
            fd: fd.fd,
            entry: fd.entry.clone(),
            cloexec: fd.cloexec,
            born_ns: fd.born_ns,
        }
    }
}

/// Answers from `/proc`.
#[derive(Debug)]
pub struct ProcHost {
    clock: Clock,
    env: EnvSelection,
    /// Inode number of the recorder's own mount namespace.
    mount_ns: u32,
    sockets: Sockets,
    sockets_read: Option<Instant>,
}

impl ProcHost {
    /// A host whose processes show these environment variables.
    pub fn new(env: EnvSelection) -> ProcHost {
        ProcHost {
            clock: Clock::new(),
            env,
            mount_ns: mount_namespace(None),
            sockets: Sockets::default(),
            sockets_read: None,
        }
    }

    /// Reads the tables of sockets of a process's network namespace, unless that was done just now.
    fn refresh_sockets(&mut self, pid: u32) -> bool {
        if self.sockets_read.is_some_and(|read| read.elapsed() < SOCKETS_EVERY) {
            return false;
        }
        self.sockets = Sockets::default();
        self.sockets.read(pid, 0);
        self.sockets_read = Some(Instant::now());
        true
    }
}

impl Host for ProcHost {
    fn process(&mut self, pid: u32) -> Option<SnapshotProcess> {
        // Its descriptors are asked for one by one when they are used: there may be very many.
        read_process(pid, &self.clock, &self.env).map(|p| SnapshotProcess::from(&p))
    }

    fn fd(&mut self, pid: u32, fd: i32) -> Option<SnapshotFd> {
        let found = read_fd(pid, fd, &self.sockets)?;
        let is_new_socket = found.entry.name.is_empty() && found.entry.socket.is_none() && found.entry.ino != 0;
        if is_new_socket && self.refresh_sockets(pid) {
            return read_fd(pid, fd, &self.sockets).map(|f| SnapshotFd::from(&f));
        }
        Some(SnapshotFd::from(&found))
    }

    fn real_path(&mut self, pid: u32, ts: u64, mount_ns: u32, root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
        let reached = self.clock.utc(ts);
        // In the recorder's own view the process need not live any more.
        if mount_ns == self.mount_ns && root.is_empty() {
            return real_path(None, path, reached);
        }
        // It may be elsewhere by now, or another one.
        let is_there = mount_ns == 0 || mount_namespace(Some(pid)) == mount_ns;
        is_there.then(|| real_path(Some(pid), path, reached)).flatten()
    }

    fn own_namespaces(&mut self, pid: u32) -> Namespaces {
        let (of, here) = (namespaces(pid), namespaces(std::process::id()));
        let own = |of, here| if of == here { 0 } else { of };
        Namespaces {
            mnt: own(of.mnt, here.mnt),
            pid: own(of.pid, here.pid),
            net: own(of.net, here.net),
            user: own(of.user, here.user),
        }
    }

    fn stored_container(&mut self, monitor: u32, bundle: &[u8], id: &str) -> Option<Container> {
        read_stored(monitor, bundle, id)
    }

    fn cgroup(&mut self, pid: u32) -> Option<Vec<u8>> {
        read_cgroup(pid)
    }

    fn names(&mut self, pid: u32, uid: u32, gid: u32) -> Option<[Vec<u8>; 2]> {
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let names = Names::read(&root);
        // Files that are not there have no entries, nor has any where the process is gone.
        let is_there = root.read_link().is_ok();
        is_there.then(|| [names.user(uid).to_vec(), names.group(gid).to_vec()])
    }
}
