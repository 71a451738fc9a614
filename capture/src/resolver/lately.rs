//! What was made lately and may be asked for again. Most things are asked for once: of these nothing is left but a mark of
//! two bytes, for whatever is put away and taken out again much later has left the processor's caches meanwhile.

/// How many are kept; a power of two.
const KEPT: usize = 4096;

/// What was seen at least twice, by a fingerprint of it.
#[derive(Debug)]
pub(super) struct Lately<T> {
    marks: Vec<Marks>,
    kept: Vec<Option<T>>,
}

/// Fingerprints of one slot; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    /// Of what was seen last and is not kept.
    seen: u16,
    /// Of what is kept. Another one is told without looking at it.
    kept: u16,
}

impl<T> Default for Lately<T> {
    fn default() -> Lately<T> {
        Lately {
            marks: vec![Marks::default(); KEPT],
            kept: (0..KEPT).map(|_| None).collect(),
        }
    }
}

impl<T> Lately<T> {
    /// What is kept of a fingerprint. Others may have the same.
    #[inline]
    pub(super) fn get(&self, print: u64) -> Option<&T> {
        let (at, mark) = split(print);
        if self.marks.get(at)?.kept != mark {
            return None;
        }
        self.kept.get(at)?.as_ref()
    }

    /// Keeps something that was not found, if the same fingerprint was seen before.
    #[inline]
    pub(super) fn offer(&mut self, print: u64, make: impl FnOnce() -> T) {
        let (at, mark) = split(print);
        let (Some(marks), Some(slot)) = (self.marks.get_mut(at), self.kept.get_mut(at)) else {
            return;
        };
        if marks.seen == mark {
            *marks = Marks { seen: 0, kept: mark };
            *slot = Some(make());
        } else {
            marks.seen = mark;
        }
    }
}

/// The slot and the mark of a fingerprint: its lowest and its highest bits.
#[inline]
fn split(print: u64) -> (usize, u16) {
    (print as usize % KEPT, (print >> 48) as u16 | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_twice_is_kept_until_another_is() {
        let (one, other) = (7 | 2 << 48, 7 | 4 << 48);
        let mut lately = Lately::default();
        lately.offer(one, || 1);
        assert_eq!(lately.get(one), None);
        lately.offer(one, || 2);
        assert_eq!(lately.get(one), Some(&2));
        lately.offer(other, || 3);
        assert_eq!((lately.get(one), lately.get(other)), (Some(&2), None));
        lately.offer(other, || 4);
        assert_eq!((lately.get(one), lately.get(other)), (None, Some(&4)));
    }
}
