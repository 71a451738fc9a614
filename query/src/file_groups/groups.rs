//! The groups of the rows of a row group, while they are read.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, BooleanArray, Int64Array, ListArray, PrimitiveArray, UInt32Array, make_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{cast, filter, is_not_null, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, DurationNanosecondType, Field, TimestampNanosecondType, UInt64Type,
};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::{Result, internal_err};

use super::read::{Columns, Values};
use super::request::{Key, Request, Wanted};
use crate::numbering::{Known, Pairs, numbers};
use crate::values::Rows;

/// The groups of the rows so far, with what is wanted of each.
pub(super) struct Groups {
    request: Arc<Request>,
    /// What numbers the values of each key.
    coders: Vec<Coder>,
    /// For each key but the first: groups by the keys before and this one's number. By the first they have its numbers.
    pairs: Vec<Pairs>,
    /// How many rows each has; some have none.
    counts: Vec<i64>,
    results: Vec<Partial>,
    /// The group of each row that was added last, and the numbers of a key's values.
    rows: (Vec<u32>, Vec<u32>),
}

impl Groups {
    /// Without rows.
    pub(super) fn new(request: &Arc<Request>) -> Groups {
        Groups {
            request: request.clone(),
            coders: Vec::new(),
            pairs: Vec::new(),
            counts: Vec::new(),
            results: request.wanted.iter().map(|wanted| Partial::new(*wanted)).collect(),
            rows: (Vec::new(), Vec::new()),
        }
    }

