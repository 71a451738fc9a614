//! Fork, exec and exit: how processes come, become others, and go.

use std::sync::Arc;

use ctrace_trace::process::{ProcessImage, exe_flag};
use ctrace_wire::record::{Exec, Exit, FLAG_UNSEEN, Fork, Header};
use ctrace_wire::section;

use super::clock::{Clock, same_start};
use super::files::{nanoseconds, stat_device};
use super::paths;
use super::process::{Attempt, Process, SavedIds};
use super::state::State;
use crate::syscall::View;

const CAP_DAC_OVERRIDE: u32 = 1;

/// An exec that succeeded, as its event tells it.
pub(super) struct Started {
    pub(super) attempt: Option<Attempt>,
    /// The file name as it was given; `None` where it could not be read.
    pub(super) filename: Option<Vec<u8>>,
    /// The file's absolute path.
    pub(super) resolved: Vec<u8>,
}

/// How a process ended.
pub(super) struct Ended {
    /// As `wait` reports it.
    pub(super) status: u32,
    /// Threads that it had.
    pub(super) threads: u32,
}

impl State {
    pub(super) fn fork(&mut self, fork: &Fork, clock: &Clock) {
        let header = &fork.header;
        if fork.child_tgid == header.tgid {
            return self.new_thread(header, fork.child_tid);
        }
        // A child has the name of the thread that made it.
        self.name_unknown(header.tgid, header.ts, comm(&fork.comm));
        let Some(forker) = self.table.at(header.tgid, header.ts) else {
            return;
        };
        let (forker_serial, root, saved) = (forker.serial, forker.root_of(header.tid).to_vec(), forker.saved);
        let (template, mut fds) = (forker.image_of(header.tid).clone(), forker.fds.clone());
        if header.flags & FLAG_UNSEEN != 0 {
            // What the forker did to its descriptors was not recorded: better none than wrong ones.
            fds = self.no_fds();
        }
        // With CLONE_PARENT the parent is the forker's own.
        let ppid = known(fork.child_ppid, header.tgid);
        let parent = match ppid == header.tgid {
            true => forker_serial,
            false => self.table.latest(ppid).map_or(0, |p| p.serial),
        };
        let mut image = self.forked_image(fork, &template, clock);
        image.ppid = ppid;
        image.parent = self.parent_image(ppid, parent);
        let cgroup = known64(fork.child_cgroup, header.cgroup);
        self.enter_cgroup(&mut image, cgroup, header);
        let mut process = Process::new(self.table.serial(), Arc::new(image), self.no_fds());
        if let Some(early) = self.take_early(fork) {
            merge_early(&early, &mut process, &mut fds);
        }
        process.fds = fds;
        process.parent = parent;
        process.start = known64(fork.child_start, 0);
        process.cgroup = cgroup;
        process.root = root;
        process.saved = saved;
        self.table.insert(process);
    }

    fn new_thread(&mut self, header: &Header, tid: u32) {
        if let Some(process) = self.table.at(header.tgid, header.ts) {
            process.threads += 1;
            // A thread shares the directory of the one that made it.
            if let Some(own) = process.private_fs_mut(header.tid).cloned() {
                process.unshare_fs(tid);
                if let Some(private) = process.private_fs_mut(tid) {
                    (private.image, private.root) = (own.image, own.root);
                }
            }
        }
    }

    fn forked_image(&mut self, fork: &Fork, template: &ProcessImage, clock: &Clock) -> ProcessImage {
        let mut image = template.clone();
        image.id = self.image_id();
        image.pid = fork.child_tgid;
        image.vpid = known(fork.child_vpid, fork.child_tgid);
        image.namespaces.pid = known(fork.child_pid_ns, image.namespaces.pid);
        image.start_ts = self.told_start(image.pid, clock.utc(known64(fork.child_start, fork.header.ts)));
        image.exec_ts = 0;
        let name = comm(&fork.comm);
        if !name.is_empty() {
            image.name = name.to_vec();
        }
        image
    }

    /// When a new process started. One that was read before the record of its fork came has its start from there.
    fn told_start(&self, pid: u32, start_ts: u64) -> u64 {
        let read = self.table.latest(pid).filter(|p| p.start == 0 && p.ended == u64::MAX);
        let told = read.map(|p| p.image.start_ts);
        told.filter(|told| same_start(*told, start_ts)).unwrap_or(start_ts)
    }

    /// Puts a new image into its cgroup, where that is not its parent's.
    fn enter_cgroup(&mut self, image: &mut ProcessImage, cgroup: u64, header: &Header) {
        let same = self
            .table
            .at(header.tgid, header.ts)
            .is_some_and(|p| p.cgroup == cgroup);
        if cgroup == 0 || same {
            return;
        }
        self.cgroup(cgroup, image.pid, header.ts).place(image);
    }

