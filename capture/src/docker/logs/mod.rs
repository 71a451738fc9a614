//! What containers write, as the engine tells it: `GET /containers/ID/logs`, followed for every container that runs or
//! starts, whatever log driver keeps it, as long as the engine can read it.
//!
//! One thread waits for all streams at once. The engine keeps the logs itself, so a consumer that is slow delays and loses
//! nothing, and after a break each stream goes on where it was.

mod entry;
mod follow;
mod seen;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;

use super::DockerSource;
use crate::privileges;
use follow::Follower;

/// How many messages may wait for the consumer; a line has at most some 16 KiB.
const CAPACITY: usize = 512;

/// Whether a container's logs are wanted, by its id and name.
pub(crate) type Wanted = Box<dyn Fn(&str, &str) -> bool + Send>;

/// A line that a container wrote, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// When it was written, by the engine's clock: nanoseconds since the Unix epoch.
    pub(crate) ts_ns: u64,
    /// The container's id.
    pub(crate) container: Arc<str>,
    /// `stdout` or `stderr`; of a terminal always the first.
    pub(crate) stream: &'static str,
    /// Without the line's end.
    pub(crate) text: Vec<u8>,
    /// The line goes on in the next one of its stream: the engine cuts lines at 16 KiB.
    pub(crate) is_partial: bool,
}

/// What the source has to say. Times are wall-clock nanoseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub(crate) enum LogMessage {
    /// A container wrote something.
    Line(LogLine),
    /// What is known of a container whose lines follow or came just before.
    Container(Arc<Container>),
    /// The engine went away; the source keeps trying.
    Lost {
        /// When it was noticed.
        at_ns: u64,
        /// What happened.
        reason: String,
    },
    /// The engine is back, and the logs go on where they were.
    Found {
        /// When it answered.
        at_ns: u64,
        /// When it had gone away.
        lost_ns: u64,
    },
    /// A container's log cannot be read, or not to its end: from then on, whatever it writes is missing.
    Unread {
        /// When it was noticed.
        at_ns: u64,
        /// From when on lines may be missing.
        from_ns: u64,
        /// Which container, and what happened.
        reason: String,
    },
}

impl LogLine {
    /// Calls `take` with the line as an event. `image` stands for its container.
    pub(crate) fn with_event<R>(&self, image: Option<&Arc<ProcessImage>>, take: impl FnOnce(&Event<'_>) -> R) -> R {
        let args = [
            Arg::Str(self.stream.as_bytes()),
            Arg::Str(&self.text),
            if self.is_partial { Arg::Num(1) } else { Arg::None },
            Arg::None,
        ];
        take(&Event {
            image,
            ..Event::bare(self.ts_ns, EventType::CONTAINER_LOG, &args)
        })
    }
}

impl DockerSource {
    /// Starts to follow the logs of the wanted containers that run or will start: what they write since a time
    /// (nanoseconds since the Unix epoch).
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn follow_logs(self, since_ns: u64, wanted: Wanted) -> io::Result<LogFollower> {
        let (sender, messages) = sync_channel(CAPACITY);
        let stop = Arc::new(AtomicBool::new(false));
        let needed = if self.client.is_own() { 0 } else { privileges::WRITE_ALL };
        let follower = Follower::new(self, sender, stop.clone(), since_ns, wanted);
        let thread = thread::Builder::new()
            .name("container-logs".to_owned())
            .spawn(move || {
                // Where that is refused it goes on with what it has.
                let _ = privileges::keep_only(needed);
                follower.run();
            })?;
        Ok(LogFollower {
            messages,
            stop,
            thread: Some(thread),
        })
    }
}

/// The running source. Dropping it stops its thread, which takes up to the time of one call to the engine.
#[derive(Debug)]
pub(crate) struct LogFollower {
    messages: Receiver<LogMessage>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LogFollower {
    /// Where the messages arrive.
    pub(crate) fn messages(&self) -> &Receiver<LogMessage> {
        &self.messages
    }

    /// Asks the thread to hand over what the engine has already sent, and to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the thread has ended; what it said last may still wait.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for LogFollower {
    fn drop(&mut self) {
        self.stop();
        // The thread may wait for room in the channel: it ends when nobody listens.
        self.messages = sync_channel(0).1;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}
