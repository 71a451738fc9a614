//! One order of time out of records that come lane by lane and CPU by CPU.
//!
//! Records wait here until nothing older can come any more. Ties keep the order of arrival, so that what one thread did
//! stays in its order.

/// Records that wait, as bytes.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    bytes: Vec<u8>,
    index: Vec<Entry>,
    /// Kept to be reused: the two are swapped at every release.
    spare_bytes: Vec<u8>,
    spare_index: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    ts: u64,
    start: usize,
    len: u32,
}

impl Waiting {
    /// Takes a record.
    pub(super) fn push(&mut self, ts: u64, record: &[u8]) {
        let Ok(len) = u32::try_from(record.len()) else { return };
        self.index.push(Entry {
            ts,
            start: self.bytes.len(),
            len,
        });
        self.bytes.extend_from_slice(record);
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Hands over what is not newer than `horizon`, oldest first; the rest goes on waiting.
    pub(super) fn release(&mut self, horizon: u64, each: &mut impl FnMut(u64, &[u8])) {
        self.index.sort_by_key(|e| e.ts);
        let ready = self.index.partition_point(|e| e.ts <= horizon);
        let (index, rest) = self.index.split_at(ready);
        for entry in index {
            each(entry.ts, self.record(entry));
        }
        if ready == 0 {
            return;
        }
        self.spare_bytes.clear();
        self.spare_index.clear();
        for entry in rest {
            let start = self.spare_bytes.len();
            self.spare_bytes
                .extend_from_slice(&self.bytes[entry.start..entry.start + entry.len as usize]);
            self.spare_index.push(Entry { start, ..*entry });
        }
        std::mem::swap(&mut self.bytes, &mut self.spare_bytes);
        std::mem::swap(&mut self.index, &mut self.spare_index);
    }

    fn record(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start..entry.start + entry.len as usize]
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
    fn nothing_is_released_before_its_time() {
        let mut waiting = Waiting::default();
        waiting.push(10, b"x");
        assert_eq!(released(&mut waiting, 9), []);
        assert_eq!(waiting.bytes(), 1);
    }
}
