//! Puts the records of an event together. Records of different events interleave, serials and times run backwards by a
//! few, and only netlink says when an event is complete; so an event stays open for a while.

use std::collections::VecDeque;

use super::event::BoxedEvent;
use crate::import::Origin;
use ctrace_trace::audit::{Record, RecordType, Stamp};

/// How long an event of a log waits for more records: auditd writes what it got in the kernel's order, which may be
/// seconds from the stamps' order.
pub const STRAGGLERS_NS: u64 = 1_500_000_000;
/// Most events that are open at once.
const MAX_OPEN: usize = 8192;
/// Most bytes that open events hold together.
const MAX_OPEN_BYTES: usize = 64 << 20;

/// Collects records into events.
///
/// Time is what the caller says it is: the monotonic clock for live records, for a file the latest time stamp seen. So
/// the events of a file do not depend on how fast it is read.
#[derive(Debug)]
pub struct Grouper {
    /// Sorted by key. Events begin nearly in that order, and most records are of one of the last.
    open: VecDeque<Open>,
    open_bytes: usize,
    stragglers_ns: u64,
    spare: Vec<BoxedEvent>,
}

impl Default for Grouper {
    /// For logs: waits for [`STRAGGLERS_NS`].
    fn default() -> Grouper {
        Grouper::new(STRAGGLERS_NS)
    }
}

/// Order of time, so that events that end together come out in order. Logs of one machine have no node: then two empty
/// texts would be compared with every record, which costs more than a full one.
type Key = (u64, u64, Option<Vec<u8>>);

/// So many events that are gone lend their memory to others, and none that has more. Of a log many are complete at once.
const SPARE: usize = 256;
const SPARE_BYTES: usize = 16 << 10;

#[derive(Debug)]
struct Open {
    key: Key,
    event: BoxedEvent,
    touched_ns: u64,
}

impl Grouper {
    /// An event is complete when it got no record for this long.
    pub fn new(stragglers_ns: u64) -> Grouper {
        Grouper {
            open: VecDeque::new(),
            open_bytes: 0,
            stragglers_ns,
            spare: Vec::new(),
        }
    }

    /// Takes back the memory of an event that is not needed any more.
    pub(crate) fn reuse(&mut self, event: BoxedEvent) {
        if self.spare.len() < SPARE && event.capacity() <= SPARE_BYTES {
            self.spare.push(event);
        }
    }

    /// The stamp of the oldest event that is open.
    pub fn oldest_open_ns(&self) -> Option<u64> {
        self.open.front().map(|open| open.key.0)
    }

    /// Takes a record and the line it is kept as; appends the events that are complete to `done`.
    pub fn push(&mut self, record: &Record<'_>, line: &[u8], now_ns: u64, done: &mut Vec<BoxedEvent>) {
        self.push_from(Origin::default(), record, line, now_ns, done);
    }

    /// Takes a record of a file.
    pub fn push_from(
        &mut self,
        origin: Origin,
        record: &Record<'_>,
        line: &[u8],
        now_ns: u64,
        done: &mut Vec<BoxedEvent>,
    ) {
        let key = key(&record.stamp);
        if record.kind == RecordType::EOE {
            done.extend(self.find(&key).ok().and_then(|at| self.close(at)));
            return;
        }
        let at = self.find(&key).unwrap_or_else(|at| {
            self.begin(at, key, &record.stamp, origin);
            at
        });
        let Some(open) = self.open.get_mut(at) else { return };
        let before = open.event.raw.len();
        open.event.add(record, line);
        open.touched_ns = now_ns;
        self.open_bytes += open.event.raw.len() - before;
        if record.kind.is_single() {
            done.extend(self.close(at));
        }
        while self.open.len() > MAX_OPEN || self.open_bytes > MAX_OPEN_BYTES {
            match self.close(0) {
                Some(oldest) => done.push(oldest),
                None => return,
            }
        }
    }

    /// Where the event of a key is, or would be.
    #[inline]
    fn find(&self, key: &Key) -> Result<usize, usize> {
        match self.open.back() {
            Some(last) if last.key == *key => Ok(self.open.len() - 1),
            Some(last) if last.key > *key => self.open.binary_search_by(|open| open.key.cmp(key)),
            _ => Err(self.open.len()),
        }
    }

