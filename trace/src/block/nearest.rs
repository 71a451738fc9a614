//! Which of the last few strings shares much with the next one.

use std::ops::Range;

use crate::scan;

/// How many strings before it a string may be coded against.
const CANDIDATES: usize = 16;

/// The last few strings of a section, as places in the bytes of all.
#[derive(Debug)]
pub(super) struct Recent<'a> {
    bytes: &'a [u8],
    /// The string of number `n` is at `n % CANDIDATES`. Empty strings take the place of those that are not there yet, and
    /// share nothing.
    places: [(u32, u32); CANDIDATES],
    /// The number of the next string.
    next: usize,
}

impl<'a> Recent<'a> {
    /// None so far, of strings that lie in `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Recent<'a> {
        Recent {
            bytes,
            places: [(0, 0); CANDIDATES],
            next: 0,
        }
    }

    /// Adds a string. Says how far before it the one lies that it is coded against, 0 for the latest, and how long the
    /// prefix is that they share.
    ///
    /// That is the latest one in the same directory: names beside each other share little, and what is next to nothing
    /// costs least. Where there is none, it is the one that shares most, and an older one must be better by more than its
    /// number costs.
    #[inline]
    pub(super) fn add(&mut self, place: (u32, u32)) -> (u8, u32) {
        let string = &self.bytes[range(place)];
        let same = common_prefix(&self.bytes[range(self.before(1))], string);
        let found = match scan::last(b'/', string) {
            Some(slash) if slash <= same => (0, same as u32),
            slash => self.older(place, same as u32, slash.map(|slash| slash as u32)),
        };
        self.places[self.next % CANDIDATES] = place;
        self.next += 1;
        found
    }

    /// The place of the string that is `back` before the next one.
    #[inline]
    fn before(&self, back: usize) -> (u32, u32) {
        self.places[self.next.wrapping_sub(back) % CANDIDATES]
    }

    /// What [`Recent::add`] says of a string whose directory, which ends with the last slash, is not that of the latest
    /// one, with which it shares `best`.
    #[inline(never)]
    fn older(&self, place: (u32, u32), mut best: u32, slash: Option<u32>) -> (u8, u32) {
        let (bytes, mut found) = (self.bytes, 0);
        let Some(mut better) = Better::new(bytes, place, best) else {
            return (found, best);
        };
        for back in 1..CANDIDATES {
            let candidate = self.before(back + 1);
            if !better.may_be(bytes, candidate) {
                continue;
            }
            let same = common_prefix(&bytes[range(candidate)], &bytes[range(place)]) as u32;
            if same > best + 1 {
                (found, best) = (back as u8, same);
                match Better::new(bytes, place, best) {
                    Some(more) if slash.is_none_or(|slash| best < slash) => better = more,
                    _ => break,
                }
            }
        }
        (found, best)
    }
}

/// What a candidate must have to be better than the best so far: the last bytes that it must share tell nearly always,
/// without a look at those before them and without a branch that goes either way.
#[derive(Clone, Copy, Debug)]
struct Better {
    /// So many bytes must be the same.
    len: u32,
    /// Where the last of them begin, what they are, and which bits of a word they take.
    offset: u32,
    last: u64,
    bits: u64,
}

impl Better {
    /// More than one byte better than `best`; `None` where the string at `place` is too short for that.
    #[inline]
    fn new(bytes: &[u8], place: (u32, u32), best: u32) -> Option<Better> {
        const WORD: u32 = u64::BITS / 8;
        let len = best + 2;
        if place.1 - place.0 < len {
            return None;
        }
        let offset = len.saturating_sub(WORD);
        let bits = u64::MAX >> (u64::BITS - 8 * (len - offset));
        let last = word(bytes, place.0 + offset).unwrap_or_else(|| end_of(bytes, place.0 + offset));
        Some(Better {
            len,
            offset,
            last: last & bits,
            bits,
        })
    }

    #[inline]
    fn may_be(self, bytes: &[u8], candidate: (u32, u32)) -> bool {
        // At the end of all bytes there may be fewer: those are looked at.
        let last = word(bytes, candidate.0 + self.offset).unwrap_or(self.last);
        last & self.bits == self.last && candidate.1 - candidate.0 >= self.len
    }
}

