//! The recorder: brings what the sources say into one order, has it resolved, and writes the case.
//!
//! One thread does it all; Docker and audit have threads that only read and parse. Every few milliseconds the rings are
//! emptied into a waiting room, and what has waited long enough (see [`hold`]) leaves it in order of time together with
//! what the slower sources said. What comes later than that is still recorded, with its true time, out of order, and
//! counted.

mod artifacts;
mod child;
mod gaps;
mod hold;
mod lateness;
mod messages;
mod order;
mod output;
mod scope;
mod sources;
mod state;

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
use crate::docker::logs::LogFollower;
use crate::host::{Clock, audit_utc_ns, boot_time_ns, hurry, utc_ns};
use crate::privileges;
use crate::record_args::RecordArgs;
use crate::resolver::{self, Resolver};
use crate::syscall::{Record, SyscallSource};

use artifacts::Artifacts;
use child::Observed;
use gaps::{Gap, RingLosses};
use hold::Settled;
use messages::{Message, Queue};
use order::Waiting;
use output::Output;
use scope::Selection;
pub use sources::Absent;
use sources::Sources;
use state::{Beginning, Known, States};

/// How often the rings are emptied.
const TICK: Duration = Duration::from_millis(5);
/// How often losses and the clock are looked at, and what was taken is written: with what waits for its place in the
/// order of time, a recorder that is killed loses no more than a second.
const CHECK: Duration = Duration::from_millis(600);
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
    /// Why it ended: `command`, `duration` or `signal`.
    pub reason: &'static str,
    /// Events lost between kernel and case, as far as they can be counted.
    pub lost: u64,
    /// Events that came too late to be written in order of time.
    pub late: u64,
}

