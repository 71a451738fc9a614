//! Process images of a whole case: what its blocks and snapshots say about each, brought together.

use std::collections::BTreeMap;
use std::thread;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::ImageView;
use ctrace_trace::container::Container;
use ctrace_trace::segment::{BlockReader, BlockRef, Digest};
use ctrace_trace::snapshot::{HostSnapshot, ProcessState};

use crate::digests::Digests;
use crate::process_id::ProcessId;
use crate::source::CaseSource;

/// A process image: one program that a process ran.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) parent: Option<ProcessId>,
    pub(crate) ppid: u32,
    pub(crate) vpid: u32,
    pub(crate) sid: u32,
    pub(crate) pgid: u32,
    pub(crate) tty: u32,
    pub(crate) uid: u32,
    pub(crate) euid: u32,
    pub(crate) gid: u32,
    pub(crate) egid: u32,
    pub(crate) loginuid: u32,
    pub(crate) exe_flags: u8,
    /// Inode and times of the executed file; 0 where they are not known.
    pub(crate) exe_ino: u64,
    pub(crate) exe_ctime: u64,
    pub(crate) exe_mtime: u64,
    pub(crate) exe_sha256: Option<Digest>,
    pub(crate) name: Vec<u8>,
    pub(crate) exe_path: Vec<u8>,
    pub(crate) argv: Vec<u8>,
    pub(crate) env: Vec<u8>,
    pub(crate) cwd: Vec<u8>,
    pub(crate) cgroup: Vec<u8>,
    pub(crate) user: Vec<u8>,
    pub(crate) group: Vec<u8>,
    pub(crate) login_user: Vec<u8>,
    pub(crate) container: Option<ContainerNames>,
    pub(crate) end: Option<End>,
}

/// What processes tell of their container.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ContainerNames {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) image: String,
}

/// How an image ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The process executed another program.
    Exec(u64),
    /// The process ended: when, with which exit code, by which signal (0: none).
    Exit(u64, i64, i64),
}

type Processes = BTreeMap<ProcessId, Process>;

/// Every process image of a case, by pid and start. What the first block that knows an image says of it is believed;
/// later ones fill in what was not known then.
pub(crate) fn collect(source: &CaseSource) -> Vec<Process> {
    let mut all = Processes::new();
    for part in in_parallel(source) {
        part.into_values().for_each(|p| learn(&mut all, p));
    }
    for segment in source.case().segments() {
        match segment.snapshot() {
            Ok(snapshot) => snapshot.iter().for_each(|s| of_snapshot(&mut all, s)),
            Err(problem) => source.note(problem),
        }
    }
    let (exits, problems) = source.case().exits(source.threads());
    problems.into_iter().for_each(|p| source.note(p));
    let mut out: Vec<Process> = all.into_values().collect();
    let next: Vec<Option<ProcessId>> = out.iter().skip(1).map(|p| Some(p.id)).chain([None]).collect();
    for (process, next) in out.iter_mut().zip(next) {
        let id = process.id;
        process.end = match next {
            Some(next) if (next.pid, next.start_ts) == (id.pid, id.start_ts) => Some(End::Exec(next.exec_ts)),
            _ => exits
                .get(&(id.pid, id.start_ts))
                .map(|e| End::Exit(e.ts, e.code, e.signal)),
        };
    }
    let (executed, problems) = source.case().executed();
    problems.into_iter().for_each(|p| source.note(p));
    let digests = Digests::new(&executed);
    for process in &mut out {
        process.exe_sha256 = digests.of(process);
    }
    out
}

/// Reads consecutive parts of the case on as many threads as the source allows; results in order.
fn in_parallel(source: &CaseSource) -> Vec<Processes> {
    let blocks = source.blocks();
    let size = blocks.len().div_ceil(source.threads().max(1)).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = blocks
            .chunks(size)
            .map(|part| scope.spawn(move || of_blocks(source, part)))
            .collect();
        parts.into_iter().filter_map(|part| part.join().ok()).collect()
    })
}

fn of_blocks(source: &CaseSource, blocks: &[BlockRef]) -> Processes {
    let mut out = Processes::new();
    let mut reader = BlockReader::new();
    for block in blocks.iter().filter(|b| b.head().counts.images > 0) {
        let decoded = match reader.read(block, Need::IMAGES) {
            Ok(decoded) => decoded,
            Err(problem) => {
                source.note(problem);
                continue;
            }
        };
        source.resolve(decoded);
        for image in (0..decoded.dict.images.len() as u32).filter_map(|i| decoded.dict.image(i)) {
            let Some(id) = ProcessId::known(image.entry) else {
                continue;
            };
            // Most images are in many blocks and say the same there.
            if !out.get(&id).is_some_and(|known| known.has_all_of(&image)) {
                learn(&mut out, Process::of_image(image));
            }
        }
    }
    out
}

fn learn(all: &mut Processes, process: Process) {
    match all.get_mut(&process.id) {
        Some(known) => known.complete(process),
        None => {
            all.insert(process.id, process);
        }
    }
}

fn of_snapshot(all: &mut Processes, snapshot: &HostSnapshot) {
    let id = |p: &ProcessState| ProcessId {
        pid: p.pid,
        start_ts: p.start_ts,
        exec_ts: p.exec_ts,
    };
    let ids: BTreeMap<u32, ProcessId> = snapshot.processes.iter().map(|p| (p.pid, id(p))).collect();
    for state in &snapshot.processes {
        let container = snapshot.containers.iter().find(|c| c.id == state.container);
        let parent = ids.get(&state.ppid).filter(|_| state.ppid != 0).copied();
        learn(all, Process::of_state(state, id(state), parent, container));
    }
}

