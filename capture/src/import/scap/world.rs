//! The processes of a capture: threads, who they are, what they have open.
//!
//! The format tells what the resolver of a live capture has to find out: events of `clone` and `execve` carry the whole
//! process, those of sockets both ends. So it is kept in tables of its own, as simple as that allows. An image is that
//! of a thread, because the format names threads one by one and its tools show that name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::snapshot::{FdState, Group, HostSnapshot, ProcessState, User};
use hashbrown::HashMap;

use super::lists::Listed;

/// More threads than Linux can have by default on a large machine; a hostile file could name more.
const MAX_THREADS: usize = 1 << 18;
/// More descriptors than that of one process are not kept.
const MAX_FDS: usize = 1 << 20;
/// More descriptors than that at the beginning are not kept.
const MAX_LISTED_FDS: usize = 1 << 20;
/// Longest chain of images, and to what it is cut; as in a live capture.
const MAX_CHAIN: usize = 32;
const CUT_CHAIN: usize = 16;
/// What is kept of an entry into a call.
const MAX_ENTER: usize = 8 << 10;

/// The entry into a call, kept for its end.
#[derive(Debug, Default)]
pub(super) struct Enter {
    /// The type of the call that was entered last, and when; known of calls whose entry is not kept, too.
    entered: Option<(u16, u64)>,
    pub(super) kind: u16,
    pub(super) count: usize,
    pub(super) body: Vec<u8>,
}

impl Enter {
    /// Notes when a call was entered.
    pub(super) fn at(&mut self, kind: u16, ts: u64) {
        self.entered = Some((kind, ts));
    }

    /// How long the call took that an event of that type and time ends; known if it was the one entered last.
    pub(super) fn latency(&self, end: u16, ts: u64) -> Option<u64> {
        let (kind, entered) = self.entered?;
        (kind.checked_add(1) == Some(end)).then(|| ts.checked_sub(entered))?
    }

    pub(super) fn keep(&mut self, kind: u16, count: usize, body: &[u8]) {
        self.body.clear();
        self.kind = 0;
        if body.len() <= MAX_ENTER {
            self.body.extend_from_slice(body);
            (self.kind, self.count) = (kind, count);
        }
    }

    pub(super) fn forget(&mut self) {
        self.entered = None;
        self.kind = 0;
        if self.body.capacity() > 512 {
            self.body = Vec::new();
        }
    }
}

/// A thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) pid: u32,
    pub(super) image: Arc<ProcessImage>,
    pub(super) enter: Enter,
}

/// What the threads of a process share.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) fds: HashMap<i32, Arc<FdEntry>>,
    pub(super) threads: u32,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) threads: HashMap<u32, Thread>,
    pub(super) processes: HashMap<u32, Process>,
    pub(super) users: Vec<User>,
    pub(super) groups: Vec<Group>,
    user_names: HashMap<u32, Vec<u8>>,
    group_names: HashMap<u32, Vec<u8>>,
    pub(super) containers: BTreeMap<String, Arc<Container>>,
    listed: Vec<Listed>,
    listed_fds: Vec<(u32, Vec<(i32, FdEntry)>)>,
    listed_fd_count: usize,
    next_image: u64,
    next_fd: u64,
}

impl World {
    /// A number for a new image.
    pub(super) fn image_id(&mut self) -> u64 {
        self.next_image += 1;
        self.next_image
    }

