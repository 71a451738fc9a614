//! Columns of numbers that may be absent: arguments, results, descriptor numbers.
//!
//! Each column says in its first byte how it is coded. A value `v` becomes `zigzag(v) + 1` in 64 bits without carry, so
//! that [`ABSENT`] (`i64::MIN`, the value that is never stored) becomes 0.

use super::decoded::ABSENT;
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};

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

/// Reads a column of `n` values, handing each to `sink`.
#[inline]
pub(super) fn read(cursor: &mut Cursor<'_>, n: usize, mut sink: impl FnMut(i64)) -> Result<(), Malformed> {
    if n == 0 {
        return Ok(());
    }
    match cursor.byte()? {
        CONSTANT => {
            let v = value(cursor.get()?);
            (0..n).for_each(|_| sink(v));
        }
        PLAIN => {
            for _ in 0..n {
                sink(value(cursor.get()?));
            }
        }
        DELTA => {
            let mut last = 0i64;
            for _ in 0..n {
                last = match cursor.get()? {
                    0 => {
                        sink(ABSENT);
                        continue;
                    }
                    1 => unzigzag(cursor.get()?),
                    step => last.wrapping_add(unzigzag(step - 2)),
                };
                sink(last);
            }
        }
        _ => return Err(Malformed::UnknownMode),
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
        assert_eq!(read(&mut cursor, values.len(), |v| back.push(v)), Ok(()));
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
            assert_eq!(round_trip(&[ABSENT; 1000], delta), 2);
            assert_eq!(round_trip(&[-7; 1000], delta), 2);
        }
    }

    #[test]
    fn unknown_mode_is_an_error() {
        assert_eq!(read(&mut Cursor::new(&[9, 0]), 1, |_| ()), Err(Malformed::UnknownMode));
    }
}
