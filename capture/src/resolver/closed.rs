//! Entries of files that were closed, or could not be opened. The next file that is opened is written over the one that was
//! closed last, which the processor still has in its caches.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use ctrace_trace::fd::{FdEntry, FdKind};

use super::files::named;

/// How many are kept. Only the last ones are still in the caches.
const KEPT: usize = 16;
/// Entries with longer names are freed: memory stays bounded.
const MAX_NAMES: usize = 8192;

/// The entries that nobody has any more, the last one on top.
#[derive(Debug, Default)]
pub(super) struct Closed {
    entries: Vec<Arc<FdEntry>>,
}

impl Closed {
    /// Keeps an entry, unless somebody else still has it.
    #[inline(always)]
    pub(super) fn keep(&mut self, entry: Arc<FdEntry>) {
        if Arc::strong_count(&entry) == 1
            && self.entries.len() < KEPT
            && entry.name.capacity() + entry.name_raw.capacity() <= MAX_NAMES
        {
            // Who had it may have been another thread, which has read all that it wanted.
            fence(Ordering::Acquire);
            self.entries.push(entry);
        }
    }

    /// An entry to be written over: it says anything.
    #[inline]
    pub(super) fn take(&mut self) -> Unshared {
        self.entries.pop().map_or_else(blank, Unshared)
    }
}

#[cold]
fn blank() -> Unshared {
    Unshared::new(named(FdKind::Unknown, b""))
}

/// An entry that nobody else has.
#[derive(Debug)]
pub(super) struct Unshared(Arc<FdEntry>);

impl Unshared {
    /// An entry of its own.
    pub(super) fn new(entry: FdEntry) -> Unshared {
        Unshared(Arc::new(entry))
    }

    /// The entry, to be changed. `Arc::get_mut` would ask in a way for which the processor waits until all that it has
    /// written is in its caches.
    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut FdEntry {
        // SAFETY: It is new, or `Closed` kept it, which nobody else has then; nobody makes weak references, and this is
        // not cloned.
        unsafe { &mut *Arc::as_ptr(&self.0).cast_mut() }
    }

    /// The entry, for others to have too.
    #[inline]
    pub(super) fn share(self) -> Arc<FdEntry> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_is_not_written_over() {
        let mut closed = Closed::default();
        let (free, held) = (
            Arc::new(named(FdKind::File, b"/free")),
            Arc::new(named(FdKind::File, b"/held")),
        );
        closed.keep(free);
        closed.keep(held.clone());
        assert_eq!(closed.take().get_mut().name, b"/free");
        assert!(closed.take().get_mut().name.is_empty());
        for _ in 0..2 * KEPT {
            closed.keep(Arc::new(named(FdKind::File, b"/f")));
        }
        assert_eq!(closed.entries.len(), KEPT);
    }
}