impl Process {
    fn of_image(image: ImageView<'_>) -> Process {
        let e = image.entry;
        let owned = |id| image.str(id).to_vec();
        Process {
            id: ProcessId::of(e),
            parent: image.parent().and_then(|p| ProcessId::known(p.entry)),
            ppid: e.ppid,
            vpid: e.vpid,
            sid: e.sid,
            pgid: e.pgid,
            tty: e.tty,
            uid: e.uid,
            euid: e.euid,
            gid: e.gid,
            egid: e.egid,
            loginuid: e.loginuid,
            exe_flags: e.exe_flags,
            exe_ino: e.exe_ino,
            exe_ctime: e.exe_ctime,
            exe_mtime: e.exe_mtime,
            exe_sha256: None,
            name: owned(e.name),
            exe_path: owned(e.exe_path),
            argv: owned(e.argv),
            env: owned(e.env),
            cwd: owned(e.cwd),
            cgroup: owned(e.cgroup),
            user: owned(e.user),
            group: owned(e.group),
            login_user: owned(e.login_user),
            container: image.container().map(ContainerNames::of),
            end: None,
        }
    }

    fn of_state(
        state: &ProcessState,
        id: ProcessId,
        parent: Option<ProcessId>,
        container: Option<&Container>,
    ) -> Process {
        let only_id = || ContainerNames {
            id: state.container.clone(),
            ..ContainerNames::default()
        };
        let inside = !state.container.is_empty();
        Process {
            id,
            parent,
            ppid: state.ppid,
            vpid: state.vpid,
            sid: state.sid,
            pgid: state.pgid,
            tty: state.tty,
            uid: state.uid,
            euid: state.euid,
            gid: state.gid,
            egid: state.egid,
            loginuid: state.loginuid,
            exe_flags: state.exe_flags,
            exe_ino: state.exe_ino,
            exe_ctime: state.exe_ctime,
            exe_mtime: state.exe_mtime,
            exe_sha256: None,
            name: state.name.clone(),
            exe_path: state.exe_path.clone(),
            argv: state.argv.clone(),
            env: state.env.clone(),
            cwd: state.cwd.clone(),
            cgroup: state.cgroup.clone(),
            user: state.user.clone(),
            group: state.group.clone(),
            login_user: state.login_user.clone(),
            container: inside.then(|| container.map_or_else(only_id, ContainerNames::of)),
            end: None,
        }
    }

    /// The arguments, `argv[0]` first.
    pub(crate) fn args(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.argv)
    }

    /// The selected environment variables.
    pub(crate) fn env(&self) -> impl Iterator<Item = &[u8]> {
        words(&self.env)
    }

    /// Name and arguments, as column `proc_cmdline` of the events shows them.
    pub(crate) fn cmdline(&self) -> Vec<u8> {
        let mut line = self.name.clone();
        for arg in self.args().skip(1) {
            line.push(b' ');
            line.extend_from_slice(arg);
        }
        line
    }

    fn has_all_of(&self, image: &ImageView<'_>) -> bool {
        let e = image.entry;
        let text = |mine: &[u8], theirs| !mine.is_empty() || image.str(theirs).is_empty();
        let names = match (&self.container, image.container()) {
            (Some(mine), Some(theirs)) => mine.has_all_of(theirs),
            (mine, theirs) => mine.is_some() || theirs.is_none(),
        };
        names
            && (self.parent.is_some() || e.parent.is_none())
            && text(&self.exe_path, e.exe_path)
            && text(&self.argv, e.argv)
            && text(&self.cwd, e.cwd)
            && text(&self.user, e.user)
            && text(&self.group, e.group)
            && text(&self.login_user, e.login_user)
            && text(&self.env, e.env)
            && text(&self.cgroup, e.cgroup)
    }

    /// Fills in what is not known from another account of the same image.
    fn complete(&mut self, other: Process) {
        self.parent = self.parent.or(other.parent);
        for (mine, theirs) in [
            (&mut self.name, other.name),
            (&mut self.exe_path, other.exe_path),
            (&mut self.argv, other.argv),
            (&mut self.env, other.env),
            (&mut self.cwd, other.cwd),
            (&mut self.cgroup, other.cgroup),
            (&mut self.user, other.user),
            (&mut self.group, other.group),
            (&mut self.login_user, other.login_user),
        ] {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
        match (&mut self.container, other.container) {
            (Some(mine), Some(theirs)) if mine.id == theirs.id => mine.complete(theirs),
            (mine @ None, theirs) => *mine = theirs,
            _ => {}
        }
    }
}

impl ContainerNames {
    fn of(container: &Container) -> ContainerNames {
        ContainerNames {
            id: container.id.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
        }
    }

    /// The id as `docker ps` shows it.
    pub(crate) fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    fn has_all_of(&self, other: &Container) -> bool {
        (!self.name.is_empty() || other.name.is_empty()) && (!self.image.is_empty() || other.image.is_empty())
    }

    fn complete(&mut self, other: ContainerNames) {
        for (mine, theirs) in [(&mut self.name, other.name), (&mut self.image, other.image)] {
            if mine.is_empty() {
                *mine = theirs;
            }
        }
    }
}

/// The parts of a list whose items end with NUL.
fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = list.is_empty();
    list.strip_suffix(b"\0")
        .unwrap_or(list)
        .split(|b| *b == 0)
        .filter(move |_| !empty)
}
