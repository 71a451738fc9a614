//! What the recorder does again and again: take, bring into order, write; and once in a while look at losses and the clock.

use std::time::Instant;

use ctrace_trace::event::Event;
use ctrace_wire::record::Header;

use super::artifacts::{Artifacts, Wanted};
use super::child::Observed;
use super::hold::{self, Settled};
use super::order::Waiting;
use super::output::Output;
use super::pace::{LONG_TICK, TICK};
use super::state::Known;
use super::{Blind, Gap, Level, MAX_QUEUED, Message, Notice, Recorder, messages};
use crate::audit::AuditMessage;
use crate::docker::DockerMessage;
use crate::docker::logs::LogMessage;
use crate::host::{Clock, Slept, boot_time_ns, utc_ns};
use crate::resolver::{self, Resolver};
use crate::syscall::{Keeper, Record, Until, Woken};

/// What events call the source of container logs.
const LOGS: &str = "container-logs";
/// So many records are written before the rings are looked at again: some milliseconds.
const STEP: usize = 8192;

impl Recorder {
    /// Takes what the sources have and, not each time where that is little, writes what has waited long enough. `now`
    /// is of the boot clock.
    pub(super) fn turn(&mut self, now: u64) {
        // Asked first: what comes while the channels are emptied is not part of the answer.
        let audit = self.sources.audit.as_ref().map(|a| a.follower.progress());
        let taken = self.take();
        self.pace.took(taken, now);
        if !self.pace.writes(now, self.waiting.bytes() >= hold::MAX_BYTES / 4) {
            return;
        }
        let mut settled = audit.map_or(Settled::ALL, |audit| Settled {
            drained: audit.drained_ns,
            open: audit.open_ns.map_or(u64::MAX, |utc| self.clock.boot(utc)),
        });
        if let Some(source) = &self.sources.syscalls {
            settled.drained = settled.drained.min(source.settled_ns());
        }
        let bytes = self.waiting.bytes() + self.queue.bytes();
        let horizon = hold::horizon(now, settled, bytes);
        let horizon = match bytes > hold::MAX_BYTES {
            true => horizon.max(self.waiting.all_but(hold::MAX_BYTES / 2)),
            false => horizon,
        };
        // The rings fill meanwhile.
        while self.release(horizon, STEP) < horizon {
            self.take();
        }
        self.written = horizon;
        let (images, resolver, audit) = (&self.images, &self.resolver, &self.sources.audit);
        self.states.refresh(&self.output.summary(), || Known {
            containers: images.containers(),
            images: resolver.living(),
            audit: audit.as_ref().and_then(|a| a.follower.state()),
        });
    }

