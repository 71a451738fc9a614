//! The running audit source as others see it: how it is opened, what it says, and how far it has come.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use super::control::Control;
use super::event::AuditEvent;
use super::netlink::{AuditError, AuditStatus, Listener};
use super::rules::Rule;
use super::worker::Worker;
use ctrace_trace::audit::RecordType;

/// What the kernel may hold for this reader: some tens of thousands of records.
const SOCKET_BUFFER: usize = 32 << 20;
/// How many messages may wait for the consumer. Beyond, records wait in the socket, which counts what it drops.
const CAPACITY: usize = 4096;

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

/// The kernel's audit records.
#[derive(Debug)]
pub struct AuditSource {
    pub(super) listener: Listener,
    pub(super) control: Control,
    pub(super) status: Option<AuditStatus>,
    mode: Mode,
}

/// How records come to this reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Unicast where no daemon runs, else multicast.
    #[default]
    Auto,
    /// A copy of what a daemon gets, or would get: never in anybody's way, but a reader that is too slow loses records.
    Multicast,
    /// As the kernel's only daemon: while the reader is slow records wait in the kernel, and processes with them. No other
    /// daemon can start meanwhile.
    Unicast,
}

impl AuditSource {
    /// Joins the multicast. Records that come from now on wait until [`AuditSource::follow`].
    ///
    /// # Errors
    /// Says which of the kernel, its configuration and this process's privileges is the obstacle.
    pub fn open() -> Result<AuditSource, AuditError> {
        let source = AuditSource::listen(Mode::Multicast, SOCKET_BUFFER)?;
        source.enabled()
    }

    /// Like [`AuditSource::open`], with that many bytes of records held in the kernel for this reader.
    ///
    /// # Errors
    /// See [`AuditSource::open`].
    pub fn open_with_buffer(bytes: usize) -> Result<AuditSource, AuditError> {
        AuditSource::listen(Mode::Multicast, bytes)?.enabled()
    }

    /// Begins to listen in a way, even where nothing is audited yet: see [`AuditSource::enabled`].
    ///
    /// # Errors
    /// See [`AuditSource::open`].
    pub fn listen_as(mode: Mode) -> Result<AuditSource, AuditError> {
        AuditSource::listen(mode, SOCKET_BUFFER)
    }

    fn listen(mode: Mode, bytes: usize) -> Result<AuditSource, AuditError> {
        let mut control = Control::new()?;
        let daemon = match control.status() {
            // The status needs more privilege than the records.
            Err(AuditError::Denied) if mode != Mode::Unicast => return AuditSource::multicast(control, bytes),
            other => other?.pid,
        };
        match mode {
            Mode::Multicast => AuditSource::multicast(control, bytes),
            Mode::Unicast if daemon != 0 => Err(AuditError::Taken(daemon)),
            Mode::Auto if daemon != 0 => AuditSource::multicast(control, bytes),
            Mode::Unicast => AuditSource::unicast(control, bytes),
            // Somebody may have been quicker.
            Mode::Auto => AuditSource::unicast(control, bytes).or_else(|_| {
                let control = Control::new()?;
                AuditSource::multicast(control, bytes)
            }),
        }
    }

    fn multicast(mut control: Control, bytes: usize) -> Result<AuditSource, AuditError> {
        let listener = Listener::join(bytes)?;
        let status = control.status().ok();
        Ok(AuditSource {
            listener,
            control,
            status,
            mode: Mode::Multicast,
        })
    }

    fn unicast(mut control: Control, bytes: usize) -> Result<AuditSource, AuditError> {
        let listener = Listener::register(bytes)?;
        let status = control.status()?;
        if status.pid != std::process::id() {
            return Err(AuditError::Taken(status.pid));
        }
        Ok(AuditSource {
            listener,
            control,
            status: Some(status),
            mode: Mode::Unicast,
        })
    }

    /// Asks for the status again, which somebody may have changed; a source of nothing is an error.
    ///
    /// # Errors
    /// When auditing is disabled.
    pub fn enabled(mut self) -> Result<AuditSource, AuditError> {
        self.status = self.control.status().ok().or(self.status);
        match self.status {
            Some(status) if status.enabled == 0 => Err(AuditError::Disabled),
            _ => Ok(self),
        }
    }

    /// How records come: never [`Mode::Auto`].
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The rules that are in force, as `auditctl -l` shows them.
    ///
    /// # Errors
    /// Without the privilege to ask.
    pub fn rules(&mut self) -> Result<Vec<String>, AuditError> {
        let raw = self.control.rules()?;
        Ok(raw.iter().filter_map(|r| Rule::decode(r)).map(|r| r.text()).collect())
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
        let progress = Arc::new(Progress::default());
        let worker = Worker::new(self, sender, stop.clone(), progress.clone());
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || worker.run())?;
        Ok(AuditFollower {
            messages,
            stop,
            progress,
            thread: Some(thread),
        })
    }
}

/// How far the source has come, for whoever brings several sources into one order.
///
/// An event carries the time at which its system call began, and is known when that ended and all records came. So a
/// reader of the messages who wants to know whether something older may still come asks before taking what is there.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Boot clock when the socket was last found empty.
    drained_ns: AtomicU64,
    /// Stamp of the oldest event of which more records may come; 0 for none.
    open_ns: AtomicU64,
}

impl Progress {
    /// Everything that the kernel had sent at this time of the boot clock was read.
    pub(super) fn drained(&self, boot_ns: u64) {
        self.drained_ns.store(boot_ns, Ordering::Release);
    }

    /// What was complete has been sent; an event with this stamp was not.
    pub(super) fn open(&self, stamp_ns: Option<u64>) {
        self.open_ns.store(stamp_ns.unwrap_or(0), Ordering::Release);
    }
}

/// What [`AuditFollower::progress`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditProgress {
    /// Everything that the kernel had sent at this time of the boot clock was read; [`u64::MAX`] when nothing more will
    /// come.
    pub drained_ns: u64,
    /// The stamp (wall clock) of the oldest event of which more records may come.
    pub open_ns: Option<u64>,
}

/// The running source. [`AuditFollower::stop`] gets the last events, dropping it does not.
#[derive(Debug)]
pub struct AuditFollower {
    messages: Receiver<AuditMessage>,
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl AuditFollower {
    /// How far the source has come. Of what it says here, everything is in the channel already.
    pub fn progress(&self) -> AuditProgress {
        let drained_ns = self.progress.drained_ns.load(Ordering::Acquire);
        let open = self.progress.open_ns.load(Ordering::Acquire);
        AuditProgress {
            drained_ns,
            open_ns: (open != 0).then_some(open),
        }
    }

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
