//! Logs of the Linux audit system: auditd's raw and enriched format, collected logs, rotated sets, the kernel's own log,
//! and what `ausearch` prints of them with `--raw` and without.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::lines::{self, Line};
use super::processes::{Hosts, Seen};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use crate::audit::{AuditEvent, BoxedEvent, Grouper, Record, RecordType, STRAGGLERS_NS};

/// The importer of audit logs.
pub(super) struct AuditLog;

impl Importer for AuditLog {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let mut lines = lines::first(start).filter(|l| !is_between(l));
        match lines.next() {
            Some(first) if record(first).is_some() => Confidence::Likely,
            // A log of the kernel has other lines as well.
            Some(_) if lines.any(|l| record(l).is_some()) => Confidence::Possible,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(record).map(|r| r.stamp.ts_ns)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::default())
    }
}

fn record(line: &[u8]) -> Option<Record<'_>> {
    // A journal's JSON has such texts in it.
    Record::parse_line(line).ok().filter(|_| !line.starts_with(b"{"))
}

/// What `ausearch` prints between events.
fn is_between(line: &[u8]) -> bool {
    line == b"----" || line.starts_with(b"time->")
}

/// How far a stamp goes back before it is taken for a clock that was set, or for another machine's.
const STEP_NS: u64 = 10_000_000_000;
/// How often open events are looked at, on the log's clock.
const LOOK_NS: u64 = STRAGGLERS_NS / 30;
/// Most events and bytes that wait for their place in the order of time.
const MAX_WAITING: usize = 1 << 16;
const MAX_WAITING_BYTES: usize = 64 << 20;

/// The reading of a log. Events may have records in two files of a rotated set.
#[derive(Default)]
struct Log {
    grouper: Grouper,
    done: Vec<BoxedEvent>,
    order: Order,
    hosts: Hosts,
    /// How much time has passed by the log's stamps; runs forward only.
    clock_ns: u64,
    latest_ns: u64,
    looked_ns: u64,
}

/// Complete events, until nothing older is to be expected.
#[derive(Default)]
struct Order {
    /// Sorted by their times; of one time in the order of their coming.
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    ts_ns: u64,
    /// Since when, by the log's clock.
    since_ns: u64,
    event: BoxedEvent,
}

impl Order {
    fn push(&mut self, clock_ns: u64, event: BoxedEvent) {
        self.bytes += event.raw.len();
        let ts_ns = event.ts_ns;
        // Nearly every one is the latest.
        let at = match self.waiting.back() {
            Some(last) if last.ts_ns > ts_ns => self.waiting.partition_point(|w| w.ts_ns <= ts_ns),
            _ => self.waiting.len(),
        };
        let waiting = Waiting {
            ts_ns,
            since_ns: clock_ns,
            event,
        };
        self.waiting.insert(at, waiting);
    }

    /// The oldest, if it waited long enough and nothing older is open.
    fn pop(&mut self, clock_ns: u64, oldest_open_ns: Option<u64>) -> Option<BoxedEvent> {
        let oldest = self.waiting.front()?;
        let waited = clock_ns.saturating_sub(oldest.since_ns) >= STRAGGLERS_NS;
        let full = self.waiting.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES;
        if full || waited && oldest_open_ns.is_none_or(|open| oldest.ts_ns <= open) {
            let event = self.waiting.pop_front()?.event;
            self.bytes = self.bytes.saturating_sub(event.raw.len());
            return Some(event);
        }
        None
    }
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        lines::each(input, sink, |line, sink| self.line(line, sink))
    }

    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        self.grouper.finish(&mut self.done);
        self.settle();
        self.write(u64::MAX, None, sink)
    }
}

impl Log {
    fn line(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let record = match Record::parse_line(line.text) {
            Ok(record) => record,
            Err(_) if is_between(line.text) => return Ok(()),
            Err(error) if is_meant(line.text) => {
                return sink.bad(line.origin, self.written_ns(), &error.to_string(), line.text);
            }
            Err(_) => return sink.unknown(line.origin, self.written_ns(), "no audit record", line.text),
        };
        self.tick(record.stamp.ts_ns);
        self.grouper
            .push_from(line.origin, &record, line.text, self.clock_ns, &mut self.done);
        if self.clock_ns - self.looked_ns >= LOOK_NS {
            self.looked_ns = self.clock_ns;
            self.grouper.expire(self.clock_ns, &mut self.done);
        }
        if self.done.is_empty() {
            return Ok(());
        }
        self.settle();
        self.write(self.clock_ns, self.grouper.oldest_open_ns(), sink)
    }

    /// Lets the log's clock run to a stamp. One wrong stamp in the future must not hold up all that follow.
    fn tick(&mut self, ts_ns: u64) {
        if self.latest_ns == 0 || ts_ns.saturating_add(STEP_NS) < self.latest_ns {
            self.latest_ns = ts_ns;
        }
        let passed = ts_ns.saturating_sub(self.latest_ns);
        self.clock_ns = self.clock_ns.saturating_add(passed);
        self.latest_ns += passed;
    }

    /// The time up to which events are written: that of the next one.
    fn written_ns(&self) -> u64 {
        let open = self.grouper.oldest_open_ns();
        let next = open
            .into_iter()
            .chain(self.order.waiting.front().map(|waiting| waiting.ts_ns));
        next.min().unwrap_or(self.latest_ns)
    }

    fn settle(&mut self) {
        for event in self.done.drain(..) {
            self.order.push(self.clock_ns, event);
        }
    }

    fn write(&mut self, clock_ns: u64, oldest_open_ns: Option<u64>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        while let Some(event) = self.order.pop(clock_ns, oldest_open_ns) {
            let origin = event.origin;
            let image = seen(&event).map(|seen| self.hosts.of(&event.node).see(&seen));
            event.with_event(image, |e| sink.event(origin, e))?;
            if event.cut_records > 0 {
                let reason = format!(
                    "event {} is too long: {} records of it are left out",
                    event.serial, event.cut_records
                );
                sink.bad(origin, event.ts_ns, &reason, b"")?;
            }
            self.grouper.reuse(event);
        }
        Ok(())
    }
}

/// Whether a line that is no record was meant to be one.
fn is_meant(line: &[u8]) -> bool {
    line.starts_with(b"type=") || line.starts_with(b"node=") || memchr::memmem::find(line, b"audit(").is_some()
}

/// What an event says of the process that acted.
pub(super) fn seen(event: &AuditEvent) -> Option<Seen<'_>> {
    let actor = &event.actor;
    let text = |text| actor.text(text).map(Cow::Borrowed);
    let is_exec = event.types.contains(&RecordType::EXECVE) && event.success != Some(false);
    Some(Seen {
        pid: event.pid?,
        ppid: actor.ppid,
        uid: actor.uid,
        euid: actor.euid,
        gid: actor.gid,
        egid: actor.egid,
        loginuid: actor.loginuid,
        user: text(actor.user),
        real_user: text(actor.real_user),
        group: text(actor.group),
        login_user: text(actor.login_user),
        name: text(actor.name),
        exe_path: text(actor.exe_path),
        argv: is_exec.then(|| event.exec_line().into()),
        cwd: text(actor.cwd),
        exec_ts: is_exec.then_some(event.ts_ns),
        ..Seen::default()
    })
}
