//! What a log of strace tells of processes: who is whose child, what they execute, where they are, what they opened.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;
use hashbrown::HashMap;

use super::super::processes::{Processes, Seen};
use super::arguments::{self, Told};
use super::line::{Call, Stamped};
use crate::resolver::{PATH_LIMIT, resolve_path};

/// More threads and open descriptors than this are not kept apart.
const MAX_THREADS: usize = 1 << 18;
const MAX_FDS: usize = 1 << 16;
/// `CLONE_THREAD` (`linux/sched.h`).
const CLONE_THREAD: &[u8] = b"CLONE_THREAD";
/// The kernel's name of a process has so many bytes.
const COMM: usize = 15;

/// All of it.
#[derive(Default)]
pub(super) struct World {
    processes: Processes,
    /// The process of each thread that is none of its own.
    threads: HashMap<u32, u32>,
    fds: HashMap<(u32, i32), Arc<FdEntry>>,
    objects: u64,
}

impl World {
    fn pid(&self, tid: u32) -> u32 {
        self.threads.get(&tid).copied().unwrap_or(tid)
    }

    /// Has an image for a thread's process from now on.
    pub(super) fn meet(&mut self, tid: u32) {
        let pid = self.pid(tid);
        if pid != 0 && self.processes.of(pid).is_none() {
            self.processes.see(&Seen { pid, ..Seen::default() });
        }
    }

    /// The image of a thread's process, where one was met.
    pub(super) fn image(&self, tid: u32) -> Option<&Arc<ProcessImage>> {
        Some(self.pid(tid))
            .filter(|pid| *pid != 0)
            .and_then(|pid| self.processes.of(pid))
    }

    /// What a descriptor refers to.
    pub(super) fn fd(&self, tid: u32, fd: i32) -> Option<&Arc<FdEntry>> {
        self.fds.get(&(self.pid(tid), fd))
    }

