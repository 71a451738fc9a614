//! A row group while it is read: which of its rows pass, and their groups.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::groups::Groups;
use super::passing::Conditions;
use super::prune::Kept;
use super::read::{Chunks, Source};
use super::request::Request;
use crate::values::Rows;

/// A row group whose rows are being read.
pub(super) struct RowGroup {
    chunks: Chunks,
    /// The conditions, where it is not known yet which rows pass.
    conditions: Option<Conditions>,
    groups: Groups,
    /// Groups that were found and not given out yet.
    found: VecDeque<RecordBatch>,
}

impl RowGroup {
    /// Where groups are made of columns that conditions do not look at, these are read for rows that pass alone. `None`
    /// where none do.
    pub(super) fn open(source: &Source, request: &Arc<Request>, kept: Kept) -> Result<Option<RowGroup>> {
        let (tested, mut columns) = (request.tested(), request.grouped());
        let Kept { group, mut rows, .. } = kept;
        let mut conditions = (!tested.is_empty() && !kept.all_pass).then(|| Conditions::new(request));
        let known = columns.iter().all(|column| tested.contains(column));
        if known && conditions.is_some() {
            columns = tested;
        } else if let Some(mut conditions) = conditions.take() {
            rows = conditions.select(source, &tested, group, rows)?;
            if rows.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(RowGroup {
            chunks: source.read(&columns, group, rows)?,
            conditions,
            groups: Groups::new(request),
            found: VecDeque::new(),
        }))
    }

    /// The next groups; `None` at the end.
    pub(super) fn next(&mut self, memory: &MemoryReservation) -> Result<Option<RecordBatch>> {
        while self.found.is_empty() {
            let Some(columns) = self.chunks.next()? else {
                memory.free();
                return self.groups.flush();
            };
            let found = match &mut self.conditions {
                None => self.groups.add(&columns, &Rows::All(0..columns.rows))?,
                Some(conditions) => {
                    let passing: Vec<u32> = conditions.passing(&columns)?.set_indices_u32().collect();
                    self.groups.add(&columns, &Rows::Some(&passing))?
                }
            };
            self.found.extend(found);
            if memory.try_resize(columns.size() + self.groups.size()).is_err() {
                // Groups may be given out before all of their rows were seen.
                self.found.extend(self.groups.flush()?);
                memory.try_resize(columns.size())?;
            }
        }
        Ok(self.found.pop_front())
    }
}