    /// An open object that was not there before.
    pub(super) fn object(&mut self, kind: FdKind) -> FdEntry {
        self.next_fd += 1;
        FdEntry {
            id: self.next_fd,
            kind,
            name: Vec::new(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: None,
        }
    }

    /// A changed object: events before keep the old one.
    pub(super) fn changed(&mut self, old: &FdEntry) -> FdEntry {
        self.next_fd += 1;
        FdEntry {
            id: self.next_fd,
            ..old.clone()
        }
    }

    pub(super) fn list(&mut self, mut processes: Vec<Listed>) {
        let room = MAX_THREADS.saturating_sub(self.listed.len());
        processes.truncate(room);
        self.listed.append(&mut processes);
    }

    pub(super) fn list_fds(&mut self, tid: u32, fds: Vec<(i32, FdEntry)>) {
        if self.listed_fd_count + fds.len() <= MAX_LISTED_FDS && self.listed_fds.len() < MAX_THREADS {
            self.listed_fd_count += fds.len();
            self.listed_fds.push((tid, fds));
        }
    }

    /// Forgets everything, for a capture that begins in the middle of a file. Numbers go on.
    pub(super) fn restart(&mut self) {
        *self = World {
            next_image: self.next_image,
            next_fd: self.next_fd,
            ..World::default()
        };
    }

    /// Whether lists came that [`World::begin`] has not seen.
    pub(super) fn has_lists(&self) -> bool {
        !self.listed.is_empty() || !self.listed_fds.is_empty()
    }

    /// Makes processes of the lists.
    pub(super) fn begin(&mut self) {
        for user in &self.users {
            self.user_names
                .entry(user.uid)
                .or_insert_with(|| user.name.clone().into_bytes());
        }
        for group in &self.groups {
            self.group_names
                .entry(group.gid)
                .or_insert_with(|| group.name.clone().into_bytes());
        }
        let listed = std::mem::take(&mut self.listed);
        let process_of: HashMap<u32, u32> = listed.iter().map(|l| (l.tid, l.image.pid)).collect();
        let by_tid: HashMap<u32, &Listed> = listed.iter().map(|l| (l.tid, l)).collect();
        let mut order: Vec<&Listed> = listed.iter().collect();
        // Threads after their processes; whatever else follows from the file's order is not relied on.
        order.sort_by_key(|l| (l.tid != l.image.pid, l.tid));
        for entry in &order {
            self.admit(entry, &by_tid, &process_of, 0);
        }
        for (tid, fds) in std::mem::take(&mut self.listed_fds) {
            self.admit_fds(tid, fds);
        }
    }

    /// Makes a thread of a listed one, its ancestors first.
    fn admit(&mut self, entry: &Listed, all: &HashMap<u32, &Listed>, process_of: &HashMap<u32, u32>, depth: usize) {
        if self.threads.contains_key(&entry.tid) {
            return;
        }
        let ppid = process_of.get(&entry.parent_tid).copied().unwrap_or(entry.parent_tid);
        if let Some(parent) = all.get(&ppid).filter(|p| depth < MAX_CHAIN && p.tid != entry.tid) {
            self.admit(parent, all, process_of, depth + 1);
        }
        let mut image = entry.image.clone();
        image.ppid = ppid;
        image.parent = self.parent_of(ppid).filter(|p| p.pid != image.pid);
        self.place(&mut image, &entry.cgroups);
        self.insert(entry.tid, image);
    }

    fn admit_fds(&mut self, tid: u32, fds: Vec<(i32, FdEntry)>) {
        let pid = self.threads.get(&tid).map_or(tid, |t| t.pid);
        let serving: Vec<u16> = fds
            .iter()
            .filter_map(|(_, e)| e.socket.filter(|s| s.role == Role::Server).map(|s| s.local.port()))
            .collect();
        for (fd, mut entry) in fds {
            if let Some(socket) = &mut entry.socket
                && socket.role == Role::Unknown
                && socket.is_connected()
            {
                let serves = serving.contains(&socket.local.port());
                socket.role = if serves { Role::Server } else { Role::Client };
            }
            self.next_fd += 1;
            entry.id = self.next_fd;
            self.open(pid, fd, Arc::new(entry));
        }
    }

    /// Sets a descriptor of a process.
    pub(super) fn open(&mut self, pid: u32, fd: i32, entry: Arc<FdEntry>) {
        if self.processes.len() >= MAX_THREADS && !self.processes.contains_key(&pid) {
            return;
        }
        let fds = &mut self.processes.entry(pid).or_default().fds;
        if fds.len() < MAX_FDS {
            fds.insert(fd, entry);
        }
    }

    /// What a descriptor of a process is.
    pub(super) fn fd(&self, pid: u32, fd: i32) -> Option<&Arc<FdEntry>> {
        self.processes.get(&pid)?.fds.get(&fd)
    }

    /// Fills what follows from ids and cgroups.
    pub(super) fn place(&mut self, image: &mut ProcessImage, cgroups: &[u8]) {
        self.name(image);
        if cgroups.is_empty() {
            return;
        }
        let paths = cgroups.split(|b| *b == 0).filter_map(|c| {
            let at = c.iter().position(|b| *b == b'=')?;
            Some((c.get(..at)?, c.get(at + 1..)?))
        });
        let (mut shown, mut container) = (None, None);
        for (controller, path) in paths {
            // The version 2 hierarchy has no controllers; where there is none, any says the same of containers.
            if controller.is_empty() || shown.is_none() {
                shown = Some(path);
            }
            container = container.or_else(|| crate::host::container_of(path));
        }
        image.cgroup = shown.unwrap_or_default().to_vec();
        image.container = container.map(|(engine, id)| self.container(engine, id));
    }

    fn container(&mut self, engine: &str, id: &str) -> Arc<Container> {
        let entry = self.containers.entry(id.to_owned());
        let made = entry.or_insert_with(|| {
            Arc::new(Container {
                id: id.to_owned(),
                engine: engine.to_owned(),
                ..Container::default()
            })
        });
        made.clone()
    }

    /// Names of the ids of an image.
    pub(super) fn name(&self, image: &mut ProcessImage) {
        let name = |names: &HashMap<u32, Vec<u8>>, id| names.get(&id).cloned().unwrap_or_default();
        image.user = name(&self.user_names, image.euid);
        image.group = name(&self.group_names, image.egid);
        image.login_user = if image.loginuid == u32::MAX {
            Vec::new()
        } else {
            name(&self.user_names, image.loginuid)
        };
    }

    /// Takes over what an engine says of a container; its processes get new images.
    pub(super) fn learn(&mut self, container: Container) {
        let container = Arc::new(container);
        self.containers.insert(container.id.clone(), container.clone());
        let is_in = |i: &ProcessImage| i.container.as_ref().is_some_and(|c| c.id == container.id);
        let mut tids: Vec<u32> = self
            .threads
            .iter()
            .filter(|(_, t)| is_in(&t.image))
            .map(|(tid, _)| *tid)
            .collect();
        tids.sort_unstable();
        for tid in tids {
            self.change(tid, |image| image.container = Some(container.clone()));
        }
    }

    /// The image of a process to hang below a new one, with a bounded number of ancestors.
    pub(super) fn parent_of(&mut self, ppid: u32) -> Option<Arc<ProcessImage>> {
        let image = self.threads.get(&ppid)?.image.clone();
        let chain = std::iter::successors(Some(&image), |i| i.parent.as_ref());
        if chain.take(MAX_CHAIN).count() < MAX_CHAIN {
            return Some(image);
        }
        let kept: Vec<&Arc<ProcessImage>> = std::iter::successors(Some(&image), |i| i.parent.as_ref())
            .take(CUT_CHAIN)
            .collect();
        let mut parent = None;
        for link in kept.into_iter().rev() {
            let mut copy = (**link).clone();
            copy.id = self.image_id();
            copy.parent = parent.take();
            parent = Some(Arc::new(copy));
        }
        // The parent itself takes over the cut chain, so that its other children share it.
        if let (Some(thread), Some(cut)) = (self.threads.get_mut(&ppid), &parent) {
            thread.image = cut.clone();
        }
        parent
    }

    /// Adds a thread or replaces it.
    pub(super) fn insert(&mut self, tid: u32, mut image: ProcessImage) {
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&tid) {
            return;
        }
        image.id = self.image_id();
        let pid = image.pid;
        let thread = Thread {
            pid,
            image: Arc::new(image),
            enter: Enter::default(),
        };
        if self.threads.insert(tid, thread).is_none() {
            self.processes.entry(pid).or_default().threads += 1;
        }
    }

