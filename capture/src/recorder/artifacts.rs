//! Which executed files and loaded modules and programs are asked for, and what was found: each file once in a segment.
//!
//! Requests are made when a record comes, long before its event leaves the waiting room: a short-lived process is still
//! there then. Answers are told at the time at which they come, with the process as it was in the event.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ctrace_trace::artifact::{Artifact, ArtifactKind};
use ctrace_trace::event::Event;
use ctrace_trace::process::{ProcessImage, exe_flag};
use ctrace_wire::record::{Exec, FLAG_COMPAT, FLAG_UNSEEN, Header, KIND_EXEC, KIND_SYSCALL, Syscall};
use ctrace_wire::section::{self, FILE_DELETED, FILE_OVERLAY, FILE_PSEUDO, FILE_UNHASHED, FILE_UPPER, File};
use hashbrown::{HashMap, HashSet};

use super::messages::{Message, Queue};
use super::scripts::{Script, Scripts};
use crate::artifact::{Answer, Config, Executed, FUSE, Hasher, How, Identity, Past, Place, Request, Ticks};
use crate::host::Clock;
use crate::resolver::{Resolver, file_identity};
use crate::syscall::{Record, View};

/// Files whose digests are remembered.
const MAX_KNOWN: usize = 65_536;
/// What is still to be read when a recording ends is read no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Different files of processes that ran before that are read.
const MAX_PAST: usize = 4096;
/// `BPF_PROG_LOAD` of bpf(2).
const PROG_LOAD: u64 = 5;
const BPF: i32 = libc::SYS_bpf as i32;
const INIT_MODULE: i32 = libc::SYS_init_module as i32;
const FINIT_MODULE: i32 = libc::SYS_finit_module as i32;
/// What an interpreter opens its script with.
const OPENS: [i32; 3] = [libc::SYS_open as i32, libc::SYS_openat as i32, libc::SYS_openat2 as i32];
/// Why nothing is known of a script.
const UNOPENED: &str = "its interpreter was not seen to open it";
/// Errors have numbers below this.
const MAX_ERRNO: i64 = 4096;

/// The process that an artifact is told with; known once its event was written, and only if it was.
pub(super) type Actor = Arc<OnceLock<Arc<ProcessImage>>>;

/// Process and time of a record of which something is still expected.
type Moment = (u32, u64);

/// What is known of artifacts.
#[derive(Default)]
pub(super) struct Artifacts {
    hasher: Option<Hasher>,
    collects: bool,
    known: HashMap<Identity, Known>,
    /// Requests without an answer, by number.
    asked: HashMap<u64, Asked>,
    /// Files among them, so that each is asked for once at a time.
    flying: HashSet<Identity>,
    /// Records whose events are still to come.
    awaited: HashMap<Moment, Actor>,
    /// Modules among them: the event tells which file.
    modules: HashMap<Moment, Actor>,
    scripts: Scripts,
    ticks: Ticks,
    /// Files that ran before, for each segment anew.
    past: Vec<(Artifact, Actor)>,
    /// What was found, for the queue.
    found: VecDeque<(Artifact, Actor)>,
    numbers: u64,
    /// The segment being written.
    segment: u32,
}

struct Known {
    artifact: Artifact,
    /// Whether asking again would give the same.
    is_final: bool,
    /// The segment in which it was told last.
    told: u32,
}

struct Asked {
    /// Where a file was executed.
    identity: Option<Identity>,
    actor: Actor,
    /// What is known of it without an answer.
    about: Artifact,
}

impl Artifacts {
    /// Starts to look at what is executed.
    pub(super) fn start(config: Config) -> io::Result<Artifacts> {
        Ok(Artifacts {
            collects: config.collect.is_some(),
            hasher: Some(Hasher::start(config)?),
            ..Artifacts::default()
        })
    }

    /// Whether a record may be about an artifact: most are not, and are not parsed for it.
    pub(super) fn wants(&self, header: &Header, bytes: &[u8]) -> bool {
        if self.hasher.is_none() || header.flags & FLAG_UNSEEN != 0 {
            return false;
        }
        let number = || {
            let at = std::mem::offset_of!(Syscall, nr);
            let nr = bytes.get(at..at + size_of::<i32>())?;
            Some(i32::from_ne_bytes(nr.try_into().ok()?))
        };
        match header.kind {
            KIND_EXEC => true,
            KIND_SYSCALL => number().is_some_and(|nr| {
                [BPF, FINIT_MODULE, INIT_MODULE].contains(&nr) || !self.scripts.is_empty() && OPENS.contains(&nr)
            }),
            _ => false,
        }
    }