/// Records until the command ends, the time is over, or `stop` is set.
///
/// # Errors
/// Where there is nothing to record, or the case cannot be written. What was written before stays readable.
pub fn record(
    args: &RecordArgs,
    tool: Tool,
    stop: &AtomicBool,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Outcome, RecordError> {
    // A mistyped scope is no source that this host lacks.
    crate::scope::in_kernel(&args.scope).map_err(RecordError::Scope)?;
    // What sources say of being opened (audit does) must not be older than the beginning.
    let began = audit_utc_ns();
    let sources = Sources::open(args);
    sources.absent.iter().for_each(|a| notice(Notice::Absent(a)));
    if sources.names().is_empty() {
        return Err(RecordError::NoSource(sources.absent));
    }
    let missing = sources.syscalls.as_ref().map_or(&[][..], |s| s.missing());
    missing.iter().for_each(|m| notice(Notice::Missing(&m.to_string())));
    let mut recorder = Recorder::new(args, tool, sources)?;
    recorder.start(began)?;
    notice(Notice::Ready(&recorder.sources.names()));
    let command = match Observed::start(&args.command) {
        Some(started) => Some(started.map_err(|source| RecordError::Command {
            command: args.command.first().map(PathBuf::from).unwrap_or_default(),
            source,
        })?),
        None => None,
    };
    recorder.run(args, command, stop, notice)
}

struct Recorder {
    sources: Sources,
    resolver: Resolver,
    output: Output,
    /// Events lost between kernel and case.
    lost: u64,
    waiting: Waiting,
    queue: Queue,
    images: ContainerImages,
    artifacts: Artifacts,
    clock: Clock,
    losses: RingLosses,
    states: States,
}

impl Recorder {
    fn new(args: &RecordArgs, tool: Tool, sources: Sources) -> Result<Recorder, RecordError> {
        let clock = Clock::new();
        let beginning = Beginning::read(clock, args.kept_env());
        let unwritable = |source| CaseError::Io {
            path: args.output.clone(),
            source,
        };
        let config = beginning.config(args, tool, &sources).map_err(unwritable)?;
        let states = States::start(&beginning, &sources, config.rotation, &args.scope).map_err(unwritable)?;
        let writer = CaseWriter::create(&args.output, config, states.opener())?;
        let artifacts = match hashing(args, &sources) {
            Some(config) => Artifacts::start(config).map_err(unwritable)?,
            None => Artifacts::default(),
        };
        Ok(Recorder {
            resolver: beginning.resolver(&sources.earlier),
            output: Output::new(
                writer,
                Selection::new(args.scope.clone(), &args.syscalls, args.snaplen.clone()),
            ),
            lost: 0,
            waiting: Waiting::default(),
            queue: Queue::default(),
            images: ContainerImages::default(),
            artifacts,
            clock,
            losses: RingLosses::new(utc_ns()),
            sources,
            states,
        })
    }

    /// Writes what a reader has to know first: that a recording began, and which sources it lacks.
    fn start(&mut self, began: u64) -> Result<(), RecordError> {
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
        self.output.take_failure()
    }

    fn run(
        mut self,
        args: &RecordArgs,
        mut command: Option<Observed>,
        stop: &AtomicBool,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Result<Outcome, RecordError> {
        // Not before: the command would inherit both.
        hurry();
        self.give_up(args, notice);
        let until = args.duration.map(|d| Instant::now() + d);
        let mut checked = Instant::now();
        let mut status = None;
        let reason = loop {
            self.turn();
            self.output.take_failure()?;
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
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
            std::thread::sleep(TICK);
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

    /// Takes what the sources have and writes what has waited long enough.
    fn turn(&mut self) {
        let now = boot_time_ns();
        // Asked first: what comes while the channels are emptied is not part of the answer.
        let audit = self.sources.audit.as_ref().map(|a| a.follower.progress());
        self.take();
        let settled = audit.map_or(Settled::ALL, |audit| Settled {
            drained: audit.drained_ns,
            open: audit.open_ns.map_or(u64::MAX, |utc| self.clock.boot(utc)),
        });
        let bytes = self.waiting.bytes() + self.queue.bytes();
        let horizon = hold::horizon(now, settled, bytes);
        let horizon = match bytes > hold::MAX_BYTES {
            true => horizon.max(self.waiting.all_but(hold::MAX_BYTES / 2)),
            false => horizon,
        };
        self.release(horizon);
        let (images, resolver, audit) = (&self.images, &self.resolver, &self.sources.audit);
        self.states.refresh(&self.output.summary(), || Known {
            containers: images.containers(),
            images: resolver.living(),
            audit: audit.as_ref().and_then(|a| a.follower.state()),
        });
    }

    /// Takes what the sources have; says whether the rings had anything.
    fn take(&mut self) -> bool {
        let polled = match &mut self.sources.syscalls {
            Some(source) => poll(source, &mut self.waiting, &mut self.artifacts, &self.clock),
            None => 0,
        };
        self.listen();
        let segment = self.output.summary().segments;
        self.artifacts.answer(utc_ns(), segment, &mut self.queue);
        polled > 0
    }

    /// Empties the channels of the slower sources.
    fn listen(&mut self) {
        if let Some(docker) = &self.sources.docker {
            while let Ok(message) = docker.follower.messages().try_recv() {
                messages::take_docker(message, &mut self.resolver, &mut self.images, &mut self.queue);
            }
        }
        if let Some(audit) = &self.sources.audit {
            while let Ok(message) = audit.follower.messages().try_recv() {
                messages::take_audit(message, &mut self.queue);
            }
        }
        if let Some(logs) = &self.sources.logs {
            // The engine keeps what has to wait, and is not asked for it sooner.
            while self.queue.bytes() < MAX_QUEUED
                && let Ok(message) = logs.messages().try_recv()
            {
                messages::take_log(message, &mut self.resolver, &mut self.images, &mut self.queue);
            }
        }
    }

    /// Writes everything up to a moment of the boot clock, in order of time.
    fn release(&mut self, horizon: u64) {
        let Recorder {
            resolver,
            output,
            waiting,
            queue,
            images,
            artifacts,
            clock,
            ..
        } = self;
        waiting.release(horizon, &mut |ts, bytes| {
            output.emit_until(clock.utc(ts), queue, resolver, images);
            if let Ok(record) = Record::parse(bytes) {
                output.selection().mark(record.header().flags);
                let clock = resolver::Clock {
                    offset_ns: clock.offset_at(ts),
                };
                let header = record.header();
                if artifacts.awaits(header) {
                    resolver.record(&record, &clock, &mut |event| {
                        if output.push(event) {
                            artifacts.told(header, event);
                        }
                    });
                    artifacts.passed(header);
                } else {
                    resolver.record(&record, &clock, &mut |event| {
                        output.push(event);
                    });
                }
            }
        });
        output.emit_until(clock.utc(horizon), queue, resolver, images);
    }

    /// Once a second: the clock, losses, progress.
    fn check(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        if let Some(source) = &self.sources.syscalls {
            self.output.selection().tell(source, &self.resolver);
        }
        let now = utc_ns();
        if let Some(step) = self.clock.resample() {
            let delta_ns = step.delta_ns;
            self.queue.push(now, Message::ClockStep { delta_ns });
            self.output.lateness().clock_was_set();
        }
        let mut gaps = Vec::new();
        if let Some(source) = &self.sources.syscalls
            && let Ok(totals) = source.totals()
        {
            gaps = self.losses.check(now, &totals, source.malformed(), source.skipped());
        }
        if let Some(lost) = self.output.unwritten(now) {
            gaps.push(lost);
        }
        for gap in gaps {
            self.tell(gap, now, notice);
        }
        for late in self.output.lateness().take() {
            self.queue.push(now, Message::Late(late));
        }
        // A quiet host must not leave its last events in memory for long.
        self.output.flush();
        notice(Notice::Progress(self.output.summary()));
    }

    fn tell(&mut self, gap: Gap, now: u64, notice: &mut dyn FnMut(Notice<'_>)) {
        notice(Notice::Lost {
            source: gap.source,
            count: gap.count,
        });
        self.lost += gap.count;
        self.queue.push(now, Message::Gap(gap));
    }

    /// Stops the sources, writes what is left, and closes the case.
    fn finish(
        mut self,
        reason: &'static str,
        command: Option<ExitStatus>,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Result<Outcome, RecordError> {
        if let Some(source) = &mut self.sources.syscalls {
            source.detach();
        }
        if let Some(audit) = &mut self.sources.audit {
            // What is audited because of them is still read below; what the host does afterwards is its own affair.
            audit.rules = None;
        }
        self.drain(notice);
        self.check(notice);
        self.release(u64::MAX >> 1);
        // Of what was just written.
        let now = utc_ns();
        for late in self.output.lateness().take() {
            self.queue.push(now, Message::Late(late));
        }
        self.release(u64::MAX >> 1);
        self.output.push(&Event::bare(
            utc_ns(),
            EventType::CAPTURE_STOP,
            &[Arg::Str(reason.as_bytes())],
        ));
        self.output.take_failure()?;
        let (lost, late) = (self.lost, self.output.lateness().total());
        let summary = self.output.finish()?;
        Ok(Outcome {
            summary,
            command,
            reason,
            lost,
            late,
        })
    }

    /// Takes what the sources still have of the time before they were stopped.
    fn drain(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let begun = Instant::now();
        let hold = Duration::from_nanos(hold::HOLD_NS);
        loop {
            self.turn();
            let pending = self.sources.syscalls.as_ref().map_or(0, |s| s.pending().unwrap_or(0));
            // What the command did last may still be on its way from the engine and from the kernel's audit queue.
            if begun.elapsed() >= hold
                && let Some(audit) = &self.sources.audit
            {
                audit.follower.stop();
            }
            if begun.elapsed() >= hold
                && let Some(logs) = &self.sources.logs
            {
                logs.stop();
            }
            let logged = self.sources.logs.as_ref().is_none_or(LogFollower::has_ended);
            let audited = self
                .sources
                .audit
                .as_ref()
                .is_none_or(|a| a.follower.progress().drained_ns == u64::MAX);
            let read = self.artifacts.is_done(begun);
            if begun.elapsed() >= hold && audited && logged && read && pending == 0 {
                break;
            }
            if begun.elapsed() >= DRAIN {
                let now = utc_ns();
                if let Some(gap) = gaps::undrained(pending, self.losses.checked(), now) {
                    self.tell(gap, now, notice);
                }
                break;
            }
            std::thread::sleep(TICK);
        }
        self.artifacts.end();
        self.take();
    }
}

fn poll(source: &mut SyscallSource, waiting: &mut Waiting, artifacts: &mut Artifacts, clock: &Clock) -> usize {
    source.poll_bytes(&mut |record, bytes| {
        artifacts.seen(&record, clock);
        waiting.push(record.header().ts, bytes);
    })
}

/// What is to be read of what is executed, if that is asked for and can be known.
fn hashing(args: &RecordArgs, sources: &Sources) -> Option<artifact::Config> {
    let executes = args.syscalls.holds(EventType::syscall(libc::SYS_execve as u32));
    let wanted = sources.syscalls.is_some() && executes && (!args.no_hash || args.collect);
    wanted.then(|| artifact::Config {
        hash_limit: args.hash_limit,
        collect: args.collect.then(|| (args.output.clone(), args.collect_limit)),
        writes_anywhere: is_of_others(&args.output),
    })
}

/// Whether the folder of the case belongs to somebody else.
fn is_of_others(case: &Path) -> bool {
    // SAFETY: no preconditions.
    let me = unsafe { libc::geteuid() };
    !std::fs::metadata(case).is_ok_and(|case| case.uid() == me)
}
