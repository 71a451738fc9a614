//! Answers to the resolver's questions while a host is recorded: what no record told.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use super::cgroup_tree::CgroupTree;
use super::clock::Clock;
use super::fd::{read_fd, read_fds, socket_inode};
use super::names::Names;
use super::process::{EnvSelection, read_cgroup, read_process};
use super::procfs::link;
use super::sockets::Sockets;
use crate::resolver::{Host, SnapshotFd, SnapshotProcess};

/// Most root file systems whose names are kept; the oldest are forgotten first.
const MAX_ROOTS: usize = 256;
/// How often the tables of sockets may be read again: on a busy host they have megabytes.
const SOCKETS_EVERY: Duration = Duration::from_millis(250);

/// The running host, by way of /proc.
#[derive(Debug)]
pub struct ProcHost {
    clock: Clock,
    env: EnvSelection,
    sockets: Sockets,
    sockets_read: Option<Instant>,
    cgroups: CgroupTree,
    /// Names by mount namespace, and the order in which they came.
    roots: BTreeMap<Vec<u8>, Names>,
    order: VecDeque<Vec<u8>>,
}

impl ProcHost {
    /// Makes one. It reads nothing before it is asked.
    pub fn new(clock: Clock, env: EnvSelection) -> ProcHost {
        ProcHost {
            clock,
            env,
            sockets: Sockets::default(),
            sockets_read: None,
            cgroups: CgroupTree::unread(),
            roots: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Reads the tables of a process's network namespace, unless they were read just now.
    fn refresh_sockets(&mut self, pid: u32) {
        if self.sockets_read.is_none_or(|at| at.elapsed() >= SOCKETS_EVERY) {
            self.sockets = Sockets::default();
            self.sockets.read(pid, 0);
            self.sockets_read = Some(Instant::now());
        }
    }

    /// The names in the root file system of a process. Processes of one mount namespace share it, but for `chroot`.
    fn names(&mut self, pid: u32) -> Option<&Names> {
        let namespace = link(format!("/proc/{pid}/ns/mnt"))?;
        if !self.roots.contains_key(&namespace) {
            let names = Names::read(Path::new(&format!("/proc/{pid}/root")));
            self.roots.insert(namespace.clone(), names);
            self.order.push_back(namespace.clone());
            if self.order.len() > MAX_ROOTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.roots.remove(&oldest);
            }
        }
        self.roots.get(&namespace)
    }
}

impl Host for ProcHost {
    fn process(&mut self, pid: u32) -> Option<SnapshotProcess> {
        let mut process = read_process(pid, &self.clock, &self.env)?;
        if !process.is_kernel_thread {
            self.refresh_sockets(pid);
            process.fds = read_fds(pid, &self.sockets);
        }
        process.cgroup_id = self.cgroups.id(&process.image.cgroup);
        Some(process.into())
    }

    fn fd(&mut self, pid: u32, fd: i32) -> Option<SnapshotFd> {
        if socket_inode(pid, fd).is_some_and(|inode| self.sockets.get(inode).is_none()) {
            self.refresh_sockets(pid);
        }
        read_fd(pid, fd, &self.sockets).map(SnapshotFd::from)
    }

    fn cgroup(&mut self, pid: u32) -> Option<Vec<u8>> {
        read_cgroup(pid)
    }

    fn user(&mut self, pid: u32, uid: u32) -> Option<Vec<u8>> {
        Some(self.names(pid)?.user(uid).to_vec()).filter(|name| !name.is_empty())
    }

    fn group(&mut self, pid: u32, gid: u32) -> Option<Vec<u8>> {
        Some(self.names(pid)?.group(gid).to_vec()).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn this_process_is_told_as_it_is() {
        let mut host = ProcHost::new(Clock::new(), EnvSelection::default());
        let pid = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let fd = host.fd(pid, listener.as_raw_fd()).expect("open");
        assert_eq!(fd.entry.socket.map(|s| s.local), listener.local_addr().ok());
        let me = host.process(pid).expect("alive");
        assert_eq!(me.image.pid, pid);
        assert!(me.fds.iter().any(|f| f.fd == listener.as_raw_fd()) && me.threads >= 1);
        assert_eq!(host.user(pid, 0), Some(b"root".to_vec()));
        assert_eq!(host.user(pid, 4_000_000), None);
        assert_eq!(host.cgroup(pid), Some(me.image.cgroup));
        assert!(host.process(u32::MAX).is_none() && host.cgroup(u32::MAX).is_none());
    }
}
