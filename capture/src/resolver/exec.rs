//! Exec: how a process becomes another program.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::fd::FdKind;
use ctrace_trace::process::{ProcessImage, exe_flag};
use ctrace_wire::record::Exec;
use ctrace_wire::section::{self, File};

use super::budget::weight;
use super::clock::Clock;
use super::environment::choose;
use super::files::{nanoseconds, stat_device};
use super::life::{comm, known, known64, trimmed};
use super::opened::path_of_object;
use super::paths;
use super::process::{Attempt, Process};
use super::seen::Seen;
use super::spare::set;
use super::state::State;
use crate::host::{TRUNCATED, container_of};
use crate::syscall::{Section, UNREACHABLE, View};

const CAP_DAC_OVERRIDE: u32 = 1;

/// An exec, as its event tells it.
pub(super) struct Started<'a> {
    pub(super) attempt: Option<Attempt>,
    /// The file name as it was given; `None` where it could not be read.
    pub(super) filename: Option<&'a [u8]>,
    /// The file's absolute path, where it is not that of the new image's file.
    pub(super) resolved: Option<Vec<u8>>,
    /// The arguments that a call was given which failed; the image has those of a program that started.
    pub(super) given: Option<Given<'a>>,
}

/// The arguments of an exec, as its caller has them.
pub(super) struct Given<'a> {
    pub(super) program: Cow<'a, [u8]>,
    /// All but the first, each followed by a NUL.
    pub(super) others: Cow<'a, [u8]>,
}

impl<'a> Given<'a> {
    /// Those of a section; `None` where nothing could be read. What was cut, or may be missing, ends with `...`.
    pub(super) fn of(argv: &Section<'a>) -> Option<Given<'a>> {
        if argv.fault || argv.truncated && argv.data.is_empty() {
            return None;
        }
        let first = memchr::memchr(0, argv.data).map_or(argv.data.len(), |nul| nul + 1);
        let (program, others) = argv.data.split_at_checked(first)?;
        // Of a longer one the kernel side has as much.
        let is_cut = |one: &[u8]| one.len() == section::STRING_MAX;
        let marked = |one: &[u8]| [trimmed(one), TRUNCATED].concat();
        let program = match is_cut(program) {
            true => Cow::Owned(marked(program)),
            false => Cow::Borrowed(trimmed(program)),
        };
        let each = || others.split_inclusive(|b| *b == 0);
        let mut told = Cow::Borrowed(others);
        if each().any(is_cut) {
            let each = each().map(|one| {
                if is_cut(one) {
                    [&marked(one)[..], b"\0"].concat()
                } else {
                    one.to_vec()
                }
            });
            told = Cow::Owned(each.flatten().collect());
        }
        if argv.truncated {
            told.to_mut().extend_from_slice(TRUNCATED);
        }
        Some(Given { program, others: told })
    }
}

/// The sections of an exec record, gone through once.
#[derive(Default)]
struct Parts<'a> {
    filename: Option<Section<'a>>,
    argv: Option<Section<'a>>,
    env: Option<Section<'a>>,
    cwd: Option<Section<'a>>,
    open_fds: Option<Section<'a>>,
    file: Option<File>,
    file_path: Option<Section<'a>>,
    is_script: bool,
    /// Whether it has a cgroup of version 1.
    has_legacy: bool,
}

