//! One order of time out of records that come ring by ring.
//!
//! Records wait here until nothing older can come any more. Those of one time keep the order of arrival within their ring,
//! so that what one thread did stays in its order, and the first ring comes first. A record is copied once, when it
//! comes: on a busy host there are millions a second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chunks::{Chunks, Place};
use crate::ahead::fetch_lines;

/// So many records ahead of that which leaves are fetched into the cache: they came long ago, and in another order.
const AHEAD: usize = 6;
/// Of a record so many cache lines are fetched: most have no more.
const FETCHED: usize = 5;
/// What comes behind newer records of its ring mostly belongs before one of the last so many.
const NEAR: usize = 64;

/// Records that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the number of the ring.
    rings: Vec<Queued>,
    /// When the oldest of each ring was made that is ready to leave; kept for its room.
    oldest: BinaryHeap<Reverse<(u64, usize)>>,
    chunks: Chunks,
    bytes: usize,
}

/// A record that waits.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ts: u64,
    place: Place,
    len: u32,
}

impl Waiting {
    /// Takes a record of a ring, which begins so far in what is kept next, at a multiple of eight.
    #[inline]
    pub(super) fn push(&mut self, ring: usize, ts: u64, at: usize, len: usize) {
        let (Ok(size), Some(place)) = (u32::try_from(len), self.chunks.push(at)) else {
            return;
        };
        self.bytes += len;
        if self.rings.len() <= ring {
            self.rings.resize_with(ring + 1, Queued::default);
        }
        if let Some(queued) = self.rings.get_mut(ring) {
            queued.push(ts, place, size);
        }
    }

    /// Keeps the bytes in which those records lie that were taken since the last were kept.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.chunks.keep(bytes);
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The time up to which records must leave so that about this many bytes are left; 0 where no more wait.
    pub(super) fn all_but(&mut self, bytes: usize) -> u64 {
        self.sort();
        let mut newest: BinaryHeap<(u64, usize)> = BinaryHeap::new();
        let mut waiting: Vec<&[Entry]> = self.rings.iter().map(Queued::waiting).collect();
        let ts = |waiting: &[Entry]| waiting.last().map(|entry| entry.ts);
        newest.extend(
            waiting
                .iter()
                .enumerate()
                .filter_map(|(ring, of)| Some((ts(of)?, ring))),
        );
        let mut left = 0;
        while let Some((made, ring)) = newest.pop() {
            let Some(of) = waiting.get_mut(ring) else { break };
            let Some((last, others)) = of.split_last() else { break };
            left += last.len as usize;
            if left > bytes {
                return made;
            }
            *of = others;
            newest.extend(ts(others).map(|ts| (ts, ring)));
        }
        0
    }

    /// Hands over what is not newer than `horizon`, oldest first and at most so many; the rest goes on waiting. Says up to
    /// which time all was handed over.
    pub(super) fn release(&mut self, horizon: u64, most: usize, each: &mut impl FnMut(u64, &[u8])) -> u64 {
        self.sort();
        let Waiting {
            rings,
            oldest,
            chunks,
            bytes,
        } = self;
        oldest.clear();
        for (ring, queued) in rings.iter_mut().enumerate() {
            oldest.extend(queued.make_ready(horizon).map(|ts| Reverse((ts, ring))));
        }
        let (mut last, mut left) = (0, most);
        while left > 0
            && let Some(Reverse((_, ring))) = oldest.pop()
            && let Some(queued) = rings.get_mut(ring)
        {
            // As long as no other ring has an older one: what is done one after the other mostly lies in one ring.
            let until = oldest.peek().map_or((u64::MAX, usize::MAX), |other| other.0);
            let mut ready = queued.ready();
            while let Some((entry, others)) = ready.split_first()
                && left > 0
                && (entry.ts, ring) <= until
            {
                if let Some(record) = others.get(AHEAD - 1).and_then(|ahead| chunks.from(ahead.place)) {
                    fetch_lines::<FETCHED>(record.as_ptr());
                }
                last = entry.ts;
                *bytes -= entry.len as usize;
                chunks.take(entry.place, entry.len as usize, |record| each(entry.ts, record));
                ready = others;
                left -= 1;
            }
            let (next, count) = (ready.first().map(|next| next.ts), ready.len());
            queued.keep_ready(count);
            oldest.extend(next.map(|ts| Reverse((ts, ring))));
        }
        let reached = if oldest.is_empty() { horizon } else { last };
        rings.iter_mut().for_each(Queued::forget);
        reached
    }

