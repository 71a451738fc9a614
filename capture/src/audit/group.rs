//! Puts the records of an event together. Records of different events interleave, serials and times run backwards by a
//! few, and only netlink says when an event is complete; so an event stays open for a while.

use std::collections::BTreeMap;

use super::event::AuditEvent;
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
    open: BTreeMap<Key, Open>,
    open_bytes: usize,
    stragglers_ns: u64,
    spare: Vec<Box<AuditEvent>>,
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
    event: Box<AuditEvent>,
    touched_ns: u64,
}

impl Grouper {
    /// An event is complete when it got no record for this long.
    pub fn new(stragglers_ns: u64) -> Grouper {
        Grouper {
            open: BTreeMap::new(),
            open_bytes: 0,
            stragglers_ns,
            spare: Vec::new(),
        }
    }

    /// Takes back the memory of an event that is not needed any more.
    pub(crate) fn reuse(&mut self, event: Box<AuditEvent>) {
        if self.spare.len() < SPARE && event.capacity() <= SPARE_BYTES {
            self.spare.push(event);
        }
    }

    /// The stamp of the oldest event that is open.
    pub fn oldest_open_ns(&self) -> Option<u64> {
        self.open.keys().next().map(|(ts, ..)| *ts)
    }

    /// Takes a record and the line it is kept as; appends the events that are complete to `done`.
    pub fn push(&mut self, record: &Record<'_>, line: &[u8], now_ns: u64, done: &mut Vec<Box<AuditEvent>>) {
        self.push_from(Origin::default(), record, line, now_ns, done);
    }

    /// Takes a record of a file.
    pub fn push_from(
        &mut self,
        origin: Origin,
        record: &Record<'_>,
        line: &[u8],
        now_ns: u64,
        done: &mut Vec<Box<AuditEvent>>,
    ) {
        let key = key(&record.stamp);
        if record.kind == RecordType::EOE {
            done.extend(self.close(&key));
            return;
        }
        let spare = &mut self.spare;
        let open = self.open.entry(key.clone()).or_insert_with(|| {
            let mut event = spare.pop().unwrap_or_default();
            event.begin(&record.stamp, origin);
            Open {
                event,
                touched_ns: now_ns,
            }
        });
        let before = open.event.raw.len();
        open.event.add(record, line);
        open.touched_ns = now_ns;
        self.open_bytes += open.event.raw.len() - before;
        if record.kind.is_single() {
            done.extend(self.close(&key));
        }
        while self.open.len() > MAX_OPEN || self.open_bytes > MAX_OPEN_BYTES {
            let Some(oldest) = self.open.keys().next().cloned() else {
                return;
            };
            done.extend(self.close(&oldest));
        }
    }

    /// Appends to `done` the events that got no record for as long as they wait. A record that comes even later makes an
    /// event of its own with the same serial.
    pub fn expire(&mut self, now_ns: u64, done: &mut Vec<Box<AuditEvent>>) {
        let late = |open: &Open| now_ns.saturating_sub(open.touched_ns) >= self.stragglers_ns;
        let keys: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, o)| late(o))
            .map(|(k, _)| k.clone())
            .collect();
        done.extend(keys.iter().filter_map(|key| self.close(key)));
    }

    /// Appends all that is still open to `done`.
    pub fn finish(&mut self, done: &mut Vec<Box<AuditEvent>>) {
        self.open_bytes = 0;
        let open = std::mem::take(&mut self.open);
        done.extend(open.into_values().map(|o| o.event));
    }

    fn close(&mut self, key: &Key) -> Option<Box<AuditEvent>> {
        let event = self.open.remove(key)?.event;
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
