//! The recorder: brings what the sources say into one order, has it resolved, and writes the case.
//!
//! One thread does it all; Docker and audit have threads that only read and parse. Every few milliseconds the rings are
//! emptied into a waiting room, and what is older than [`HOLD_NS`] leaves it in order of time together with what the
//! slower sources said. What comes later than that is still recorded, with its true time, out of order.

mod child;
mod gaps;
mod messages;
mod order;
mod scope;
mod sources;
mod state;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ctrace_trace::case::{CaseError, CaseWriter, Summary};
use ctrace_trace::event::{Arg, EventType};
use ctrace_trace::segment::Tool;

use crate::host::{Clock, audit_utc_ns, boot_time_ns, utc_ns};
use crate::privileges;
use crate::record_args::RecordArgs;
use crate::resolver::{self, Resolver};
use crate::syscall::{Record, SyscallSource};

use child::Observed;
use gaps::{Class, Gap, RingLosses};
use messages::{ContainerImages, Message, Queue, own};
use order::Waiting;
use scope::Selection;
pub use sources::Absent;
use sources::Sources;
use state::{Beginning, States};

/// How long records wait for others that happened before them. Docker's events and complete audit events come within
/// some milliseconds; waiting longer costs memory.
const HOLD_NS: u64 = 100_000_000;
/// Records wait no longer than it takes to fill this.
const MAX_WAITING: usize = 128 << 20;
/// How often the rings are emptied.
const TICK: Duration = Duration::from_millis(5);
/// How often losses and the clock are looked at.
const CHECK: Duration = Duration::from_secs(1);
/// The priority of the recording thread.
const NICE: i32 = -15;
/// What is left is drained no longer than this after the programs are detached.
const DRAIN: Duration = Duration::from_secs(10);

/// Why nothing was recorded, or why the recording ended early.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not one of the sources is there.
    #[error("nothing to record:{}", .0.iter().map(|a| format!("\n  {a}")).collect::<String>())]
    NoSource(Vec<Absent>),
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
    waiting: Waiting,
    queue: Queue,
    images: ContainerImages,
    clock: Clock,
    losses: RingLosses,
    states: States,
}

impl Recorder {
    fn new(args: &RecordArgs, tool: Tool, sources: Sources) -> Result<Recorder, RecordError> {
        let clock = Clock::new();
        let beginning = Beginning::read(clock);
        let unwritable = |source| CaseError::Io {
            path: args.output.clone(),
            source,
        };
        let config = beginning.config(args, tool, &sources).map_err(unwritable)?;
        let states = States::start(&beginning, &sources, config.rotation, &args.scope).map_err(unwritable)?;
        let writer = CaseWriter::create(&args.output, config, states.opener())?;
        Ok(Recorder {
            resolver: beginning.resolver(),
            output: Output {
                writer,
                selection: Selection::new(args.scope.clone(), &args.syscalls),
                lost: 0,
                told: 0,
                failed: None,
            },
            waiting: Waiting::default(),
            queue: Queue::default(),
            images: ContainerImages::default(),
            clock,
            losses: RingLosses::new(utc_ns()),
            sources,
            states,
        })
    }