    fn begin(&mut self, at: usize, key: Key, stamp: &Stamp<'_>, origin: Origin) {
        let mut event = self.spare.pop().unwrap_or_default();
        event.begin(stamp, origin);
        let open = Open {
            key,
            event,
            touched_ns: 0,
        };
        self.open.insert(at, open);
    }

    /// Appends to `done` the events that got no record for as long as they wait. A record that comes even later makes an
    /// event of its own with the same serial.
    pub fn expire(&mut self, now_ns: u64, done: &mut Vec<BoxedEvent>) {
        let wait = self.stragglers_ns;
        let late = |open: &Open| now_ns.saturating_sub(open.touched_ns) >= wait;
        if !self.open.iter().any(late) {
            return;
        }
        for open in std::mem::take(&mut self.open) {
            if late(&open) {
                self.open_bytes = self.open_bytes.saturating_sub(open.event.raw.len());
                done.push(open.event);
            } else {
                self.open.push_back(open);
            }
        }
    }

    /// Appends all that is still open to `done`.
    pub fn finish(&mut self, done: &mut Vec<BoxedEvent>) {
        self.open_bytes = 0;
        done.extend(self.open.drain(..).map(|open| open.event));
    }

    fn close(&mut self, at: usize) -> Option<BoxedEvent> {
        let event = self.open.remove(at)?.event;
        self.open_bytes = self.open_bytes.saturating_sub(event.raw.len());
        Some(event)
    }
}

fn key(stamp: &Stamp<'_>) -> Key {
    let node = (!stamp.node.is_empty()).then(|| stamp.node.to_vec());
    (stamp.ts_ns, stamp.serial, node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Feeds lines, each a tenth of a second after the one before; returns the serials as they come out.
    fn serials(lines: &[&str]) -> Vec<u64> {
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        for (at, line) in lines.iter().enumerate() {
            let record = Record::parse_line(line.as_bytes()).expect("record");
            grouper.push(&record, line.as_bytes(), at as u64 * SECOND / 10, &mut done);
        }
        grouper.finish(&mut done);
        done.iter().map(|e| e.serial).collect()
    }

    #[test]
    fn interleaved_records_come_together_and_the_end_record_ends_an_event() {
        let lines = [
            "type=SYSCALL msg=audit(1.004:8): syscall=1",
            "type=SYSCALL msg=audit(1.000:7): syscall=2",
            "type=CWD msg=audit(1.004:8): cwd=\"/\"",
            "type=EOE msg=audit(1.004:8): ",
            "type=CWD msg=audit(1.000:7): cwd=\"/\"",
            "type=USER_CMD msg=audit(1.008:9): pid=1",
            "type=SECCOMP msg=audit(1.009:10): pid=1",
        ];
        assert_eq!(serials(&lines), [8, 9, 10, 7]);
    }

    #[test]
    fn an_event_without_end_waits_for_stragglers() {
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        let line = b"type=LOGIN msg=audit(1.004:8): pid=5";
        grouper.push(&Record::parse_line(line).expect("record"), line, 0, &mut done);
        grouper.expire(STRAGGLERS_NS - 1, &mut done);
        assert!(done.is_empty());
        assert_eq!(grouper.oldest_open_ns(), Some(SECOND + 4_000_000));
        grouper.expire(STRAGGLERS_NS, &mut done);
        assert_eq!((done.len(), done[0].pid), (1, Some(5)));
        assert_eq!(grouper.oldest_open_ns(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut grouper, mut done) = (Grouper::default(), Vec::new());
        let filler = "x".repeat(8000);
        for serial in 0..20_000 {
            let line = format!("type=PATH msg=audit(1.004:{serial}): name={filler}");
            let record = Record::parse_line(line.as_bytes()).expect("record");
            grouper.push(&record, line.as_bytes(), 0, &mut done);
            assert!(grouper.open.len() <= MAX_OPEN && grouper.open_bytes <= MAX_OPEN_BYTES);
        }
        grouper.finish(&mut done);
        assert!(
            done.iter().map(|e| e.serial).eq(0..20_000),
            "closed early, but none lost, oldest first"
        );
    }
}
