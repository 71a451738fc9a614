//! Text looked at sixteen characters at once, for who looks for one of a few characters nearby: a search with larger
//! registers is a call, which short names and values do not pay for. And texts compared of which many are empty.

#[cfg(target_arch = "x86_64")]
use registers as form;
#[cfg(not(target_arch = "x86_64"))]
use words as form;

/// How many characters are looked at at once.
pub const WIDTH: usize = 16;

/// Sixteen characters.
#[derive(Clone, Copy, Debug)]
pub struct Sixteen(form::Sixteen);

/// Which of them are something.
#[derive(Clone, Copy, Debug)]
pub struct Which(form::Which);

impl Sixteen {
    /// The characters of a piece of text.
    #[inline(always)]
    pub fn of(text: &[u8; WIDTH]) -> Sixteen {
        Sixteen(form::Sixteen::of(text))
    }

    /// Those that are `byte`.
    #[inline(always)]
    pub fn is(self, byte: u8) -> Which {
        Which(self.0.is(byte))
    }

    /// Those that are no larger than `byte`, which is an ASCII character.
    #[inline(always)]
    pub fn is_at_most(self, byte: u8) -> Which {
        Which(self.0.is_at_most(byte))
    }
}

impl Which {
    /// Those that are one or the other.
    #[inline(always)]
    #[must_use]
    pub fn or(self, other: Which) -> Which {
        Which(self.0.or(other.0))
    }

    /// A bit for each, the lowest for the first.
    #[inline(always)]
    pub fn bits(self) -> u32 {
        self.0.bits()
    }
}

/// Where a character is first in a text near whose beginning it is.
#[inline]
pub fn first(byte: u8, text: &[u8]) -> Option<usize> {
    let mut left = text;
    while let Some((sixteen, behind)) = left.split_first_chunk() {
        let bits = Sixteen::of(sixteen).is(byte).bits();
        if bits != 0 {
            return Some(text.len() - left.len() + bits.trailing_zeros() as usize);
        }
        left = behind;
    }
    let found = left.iter().position(|b| *b == byte)?;
    Some(text.len() - left.len() + found)
}

/// Where a character is last in a text near whose end it is.
#[inline]
pub fn last(byte: u8, text: &[u8]) -> Option<usize> {
    let mut left = text;
    while let Some((before, sixteen)) = left.split_last_chunk() {
        let bits = Sixteen::of(sixteen).is(byte).bits();
        if bits != 0 {
            return Some(before.len() + bits.ilog2() as usize);
        }
        left = before;
    }
    left.iter().rposition(|b| *b == byte)
}

/// Whether two texts are the same, where many are empty, and many are one. Comparing nothing with nothing is slow on
/// processors with AVX-512: the C library reads it where it lies, which is at no address, under a mask that takes none of
/// it, and the processor takes some hundred nanoseconds to find out that this is no fault.
#[inline]
pub fn same_text(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (a.is_empty() || std::ptr::eq(a, b) || a == b)
}

/// In a register that every processor of this kind has.
#[cfg(target_arch = "x86_64")]
mod registers {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Sixteen(__m128i);
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Which(__m128i);

    impl Sixteen {
        #[inline(always)]
        pub(super) fn of(text: &[u8; super::WIDTH]) -> Sixteen {
            let all = u128::from_le_bytes(*text);
            // SAFETY: SSE2 is part of x86-64; no memory is touched.
            Sixteen(unsafe { _mm_set_epi64x((all >> 64) as i64, all as i64) })
        }

        #[inline(always)]
        pub(super) fn is(self, byte: u8) -> Which {
            // SAFETY: as above.
            Which(unsafe { _mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte.cast_signed())) })
        }

        #[inline(always)]
        pub(super) fn is_at_most(self, byte: u8) -> Which {
            // SAFETY: as above.
            Which(unsafe { _mm_cmpeq_epi8(_mm_min_epu8(self.0, _mm_set1_epi8(byte.cast_signed())), self.0) })
        }
    }

    impl Which {
        #[inline(always)]
        pub(super) fn or(self, other: Which) -> Which {
            // SAFETY: as above.
            Which(unsafe { _mm_or_si128(self.0, other.0) })
        }

        #[inline(always)]
        pub(super) fn bits(self) -> u32 {
            // SAFETY: as above.
            unsafe { _mm_movemask_epi8(self.0) }.cast_unsigned()
        }
    }
}