    /// The child of a fork that was already seen: its own records overtook that of the fork.
    fn take_early(&mut self, fork: &Fork) -> Option<Early> {
        let process = self.table.latest_mut(fork.child_tgid)?;
        let lives = process.ended == u64::MAX;
        let same = process.start == 0 && process.provisional || process.start == known64(fork.child_start, 0);
        (lives && same).then(|| Early {
            image: process.image.clone(),
            fds: process.fds.clone(),
        })
    }

    /// A successful exec; the image changes here, the event follows.
    pub(super) fn exec(&mut self, view: &View<'_, Exec>, clock: &Clock) -> Started {
        let exec = &view.fixed;
        let (pid, ts) = (exec.header.tgid, exec.header.ts);
        self.replace_if_other(exec);
        let (old, attempt, root, parent) = match self.table.at(pid, ts) {
            Some(p) => (
                p.image.clone(),
                p.take_attempt(exec.old_tid),
                p.root_of(exec.old_tid).to_vec(),
                p.parent,
            ),
            None => (Arc::default(), None, Vec::new(), 0),
        };
        let mut image = self.exec_image(view, &old, clock);
        let filename = view.section(section::EXEC_FILENAME).map_or(&[][..], |s| s.data);
        let mut resolved = Vec::new();
        paths::resolve(&root, &old.cwd, filename, &mut resolved);
        let is_script = view.section(section::EXEC_INTERP).is_some();
        if image.exe_path.is_empty() {
            image.exe_path.clone_from(&resolved);
        } else if !is_script {
            resolved.clone_from(&image.exe_path);
        }
        let parent_image = self.parent_image(image.ppid, parent);
        image.parent = parent_image.or_else(|| old.parent.clone());
        self.name_ids(&mut image, ts);
        self.become_image(exec, image, root);
        Started {
            attempt,
            filename: Some(filename.to_vec()),
            resolved,
        }
    }

    /// A process of the same id that began at another time is another one, whose fork and whose end were both lost.
    fn replace_if_other(&mut self, exec: &Exec) {
        let (pid, start) = (exec.header.tgid, known64(exec.start, 0));
        let Some(process) = self.table.at(pid, exec.header.ts) else {
            return;
        };
        if start == 0 || process.start == 0 || process.start == start {
            return;
        }
        let image = Arc::new(ProcessImage {
            pid,
            ..ProcessImage::default()
        });
        let mut process = Process::new(self.table.serial(), image, self.no_fds());
        process.start = start;
        self.stats.unannounced += 1;
        self.table.insert(process);
    }

    fn exec_image(&mut self, view: &View<'_, Exec>, old: &ProcessImage, clock: &Clock) -> ProcessImage {
        let exec = &view.fixed;
        let mut image = old.clone();
        image.id = self.image_id();
        image.pid = exec.header.tgid;
        if image.ppid == 0 {
            image.ppid = known(exec.ppid, 0);
        }
        // Said once: the clock is measured anew now and then, and a process must not seem to be two.
        if image.start_ts == 0 && exec.start != u64::MAX {
            image.start_ts = clock.utc(exec.start);
        }
        image.exec_ts = clock.utc(exec.header.ts);
        image.name = comm(&exec.comm).to_vec();
        let strings = |kind| view.section(kind).map_or(&[][..], |s| s.data);
        image.argv = trimmed(strings(section::EXEC_ARGV)).to_vec();
        image.env = self.chosen_env(strings(section::EXEC_ENV));
        if let Some(cwd) = view.section(section::EXEC_CWD) {
            cwd.path_into(false, &mut image.cwd);
        }
        take_ids(&mut image, exec);
        take_file(&mut image, view);
        let cgroup = self.cgroup(exec.header.cgroup, exec.header.tgid, exec.header.ts);
        cgroup.place(&mut image);
        image
    }

    fn chosen_env(&self, env: &[u8]) -> Vec<u8> {
        let kept = trimmed(env).split(|b| *b == 0).filter(|v| self.config.keeps(v));
        kept.collect::<Vec<_>>().join(&0)
    }

    /// The calling thread is now the only one, under the process's id.
    fn become_image(&mut self, exec: &Exec, image: ProcessImage, root: Vec<u8>) {
        let saved = SavedIds {
            suid: known(exec.suid, image.euid),
            sgid: known(exec.sgid, image.egid),
            fsuid: None,
            keep_caps: false,
        };
        let ppid = image.ppid;
        let found_parent = self.table.latest(ppid).map_or(0, |p| p.serial);
        let Some(process) = self.table.at(exec.header.tgid, exec.header.ts) else {
            return;
        };
        process.image = Arc::new(image);
        if process.parent == 0 {
            process.parent = found_parent;
        }
        if process.start == 0 {
            process.start = known64(exec.start, 0).min(exec.header.ts);
        }
        process.fds.exec();
        process.saved = saved;
        process.root = root;
        process.threads = 1;
        process.leader_status = None;
        process.exec_reported = true;
        process.attempts.clear();
        process.private.clear();
    }

