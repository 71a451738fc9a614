//! What calls do to who a process is: ids, capabilities, name, session, directory, namespaces.
//!
//! Ids and capabilities are the calling thread's own: the kernel tells them when a call that sets them returns, so that what
//! the call does to them by its arguments, by user namespaces and by `PR_SET_KEEPCAPS` needs not be known here.

use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_trace::process::ProcessImage;
use ctrace_wire::record::{SHARED_FILES, SHARED_FS};
use ctrace_wire::section::{self, Credentials};

use super::call::Call;
use super::files::named;
use super::image::COMM;
use super::life::{known, known64};
use super::links::View;
use super::paths;
use super::plan::{PathArg, Plan};
use super::state::State;

impl State {
    /// Takes the ids and capabilities that the calling thread has now.
    pub(super) fn set_ids(&mut self, call: &Call<'_>) {
        if !call.succeeded() {
            return;
        }
        let Some(old) = self.table.at(call.pid, call.ts).map(|p| p.image_of(call.tid).clone()) else {
            return;
        };
        let ids = match call.section(section::CREDENTIALS).and_then(|s| s.credentials()) {
            Some(told) => Ids::told(&told, &old),
            // What /proc tells is the leader's, and later.
            None => match self.ask_for_process(call.pid, call.ts) {
                Some(found) => Ids::of(&found.image),
                None => return,
            },
        };
        if ids == Ids::of(&old) {
            return;
        }
        let mut named = (*old).clone();
        ids.write(&mut named);
        self.name_ids(&mut named, call.ts);
        self.change_ids(call, &ids, &|image| {
            ids.write(image);
            image.user.clone_from(&named.user);
            image.group.clone_from(&named.group);
        });
    }

    pub(super) fn prctl(&mut self, call: &Call<'_>) {
        // The leader's name is the process's; other threads name only themselves.
        if call.ret == 0 && call.arg32(0) as i32 == libc::PR_SET_NAME && call.pid == call.tid {
            let name = call.text(1).unwrap_or_default();
            let name = name.get(..COMM).unwrap_or(name);
            self.change(call.pid, call.ts, |image| image.name = name.to_vec());
        }
    }

    /// `setsid`: the process leads a session and a group, and has no terminal. The result is in the numbers of its own
    /// pid namespace, so it is not used.
    pub(super) fn set_session(&mut self, call: &Call<'_>) {
        if call.succeeded() {
            self.change(call.pid, call.ts, |image| {
                image.sid = image.pid;
                image.pgid = image.pid;
                image.tty = 0;
            });
        }
    }

    /// `setpgid`, for itself or a child.
    pub(super) fn set_group(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        let target = match call.arg32(0) {
            0 => Some(call.pid),
            pid => self.outer_pid(call, pid),
        };
        let group = match call.arg32(1) {
            0 => target,
            pgid if pgid == call.arg32(0) => target,
            pgid => self.outer_pid(call, pgid),
        };
        if let (Some(target), Some(group)) = (target, group)
            && self.table.at(target, call.ts).is_some_and(|p| p.image.pgid != group)
        {
            self.change(target, call.ts, |image| image.pgid = group);
        }
    }

    /// The process id in the initial namespace of what a caller calls `pid`.
    pub(super) fn outer_pid(&mut self, call: &Call<'_>, pid: u32) -> Option<u32> {
        let image = self.table.at(call.pid, call.ts)?.image.clone();
        if image.vpid == image.pid || image.vpid == 0 {
            return Some(pid);
        }
        if image.vpid == pid {
            return Some(image.pid);
        }
        if !self.may_search(call.ts) {
            return None;
        }
        let in_ns = |i: &ProcessImage| i.vpid == pid && i.namespaces.pid == image.namespaces.pid;
        self.table.pids_where(|p| in_ns(&p.image)).first().copied()
    }

    /// Puts the caller where the kernel says that it is, whatever the call returned: the result may be one that a filter of
    /// seccomp made up. `false` where the record does not say it.
    pub(super) fn placed(&mut self, call: &Call<'_>) -> bool {
        let Some(told) = call.section(section::CWD).filter(|path| !path.truncated) else {
            return false;
        };
        let mut cwd = Vec::new();
        self.program_paths.make(&told, &mut cwd, |to| told.path_into(false, to));
        self.change_directory(call.pid, call.tid, call.ts, Some(&cwd), None);
        true
    }

