//! Which executed files and loaded modules and programs are asked for, and what was found: each file once in a segment.
//!
//! Requests are made when a record comes, long before its event leaves the waiting room: a short-lived process is still
//! there then. Answers are told at the time at which they come, with the process as it was in the event.

mod executed;
mod loaded;
mod past;
mod scripts;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ctrace_trace::artifact::{Artifact, ArtifactKind};
use ctrace_trace::process::ProcessImage;
use ctrace_wire::record::{FLAG_COMPAT, FLAG_UNSEEN, Header, KIND_EXEC, KIND_SYSCALL, Syscall, arg_count};
use hashbrown::{HashMap, HashSet};

use super::messages::{Message, Queue};
use crate::artifact::{Answer, Config, Hasher, Identity, Request, Ticks};
use crate::host::{Clock, boot_time_ns};
use crate::syscall::{KnownFiles, Record};

use scripts::Scripts;

/// Files whose digests are remembered.
const MAX_KNOWN: usize = 65_536;
/// For so long after a file was asked for others are expected that were just written, as where programs are built.
const WATCH_NS: u64 = 2_000_000_000;
/// What is still to be read when a recording ends is read no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
const BPF: i32 = libc::SYS_bpf as i32;
const INIT_MODULE: i32 = libc::SYS_init_module as i32;
const FINIT_MODULE: i32 = libc::SYS_finit_module as i32;
/// What loads something through the 32-bit entry of the kernel, and the call here that does the same.
const COMPAT_LOADS: [(i32, i32); 3] = [(128, INIT_MODULE), (350, FINIT_MODULE), (357, BPF)];
/// What an interpreter opens its script with.
const OPENS: [i32; 3] = [libc::SYS_open as i32, libc::SYS_openat as i32, libc::SYS_openat2 as i32];
/// Why nothing is known of a script.
const UNOPENED: &str = "its interpreter was not seen to open it";

/// The process that an artifact is told with; known once its event was written, and only if it was.
pub(super) type Actor = Arc<OnceLock<Arc<ProcessImage>>>;

/// Time and process of a record of which something is still expected.
type Moment = (u64, u32);

/// What is known of artifacts.
#[derive(Default)]
pub(super) struct Artifacts {
    hasher: Option<Hasher>,
    /// Files whose execs are no news, as the kernel side knows them.
    quiet: Option<KnownFiles>,
    collects: bool,
    known: HashMap<Identity, Known>,
    /// Requests without an answer, by number.
    asked: HashMap<u64, Asked>,
    /// Files among them, so that each is asked for once at a time.
    flying: HashSet<Identity>,
    /// Records whose events are still to come.
    awaited: BTreeMap<Moment, Actor>,
    /// The time of the first of them, as each record asks.
    awaited_from: Option<u64>,
    /// Modules among them: the event tells which file.
    modules: HashMap<Moment, Actor>,
    scripts: Scripts,
    ticks: Ticks,
    /// When a file was asked for last; boot clock.
    asked_at: u64,
    /// Files that ran before, for each segment anew.
    past: Vec<(Artifact, Actor)>,
    /// What was found, for the queue.
    found: VecDeque<(Artifact, Actor)>,
    numbers: u64,
    /// The segment being written.
    segment: u32,
}

/// Which records may be about an artifact, until the next of them was looked at.
#[derive(Clone, Copy)]
pub(super) struct Wanted(u8);

impl Wanted {
    /// What runs or is loaded.
    const LOADS: u8 = 1;
    /// What may open a script.
    const OPENS: u8 = 2;
    /// By number, which of these a call is.
    const CALLS: [u8; 512] = {
        let mut calls = [0; 512];
        calls[BPF as usize] = Self::LOADS;
        calls[INIT_MODULE as usize] = Self::LOADS;
        calls[FINIT_MODULE as usize] = Self::LOADS;
        calls[OPENS[0] as usize] = Self::OPENS;
        calls[OPENS[1] as usize] = Self::OPENS;
        calls[OPENS[2] as usize] = Self::OPENS;
        calls
    };

