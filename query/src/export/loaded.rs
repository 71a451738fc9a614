//! A decoded block, with what several columns need of it.

use arrow::array::ArrayRef;
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::segment::{BlockReader, BlockRef};

use super::dictionary::{NULL, Values};
use super::domain::{Domain, Entries};
use super::texts::{TEXTS, Texts};
use crate::column::Column;
use crate::error::QueryError;
use crate::source::{CaseSource, host_name};
use crate::values::Rows;

/// A block of a row group.
pub(super) struct Loaded {
    block: Decoded,
    host: String,
    /// By domain, in the order of [`Domain::ALL`].
    entries: [Entries; Domain::ALL.len()],
    /// Of the columns that are written as texts, in the order of [`TEXTS`]. Making them takes longer than anything else.
    texts: [Texts; TEXTS.len()],
}

impl Loaded {
    /// Reads a block; a damaged one is noted and left out.
    pub(super) fn read(
        source: &CaseSource,
        reader: &mut BlockReader,
        block: &BlockRef,
        columns: &[Column],
    ) -> Result<Option<Loaded>, QueryError> {
        let need = columns.iter().fold(Need::NOTHING, |n, c| n | c.needs());
        let mut decoded = match reader.read(block, need) {
            Ok(decoded) => std::mem::take(decoded),
            Err(problem) => {
                source.note(problem);
                return Ok(None);
            }
        };
        source.resolve(&mut decoded);
        let entries = Domain::ALL.map(|domain| Entries::of(domain, &decoded));
        let [.., of_arguments] = &entries;
        let texts = Texts::of(&decoded, of_arguments)?;
        Ok(Some(Loaded {
            texts,
            host: host_name(&block.header().about.host).to_owned(),
            entries,
            block: decoded,
        }))
    }

    /// The times of the rows.
    pub(super) fn ts(&self) -> &[u64] {
        &self.block.ts
    }

    /// Whether no row has a value of a column, as far as that can be told without looking at rows.
    pub(super) fn is_absent(&self, column: &Column) -> bool {
        !self.block.kinds.is_empty() && !column.kinds(&self.block).contains(&true)
    }

    /// The values of a column.
    pub(super) fn array(&self, column: &Column) -> Result<ArrayRef, QueryError> {
        Ok(column.array(&self.block, &self.host, &Rows::All(0..self.block.len))?)
    }

    /// Numbers the texts of a column and appends them, and for each entry its number.
    pub(super) fn number_texts<'l>(&'l self, name: &str, texts: &mut Vec<&'l [u8]>, keys: &mut Vec<u32>) {
        let Some((own, _)) = self.texts.iter().zip(TEXTS).find(|(_, of)| *of == name) else {
            return;
        };
        for text in own.iter() {
            keys.push(text.map_or(NULL, |_| texts.len() as u32));
            texts.extend(text);
        }
    }

    /// Appends the keys of the values of a domain's entries.
    pub(super) fn keys_of_entries(&self, domain: Domain, column: &Column, values: &mut Values, keys: &mut Vec<u32>) {
        let Some(entries) = self.entries.get(domain as usize) else {
            return;
        };
        entries.values(column, &self.block, |value| keys.push(values.key_of(value)));
    }

    /// Appends the keys of the rows of a column of a domain; `of_entries` begins with those of this block. Gives the rest.
    pub(super) fn spread<'k>(&self, domain: Domain, of_entries: &'k [u32], keys: &mut Vec<u32>) -> &'k [u32] {
        let Some(entries) = self.entries.get(domain as usize) else {
            return of_entries;
        };
        let (own, rest) = of_entries.split_at_checked(entries.len()).unwrap_or((of_entries, &[]));
        let key = |entry: &u32| own.get(*entry as usize).copied().unwrap_or(NULL);
        keys.extend(entries.of_rows.iter().map(key));
        rest
    }

    /// Appends the keys of the rows of a column whose values belong to rows.
    pub(super) fn keys_of_rows(&self, column: &Column, values: &mut Values, keys: &mut Vec<u32>) {
        let may_have = column.kinds(&self.block);
        if may_have.contains(&true) {
            let rows = 0..self.block.len;
            keys.extend(rows.map(|row| values.key_of(&column.row_value(&self.block, row, &may_have))));
        } else {
            keys.resize(keys.len() + self.block.len, NULL);
        }
    }
}