    /// The same of its root directory.
    pub(super) fn rooted(&mut self, call: &Call<'_>) -> bool {
        let Some(told) = call.section(section::ROOT).filter(|path| !path.truncated) else {
            return false;
        };
        let mut root = Vec::new();
        told.path_into(false, &mut root);
        if root == b"/" {
            root.clear();
        }
        self.change_directory(call.pid, call.tid, call.ts, None, Some(&root));
        true
    }

    /// Takes over where the kernel has the directory from which a call's names lead on, and says if that was not known. What was
    /// known became wrong where it was renamed, or one above it, or mounts were moved, in whatever way.
    pub(super) fn base_told(&mut self, call: &Call<'_>, plan: &Plan) -> Option<Moved> {
        let of_working_directory = call.section(section::CWD);
        let told = of_working_directory.or_else(|| call.section(section::FILE_PATH))?;
        // Without a relative name a descriptor may be that of anything.
        let leads_on = |path: &PathArg| {
            let name = call.text(path.arg).unwrap_or_default();
            path.dirfd.map(|at| call.fd(at)) == plan.base.map(|at| call.fd(at))
                && !matches!(name.first(), None | Some(b'/'))
        };
        if told.truncated || of_working_directory.is_none() && !plan.paths.iter().any(leads_on) {
            return None;
        }
        let mut to = Vec::new();
        self.program_paths.make(&told, &mut to, |to| told.path_into(false, to));
        let process = self.table.at(call.pid, call.ts)?;
        if of_working_directory.is_some() {
            let from = &process.image_of(call.tid).cwd;
            if *from == to {
                return None;
            }
            let from = from.clone();
            self.change_directory(call.pid, call.tid, call.ts, Some(&to), None);
            return Some(Moved { from, to });
        }
        let fd = call.fd(plan.base?);
        let known = process.fds.get(fd);
        let directory = match known {
            Some(known) if known.name == to => return None,
            Some(known) if known.kind == FdKind::Directory => FdEntry {
                name: to.clone(),
                ..(**known).clone()
            },
            _ => named(FdKind::Directory, &to),
        };
        let from = known.map_or(Vec::new(), |known| known.name.clone());
        let directory = self.entry(directory);
        if let Some(process) = self.table.at(call.pid, call.ts) {
            self.stats.fds_refused += u64::from(!process.fds.replace(fd, directory));
        }
        Some(Moved { from, to })
    }

    /// `chdir` by the caller's path, where the kernel does not tell.
    pub(super) fn chdir(&mut self, call: &Call<'_>, to: &[u8]) {
        if call.ret == 0 {
            // A path that could not be made absolute makes the directory unknown.
            let cwd = if paths::is_known(to) { to } else { b"" };
            let real = call.text(0).and_then(|raw| self.entered(call, raw));
            self.change_directory(call.pid, call.tid, call.ts, Some(real.as_deref().unwrap_or(cwd)), None);
        }
    }

    pub(super) fn fchdir(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        self.ask_for_fd(call, call.fd(0));
        let entry = self
            .table
            .at(call.pid, call.ts)
            .and_then(|p| p.fds.get(call.fd(0)).cloned());
        let to = entry
            .filter(|e| e.kind.is_path())
            .map_or(Vec::new(), |e| e.name.clone());
        let cwd = if paths::is_known(&to) { &to[..] } else { b"" };
        self.change_directory(call.pid, call.tid, call.ts, Some(cwd), None);
    }

    pub(super) fn chroot(&mut self, call: &Call<'_>, to: &[u8]) {
        if call.ret == 0 && paths::is_known(to) {
            let root = if to == b"/" { b"" } else { to };
            self.change_directory(call.pid, call.tid, call.ts, None, Some(root));
        }
    }

    /// `pivot_root`: what was the new root's path is now the root itself.
    pub(super) fn pivot_root(&mut self, call: &Call<'_>) {
        if call.ret == 0 {
            if let Some(process) = self.table.at(call.pid, call.ts) {
                self.links.remove(View::of(process, call.tid), b"");
            }
            self.change_directory(call.pid, call.tid, call.ts, None, Some(b""));
        }
    }

