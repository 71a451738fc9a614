//! Columns of numbers that may be absent: arguments, results, descriptor numbers.
//!
//! Each column says in its first byte how it is coded. A value `v` becomes `zigzag(v) + 1` in 64 bits without carry, so
//! that [`ABSENT`] (`i64::MIN`, the value that is never stored) becomes 0.

use std::ops::BitOr;

use super::decoded::ABSENT;
use super::varint::{Cursor, Malformed, WORD, put, unzigzag, zigzag};

/// Every value is the same; its code follows once.
const CONSTANT: u8 = 0;
/// One code per value.
const PLAIN: u8 = 1;
/// Differences to the previous present value: 0 absent, 1 and `zigzag(v)`, else `zigzag(difference) + 2`.
const DELTA: u8 = 2;

/// A number as it is kept while a block is built.
pub(super) trait Number: Copy + PartialEq {
    /// What the code of one fits into.
    type Code: Copy + Default + BitOr<Output = Self::Code> + Into<u64>;

    /// What is stored.
    fn code(self) -> Self::Code;

    /// The number itself.
    fn number(self) -> i64;
}

impl Number for i64 {
    type Code = u64;

    #[inline]
    fn code(self) -> u64 {
        zigzag(self).wrapping_add(1)
    }

    #[inline]
    fn number(self) -> i64 {
        self
    }
}

/// Stands for [`ABSENT`] where numbers are kept in half as many bits, and has the same code.
const NARROW_ABSENT: i32 = i32::MIN;

impl Number for i32 {
    type Code = u32;

    #[inline]
    fn code(self) -> u32 {
        (((self << 1) ^ (self >> 31)) as u32).wrapping_add(1)
    }

    #[inline]
    fn number(self) -> i64 {
        match self {
            NARROW_ABSENT => ABSENT,
            v => i64::from(v),
        }
    }
}

/// The largest code of a number that needs no more than half of the bits.
const NARROW: u64 = u32::MAX as u64;

/// So many numbers come to a column at once while there are as many.
pub(super) const RUN: usize = 32;

/// The numbers of a column while a block is built. Most need few bits, and the processor waits for what it writes and
/// reads again half a second later: they take half of the memory until one comes that needs more.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumBuffer {
    narrow: Vec<i32>,
    /// All of them, from the first on that is not narrow.
    wide: Vec<i64>,
}

impl NumBuffer {
    /// Adds a run of numbers.
    #[inline(never)]
    pub(super) fn extend_by_run(&mut self, run: &[i64; RUN]) {
        if self.wide.is_empty() && are_small(run) {
            self.narrow.extend_from_slice(&run.map(|v| v as i32));
        } else {
            self.extend(run);
        }
    }