    /// Adds rows. Where these have other dictionaries than those before, the groups so far are given out.
    pub(super) fn add(&mut self, columns: &Columns, rows: &Rows<'_>) -> Result<Option<RecordBatch>> {
        if rows.len() == 0 {
            return Ok(None);
        }
        let keys = self.request.keys.iter().map(|key| match key {
            Key::Column(c) => columns.get(*c).cloned(),
            Key::Computed(computed) => Ok(Values::Plain(columns.compute(computed)?)),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let same = self.coders.iter().zip(&keys).all(|(coder, key)| coder.fits(key));
        let out = if same && self.results.iter().all(|r| r.fits(columns)) {
            None
        } else {
            self.flush()?
        };
        if self.coders.is_empty() {
            self.coders = keys.iter().map(Coder::new).collect();
            self.pairs.resize_with(keys.len().saturating_sub(1), Pairs::default);
        }
        let groups = self.find(&keys, rows)?;
        self.counts.resize(groups, 0);
        if keys.is_empty() {
            self.counts.iter_mut().for_each(|count| *count += rows.len() as i64);
        } else {
            count(&mut self.counts, &self.rows.0);
        }
        for result in &mut self.results {
            result.add(columns, rows, &self.rows.0, groups)?;
        }
        Ok(out)
    }

    /// Finds the group of each row; gives how many groups there are.
    fn find(&mut self, keys: &[Values], rows: &Rows<'_>) -> Result<usize> {
        let (group, codes) = &mut self.rows;
        group.clear();
        let mut pairs = self.pairs.iter_mut();
        let mut groups = 1;
        for (at, (coder, key)) in self.coders.iter_mut().zip(keys).enumerate() {
            if at == 0 {
                coder.code(key, rows, group)?;
                groups = coder.count();
            } else if let Some(pairs) = pairs.next() {
                codes.clear();
                coder.code(key, rows, codes)?;
                // Neighbours are often of one group.
                let mut last = ((0, 0), None);
                for (group, code) in group.iter_mut().zip(codes.iter()) {
                    let pair = (*group, *code);
                    if last.1.is_none() || last.0 != pair {
                        last = (pair, Some(pairs.number(pair)));
                    }
                    *group = last.1.unwrap_or_default();
                }
                groups = pairs.count();
            }
        }
        if keys.is_empty() {
            group.resize(rows.len(), 0);
        }
        Ok(groups)
    }

    /// Gives the groups out and forgets them; `None` where there are none.
    pub(super) fn flush(&mut self) -> Result<Option<RecordBatch>> {
        let there = self.counts.iter().zip(0u32..).filter(|(count, _)| **count != 0);
        let groups: Vec<u32> = there.map(|(_, group)| group).collect();
        let done = std::mem::replace(self, Groups::new(&self.request));
        if groups.is_empty() {
            return Ok(None);
        }
        done.batch(&groups).map(Some)
    }

    fn batch(self, groups: &[u32]) -> Result<RecordBatch> {
        let fields = self.request.schema.fields();
        // From the last key to the first.
        let mut codes = groups.to_vec();
        let mut keys = Vec::new();
        for (at, coder) in self.coders.iter().enumerate().rev() {
            let own = match at.checked_sub(1).and_then(|at| self.pairs.get(at)) {
                None => codes.clone(),
                Some(pairs) => {
                    let (before, own) = codes.iter().map(|g| pairs.pair(*g).unwrap_or_default()).unzip();
                    codes = before;
                    own
                }
            };
            keys.push(coder.values(&own, fields.get(at).map_or(&DataType::Null, |f| f.data_type()))?);
        }
        let results = self
            .results
            .iter()
            .map(|r| r.array(groups, &self.counts, &self.request));
        let arrays = keys.into_iter().rev().map(Ok).chain(results);
        let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        Ok(RecordBatch::try_new_with_options(
            self.request.schema.clone(),
            arrays.collect::<Result<Vec<_>>>()?,
            &options,
        )?)
    }

    /// Bytes.
    pub(super) fn size(&self) -> usize {
        let coders: usize = self.coders.iter().map(Coder::size).sum();
        let pairs: usize = self.pairs.iter().map(Pairs::size).sum();
        let results: usize = self.results.iter().map(Partial::size).sum();
        coders + pairs + results + self.counts.capacity() * size_of::<i64>()
    }
}

fn count(counts: &mut [i64], groups: &[u32]) {
    for group in groups {
        if let Some(count) = counts.get_mut(*group as usize) {
            *count += 1;
        }
    }
}

/// Numbers the values of a key: 0 for none.
enum Coder {
    /// Texts, by their places in this dictionary.
    Text(ArrayData),
    /// Numbers of this type.
    Number(Known, DataType),
}

impl Coder {
    fn new(values: &Values) -> Coder {
        match values {
            Values::Text(array) => Coder::Text(array.values().to_data()),
            Values::Plain(array) => Coder::Number(Known::default(), array.data_type().clone()),
        }
    }

    /// Whether its numbers mean the same for these values.
    fn fits(&self, values: &Values) -> bool {
        match (self, values) {
            (Coder::Text(entries), Values::Text(array)) => array.values().to_data().ptr_eq(entries),
            (Coder::Number(_, ty), Values::Plain(array)) => array.data_type() == ty,
            _ => false,
        }
    }

    /// How many numbers there are.
    fn count(&self) -> usize {
        match self {
            Coder::Text(entries) => entries.len() + 1,
            Coder::Number(known, _) => known.count(),
        }
    }

    fn code(&mut self, values: &Values, rows: &Rows<'_>, out: &mut Vec<u32>) -> Result<()> {
        match (self, values) {
            (Coder::Text(_), Values::Text(array)) => {
                let keys = array.keys().values();
                let key = |row: usize| keys.get(row).map_or(0, |key| key.saturating_add(1));
                match (rows, array.nulls()) {
                    (Rows::All(range), None) => {
                        let keys = keys.get(range.clone()).unwrap_or_default();
                        out.extend(keys.iter().map(|key| key.saturating_add(1)));
                    }
                    (_, None) => out.extend(rows.iter().map(key)),
                    (_, Some(valid)) => {
                        out.extend(rows.iter().map(|row| if valid.is_valid(row) { key(row) } else { 0 }));
                    }
                }
            }
            (Coder::Number(known, _), Values::Plain(array)) => {
                let array = numbers(array)?;
                out.extend(rows.iter().map(|row| known.code(&array, row)));
            }
            _ => return internal_err!("a key has values of another kind"),
        }
        Ok(())
    }

    /// The values with these numbers.
    fn values(&self, codes: &[u32], ty: &DataType) -> Result<ArrayRef> {
        match self {
            Coder::Text(entries) => {
                let entries = make_array(entries.clone());
                let places: UInt32Array = codes.iter().map(|code| code.checked_sub(1)).collect();
                Ok(cast(&take(&entries, &places, None)?, ty)?)
            }
            Coder::Number(known, _) => {
                let bits: Int64Array = codes.iter().map(|code| known.value(*code)).collect();
                Ok(from_bits(&bits, ty))
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Coder::Text(entries) => entries.get_array_memory_size(),
            Coder::Number(known, _) => known.size(),
        }
    }
}

/// What bits of numbers of this type have to be changed by, so that they compare as numbers with a sign.
fn shift(ty: &DataType) -> i64 {
    if *ty == DataType::UInt64 { i64::MIN } else { 0 }
}

fn from_bits(bits: &Int64Array, ty: &DataType) -> ArrayRef {
    fn typed<T: ArrowPrimitiveType>(bits: &Int64Array, ty: &DataType) -> ArrayRef {
        let values = bits.values().inner().clone().into();
        Arc::new(PrimitiveArray::<T>::new(values, bits.nulls().cloned()).with_data_type(ty.clone()))
    }
    match ty {
        DataType::UInt64 => typed::<UInt64Type>(bits, ty),
        DataType::Timestamp(..) => typed::<TimestampNanosecondType>(bits, ty),
        DataType::Duration(_) => typed::<DurationNanosecondType>(bits, ty),
        _ => Arc::new(bits.clone()),
    }
}

/// What is known so far of something that is wanted.
enum Partial {
    /// The rows, which are counted anyway.
    Rows,
    /// In how many rows of each group a column has a value.
    Present(usize, Vec<i64>),
    /// The smallest or largest bits of a column in each group.
    Extreme(usize, fn(i64, i64) -> bool, Vec<Option<i64>>),
    /// A column's dictionary, and which of its entries rows have.
    Distinct(usize, Option<ArrayData>, Vec<bool>),
}

impl Partial {
    fn new(wanted: Wanted) -> Partial {
        match wanted {
            Wanted::Rows => Partial::Rows,
            Wanted::Present(c) => Partial::Present(c, Vec::new()),
            Wanted::Min(c) => Partial::Extreme(c, |a, b| a < b, Vec::new()),
            Wanted::Max(c) => Partial::Extreme(c, |a, b| a > b, Vec::new()),
            Wanted::Distinct(c) => Partial::Distinct(c, None, Vec::new()),
        }
    }

    /// Whether rows of these columns can be added.
    fn fits(&self, columns: &Columns) -> bool {
        match self {
            Partial::Distinct(c, Some(entries), _) => {
                matches!(columns.get(*c), Ok(Values::Text(array)) if array.values().to_data().ptr_eq(entries))
            }
            _ => true,
        }
    }

    /// Adds rows, each of which is of one of so many groups.
    fn add(&mut self, columns: &Columns, rows: &Rows<'_>, group: &[u32], groups: usize) -> Result<()> {
        match self {
            Partial::Rows => {}
            Partial::Present(c, counts) => {
                counts.resize(groups, 0);
                let valid = match columns.get(*c)? {
                    Values::Text(array) => array.logical_nulls(),
                    Values::Plain(array) => array.logical_nulls(),
                };
                match valid {
                    None => count(counts, group),
                    Some(valid) => {
                        let there = rows.iter().zip(group).filter(|(row, _)| valid.is_valid(*row));
                        there.for_each(|(_, group)| count(counts, std::slice::from_ref(group)));
                    }
                }
            }
            Partial::Extreme(c, better, best) => {
                best.resize(groups, None);
                let Values::Plain(array) = columns.get(*c)? else {
                    return internal_err!("the extremes of texts");
                };
                let (numbers, shift) = (numbers(array)?, shift(array.data_type()));
                for (row, group) in rows.iter().zip(group) {
                    let Some(best) = best.get_mut(*group as usize).filter(|_| numbers.is_valid(row)) else {
                        continue;
                    };
                    let value = numbers.values().get(row).copied().unwrap_or_default();
                    if best.is_none_or(|best| better(value ^ shift, best ^ shift)) {
                        *best = Some(value);
                    }
                }
            }
            Partial::Distinct(c, entries, used) => {
                let Values::Text(array) = columns.get(*c)? else {
                    return internal_err!("different values that are no texts");
                };
                entries.get_or_insert_with(|| array.values().to_data());
                used.resize(array.values().len(), false);
                let keys = array.keys().values();
                for row in rows.iter().filter(|row| array.is_valid(*row)) {
                    let entry = keys.get(row).and_then(|key| used.get_mut(*key as usize));
                    entry.into_iter().for_each(|used| *used = true);
                }
            }
        }
        Ok(())
    }

    /// Of each of these groups what DataFusion merges.
    fn array(&self, groups: &[u32], counts: &[i64], request: &Request) -> Result<ArrayRef> {
        let counted = |counts: &[i64]| -> ArrayRef {
            let of = |group: &u32| counts.get(*group as usize).copied().unwrap_or_default();
            Arc::new(Int64Array::from_iter_values(groups.iter().map(of)))
        };
        let ty = |column: &usize| request.table.field(*column).data_type();
        Ok(match self {
            Partial::Rows => counted(counts),
            Partial::Present(_, counts) => counted(counts),
            Partial::Extreme(c, _, best) => {
                let of = |group: &u32| best.get(*group as usize).copied().flatten();
                from_bits(&groups.iter().map(of).collect(), ty(c))
            }
            Partial::Distinct(c, entries, used) => texts(entries.as_ref(), used, ty(c))?,
        })
    }

    fn size(&self) -> usize {
        match self {
            Partial::Rows => 0,
            Partial::Present(_, counts) => counts.capacity() * size_of::<i64>(),
            Partial::Extreme(_, _, best) => best.capacity() * size_of::<Option<i64>>(),
            Partial::Distinct(_, entries, used) => {
                used.capacity() + entries.as_ref().map_or(0, ArrayData::get_array_memory_size)
            }
        }
    }
}

/// The used texts of a dictionary as one list; a text may be in it more than once.
fn texts(entries: Option<&ArrayData>, used: &[bool], ty: &DataType) -> Result<ArrayRef> {
    let Some(entries) = entries else {
        return internal_err!("different values of no rows");
    };
    let texts = filter(&make_array(entries.clone()), &BooleanArray::from(used.to_vec()))?;
    // An entry of the dictionary may itself be null.
    let texts = cast(&filter(&texts, &is_not_null(&texts)?)?, ty)?;
    let item = Arc::new(Field::new_list_field(ty.clone(), true));
    let offsets = OffsetBuffer::from_lengths([texts.len()]);
    Ok(Arc::new(ListArray::try_new(item, offsets, texts, None)?))
}
