//! The recorder: brings what the sources say into one order, has it resolved, and writes the case.
//!
//! One thread does it all; Docker and audit have threads that only read and parse. Now and then (see [`pace`]), or when a
//! program starts, the rings are emptied into a waiting room, and what has waited long enough (see [`hold`]) leaves it in
//! order of time together with what the slower sources said. What comes later than that is still recorded, with its true time, out of order, and
//! counted.

mod artifacts;
mod child;
mod chunks;
mod durable;
mod end;
mod gaps;
mod hold;
mod lateness;
mod messages;
mod order;
mod output;
mod pace;
mod scope;
mod share;
mod shed;
mod sources;
mod state;
mod turn;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ctrace_trace::case::{CaseError, CaseWriter, Summary};
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::segment::Tool;

use crate::artifact;
use crate::docker::ContainerImages;
use crate::host::{
    Clock, Slept, audit_utc_ns, boot_time_ns, hurry, keep_memory, process_ids, read_directories, utc_ns,
};
use crate::privileges;
use crate::record_args::RecordArgs;
use crate::resolver::{Directories, Resolver};
use crate::scope::Scope;
use crate::syscall::SyscallSource;

use artifacts::Artifacts;
use child::Observed;
use durable::Durable;
use gaps::{Away, Forgotten, Gap, RingLosses};
use messages::{Message, Queue};
use order::Waiting;
use output::Output;
use pace::Pace;
use scope::Selection;
pub(crate) use share::Level;
use shed::Shedding;
pub use sources::Absent;
use sources::Sources;
use state::{Beginning, States};

/// The share of a processor that is spent on files that ran before the recording began; and of `--max-cpu` a quarter.
const LEISURE: f64 = 0.25;
/// No logs of containers are taken while more than this waits.
const MAX_QUEUED: usize = 32 << 20;
/// What is left is drained no longer than this after the programs are detached.
const DRAIN: Duration = Duration::from_secs(10);