    fn sort(&mut self) {
        self.rings.iter_mut().for_each(Queued::sort);
    }
}

/// The records of a ring, which come nearly in the order of time.
#[derive(Debug, Default)]
struct Queued {
    /// Oldest first, from `released` on.
    entries: Vec<Entry>,
    released: usize,
    /// Up to where they are ready to leave.
    ready: usize,
    newest: u64,
    /// Something came so late that the order is still to be made.
    is_unsorted: bool,
}

impl Queued {
    /// Takes a record. Its parts, not an entry, which would be written one by one, and read again as a whole: the processor
    /// waits for that.
    #[inline]
    fn push(&mut self, ts: u64, place: Place, len: u32) {
        if ts < self.newest {
            return self.insert(ts, place, len);
        }
        self.newest = ts;
        self.entries.push(Entry { ts, place, len });
    }

    /// Takes what is older than another.
    #[inline(never)]
    fn insert(&mut self, ts: u64, place: Place, len: u32) {
        let entry = Entry { ts, place, len };
        let from = self.released.max(self.entries.len().saturating_sub(NEAR));
        let near = self.entries.get(from..).unwrap_or_default();
        let newer = near.iter().rev().take_while(|near| near.ts > entry.ts).count();
        // Of what waits before these some may be newer too.
        self.is_unsorted |= newer == near.len() && from > self.released;
        self.entries.insert(self.entries.len() - newer, entry);
    }

    fn sort(&mut self) {
        if std::mem::take(&mut self.is_unsorted)
            && let Some(waiting) = self.entries.get_mut(self.released..)
        {
            waiting.sort_by_key(|entry| entry.ts);
        }
    }

    fn waiting(&self) -> &[Entry] {
        self.entries.get(self.released..).unwrap_or_default()
    }

    /// What is not newer than `horizon` is ready to leave; says when the oldest of that was made.
    fn make_ready(&mut self, horizon: u64) -> Option<u64> {
        let waiting = self.waiting();
        let first = waiting
            .first()
            .filter(|first| first.ts <= horizon)
            .map(|first| first.ts);
        self.ready = self.released + waiting.partition_point(|entry| entry.ts <= horizon);
        first
    }

    /// What is ready to leave.
    fn ready(&self) -> &[Entry] {
        self.entries.get(self.released..self.ready).unwrap_or_default()
    }

    /// All that was ready left but for so many.
    fn keep_ready(&mut self, count: usize) {
        self.released = self.ready - count;
    }