/// In two words, on any processor.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    const ONES: u64 = u64::MAX / 255;
    const LOW_BITS: u64 = ONES * 0x7F;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Sixteen([u64; 2]);
    /// The high bit of each character that is.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Which([u64; 2]);

    impl Sixteen {
        #[inline(always)]
        pub(super) fn of(text: &[u8; super::WIDTH]) -> Sixteen {
            let all = u128::from_le_bytes(*text);
            Sixteen([all as u64, (all >> 64) as u64])
        }

        #[inline(always)]
        pub(super) fn is(self, byte: u8) -> Which {
            Which(self.0.map(|word| {
                let other = word ^ (ONES * u64::from(byte));
                !(((other & LOW_BITS) + LOW_BITS) | other | LOW_BITS)
            }))
        }

        #[inline(always)]
        pub(super) fn is_at_most(self, byte: u8) -> Which {
            let room = ONES * u64::from(0x7F_u8.saturating_sub(byte));
            Which(self.0.map(|word| !(((word & LOW_BITS) + room) | word | LOW_BITS)))
        }
    }

    impl Which {
        #[inline(always)]
        pub(super) fn or(self, other: Which) -> Which {
            Which([self.0[0] | other.0[0], self.0[1] | other.0[1]])
        }

        #[inline(always)]
        pub(super) fn bits(self) -> u32 {
            // Each of the eight bits goes to a place of its own in the highest byte.
            let [low, high] = self.0.map(|word| (word >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56);
            (low | high << 8) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character in every place, beside others.
    #[test]
    fn every_character_is_found() {
        for byte in 0..=u8::MAX {
            for at in 0..WIDTH {
                for beside in [0, b' ', b' ' + 1, b'=', 0x7F, 0x80, 0xFF] {
                    let mut text = [beside; WIDTH];
                    text[at] = byte;
                    for wanted in [0, b' ', b'"', b'=', b'\\', b' ' - 1, 0x7F] {
                        let is = bits(&text, |b| b == wanted);
                        let is_at_most = bits(&text, |b| b <= wanted);
                        let sixteen = Sixteen::of(&text);
                        assert_eq!(sixteen.is(wanted).bits(), is);
                        assert_eq!(sixteen.is_at_most(wanted).bits(), is_at_most);
                        assert_eq!(sixteen.is(wanted).or(sixteen.is_at_most(b' ')).bits(), {
                            is | bits(&text, |b| b <= b' ')
                        });
                        let words = words::Sixteen::of(&text);
                        assert_eq!(words.is(wanted).bits(), is);
                        assert_eq!(words.is_at_most(wanted).bits(), is_at_most);
                        assert_eq!(
                            words.is(wanted).or(words.is(byte)).bits(),
                            is | bits(&text, |b| b == byte)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn first_and_last_are_found_in_texts_of_any_length() {
        for len in 0..4 * WIDTH {
            let mut text = vec![b'x'; len];
            assert_eq!((first(b'/', &text), last(b'/', &text)), (None, None));
            for (one, other) in (0..len).flat_map(|one| (one..len).map(move |other| (one, other))) {
                (text[one], text[other]) = (b'/', b'/');
                assert_eq!((first(b'/', &text), last(b'/', &text)), (Some(one), Some(other)));
                (text[one], text[other]) = (b'x', b'x');
            }
        }
    }

    #[test]
    fn texts_are_compared_whole() {
        for (a, b) in [("", ""), ("", "a"), ("a", "b"), ("a", "ab"), ("ab", "ab")] {
            assert_eq!(same_text(a.as_bytes(), b.as_bytes()), a == b, "{a} and {b}");
        }
    }

    fn bits(text: &[u8], is: impl Fn(u8) -> bool) -> u32 {
        let all = text.iter().enumerate();
        all.fold(0, |bits, (at, byte)| bits | u32::from(is(*byte)) << at)
    }
}
