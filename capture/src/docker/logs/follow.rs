//! The thread: opens a stream for each container, waits for all of them, and opens again what was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use super::entry::Entries;
use super::seen::Seen;
use super::{LogLine, LogMessage, Wanted};
use crate::docker::DockerSource;
use crate::docker::client::{Client, DockerError};
use crate::docker::event::DockerEvent;
use crate::docker::http::{HttpError, Progress, Response};
use crate::docker::lines::Lines;
use crate::docker::outbox::now_ns;

/// How often a silent engine is left to look whether the source was stopped.
const TICK: Duration = Duration::from_millis(200);
/// Waiting times between attempts to connect: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long streams that were cut wait until they are opened again.
const RETRY: Duration = Duration::from_secs(1);
/// What the engine has sent is handed over at the end, for no longer than this.
const LAST: Duration = Duration::from_secs(1);
/// Each stream is a descriptor, of which a process has 1024 by default.
const MAX_STREAMS: usize = 512;
/// How many containers that ended are remembered, for the case that they start again.
const MAX_ENDED: usize = 1024;
/// How far events may be out of order; a new connection asks for that much again.
const DISORDER_NS: u64 = 1_000_000_000;
/// How many starts are remembered to tell repeated ones.
const MAX_STARTS: usize = 512;

/// The log of a container that runs.
struct Stream {
    id: Arc<str>,
    response: Response,
    entries: Entries,
    seen: Seen,
    /// It started again before its stream had ended.
    started_again: bool,
    /// It had something new.
    brought: bool,
}

/// Why a log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its container runs, or has more to say.
    Started,
    /// The stream has ended, and there may be a rest. If not even the container is there, nobody can tell.
    Rest,
}

/// The state of the thread.
pub(super) struct Follower {
    client: Client,
    engine: String,
    sender: SyncSender<LogMessage>,
    stop: Arc<AtomicBool>,
    wanted: Wanted,
    start_ns: u64,
    /// Time of the latest event of the engine.
    latest_ns: u64,
    streams: BTreeMap<Arc<str>, Stream>,
    /// What was seen of containers without a stream.
    ended: BTreeMap<Arc<str>, Seen>,
    /// Those whose stream was cut: they have more to say.
    cut: BTreeSet<Arc<str>>,
    retry_at: Instant,
    starts: BTreeSet<(u64, String)>,
    lost_at_ns: Option<u64>,
}

impl Follower {
    pub(super) fn new(
        source: DockerSource,
        sender: SyncSender<LogMessage>,
        stop: Arc<AtomicBool>,
        start_ns: u64,
        wanted: Wanted,
    ) -> Follower {
        Follower {
            client: source.client,
            engine: source.info.engine,
            sender,
            stop,
            wanted,
            start_ns,
            latest_ns: start_ns,
            streams: BTreeMap::new(),
            ended: BTreeMap::new(),
            cut: BTreeSet::new(),
            retry_at: Instant::now(),
            starts: BTreeSet::new(),
            lost_at_ns: None,
        }
    }