    /// Waits for the next turn: for longer than usual no longer than until a ring fills or a program is started that is not
    /// known, since what it runs is to be looked at before it is gone; nor than until the recording ends.
    pub(super) fn pause(&mut self, until: Option<Instant>, command: Option<&Observed>) {
        let sources = &self.sources;
        // Audit and logs have channels with room for little.
        let is_awaited = sources.audit.is_some() || !sources.logs.is_empty() || self.artifacts.awaits_more();
        let now = boot_time_ns();
        let pause = self.pace.pause(now, is_awaited);
        self.pace.hurry(false);
        let Some(source) = &sources.syscalls else {
            return std::thread::sleep(pause);
        };
        if pause <= TICK {
            // Where a ring is small it may have filled while much was written.
            source.wait(pause, &Until::default());
            return;
        }
        let end = Instant::now() + pause;
        let end = until.map_or(end, |until| until.min(end));
        let ends = Until {
            program: self.artifacts.is_on(),
            other: command.and_then(Observed::end),
        };
        let longest = if self.artifacts.watches(now) { LONG_TICK } else { pause };
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            let part = rest.min(longest);
            let woken = source.wait(part, &ends);
            self.artifacts.tick();
            if woken != Woken::Time || part == rest {
                self.pace.hurry(woken == Woken::Program);
                return;
            }
        }
    }

    /// Takes what the sources have; says how many records the rings had.
    pub(super) fn take(&mut self) -> usize {
        self.artifacts.tick();
        let polled = match &mut self.sources.syscalls {
            Some(source) => source.poll_into(&mut Taking {
                waiting: &mut self.waiting,
                wanted: self.artifacts.wanted(),
                artifacts: &mut self.artifacts,
                clock: &self.clock,
            }),
            None => 0,
        };
        self.listen();
        let segment = self.output.summary().segments;
        self.artifacts.answer(utc_ns(), segment, &mut self.queue);
        polled
    }

    /// Empties the channels of the slower sources.
    fn listen(&mut self) {
        for (number, docker) in self.sources.docker.iter().enumerate() {
            while let Ok(message) = docker.follower.messages().try_recv() {
                match &message {
                    DockerMessage::Lost { at_ns, .. } => self.away.lost("docker", number, *at_ns),
                    DockerMessage::Found { .. } => self.away.found("docker", number),
                    _ => {}
                }
                messages::take_docker(message, &mut self.resolver, &mut self.images, &mut self.queue);
            }
        }
        if let Some(audit) = &self.sources.audit {
            while let Ok(message) = audit.follower.messages().try_recv() {
                match &message {
                    AuditMessage::Gap { records, .. } => self.lost += records,
                    AuditMessage::Lost { at_ns, .. } => self.away.lost("audit", 0, *at_ns),
                    _ => {}
                }
                messages::take_audit(message, &mut self.queue);
            }
        }
        for (number, logs) in self.sources.logs.iter().enumerate() {
            // The engine keeps what has to wait, and is not asked for it sooner.
            while self.queue.bytes() < MAX_QUEUED
                && let Ok(message) = logs.messages().try_recv()
            {
                match &message {
                    LogMessage::Lost { at_ns, .. } => self.away.lost(LOGS, number, *at_ns),
                    LogMessage::Found { .. } => self.away.found(LOGS, number),
                    _ => {}
                }
                messages::take_log(message, &mut self.resolver, &mut self.images, &mut self.queue);
            }
        }
    }

    /// Writes what is not newer than a moment of the boot clock, in order of time and no more than so many records. Says up to
    /// which moment all was written.
    pub(super) fn release(&mut self, horizon: u64, most: usize) -> u64 {
        if let Some(blind) = self.blind.take_if(|blind| blind.at < horizon) {
            let reached = self.write(blind.at, most);
            if reached < blind.at {
                self.blind = Some(blind);
                return reached;
            }
            self.resolver.resume(&blind.directories, blind.at);
        }
        self.write(horizon, most)
    }

    /// The same, where what is known of processes holds.
    fn write(&mut self, horizon: u64, most: usize) -> u64 {
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
        let reached = waiting.release(horizon, most, &mut |ts, bytes| {
            let clock = resolver::Clock {
                offset_ns: clock.offset_at(ts),
            };
            output.emit_until(clock.utc(ts), queue, resolver, images);
            // Borrowed where it is made: moved, it would be copied as what the largest of its kinds needs.
            if let Ok(record) = &Record::parse(bytes) {
                let header = record.header();
                output.selection().mark(header.flags);
                if artifacts.awaits(header) {
                    record_awaited(record, clock, resolver, output, artifacts);
                } else {
                    resolver.record(record, &clock, &mut |event| {
                        output.push(event);
                    });
                }
            }
        });
        output.emit_until(clock.utc(reached), queue, resolver, images);
        reached
    }

    /// Leaves out what the bounds leave no room for.
    pub(super) fn shed(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let Some(source) = &mut self.sources.syscalls else {
            return;
        };
        let Some(change) = self.shedding.step(source, &self.output.summary(), utc_ns()) else {
            return;
        };
        self.blind = Some(Blind::now());
        let what = match change.level {
            Level::Nothing => "",
            Level::Bulk => "reads, writes and the like",
            Level::Files => "reads, writes and the like, and all that is about files",
        };
        let reason = change.reason;
        notice(Notice::Shed { what, reason });
    }

    /// Each time that it is due: the clock, losses, progress.
    pub(super) fn check(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        if let Some(source) = &self.sources.syscalls {
            self.output.selection().tell(source, &self.resolver);
        }
        let now = utc_ns();
        if let Some(step) = self.clock.resample() {
            let delta_ns = step.delta_ns;
            self.queue.push(now, Message::ClockStep { delta_ns });
            self.output.lateness().clock_was_set(delta_ns);
        }
        if let Some(slept_ns) = self.slept.since(Slept::now()) {
            self.queue.push(now, Message::Suspend { slept_ns });
        }
        let mut gaps = Vec::new();
        if let Some(source) = &self.sources.syscalls
            && let Ok(totals) = source.totals()
        {
            gaps = self.losses.check(now, &totals, source.malformed(), source.skipped());
        }
        if !gaps.is_empty() {
            self.blind = Some(Blind::now());
        }
        for gap in gaps {
            self.tell(gap, now, notice);
        }
        self.tell_left_out(now, false);
        self.tell_forgotten(self.clock.utc(self.written), now, notice);
        self.tell_unwritten(notice);
        for news in self.queue.take_news() {
            notice(Notice::Heard(&news));
        }
        for late in self.output.lateness().take() {
            self.queue.push(now, Message::Late(late));
        }
        // To end a block takes as long as to write thousands of records, and the rings fill meanwhile.
        self.take();
        // A quiet host must not leave its last events in memory for long.
        self.output.flush();
        if let Some(error) = self.output.undurable() {
            notice(Notice::Missing(&format!(
                "a power cut may cost more than a second: {error}"
            )));
        }
        notice(Notice::Progress(self.output.summary()));
    }

    /// Records what was left out for a bound; all of it at the end.
    pub(super) fn tell_left_out(&mut self, now: u64, end: bool) {
        let counted = self.sources.syscalls.as_ref().and_then(|s| s.left_out().ok());
        for gap in self.shedding.gaps(now, end, counted.as_deref()) {
            self.queue.push(now, Message::Gap(gap));
        }
    }

    /// Records what was forgotten until events of a time were written.
    pub(super) fn tell_forgotten(&mut self, written: u64, now: u64, notice: &mut dyn FnMut(Notice<'_>)) {
        for gap in self.forgotten.check(written, &self.resolver.stats()) {
            let (what, count) = (gap.source, gap.count);
            notice(Notice::Forgotten { what, count });
            self.queue.push(now, Message::Gap(gap));
        }
    }

    /// The case says it by itself.
    pub(super) fn tell_unwritten(&mut self, notice: &mut dyn FnMut(Notice<'_>)) {
        let count = self.output.unwritten();
        if count > 0 {
            notice(Notice::Lost { source: "case", count });
            self.lost += count;
        }
    }

    pub(super) fn tell(&mut self, gap: Gap, now: u64, notice: &mut dyn FnMut(Notice<'_>)) {
        notice(Notice::Lost {
            source: gap.source,
            count: gap.count,
        });
        self.lost += gap.count;
        self.queue.push(now, Message::Gap(gap));
    }
}

/// Resolves a record of whose events an artifact is to know.
#[cold]
#[inline(never)]
fn record_awaited(
    record: &Record<'_>,
    clock: resolver::Clock,
    resolver: &mut Resolver,
    output: &mut Output,
    artifacts: &mut Artifacts,
) {
    let header = record.header();
    let mut sink: &mut dyn FnMut(&Event<'_>) = &mut |event| {
        if output.push(event) {
            artifacts.told(header, event);
        }
    };
    resolver.record(record, &clock, &mut sink);
    artifacts.passed(header);
}

/// Keeps records until nothing older can come any more.
struct Taking<'a> {
    waiting: &'a mut Waiting,
    /// As `artifacts` has it since the last that it looked at.
    wanted: Wanted,
    artifacts: &'a mut Artifacts,
    clock: &'a Clock,
}

impl Keeper for Taking<'_> {
    #[inline]
    fn record(&mut self, ring: usize, header: &Header, bytes: &[u8], at: usize) {
        if self.wanted.has(header, bytes) {
            self.look(bytes);
        }
        self.waiting.push(ring, header.ts, at, bytes.len());
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.waiting.keep(bytes);
    }
}

impl Taking<'_> {
    /// Looks at a record that may be about an artifact.
    #[cold]
    fn look(&mut self, bytes: &[u8]) {
        if let Ok(record) = &Record::parse(bytes) {
            self.artifacts.seen(record, self.clock);
            self.wanted = self.artifacts.wanted();
        }
    }
}