/// Why nothing was recorded, or why the recording ended early.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not one of the sources is there.
    #[error("nothing to record:{}", .0.iter().map(|a| format!("\n  {a}")).collect::<String>())]
    NoSource(Vec<Absent>),
    /// What is to be recorded does not exist.
    #[error("{0}")]
    Scope(String),
    /// The case cannot be written.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The command cannot be started.
    #[error("{}: {source}", command.display())]
    Command {
        /// Its name.
        command: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What happens while recording, for whoever tells the user.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A source is not there; the others go on.
    Absent(&'a Absent),
    /// The kernel or host lacks something; what it is about is missing in the recording.
    Missing(&'a str),
    /// Recording runs, with these sources.
    Ready(&'a [&'static str]),
    /// Events were lost; a gap event says the same.
    Lost {
        /// Where.
        source: &'static str,
        /// How many; 0 when nobody can say.
        count: u64,
    },
    /// What was known of processes or descriptors was forgotten, so that memory stays bounded; a gap event says the same.
    Forgotten {
        /// What.
        what: &'static str,
        /// Of how many.
        count: u64,
    },
    /// From now on some calls are not recorded, or are again; gap events say the same.
    Shed {
        /// What is not recorded; empty where all is again.
        what: &'static str,
        /// The option that asked for it.
        reason: &'static str,
    },
    /// No container runs of a scope.
    Awaited(&'a Scope),
    /// A source is gone or is there again; `source_lost` and `source_found` events say the same.
    Heard(&'a str),
    /// Something that the recording changed on the host stays changed; a `source_lost` event says the same.
    Stays(&'a str),
    /// How much was recorded so far; about once a second.
    Progress(Summary),
}

/// How a recording ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was written.
    pub summary: Summary,
    /// How the command ended, if one was given and it has ended.
    pub command: Option<ExitStatus>,
    /// Why it ended: `command`, `duration`, `signal`, or with a failure `disk full` or `failure`.
    pub reason: &'static str,
    /// What went wrong with writing the case, where that ended the recording or its end could not be written.
    pub failure: Option<CaseError>,
    /// Whether events were lost for lack of room, or with a file that somebody removed.
    pub unkept: bool,
    /// Events lost between kernel and case, as far as they can be counted.
    pub lost: u64,
    /// Events that came too late to be written in order of time.
    pub late: u64,
}

/// Records until the command ends, the time is over, or `stop` is set. What records is asked for when the sources are
/// open.
///
/// # Errors
/// Where there is nothing to record, or the case cannot be begun. What goes wrong later is in the outcome.
pub fn record(
    args: &RecordArgs,
    tool: impl FnOnce() -> Tool,
    stop: &AtomicBool,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Outcome, RecordError> {
    // A mistyped scope is no source that this host lacks.
    crate::scope::in_kernel(&args.scope).map_err(RecordError::Scope)?;
    let unstarted = |source| RecordError::Command {
        command: args.command.first().map(PathBuf::from).unwrap_or_default(),
        source,
    };
    Observed::find(&args.command).map_err(unstarted)?;
    keep_memory();
    // What sources say of being opened (audit does) must not be older than the beginning.
    let began = audit_utc_ns();
    let sources = Sources::open(args);
    sources.absent.iter().for_each(|a| notice(Notice::Absent(a)));
    sources.asleep().iter().for_each(|a| notice(Notice::Absent(a)));
    if sources.names().is_empty() {
        return Err(RecordError::NoSource(sources.absent));
    }
    let missing = sources.syscalls.as_ref().map_or(&[][..], |s| s.missing());
    missing.iter().for_each(|m| notice(Notice::Missing(&m.to_string())));
    let mut recorder = Recorder::new(args, tool(), sources)?;
    recorder.start(began);
    notice(Notice::Ready(&recorder.sources.names()));
    for scope in recorder.sources.unknown(&args.scope) {
        notice(Notice::Awaited(scope));
    }
    let command = Observed::start(&args.command).transpose().map_err(unstarted)?;
    Ok(recorder.run(args, command, stop, notice))
}

struct Recorder {
    sources: Sources,
    resolver: Resolver,
    output: Output,
    /// Events lost between kernel and case.
    lost: u64,
    waiting: Waiting,
    pace: Pace,
    queue: Queue,
    images: ContainerImages,
    artifacts: Artifacts,
    clock: Clock,
    losses: RingLosses,
    forgotten: Forgotten,
    /// Up to which moment of the boot clock all was written.
    written: u64,
    away: Away,
    states: States,
    shedding: Shedding,
    slept: Slept,
    /// Up to when what is known of processes may be wrong.
    blind: Option<Blind>,
}

/// A moment from which on, or up to which, descriptors and directories change unseen. What is written of the time before
/// belongs to a gap; what came later must not be taken for what was known before.
struct Blind {
    /// On the boot clock.
    at: u64,
    /// Where processes were then.
    directories: BTreeMap<u32, Directories>,
}

/// So many processes are asked for their directories; of the others the working directory is not known any more.
const MAX_ASKED: usize = 4096;

impl Blind {
    /// Now. Those are asked that live, and not those that are known: what began lately waits to be looked at.
    fn now() -> Blind {
        let at = boot_time_ns();
        let pids = process_ids().into_iter().take(MAX_ASKED);
        let told = pids.filter_map(|pid| {
            let (cwd, root) = read_directories(pid)?;
            Some((pid, Directories { cwd, root }))
        });
        Blind {
            at,
            directories: told.collect(),
        }
    }
}

impl Recorder {
    fn new(args: &RecordArgs, tool: Tool, mut sources: Sources) -> Result<Recorder, RecordError> {
        let clock = Clock::new();
        let beginning = Beginning::read(clock, args.kept_env());
        let unwritable = |source| CaseError::Io {
            path: args.output.clone(),
            source,
        };
        let config = beginning.config(args, tool, &sources).map_err(unwritable)?;
        let resolver = beginning.resolver(&sources, &args.syscalls);
        let states = States::start(&beginning, &sources, &resolver.living(), config.rotation, &args.scope)
            .map_err(unwritable)?;
        let writer = CaseWriter::create(&args.output, config, states.opener())?;
        let artifacts = match hashing(args, &sources) {
            Some(config) => {
                let quiet = sources.syscalls.as_mut().and_then(SyscallSource::take_known);
                Artifacts::start(config, quiet).map_err(unwritable)?
            }
            None => Artifacts::default(),
        };
        Ok(Recorder {
            resolver,
            output: Output::new(
                writer,
                Selection::new(args.scope.clone(), &args.syscalls, args.snaplen.clone()),
                Durable::start(&args.output).map_err(unwritable)?,
                args.keep.is_some(),
            ),
            lost: 0,
            waiting: Waiting::default(),
            pace: Pace::new(
                match &sources.syscalls {
                    Some(source) => source.patience(),
                    None => Some(pace::TICK),
                },
                boot_time_ns(),
            ),
            queue: Queue::default(),
            images: ContainerImages::default(),
            artifacts,
            clock,
            losses: RingLosses::new(utc_ns()),
            forgotten: Forgotten::new(utc_ns()),
            written: boot_time_ns(),
            away: Away::default(),
            shedding: Shedding::new(args),
            slept: Slept::now(),
            blind: None,
            sources,
            states,
        })
    }

    /// Writes what a reader has to know first: that a recording began, and which sources it lacks.
    fn start(&mut self, began: u64) {
        let names = self.sources.names().join(",");
        self.output.push(&Event::bare(
            began,
            EventType::CAPTURE_START,
            &[Arg::Str(names.as_bytes())],
        ));
        for absent in &self.sources.absent {
            let args = [Arg::Str(absent.source.as_bytes()), Arg::Str(absent.reason.as_bytes())];
            self.output.push(&Event::bare(began, EventType::SOURCE_LOST, &args));
        }
    }

    fn run(
        mut self,
        args: &RecordArgs,
        mut command: Option<Observed>,
        stop: &AtomicBool,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Outcome {
        // Not before: the command would inherit both.
        hurry();
        self.give_up(args, notice);
        self.artifacts.begin(self.states.processes(), &self.resolver);
        let until = args.duration.map(|d| Instant::now() + d);
        let mut status = None;
        let reason = loop {
            let now = boot_time_ns();
            self.turn(now);
            self.shed(notice);
            if let Some(failure) = self.output.failure() {
                break if failure.is_storage_full() {
                    "disk full"
                } else {
                    "failure"
                };
            }
            // Of the same moment: what was due to be written was.
            if self.pace.is_due(now) {
                self.pace.checked(now);
                self.check(notice);
            }
            if let Some(Ok(Some(ended))) = command.as_mut().map(Observed::ended) {
                status = Some(ended);
                break "command";
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                break "duration";
            }
            if stop.load(Ordering::Relaxed) {
                break "signal";
            }
            self.pause(until, command.as_ref());
        };
        self.finish(reason, status, notice)
    }

    /// Gives up the capabilities that are not needed any more.
    fn give_up(&self, args: &RecordArgs, notice: &mut dyn FnMut(Notice<'_>)) {
        let mut keep = privileges::SEE_PROCESSES | privileges::READ_ALL;
        if self.sources.audit.as_ref().is_some_and(|a| a.rules.is_some()) {
            // To undo them.
            keep |= privileges::AUDIT_CONTROL;
        }
        if let Some(source) = &self.sources.syscalls
            && !privileges::works_without(privileges::MAPS, || source.totals().is_ok())
        {
            keep |= privileges::MAPS;
        }
        if is_of_others(&args.output) {
            keep |= privileges::WRITE_ALL;
        }
        if let Err(error) = privileges::keep_only(keep) {
            notice(Notice::Missing(&format!("privileges could not be given up: {error}")));
        }
    }
}

/// What is to be read of what is executed, if that is asked for and can be known.
fn hashing(args: &RecordArgs, sources: &Sources) -> Option<artifact::Config> {
    let executes = args.syscalls.holds(EventType::syscall(libc::SYS_execve as u32));
    let wanted = sources.syscalls.is_some() && executes && (!args.no_hash || args.collect);
    wanted.then(|| artifact::Config {
        hash_limit: args.hash_limit,
        collect: args.collect.then(|| (args.output.clone(), args.collect_limit)),
        writes_anywhere: is_of_others(&args.output),
        share: args.max_cpu.map_or(LEISURE, |percent| LEISURE.min(percent / 400.0)),
    })
}

/// Whether the folder of the case belongs to somebody else.
fn is_of_others(case: &Path) -> bool {
    // SAFETY: no preconditions.
    let me = unsafe { libc::geteuid() };
    !std::fs::metadata(case).is_ok_and(|case| case.uid() == me)
}
