//! The numbers that the first side of a join has.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::UInt64Array;
use datafusion::execution::memory_pool::MemoryReservation;

/// The numbers of a join's first side, once all of it was read.
#[derive(Debug, Default)]
pub(crate) struct Partners(Mutex<Option<Arc<Noted>>>);

impl Partners {
    /// The numbers; `None` where they are not known, or not yet.
    pub(crate) fn noted(&self) -> Option<Arc<Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says which numbers there are, or that nothing is known of them.
    pub(super) fn tell(&self, noted: Option<Noted>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = noted.map(Arc::new);
    }
}

/// Some numbers, a bit for each from the smallest to the largest.
#[derive(Debug)]
pub(crate) struct Noted {
    smallest: u64,
    bits: Vec<u64>,
    /// Given back when nobody asks any more.
    _memory: Option<MemoryReservation>,
}

/// Bytes of bits at most: numbers that lie farther apart are left to the join.
const MOST: u64 = 32 << 20;

/// How many bytes of bits these numbers need; `None` for too many.
pub(super) fn bytes(arrays: &[UInt64Array]) -> Option<usize> {
    let (smallest, largest) = bounds(arrays);
    let bytes = (largest.saturating_sub(smallest) / 64 + 1) * 8;
    (bytes <= MOST).then_some(bytes as usize)
}

fn bounds(arrays: &[UInt64Array]) -> (u64, u64) {
    let numbers = arrays.iter().flat_map(|a| a.iter().flatten());
    let bounds = numbers.fold(None, |bounds: Option<(u64, u64)>, n| {
        Some(bounds.map_or((n, n), |(a, b)| (a.min(n), b.max(n))))
    });
    bounds.unwrap_or((0, 0))
}

impl Noted {
    /// Notes the numbers of these arrays, for which memory was asked.
    pub(super) fn new(arrays: &[UInt64Array], memory: Option<MemoryReservation>) -> Noted {
        let (smallest, largest) = bounds(arrays);
        let mut bits = vec![0u64; (largest.saturating_sub(smallest) / 64 + 1) as usize];
        for number in arrays.iter().flat_map(|a| a.iter().flatten()) {
            let at = number - smallest;
            if let Some(word) = bits.get_mut((at / 64) as usize) {
                *word |= 1 << (at % 64);
            }
        }
        Noted {
            smallest,
            bits,
            _memory: memory,
        }
    }

    /// Whether it is one of them.
    pub(crate) fn has(&self, number: u64) -> bool {
        let at = number.wrapping_sub(self.smallest);
        let word = usize::try_from(at / 64).ok().and_then(|at| self.bits.get(at));
        word.is_some_and(|word| word >> (at % 64) & 1 != 0)
    }

    /// Of so many numbers from `first` on the places of those that are among them, ascending.
    pub(crate) fn places(&self, first: u64, count: usize) -> Vec<u32> {
        let last = self.smallest.saturating_add(self.bits.len() as u64 * 64);
        let begin = first.max(self.smallest);
        let end = first.saturating_add(count as u64).min(last);
        let mut out = Vec::new();
        let mut number = begin;
        while number < end {
            let at = number - self.smallest;
            let word = self.bits.get((at / 64) as usize).copied().unwrap_or_default() >> (at % 64);
            if word == 0 {
                number += 64 - at % 64;
                continue;
            }
            number += u64::from(word.trailing_zeros());
            if number < end {
                out.push((number - first) as u32);
            }
            number += 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::UInt64Array;

    use super::{Noted, bytes};

    #[test]
    fn places_are_those_of_numbers_that_it_has() {
        let numbers = [70u64, 71, 128, 200, 333, 1000];
        let arrays = [
            UInt64Array::from_iter([Some(333), None, Some(70), Some(200)]),
            UInt64Array::from_iter_values([71, 128, 1000, 70]),
        ];
        let noted = Noted::new(&arrays, None);
        assert_eq!(bytes(&arrays), Some(((1000 - 70) / 64 + 1) * 8));
        for first in [0u64, 69, 70, 71, 100, 199, 990, 1000, 1001, 5000] {
            for count in [0usize, 1, 2, 63, 64, 65, 300, 2000] {
                let in_range = numbers.iter().filter(|n| (first..first + count as u64).contains(n));
                let expected: Vec<u32> = in_range.map(|n| (n - first) as u32).collect();
                assert_eq!(noted.places(first, count), expected, "{first} {count}");
            }
        }
        for number in 0..2000 {
            assert_eq!(noted.has(number), numbers.contains(&number), "{number}");
        }
        assert!(!noted.has(u64::MAX));
    }

    #[test]
    fn numbers_far_apart_are_not_noted() {
        assert_eq!(bytes(&[UInt64Array::from_iter_values([0, u64::MAX])]), None);
        let none = [UInt64Array::from_iter([None, None])];
        assert!(!Noted::new(&none, None).has(1));
    }
}
