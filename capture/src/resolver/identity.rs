//! What calls do to who a process is: ids, capabilities, name, session, directory, namespaces.
//!
//! Ids and capabilities are a thread's own to the kernel; here a process has one set. The C library sets them in all
//! threads of a process, and programs that do otherwise are shown with what one of their threads set last.

use ctrace_trace::process::ProcessImage;

use super::action::SetId;
use super::call::Call;
use super::process::SavedIds;
use super::snapshot::SnapshotProcess;
use super::state::State;

/// Inode numbers of the initial namespaces (`PROC_USER_INIT_INO`, `PROC_PID_INIT_INO` in linux/proc_ns.h).
const INITIAL_USER_NS: u32 = 0xEFFF_FFFD;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
/// CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE (`CAP_FS_SET` in
/// linux/capability.h).
const CAPS_OF_FILES: u64 = 0x1F | 1 << 9 | 1 << 27 | 1 << 32;
/// `struct __user_cap_data_struct` × 2: effective, permitted, inheritable, each low and high half.
const CAP_WORDS: usize = 6;
/// "Leave as it is" in `set*id` calls.
const KEEP: u32 = u32::MAX;

impl State {
    pub(super) fn set_id(&mut self, call: &Call<'_>, which: SetId) {
        if call.ret != 0 {
            return;
        }
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        // In a user namespace of its own a process names ids that mean others here.
        if !matches!(process.image.namespaces.user, 0 | INITIAL_USER_NS) {
            return self.refresh_ids(call);
        }
        let (mut ids, mut saved) = (Ids::of(&process.image), process.saved);
        let args = [call.arg32(0), call.arg32(1), call.arg32(2)];
        ids.set(which, args, &mut saved);
        process.saved = saved;
        if ids != Ids::of(&process.image) {
            self.take_ids(call, &ids);
        }
    }

    /// `setfsuid`: takes the capabilities over files with it (`cap_task_fix_setuid` in security/commoncap.c). The result
    /// is the id before, whether or not it changed.
    pub(super) fn set_fs_uid(&mut self, call: &Call<'_>) {
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        let (mut ids, saved, new) = (Ids::of(&process.image), &mut process.saved, call.arg32(0));
        let old = saved.fsuid.unwrap_or(ids.euid);
        let mine = [ids.uid, ids.euid, saved.suid, old].contains(&new);
        if new == KEEP || new == old || !mine && !ids.can(CAP_SETUID) {
            return;
        }
        saved.fsuid = Some(new);
        if old == 0 {
            ids.effective &= !CAPS_OF_FILES;
        } else if new == 0 {
            ids.effective |= ids.permitted & CAPS_OF_FILES;
        }
        if ids != Ids::of(&process.image) {
            self.take_ids(call, &ids);
        }
    }

    /// Asks the host for the ids of a process.
    fn refresh_ids(&mut self, call: &Call<'_>) {
        if let Some(found) = self.ask_for_process(call.pid, call.ts) {
            let ids = Ids::of(&found.image);
            self.take_ids(call, &ids);
        }
    }

    fn take_ids(&mut self, call: &Call<'_>, ids: &Ids) {
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        let mut named = (*process.image).clone();
        ids.write(&mut named);
        self.name_ids(&mut named, call.ts);
        self.change(call.pid, call.ts, |image| {
            ids.write(image);
            image.user.clone_from(&named.user);
            image.group.clone_from(&named.group);
        });
    }

    /// `capset`, where its data was captured.
    pub(super) fn capset(&mut self, call: &Call<'_>) {
        let words: Vec<u32> = (0..CAP_WORDS as u8)
            .filter_map(|i| Some(call.field(i * 4, 4)? as u32))
            .collect();
        if call.ret != 0 {
            return;
        }
        let sets = match words[..] {
            [e0, p0, i0, e1, p1, i1] => {
                [(e0, e1), (p0, p1), (i0, i1)].map(|(lo, hi)| u64::from(hi) << 32 | u64::from(lo))
            }
            _ => match self.ask_for_process(call.pid, call.ts) {
                Some(SnapshotProcess { image, .. }) => {
                    [image.cap_effective, image.cap_permitted, image.cap_inheritable]
                }
                None => return,
            },
        };
        self.change(call.pid, call.ts, |image| {
            [image.cap_effective, image.cap_permitted, image.cap_inheritable] = sets;
        });
    }