    /// A path, absolute where its beginning is known.
    pub(super) fn path<'a>(&self, tid: u32, raw: &Cow<'a, [u8]>, dir: Option<i64>) -> Cow<'a, [u8]> {
        if is_clean(raw) {
            return raw.clone();
        }
        let pid = self.pid(tid);
        let dir = dir.and_then(|d| i32::try_from(d).ok()).filter(|d| *d >= 0);
        let base: Cow<'_, [u8]> = match dir {
            Some(dir) => self
                .fds
                .get(&(pid, dir))
                .map(|f| f.name.as_slice())
                .unwrap_or_default()
                .into(),
            None => self
                .processes
                .of(pid)
                .map(|i| i.cwd.as_slice())
                .unwrap_or_default()
                .into(),
        };
        if raw.is_empty() || !raw.starts_with(b"/") && base.is_empty() {
            return raw.clone();
        }
        let mut out = Vec::with_capacity(base.len() + raw.len() + 1);
        resolve_path(b"", &base, raw, &mut out);
        out.into()
    }

    /// Takes over what a call that succeeded changed.
    pub(super) fn apply(&mut self, at: &Stamped<'_>, call: &Call<'_, '_>, told: &[Told<'_>]) {
        /// `-EINPROGRESS`: a socket that does not block connects in the background.
        const BEGUN: i64 = -115;
        if call.name == b"connect" && call.ret.is_some_and(|r| r >= 0 || r == BEGUN) {
            self.connect(at.tid, call, told);
        }
        let Some(ret) = call.ret.filter(|r| *r >= 0) else {
            return;
        };
        let path = told.iter().find_map(|t| match t {
            Told::Path(resolved, _) => Some(&**resolved),
            _ => None,
        });
        match call.name {
            b"execve" | b"execveat" => self.exec(at, call, path.unwrap_or_default()),
            b"fork" | b"vfork" | b"clone" | b"clone3" => self.fork(at, call, ret),
            b"chdir" => self.see(at.tid, |seen| seen.cwd = path.map(Cow::Borrowed)),
            b"open" | b"openat" | b"openat2" | b"creat" => self.open(at.tid, ret, FdKind::File, call.ret_fd.or(path)),
            b"socket" => self.open(at.tid, ret, family(call), None),
            b"dup" | b"dup2" | b"dup3" => self.duplicate(at.tid, call, ret),
            b"close" => {
                if let Some(fd) = call.args.first().and_then(|a| arguments::number(a)) {
                    self.fds.remove(&(self.pid(at.tid), i32::try_from(fd).unwrap_or(-1)));
                }
            }
            _ => {}
        }
    }

    fn see<'a>(&mut self, tid: u32, tell: impl FnOnce(&mut Seen<'a>)) {
        let mut seen = Seen {
            pid: self.pid(tid),
            ..Seen::default()
        };
        tell(&mut seen);
        self.processes.see(&seen);
    }

    fn exec(&mut self, at: &Stamped<'_>, call: &Call<'_, '_>, path: &[u8]) {
        // Another thread may have made the call: the process goes on under its own id.
        let (argv, _) = arguments::given(call);
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        self.see(at.tid, |seen| {
            seen.exec_ts = Some(at.ts);
            seen.exe_path = Some(path.into());
            seen.name = Some(name.get(..COMM).unwrap_or(name).into());
            seen.argv = Some(argv.join(&0).into());
        });
    }

    fn fork(&mut self, at: &Stamped<'_>, call: &Call<'_, '_>, child: i64) {
        let (parent, Ok(child)) = (self.pid(at.tid), u32::try_from(child)) else {
            return;
        };
        let is_thread = call
            .args
            .iter()
            .any(|a| a.len() > CLONE_THREAD.len() && memchr::memmem::find(a, CLONE_THREAD).is_some());
        self.begin(parent, child, is_thread, at.ts);
    }

    /// Whether a thread was met.
    pub(super) fn knows(&self, tid: u32) -> bool {
        self.threads.contains_key(&tid) || self.processes.of(tid).is_some()
    }

    /// A thread is met whose beginning is a call that another thread is still in: `vfork` only ends when the child has
    /// executed something.
    pub(super) fn adopt(&mut self, parent: u32, text: &[u8], child: u32, ts: u64) {
        let is_thread = memchr::memmem::find(text, CLONE_THREAD).is_some();
        self.begin(self.pid(parent), child, is_thread, ts);
    }

    fn begin(&mut self, parent: u32, child: u32, is_thread: bool, ts: u64) {
        if is_thread {
            if self.threads.len() < MAX_THREADS {
                self.threads.insert(child, parent);
            }
            return;
        }
        if self
            .processes
            .of(child)
            .is_some_and(|c| c.ppid == parent && c.pid != parent)
        {
            return;
        }
        self.threads.remove(&child);
        self.see(parent, |_| {});
        // The child's first lines may stand before the end of the call that made it.
        if self.processes.of(child).is_none_or(|c| c.exec_ts == 0) {
            self.processes.fork(parent, child, ts);
        } else {
            self.see(child, |seen| seen.ppid = Some(parent));
        }
        let own: Vec<(i32, Arc<FdEntry>)> = self
            .fds
            .iter()
            .filter(|((pid, _), _)| *pid == parent)
            .map(|((_, fd), entry)| (*fd, entry.clone()))
            .collect();
        for (fd, entry) in own {
            self.put(child, fd, entry);
        }
    }

    fn put(&mut self, pid: u32, fd: i32, entry: Arc<FdEntry>) {
        if self.fds.len() < MAX_FDS {
            self.fds.insert((pid, fd), entry);
        }
    }

    fn open(&mut self, tid: u32, fd: i64, kind: FdKind, name: Option<&[u8]>) {
        let Ok(fd) = i32::try_from(fd) else { return };
        self.objects += 1;
        let entry = FdEntry {
            id: self.objects,
            kind,
            name: name.unwrap_or_default().to_vec(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: None,
        };
        let pid = self.pid(tid);
        self.put(pid, fd, Arc::new(entry));
    }

    fn connect(&mut self, tid: u32, call: &Call<'_, '_>, told: &[Told<'_>]) {
        let fd = call.args.first().and_then(|a| arguments::number(a));
        let addr = told.iter().find_map(|t| match t {
            Told::Text(addr) => std::str::from_utf8(addr).ok(),
            _ => None,
        });
        let (Some(Ok(fd)), Some(addr)) = (fd.map(i32::try_from), addr) else {
            return;
        };
        let Some(old) = self.fd(tid, fd) else { return };
        let mut entry = FdEntry {
            id: self.objects + 1,
            ..FdEntry::clone(old)
        };
        self.objects += 1;
        match addr.parse::<SocketAddr>() {
            Ok(remote) => {
                let local: IpAddr = match remote {
                    SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                entry.socket = Some(Socket {
                    protocol: 0,
                    role: Role::Client,
                    local: SocketAddr::new(local, 0),
                    remote,
                });
            }
            Err(_) => entry.name = addr.as_bytes().to_vec(),
        }
        let pid = self.pid(tid);
        self.put(pid, fd, Arc::new(entry));
    }

    fn duplicate(&mut self, tid: u32, call: &Call<'_, '_>, new: i64) {
        let old = call.args.first().and_then(|a| arguments::number(a));
        let (Some(Ok(old)), Ok(new)) = (old.map(i32::try_from), i32::try_from(new)) else {
            return;
        };
        if let Some(entry) = self.fd(tid, old).cloned() {
            let pid = self.pid(tid);
            self.put(pid, new, entry);
        }
    }

    /// A thread ended; whether it was its process's own.
    pub(super) fn exit(&mut self, tid: u32) -> bool {
        if self.threads.remove(&tid).is_some() {
            return false;
        }
        self.processes.exit(tid);
        self.fds.retain(|(pid, _), _| *pid != tid);
        true
    }
}

/// Whether a path is absolute and has nothing in it to be resolved.
fn is_clean(path: &[u8]) -> bool {
    let mut slashes = memchr::memchr_iter(b'/', path);
    let ends_well = |at: usize| !matches!(path.get(at + 1), None | Some(b'/' | b'.'));
    path.starts_with(b"/") && path.len() <= PATH_LIMIT && slashes.all(ends_well)
}

fn family(call: &Call<'_, '_>) -> FdKind {
    match call.args.first() {
        Some(&b"AF_UNIX") => FdKind::Unix,
        Some(&b"AF_INET") => FdKind::Ipv4,
        Some(&b"AF_INET6") => FdKind::Ipv6,
        Some(&b"AF_NETLINK") => FdKind::Netlink,
        Some(&b"AF_PACKET") => FdKind::Packet,
        _ => FdKind::Unknown,
    }
}