    /// A thread ended; tells how the process ended where it was the last one.
    pub(super) fn exit(&mut self, exit: &Exit) -> Option<Ended> {
        let header = &exit.header;
        if self.is_told_twice(exit) {
            return None;
        }
        self.meet(header);
        self.name_unknown(header.tgid, header.ts, comm(&exit.comm));
        let process = self.table.at(header.tgid, header.ts)?;
        process.end_thread(header.tid);
        let is_leader = header.tid == header.tgid;
        let ended = match exit.threads_left {
            u32::MAX => is_leader,
            left => left == 0,
        };
        if !ended {
            process.leader_status = process.leader_status.or(is_leader.then_some(exit.exit_code));
            return None;
        }
        let status = match (exit.group_exit_code, is_leader) {
            (0, true) => exit.exit_code,
            (0, false) => process.leader_status.unwrap_or(exit.exit_code),
            (status, _) => status,
        };
        let (threads, serial) = (process.threads, process.serial);
        self.table.end(header.tgid, serial, header.ts);
        Some(Ended { status, threads })
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

fn merge_early(early: &Early, process: &mut Process, fds: &mut super::fds::FdTable) {
    let seen = &early.image;
    let image = Arc::make_mut(&mut process.image);
    if seen.exec_ts != 0 {
        // It has run exec: all but its lineage is from that.
        let (parent, ppid, id) = (image.parent.take(), image.ppid, image.id);
        *image = (**seen).clone();
        (image.parent, image.ppid, image.id) = (parent, ppid, id);
        fds.exec();
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

fn take_ids(image: &mut ProcessImage, exec: &Exec) {
    let pairs = [
        (&mut image.uid, exec.uid),
        (&mut image.euid, exec.euid),
        (&mut image.gid, exec.gid),
        (&mut image.egid, exec.egid),
        (&mut image.sid, exec.sid),
        (&mut image.pgid, exec.pgid),
        (&mut image.vpid, exec.vpid),
        (&mut image.namespaces.mnt, exec.mnt_ns),
        (&mut image.namespaces.pid, exec.pid_ns),
        (&mut image.namespaces.net, exec.net_ns),
        (&mut image.namespaces.user, exec.user_ns),
    ];
    for (own, new) in pairs {
        *own = known(new, *own);
    }
    image.loginuid = exec.loginuid;
    image.tty = stat_device(known(exec.tty, 0)) as u32;
    image.cap_permitted = known64(exec.cap_permitted, image.cap_permitted);
    image.cap_effective = known64(exec.cap_effective, image.cap_effective);
    image.cap_inheritable = known64(exec.cap_inheritable, image.cap_inheritable);
}

/// The executed file, as the kernel has it.
fn take_file(image: &mut ProcessImage, view: &View<'_, Exec>) {
    let Some(file) = view.section(section::FILE).and_then(|s| s.file()) else {
        image.exe_path.clear();
        (image.exe_ino, image.exe_ctime, image.exe_mtime, image.exe_flags) = (0, 0, 0, 0);
        return;
    };
    let pseudo = file.flags & section::FILE_PSEUDO != 0;
    match view.section(section::FILE_PATH) {
        Some(path) => path.path_into(pseudo, &mut image.exe_path),
        None => image.exe_path.clear(),
    }
    image.exe_ino = known64(file.ino, 0);
    image.exe_ctime = nanoseconds(file.ctime_s, file.ctime_ns);
    image.exe_mtime = nanoseconds(file.mtime_s, file.mtime_ns);
    image.exe_flags = exe_flags(&file, image);
}

fn exe_flags(file: &section::File, image: &ProcessImage) -> u8 {
    let has = |flag| file.flags & flag != 0;
    let pseudo = has(section::FILE_PSEUDO);
    let mut flags = 0;
    if has(section::FILE_UPPER) {
        flags |= exe_flag::UPPER_LAYER;
    } else if has(section::FILE_OVERLAY) && !has(section::FILE_UPPER_UNKNOWN) {
        flags |= exe_flag::LOWER_LAYER;
    }
    if pseudo {
        flags |= exe_flag::MEMFD;
    } else if has(section::FILE_DELETED) || has(section::FILE_UNHASHED) {
        flags |= exe_flag::DELETED;
    }
    let owner = file.uid == image.euid && file.mode & 0o200 != 0;
    let anyone = file.mode & 0o002 != 0;
    if owner || anyone || image.cap_effective >> CAP_DAC_OVERRIDE & 1 == 1 {
        flags |= exe_flag::WRITABLE;
    }
    flags
}

/// A value, or what to take where the host does not give it.
fn known(value: u32, otherwise: u32) -> u32 {
    if value == u32::MAX { otherwise } else { value }
}

fn known64(value: u64, otherwise: u64) -> u64 {
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