    /// Follows the engine until the source is stopped.
    pub(super) fn run(mut self) {
        let mut backoff = BACKOFF.0;
        while !self.is_stopped() {
            let connected = Instant::now();
            // What the engine tells of the time before the recording is of no interest.
            let since = self.latest_ns.saturating_sub(DISORDER_NS).max(self.start_ns);
            let reason = match self.client.events(since) {
                Ok(events) => self.serve(events),
                Err(error) => error.to_string(),
            };
            self.read_last();
            if self.is_stopped() {
                return;
            }
            self.lost(reason);
            if connected.elapsed() > BACKOFF.1 {
                backoff = BACKOFF.0;
            }
            self.pause(backoff);
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for room: the engine keeps what is not read yet.
    fn send(&self, message: LogMessage) {
        if self.sender.send(message).is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn lost(&mut self, reason: String) {
        for id in self.streams.keys().cloned().collect::<Vec<_>>() {
            self.close(&id);
            self.cut.insert(id);
        }
        if self.lost_at_ns.is_none() {
            let at_ns = now_ns();
            self.lost_at_ns = Some(at_ns);
            self.send(LogMessage::Lost { at_ns, reason });
        }
    }

    /// Follows events and logs until the events end; returns why they did.
    fn serve(&mut self, mut events: Response) -> String {
        if let Some(lost_ns) = self.lost_at_ns.take() {
            let at_ns = now_ns();
            self.send(LogMessage::Found { at_ns, lost_ns });
        }
        match self.client.running() {
            Ok(ids) => ids.iter().for_each(|id| self.open(id, Why::Started)),
            Err(error) => return error.to_string(),
        }
        if let Err(error) = events.set_wait(Duration::from_millis(1)) {
            return error.to_string();
        }
        let mut lines = Lines::default();
        // What came together with the head no descriptor tells of.
        let mut events_ready = true;
        while !self.is_stopped() {
            if events_ready && let Err(reason) = self.read_events(&mut events, &mut lines) {
                return reason;
            }
            if Instant::now() >= self.retry_at {
                self.retry();
            }
            let ready = self.wait(events.as_raw_fd(), TICK);
            events_ready = ready.0;
            ready.1.iter().for_each(|id| self.read(id));
        }
        String::new()
    }

    /// Waits until something can be read: events, and the logs of which containers.
    fn wait(&self, events: RawFd, time: Duration) -> (bool, Vec<Arc<str>>) {
        let of_streams = self.streams.values().map(|s| s.response.as_raw_fd());
        let mut polled: Vec<libc::pollfd> = std::iter::once(events)
            .chain(of_streams)
            .map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        let millis = libc::c_int::try_from(time.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the pointer and the number are those of a vector of valid descriptors, which lives through the call.
        let n = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) };
        if n <= 0 {
            return (false, Vec::new());
        }
        let mut ready = polled.iter().map(|p| p.revents != 0);
        let of_events = ready.next().unwrap_or(false);
        let ids = self.streams.keys().zip(ready).filter(|(_, ready)| *ready);
        (of_events, ids.map(|(id, _)| id.clone()).collect())
    }

    fn read_events(&mut self, events: &mut Response, lines: &mut Lines) -> Result<(), String> {
        let closed = || self.client.http_error(HttpError::Closed).to_string();
        match events.read(lines.buffer()) {
            Ok(Progress::End) => return Err(closed()),
            Ok(_) => {}
            Err(error) => return Err(self.client.http_error(error).to_string()),
        }
        while let Some(line) = lines.next_line() {
            // The source of the engine's events reports what is none.
            let Ok(event) = DockerEvent::parse(line) else { continue };
            self.latest_ns = self.latest_ns.max(event.ts_ns);
            let is_start = event.kind == "container" && event.verb() == "start";
            if is_start && self.starts.insert((event.ts_ns, event.id.to_string())) {
                if self.starts.len() > MAX_STARTS {
                    self.starts.pop_first();
                }
                self.open(&event.id, Why::Started);
            }
        }
        Ok(())
    }

    /// Opens the log of a container, if it is wanted and not open.
    fn open(&mut self, id: &str, why: Why) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.started_again = true;
            return;
        }
        let id: Arc<str> = Arc::from(id);
        let mut seen = self.ended.remove(&id).unwrap_or_else(|| Seen::new(self.start_ns));
        self.cut.remove(&id);
        match self.connect(&id, &mut seen) {
            Ok(Some((response, is_tty))) => {
                let stream = Stream {
                    id: id.clone(),
                    response,
                    entries: Entries::new(is_tty),
                    seen,
                    started_again: false,
                    brought: false,
                };
                self.streams.insert(id.clone(), stream);
                // What came together with the head no descriptor tells of.
                self.read(&id);
            }
            Ok(None) => {}
            // The engine is away: once more when it is back.
            Err(DockerError::Http { .. }) => {
                self.remember(id.clone(), seen);
                self.cut.insert(id);
            }
            Err(DockerError::Status { .. }) if why == Why::Rest => {}
            Err(error) => self.unread(&id, &seen, &error.to_string()),
        }
    }