    /// A thread; one that no list and no event told of is taken for a process that nothing is known of.
    pub(super) fn meet(&mut self, tid: u32) -> Option<&mut Thread> {
        // No thread, or the idle one of a CPU.
        if tid == 0 {
            return None;
        }
        if !self.threads.contains_key(&tid) {
            let image = ProcessImage {
                pid: tid,
                loginuid: u32::MAX,
                uid: u32::MAX,
                euid: u32::MAX,
                gid: u32::MAX,
                egid: u32::MAX,
                ..ProcessImage::default()
            };
            self.insert(tid, image);
        }
        self.threads.get_mut(&tid)
    }

    /// Gives a thread a new image that differs from the old one.
    pub(super) fn change(&mut self, tid: u32, with: impl FnOnce(&mut ProcessImage)) {
        let id = self.image_id();
        if let Some(thread) = self.threads.get_mut(&tid) {
            let mut image = (*thread.image).clone();
            with(&mut image);
            image.id = id;
            thread.image = Arc::new(image);
        }
    }

    /// The same for all threads of a process.
    pub(super) fn change_process(&mut self, pid: u32, with: impl Fn(&mut ProcessImage)) {
        let mut tids: Vec<u32> = if self.processes.get(&pid).is_some_and(|p| p.threads <= 1) {
            Vec::new()
        } else {
            self.threads
                .iter()
                .filter(|(_, t)| t.pid == pid)
                .map(|(tid, _)| *tid)
                .collect()
        };
        if tids.is_empty() {
            tids.push(pid);
        }
        tids.sort_unstable();
        tids.into_iter().for_each(|tid| self.change(tid, &with));
    }

