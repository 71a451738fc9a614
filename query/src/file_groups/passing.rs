//! Which rows of a row group pass.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, BooleanBufferBuilder, DictionaryArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt32Type;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Result, internal_err};
use parquet::arrow::arrow_reader::RowSelection;

use super::read::{Columns, Source, Values};
use super::request::{Computed, Request};
use crate::filter::Mask;

/// The conditions of a request, and which entries of the last dictionaries pass them: the rows of a row group have one in
/// common.
pub(super) struct Conditions {
    request: Arc<Request>,
    masks: Vec<Option<(ArrayData, Mask)>>,
}

impl Conditions {
    pub(super) fn new(request: &Arc<Request>) -> Conditions {
        Conditions {
            request: request.clone(),
            masks: request.entries.iter().map(|_| None).collect(),
        }
    }

    /// Of these rows those that pass.
    pub(super) fn passing(&mut self, columns: &Columns) -> Result<BooleanBuffer> {
        let mut out = BooleanBuffer::new_set(columns.rows);
        for (condition, known) in self.request.entries.iter().zip(&mut self.masks) {
            let [column] = condition.columns.as_slice() else {
                continue;
            };
            let Values::Text(array) = columns.get(*column)? else {
                continue;
            };
            out = &out & &of_entries(condition, known, array)?;
        }
        for condition in &self.request.rows {
            if out.count_set_bits() == 0 {
                break;
            }
            let result = columns.compute(condition)?;
            let truths = as_boolean_array(&result)?;
            out = &out & truths.values();
            // Null is not true.
            if let Some(valid) = truths.nulls() {
                out = &out & valid.inner();
            }
        }
        Ok(out)
    }

    /// Of these rows of a row group those that pass; `None` where there are none.
    pub(super) fn select(
        &mut self,
        source: &Source,
        columns: &[usize],
        group: usize,
        rows: Option<RowSelection>,
    ) -> Result<Option<RowSelection>> {
        let mut chunks = source.read(columns, group, rows.clone())?;
        let mut bits = BooleanBufferBuilder::new(0);
        while let Some(columns) = chunks.next()? {
            bits.append_buffer(&self.passing(&columns)?);
        }
        let bits = bits.finish();
        if bits.count_set_bits() == 0 {
            return Ok(None);
        }
        let told = bits.len();
        let passing = RowSelection::from_boolean_buffer(bits);
        match rows {
            None => Ok(Some(passing)),
            Some(rows) if rows.row_count() == told => Ok(Some(rows.and_then(&passing))),
            Some(rows) => internal_err!("{told} rows of {}", rows.row_count()),
        }
    }
}

fn of_entries(
    condition: &Computed,
    known: &mut Option<(ArrayData, Mask)>,
    array: &DictionaryArray<UInt32Type>,
) -> Result<BooleanBuffer> {
    let entries = array.values().to_data();
    let mask = match known.take_if(|(of, _)| of.ptr_eq(&entries)) {
        Some((_, mask)) => mask,
        None => condition.mask(array.values())?,
    };
    let keys = array.keys().values();
    let key = |row: usize| keys.get(row).copied();
    let out = match array.nulls() {
        None => BooleanBuffer::collect_bool(array.len(), |row| mask.has(key(row))),
        Some(valid) => BooleanBuffer::collect_bool(array.len(), |row| {
            mask.has(if valid.is_valid(row) { key(row) } else { None })
        }),
    };
    *known = Some((entries, mask));
    Ok(out)
}
