//! What events change: processes come, run other programs and go; descriptors are made, named and closed.

use std::sync::Arc;

use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_trace::process::{ProcessImage, exe_flag};

use super::action::Action;
use super::call::Call;
use super::flags::Flags;
use super::lists;
use super::world::World;
use super::{containers, json};

/// `CLONE_THREAD` in the format's own numbers.
const THREAD: u32 = 1 << 13;
/// `execve_flags` of the format.
const EXE_FLAGS: [(u32, u8); 4] = [
    (1, exe_flag::WRITABLE),
    (2, exe_flag::UPPER_LAYER),
    (4, exe_flag::MEMFD),
    (8, exe_flag::LOWER_LAYER),
];
/// Commands of `fcntl` that make a descriptor, in the format's own numbers.
const DUPLICATE: [i64; 2] = [1, 26];
/// Option of `prctl` (`linux/prctl.h`).
const PR_SET_NAME: i64 = 15;

/// An event that may change something.
pub(super) struct Change<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) tid: u32,
    pub(super) pid: u32,
    pub(super) ts: u64,
    pub(super) ret: Option<i64>,
    /// The descriptor that the call is about.
    pub(super) fd: Option<i32>,
    /// Its first path, absolute, and as it was given.
    pub(super) path: Option<(&'a [u8], &'a [u8])>,
}

impl Change<'_> {
    pub(super) fn succeeded(&self) -> bool {
        self.ret.is_some_and(|r| r >= 0)
    }

    pub(super) fn new_fd(&self) -> Option<i32> {
        i32::try_from(self.ret?).ok().filter(|fd| *fd >= 0)
    }
}

impl World {
    /// Takes over what an event says.
    pub(super) fn apply(&mut self, action: Action, change: &Change<'_>, flags: &Flags) {
        match action {
            Action::None => {}
            Action::Clone => self.cloned(change),
            Action::Exec => self.executed(change),
            Action::Connect => self.connect(change),
            Action::Send => self.transfer(change, true),
            Action::Receive => self.transfer(change, false),
            Action::Container => self.container_told(change),
            Action::EndProcess => {}
            _ if !change.succeeded() => {}
            Action::Open => self.opened(change, flags),
            Action::Close => self.close(change),
            Action::CloseRange => self.close_range(change),
            Action::Duplicate => self.duplicate(change),
            Action::Fcntl => {
                if change.call.num("cmd").is_some_and(|cmd| DUPLICATE.contains(&cmd)) {
                    self.duplicate(change);
                }
            }
            Action::Pipe => self.pipe(change),
            Action::Socket => self.socket(change),
            Action::SocketPair => self.socket_pair(change),
            Action::Bind => self.bind(change),
            Action::Listen => self.listen(change),
            Action::Accept => self.accept(change),
            Action::Make(kind) => self.make(change, kind),
            Action::ChangeDirectory => {
                if let Some((path, _)) = change.path {
                    self.change_process(change.pid, |image| image.cwd = path.to_vec());
                }
            }
            Action::ChangeToDescriptor => {
                let path = change.fd.and_then(|fd| self.fd(change.pid, fd)).map(|e| e.name.clone());
                if let Some(path) = path.filter(|p| p.starts_with(b"/")) {
                    self.change_process(change.pid, |image| image.cwd.clone_from(&path));
                }
            }
            Action::SetUser => self.set_user(change),
            Action::SetGroup => self.set_group(change),
            Action::SetSession => {
                let pid = change.pid;
                self.change_process(pid, |image| (image.sid, image.pgid) = (pid, pid));
            }
            Action::SetProcessGroup => self.set_process_group(change),
            Action::SetName => self.set_name(change),
            Action::SetCapabilities => self.set_capabilities(change),
        }
    }

    /// Both sides tell of it: the parent with the child's id as result, the child with 0.
    fn cloned(&mut self, change: &Change<'_>) {
        match change.ret {
            Some(0) => self.cloned_in_child(change),
            Some(child @ 1..) => {
                let Ok(child) = u32::try_from(child) else { return };
                self.refresh(change);
                let is_thread = change.call.u32("flags").unwrap_or(0) & THREAD != 0;
                // The child may have been first, and may be in a pid namespace where the id is another.
                if !self.threads.contains_key(&child) && !in_other_namespace(change) {
                    self.add_child(change.tid, change.pid, child, is_thread, change.ts);
                }
            }
            _ => {}
        }
    }

