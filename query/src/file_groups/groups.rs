//! The groups of some rows of a row group.

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int64Array, ListArray, PrimitiveArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, DurationNanosecondType, Field, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use std::sync::Arc;

use super::read::Columns;
use super::request::{Key, Request, Wanted};
use crate::numbering::{Numbers, numbered, numbers};
use crate::values::Rows;

/// Values of a column of some rows.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Texts: entries of a dictionary, not all of them different.
    Text(DictionaryArray<UInt32Type>),
    /// Others.
    Plain(ArrayRef),
}

impl Values {
    /// Whether a row has a value.
    fn present(&self, row: usize) -> bool {
        match self {
            Values::Text(array) => array.is_valid(row),
            Values::Plain(array) => array.is_valid(row),
        }
    }

    /// The values of these rows, as the table has them.
    fn pick(&self, rows: &[u32], ty: &DataType) -> Result<ArrayRef> {
        let rows = UInt32Array::from(rows.to_vec());
        Ok(match self {
            Values::Text(array) => cast(&take(array, &rows, None)?, ty)?,
            Values::Plain(array) => take(array, &rows, None)?,
        })
    }

    /// Of each row the number of its value, 0 for none, and how many numbers there may be. Equal numbers mean equal
    /// values.
    fn codes(&self, rows: &Rows<'_>) -> Result<(Vec<u32>, u64)> {
        Ok(match self {
            Values::Text(array) => {
                let keys = array.keys().values();
                let code = |row: usize| {
                    let key = keys.get(row).map_or(0, |key| key.saturating_add(1));
                    if array.is_valid(row) { key } else { 0 }
                };
                let codes = match (rows, array.null_count()) {
                    (Rows::All(range), 0) => {
                        let keys = keys.get(range.clone()).unwrap_or_default();
                        keys.iter().map(|k| k.saturating_add(1)).collect()
                    }
                    _ => rows.iter().map(code).collect(),
                };
                (codes, array.values().len() as u64 + 1)
            }
            Values::Plain(array) => numbered(&numbers(array)?, rows.iter()),
        })
    }
}

/// What bits of numbers of this type have to be changed by, so that they compare as numbers with a sign.
fn shift(ty: &DataType) -> i64 {
    if *ty == DataType::UInt64 { i64::MIN } else { 0 }
}

fn from_bits(bits: Int64Array, ty: &DataType) -> ArrayRef {
    fn typed<T: ArrowPrimitiveType>(bits: &Int64Array, ty: &DataType) -> ArrayRef {
        let values = bits.values().inner().clone().into();
        Arc::new(PrimitiveArray::<T>::new(values, bits.nulls().cloned()).with_data_type(ty.clone()))
    }
    match ty {
        DataType::UInt64 => typed::<UInt64Type>(&bits, ty),
        DataType::Timestamp(..) => typed::<TimestampNanosecondType>(&bits, ty),
        DataType::Duration(_) => typed::<DurationNanosecondType>(&bits, ty),
        _ => Arc::new(bits),
    }
}

/// The groups of these rows, with what is wanted of each; at least one row.
pub(super) fn batch(request: &Request, columns: &Columns, rows: &Rows<'_>) -> Result<RecordBatch> {
    let keys = request.keys.iter().map(|key| match key {
        Key::Column(c) => columns.get(*c).cloned(),
        Key::Computed(computed) => Ok(Values::Plain(columns.compute(computed)?)),
    });
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let (first, results) = match Tally::of(request, &keys, rows) {
        Some(tally) => (tally.first, vec![tally.count; request.wanted.len()]),
        None => {
            let found = Found::new(&keys, rows)?;
            let wanted = request.wanted.iter();
            let results = wanted.map(|wanted| found.result(*wanted, request, columns, rows));
            let results = results.collect::<Result<Vec<_>>>()?;
            (found.first, results)
        }
    };
    let fields = request.schema.fields();
    let firsts = keys.iter().zip(fields).map(|(key, f)| key.pick(&first, f.data_type()));
    let arrays = firsts.chain(results.into_iter().map(Ok)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(first.len()));
    Ok(RecordBatch::try_new_with_options(
        request.schema.clone(),
        arrays,
        &options,
    )?)
}

/// The groups by one text where only their rows are counted: each row is looked at once, and nothing is kept of it.
struct Tally {
    /// The first row of each group.
    first: Vec<u32>,
    count: ArrayRef,
}