    pub(super) fn prctl(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        match call.arg32(0) as i32 {
            // The leader's name is the process's; other threads name only themselves.
            libc::PR_SET_NAME if call.pid == call.tid => {
                let name = call.text(1).unwrap_or_default();
                let name = name.get(..15).unwrap_or(name);
                self.change(call.pid, call.ts, |image| image.name = name.to_vec());
            }
            libc::PR_SET_KEEPCAPS => {
                if let Some(process) = self.table.at(call.pid, call.ts) {
                    process.saved.keep_caps = call.arg(1) != 0;
                }
            }
            _ => {}
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
            pgid => self.outer_pid(call, pgid),
        };
        if let (Some(target), Some(group)) = (target, group)
            && self.table.at(target, call.ts).is_some_and(|p| p.image.pgid != group)
        {
            self.change(target, call.ts, |image| image.pgid = group);
        }
    }

    /// The process id in the initial namespace of what a caller calls `pid`.
    fn outer_pid(&mut self, call: &Call<'_>, pid: u32) -> Option<u32> {
        let image = self.table.at(call.pid, call.ts)?.image.clone();
        if image.vpid == image.pid || image.vpid == 0 {
            return Some(pid);
        }
        if image.vpid == pid {
            return Some(image.pid);
        }
        let in_ns = |i: &ProcessImage| i.vpid == pid && i.namespaces.pid == image.namespaces.pid;
        self.table.pids_where(|p| in_ns(&p.image)).first().copied()
    }

    pub(super) fn chdir(&mut self, call: &Call<'_>, to: &[u8]) {
        if call.ret == 0 {
            // A path that could not be made absolute makes the directory unknown.
            let cwd = if to.first() == Some(&b'/') { to } else { b"" };
            let real = call.text(0).and_then(|raw| self.real_directory(call, raw));
            self.change_directory(call.pid, call.tid, call.ts, Some(real.as_deref().unwrap_or(cwd)), None);
        }
    }

    /// Where the directory really lies that a caller named, as far as the host still shows it.
    fn real_directory(&mut self, call: &Call<'_>, raw: &[u8]) -> Option<Vec<u8>> {
        let process = self.table.at(call.pid, call.ts)?;
        let (image, root) = (process.image_of(call.tid).clone(), process.root_of(call.tid).to_vec());
        let mut path = match raw.first() {
            Some(b'/') => Vec::new(),
            _ => image.cwd.strip_prefix(&root[..])?.to_vec(),
        };
        if raw.first() != Some(&b'/') && image.cwd.first() != Some(&b'/') {
            return None;
        }
        path.push(b'/');
        path.extend_from_slice(raw);
        self.ask_for_directory(call, image.namespaces.mnt, &root, &path)
    }

    pub(super) fn fchdir(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        self.ask_for_fd(call.pid, call.ts, call.fd(0), call.ret);
        let entry = self
            .table
            .at(call.pid, call.ts)
            .and_then(|p| p.fds.get(call.fd(0)).cloned());
        let to = entry
            .filter(|e| e.kind.is_path())
            .map_or(Vec::new(), |e| e.name.clone());
        let cwd = if to.first() == Some(&b'/') { &to[..] } else { b"" };
        self.change_directory(call.pid, call.tid, call.ts, Some(cwd), None);
    }

    pub(super) fn chroot(&mut self, call: &Call<'_>, to: &[u8]) {
        if call.ret == 0 && to.first() == Some(&b'/') {
            let root = if to == b"/" { b"" } else { to };
            self.change_directory(call.pid, call.tid, call.ts, None, Some(root));
        }
    }

    /// `pivot_root`: what was the new root's path is now the root itself.
    pub(super) fn pivot_root(&mut self, call: &Call<'_>) {
        if call.ret == 0 {
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
            self.change_directory(call.pid, call.tid, call.ts, Some(b"/"), Some(b""));
        }
        self.left_namespaces(call, kinds);
    }

    /// `unshare`: a thread that leaves the shared directory, or the mount namespace, goes its own way from here.
    pub(super) fn unshare(&mut self, call: &Call<'_>) {
        if call.ret != 0 {
            return;
        }
        let kinds = call.arg32(0) as i32;
        if kinds & (libc::CLONE_FS | libc::CLONE_NEWNS) != 0
            && let Some(process) = self.table.at(call.pid, call.ts)
        {
            process.unshare_fs(call.tid);
        }
        self.left_namespaces(call, kinds);
    }