    /// What a clone says of its caller may be newer than what is known: the list may have lacked it.
    fn refresh(&mut self, change: &Change<'_>) {
        let unknown = self.threads.get(&change.tid).is_some_and(|t| t.image.name.is_empty());
        if unknown {
            let mut image = ProcessImage {
                loginuid: u32::MAX,
                ..ProcessImage::default()
            };
            self.describe(&mut image, change);
            self.insert(change.tid, image);
        }
    }

    fn add_child(&mut self, parent_tid: u32, parent_pid: u32, child: u32, is_thread: bool, ts: u64) {
        let Some(image) = self.threads.get(&parent_tid).map(|t| t.image.clone()) else {
            return;
        };
        let mut image = (*image).clone();
        if !is_thread {
            let fds = self.processes.get(&parent_pid).map(|p| p.fds.clone());
            self.end_process(child);
            image.pid = child;
            image.vpid = child;
            image.ppid = parent_pid;
            image.start_ts = ts;
            image.exec_ts = 0;
            image.parent = self.parent_of(parent_pid);
            self.insert(child, image);
            if let (Some(process), Some(fds)) = (self.processes.get_mut(&child), fds) {
                process.fds = fds;
            }
        } else {
            self.insert(child, image);
        }
    }

    /// Forgets what had an id before.
    fn end_process(&mut self, pid: u32) {
        self.end(pid);
        self.processes.remove(&pid);
    }

    fn cloned_in_child(&mut self, change: &Change<'_>) {
        let call = change.call;
        let pid = call.u32("pid").unwrap_or(change.tid);
        let is_thread = pid != change.tid;
        let parent_tid = call.u32("ptid").unwrap_or(0);
        // The thread group of the parent thread; of a new thread the parent is that of its process.
        let known = self
            .threads
            .get(&change.tid)
            .is_some_and(|t| t.pid == pid && !t.image.name.is_empty());
        if !known {
            let from = if is_thread { pid } else { parent_tid };
            let parent_pid = self.threads.get(&from).map_or(from, |t| t.pid);
            self.add_child(from, parent_pid, change.tid, is_thread, change.ts);
        }
        let mut image = self
            .threads
            .get(&change.tid)
            .map_or_else(ProcessImage::default, |t| (*t.image).clone());
        self.describe(&mut image, change);
        if !is_thread {
            image.ppid = self.threads.get(&parent_tid).map_or(parent_tid, |t| t.pid);
            if image.parent.is_none() {
                image.parent = self.parent_of(image.ppid);
            }
        }
        self.insert(change.tid, image);
    }

    /// Takes what `clone` and `execve` say of the caller.
    fn describe(&mut self, image: &mut ProcessImage, change: &Change<'_>) {
        let call = change.call;
        image.pid = call.u32("pid").unwrap_or(change.pid);
        let exe = call.text("exe").unwrap_or_default();
        image.argv = lists::argv(exe, call.list("args").unwrap_or_default()).into();
        let base = exe.rsplit(|b| *b == b'/').next().unwrap_or(exe);
        image.name = call.text("comm").unwrap_or(base).to_vec();
        if let Some(cwd) = call.text("cwd") {
            image.cwd = lists::directory(cwd);
        }
        if let Some(uid) = call.u32("uid") {
            (image.uid, image.euid) = (uid, uid);
        }
        if let Some(gid) = call.u32("gid") {
            (image.gid, image.egid) = (gid, gid);
        }
        image.vpid = call.u32("vpid").unwrap_or(image.vpid);
        self.place(image, call.list("cgroups").unwrap_or_default());
    }