impl Tally {
    fn of(request: &Request, keys: &[Values], rows: &Rows<'_>) -> Option<Tally> {
        let [Values::Text(array)] = keys else { return None };
        let counted = request.wanted.iter().all(|wanted| matches!(wanted, Wanted::Rows));
        if !counted || array.values().len() > rows.len() {
            return None;
        }
        // By entry of the dictionary: rows so far, and the first of them. At last the rows without a text.
        let none = array.values().len();
        let mut entries = vec![(0i64, 0u32); none + 1];
        let texts = array.keys().values();
        let mut add = |entry: usize, row: usize| {
            if let Some((count, first)) = entries.get_mut(entry) {
                if *count == 0 {
                    *first = row as u32;
                }
                *count += 1;
            }
        };
        match (rows, array.null_count()) {
            (Rows::All(range), 0) => {
                let texts = texts.get(range.clone()).unwrap_or_default();
                range
                    .clone()
                    .zip(texts)
                    .for_each(|(row, text)| add(*text as usize, row));
            }
            _ => rows.iter().for_each(|row| {
                let text = texts.get(row).filter(|_| array.is_valid(row));
                add(text.map_or(none, |text| *text as usize), row);
            }),
        }
        let found = entries.into_iter().filter(|(count, _)| *count != 0);
        let (counts, first): (Vec<i64>, Vec<u32>) = found.unzip();
        Some(Tally {
            first,
            count: Arc::new(Int64Array::from(counts)),
        })
    }
}

struct Found {
    /// The first row of each group.
    first: Vec<u32>,
    /// The group of each row.
    group: Vec<u32>,
}

impl Found {
    fn new(keys: &[Values], rows: &Rows<'_>) -> Result<Found> {
        let mut group = vec![0u32; rows.len()];
        let mut groups = 1u64;
        for key in keys {
            let (codes, size) = key.codes(rows)?;
            let all = groups.checked_mul(size);
            let mut numbers = Numbers::new(all.ok_or_else(|| internal_datafusion_err!("too many groups"))?);
            let mut next = 0;
            for (group, code) in group.iter_mut().zip(codes) {
                let number = numbers.number(u64::from(*group) * size + u64::from(code), next);
                next += usize::from(number == next);
                *group = number as u32;
            }
            groups = next as u64;
        }
        // Groups were numbered in the order of their first rows.
        let mut first = Vec::with_capacity(groups as usize);
        for (row, group) in rows.iter().zip(&group) {
            if *group as usize == first.len() {
                first.push(row as u32);
            }
        }
        Ok(Found { first, group })
    }

    fn result(&self, wanted: Wanted, request: &Request, columns: &Columns, rows: &Rows<'_>) -> Result<ArrayRef> {
        match wanted {
            Wanted::Rows => Ok(Arc::new(Int64Array::from(self.count(rows, |_| true)))),
            Wanted::Present(c) => {
                let values = columns.get(c)?;
                Ok(Arc::new(Int64Array::from(self.count(rows, |row| values.present(row)))))
            }
            Wanted::Min(c) => self.extreme(columns.get(c)?, rows, |a, b| a < b),
            Wanted::Max(c) => self.extreme(columns.get(c)?, rows, |a, b| a > b),
            Wanted::Distinct(c) => distinct(columns.get(c)?, request.table.field(c).data_type(), rows),
        }
    }

    fn count(&self, rows: &Rows<'_>, counts: impl Fn(usize) -> bool) -> Vec<i64> {
        let mut out = vec![0; self.first.len()];
        for (row, group) in rows.iter().zip(&self.group) {
            if let Some(count) = out.get_mut(*group as usize)
                && counts(row)
            {
                *count += 1;
            }
        }
        out
    }

    fn extreme(&self, values: &Values, rows: &Rows<'_>, better: fn(i64, i64) -> bool) -> Result<ArrayRef> {
        let Values::Plain(array) = values else {
            return internal_err!("the extremes of texts");
        };
        let (numbers, shift) = (numbers(array)?, shift(array.data_type()));
        let mut out: Vec<Option<i64>> = vec![None; self.first.len()];
        for (row, group) in rows.iter().zip(&self.group) {
            let Some(best) = out.get_mut(*group as usize).filter(|_| numbers.is_valid(row)) else {
                continue;
            };
            let value = numbers.values().get(row).copied().unwrap_or_default();
            if best.is_none_or(|best| better(value ^ shift, best ^ shift)) {
                *best = Some(value);
            }
        }
        Ok(from_bits(Int64Array::from(out), array.data_type()))
    }
}

/// The texts of all rows as one list; a text may be in it more than once.
fn distinct(values: &Values, ty: &DataType, rows: &Rows<'_>) -> Result<ArrayRef> {
    let Values::Text(array) = values else {
        return internal_err!("different values that are no texts");
    };
    let mut used = vec![false; array.values().len()];
    for row in rows.iter().filter(|row| array.is_valid(*row)) {
        let entry = array
            .keys()
            .values()
            .get(row)
            .and_then(|key| used.get_mut(*key as usize));
        entry.into_iter().for_each(|used| *used = true);
    }
    // An entry of the dictionary may itself be null.
    let texts = arrow::compute::filter(array.values(), &BooleanArray::from(used))?;
    let texts = arrow::compute::filter(&texts, &arrow::compute::is_not_null(&texts)?)?;
    let texts = cast(&texts, ty)?;
    let item = Arc::new(Field::new_list_field(ty.clone(), true));
    let offsets = OffsetBuffer::from_lengths([texts.len()]);
    Ok(Arc::new(ListArray::try_new(item, offsets, texts, None)?))
}
