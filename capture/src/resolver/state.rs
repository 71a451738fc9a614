//! All that the resolver knows, and how it learns of processes and descriptors that no record introduced.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::Arg;
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::{Namespaces, ProcessImage};
use ctrace_wire::record::Header;
use hashbrown::DefaultHashBuilder;

use super::budget::{Budget, weight_of_entry};
use super::call::Call;
use super::closed::Unshared;
use super::config::{Config, Stats};
use super::containers::{Cgroup, Containers};
use super::fds::{ChunkBudget, FdTable};
use super::lately::Lately;
use super::links::Links;
use super::names::Names;
use super::opened::Files;
use super::plan::MAX_REGISTERS;
use super::process::Process;
use super::seen::Seen;
use super::snapshot::{Host, Snapshot, SnapshotFd, SnapshotProcess};
use super::table::ProcessTable;

const EBADF: i64 = -9;
/// The cgroup of a process for which the host is still to be asked. No record carries it, so that each leads to
/// [`State::is_asked`].
const NOT_ASKED: u64 = u64::MAX;

/// Searches through all processes in a second of the records' time. Where there are many, each takes as long as hundreds of
/// records, and a program could ask for them as fast as it makes calls.
pub(super) const SEARCHES_PER_S: u32 = 200;

/// Processes, descriptors, containers and names.
pub(super) struct State {
    pub(super) config: Config,
    pub(super) table: ProcessTable,
    /// What a process has for an image while its own is made into another one.
    pub(super) nobody: Arc<ProcessImage>,
    pub(super) containers: Containers,
    pub(super) names: Names,
    pub(super) stats: Stats,
    /// Whether entries of `rt_sigreturn` are recorded.
    pub(super) sees_sigreturn: bool,
    /// Searches through all processes.
    searches: Allowance,
    host: Box<dyn Host>,
    /// Questions about processes, about symbolic links, and all others: descriptors are asked for so often that none might
    /// be left for what gives every event its name.
    about_processes: Allowance,
    about_others: Allowance,
    about_received: Allowance,
    about_links: Allowance,
    budget: ChunkBudget,
    pub(super) next_image: u64,
    pub(super) next_fd: u64,
    /// Descriptor entries that are handed out again when a record says the same.
    recent: Lately<Arc<FdEntry>>,
    /// Files that were opened and closed.
    pub(super) files: Files,
    /// Symbolic links on the way to files.
    pub(super) links: Links,
    pub(super) environments: Seen,
    /// Programs' files and directories.
    pub(super) program_paths: Seen,
    /// What a call says that registers say all of. Kept, so that it is not made anew for each.
    pub(super) numbers: [Arg<'static>; MAX_REGISTERS],
    hasher: DefaultHashBuilder,
}

impl State {
    pub(super) fn new(config: Config, host: Box<dyn Host>) -> State {
        State {
            table: ProcessTable::new(
                config.max_processes,
                config.linger_ns,
                Budget::new(config.max_image_bytes),
            ),
            nobody: Arc::default(),
            containers: Containers::default(),
            names: Names::default(),
            stats: Stats::default(),
            sees_sigreturn: false,
            searches: Allowance::default(),
            host,
            about_processes: Allowance::default(),
            about_others: Allowance::default(),
            about_received: Allowance::default(),
            about_links: Allowance::default(),
            budget: ChunkBudget::new(config.max_fds),
            next_image: 1,
            next_fd: 1,
            recent: Lately::default(),
            files: Files::new(Budget::new(config.max_fd_bytes)),
            links: Links::default(),
            environments: Seen::default(),
            program_paths: Seen::default(),
            numbers: [Arg::Num(0); MAX_REGISTERS],
            hasher: DefaultHashBuilder::default(),
            config,
        }
    }

    /// Takes over what was there before the recording, parents before children.
    pub(super) fn begin(&mut self, snapshot: Snapshot) {
        self.names.users = snapshot.users;
        self.names.groups = snapshot.groups;
        for (id, path) in &snapshot.cgroups {
            self.containers.learn(*id, path);
        }
        for container in &snapshot.containers {
            self.containers.update(container);
        }
        let processes = snapshot.processes.into_iter().map(|p| (p.image.pid, p));
        let mut left: BTreeMap<u32, SnapshotProcess> = processes.collect();
        let pids: Vec<u32> = left.keys().copied().collect();
        for pid in pids {
            // From the farthest ancestor that is not in the table down to the process; a loop ends by being taken out.
            let mut line = Vec::new();
            let mut next = left.remove(&pid);
            while let Some(process) = next {
                next = left.remove(&process.image.ppid);
                line.push(process);
            }
            for process in line.into_iter().rev() {
                let process = self.admit(process, 0);
                self.table.insert(process);
            }
        }
    }