    /// Writes what a reader has to know first: that a recording began, and which sources it lacks.
    fn start(&mut self, began: u64) -> Result<(), RecordError> {
        let names = self.sources.names().join(",");
        self.output
            .push(&own(began, EventType::CAPTURE_START, &[Arg::Str(names.as_bytes())]));
        for absent in &self.sources.absent {
            let args = [Arg::Str(absent.source.as_bytes()), Arg::Str(absent.reason.as_bytes())];
            self.output.push(&own(began, EventType::SOURCE_LOST, &args));
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
            self.turn(HOLD_NS);
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
        if self.sources.audit.is_some() {
            keep |= privileges::AUDIT;
        }
        if let Some(source) = &self.sources.syscalls
            && !privileges::works_without(privileges::MAPS, || source.totals().is_ok())
        {
            keep |= privileges::MAPS;
        }
        // SAFETY: no preconditions.
        let me = unsafe { libc::geteuid() };
        if !std::fs::metadata(&args.output).is_ok_and(|case| case.uid() == me) {
            keep |= privileges::WRITE_ALL;
        }
        if let Err(error) = privileges::keep_only(keep) {
            notice(Notice::Missing(&format!("privileges could not be given up: {error}")));
        }
    }

    /// Takes what the sources have and writes what has waited long enough.
    fn turn(&mut self, hold_ns: u64) {
        let now = boot_time_ns();
        if let Some(source) = &mut self.sources.syscalls {
            poll(source, &mut self.waiting);
        }
        self.listen();
        let hold = if self.waiting.bytes() + self.queue.bytes() > MAX_WAITING {
            0
        } else {
            hold_ns
        };
        self.release(now.saturating_sub(hold));
        let images = &self.images;
        self.states
            .refresh(&self.output.writer.summary(), || images.containers());
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
    }

    /// Writes everything up to a moment of the boot clock, in order of time.
    fn release(&mut self, horizon: u64) {
        let Recorder {
            resolver,
            output,
            waiting,
            queue,
            images,
            clock,
            ..
        } = self;
        let clock = resolver::Clock {
            offset_ns: clock.offset_ns(),
        };
        waiting.release(horizon, &mut |ts, bytes| {
            output.emit_until(clock.utc(ts), queue, resolver, images);
            if let Ok(record) = Record::parse(bytes) {
                output.selection.mark(record.header().flags);
                resolver.record(&record, &clock, &mut |event| output.push(event));
            }
        });
        output.emit_until(clock.utc(horizon), queue, resolver, images);
    }

    /// Once a second: the clock, losses, progress.
    fn check(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        if let Some(step) = self.clock.resample() {
            self.queue.push(
                utc_ns(),
                Message::ClockStep {
                    delta_ns: step.delta_ns,
                },
            );
        }
        if let Some(source) = &self.sources.syscalls {
            self.output.selection.tell(source, &self.resolver);
        }
        let now = utc_ns();
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
            notice(Notice::Lost {
                source: gap.source,
                count: gap.count,
            });
            self.output.lost += gap.count;
            self.queue.push(now, Message::Gap(gap));
        }
        // A quiet host must not leave its last events in memory for long.
        self.output.flush();
        notice(Notice::Progress(self.output.writer.summary()));
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
        if let Some(audit) = &self.sources.audit {
            audit.follower.stop();
        }
        // What the command did last may still be on its way from the engine.
        std::thread::sleep(Duration::from_nanos(HOLD_NS));
        let begun = Instant::now();
        while let Some(source) = &mut self.sources.syscalls
            && begun.elapsed() < DRAIN
        {
            if poll(source, &mut self.waiting) == 0 && source.pending().unwrap_or(0) == 0 {
                break;
            }
            self.turn(HOLD_NS);
        }
        self.turn(0);
        self.check(notice);
        self.release(u64::MAX >> 1);
        self.output
            .push(&own(utc_ns(), EventType::CAPTURE_STOP, &[Arg::Str(reason.as_bytes())]));
        self.output.take_failure()?;
        let lost = self.output.lost;
        let summary = self.output.writer.finish()?;
        Ok(Outcome {
            summary,
            command,
            reason,
            lost,
        })
    }
}

/// Gives this thread the CPU before others: where every core is busy, its fair share would be too small for what all
/// the others do together. A refusal is no error, only a risk of losses, which are counted.
fn hurry() {
    // SAFETY: no preconditions. On Linux 0 is the calling thread, not the process (setpriority(2), "C library/kernel
    // differences").
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

fn poll(source: &mut SyscallSource, waiting: &mut Waiting) -> usize {
    source.poll_bytes(&mut |record, bytes| waiting.push(record.header().ts, bytes))
}

/// The case being written.
struct Output {
    writer: CaseWriter,
    selection: Selection,
    lost: u64,
    /// Losses at this end that were told already.
    told: u64,
    failed: Option<CaseError>,
}

impl Output {
    /// Writes an event. What cannot be written is counted, and the recording goes on if that makes sense.
    fn push(&mut self, event: &ctrace_trace::event::Event<'_>) {
        if self.failed.is_some() {
            return;
        }
        let mut result = Ok(());
        let Output { writer, selection, .. } = self;
        selection.pass(event, |event| result = writer.push(event).map(|_| ()));
        if let Err(error) = result {
            self.note(error);
        }
    }

    /// Writes what has been taken, so that a recorder that is killed loses no more than the last second.
    fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.writer.flush()
        {
            self.note(error);
        }
    }

    fn note(&mut self, error: CaseError) {
        // A single event that does not fit is a gap; a disk that is full or gone ends the recording.
        if !matches!(error, CaseError::Event(_) | CaseError::Block { .. }) {
            self.failed = Some(error);
        }
    }

    /// What stopped the writing, if something did.
    fn take_failure(&mut self) -> Result<(), RecordError> {
        self.failed.take().map_or(Ok(()), |error| Err(error.into()))
    }

    /// The loss at this end since the last question.
    fn unwritten(&mut self, now: u64) -> Option<Gap> {
        let lost = self.writer.summary().lost;
        let new = lost.saturating_sub(self.told);
        self.told = lost;
        (new > 0).then_some(Gap {
            source: "case",
            class: Class::Unwritten,
            count: new,
            cpu: -1,
            from: now,
            to: now,
        })
    }

    /// Writes the messages that are not newer than a moment.
    fn emit_until(&mut self, until: u64, queue: &mut Queue, resolver: &Resolver, images: &mut ContainerImages) {
        while let Some((ts, message)) = queue.pop(until) {
            messages::emit(ts, &message, resolver, images, &mut |event| self.push(event));
        }
    }
}