    /// Removes a thread, and its process with the last one.
    pub(super) fn end(&mut self, tid: u32) {
        let Some(thread) = self.threads.remove(&tid) else {
            return;
        };
        if let Some(process) = self.processes.get_mut(&thread.pid) {
            process.threads = process.threads.saturating_sub(1);
            if process.threads == 0 {
                self.processes.remove(&thread.pid);
            }
        }
    }

    /// What a case begins with.
    pub(super) fn snapshot(&self, taken_ts: u64) -> HostSnapshot {
        let mut tids: Vec<&u32> = self
            .threads
            .iter()
            .filter(|(tid, t)| **tid == t.pid)
            .map(|(tid, _)| tid)
            .collect();
        tids.sort_unstable();
        let processes = tids.into_iter().filter_map(|tid| {
            let (thread, process) = (self.threads.get(tid)?, self.processes.get(tid)?);
            let mut fds: Vec<FdState> = process
                .fds
                .iter()
                .filter_map(|(fd, e)| Some(FdState::new(u32::try_from(*fd).ok()?, e)))
                .collect();
            fds.sort_unstable_by_key(|f| f.num);
            Some(ProcessState::new(&thread.image, process.threads, fds))
        });
        let (mut users, mut groups) = (self.users.clone(), self.groups.clone());
        users.sort_by_key(|u| u.uid);
        groups.sort_by_key(|g| g.gid);
        HostSnapshot {
            taken_ts,
            processes: processes.collect(),
            listening: self.listening(),
            users,
            groups,
            containers: self.containers.values().map(|c| (**c).clone()).collect(),
            ..HostSnapshot::default()
        }
    }

    fn listening(&self) -> Vec<Socket> {
        let entries = self.processes.values().flat_map(|p| p.fds.values());
        let mut sockets: Vec<Socket> = entries
            .filter_map(|e| e.socket.filter(|s| s.role == Role::Server && !s.is_connected()))
            .collect();
        sockets.sort_by_key(|s| (s.protocol, s.local));
        sockets.dedup();
        sockets
    }
}