    /// Looks at a record that has just come.
    pub(super) fn seen(&mut self, record: &Record<'_>, clock: &Clock) {
        match record {
            Record::Exec(view) => self.exec(view, clock),
            Record::Syscall(view) if OPENS.contains(&view.fixed.nr) => self.opened(view, clock),
            Record::Syscall(view) => self.syscall(&view.fixed),
            _ => {}
        }
    }

    /// Looks at the clock that stamps files: before the records that come next.
    pub(super) fn tick(&mut self) {
        if self.hasher.is_some() {
            self.ticks.read();
        }
    }

    /// Has the files read of processes that ran before, each once.
    pub(super) fn begin(&mut self, processes: Vec<u32>, resolver: &Resolver) {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for image in processes.into_iter().filter_map(|pid| resolver.image_of(pid)) {
            let file = (image.exe_ino, image.exe_ctime, image.exe_mtime, image.exe_path.clone());
            if image.exe_ino == 0 || image.exec_ts != 0 || all.len() >= MAX_PAST || !seen.insert(file) {
                continue;
            }
            self.numbers += 1;
            all.push(Past {
                request: self.numbers,
                pid: image.pid,
                path: image.exe_path.clone(),
                is_memfd: image.exe_flags & exe_flag::MEMFD != 0,
                is_deleted: image.exe_flags & exe_flag::DELETED != 0,
            });
            let about = Artifact {
                kind: ArtifactKind::Running,
                ..Artifact::default()
            };
            let actor = Arc::new(OnceLock::from(image));
            let identity = None;
            self.asked.insert(self.numbers, Asked { identity, actor, about });
        }
        if let Some(hasher) = &mut self.hasher
            && hasher.read_running(all).is_ok()
        {
            return;
        }
        self.forget_past();
    }

    /// What ran before is not waited for, and not told where it was not read.
    fn forget_past(&mut self) {
        self.asked.retain(|_, asked| asked.about.kind != ArtifactKind::Running);
    }

    fn exec(&mut self, view: &View<'_, Exec>, clock: &Clock) {
        let Some(file) = view.section(section::FILE).and_then(|s| s.file()) else {
            return;
        };
        let header = &view.fixed.header;
        let known = |id: u32| if id == u32::MAX { 0 } else { id };
        let place = Place {
            pid: header.tgid,
            ppid: known(view.fixed.ppid),
            mnt_ns: known(view.fixed.mnt_ns),
        };
        if view.section(section::EXEC_INTERP).is_some() {
            let actor = self.expect(header);
            if let Some(script) = self.scripts.expect(view, place, &actor) {
                self.unopened(script, "too many scripts were waiting for their interpreters");
            }
        }
        if self.is_news(&file, How::Program) {
            let actor = self.expect(header);
            let executed = self.executed(view, &file, (place, How::Program), At::of(header, clock));
            self.ask_for(executed, file.fs_magic, actor);
        } else if let Some(artifact) = self.untold(&file_identity(&file), ArtifactKind::Executable) {
            let actor = self.expect(header);
            self.found.push_back((artifact, actor));
        }
    }

    /// A process opened a file: perhaps the script that it is to run.
    fn opened(&mut self, view: &View<'_, Syscall>, clock: &Clock) {
        let call = &view.fixed;
        let (Ok(fd), false) = (i32::try_from(call.ret), call.header.flags & FLAG_COMPAT != 0) else {
            return;
        };
        if fd < 0 || self.scripts.is_empty() {
            return;
        }
        let name = view.section(section::STRING).map_or(&[][..], |name| name.data);
        let Some(script) = self.scripts.opened(call.header.tgid, name) else {
            return;
        };
        let Some(file) = view.section(section::FILE).and_then(|s| s.file()) else {
            return self.unopened(script, "this kernel does not tell which file was opened");
        };
        let how = How::Script(fd);
        if self.is_news(&file, how) {
            let executed = self.executed(view, &file, (script.place, how), At::of(&call.header, clock));
            self.ask_for(executed, file.fs_magic, script.actor);
        } else if let Some(artifact) = self.untold(&file_identity(&file), ArtifactKind::Script) {
            self.found.push_back((artifact, script.actor));
        }
    }

    /// A script whose contents are not known.
    fn unopened(&mut self, script: Script, reason: &str) {
        let about = Artifact {
            kind: ArtifactKind::Script,
            path: script.path,
            ..Artifact::default()
        };
        self.unread(None, about, reason, script.actor);
    }

    /// Whether a file is to be read: it is neither known for good nor being read.
    fn is_news(&self, file: &File, how: How) -> bool {
        let identity = file_identity(file);
        let known = self.known.get(&identity);
        // What is the program of a process and what a script are different files, in all that makes sense.
        let same = |known: &Known| matches!(how, How::Script(_)) == (known.artifact.kind == ArtifactKind::Script);
        !known.is_some_and(|known| known.is_final && same(known)) && !self.flying.contains(&identity)
    }

