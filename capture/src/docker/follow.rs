//! The first thread: drains the event stream, notices when the engine goes away, and connects again.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use super::DockerMessage;
use super::client::{Client, DockerError};
use super::event::DockerEvent;
use super::http::{HttpError, Progress, Response};
use super::inspector::Job;
use super::lines::{Lines, MAX_LINE};
use super::outbox::{Outbox, now_ns};

/// How often a silent stream is interrupted to look whether the source was stopped.
const TICK: Duration = Duration::from_millis(200);
/// Waiting times between attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the repetition of past events may take before the state is compared anyway.
const REPLAY: Duration = Duration::from_secs(1);
/// How far events may be out of order: the engine stamps concurrent ones before it sends them one after the other. A new
/// connection asks for that much again.
const DISORDER_NS: u64 = 1_000_000_000;
/// The engine repeats at most 256 past events; twice that many are remembered to tell repetitions.
const REMEMBERED: usize = 512;
/// How much of a line that is no event is kept.
const MAX_MALFORMED: usize = 4096;

/// The state of the draining thread.
#[derive(Debug)]
pub(super) struct Follower {
    client: Client,
    engine: String,
    outbox: Outbox,
    jobs: SyncSender<Job>,
    /// When the inspector has to be told to look at everything, unless the stream falls silent before.
    reconcile_at: Option<Instant>,
    /// Before this time nothing is asked for.
    start_ns: u64,
    /// Time of the latest event.
    latest_ns: u64,
    seen: Seen,
    lost_at_ns: Option<u64>,
}

impl Follower {
    pub(super) fn new(client: Client, engine: String, outbox: Outbox, jobs: SyncSender<Job>, start_ns: u64) -> Self {
        Follower {
            client,
            engine,
            outbox,
            jobs,
            reconcile_at: None,
            start_ns,
            latest_ns: start_ns,
            seen: Seen::default(),
            lost_at_ns: None,
        }
    }

    /// Follows the engine until the source is stopped.
    pub(super) fn run(mut self) {
        let mut backoff = BACKOFF.0;
        while !self.outbox.is_stopped() {
            let connected = Instant::now();
            let reason = match self.client.events(self.since_ns()) {
                Ok(stream) => self.drain(stream),
                Err(error) => error.to_string(),
            };
            if self.outbox.is_stopped() {
                return;
            }
            if self.lost_at_ns.is_none() {
                let at_ns = now_ns();
                self.lost_at_ns = Some(at_ns);
                self.outbox.send(DockerMessage::Lost { at_ns, reason });
            }
            if connected.elapsed() > BACKOFF.1 {
                backoff = BACKOFF.0;
            }
            self.pause(backoff);
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Where the next connection continues.
    fn since_ns(&self) -> u64 {
        self.latest_ns.saturating_sub(DISORDER_NS).max(self.start_ns)
    }

    /// Reads one connection to its end; returns why it ended.
    fn drain(&mut self, mut stream: Response) -> String {
        self.connected();
        let mut lines = Lines::default();
        loop {
            if self.outbox.is_stopped() {
                return String::new();
            }
            match self.read(&mut stream, &mut lines) {
                Ok(Progress::Data) => self.reconcile_if(|at| Instant::now() >= at),
                Ok(Progress::Idle) => {
                    self.outbox.report_shed();
                    self.reconcile_if(|_| true);
                }
                Ok(Progress::End) => return self.client.http_error(HttpError::Closed).to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    fn connected(&mut self) {
        self.seen.reconnected(self.latest_ns);
        if let Some(lost_at_ns) = self.lost_at_ns.take() {
            let at_ns = now_ns();
            self.outbox.send(DockerMessage::Found {
                at_ns,
                window: (lost_at_ns, at_ns),
            });
            // Only when the repeated events were read: the end of a container that they tell is no silent one.
            self.reconcile_at = Some(Instant::now() + REPLAY);
        } else {
            self.ask(Job::Reconcile);
        }
    }

    fn read(&mut self, stream: &mut Response, lines: &mut Lines) -> Result<Progress, DockerError> {
        stream.set_wait(TICK).map_err(|e| self.client.http_error(e.into()))?;
        let progress = stream.read(lines.buffer()).map_err(|e| self.client.http_error(e))?;
        while let Some(line) = lines.next_line() {
            self.line(line);
        }
        if lines.take_overlong() > 0 {
            self.malformed(format!("event of more than {MAX_LINE} bytes"), &[]);
        }
        Ok(progress)
    }

    fn reconcile_if(&mut self, due: impl Fn(Instant) -> bool) {
        if self.reconcile_at.take_if(|at| due(*at)).is_some() {
            self.ask(Job::Reconcile);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let event = match DockerEvent::parse(line) {
            Ok(event) => DockerEvent {
                engine: self.engine.clone().into(),
                ..event.into_owned()
            },
            Err(error) => return self.malformed(error.to_string(), line),
        };
        if !self.seen.is_new(event.ts_ns, line) {
            return;
        }
        self.latest_ns = self.latest_ns.max(event.ts_ns);
        self.look_at(&event);
        self.outbox.send(DockerMessage::Event(Box::new(event)));
    }

    fn malformed(&mut self, reason: String, line: &[u8]) {
        self.outbox.send(DockerMessage::Malformed {
            at_ns: now_ns(),
            reason,
            line: line.get(..line.len().min(MAX_MALFORMED)).unwrap_or_default().to_vec(),
        });
    }

    /// Has the event's container inspected where the event may have changed what is known of it.
    fn look_at(&mut self, event: &DockerEvent<'_>) {
        let Some(id) = event.container() else { return };
        let look = |changed| {
            let mut fallback = event.as_container(&self.engine);
            id.clone_into(&mut fallback.id);
            Job::Look {
                fallback: Box::new(fallback),
                changed,
            }
        };
        let job = match (&*event.kind, event.verb()) {
            ("container", "start" | "restart" | "rename" | "update") => look(true),
            ("container", "die") => Job::Ended(id.to_owned()),
            ("container", "destroy" | "remove") => Job::Removed(id.to_owned()),
            ("container", _) => look(false),
            _ => return,
        };
        self.ask(job);
    }

    fn ask(&mut self, job: Job) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(job) {
            // The inspector has to look at everything, when there is room.
            self.reconcile_at = Some(Instant::now() + REPLAY);
        }
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.outbox.is_stopped() && Instant::now() < until {
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// Tells events that a new connection repeats.
#[derive(Debug, Default)]
struct Seen {
    /// Time and digest of the last events. Equal bytes with an equal nanosecond are the same event.
    recent: VecDeque<(u64, u64)>,
    /// Up to this time an event may be a repetition.
    horizon_ns: u64,
}

impl Seen {
    fn reconnected(&mut self, latest_ns: u64) {
        self.horizon_ns = latest_ns;
    }

    /// Whether the event was not seen before; remembers it.
    fn is_new(&mut self, ts_ns: u64, line: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        hasher.write(line);
        let entry = (ts_ns, hasher.finish());
        if ts_ns <= self.horizon_ns && self.recent.contains(&entry) {
            return false;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(entry);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_told_from_events_of_the_same_instant() {
        let mut seen = Seen::default();
        assert!(seen.is_new(5, b"a"));
        assert!(seen.is_new(7, b"b"));
        seen.reconnected(7);
        assert!(!seen.is_new(7, b"b"), "the last event is repeated");
        assert!(seen.is_new(7, b"c"), "another event of the same instant");
        assert!(seen.is_new(6, b"d"), "an event that was late");
        assert!(!seen.is_new(5, b"a"));
        assert!(seen.is_new(8, b"e"));
    }
}
