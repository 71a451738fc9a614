//! The thread that listens to the kernel's audit records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use super::event::AuditEvent;
use super::group::Grouper;
use super::live::{AuditMessage, AuditSource, Loss, Progress};
use super::netlink::{AuditStatus, Received};
use crate::host::{boot_time_ns, hurry, utc_ns as now_ns};
use crate::privileges;
use ctrace_trace::audit::{Record, RecordType};

/// How often open events are looked at, and whether the source was stopped.
const TICK: Duration = Duration::from_millis(20);
/// How often the kernel is asked for its status.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How long an event waits for more records, while the socket has none. The kernel ends what belongs to a system call
/// with a record of its own; only what it says without one has to wait.
const STRAGGLERS_NS: u64 = 100_000_000;

/// The thread's state.
#[derive(Debug)]
pub(super) struct Worker {
    source: AuditSource,
    sender: SyncSender<AuditMessage>,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    /// When losses were last asked for.
    checked_ns: u64,
    /// Records told of a change of rules or settings.
    changed: bool,
    grouper: Grouper,
}

/// Nobody reads the channel any more.
struct Gone;

/// The kernel tries whether its daemon is alive, because another one wants to be it.
const REPLACE: u16 = 1329;
/// How often a wait goes on although the socket is never empty: then time is all there is to tell what is complete.
const STRAGGLERS_WHEN_BUSY: u64 = 10;

impl Worker {
    /// A thread's state that has read nothing yet.
    pub(super) fn new(
        source: AuditSource,
        sender: SyncSender<AuditMessage>,
        stop: Arc<AtomicBool>,
        progress: Arc<Progress>,
    ) -> Worker {
        Worker {
            source,
            sender,
            stop,
            progress,
            checked_ns: now_ns(),
            changed: true,
            grouper: Grouper::new(STRAGGLERS_NS),
        }
    }

    /// Listens until it is stopped or the socket fails.
    pub(super) fn run(mut self) {
        // Little to do, but others wait for it.
        hurry();
        // Where that is refused it goes on with what it has.
        let _ = privileges::keep_only(privileges::AUDIT_CONTROL);
        if let Err(Failure::Io(error)) = self.listen() {
            let (at_ns, reason) = (now_ns(), error.to_string());
            // The consumer may be gone as well: then nobody is left to tell.
            let _ = self.send(AuditMessage::Lost { at_ns, reason });
        }
        self.progress.open(None);
        self.progress.drained(u64::MAX);
    }

    fn listen(&mut self) -> Result<(), Failure> {
        let mut asked = Instant::now();
        let mut done = Vec::new();
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            // What the kernel already sent is still read when stopping, up to the moment it had to be.
            let wait = if stopping { Duration::ZERO } else { TICK };
            let begun = boot_time_ns();
            let got_any = self.receive(wait, &mut done)?;
            if asked.elapsed() >= STATUS_EVERY {
                asked = Instant::now();
                self.check()?;
            }
            if stopping && (!got_any || asked.elapsed() >= STATUS_EVERY / 2) {
                self.grouper.finish(&mut done);
                self.send_all(&mut done)?;
                self.check()?;
                return Ok(());
            }
            self.advance(begun, (!got_any).then_some(wait), &mut done)?;
        }
    }

    /// Sends what is complete and says how far that is. `emptied`: the socket was empty after that wait.
    fn advance(&mut self, begun: u64, emptied: Option<Duration>, done: &mut Vec<Box<AuditEvent>>) -> Result<(), Gone> {
        let emptied = emptied.map(|wait| begun + u64::try_from(wait.as_nanos()).unwrap_or(0));
        let patience = STRAGGLERS_NS * (STRAGGLERS_WHEN_BUSY - 1);
        self.grouper
            .expire(emptied.unwrap_or(begun.saturating_sub(patience)), done);
        self.send_all(done)?;
        self.progress.open(self.grouper.oldest_open_ns());
        if let Some(at) = emptied {
            self.progress.drained(at);
        }
        Ok(())
    }

    /// Reads one message; says whether there was any.
    fn receive(&mut self, wait: Duration, done: &mut Vec<Box<AuditEvent>>) -> Result<bool, Failure> {
        let now = boot_time_ns();
        match self.source.listener.receive(wait)? {
            Received::Nothing => Ok(false),
            Received::Other => Ok(true),
            Received::Overrun => {
                let records = self.source.listener.take_drops();
                self.gap(Loss::Reader, records)?;
                Ok(true)
            }
            // Below are answers and errors of netlink itself, which a listener does not get.
            Received::Message(kind, _) if kind < 1000 || kind == REPLACE => Ok(true),
            Received::Message(kind, payload) => {
                let kind = RecordType(kind);
                self.changed |= kind == RecordType::CONFIG_CHANGE;
                let malformed = match Record::parse_netlink(kind, payload) {
                    Ok(record) => {
                        let mut line = Vec::with_capacity(payload.len() + 32);
                        record.write_line(&mut line);
                        self.grouper.push(&record, &line, now, done);
                        return Ok(true);
                    }
                    Err(error) => error.to_string(),
                };
                self.send(AuditMessage::Malformed {
                    at_ns: now_ns(),
                    kind,
                    reason: malformed,
                })?;
                Ok(true)
            }
        }
    }

    /// Reports what was lost and what changed since the last time.
    fn check(&mut self) -> Result<(), Failure> {
        let drops = self.source.listener.take_drops();
        if drops > 0 {
            self.gap(Loss::Reader, drops)?;
        }
        if let (Some(before), Ok(now)) = (self.source.status, self.source.control.status()) {
            self.source.status = Some(now);
            // A smaller count means that somebody reset it: what was lost in between is what it says now.
            let lost = if now.lost >= before.lost {
                now.lost - before.lost
            } else {
                now.lost
            };
            if lost > 0 {
                self.gap(Loss::Kernel, lost.into())?;
            }
            if settings(&now) != settings(&before) {
                self.changed = true;
                let (at_ns, status) = (now_ns(), now);
                self.send(AuditMessage::Status { at_ns, status })?;
            }
        }
        if self.changed
            && let Ok(state) = self.source.control.state()
        {
            self.changed = false;
            self.progress.learn(state);
        }
        self.checked_ns = now_ns();
        Ok(())
    }

    fn gap(&mut self, loss: Loss, records: u64) -> Result<(), Gone> {
        self.send(AuditMessage::Gap {
            loss,
            records,
            from_ns: self.checked_ns,
            to_ns: now_ns(),
        })
    }

    fn send_all(&mut self, done: &mut Vec<Box<AuditEvent>>) -> Result<(), Gone> {
        done.drain(..)
            .try_for_each(|event| self.send(AuditMessage::Event(event)))
    }

    /// Waits for room: meanwhile the records wait in the socket, which counts those that it has to drop.
    fn send(&self, mut message: AuditMessage) -> Result<(), Gone> {
        loop {
            match self.sender.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Gone),
                Err(TrySendError::Full(back)) => message = back,
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What is configured, as opposed to what is counted.
fn settings(status: &AuditStatus) -> AuditStatus {
    AuditStatus {
        lost: 0,
        backlog: 0,
        ..*status
    }
}

/// Why listening ended before it was asked to.
enum Failure {
    Io(io::Error),
    Gone,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<Gone> for Failure {
    fn from(Gone: Gone) -> Failure {
        Failure::Gone
    }
}
