//! The order of rows by columns of numbers.

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;

use super::held::Packed;
use crate::numbering::Known;

/// A column that rows are sorted by: what compares as the rows are to be sorted.
pub(super) struct Key<'a> {
    values: &'a Packed,
    /// What turns the bits of a value into a number that compares as wanted.
    mask: i64,
    nulls_first: bool,
}

impl Key<'_> {
    /// A column sorted as these options say.
    pub(super) fn new(values: &Packed, options: SortOptions) -> Key<'_> {
        let sign = if *values.ty() == DataType::UInt64 { i64::MIN } else { 0 };
        Key {
            values,
            mask: if options.descending { !sign } else { sign },
            nulls_first: options.nulls_first,
        }
    }

    fn rank(&self, value: Option<i64>) -> (bool, i64) {
        match value {
            Some(value) => (self.nulls_first, value ^ self.mask),
            None => (!self.nulls_first, 0),
        }
    }

    /// Where the value of a row stands among the others.
    fn of(&self, row: u32) -> (bool, i64) {
        self.rank(self.values.get(row))
    }
}

/// Row numbers in the order of these columns. Made for a first column that many rows have in common: they are put
/// together by counting, and only the rows of one value are compared.
pub(super) fn sorted(keys: &[Key<'_>], rows: u32) -> Vec<u32> {
    let Some((first, rest)) = keys.split_first() else {
        return (0..rows).collect();
    };
    let mut known = Known::default();
    let codes: Vec<u32> = (0..rows).map(|row| known.code_of(first.values.get(row))).collect();
    let (mut order, ends) = by_code(&codes, &places(&known, first));
    drop(codes);
    let mut begin = 0;
    let mut some = Vec::new();
    for end in ends {
        if let Some(rows) = order.get_mut(begin..end) {
            sort(rows, rest, &mut some);
        }
        begin = end;
    }
    order
}

/// Of each number of a value its place in the order of values.
fn places(known: &Known, key: &Key<'_>) -> Vec<u32> {
    let mut codes: Vec<u32> = (0..known.count() as u32).collect();
    codes.sort_by_key(|code| key.rank(known.value(*code)));
    let mut places = vec![0; codes.len()];
    for (code, place) in codes.into_iter().zip(0u32..) {
        if let Some(slot) = places.get_mut(code as usize) {
            *slot = place;
        }
    }
    places
}

/// Rows put together by the places of their codes, and where the rows of each place end.
fn by_code(codes: &[u32], places: &[u32]) -> (Vec<u32>, Vec<usize>) {
    let place = |code: &u32| places.get(*code as usize).map_or(0, |place| *place as usize);
    let mut next = vec![0usize; places.len()];
    for code in codes {
        if let Some(count) = next.get_mut(place(code)) {
            *count += 1;
        }
    }
    let mut begin = 0;
    for slot in &mut next {
        (*slot, begin) = (begin, begin + *slot);
    }
    let mut order = vec![0u32; codes.len()];
    for (code, row) in codes.iter().zip(0u32..) {
        let Some(at) = next.get_mut(place(code)) else { continue };
        if let Some(slot) = order.get_mut(*at) {
            *slot = row;
        }
        *at += 1;
    }
    // Each is now where the next one begins.
    (order, next)
}

/// Sorts rows by columns. `some` is memory that is used again.
fn sort(rows: &mut [u32], keys: &[Key<'_>], some: &mut Vec<((bool, i64), u32)>) {
    let Some((first, rest)) = keys.split_first() else {
        return;
    };
    some.clear();
    some.extend(rows.iter().map(|row| (first.of(*row), *row)));
    let ties = |a: u32, b: u32| {
        let keys = rest.iter().map(|key| key.of(a).cmp(&key.of(b)));
        keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
    };
    // Rows come in runs that are sorted already, which a stable sort makes use of.
    some.sort_by(|(a, row), (b, other)| a.cmp(b).then_with(|| ties(*row, *other)));
    for (slot, (_, row)) in rows.iter_mut().zip(some.iter()) {
        *slot = *row;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, Int64Array, TimestampNanosecondArray, UInt32Array, UInt64Array};
    use arrow::compute::{SortColumn, lexsort_to_indices};

    use super::super::held::Held;
    use super::*;

    /// Numbers that look random and are the same in every run.
    fn noise(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed), |x| {
            Some(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407))
        })
        .map(|x| x >> 33)
    }

    #[test]
    fn rows_are_in_the_order_that_arrow_gives() {
        let rows = 5000;
        let maybe = |n: u64| (!n.is_multiple_of(7)).then_some(n % 40);
        let pids: ArrayRef = Arc::new(Int64Array::from_iter(
            noise(1).take(rows).map(|n| maybe(n).map(|n| n as i64 - 20)),
        ));
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter(
            noise(2).take(rows).map(|n| maybe(n).map(|n| n as i64)),
        ));
        // Larger than what a number with a sign holds, and the row itself: no two are equal.
        let own = noise(3)
            .take(rows)
            .zip(0u64..)
            .map(|(n, row)| (n << 33).wrapping_add(row));
        let seqs: ArrayRef = Arc::new(UInt64Array::from_iter_values(own));
        let held = [&pids, &times, &seqs].map(|array| {
            let mut held = Held::new(array.data_type());
            held.add(array).expect("numbers");
            held.whole().expect("whole")
        });
        for bits in 0..64u32 {
            let options = |at: u32| SortOptions {
                descending: bits >> (2 * at) & 1 == 1,
                nulls_first: bits >> (2 * at + 1) & 1 == 1,
            };
            let columns: Vec<SortColumn> = [&pids, &times, &seqs]
                .into_iter()
                .zip(0..)
                .map(|(array, at)| SortColumn {
                    values: array.clone(),
                    options: Some(options(at)),
                })
                .collect();
            let expected = lexsort_to_indices(&columns, None).expect("sorts");
            let keys: Vec<Key<'_>> = held
                .iter()
                .zip(&columns)
                .map(|(held, c)| Key::new(held.numbers().expect("numbers"), c.options.expect("options")))
                .collect();
            assert_eq!(UInt32Array::from(sorted(&keys, rows as u32)), expected, "{bits:b}");
        }
    }
}
