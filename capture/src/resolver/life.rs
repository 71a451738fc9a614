//! Fork and exit: how processes come and go.

use std::sync::Arc;

use ctrace_trace::process::ProcessImage;
use ctrace_wire::record::{Exit, FLAG_UNSEEN, Fork, Header, SHARED_FILES, SHARED_FS};

use super::clock::{Clock, same_start};
use super::process::Process;
use super::spare::set;
use super::state::State;

/// How a process ended. It is still among those that live until its events are made ([`State::end`]).
pub(super) struct Ended {
    /// As `wait` reports it.
    pub(super) status: u32,
    /// Threads that it had.
    pub(super) threads: u32,
    serial: u64,
}

impl State {
    pub(super) fn fork(&mut self, fork: &Fork, clock: &Clock) {
        let header = &fork.header;
        if fork.child_tgid == header.tgid {
            return self.new_thread(fork);
        }
        // A child has the name of the thread that made it.
        self.meet_named(header, comm(&fork.comm));
        let start_ts = clock.utc(known64(fork.child_start, header.ts));
        let (start_ts, early) = self.seen_early(fork, start_ts);
        let Some(forker) = self.table.at(header.tgid, header.ts) else {
            return;
        };
        let (forker_serial, root) = (forker.serial, forker.root_of(header.tid).to_vec());
        let forker_cgroup = forker.cgroup;
        let template = forker.image_of(header.tid).clone();
        let is_unseen = header.flags & FLAG_UNSEEN != 0;
        let has_executed = early.as_ref().is_some_and(|early| early.image.exec_ts != 0);
        let shares = |what| fork.shared & what != 0 && !is_unseen;
        let place = shares(SHARED_FS).then(|| forker.share_place(header.tid));
        let files = (shares(SHARED_FILES) && !has_executed).then(|| forker.share_files(header.tid));
        let fds = match &files {
            // What the forker did to its descriptors was not recorded: better none than wrong ones.
            _ if is_unseen => self.no_fds(),
            Some(_) => forker.fds.take(),
            None => forker.fds.clone(),
        };
        self.files.bytes.add(fds.room());
        // With CLONE_PARENT the parent is the forker's own.
        let ppid = known(fork.child_ppid, header.tgid);
        let parent = match ppid == header.tgid {
            true => forker_serial,
            false => self.table.latest(ppid).map_or(0, |p| p.serial),
        };
        let mut made = self.table.spare.copy_of(&template);
        let image = Arc::make_mut(&mut made);
        self.fork_image(image, fork, start_ts);
        image.ppid = ppid;
        image.parent = self.parent_image(ppid, parent);
        let mut cgroup = known64(fork.child_cgroup, header.cgroup);
        // Mostly it is that of its parent.
        if cgroup != 0 && cgroup != forker_cgroup {
            match self.cgroup(cgroup, image.pid, header.ts) {
                Some(known) => _ = known.place(image),
                // The child's records ask again.
                None => cgroup = 0,
            }
        }
        self.learn_by_monitor(image, header.ts);
        self.containers.place_by_namespace(image);
        let mut process = Process::new(self.table.serial(), made, fds);
        if let Some(early) = early {
            merge_early(&early, &mut process);
        }
        process.parent = parent;
        process.began(known64(fork.child_start, 0));
        process.cgroup = cgroup;
        process.set_root(root);
        process.join(files, place);
        self.table.insert(process);
    }

    fn new_thread(&mut self, fork: &Fork) {
        let (header, tid) = (&fork.header, fork.child_tid);
        self.meet(header);
        let Some(process) = self.table.at(header.tgid, header.ts) else {
            return;
        };
        if fork.shared & SHARED_FS != 0 && process.has_own_place(header.tid) {
            process.share_place(header.tid);
        }
        process.add_thread(header.tid, tid);
        if fork.shared & SHARED_FS == 0 {
            process.unshare_fs(tid);
        }
        if fork.shared & SHARED_FILES == 0 {
            self.files.bytes.add(process.fds.room());
            process.unshare_files(tid);
        } else {
            process.share_files_with(header.tid, tid);
        }
        let root = process.root_of(tid).len();
        self.table.images.add(root);
    }

    /// Makes the image of the forker that of the child.
    fn fork_image(&mut self, image: &mut ProcessImage, fork: &Fork, start_ts: u64) {
        image.id = self.image_id();
        image.pid = fork.child_tgid;
        image.vpid = known(fork.child_vpid, fork.child_tgid);
        image.namespaces.pid = known(fork.child_pid_ns, image.namespaces.pid);
        image.start_ts = start_ts;
        image.exec_ts = 0;
        let name = comm(&fork.comm);
        if !name.is_empty() {
            set(&mut image.name, name);
        }
    }

