//! Texts of a column that mostly differ: each is made once for the events that have it, and written out in every row.

use std::borrow::Cow;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::catalogue::packed;
use ctrace_trace::escape::lossless;
use ctrace_trace::render::Shape;

use super::domain::Entries;
use crate::error::QueryError;
use crate::values::MAX_TEXT;

/// Columns whose values belong to [`super::domain::Domain::Arguments`] and are written as texts.
pub(super) const TEXTS: [&str; 2] = ["evt_args", "evt_arg"];

/// The texts of a block's entries.
#[derive(Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where the text of each entry ends; `None` for entries without one.
    ends: Vec<Option<usize>>,
    /// Bytes of the texts of all rows. A hostile block may name its longest string in every row.
    in_rows: usize,
}

impl Texts {
    /// Makes the texts of [`TEXTS`].
    pub(super) fn of(block: &Decoded, entries: &Entries) -> Result<[Texts; TEXTS.len()], QueryError> {
        let shapes: Vec<Shape<'_>> = block.kinds.iter().map(|k| Shape::of(&k.spec)).collect();
        let mut all = TEXTS.map(|_| Texts::default());
        let [args, arg] = &mut all;
        for (row, rows) in entries.first_rows().iter().zip(entries.rows_of()) {
            let row = *row as usize;
            let shape = block.kind.get(row).and_then(|kind| shapes.get(usize::from(*kind)));
            let event = block.event(row);
            args.push(rows, |out| shape.map(|shape| shape.write_args(event, out)));
            arg.push(rows, |out| packed::write_arguments(shape?, event, out));
            if args.in_rows.max(arg.in_rows) > MAX_TEXT {
                let what = format!("the arguments of some rows have more than {MAX_TEXT} bytes");
                return Err(QueryError::Internal(what));
            }
        }
        Ok(all)
    }

    /// Adds the text of an entry of so many rows, or none.
    fn push(&mut self, rows: usize, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) {
        let start = self.bytes.len();
        let is_there = write(&mut self.bytes).is_some();
        let text = self.bytes.get(start..).unwrap_or_default();
        if let Cow::Owned(other) = lossless(text) {
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(other.as_bytes());
        }
        let len = self.bytes.len() - start;
        self.in_rows = self.in_rows.saturating_add(rows.saturating_mul(len));
        self.ends.push(is_there.then_some(self.bytes.len()));
    }

    /// The text of each entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = self.bytes.get(start..(*end)?);
            start = end.unwrap_or(start);
            text
        })
    }
}
