//! The thread that listens to the kernel's audit records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::event::AuditEvent;
use super::group::Grouper;
use super::netlink::{AuditError, AuditStatus, Inquirer, Listener, Received};
use super::record::Record;
use super::record_type::RecordType;
use crate::privileges;

/// What the kernel may hold for this reader: some tens of thousands of records.
const SOCKET_BUFFER: usize = 32 << 20;
/// How many messages may wait for the consumer. Beyond, records wait in the socket, which counts what it drops.
const CAPACITY: usize = 4096;
/// How often open events are looked at, and whether the source was stopped.
const TICK: Duration = Duration::from_millis(100);
/// How often the kernel is asked for its status.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// What the source has to say. Times are wall-clock nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditMessage {
    /// An event with all its records.
    Event(Box<AuditEvent>),
    /// Records were lost.
    Gap {
        /// Who lost them.
        loss: Loss,
        /// How many; 0 when the kernel does not say.
        records: u64,
        /// After when.
        from_ns: u64,
        /// Before when.
        to_ns: u64,
    },
    /// The configuration changed: auditing was enabled, disabled or locked, a daemon came or went, a limit was set.
    Status {
        /// When it was noticed.
        at_ns: u64,
        /// How it is now.
        status: AuditStatus,
    },
    /// The kernel sent something that is no record.
    Malformed {
        /// When it came.
        at_ns: u64,
        /// The message's type.
        kind: RecordType,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket failed; nothing more will come.
    Lost {
        /// When.
        at_ns: u64,
        /// Why.
        reason: String,
    },
}

/// Where records got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// In the kernel: its backlog was full, or more came than the rate limit allows. Nobody has them.
    Kernel,
    /// At this reader, which was too slow; a daemon may have them.
    Reader,
}

/// The kernel's multicast of audit records. Works beside a daemon and without one.
#[derive(Debug)]
pub struct AuditSource {
    listener: Listener,
    inquirer: Inquirer,
    status: Option<AuditStatus>,
}

impl AuditSource {
    /// Joins the multicast. Records that come from now on wait until [`AuditSource::follow`].
    ///
    /// # Errors
    /// Says which of the kernel, its configuration and this process's privileges is the obstacle.
    pub fn open() -> Result<AuditSource, AuditError> {
        AuditSource::open_with_buffer(SOCKET_BUFFER)
    }

    /// Like [`AuditSource::open`], with that many bytes of records held in the kernel for this reader.
    ///
    /// # Errors
    /// See [`AuditSource::open`].
    pub fn open_with_buffer(bytes: usize) -> Result<AuditSource, AuditError> {
        let mut inquirer = Inquirer::new()?;
        let status = match inquirer.status() {
            // The status needs more privilege than the records.
            Err(AuditError::Denied) => None,
            other => Some(other?),
        };
        if status.is_some_and(|s| s.enabled == 0) {
            return Err(AuditError::Disabled);
        }
        let listener = Listener::join(bytes)?;
        Ok(AuditSource {
            listener,
            inquirer,
            status,
        })
    }

    /// The kernel's status when the source was opened; `None` without the privilege to ask.
    pub fn status(&self) -> Option<&AuditStatus> {
        self.status.as_ref()
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn follow(self) -> io::Result<AuditFollower> {
        let (sender, messages) = sync_channel(CAPACITY);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            source: self,
            sender,
            stop: stop.clone(),
            started: Instant::now(),
            checked_ns: now_ns(),
            grouper: Grouper::default(),
        };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || {
            // Where that is refused it goes on with what it has.
            let _ = privileges::keep_only(privileges::AUDIT);
            worker.run()
        })?;
        Ok(AuditFollower {
            messages,
            stop,
            thread: Some(thread),
        })
    }
}

/// The running source. [`AuditFollower::stop`] gets the last events, dropping it does not.
#[derive(Debug)]
pub struct AuditFollower {
    messages: Receiver<AuditMessage>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AuditFollower {
    /// Where the messages arrive.
    pub fn messages(&self) -> &Receiver<AuditMessage> {
        &self.messages
    }

    /// Asks the source to end. It sends the events that are still open; the channel then ends.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for AuditFollower {
    fn drop(&mut self) {
        self.stop();
        // A thread that waits for room in the channel must see that nobody reads it any more.
        self.messages = sync_channel(0).1;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Worker {
    source: AuditSource,
    sender: SyncSender<AuditMessage>,
    stop: Arc<AtomicBool>,
    started: Instant,
    /// When losses were last asked for.
    checked_ns: u64,
    grouper: Grouper,
}

/// Nobody reads the channel any more.
struct Gone;

impl Worker {
    fn run(mut self) {
        if let Err(Failure::Io(error)) = self.listen() {
            let (at_ns, reason) = (now_ns(), error.to_string());
            // The consumer may be gone as well: then nobody is left to tell.
            let _ = self.send(AuditMessage::Lost { at_ns, reason });
        }
    }

    fn listen(&mut self) -> Result<(), Failure> {
        let (mut ticked, mut asked) = (Instant::now(), Instant::now());
        let mut done = Vec::new();
        loop {
            let stopping = self.stop.load(Ordering::Relaxed);
            // What the kernel already sent is still read when stopping, up to the moment it had to be.
            let got_any = self.receive(if stopping { Duration::ZERO } else { TICK }, &mut done)?;
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.grouper.expire(self.monotonic_ns(), &mut done);
            }
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
            self.send_all(&mut done)?;
        }
    }

    /// Reads one message; says whether there was any.
    fn receive(&mut self, wait: Duration, done: &mut Vec<AuditEvent>) -> Result<bool, Failure> {
        let now = self.monotonic_ns();
        match self.source.listener.receive(wait)? {
            Received::Nothing => Ok(false),
            Received::Overrun => {
                let records = self.source.listener.take_drops();
                self.gap(Loss::Reader, records)?;
                Ok(true)
            }
            // Below are answers and errors of netlink itself, which a listener does not get.
            Received::Message(kind, _) if kind < 1000 => Ok(true),
            Received::Message(kind, payload) => {
                let kind = RecordType(kind);
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
        if let (Some(before), Ok(now)) = (self.source.status, self.source.inquirer.status()) {
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
                let (at_ns, status) = (now_ns(), now);
                self.send(AuditMessage::Status { at_ns, status })?;
            }
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

    fn send_all(&mut self, done: &mut Vec<AuditEvent>) -> Result<(), Gone> {
        done.drain(..)
            .try_for_each(|event| self.send(AuditMessage::Event(Box::new(event))))
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

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
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

/// The wall clock, nanoseconds since the Unix epoch.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