    fn executed(&mut self, change: &Change<'_>) {
        if change.ret != Some(0) {
            return;
        }
        let Some(old) = self.threads.get(&change.tid).map(|t| t.image.clone()) else {
            return;
        };
        let (mut image, call) = ((*old).clone(), change.call);
        self.describe(&mut image, change);
        image.exec_ts = change.ts;
        image.exe_path = executed_file(change, &image.cwd);
        if let Some(env) = call.list("env") {
            image.env = env.strip_suffix(b"\0").unwrap_or(env).to_vec().into();
        }
        image.tty = call.u32("tty").unwrap_or(image.tty);
        image.loginuid = call.u32("loginuid").unwrap_or(image.loginuid);
        image.pgid = call.u32("pgid").or_else(|| call.u32("vpgid")).unwrap_or(image.pgid);
        image.exe_flags = EXE_FLAGS
            .iter()
            .filter(|(bit, _)| call.u32("flags").unwrap_or(0) & bit != 0)
            .fold(0, |all, (_, ours)| all | ours);
        image.cap_inheritable = word(call, "cap_inheritable").unwrap_or(image.cap_inheritable);
        image.cap_permitted = word(call, "cap_permitted").unwrap_or(image.cap_permitted);
        image.cap_effective = word(call, "cap_effective").unwrap_or(image.cap_effective);
        image.exe_ino = word(call, "exe_ino").unwrap_or(0);
        image.exe_ctime = word(call, "exe_ino_ctime").unwrap_or(0);
        image.exe_mtime = word(call, "exe_ino_mtime").unwrap_or(0);
        if image.ppid == 0
            && let Some(parent_tid) = call.u32("ptid")
        {
            image.ppid = self.threads.get(&parent_tid).map_or(parent_tid, |t| t.pid);
            image.parent = self.parent_of(image.ppid);
        }
        self.name(&mut image);
        self.insert(change.tid, image);
    }

    fn container_told(&mut self, change: &Change<'_>) {
        let call = change.call;
        let container = match call.text("json") {
            Some(text) => json::container(text),
            None => containers::of_event(call),
        };
        if let Some(container) = container {
            self.learn(container);
        }
    }

    pub(super) fn put(&mut self, change: &Change<'_>, fd: i32, entry: FdEntry) {
        self.open(change.pid, fd, Arc::new(entry));
    }

    fn opened(&mut self, change: &Change<'_>, flags: &Flags) {
        let Some(fd) = change.new_fd() else { return };
        let open_flags = change.call.u32("flags").map_or(0, |f| flags.open(f));
        /// `O_DIRECTORY` of x86.
        const DIRECTORY: u32 = 0o200_000;
        let is_dir = open_flags & DIRECTORY != 0;
        let mut entry = self.object(if is_dir { FdKind::Directory } else { FdKind::File });
        if let Some((path, raw)) = change.path {
            entry.name = path.to_vec();
            if raw != path {
                entry.name_raw = raw.to_vec();
            }
        }
        entry.open_flags = open_flags;
        entry.dev = word(change.call, "dev").unwrap_or(0);
        entry.ino = word(change.call, "ino").unwrap_or(0);
        self.put(change, fd, entry);
    }

    fn close(&mut self, change: &Change<'_>) {
        if let (Some(fd), Some(process)) = (change.fd, self.processes.get_mut(&change.pid)) {
            process.fds.remove(&fd);
        }
    }

    fn close_range(&mut self, change: &Change<'_>) {
        /// `CLOSE_RANGE_CLOEXEC` in the format's own numbers: nothing is closed yet.
        const LATER: u32 = 4;
        let call = change.call;
        let (Some(first), Some(last)) = (call.u32("first"), call.u32("last")) else {
            return;
        };
        if call.u32("flags").unwrap_or(0) & LATER == 0
            && let Some(process) = self.processes.get_mut(&change.pid)
        {
            process.fds.retain(|fd, _| !(first..=last).contains(&(*fd as u32)));
        }
    }

    fn duplicate(&mut self, change: &Change<'_>) {
        let old = change.call.fd("oldfd").or_else(|| change.call.fd("fd"));
        if let (Some(old), Some(new)) = (old, change.new_fd())
            && let Some(entry) = self.fd(change.pid, old).cloned()
        {
            self.open(change.pid, new, entry);
        }
    }