    /// Adds numbers.
    #[inline(never)]
    pub(super) fn extend(&mut self, values: &[i64]) {
        if self.wide.is_empty() && bits_of(values) <= NARROW {
            // The lower half has the sign already, but for what is absent: that has nothing else.
            let narrow = |v: &i64| *v as i32 | (*v >> 32) as i32 & NARROW_ABSENT;
            self.narrow.extend(values.iter().map(narrow));
        } else {
            self.wide.extend(self.narrow.drain(..).map(Number::number));
            self.wide.extend_from_slice(values);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.narrow.len() + self.wide.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<i64> {
        match self.narrow.get(at) {
            Some(v) => Some(v.number()),
            None => self.wide.get(at).copied(),
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = i64> {
        self.narrow.iter().map(|v| v.number()).chain(self.wide.iter().copied())
    }

    /// Whether one code stands for all.
    pub(super) fn is_constant(&self) -> bool {
        is_constant(&self.narrow) && is_constant(&self.wide)
    }

    /// What `pair` makes of each of them and of the one of `other` beside it.
    pub(super) fn pairs(&self, other: &NumBuffer, pair: impl Fn(i64, i64) -> i64, out: &mut Vec<i64>) {
        if self.wide.is_empty() && other.wide.is_empty() {
            let both = self.narrow.iter().zip(&other.narrow);
            out.extend(both.map(|(a, b)| pair(a.number(), b.number())));
        } else {
            out.extend(self.iter().zip(other.iter()).map(|(a, b)| pair(a, b)));
        }
    }

    /// Appends them as a column, see [`write`].
    pub(super) fn write(&self, out: &mut Vec<u8>, delta: bool) {
        write(out, &self.narrow, delta);
        write(out, &self.wide, delta);
    }

    /// Removes all, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.narrow.clear();
        self.wide.clear();
    }
}

#[inline(always)]
fn value(code: u64) -> i64 {
    unzigzag(code.wrapping_sub(1))
}

/// The values of codes of one byte.
const SMALL_VALUES: [i64; 128] = {
    let mut values = [0; 128];
    let mut code = 0;
    while code < values.len() {
        values[code] = unzigzag((code as u64).wrapping_sub(1));
        code += 1;
    }
    values
};

/// Appends a column. Differences to the previous value are stored if `delta` says so or if they are smaller.
pub(super) fn write<N: Number>(out: &mut Vec<u8>, values: &[N], delta: bool) {
    let Some(&first) = values.first() else { return };
    if is_constant(values) {
        out.push(CONSTANT);
        put(out, first.code().into());
        return;
    }
    let bits = bits_of(values);
    // Small values are stored as they are without a look at the differences: zstd sees what repeats.
    if delta || bits >= TWO_BYTES && steps_are_smaller(values) {
        out.push(DELTA);
        write_delta(out, values);
    } else {
        out.push(PLAIN);
        write_plain(out, values, bits);
    }
}

/// Values looked at together, with one instruction for several.
const TOGETHER: usize = 64;

/// Whether one code stands for all values.
fn is_constant<N: Number>(values: &[N]) -> bool {
    let Some(&first) = values.first() else { return true };
    let mut several = values.chunks(TOGETHER);
    several.all(|several| several.iter().fold(true, |same, v| same & (*v == first)))
}

/// Whether all values are there and fit into half of the bits, for nearly all that do: the processor has no instruction
/// that makes codes of several numbers, but one that adds to them.
#[inline]
fn are_small(values: &[i64; RUN]) -> bool {
    const LEAST: i64 = -(1 << 24);
    let from_least = |v: &i64| v.wrapping_sub(LEAST) as u64;
    values.iter().fold(0, |bits, v| bits | from_least(v)) <= i32::MAX as u64
}

/// The bits that any of the codes has.
#[inline]
fn bits_of<N: Number>(values: &[N]) -> u64 {
    let none = N::Code::default();
    values.iter().fold(none, |bits, v| bits | v.code()).into()
}

fn steps_are_smaller<N: Number>(values: &[N]) -> bool {
    let bits = |v: u64| u64::from(64 - v.leading_zeros());
    let (mut plain, mut steps, mut last) = (0, 0, 0);
    let mut bits_of_last = bits(last.code());
    for v in values.iter().map(|v| v.number()).filter(|v| *v != ABSENT) {
        // Many are the same as the one before.
        if v != last {
            steps += bits(zigzag(v.wrapping_sub(last)));
            bits_of_last = bits(v.code());
            last = v;
        }
        plain += bits_of_last;
    }
    steps < plain
}

/// Codes below this are one byte.
const ONE_BYTE: u64 = 1 << 7;
/// Codes below this are two bytes at most.
const TWO_BYTES: u64 = 1 << 14;

/// Appends the codes of values; `bits` are those that any of them has.
fn write_plain<N: Number>(out: &mut Vec<u8>, values: &[N], bits: u64) {
    let bytes = |several: &[N], out: &mut Vec<u8>| out.extend(several.iter().map(|v| v.code().into() as u8));
    if bits < ONE_BYTE {
        return bytes(values, out);
    }
    for several in values.chunks(TOGETHER) {
        match bits_of(several) {
            0..ONE_BYTE => bytes(several, out),
            ONE_BYTE..TWO_BYTES => write_short(out, several),
            _ => several.iter().for_each(|v| put(out, v.code().into())),
        }
    }
}

/// Appends codes of one or two bytes. All are written as two, and the next one lies over what is none of the number: how
/// long one is cannot be guessed.
fn write_short<N: Number>(out: &mut Vec<u8>, several: &[N]) {
    let mut bytes = [0; 2 * TOGETHER];
    let mut end = 0;
    for code in several.iter().map(|v| v.code().into() as u16) {
        let long = code >= ONE_BYTE as u16;
        let low = code & 0x7F | u16::from(long) << 7;
        if let Some(place) = bytes.get_mut(end..end + 2) {
            place.copy_from_slice(&(low | code >> 7 << 8).to_le_bytes());
        }
        end += 1 + usize::from(long);
    }
    out.extend_from_slice(bytes.get(..end).unwrap_or_default());
}

fn write_delta<N: Number>(out: &mut Vec<u8>, values: &[N]) {
    let mut last = 0i64;
    for v in values.iter().map(|v| v.number()) {
        if v == ABSENT {
            out.push(0);
            continue;
        }
        // Many are the same as the one before.
        if v == last {
            out.push(2);
            continue;
        }
        let step = zigzag(v.wrapping_sub(last));
        match step.checked_add(2) {
            Some(step) => put(out, step),
            // The two largest steps have no code of their own.
            None => {
                put(out, 1);
                put(out, zigzag(v));
            }
        }
        last = v;
    }
}

/// Takes the values of a column in their order.
pub(super) trait Sink {
    /// Takes the next.
    fn one(&mut self, v: i64);

    /// Takes the next eight.
    #[inline(always)]
    fn eight(&mut self, values: [i64; WORD]) {
        values.into_iter().for_each(|v| self.one(v));
    }
}

impl Sink for &mut Vec<i64> {
    #[inline(always)]
    fn one(&mut self, v: i64) {
        self.push(v);
    }

    #[inline(always)]
    fn eight(&mut self, values: [i64; WORD]) {
        self.extend_from_slice(&values);
    }
}

/// Puts values where the events of a type are.
pub(super) struct Scatter<'a> {
    /// The rows of the type's events whose values are still to come.
    pub(super) rows: &'a [u32],
    /// A column of all events.
    pub(super) out: &'a mut [i64],
}

impl Sink for Scatter<'_> {
    #[inline(always)]
    fn one(&mut self, v: i64) {
        let Some((row, rest)) = self.rows.split_first() else {
            return;
        };
        self.rows = rest;
        if let Some(place) = self.out.get_mut(*row as usize) {
            *place = v;
        }
    }

    #[inline(always)]
    fn eight(&mut self, values: [i64; WORD]) {
        let Some((rows, rest)) = self.rows.split_first_chunk::<WORD>() else {
            return;
        };
        self.rows = rest;
        for (row, v) in rows.iter().zip(values) {
            if let Some(place) = self.out.get_mut(*row as usize) {
                *place = v;
            }
        }
    }
}

/// Reads a column of `n` values.
#[inline]
pub(super) fn read(cursor: &mut Cursor<'_>, n: usize, mut sink: impl Sink) -> Result<(), Malformed> {
    if n == 0 {
        return Ok(());
    }
    match cursor.byte()? {
        CONSTANT => {
            let v = value(cursor.get()?);
            (0..n).for_each(|_| sink.one(v));
            Ok(())
        }
        PLAIN => read_plain(cursor, n, sink),
        DELTA => read_delta(cursor, n, sink),
        _ => Err(Malformed::UnknownMode),
    }
}

#[inline]
fn read_plain(cursor: &mut Cursor<'_>, n: usize, mut sink: impl Sink) -> Result<(), Malformed> {
    let mut left = n;
    while left >= WORD {
        match cursor.eight() {
            Some(codes) => sink.eight(codes.map(|code| SMALL_VALUES[usize::from(code & 0x7F)])),
            None => {
                for _ in 0..WORD {
                    sink.one(value(cursor.get_any()?));
                }
            }
        }
        left -= WORD;
    }
    for _ in 0..left {
        sink.one(value(cursor.get()?));
    }
    Ok(())
}

#[inline]
fn read_delta(cursor: &mut Cursor<'_>, n: usize, mut sink: impl Sink) -> Result<(), Malformed> {
    let mut last = 0i64;
    for _ in 0..n {
        last = match cursor.get_any()? {
            0 => {
                sink.one(ABSENT);
                continue;
            }
            1 => unzigzag(cursor.get()?),
            step => last.wrapping_add(unzigzag(step - 2)),
        };
        sink.one(last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[i64], delta: bool) -> usize {
        let mut bytes = Vec::new();
        write(&mut bytes, values, delta);
        let mut cursor = Cursor::new(&bytes);
        let mut back = Vec::new();
        assert_eq!(read(&mut cursor, values.len(), &mut back), Ok(()));
        assert_eq!(cursor.finish(), Ok(()));
        assert_eq!(back, values);
        let mut buffer = NumBuffer::default();
        for several in values.chunks(RUN) {
            match several.try_into() {
                Ok(run) => buffer.extend_by_run(run),
                Err(_) => several.chunks(7).for_each(|several| buffer.extend(several)),
            }
        }
        let mut same = Vec::new();
        buffer.write(&mut same, delta);
        assert_eq!(same, bytes);
        assert_eq!(buffer.iter().collect::<Vec<_>>(), values);
        assert_eq!((buffer.len(), buffer.get(values.len())), (values.len(), None));
        bytes.len()
    }

    #[test]
    fn a_column_of_numbers_of_few_bits_is_that_of_the_same_numbers() {
        let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
        let narrow = [0, -1, least + 1, ABSENT, most, 63, 64, -65, 1 << 14, most - 1];
        for delta in [false, true] {
            for last in [0, ABSENT, least, most + 1, i64::MAX] {
                let mut values = narrow.to_vec();
                values.push(last);
                round_trip(&values, delta);
                round_trip(&[vec![5; 200], values.clone()].concat(), delta);
                for edge in [-(1 << 24), most - (1 << 24)] {
                    round_trip(
                        &[vec![edge; RUN], vec![edge - 1; RUN], vec![edge + 1; RUN]].concat(),
                        delta,
                    );
                    round_trip(&[vec![edge - 1; RUN - 1], values.clone()].concat(), delta);
                }
                round_trip(&[last; 200], delta);
            }
        }
    }

    #[test]
    fn every_value_and_step_comes_back() {
        let edges = [
            0,
            1,
            -1,
            63,
            -64,
            64,
            ABSENT,
            i64::MAX,
            i64::MIN + 1,
            -1,
            i64::MAX,
            0,
            i64::MIN + 1,
            1,
            ABSENT,
        ];
        for delta in [false, true] {
            round_trip(&edges, delta);
            round_trip(&[], delta);
            round_trip(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 300, 1, 1, 1, 1, 1, 1, ABSENT, 4], delta);
            assert_eq!(round_trip(&[ABSENT; 1000], delta), 2);
            assert_eq!(round_trip(&[-7; 1000], delta), 2);
        }
    }

    #[test]
    fn codes_of_one_and_two_bytes_take_turns() {
        // The codes on both sides of what fits one byte, and two.
        for (least, most) in [(62, 64), (-65, -63), (0, 8190), (8188, 8194)] {
            let values: Vec<i64> = (0..1000).map(|i| least + i * i % (most - least + 1)).collect();
            let mut expected = vec![PLAIN];
            values.iter().for_each(|v| put(&mut expected, v.code()));
            let mut bytes = Vec::new();
            write(&mut bytes, &values, false);
            assert!(bytes == expected || bytes.first() == Some(&DELTA));
            round_trip(&values, false);
        }
    }

    #[test]
    fn unknown_mode_is_an_error() {
        assert_eq!(
            read(&mut Cursor::new(&[9, 0]), 1, &mut Vec::new()),
            Err(Malformed::UnknownMode)
        );
    }
}