    /// Those that left need no room any more.
    fn forget(&mut self) {
        // They are only moved away when they are the larger part: all that waits is moved with them.
        if self.released >= self.entries.len() / 2 {
            self.entries.drain(..self.released);
            self.released = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ts: u64) -> usize {
        ts as usize % 3
    }

    fn push(waiting: &mut Waiting, ring: usize, ts: u64, record: &[u8]) {
        waiting.push(ring, ts, 0, record.len());
        waiting.keep(record);
    }

    fn released(waiting: &mut Waiting, horizon: u64) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        waiting.release(horizon, usize::MAX, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        out
    }

    #[test]
    fn oldest_first_and_ties_in_order_of_arrival() {
        let mut waiting = Waiting::default();
        for (ts, record) in [(5, &b"e"[..]), (1, b"a"), (3, b"c1"), (3, b"c2"), (9, b"late")] {
            push(&mut waiting, 1, ts, record);
        }
        let texts: Vec<_> = released(&mut waiting, 5).into_iter().map(|(_, b)| b).collect();
        assert_eq!(texts, [&b"a"[..], b"c1", b"c2", b"e"]);
        assert_eq!(waiting.bytes(), 4);
        push(&mut waiting, 0, 7, b"between");
        assert_eq!(
            released(&mut waiting, u64::MAX),
            [(7, b"between".to_vec()), (9, b"late".to_vec())]
        );
        assert_eq!(waiting.bytes(), 0);
    }

    #[test]
    fn the_oldest_leave_when_too_much_waits() {
        let mut waiting = Waiting::default();
        for ts in [4, 2, 3, 1] {
            push(&mut waiting, ring(ts), ts, &[0; 100]);
        }
        assert_eq!(
            (waiting.all_but(400), waiting.all_but(399), waiting.all_but(250)),
            (0, 1, 2)
        );
        assert_eq!(released(&mut waiting, 2).len(), 2);
        assert_eq!((waiting.all_but(200), waiting.all_but(0)), (0, 4));
    }

    #[test]
    fn no_more_leave_than_are_asked_for() {
        let mut waiting = Waiting::default();
        for ts in [1, 2, 3, 4, 6, 8] {
            push(&mut waiting, ring(ts), ts, &[0; 8]);
        }
        let mut left = Vec::new();
        let mut step = |most| waiting.release(7, most, &mut |ts, _| left.push(ts));
        assert_eq!(
            (step(2), step(1), step(2)),
            (2, 3, 7),
            "the last is the last that is ready"
        );
        assert_eq!(step(2), 7);
        assert_eq!(left, [1, 2, 3, 4, 6]);
    }

    #[test]
    fn the_largest_time_is_one_like_others() {
        for ring in [0, 1, 7] {
            let mut waiting = Waiting::default();
            push(&mut waiting, ring, u64::MAX, b"last");
            assert_eq!(released(&mut waiting, u64::MAX), [(u64::MAX, b"last".to_vec())]);
            assert_eq!(waiting.bytes(), 0);
        }
    }

    #[test]
    fn what_comes_much_too_late_is_brought_into_order() {
        let mut waiting = Waiting::default();
        let late = [5, 7, 5, 3, 1200, 4];
        for ts in (0..1000).map(|ts| 2 * ts).chain(late) {
            push(&mut waiting, 1, ts, &[0; 8]);
        }
        let times: Vec<_> = released(&mut waiting, u64::MAX).into_iter().map(|(ts, _)| ts).collect();
        assert!(times.is_sorted() && times.len() == 1000 + late.len());
    }

    #[test]
    fn nothing_is_released_before_its_time() {
        let mut waiting = Waiting::default();
        push(&mut waiting, 1, 10, b"x");
        assert_eq!(released(&mut waiting, 9), []);
        assert_eq!(waiting.bytes(), 1);
    }

    #[test]
    fn whatever_comes_when_the_order_is_that_of_time_and_room_is_given_back() {
        let mut waiting = Waiting::default();
        let (mut made, mut out) = (Vec::new(), Vec::new());
        let mut random = 12_345_u64;
        for round in 0..400_u64 {
            for i in 0..50 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let ts = round * 100 + (random >> 33) % 300;
                let mut record = vec![0; (random >> 40) as usize % 3000 + 16];
                record[..8].copy_from_slice(&(round * 50 + i).to_le_bytes());
                push(&mut waiting, ring(ts), ts, &record);
                made.push((ts, record));
            }
            waiting.release(round * 100, usize::MAX, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        }
        assert!(
            out.len() > 10_000
                && waiting.chunks.used() < 4
                && waiting.rings.iter().all(|ring| ring.entries.len() < 1000)
        );
        waiting.release(u64::MAX, usize::MAX, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        made.sort_by_key(|(ts, _)| *ts);
        assert!(out == made, "in order of time, each once, ties in order of arrival");
        assert_eq!((waiting.bytes(), waiting.chunks.used()), (0, 0));
    }
}
