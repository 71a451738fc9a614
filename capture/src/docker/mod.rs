//! The Docker source: events of an engine (Docker, or Podman through the same API), and what it says about containers, over its API socket.
//!
//! Two threads: one only drains the event stream, since an engine drops events silently for a reader that stalls; the
//! other inspects containers. Both speak a thin HTTP client of this module: the recorder carries no async runtime. The
//! engine is not trusted: what it sends is bounded, and what is no event is reported as such.
//!
//! ```no_run
//! # use ctrace_capture::docker::{DockerMessage, DockerSource, Endpoint};
//! let endpoint = Endpoint::parse("unix:///var/run/docker.sock")?;
//! let follower = DockerSource::open(endpoint)?.follow(1_795_216_569_000_000_000)?;
//! for message in follower.messages() {
//!     if let DockerMessage::Event(event) = message {
//!         println!("{} {} {}", event.ts_ns, event.action, event.name());
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod client;
mod emit;
mod endpoint;
mod event;
mod follow;
mod http;
mod images;
mod inspect;
mod inspector;
mod json;
mod lines;
pub(crate) mod logs;
mod outbox;
mod timestamp;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ctrace_trace::container::Container;

pub use body::BodyError;
pub use client::{Client, DockerError, EngineInfo, Init};
pub use endpoint::{DEFAULT_SOCKET, Endpoint, EndpointError, sockets};
pub use event::DockerEvent;
pub use http::HttpError;
pub(crate) use images::ContainerImages;
pub use timestamp::parse_rfc3339;
pub(crate) use timestamp::utc_ns;

use crate::privileges;
use follow::Follower;
use inspector::Inspector;
use outbox::Outbox;

/// How many containers may wait for their inspection; when more do, everything that runs is looked at instead.
const MAX_JOBS: usize = 4096;

/// How long the engine is asked at the beginning of a recording, which waits for it.
const MOMENT: Duration = Duration::from_millis(300);

/// What the source has to say. Times are wall-clock nanoseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub enum DockerMessage {
    /// Something happened. The engine sends concurrent events in any order: times run back by some microseconds.
    Event(Box<DockerEvent<'static>>),
    /// What is known of a container, or what is known now. Not in order with the events: it comes from another thread.
    Container(Arc<Container>),
    /// A container runs, and this is its first process. Comes before what is known of the container.
    Init {
        /// The container's id.
        id: String,
        /// The process.
        init: Init,
    },
    /// A container ended while the engine was away: there is no event of its end.
    Vanished {
        /// When it was noticed.
        at_ns: u64,
        /// The container's id.
        id: String,
    },
    /// The engine went away; the source keeps trying.
    Lost {
        /// When it was noticed.
        at_ns: u64,
        /// What happened.
        reason: String,
    },
    /// The engine is back. Events that it remembered follow; those before its restart, if it restarted, are lost.
    Found {
        /// When it answered.
        at_ns: u64,
        /// From when to when it was away.
        window: (u64, u64),
    },
    /// The consumer was too slow: that many messages were dropped.
    Gap {
        /// How many.
        count: u64,
        /// When the first was dropped.
        from_ns: u64,
        /// When there was room again.
        to_ns: u64,
    },
    /// The engine sent something that is no event.
    Malformed {
        /// When it came.
        at_ns: u64,
        /// What is wrong with it.
        reason: String,
        /// Its beginning.
        line: Vec<u8>,
    },
}

/// An engine that answered.
#[derive(Debug)]
pub struct DockerSource {
    client: Client,
    info: EngineInfo,
    asleep: Option<String>,
}

impl DockerSource {
    /// Asks the engine whether it is there and what it is. One that would only be started by the question is not asked,
    /// and followed from when it runs on.
    pub fn open(endpoint: Endpoint) -> Result<DockerSource, DockerError> {
        let client = Client::new(endpoint);
        let (info, asleep) = match client.ping() {
            Err(
                error @ DockerError::Http {
                    source: HttpError::Asleep { .. },
                    ..
                },
            ) => {
                let engine = "docker".to_owned();
                let nothing = EngineInfo::default();
                (EngineInfo { engine, ..nothing }, Some(error.to_string()))
            }
            other => other.and_then(|()| Ok((client.info()?, None)))?,
        };
        Ok(DockerSource { client, info, asleep })
    }

    /// Why nothing is known of the engine yet, if it does not run.
    pub fn asleep(&self) -> Option<&str> {
        self.asleep.as_deref()
    }

    /// What the engine said about itself.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The containers that run, with their first processes, as far as the engine tells of them in a moment: the others are
    /// told of when it is followed.
    pub fn running(&self) -> Vec<(Container, Option<Init>)> {
        let begun = Instant::now();
        let ids = self.client.running().unwrap_or_default();
        let asked = ids.iter().take_while(|_| begun.elapsed() < MOMENT);
        let told = asked.filter_map(|id| self.client.inspect(id, &self.info.engine).ok().flatten());
        told.map(|(container, runs)| (container, runs.init)).collect()
    }

    /// Starts to follow the engine: its events since a time (nanoseconds since the Unix epoch, at most the 256 that it
    /// remembers), all containers that run, and each that is met later.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn follow(self, since_ns: u64) -> io::Result<DockerFollower> {
        let (sender, messages) = sync_channel(outbox::CAPACITY);
        let (jobs, job_queue) = sync_channel(MAX_JOBS);
        let stop = Arc::new(AtomicBool::new(false));
        let outbox = |sender| Outbox::new(sender, stop.clone());
        // The engine may be connected to again, and its socket another user's.
        let needed = if self.client.is_own() { 0 } else { privileges::WRITE_ALL };
        let engine = self.info.engine;
        let inspector = Inspector::new(self.client.clone(), engine.clone(), outbox(sender.clone()));
        let follower = Follower::new(self.client, engine, outbox(sender), jobs, since_ns);
        // Held from here on, so that the first thread is stopped again when the second cannot be started.
        let mut running = DockerFollower {
            messages,
            stop: stop.clone(),
            threads: Vec::new(),
        };
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        running.threads.push(spawn("docker-inspect").spawn(move || {
            // Where that is refused it goes on with what it has.
            let _ = privileges::keep_only(needed);
            inspector.run(&job_queue);
        })?);
        running.threads.push(spawn("docker-events").spawn(move || {
            let _ = privileges::keep_only(needed);
            follower.run();
        })?);
        Ok(running)
    }
}

/// The running source. Dropping it stops its threads, which takes up to the time of one call to the engine.
#[derive(Debug)]
pub struct DockerFollower {
    messages: Receiver<DockerMessage>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DockerFollower {
    /// Where the messages arrive.
    pub fn messages(&self) -> &Receiver<DockerMessage> {
        &self.messages
    }
}

impl Drop for DockerFollower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}
