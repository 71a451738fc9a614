//! Whole numbers as bytes: LEB128 variable length, zigzag for signed ones, and the cursor that reads them back.

use super::error::BlockError;
use super::frame::Column;

/// What is wrong with a column's bytes; the column's name is added where it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    Truncated,
    LeftOver,
    Overlong,
    OutOfRange,
    UnknownId,
    UnknownMode,
    Counts,
    TooLarge,
}

impl Malformed {
    /// The error with the column it was found in.
    #[cold]
    pub(super) fn in_column(self, column: Column) -> BlockError {
        BlockError::Column {
            column: column.name(),
            what: match self {
                Malformed::Truncated => "ends too early",
                Malformed::LeftOver => "has bytes left over",
                Malformed::Overlong => "holds a number of more than 64 bits",
                Malformed::OutOfRange => "holds a value out of range",
                Malformed::UnknownId => "refers to an entry that is not there",
                Malformed::UnknownMode => "is coded in a way that is not known",
                Malformed::Counts => "has not as many entries as the head says",
                Malformed::TooLarge => "is too large",
            },
        }
    }
}

/// Appends `v`, seven bits a byte, low ones first; the high bit says that more follow.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, v: u64) {
    match v {
        0..0x80 => out.push(v as u8),
        0x80..0x4000 => out.extend_from_slice(&[v as u8 | 0x80, (v >> 7) as u8]),
        _ => put_long(out, v),
    }
}

/// A number of three bytes or more. Nearly all have three or four: four are appended, and what is behind the number is cut
/// off again. That is one store, and no loop whose end the processor has to guess.
#[inline(never)]
fn put_long(out: &mut Vec<u8>, v: u64) {
    if v >= 1 << 28 {
        return put_longer(out, v);
    }
    let v = v as u32;
    let four = v >= 1 << 21;
    let bytes = v & 0x7F | (v & 0x3F80) << 1 | (v & 0x1F_C000) << 2 | (v & 0x0FE0_0000) << 3;
    let more = 0x8080 | u32::from(four) << 23;
    let end = out.len() + 3 + usize::from(four);
    out.extend_from_slice(&(bytes | more).to_le_bytes());
    out.truncate(end);
}

/// A number of five bytes or more: all bytes of a word are appended.
#[inline(never)]
fn put_longer(out: &mut Vec<u8>, v: u64) {
    const FITS: u64 = (1 << (7 * WORD)) - 1;
    if v > FITS {
        out.extend_from_slice(&(spread(v & FITS) | HIGH_BITS).to_le_bytes());
        return put(out, v >> (7 * WORD));
    }
    let last = (63 - v.leading_zeros() as usize) / 7;
    let more = HIGH_BITS & !(u64::MAX << (8 * last));
    let end = out.len() + last + 1;
    out.extend_from_slice(&(spread(v) | more).to_le_bytes());
    out.truncate(end);
}

/// Appends `v` as [`put`] does, where lengths vary: without a branch on how long it is, up to four bytes.
#[inline]
pub(super) fn put_any(out: &mut Vec<u8>, v: u64) {
    if v >= 1 << 28 {
        return put_longer(out, v);
    }
    let v = v as u32;
    let behind_first = u32::from(v >= 1 << 7) + u32::from(v >= 1 << 14) + u32::from(v >= 1 << 21);
    let bytes = v & 0x7F | (v & 0x3F80) << 1 | (v & 0x1F_C000) << 2 | (v & 0x0FE0_0000) << 3;
    let more = 0x80_8080 & !(u32::MAX << (8 * behind_first));
    let end = out.len() + 1 + behind_first as usize;
    out.extend_from_slice(&(bytes | more).to_le_bytes());
    out.truncate(end);
}

/// Bytes that are looked at together.
pub(super) const WORD: usize = 8;
/// The bit of each byte of a word that says whether more follow.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The number whose bytes a word holds: seven bits of each, joined pair by pair.
const fn joined(word: u64) -> u64 {
    let word = word & !HIGH_BITS;
    let pairs = word & 0x007F_007F_007F_007F | (word & 0x7F00_7F00_7F00_7F00) >> 1;
    let fours = pairs & 0x0000_3FFF_0000_3FFF | (pairs & 0x3FFF_0000_3FFF_0000) >> 2;
    fours & 0x0FFF_FFFF | (fours & 0x0FFF_FFFF_0000_0000) >> 4
}

/// The inverse of [`joined`].
const fn spread(v: u64) -> u64 {
    let fours = v & 0x0FFF_FFFF | (v & 0x00FF_FFFF_F000_0000) << 4;
    let pairs = fours & 0x0000_3FFF_0000_3FFF | (fours & 0x0FFF_C000_0FFF_C000) << 2;
    pairs & 0x007F_007F_007F_007F | (pairs & 0x3F80_3F80_3F80_3F80) << 1
}

/// Small magnitudes become small numbers: 0, -1, 1, -2 … are 0, 1, 2, 3 …
#[inline]
pub(super) const fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub(super) const fn unzigzag(v: u64) -> i64 {
    ((v >> 1) as i64) ^ -((v & 1) as i64)
}

