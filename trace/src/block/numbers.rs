//! Columns of numbers that may be absent: arguments, results, descriptor numbers.
//!
//! Each column says in its first byte how it is coded. A value `v` becomes `zigzag(v) + 1` in 64 bits without carry, so
//! that [`ABSENT`] (`i64::MIN`, the value that is never stored) becomes 0.

use super::decoded::ABSENT;
use super::varint::{Cursor, Malformed, WORD, put, unzigzag, zigzag};

/// Every value is the same; its code follows once.
const CONSTANT: u8 = 0;
/// One code per value.
const PLAIN: u8 = 1;
/// Differences to the previous present value: 0 absent, 1 and `zigzag(v)`, else `zigzag(difference) + 2`.
const DELTA: u8 = 2;

#[inline]
fn code(v: i64) -> u64 {
    zigzag(v).wrapping_add(1)
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
pub(super) fn write(out: &mut Vec<u8>, values: &[i64], delta: bool) {
    let Some(&first) = values.first() else { return };
    if is_constant(values) {
        out.push(CONSTANT);
        put(out, code(first));
    } else if delta || steps_are_smaller(values) {
        out.push(DELTA);
        write_delta(out, values);
    } else {
        out.push(PLAIN);
        values.iter().for_each(|v| put(out, code(*v)));
    }
}

/// Whether one code stands for all values.
pub(super) fn is_constant(values: &[i64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

/// Values below this are stored as they are without a look at the differences: zstd sees what repeats.
const SMALL: u64 = 1 << 14;

fn steps_are_smaller(values: &[i64]) -> bool {
    if values.iter().fold(0, |bits, v| bits | code(*v)) < SMALL {
        return false;
    }
    let bits = |v: u64| u64::from(64 - v.leading_zeros());
    let (mut plain, mut steps, mut last) = (0, 0, 0);
    for &v in values.iter().filter(|v| **v != ABSENT) {
        plain += bits(code(v));
        steps += bits(zigzag(v.wrapping_sub(last)));
        last = v;
    }
    steps < plain
}

fn write_delta(out: &mut Vec<u8>, values: &[i64]) {
    let mut last = 0i64;
    for &v in values {
        if v == ABSENT {
            put(out, 0);
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
        bytes.len()
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
    fn unknown_mode_is_an_error() {
        assert_eq!(
            read(&mut Cursor::new(&[9, 0]), 1, &mut Vec::new()),
            Err(Malformed::UnknownMode)
        );
    }
}