/// The bytes from there on, if there are as many.
#[inline]
fn word(bytes: &[u8], at: u32) -> Option<u64> {
    let at = at as usize;
    let word = bytes.get(at..at + size_of::<u64>())?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// The bytes from there to the end, which are fewer.
#[cold]
fn end_of(bytes: &[u8], at: u32) -> u64 {
    let end = bytes.get(at as usize..).unwrap_or_default();
    end.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b))
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

/// So many bytes are compared at once.
const WIDE: usize = 16;

#[inline(always)]
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, _) = a.as_chunks::<WIDE>();
    let (b_words, _) = b.as_chunks::<WIDE>();
    for (at, (a, b)) in a_words.iter().zip(b_words).enumerate() {
        let differs = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
        if differs != 0 {
            return at * WIDE + differs.trailing_zeros() as usize / 8;
        }
    }
    common_rest(a, b, a_words.len().min(b_words.len()) * WIDE)
}

/// The common prefix of texts of which the first `at` bytes are the same, and one has less than [`WIDE`] more: its last
/// bytes are compared together, with some before them that are the same.
fn common_rest(a: &[u8], b: &[u8], at: usize) -> usize {
    let len = a.len().min(b.len());
    let last = |s: &[u8]| {
        s.get(..len)?
            .last_chunk::<WIDE>()
            .map(|last| u128::from_le_bytes(*last))
    };
    match (last(a), last(b)) {
        (Some(x), Some(y)) if x == y => len,
        (Some(x), Some(y)) => len - WIDE + (x ^ y).trailing_zeros() as usize / 8,
        _ => at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of each string, if they are added one after the other.
    fn found(strings: &[&[u8]]) -> Vec<(u8, u32)> {
        let bytes = strings.concat();
        let (mut recent, mut end) = (Recent::new(&bytes), 0);
        let add = |s: &&[u8]| {
            let start = end;
            end += s.len() as u32;
            recent.add((start, end))
        };
        strings.iter().map(add).collect()
    }

    /// The same by comparing each with all before it.
    fn expected(strings: &[&[u8]]) -> Vec<(u8, u32)> {
        let of = |at: usize| {
            let s = strings[at];
            let before = strings[..at].iter().rev().take(CANDIDATES).zip(0..);
            let slash = s.iter().rposition(|b| *b == b'/').unwrap_or(usize::MAX);
            before.fold((0, 0), |(back, best), (candidate, i)| {
                let same = s.iter().zip(*candidate).take_while(|(a, b)| a == b).count() as u32;
                if i == 0 || (best as usize) < slash && same > best + 1 {
                    (i, same)
                } else {
                    (back, best)
                }
            })
        };
        (0..strings.len()).map(of).collect()
    }

    #[test]
    fn strings_are_coded_against_the_nearest() {
        let last = |strings: &[&[u8]]| found(strings).last().copied();
        assert_eq!(last(&[b"abc"]), Some((0, 0)));
        assert_eq!(last(&[b"abc", b"abx", b"abc"]), Some((0, 2)));
        assert_eq!(last(&[b"abcd", b"ab", b"x", b"abcde"]), Some((2, 4)));
        assert_eq!(last(&[b"a", b"x", b"a"]), Some((0, 0)));
    }

    #[test]
    fn what_is_not_looked_at_is_not_better() {
        let long = b"/usr/share/a/folder/that/is/longer/than/a/word";
        let mut strings: Vec<Vec<u8>> = Vec::new();
        let mut state = 7u32;
        let mut below = |n: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % n
        };
        for _ in 0..2000 {
            let mut s = long[..below(long.len() as u32 + 1) as usize].to_vec();
            s.extend((0..below(6)).map(|_| b'a' + below(3) as u8));
            if below(4) == 0 {
                s.extend_from_slice(&long[..below(40) as usize]);
            }
            strings.push(s);
        }
        let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        assert_eq!(found(&strings), expected(&strings));
    }
}