/// A number of three bytes or more, and what follows it. Takes and gives the rest, so that a cursor need not be in memory.
#[inline(never)]
fn long(rest: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    if let Some(&bytes) = rest.first_chunk::<WORD>() {
        let word = u64::from_le_bytes(bytes);
        let ends = !word & HIGH_BITS;
        if ends != 0 {
            let len = ends.trailing_zeros() as usize / 8 + 1;
            return Ok((joined(word & u64::MAX >> (64 - 8 * len)), &rest[len..]));
        }
    }
    bytewise(rest)
}

/// The longest numbers, and those at the end of a column.
fn bytewise(rest: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut v = 0u64;
    for (i, &b) in rest.iter().enumerate().take(10) {
        if i == 9 && b > 1 {
            return Err(Malformed::Overlong);
        }
        v |= u64::from(b & 0x7F) << (7 * i);
        if b < 0x80 {
            return Ok((v, &rest[i + 1..]));
        }
    }
    Err(if rest.len() < 10 {
        Malformed::Truncated
    } else {
        Malformed::Overlong
    })
}

/// Reads a column from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next number.
    #[inline(always)]
    pub(super) fn get(&mut self) -> Result<u64, Malformed> {
        match *self.rest {
            [b, ref rest @ ..] if b < 0x80 => {
                self.rest = rest;
                Ok(u64::from(b))
            }
            [a, b, ref rest @ ..] if b < 0x80 => {
                self.rest = rest;
                Ok(u64::from(a & 0x7F) | u64::from(b) << 7)
            }
            _ => {
                let (v, rest) = long(self.rest)?;
                self.rest = rest;
                Ok(v)
            }
        }
    }

    /// The next number, where lengths vary: without a branch on how long it is.
    #[inline(always)]
    pub(super) fn get_any(&mut self) -> Result<u64, Malformed> {
        if let Some(&bytes) = self.rest.first_chunk::<WORD>() {
            let word = u64::from_le_bytes(bytes);
            let ends = !word & HIGH_BITS;
            if ends != 0 {
                // The bits up to the first byte that ends a number.
                let used = ends ^ (ends - 1);
                self.rest = &self.rest[ends.trailing_zeros() as usize / 8 + 1..];
                return Ok(joined(word & used));
            }
        }
        let (v, rest) = long(self.rest)?;
        self.rest = rest;
        Ok(v)
    }

    /// Passes over so many numbers without looking at them.
    pub(super) fn skip(&mut self, mut numbers: usize) -> Result<(), Malformed> {
        while let Some((bytes, rest)) = self.rest.split_first_chunk::<WORD>() {
            let ends = (!u64::from_le_bytes(*bytes) & HIGH_BITS).count_ones() as usize;
            // The last of them may end before the word does.
            if ends >= numbers {
                break;
            }
            numbers -= ends;
            self.rest = rest;
        }
        while numbers > 0 {
            numbers -= usize::from(self.byte()? < 0x80);
        }
        Ok(())
    }

    /// The next numbers, if there are at least eight and each of them is one byte.
    #[inline(always)]
    pub(super) fn eight(&mut self) -> Option<[u8; WORD]> {
        let (bytes, rest) = self.rest.split_first_chunk::<WORD>()?;
        if u64::from_le_bytes(*bytes) & HIGH_BITS != 0 {
            return None;
        }
        self.rest = rest;
        Some(*bytes)
    }

    /// The next number, which must fit 32 bits.
    #[inline]
    pub(super) fn get_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.get()?).map_err(|_| Malformed::OutOfRange)
    }

    /// The next number as a length or count.
    #[inline]
    pub(super) fn get_len(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.get()?).map_err(|_| Malformed::OutOfRange)
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&b, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(b)
    }

    /// The next byte without taking it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next eight bytes without taking them.
    pub(super) fn peek_eight(&self) -> Option<[u8; WORD]> {
        self.rest.first_chunk().copied()
    }

    /// The next `n` bytes.
    #[inline]
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// All that is left.
    pub(super) fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed::LeftOver)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let edges = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            0x12_3456,
            0x1F_FFFF,
            0x20_0000,
            0xFFF_FFFF,
            0x1000_0000,
            u64::from(u32::MAX),
            0x5A_1234_5678,
            0xFF_FFFF_FFFF_FFFF,
            1 << 56,
            u64::MAX - 1,
            u64::MAX,
        ];
        let mut bytes = Vec::new();
        edges.iter().for_each(|v| put(&mut bytes, *v));
        let mut same = Vec::new();
        edges.iter().for_each(|v| put_any(&mut same, *v));
        assert_eq!(same, bytes);
        let mut cursor = Cursor::new(&bytes);
        for v in edges {
            assert_eq!(cursor.get(), Ok(v));
        }
        assert_eq!(cursor.finish(), Ok(()));
        for v in [0, 1, -1, i64::MAX, i64::MIN, 0x1234_5678_9ABC] {
            assert_eq!(unzigzag(zigzag(v)), v);
        }
    }

    #[test]
    fn bad_numbers_are_errors() {
        assert_eq!(Cursor::new(&[]).get(), Err(Malformed::Truncated));
        assert_eq!(Cursor::new(&[0x80; 4]).get(), Err(Malformed::Truncated));
        assert_eq!(Cursor::new(&[0xFF; 12]).get(), Err(Malformed::Overlong));
        let mut two_bits_too_many = [0xFF; 10];
        two_bits_too_many[9] = 2;
        assert_eq!(Cursor::new(&two_bits_too_many).get(), Err(Malformed::Overlong));
    }
}