    /// A fresh id for an image.
    pub(super) fn image_id(&mut self) -> u64 {
        let id = self.next_image;
        self.next_image += 1;
        id
    }

    /// An empty descriptor table.
    pub(super) fn no_fds(&self) -> FdTable {
        FdTable::new(&self.budget)
    }

    /// Makes an entry of what is behind a descriptor, or hands out a recent one that says the same: many processes open
    /// the same libraries, and a block describes each entry once.
    pub(super) fn entry(&mut self, value: FdEntry) -> Arc<FdEntry> {
        self.share(Unshared::new(value))
    }

    /// The same of an entry that lies where it is to stay.
    pub(super) fn share(&mut self, mut unshared: Unshared) -> Arc<FdEntry> {
        let value = unshared.get_mut();
        let key = (&value.name, &value.name_raw, value.open_flags, value.ino, value.socket);
        let print = self.hasher.hash_one(key);
        if let Some(recent) = self.recent.get(print) {
            value.id = recent.id;
            if **recent == *value {
                self.files.closed.keep(unshared.share());
                return recent.clone();
            }
        }
        value.id = self.fd_id();
        let made = unshared.share();
        self.files.bytes.add(weight_of_entry(&made));
        self.recent.offer(print, || made.clone());
        made
    }

    /// A fresh id for a descriptor entry.
    pub(super) fn fd_id(&mut self) -> u64 {
        let id = self.next_fd;
        self.next_fd += 1;
        id
    }

    /// Makes sure that the process of a record is in the table and in its cgroup.
    #[inline]
    pub(super) fn meet(&mut self, header: &Header) {
        match self.table.at(header.tgid, header.ts) {
            Some(process) if process.cgroup == header.cgroup && !process.shares => {}
            Some(process) => {
                if process.shares {
                    self.take_shared(header.tgid, header.tid, header.ts);
                }
                self.move_to_cgroup(header);
            }
            None => self.adopt(header),
        }
    }

    /// The same where the record names a thread of it, after which it is named if nothing is known of it.
    #[inline]
    pub(super) fn meet_named(&mut self, header: &Header, name: &[u8]) {
        let is_told = |image: &ProcessImage| image.name == name || header.tid != header.tgid && !image.name.is_empty();
        match self.table.at(header.tgid, header.ts) {
            Some(process) if process.cgroup == header.cgroup && is_told(&process.image) && !process.shares => {}
            _ => self.meet_unnamed(header, name),
        }
    }

    #[cold]
    #[inline(never)]
    fn meet_unnamed(&mut self, header: &Header, name: &[u8]) {
        self.meet(header);
        self.name_unknown(header.tgid, header.ts, name);
        if header.tid == header.tgid {
            self.name_changed(header.tgid, header.ts, name);
        }
    }

    /// The process of a record changed its cgroup, or its cgroup was not known.
    #[cold]
    fn move_to_cgroup(&mut self, header: &Header) {
        if header.cgroup == 0 || header.cgroup == u64::MAX || !self.is_asked(header) {
            return;
        }
        if self
            .table
            .at(header.tgid, header.ts)
            .is_some_and(|p| p.cgroup == header.cgroup)
        {
            return;
        }
        let Some(cgroup) = self.cgroup(header.cgroup, header.tgid, header.ts) else {
            return;
        };
        let Some(process) = self.table.at(header.tgid, header.ts) else {
            return;
        };
        process.cgroup = header.cgroup;
        let mut placed = (*process.image).clone();
        if cgroup.place(&mut placed) {
            self.change(header.tgid, header.ts, |image| {
                cgroup.place(image);
            });
        }
    }

    /// A cgroup by its id; asks the host through one of its processes where no record told the path. `None` where that were
    /// too many questions: then it is to be asked for again.
    pub(super) fn cgroup(&mut self, id: u64, pid: u32, ts: u64) -> Option<Cgroup> {
        if let Some(known) = self.containers.get(id) {
            return Some(known);
        }
        let asks = self.config.lookups_per_s > 0;
        if asks && !self.may_ask_for_process(ts) {
            return None;
        }
        if let Some(path) = asks.then(|| self.host.cgroup(pid)).flatten() {
            self.containers.learn(id, &path);
        }
        Some(self.containers.get(id).unwrap_or_default())
    }