    fn connect(&mut self, id: &str, seen: &mut Seen) -> Result<Option<(Response, bool)>, DockerError> {
        let found = self.client.container(id)?;
        if !(self.wanted)(id, found.name()) {
            return Ok(None);
        }
        if self.streams.len() >= MAX_STREAMS {
            self.unread(id, seen, &format!("more than {MAX_STREAMS} containers run"));
            return Ok(None);
        }
        let since = seen.connect();
        // Before the rest of what is asked about it: a container may end at any time, and its log with it.
        let response = self.client.logs(id, since)?;
        response
            .set_wait(Duration::from_millis(1))
            .map_err(|e| self.client.http_error(e.into()))?;
        let is_tty = found.has_terminal();
        let container = Arc::new(self.client.describe(found, &self.engine));
        self.send(LogMessage::Container(container));
        Ok(Some((response, is_tty)))
    }

    /// Reads what a container's stream has.
    fn read(&mut self, id: &Arc<str>) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let progress = stream.response.read(stream.entries.buffer());
        let ended = matches!(progress, Ok(Progress::End));
        let mut lines = Vec::new();
        let entries = stream.take(ended, &mut lines);
        lines.into_iter().for_each(|line| self.send(LogMessage::Line(line)));
        match (progress, entries) {
            (Ok(Progress::Data | Progress::Idle), Ok(())) => {}
            (Ok(Progress::End), Ok(())) => {
                // Engines close a stream that is followed when the container ends, sometimes before its last line.
                if let Some(again) = self.close(id) {
                    self.open(id, again);
                }
            }
            (Err(_), Ok(())) => {
                self.close(id);
                self.cut.insert(id.clone());
                self.retry_at = Instant::now() + RETRY;
            }
            (_, Err(reason)) => {
                let stream = self.streams.remove(id);
                if let Some(stream) = stream {
                    self.unread(id, &stream.seen, &reason);
                }
            }
        }
    }

    /// Forgets a stream; says whether there is reason to read on, and which.
    fn close(&mut self, id: &Arc<str>) -> Option<Why> {
        let stream = self.streams.remove(id)?;
        self.remember(id.clone(), stream.seen);
        match (stream.started_again, stream.brought) {
            (true, _) => Some(Why::Started),
            (false, true) => Some(Why::Rest),
            (false, false) => None,
        }
    }

    fn remember(&mut self, id: Arc<str>, seen: Seen) {
        if self.ended.len() >= MAX_ENDED {
            self.ended.pop_first();
        }
        self.ended.insert(id, seen);
    }

    fn retry(&mut self) {
        self.retry_at = Instant::now() + RETRY;
        for id in std::mem::take(&mut self.cut) {
            self.open(&id, Why::Started);
        }
    }

    fn unread(&self, id: &str, seen: &Seen, reason: &str) {
        let short = id.get(..12).unwrap_or(id);
        self.send(LogMessage::Unread {
            at_ns: now_ns(),
            from_ns: seen.latest_ns(),
            reason: format!("log of container {short}: {reason}"),
        });
    }

    /// Hands over what the engine has already sent.
    fn read_last(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < LAST {
            let (_, ready) = self.wait(-1, Duration::ZERO);
            if ready.is_empty() {
                return;
            }
            ready.iter().for_each(|id| self.read(id));
        }
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_stopped() && Instant::now() < until {
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
    }
}

impl Stream {
    /// Takes the entries that are whole.
    fn take(&mut self, ended: bool, lines: &mut Vec<LogLine>) -> Result<(), String> {
        while let Some(entry) = self.entries.next(ended).map_err(|e| e.to_string())? {
            if self.seen.is_new(&entry) {
                self.brought = true;
                lines.push(LogLine {
                    ts_ns: entry.ts_ns,
                    container: self.id.clone(),
                    stream: entry.stream,
                    text: entry.text.to_vec(),
                    is_partial: entry.is_partial,
                });
            }
        }
        Ok(())
    }
}
