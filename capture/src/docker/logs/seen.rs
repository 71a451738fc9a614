//! Tells entries that a new connection repeats from those that are new.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::entry::Entry;

/// How many entries are remembered of each container.
const REMEMBERED: usize = 512;
/// How far entries may be out of order: the engine reads a container's two streams side by side.
const DISORDER_NS: u64 = 1_000_000_000;

/// The last entries of a container.
#[derive(Debug)]
pub(super) struct Seen {
    recent: VecDeque<(u64, u64)>,
    /// Those of them that the present connection may still repeat.
    expected: Vec<(u64, u64)>,
    latest_ns: u64,
    /// Nothing older than this is asked for.
    since_ns: u64,
}

impl Seen {
    /// Nothing was seen, and nothing before `start_ns` is wanted.
    pub(super) fn new(start_ns: u64) -> Seen {
        Seen {
            recent: VecDeque::new(),
            expected: Vec::new(),
            latest_ns: start_ns,
            since_ns: start_ns,
        }
    }

    /// Time of the latest entry, or from when on entries are wanted.
    pub(super) fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// Begins a connection; gives the time from which it has to be, inclusive.
    pub(super) fn connect(&mut self) -> u64 {
        self.since_ns = self.since_ns.max(self.latest_ns.saturating_sub(DISORDER_NS));
        self.expected = self.recent.iter().copied().collect();
        self.since_ns
    }

    /// Whether the entry was not seen before; remembers it. Equal entries are told by their number: the pieces of a line
    /// share a time, and may share their text.
    pub(super) fn is_new(&mut self, entry: &Entry<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        (entry.stream, entry.text, entry.is_partial).hash(&mut hasher);
        let key = (entry.ts_ns, hasher.finish());
        if let Some(at) = self.expected.iter().position(|e| *e == key) {
            self.expected.swap_remove(at);
            return false;
        }
        if self.recent.len() == REMEMBERED
            && let Some((ts, _)) = self.recent.pop_front()
        {
            self.since_ns = self.since_ns.max(ts + 1);
        }
        self.recent.push_back(key);
        self.latest_ns = self.latest_ns.max(entry.ts_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ts_ns: u64, text: &[u8]) -> Entry<'_> {
        Entry {
            ts_ns,
            stream: "stdout",
            text,
            is_partial: true,
        }
    }

    #[test]
    fn repeated_entries_are_left_out_and_equal_ones_are_kept() {
        let mut seen = Seen::new(3);
        assert_eq!(seen.connect(), 3);
        let wrote = [(5, &b"piece"[..]), (5, b"piece"), (4, b"other")];
        assert!(wrote.iter().all(|(ts, text)| seen.is_new(&entry(*ts, text))));
        assert_eq!(seen.connect(), 3, "less than the disorder");
        assert!(wrote.iter().all(|(ts, text)| !seen.is_new(&entry(*ts, text))));
        assert!(seen.is_new(&entry(5, b"piece")), "a third piece of the line");
        assert!(seen.is_new(&entry(5_000_000_000, b"piece")));
        assert_eq!(seen.connect(), 4_000_000_000);
    }

    #[test]
    fn what_is_not_remembered_is_not_asked_for_again() {
        let mut seen = Seen::new(0);
        for ts in 1..=REMEMBERED as u64 + 10 {
            assert!(seen.is_new(&entry(ts, b"x")));
        }
        assert_eq!(seen.connect(), 11);
        assert!(!seen.is_new(&entry(11, b"x")));
    }
}