    /// A process whose fork was not seen.
    #[cold]
    fn adopt(&mut self, header: &Header) {
        let (pid, ts) = (header.tgid, header.ts);
        let last = self.table.latest(pid);
        if last.is_some_and(|p| ts < p.start) {
            // A late record of one that is forgotten: its id has a new owner, which must stay.
            return;
        }
        let free_since = last.map_or(0, |p| p.ended.saturating_add(1));
        self.stats.unannounced += 1;
        let may_ask = self.may_ask_for_process(ts);
        let found = may_ask.then(|| self.found(pid, ts)).flatten();
        let provisional = found.is_none();
        let known = found.unwrap_or_else(|| SnapshotProcess {
            image: ProcessImage {
                pid,
                loginuid: u32::MAX,
                ..ProcessImage::default()
            },
            ..SnapshotProcess::default()
        });
        let mut process = self.admit(known, ts);
        // Records that come late are those of who had the id before.
        process.start = process.start.max(free_since);
        process.provisional = provisional;
        if !may_ask && self.config.lookups_per_s > 0 {
            process.cgroup = NOT_ASKED;
        }
        self.table.insert(process);
        if header.cgroup != 0 && may_ask {
            self.move_to_cgroup(header);
        }
    }

    /// Whether the host was asked for the process of a record: makes up for it now if there were too many questions
    /// when the process appeared.
    fn is_asked(&mut self, header: &Header) -> bool {
        let (pid, ts) = (header.tgid, header.ts);
        let Some(process) = self.table.at(pid, ts).filter(|p| p.cgroup == NOT_ASKED) else {
            return true;
        };
        if !process.image.name.is_empty() {
            // A record told who it is meanwhile.
            process.cgroup = 0;
            return true;
        }
        if !self.may_ask_for_process(ts) {
            return false;
        }
        let found = self.found(pid, ts).map(|known| self.admit(known, ts));
        let Some(process) = self.table.at(pid, ts) else {
            return true;
        };
        process.cgroup = 0;
        if let Some(found) = found {
            process.provisional = false;
            process.set_root(found.root().to_vec());
            process.image = found.image;
            (process.parent, process.cgroup) = (found.parent, found.cgroup);
            process.start = process.start.max(found.start);
            process.threads = process.threads.max(found.threads);
            process.living = process.living.max(found.living);
        }
        true
    }

    /// Makes a process of what the host said of it.
    pub(super) fn admit(&mut self, known: SnapshotProcess, ts: u64) -> Process {
        let mut image = known.image;
        image.id = self.image_id();
        let cgroup = self.containers.of_path(&image.cgroup);
        image.container = cgroup.container;
        let parent = self.table.latest(image.ppid).map(|p| p.serial);
        image.parent = parent.and_then(|serial| self.parent_image(image.ppid, serial));
        self.learn_by_monitor(&image, ts);
        self.containers.place_by_namespace(&mut image);
        self.name_ids(&mut image, ts);
        if !image.cgroup.is_empty() && known.cgroup != 0 {
            self.containers.learn(known.cgroup, &image.cgroup);
        }
        let mut fds = self.no_fds();
        for fd in known.fds {
            let entry = self.entry(fd.entry);
            self.stats.fds_refused += u64::from(!fds.insert(fd.fd, entry, fd.cloexec));
        }
        let mut process = Process::new(self.table.serial(), Arc::new(image), fds);
        process.parent = parent.unwrap_or(0);
        process.start = known.start;
        process.cgroup = known.cgroup;
        process.set_root(known.root);
        process.threads = known.threads.max(1);
        process.living = process.threads;
        process
    }

    /// Asks the host for a descriptor that no record introduced. A wrong answer is possible: the number may have been
    /// closed and given out again since.
    pub(super) fn ask_for_fd(&mut self, call: &Call<'_>, fd: i32) {
        if fd < 0 || call.ret == EBADF {
            return;
        }
        let (pid, ts) = (call.pid, call.ts);
        match self.table.at(pid, ts) {
            Some(p) if p.ended == u64::MAX && p.fds.get(fd).is_none() && !p.fds.is_missed(fd) => {}
            _ => return,
        }
        let may_ask = self.may_ask(ts);
        match may_ask.then(|| self.host_says(call, fd)).flatten() {
            Some(SnapshotFd { entry, cloexec, .. }) => {
                let entry = self.entry(entry);
                self.put_fd(pid, ts, fd, entry, cloexec);
            }
            None => {
                if let Some(process) = self.table.at(pid, ts) {
                    process.fds.set_missed(fd);
                }
            }
        }
    }