    /// When a child started, and what it did before its fork was told: its own records may overtake that of the fork, and
    /// what was read of it before the recording says when it started.
    fn seen_early(&mut self, fork: &Fork, start_ts: u64) -> (u64, Option<Early>) {
        let Some(process) = self.table.living_mut(fork.child_tgid) else {
            return (start_ts, None);
        };
        let (told, began) = (process.image.start_ts, process.told_start());
        let is_told = began == 0 && same_start(told, start_ts);
        let same = began == 0 && process.provisional || began == known64(fork.child_start, 0);
        let early = same.then(|| Early {
            image: process.image.clone(),
            fds: process.fds.clone(),
        });
        (if is_told { told } else { start_ts }, early)
    }

    /// A thread ended; tells how the process ended where it was the last one. What is known of the thread itself is still
    /// there until its event is made ([`State::forget_thread`]).
    pub(super) fn exit(&mut self, exit: &Exit) -> Option<Ended> {
        let header = &exit.header;
        if self.is_told_twice(exit) {
            return None;
        }
        self.meet_named(header, comm(&exit.comm));
        let process = self.table.at(header.tgid, header.ts)?;
        process.living = match exit.threads_left {
            u32::MAX => process.living.saturating_sub(1),
            left => left,
        };
        let is_leader = header.tid == header.tgid;
        let ended = match exit.threads_left {
            u32::MAX => is_leader,
            left => left == 0,
        };
        if !ended {
            if is_leader {
                process.rare_mut().leader_status.get_or_insert(exit.exit_code);
            }
            return None;
        }
        let status = match (exit.group_exit_code, is_leader) {
            (0, true) => exit.exit_code,
            (0, false) => process.leader_status().unwrap_or(exit.exit_code),
            (status, _) => status,
        };
        let (threads, serial) = (process.threads, process.serial);
        if process.image.vpid == 1 {
            let namespace = process.image.namespaces.pid;
            self.containers.namespace_ended(namespace);
        }
        Some(Ended {
            status,
            threads,
            serial,
        })
    }

    /// Nothing more is told of a thread, and its process goes on.
    pub(super) fn forget_thread(&mut self, header: &Header) {
        if let Some(process) = self.table.at(header.tgid, header.ts) {
            process.end_thread(header.tid);
        }
    }

    /// Nothing more is told of a process: it is with those that are gone.
    pub(super) fn end(&mut self, exit: &Exit, ended: &Ended) {
        self.table.end(exit.header.tgid, ended.serial, exit.header.ts);
    }

    /// Threads that end at once are counted out before any of them tells so: several see that none is left, and all but
    /// the first do so after the end of their process.
    fn is_told_twice(&self, exit: &Exit) -> bool {
        let ended = self.table.latest(exit.header.tgid).map(|p| p.ended);
        ended.is_some_and(|ended| ended != u64::MAX && exit.start <= ended)
    }
}

/// What a child did before its fork was told.
struct Early {
    image: Arc<ProcessImage>,
    fds: super::fds::FdTable,
}

fn merge_early(early: &Early, process: &mut Process) {
    let (seen, fds) = (&early.image, &mut process.fds);
    let image = Arc::make_mut(&mut process.image);
    if seen.exec_ts != 0 {
        // It has run exec: all but its lineage is from that.
        let (parent, ppid, id) = (image.parent.take(), image.ppid, image.id);
        *image = (**seen).clone();
        (image.parent, image.ppid, image.id) = (parent, ppid, id);
        fds.exec(&[]);
        process.exec_reported = true;
    } else {
        for (own, seen) in [(&mut image.name, &seen.name), (&mut image.cwd, &seen.cwd)] {
            if !seen.is_empty() {
                own.clone_from(seen);
            }
        }
    }
    for (fd, entry) in early.fds.iter() {
        fds.insert(fd, entry.clone(), early.fds.is_cloexec(fd));
    }
}

/// A value, or what to take where the host does not give it.
pub(super) fn known(value: u32, otherwise: u32) -> u32 {
    if value == u32::MAX { otherwise } else { value }
}

pub(super) fn known64(value: u64, otherwise: u64) -> u64 {
    if value == u64::MAX { otherwise } else { value }
}

/// A name without the NULs after it.
pub(super) fn comm(comm: &[u8]) -> &[u8] {
    comm.split(|b| *b == 0).next().unwrap_or_default()
}

/// Strings without the NULs after the last.
pub(super) fn trimmed(strings: &[u8]) -> &[u8] {
    strings.strip_suffix(b"\0").unwrap_or(strings)
}