    /// `setns`: joining a mount namespace puts the caller into its root. Which namespace was joined is not known.
    pub(super) fn set_namespace(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        let kinds = call.arg32(1) as i32;
        if kinds & libc::CLONE_NEWNS != 0 {
            // The kernel allows it only where nobody shares the directory.
            if let Some(process) = self.table.at(call.pid, call.ts)
                && process.shares
            {
                process.unshare_fs(call.tid);
            }
            self.change_directory(call.pid, call.tid, call.ts, Some(b"/"), Some(b""));
        }
        self.left_namespaces(call, kinds);
    }

    /// `unshare`: a thread that leaves the shared directory, or the mount namespace, goes its own way from here.
    pub(super) fn unshare(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        // What others have too was not left, whatever the result says: a seccomp filter may have answered.
        let told = call.section(section::CREDENTIALS).and_then(|s| s.credentials());
        let shared = told.map_or(0, |told| told.shared);
        let kinds = call.arg32(0) as i32;
        // Other mounts and other users need a directory of their own.
        if kinds & (libc::CLONE_FS | libc::CLONE_NEWNS | libc::CLONE_NEWUSER) != 0
            && shared & SHARED_FS == 0
            && let Some(process) = self.table.at(call.pid, call.ts)
        {
            process.unshare_fs(call.tid);
            let root = process.root_of(call.tid).len();
            self.table.images.add(root);
        }
        if kinds & libc::CLONE_FILES != 0 && shared & SHARED_FILES == 0 {
            self.unshare_files(call.pid, call.tid, call.ts);
        }
        self.left_namespaces(call, kinds);
    }

    /// Namespaces that were left for others whose numbers only the host (or the next exec) tells. The pid namespace
    /// changes for children only.
    fn left_namespaces(&mut self, call: &Call<'_>, kinds: i32) {
        // In another user namespace the caller has other capabilities.
        self.set_ids(call);
        let left = libc::CLONE_NEWNS | libc::CLONE_NEWNET;
        let alone = self.table.at(call.pid, call.ts).is_some_and(|p| p.threads == 1);
        if kinds & left == 0 || !alone {
            return;
        }
        let found = self.ask_for_process(call.pid, call.ts).map(|p| p.image.namespaces);
        let now = found.unwrap_or_default();
        self.change(call.pid, call.ts, |image| {
            let ns = &mut image.namespaces;
            ns.mnt = if kinds & libc::CLONE_NEWNS != 0 {
                now.mnt
            } else {
                ns.mnt
            };
            ns.net = if kinds & libc::CLONE_NEWNET != 0 {
                now.net
            } else {
                ns.net
            };
        });
    }
}

/// A directory that is elsewhere than was known.
pub(super) struct Moved {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Moved {
    /// Whether it is so by a rename of one path to another, or by an exchange of the two.
    pub(super) fn is_by(&self, old: &[u8], new: &[u8]) -> bool {
        let moves = |from: &[u8], to: &[u8]| {
            let (before, after) = (self.from.strip_prefix(from), self.to.strip_prefix(to));
            before == after && before.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        moves(old, new) || moves(new, old)
    }
}

/// The ids and capabilities by which a thread acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    uid: u32,
    euid: u32,
    gid: u32,
    egid: u32,
    permitted: u64,
    effective: u64,
    inheritable: u64,
    user_ns: u32,
}

impl Ids {
    pub(super) fn of(image: &ProcessImage) -> Ids {
        Ids {
            uid: image.uid,
            euid: image.euid,
            gid: image.gid,
            egid: image.egid,
            permitted: image.cap_permitted,
            effective: image.cap_effective,
            inheritable: image.cap_inheritable,
            user_ns: image.namespaces.user,
        }
    }

    /// As the kernel told them, and as they were where the host does not tell.
    fn told(told: &Credentials, old: &ProcessImage) -> Ids {
        Ids {
            uid: known(told.uid, old.uid),
            euid: known(told.euid, old.euid),
            gid: known(told.gid, old.gid),
            egid: known(told.egid, old.egid),
            permitted: known64(told.cap_permitted, old.cap_permitted),
            effective: known64(told.cap_effective, old.cap_effective),
            inheritable: known64(told.cap_inheritable, old.cap_inheritable),
            user_ns: known(told.user_ns, old.namespaces.user),
        }
    }

    fn write(&self, image: &mut ProcessImage) {
        (image.uid, image.euid) = (self.uid, self.euid);
        (image.gid, image.egid) = (self.gid, self.egid);
        (image.cap_permitted, image.cap_effective) = (self.permitted, self.effective);
        image.cap_inheritable = self.inheritable;
        image.namespaces.user = self.user_ns;
    }
}