    /// What the host has behind a descriptor of the calling thread now. A question that is counted before.
    pub(super) fn host_says(&mut self, call: &Call<'_>, fd: i32) -> Option<SnapshotFd> {
        let process = self.table.at(call.pid, call.ts).filter(|p| p.ended == u64::MAX)?;
        let task = if process.has_threads_apart() {
            call.tid
        } else {
            call.pid
        };
        self.host.fd(task, fd)
    }

    /// What is behind a descriptor is not known any more.
    pub(super) fn forget_fd(&mut self, call: &Call<'_>, fd: i32) {
        if let Some(process) = self.table.at(call.pid, call.ts) {
            process.fds.remove(fd);
        }
    }

    /// Where a file really lies, by the word of the host, that a process reached by a path below its root. Takes one question
    /// from [`Self::may_ask_for_path`].
    pub(super) fn ask_for_path(
        &mut self,
        pid: u32,
        ts: u64,
        mount_ns: u32,
        root: &[u8],
        path: &[u8],
    ) -> Option<Vec<u8>> {
        self.host.real_path(pid, ts, mount_ns, root, path)
    }

    /// Puts an object behind a descriptor of a process.
    pub(super) fn put_fd(&mut self, pid: u32, ts: u64, fd: i32, entry: Arc<FdEntry>, cloexec: bool) {
        if let Some(process) = self.table.at(pid, ts) {
            self.stats.fds_refused += u64::from(!process.fds.insert(fd, entry, cloexec));
        }
    }

    /// Fills in the names of an image's ids.
    pub(super) fn name_ids(&mut self, image: &mut ProcessImage, ts: u64) {
        let ask = image.container.is_some() && self.names.misses(image) && self.may_ask(ts);
        let host = ask.then_some(self.host.as_mut());
        self.names.fill(image, host);
    }

    /// The namespaces of a process that are not the host's.
    pub(super) fn own_namespaces(&mut self, pid: u32) -> Namespaces {
        self.host.own_namespaces(pid)
    }

    /// What is stored on the host of a container.
    pub(super) fn ask_for_container(&mut self, monitor: u32, ts: u64, bundle: &[u8], id: &str) -> Option<Container> {
        self.may_ask(ts)
            .then(|| self.host.stored_container(monitor, bundle, id))
            .flatten()
    }

    /// What the host says now of a process that is known.
    pub(super) fn ask_for_process(&mut self, pid: u32, ts: u64) -> Option<SnapshotProcess> {
        self.may_ask_for_process(ts).then(|| self.found(pid, ts)).flatten()
    }

    /// The same without counting: nothing where the id has another owner by now, which began later.
    fn found(&mut self, pid: u32, ts: u64) -> Option<SnapshotProcess> {
        self.host.process(pid).filter(|found| found.start <= ts)
    }

    /// Takes one search through all processes from what is allowed in this second.
    pub(super) fn may_search(&mut self, ts: u64) -> bool {
        self.searches.take(ts, SEARCHES_PER_S)
    }

    /// Takes one question from what is allowed in this second.
    fn may_ask(&mut self, ts: u64) -> bool {
        let may = self.about_others.take(ts, self.config.lookups_per_s);
        self.count_question(may)
    }

    /// The same for a question about a descriptor that came with a message. Who sends itself many takes none from others.
    pub(super) fn may_ask_for_received(&mut self, ts: u64) -> bool {
        let may = self.about_received.take(ts, self.config.lookups_per_s);
        self.count_question(may)
    }

    /// The same for a question about a process.
    fn may_ask_for_process(&mut self, ts: u64) -> bool {
        let may = self.about_processes.take(ts, self.config.lookups_per_s);
        self.count_question(may)
    }

    /// The same for a question about a path.
    pub(super) fn may_ask_for_path(&mut self, ts: u64) -> bool {
        let may = self.about_links.take(ts, self.config.lookups_per_s);
        self.count_question(may)
    }

    fn count_question(&mut self, may: bool) -> bool {
        let asks = self.config.lookups_per_s > 0;
        self.stats.lookups += u64::from(may);
        self.stats.lookups_refused += u64::from(asks && !may);
        may
    }
}

/// Questions or searches of one kind that were taken in the second that began at `since` on the boot clock.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    taken: u32,
    since: u64,
}

impl Allowance {
    fn take(&mut self, ts: u64, in_a_second: u32) -> bool {
        if ts.saturating_sub(self.since) >= 1_000_000_000 {
            *self = Allowance { taken: 0, since: ts };
        }
        let may = self.taken < in_a_second;
        self.taken += u32::from(may);
        may
    }
}