    fn pipe(&mut self, change: &Change<'_>) {
        let ino = word(change.call, "ino").unwrap_or(0);
        for name in ["fd1", "fd2"] {
            if let Some(fd) = change.call.fd(name) {
                let mut entry = self.object(FdKind::Pipe);
                entry.ino = ino;
                self.put(change, fd, entry);
            }
        }
    }

    fn make(&mut self, change: &Change<'_>, kind: FdKind) {
        let Some(fd) = change.new_fd() else { return };
        let mut entry = self.object(kind);
        if let Some(name) = change.call.text("name") {
            entry.name = name.to_vec();
        }
        self.put(change, fd, entry);
    }

    fn set_user(&mut self, change: &Change<'_>) {
        let call = change.call;
        let given = |name| call.u32(name).filter(|id| *id != u32::MAX);
        let (real, effective) = match given("uid") {
            Some(uid) => (Some(uid), Some(uid)),
            None => (given("ruid"), given("euid")),
        };
        let name = |id: u32| {
            self.users
                .iter()
                .find(|u| u.uid == id)
                .map(|u| u.name.clone().into_bytes())
        };
        let user = effective.map(|id| name(id).unwrap_or_default());
        self.change_process(change.pid, |image| {
            image.uid = real.unwrap_or(image.uid);
            image.euid = effective.unwrap_or(image.euid);
            if let Some(user) = &user {
                image.user.clone_from(user);
            }
        });
    }

    fn set_group(&mut self, change: &Change<'_>) {
        let call = change.call;
        let given = |name| call.u32(name).filter(|id| *id != u32::MAX);
        let (real, effective) = match given("gid") {
            Some(gid) => (Some(gid), Some(gid)),
            None => (given("rgid"), given("egid")),
        };
        let name = |id: u32| {
            self.groups
                .iter()
                .find(|g| g.gid == id)
                .map(|g| g.name.clone().into_bytes())
        };
        let group = effective.map(|id| name(id).unwrap_or_default());
        self.change_process(change.pid, |image| {
            image.gid = real.unwrap_or(image.gid);
            image.egid = effective.unwrap_or(image.egid);
            if let Some(group) = &group {
                image.group.clone_from(group);
            }
        });
    }

    fn set_process_group(&mut self, change: &Change<'_>) {
        let (Some(pid), Some(group)) = (change.call.u32("pid"), change.call.u32("pgid")) else {
            return;
        };
        let pid = if pid == 0 { change.pid } else { pid };
        let group = if group == 0 { pid } else { group };
        self.change_process(pid, |image| image.pgid = group);
    }

    fn set_name(&mut self, change: &Change<'_>) {
        if change.call.num("option") == Some(PR_SET_NAME)
            && let Some(name) = change.call.text("arg2_str")
        {
            let name = name.get(..15).unwrap_or(name).to_vec();
            self.change(change.tid, |image| image.name = name);
        }
    }

    fn set_capabilities(&mut self, change: &Change<'_>) {
        let get = |name| word(change.call, name);
        if let (Some(i), Some(p), Some(e)) = (get("cap_inheritable"), get("cap_permitted"), get("cap_effective")) {
            self.change_process(change.pid, |image| {
                (image.cap_inheritable, image.cap_permitted, image.cap_effective) = (i, p, e);
            });
        }
    }
}

/// Whether the caller is in a pid namespace of its own, where ids are others than the capture's.
fn in_other_namespace(change: &Change<'_>) -> bool {
    let (tid, vtid) = (change.call.u32("tid"), change.call.u32("vtid"));
    vtid.is_some_and(|v| v != 0) && tid != vtid
}

/// The kernel's own path where it is told; else the name that was given, from the directory.
fn executed_file(change: &Change<'_>, cwd: &[u8]) -> Vec<u8> {
    if let Some(trusted) = change.call.text("trusted_exepath") {
        return trusted.to_vec();
    }
    if let Some((path, _)) = change.path {
        return path.to_vec();
    }
    let exe = change.call.text("exe").unwrap_or_default();
    let mut path = Vec::new();
    if exe.contains(&b'/') {
        crate::resolver::resolve_path(b"", cwd, exe, &mut path);
    }
    path
}

fn word(call: &Call<'_>, name: &str) -> Option<u64> {
    call.num(name).map(|n| n as u64)
}