    /// What is known for good of a file and was not told in this segment of such a kind.
    fn untold(&mut self, identity: &Identity, kind: ArtifactKind) -> Option<Artifact> {
        let known = self.known.get_mut(identity).filter(|known| known.is_final)?;
        if known.told == self.segment && known.artifact.kind == kind {
            return None;
        }
        known.told = self.segment;
        known.artifact.kind = kind;
        Some(known.artifact.clone())
    }

    /// A file of a record, which a process at a place executes.
    fn executed<T>(&self, view: &View<'_, T>, file: &File, (place, how): (Place, How), at: At) -> Executed {
        let mut path = Vec::new();
        let is_memfd = file.flags & FILE_PSEUDO != 0;
        if let Some(section) = view.section(section::FILE_PATH) {
            section.path_into(is_memfd, &mut path);
        }
        Executed {
            place,
            identity: file_identity(file),
            path,
            how,
            ticked_ns: self.ticks.by(at.boot_ns, at.utc_ns),
            is_memfd,
            is_overlay: file.flags & FILE_OVERLAY != 0,
            collect: self.collects && file.flags & (FILE_UPPER | FILE_PSEUDO | FILE_DELETED | FILE_UNHASHED) != 0,
        }
    }

    fn ask_for(&mut self, executed: Executed, fs_magic: u32, actor: Actor) {
        let (identity, about) = (executed.identity, about(&executed));
        if fs_magic == FUSE {
            let reason = "on a file system that a program makes, which could keep the recorder waiting";
            return self.unread(Some(identity), about, reason, actor);
        }
        if self.ask(Request::Executed(executed), Some(identity), about, actor) {
            self.flying.insert(identity);
        }
    }

    /// Asks, and says whether there was room for the request; tells that it is not answered where there was none.
    fn ask(&mut self, request: Request, identity: Option<Identity>, about: Artifact, actor: Actor) -> bool {
        let Some(hasher) = &self.hasher else { return false };
        self.numbers += 1;
        if hasher.ask(self.numbers, request).is_ok() {
            let asked = Asked { identity, actor, about };
            self.asked.insert(self.numbers, asked);
            return true;
        }
        self.unread(identity, about, "too many files waited to be read", actor);
        false
    }

    /// Something that nobody reads now.
    fn unread(&mut self, identity: Option<Identity>, about: Artifact, reason: &str, actor: Actor) {
        let reason = reason.to_owned();
        self.learn(identity, Artifact { reason, ..about }, false, actor);
    }

    fn syscall(&mut self, call: &Syscall) {
        let header = &call.header;
        if header.flags & FLAG_COMPAT != 0 || ![BPF, FINIT_MODULE, INIT_MODULE].contains(&call.nr) {
            return;
        }
        let failed = (-MAX_ERRNO..0).contains(&call.ret);
        match call.nr {
            BPF if !failed && call.args[0] == PROG_LOAD && self.collects => {
                let actor = self.expect(header);
                let about = Artifact {
                    kind: ArtifactKind::BpfProgram,
                    ..Artifact::default()
                };
                self.ask(Request::Programs { until_ns: header.ts }, None, about, actor);
            }
            FINIT_MODULE => {
                if let (Some(hasher), Ok(fd)) = (&self.hasher, i32::try_from(call.args[0])) {
                    let _ = hasher.ask(0, Request::Hold { pid: header.tgid, fd });
                }
                let actor = self.expect(header);
                self.modules.insert(moment(header), actor);
            }
            INIT_MODULE => {
                let actor = self.expect(header);
                let artifact = Artifact {
                    kind: ArtifactKind::Module,
                    size: Some(call.args[1]),
                    reason: "loaded from the memory of the process: its file is not known".to_owned(),
                    ..Artifact::default()
                };
                self.found.push_back((artifact, actor));
            }
            _ => {}
        }
    }

    /// The actor of a record, who will be known when its event is written.
    fn expect(&mut self, header: &Header) -> Actor {
        self.awaited.entry(moment(header)).or_default().clone()
    }

    /// Whether the events of a record are of interest.
    pub(super) fn awaits(&self, header: &Header) -> bool {
        !self.awaited.is_empty() && self.awaited.contains_key(&moment(header))
    }

    /// The event of a record that is awaited; nothing is told of what is not in the scope.
    pub(super) fn told(&mut self, header: &Header, event: &Event<'_>) {
        let Some(image) = event.image else { return };
        if let Some(actor) = self.awaited.get(&moment(header)) {
            let _ = actor.set(image.clone());
        }
        let (Some(actor), Some(file)) = (self.modules.remove(&moment(header)), event.fd) else {
            return;
        };
        let request = Request::Module {
            place: Place {
                pid: image.pid,
                ppid: image.ppid,
                mnt_ns: image.namespaces.mnt,
            },
            path: file.name.clone(),
            dev: file.dev,
            ino: file.ino,
        };
        let about = Artifact {
            kind: ArtifactKind::Module,
            path: file.name.clone(),
            dev: file.dev,
            ino: file.ino,
            ..Artifact::default()
        };
        self.ask(request, None, about, actor);
    }

