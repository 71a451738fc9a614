//! One order of time out of records that come lane by lane and CPU by CPU.
//!
//! Records wait here until nothing older can come any more. Ties keep the order of arrival, so that what one thread did
//! stays in its order. A record is copied once, when it comes: on a busy host there are millions a second.

use std::collections::VecDeque;

use crate::ahead::fetch;

/// Bytes of records are kept in pieces of about this size, so that they can be given back in the order of arrival.
const CHUNK: usize = 1 << 20;
/// Empty pieces that are kept to be filled again.
const SPARE: usize = 16;

/// So many records ahead of that which leaves are fetched into the cache: they came long ago, and in another order.
const AHEAD: usize = 6;
/// Of a record so much is fetched: most are no longer.
const FETCHED: usize = 320;

/// Records that wait, as bytes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The first has number `first_chunk`; the last is being filled.
    chunks: VecDeque<Chunk>,
    first_chunk: u32,
    spare: Vec<Vec<u8>>,
    bytes: usize,
    /// Oldest first, from `released` on.
    sorted: Vec<Entry>,
    released: usize,
    /// What came since the last release, in the order of arrival.
    fresh: Vec<Entry>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// Records that still wait.
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    ts: u64,
    /// Number of the chunk; wraps.
    chunk: u32,
    start: u32,
    len: u32,
}

impl Waiting {
    /// Takes a record.
    pub(super) fn push(&mut self, ts: u64, record: &[u8]) {
        if self.chunks.back().is_none_or(|chunk| chunk.bytes.len() >= CHUNK) {
            let bytes = self
                .spare
                .pop()
                .unwrap_or_else(|| Vec::with_capacity(CHUNK + CHUNK / 8));
            self.chunks.push_back(Chunk { bytes, left: 0 });
        }
        let chunk = self.first_chunk.wrapping_add(self.chunks.len() as u32 - 1);
        let Some(last) = self.chunks.back_mut() else { return };
        let (Ok(start), Ok(len)) = (u32::try_from(last.bytes.len()), u32::try_from(record.len())) else {
            return;
        };
        last.bytes.extend_from_slice(record);
        last.left += 1;
        self.bytes += record.len();
        self.fresh.push(Entry { ts, chunk, start, len });
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The time up to which records must leave so that about this many bytes are left; 0 where no more wait.
    pub(super) fn all_but(&mut self, bytes: usize) -> u64 {
        self.sort();
        let waiting = self.sorted.get(self.released..).unwrap_or_default();
        let mut left = 0;
        let leaves = waiting.iter().rev().find(|entry| {
            left += entry.len as usize;
            left > bytes
        });
        leaves.map_or(0, |entry| entry.ts)
    }

    /// The time of the record that so many others are to leave before; nothing where there are not as many.
    pub(super) fn after(&mut self, count: usize) -> Option<u64> {
        self.sort();
        self.sorted.get(self.released..)?.get(count).map(|entry| entry.ts)
    }

    /// Hands over what is not newer than `horizon`, oldest first; the rest goes on waiting.
    pub(super) fn release(&mut self, horizon: u64, each: &mut impl FnMut(u64, &[u8])) {
        self.sort();
        let waiting = self.sorted.get(self.released..).unwrap_or_default();
        let ready = waiting.partition_point(|entry| entry.ts <= horizon);
        for (at, entry) in waiting.iter().take(ready).enumerate() {
            if let Some(record) = waiting.get(at + AHEAD).and_then(|entry| self.record(entry)) {
                fetch(record.get(..FETCHED).unwrap_or(record));
            }
            if let Some(record) = self.record(entry) {
                each(entry.ts, record);
            }
        }
        self.forget(ready);
    }

    /// Merges what is fresh into what is sorted, of which only the end is newer than the oldest fresh record.
    fn sort(&mut self) {
        let Some(oldest) = self.fresh.iter().map(|entry| entry.ts).min() else {
            return;
        };
        // What left is only moved away when it is the larger part: all that waits is moved with it.
        if self.released >= self.sorted.len() / 2 {
            self.sorted.drain(..self.released);
            self.released = 0;
        }
        let waiting = self.sorted.get(self.released..).unwrap_or_default();
        let from = self.released + waiting.partition_point(|entry| entry.ts <= oldest);
        self.sorted.append(&mut self.fresh);
        if let Some(unsorted) = self.sorted.get_mut(from..) {
            unsorted.sort_by_key(|entry| entry.ts);
        }
    }

    fn record(&self, entry: &Entry) -> Option<&[u8]> {
        let chunk = self.chunks.get(entry.chunk.wrapping_sub(self.first_chunk) as usize)?;
        let start = entry.start as usize;
        chunk.bytes.get(start..start + entry.len as usize)
    }

    /// Gives back the room of the next `count` records.
    fn forget(&mut self, count: usize) {
        let end = self.released + count;
        for entry in self.sorted.get(self.released..end).unwrap_or_default() {
            self.bytes -= entry.len as usize;
            if let Some(chunk) = self.chunks.get_mut(entry.chunk.wrapping_sub(self.first_chunk) as usize) {
                chunk.left -= 1;
            }
        }
        self.released = end;
        while self.chunks.front().is_some_and(|chunk| chunk.left == 0) {
            let Some(mut chunk) = self.chunks.pop_front() else {
                return;
            };
            self.first_chunk = self.first_chunk.wrapping_add(1);
            if self.spare.len() < SPARE {
                chunk.bytes.clear();
                self.spare.push(chunk.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(waiting: &mut Waiting, horizon: u64) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        waiting.release(horizon, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        out
    }

    #[test]
    fn oldest_first_and_ties_in_order_of_arrival() {
        let mut waiting = Waiting::default();
        for (ts, record) in [(5, &b"e"[..]), (1, b"a"), (3, b"c1"), (3, b"c2"), (9, b"late")] {
            waiting.push(ts, record);
        }
        let texts: Vec<_> = released(&mut waiting, 5).into_iter().map(|(_, b)| b).collect();
        assert_eq!(texts, [&b"a"[..], b"c1", b"c2", b"e"]);
        assert_eq!(waiting.bytes(), 4);
        waiting.push(7, b"between");
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
            waiting.push(ts, &[0; 100]);
        }
        assert_eq!(
            (waiting.all_but(400), waiting.all_but(399), waiting.all_but(250)),
            (0, 1, 2)
        );
        assert_eq!(released(&mut waiting, 2).len(), 2);
        assert_eq!((waiting.all_but(200), waiting.all_but(0)), (0, 4));
    }

    #[test]
    fn nothing_is_released_before_its_time() {
        let mut waiting = Waiting::default();
        waiting.push(10, b"x");
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
                waiting.push(ts, &record);
                made.push((ts, record));
            }
            waiting.release(round * 100, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        }
        assert!(out.len() > 10_000 && waiting.chunks.len() < 4 && waiting.sorted.len() < 1000);
        waiting.release(u64::MAX, &mut |ts, bytes| out.push((ts, bytes.to_vec())));
        made.sort_by_key(|(ts, _)| *ts);
        assert!(out == made, "in order of time, each once, ties in order of arrival");
        assert_eq!((waiting.bytes(), waiting.chunks.len()), (0, 0));
    }
}
