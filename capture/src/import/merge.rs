//! Several captures and logs in one case, in the order of time.
//!
//! Each set of files is read by a thread of its own, with state of its own: it may be of another machine. Batches of
//! events come through short channels, so that memory depends on how many files overlap in time and not on their sizes.
//! A set whose first event is known to be later than what is being written is not begun yet, unless the case
//! takes its host from it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, Scope};

use super::batch::{Batch, Message, Sender};
use super::output::{Output, Refused};
use super::sets::Set;
use super::sink::{Sink, Way};
use super::{FileReport, ImportError, ImportOptions, Origin};

/// More sets are not read at the same time: each takes a thread, an open file and about a megabyte.
pub(super) const MAX_AT_ONCE: usize = 512;
/// Batches that wait to be merged.
const WAITING: usize = 2;

/// Reads all sets into the case. Gives the reports of the files in the order of the sets.
pub(super) fn merge(
    options: &ImportOptions,
    sets: Vec<Set>,
    read: &[Arc<AtomicU64>],
    output: &mut Output<'_>,
) -> Result<Vec<FileReport>, ImportError> {
    thread::scope(|scope| {
        let mut merging = Merging::new(options, sets, read);
        loop {
            match merging.heads.pop() {
                Some(Reverse((ts, at))) if merging.is_due(ts) => {
                    merging.heads.push(Reverse((ts, at)));
                    merging.begin_due(scope, ts, output)?;
                }
                Some(Reverse((_, at))) => merging.write(at, output)?,
                None => match merging.next_begin() {
                    Some(ts) => merging.begin_due(scope, ts, output)?,
                    None => return Ok(merging.reports()),
                },
            }
        }
    })
}

struct Merging<'a> {
    options: &'a ImportOptions,
    /// Sets that are not begun, the next one last.
    later: Vec<(usize, Set)>,
    read: &'a [Arc<AtomicU64>],
    open: Vec<Option<Lane>>,
    running: usize,
    /// The time of the next event of each lane.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    reports: Vec<Vec<FileReport>>,
    refused: Vec<(u64, Origin, String)>,
}

/// A set that is being read.
struct Lane {
    channel: Receiver<Message>,
    batch: Batch,
    next: usize,
}

impl<'a> Merging<'a> {
    fn new(options: &'a ImportOptions, sets: Vec<Set>, read: &'a [Arc<AtomicU64>]) -> Merging<'a> {
        let count = sets.len();
        let mut later: Vec<(usize, Set)> = sets.into_iter().enumerate().collect();
        later.sort_by_key(|(at, set)| Reverse((set.begins, *at)));
        Merging {
            options,
            later,
            read,
            open: (0..count).map(|_| None).collect(),
            running: 0,
            heads: BinaryHeap::new(),
            reports: (0..count).map(|_| Vec::new()).collect(),
            refused: Vec::new(),
        }
    }

    /// Whether a set is to be begun before an event of that time is written.
    fn is_due(&self, ts: u64) -> bool {
        self.running < MAX_AT_ONCE && self.next_begin().is_some_and(|begin| begin <= ts)
    }

    /// When the next set is to be begun.
    fn next_begin(&self) -> Option<u64> {
        self.later.last().map(|(_, set)| set.begins)
    }

    /// Begins the sets that may have events up to that time.
    fn begin_due<'s>(&mut self, scope: &'s Scope<'s, '_>, ts: u64, output: &mut Output<'_>) -> Result<(), ImportError>
    where
        'a: 's,
    {
        let mut begun = Vec::new();
        while self.is_due(ts) {
            let Some((at, set)) = self.later.pop() else { break };
            let (channel, receiver) = sync_channel(WAITING);
            let (options, read) = (self.options, self.read.get(at).cloned().unwrap_or_default());
            scope.spawn(move || read_apart(options, set, read, Sender::new(channel)));
            self.running += 1;
            begun.push((at, receiver));
        }
        // The first files first: the case takes its host from them.
        begun.sort_by_key(|(at, _)| *at);
        for (at, channel) in begun {
            if let Ok(Message::Opening(opening)) = channel.recv() {
                output.open_with(*opening);
            }
            let lane = Lane {
                channel,
                batch: Batch::default(),
                next: 0,
            };
            self.go_on(at, lane)?;
        }
        Ok(())
    }

    /// Finds the next event of a lane, which may be the end of it.
    fn go_on(&mut self, at: usize, mut lane: Lane) -> Result<(), ImportError> {
        loop {
            if let Some(ts) = lane.batch.ts(lane.next) {
                self.heads.push(Reverse((ts, at)));
                if let Some(place) = self.open.get_mut(at) {
                    *place = Some(lane);
                }
                return Ok(());
            }
            match lane.channel.recv() {
                Ok(Message::Batch(batch)) => (lane.batch, lane.next) = (batch, 0),
                Ok(Message::Opening(_)) => {}
                Ok(Message::End(reports)) => {
                    self.running -= 1;
                    if let Some(place) = self.reports.get_mut(at) {
                        *place = reports?;
                    }
                    return Ok(());
                }
                // Its thread broke off, which the end of the scope tells.
                Err(_) => return Err(ImportError::Interrupted),
            }
        }
    }

    /// Writes what the lane has before the next one's turn.
    fn write(&mut self, at: usize, output: &mut Output<'_>) -> Result<(), ImportError> {
        let Some(mut lane) = self.open.get_mut(at).and_then(Option::take) else {
            return Ok(());
        };
        let other = self.heads.peek().map_or(u64::MAX, |Reverse((ts, _))| *ts);
        let begins = self.next_begin().filter(|_| self.running < MAX_AT_ONCE);
        let until = begins.map_or(other, |begin| other.min(begin));
        loop {
            let place = lane.batch.with(lane.next, |origin, event| {
                let written = output.event(origin, event);
                written.map(|refused| refused.zip(origin.map(|o| (o.file.id, o.offset, o.line))))
            });
            lane.next += 1;
            if let Some((Refused(reason), (file, offset, line))) = place.transpose()?.flatten() {
                let origin = Origin { file: 0, offset, line };
                self.refused.push((file, origin, reason));
            }
            if lane.batch.ts(lane.next).is_none_or(|ts| ts > until) {
                return self.go_on(at, lane);
            }
        }
    }

    fn reports(self) -> Vec<FileReport> {
        let mut reports: Vec<FileReport> = self.reports.into_iter().flatten().collect();
        for (file, origin, reason) in self.refused {
            if let Some(report) = reports.iter_mut().find(|r| r.id == file) {
                report.note_bad(origin, &reason);
            }
        }
        reports
    }
}

/// Reads a set on a thread of its own.
fn read_apart(options: &ImportOptions, set: Set, read: Arc<AtomicU64>, sender: Sender) {
    let mut sink = Sink::new(options, Way::Merge(Box::new(sender)), read);
    let done = set.read(&mut sink);
    let (files, way) = sink.finish();
    if let Way::Merge(sender) = way {
        sender.finish(done.map(|()| files));
    }
}