    /// Nothing more comes of a record.
    pub(super) fn passed(&mut self, header: &Header) {
        self.awaited.remove(&moment(header));
        self.modules.remove(&moment(header));
    }

    /// Puts what was found into the queue, as of now.
    pub(super) fn answer(&mut self, now: u64, segment: u32, queue: &mut Queue) {
        if segment != self.segment {
            self.segment = segment;
            self.found.extend(self.past.iter().cloned());
        }
        for script in self.scripts.unopened(false) {
            self.unopened(script, UNOPENED);
        }
        while let Some(answer) = self.hasher.as_ref().and_then(Hasher::answer) {
            let Answer {
                request,
                artifact,
                is_final,
            } = answer;
            let Some(asked) = self.asked.get(&request) else {
                continue;
            };
            let (identity, actor) = (asked.identity, asked.actor.clone());
            // Of programs there may be several; the last answer says that it is the last.
            if artifact.as_ref().is_none_or(|a| a.kind != ArtifactKind::BpfProgram) {
                self.asked.remove(&request);
            }
            if let Some(identity) = identity {
                self.flying.remove(&identity);
            }
            match artifact {
                Some(artifact) if artifact.kind == ArtifactKind::Running => self.remember(artifact, is_final, actor),
                Some(artifact) => self.learn(identity, artifact, is_final, actor),
                None => {}
            }
        }
        for (artifact, actor) in self.found.drain(..) {
            queue.push(now, Message::Artifact(Box::new(artifact), actor));
        }
    }

    /// A file that ran before.
    fn remember(&mut self, artifact: Artifact, is_final: bool, actor: Actor) {
        self.past.push((artifact.clone(), actor.clone()));
        let identity = Identity {
            dev: artifact.dev,
            ino: artifact.ino,
            ctime: artifact.ctime,
            mtime: artifact.mtime,
        };
        if self.known.contains_key(&identity) {
            self.found.push_back((artifact, actor));
        } else {
            self.learn(Some(identity), artifact, is_final, actor);
        }
    }

    /// Takes note of a finding, and tells it unless it was told in this segment.
    fn learn(&mut self, identity: Option<Identity>, artifact: Artifact, is_final: bool, actor: Actor) {
        if let Some(identity) = identity {
            let known = self.known.get(&identity);
            if known.is_some_and(|known| known.told == self.segment && known.artifact == artifact) {
                return;
            }
            if self.known.len() >= MAX_KNOWN {
                // They are found again; which ones are worth keeping is not worth knowing.
                self.known.clear();
            }
            let known = Known {
                artifact: artifact.clone(),
                is_final,
                told: self.segment,
            };
            self.known.insert(identity, known);
        }
        self.found.push_back((artifact, actor));
    }

    /// Whether everything that was asked for has been answered, or need not be waited for.
    pub(super) fn is_done(&self, since: Instant) -> bool {
        let is_past = |asked: &Asked| asked.about.kind == ArtifactKind::Running;
        self.asked.values().all(is_past) || since.elapsed() >= PATIENCE
    }

    /// Ends reading; what was not read by then is told as that.
    pub(super) fn end(&mut self) {
        if let Some(hasher) = self.hasher.take() {
            hasher.end();
        }
        self.forget_past();
        for script in self.scripts.unopened(true) {
            self.unopened(script, UNOPENED);
        }
        let mut left: Vec<(u64, Asked)> = self.asked.drain().collect();
        left.sort_by_key(|(number, _)| *number);
        for (_, asked) in left {
            self.unread(
                asked.identity,
                asked.about,
                "the recording ended before it was read",
                asked.actor,
            );
        }
    }
}

/// What is known of a file that is executed.
fn about(executed: &Executed) -> Artifact {
    Artifact {
        kind: executed.how.kind(),
        path: executed.path.clone(),
        dev: executed.identity.dev,
        ino: executed.identity.ino,
        ctime: executed.identity.ctime,
        mtime: executed.identity.mtime,
        ..Artifact::default()
    }
}

/// When a record was made.
#[derive(Clone, Copy)]
struct At {
    boot_ns: u64,
    utc_ns: u64,
}

impl At {
    fn of(header: &Header, clock: &Clock) -> At {
        At {
            boot_ns: header.ts,
            utc_ns: clock.utc(header.ts),
        }
    }
}

fn moment(header: &Header) -> Moment {
    (header.tgid, header.ts)
}