    /// Namespaces that were left for others whose numbers only the host (or the next exec) tells. The pid namespace
    /// changes for children only.
    fn left_namespaces(&mut self, call: &Call<'_>, kinds: i32) {
        let left = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWUSER;
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
            ns.user = if kinds & libc::CLONE_NEWUSER != 0 {
                now.user
            } else {
                ns.user
            };
        });
    }
}

/// The ids that `set*id` calls change, and the capabilities that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    uid: u32,
    euid: u32,
    gid: u32,
    egid: u32,
    permitted: u64,
    effective: u64,
}

impl Ids {
    fn of(image: &ProcessImage) -> Ids {
        Ids {
            uid: image.uid,
            euid: image.euid,
            gid: image.gid,
            egid: image.egid,
            permitted: image.cap_permitted,
            effective: image.cap_effective,
        }
    }

    fn write(&self, image: &mut ProcessImage) {
        (image.uid, image.euid) = (self.uid, self.euid);
        (image.gid, image.egid) = (self.gid, self.egid);
        (image.cap_permitted, image.cap_effective) = (self.permitted, self.effective);
    }

    /// What a successful call makes of the ids (kernel/sys.c).
    fn set(&mut self, which: SetId, args: [u32; 3], saved: &mut SavedIds) {
        let before = (self.uid, self.euid, saved.suid);
        match which {
            // The file system's id follows the effective one.
            SetId::Uid | SetId::Reuid | SetId::Resuid => saved.fsuid = None,
            SetId::Gid | SetId::Regid | SetId::Resgid => {}
        }
        match which {
            SetId::Uid => set_one(
                args[0],
                self.can(CAP_SETUID),
                &mut self.uid,
                &mut self.euid,
                &mut saved.suid,
            ),
            SetId::Reuid => set_two(args, &mut self.uid, &mut self.euid, &mut saved.suid),
            SetId::Resuid => set_three(args, &mut self.uid, &mut self.euid, &mut saved.suid),
            SetId::Gid => set_one(
                args[0],
                self.can(CAP_SETGID),
                &mut self.gid,
                &mut self.egid,
                &mut saved.sgid,
            ),
            SetId::Regid => set_two(args, &mut self.gid, &mut self.egid, &mut saved.sgid),
            SetId::Resgid => set_three(args, &mut self.gid, &mut self.egid, &mut saved.sgid),
        }
        self.adjust_capabilities(before, saved);
    }

    /// Giving up root gives up its capabilities (`cap_emulate_setxuid` in security/commoncap.c).
    fn adjust_capabilities(&mut self, before: (u32, u32, u32), saved: &SavedIds) {
        let was_root = before.0 == 0 || before.1 == 0 || before.2 == 0;
        let is_root = self.uid == 0 || self.euid == 0 || saved.suid == 0;
        if was_root && !is_root && !saved.keep_caps {
            self.permitted = 0;
            self.effective = 0;
        }
        if before.1 == 0 && self.euid != 0 {
            self.effective = 0;
        }
        if before.1 != 0 && self.euid == 0 {
            self.effective = self.permitted;
        }
    }

    fn can(&self, capability: u32) -> bool {
        self.effective >> capability & 1 == 1
    }
}

fn set_one(id: u32, privileged: bool, real: &mut u32, effective: &mut u32, saved: &mut u32) {
    *effective = id;
    if privileged {
        (*real, *saved) = (id, id);
    }
}

fn set_two(args: [u32; 3], real: &mut u32, effective: &mut u32, saved: &mut u32) {
    let [new_real, new_effective, _] = args;
    let old_real = *real;
    if new_real != KEEP {
        *real = new_real;
    }
    if new_effective != KEEP {
        *effective = new_effective;
    }
    if new_real != KEEP || new_effective != KEEP && new_effective != old_real {
        *saved = *effective;
    }
}

fn set_three(args: [u32; 3], real: &mut u32, effective: &mut u32, saved: &mut u32) {
    for (id, new) in [real, effective, saved].into_iter().zip(args) {
        if new != KEEP {
            *id = new;
        }
    }
}