impl<'a> Parts<'a> {
    #[inline(always)]
    fn of(view: &View<'a, Exec>) -> Parts<'a> {
        let mut parts = Parts::default();
        for section in view.sections() {
            let slot = match section.kind {
                section::EXEC_FILENAME => &mut parts.filename,
                section::EXEC_ARGV => &mut parts.argv,
                section::EXEC_ENV => &mut parts.env,
                section::CWD => &mut parts.cwd,
                section::OPEN_FDS => &mut parts.open_fds,
                section::FILE_PATH => &mut parts.file_path,
                section::FILE => {
                    parts.file = parts.file.or_else(|| section.file());
                    continue;
                }
                kind => {
                    parts.is_script |= kind == section::EXEC_INTERP;
                    parts.has_legacy |= kind == section::CGROUP_NAME;
                    continue;
                }
            };
            slot.get_or_insert(section);
        }
        parts
    }

    /// Whether they say where the executed file lies.
    fn tell_path(&self) -> bool {
        self.file.is_some() && self.file_path.as_ref().is_some_and(|path| !path.data.is_empty())
    }
}

/// The ids whose names an image has; `None` where these are still to be asked for, as in a container they may be.
fn named(image: &ProcessImage) -> Option<[u32; 3]> {
    let is_named = image.container.is_none() && !image.user.is_empty();
    is_named.then_some([image.euid, image.egid, image.loginuid])
}

impl State {
    /// A successful exec; the image changes here, the event follows.
    pub(super) fn exec<'a>(&mut self, view: &View<'a, Exec>, clock: &Clock) -> Started<'a> {
        let exec = view.fixed;
        let (pid, ts) = (exec.header.tgid, exec.header.ts);
        self.replace_if_other(exec);
        if exec.old_tid != exec.header.tid && self.table.at(pid, ts).is_some_and(|p| p.shares) {
            self.take_shared(pid, exec.old_tid, ts);
        }
        let process = self.table.at(pid, ts);
        let is_known = process.is_some();
        let (old, attempt, parent) = match process {
            Some(p) => (
                p.lend_image(exec.old_tid, &self.nobody),
                p.take_attempt(exec.old_tid).or_else(|| p.take_attempt(exec.header.tid)),
                p.parent,
            ),
            None => (Arc::default(), None, 0),
        };
        let parts = Parts::of(view);
        let filename = parts.filename.map_or(&[][..], |s| s.data);
        let mut resolved = None;
        if parts.is_script || !parts.tell_path() {
            resolved = Some(self.program_path(exec, &old.cwd, filename));
        }
        let mut made = self.table.spare.successor_of(old);
        let image = Arc::make_mut(&mut made);
        let named_before = named(image);
        self.fill_in(image, view, &parts, clock);
        if let Some(path) = &resolved
            && image.exe_path.is_empty()
        {
            image.exe_path.clone_from(path);
        } else if !is_known {
            // Nobody is there to get the image.
            resolved.get_or_insert_with(|| image.exe_path.clone());
        }
        self.put_below(image, parent);
        if named_before.is_none() || named(image) != named_before {
            self.name_ids(image, ts);
        }
        if is_known {
            let open_fds = parts.open_fds.map_or(&[][..], |open| open.data);
            self.become_image(exec, made, parent, open_fds);
        }
        Started {
            attempt,
            filename: Some(filename),
            resolved,
            given: None,
        }
    }

    /// The path of a program of which the kernel tells a name only, as it does of scripts.
    fn program_path(&mut self, exec: &Exec, cwd: &[u8], filename: &[u8]) -> Vec<u8> {
        let (pid, tid, ts) = (exec.header.tgid, exec.old_tid, exec.header.ts);
        let named = descriptor_in(filename).filter(|_| self.config.sees_descriptors);
        let behind = named.and_then(|(fd, rest)| Some((self.descriptor(pid, tid, ts, fd)?, rest)));
        let root = self.table.at(pid, ts).map_or(&[][..], |p| p.root_of(tid));
        let mut path = Vec::new();
        match &behind {
            Some((entry, [])) if entry.kind.is_path() || entry.kind == FdKind::Memfd => path.clone_from(&entry.name),
            Some((entry, rest)) if entry.kind == FdKind::Directory => {
                paths::resolve(root, &entry.name, rest, &mut path);
            }
            _ => {
                paths::resolve(root, cwd, filename, &mut path);
            }
        }
        path
    }

    /// A process of the same id that began at another time is another one, whose fork and whose end were both lost.
    fn replace_if_other(&mut self, exec: &Exec) {
        let (pid, start) = (exec.header.tgid, known64(exec.start, 0));
        let Some(process) = self.table.at(pid, exec.header.ts) else {
            return;
        };
        let began = process.told_start();
        if start == 0 || began == 0 || began == start {
            return;
        }
        let image = Arc::new(ProcessImage {
            pid,
            ..ProcessImage::default()
        });
        let mut process = Process::new(self.table.serial(), image, self.no_fds());
        process.began(start);
        self.stats.unannounced += 1;
        self.table.insert(process);
    }

    /// Writes what a record says into the successor of the image of the process.
    fn fill_in(&mut self, image: &mut ProcessImage, view: &View<'_, Exec>, parts: &Parts<'_>, clock: &Clock) {
        let exec = view.fixed;
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
        set(&mut image.name, comm(&exec.comm));
        if let Some(argv) = &parts.argv {
            image.argv.make(|to| command_line(argv, to));
        }
        if let Some(env) = &parts.env {
            // A shell gives the same one to each program that it starts.
            let chosen = |to: &mut Vec<u8>| choose(env, &self.config, to);
            image.env.make(|to| self.environments.make(env, to, chosen));
        }
        if let Some(cwd) = &parts.cwd {
            let path = |to: &mut Vec<u8>| cwd.path_into(false, to);
            self.program_paths.make(cwd, &mut image.cwd, path);
        }
        take_ids(image, exec);
        take_file(image, parts, &mut self.program_paths);
        let cgroup = self.cgroup(exec.header.cgroup, exec.header.tgid, exec.header.ts);
        let cgroup = cgroup.unwrap_or_default();
        cgroup.place(image);
        if parts.has_legacy
            && cgroup.container.is_none()
            && let Some(path) = legacy_path(view)
            && container_of(&path).is_some()
        {
            self.containers.of_path(&path).place(image);
        }
        self.containers.place_by_namespace(image);
    }

    /// The calling thread is now the only one, under the process's id.
    fn become_image(&mut self, exec: &Exec, image: Arc<ProcessImage>, parent: u64, open_fds: &[u8]) {
        let parent = match parent {
            0 => self.table.latest(image.ppid).map_or(0, |p| p.serial),
            parent => parent,
        };
        let Some(process) = self.table.at(exec.header.tgid, exec.header.ts) else {
            return;
        };
        process.parent = parent;
        process.image = image;
        let bytes = weight(&process.image);
        if process.told_start() == 0 {
            process.began(known64(exec.start, 0).min(exec.header.ts));
        }
        if process.shares {
            // Others that had its table have a copy then.
            self.files.bytes.add(process.fds.room());
        }
        process.leave_one_thread(exec.old_tid);
        process.fds.exec(open_fds);
        if process.shares {
            process.tell_place(exec.header.tid, Some(&process.image.cwd), None);
        }
        process.exec_reported = true;
        self.table.images.add(bytes);
    }
}