    /// Whether a record is one of them.
    #[inline]
    pub(super) fn has(self, header: &Header, bytes: &[u8]) -> bool {
        let class = match header.kind {
            kind if arg_count(kind, KIND_SYSCALL).is_some() => Self::class(header, bytes).unwrap_or(0),
            KIND_EXEC => Self::LOADS,
            _ => 0,
        };
        class & self.0 != 0 && header.flags & FLAG_UNSEEN == 0
    }

    #[inline]
    fn class(header: &Header, syscall: &[u8]) -> Option<u8> {
        let nr = syscall.get(std::mem::offset_of!(Syscall, nr)..)?.first_chunk()?;
        let nr = load_number(header, i32::from_ne_bytes(*nr))?;
        Self::CALLS.get(usize::try_from(nr).ok()?).copied()
    }
}

/// The number of a call; of a 32-bit one that of the call here that loads the same, if it does.
#[inline]
fn load_number(header: &Header, nr: i32) -> Option<i32> {
    if header.flags & FLAG_COMPAT == 0 {
        return Some(nr);
    }
    COMPAT_LOADS
        .iter()
        .find(|(compat, _)| *compat == nr)
        .map(|(_, own)| *own)
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
    pub(super) fn start(config: Config, quiet: Option<KnownFiles>) -> io::Result<Artifacts> {
        Ok(Artifacts {
            quiet,
            collects: config.collect.is_some(),
            hasher: Some(Hasher::start(config)?),
            asked_at: boot_time_ns(),
            ..Artifacts::default()
        })
    }

    /// Which records may be about an artifact: most are not, and are not parsed for it.
    pub(super) fn wanted(&self) -> Wanted {
        let opens = if self.scripts.is_empty() { 0 } else { Wanted::OPENS };
        Wanted(if self.is_on() { Wanted::LOADS | opens } else { 0 })
    }

    /// Whether a program that is started is to be looked at soon.
    pub(super) fn is_on(&self) -> bool {
        self.hasher.is_some()
    }

    /// Whether something is to be looked at soon of which nothing tells when it is there.
    pub(super) fn awaits_more(&self) -> bool {
        self.is_on() && (self.collects || !self.scripts.is_empty())
    }

    /// Looks at a record that has just come.
    pub(super) fn seen(&mut self, record: &Record<'_>, clock: &Clock) {
        match record {
            Record::Exec(view) => self.exec(view, clock),
            Record::Syscall(view) if OPENS.contains(&view.fixed.nr) => self.opened(view, clock),
            Record::Syscall(view) => self.syscall(view.fixed),
            _ => {}
        }
    }

    /// Whether that clock is to be looked at often: what is executed now may have been written just before, and whether it
    /// was written again shows by how old the clock was. Where files are asked for seldom most of them are older, or run
    /// still when they are read, which shows it too.
    pub(super) fn watches(&self, now: u64) -> bool {
        self.is_on() && now < self.asked_at.saturating_add(WATCH_NS)
    }

    /// Looks at the clock that stamps files: before the records that come next.
    pub(super) fn tick(&mut self) {
        if self.hasher.is_some() {
            self.ticks.read();
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

    /// The actor of a record, who will be known when its event is written.
    fn expect(&mut self, header: &Header) -> Actor {
        let actor = self.awaited.entry(moment(header)).or_default().clone();
        self.find_first_awaited();
        actor
    }

    /// Whether the events of a record are of interest.
    #[inline]
    pub(super) fn awaits(&self, header: &Header) -> bool {
        // Records come in the order of time.
        self.awaited_from.is_some_and(|from| from <= header.ts) && self.awaited.contains_key(&moment(header))
    }

    /// Nothing more comes of a record.
    pub(super) fn passed(&mut self, header: &Header) {
        self.awaited.remove(&moment(header));
        self.modules.remove(&moment(header));
        self.find_first_awaited();
    }

    fn find_first_awaited(&mut self) {
        self.awaited_from = self.awaited.first_key_value().map(|((ts, _), _)| *ts);
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

fn moment(header: &Header) -> Moment {
    (header.ts, header.tgid)
}