/// The caller's own descriptor that a file name begins with, and what follows. The kernel makes such names of those that
/// `execveat` is given (fs/exec.c, `alloc_bprm`); a caller may write one as well.
fn descriptor_in(filename: &[u8]) -> Option<(i32, &[u8])> {
    let own: [&[u8]; 2] = [b"/dev/fd/", b"/proc/self/fd/"];
    let name = own.iter().find_map(|own| filename.strip_prefix(*own))?;
    let end = memchr::memchr(b'/', name).unwrap_or(name.len());
    let (number, rest) = name.split_at_checked(end)?;
    let fd = str::from_utf8(number).ok()?.parse().ok()?;
    Some((fd, rest.strip_prefix(b"/").unwrap_or(rest)))
}

/// Appends a command line, with `...` where it was cut. What lacks its last NUL only is whole.
fn command_line(section: &Section<'_>, argv: &mut Vec<u8>) {
    argv.extend_from_slice(trimmed(section.data));
    let lacks = section
        .full_len
        .and_then(|full| (full as usize).checked_sub(section.data.len()));
    if section.truncated && lacks != Some(1) {
        argv.extend(TRUNCATED);
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
fn take_file(image: &mut ProcessImage, parts: &Parts<'_>, paths: &mut Seen) {
    let Some(file) = parts.file else {
        (image.exe_ino, image.exe_ctime, image.exe_mtime, image.exe_flags) = (0, 0, 0, 0);
        return;
    };
    let pseudo = file.flags & section::FILE_PSEUDO != 0;
    match &parts.file_path {
        Some(path) if pseudo => path_of_object(path, file.flags, &mut image.exe_path),
        Some(path) => paths.make(path, &mut image.exe_path, |to| path.path_into(pseudo, to)),
        None => {}
    }
    image.exe_ino = known64(file.ino, 0);
    image.exe_ctime = nanoseconds(file.ctime_s, file.ctime_ns);
    image.exe_mtime = nanoseconds(file.mtime_s, file.mtime_ns);
    image.exe_flags = exe_flags(&file, image);
}

fn exe_flags(file: &File, image: &ProcessImage) -> u8 {
    let has = |flag| file.flags & flag != 0;
    let pseudo = has(section::FILE_PSEUDO) && image.exe_path != UNREACHABLE;
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

/// The path of the program's cgroup of version 1, or its end where it is long; `None` where there is none.
fn legacy_path(view: &View<'_, Exec>) -> Option<Vec<u8>> {
    let mut names: Vec<_> = view.sections().filter(|s| s.kind == section::CGROUP_NAME).collect();
    names.sort_by_key(|s| std::cmp::Reverse(s.arg & section::ARG_MASK));
    let mut whole = Vec::with_capacity(names.iter().map(|name| name.data.len() + 1).sum());
    for name in names {
        whole.push(b'/');
        whole.extend_from_slice(name.data);
    }
    (!whole.is_empty()).then_some(whole)
}
