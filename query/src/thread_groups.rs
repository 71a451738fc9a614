//! Groups of whole threads: a block says how many events each thread has, and where rows are grouped by what threads and
//! their processes have, nobody has to know which events these are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use datafusion::common::{Result, internal_err};

use crate::block_groups::{Aggregate, Groups, Key};
use crate::column::{Column, Per};

/// Whether threads alone tell all that is asked for, as long as all rows of a block pass.
pub(crate) fn fits(groups: &Groups) -> bool {
    let of_thread = |c: &Column| matches!(c.per(), Per::Image | Per::Context);
    let key = |key: &Key| matches!(key, Key::Column(c) if of_thread(c));
    let counted = |a: &Aggregate| match a {
        Aggregate::Rows => true,
        Aggregate::Present(c) => of_thread(c),
        Aggregate::Min(_) | Aggregate::Max(_) | Aggregate::Distinct(_) => false,
    };
    !groups.keys.is_empty() && groups.keys.iter().all(key) && groups.aggregates.iter().all(counted)
}

/// What has to be decoded for it: which event is of which thread is not.
pub(crate) fn needs(groups: &Groups) -> Need {
    let all = groups.columns().fold(Need::THREADS, |need, c| need | c.needs());
    all.beyond(Need::CONTEXT)
}

/// One group for each thread: the second half of the aggregation merges those of one process.
pub(crate) fn batch(groups: &Groups, block: &Decoded) -> Result<RecordBatch> {
    let threads = block.events_of_threads().zip(0u32..).filter(|(events, _)| *events != 0);
    let (counts, threads): (Vec<i64>, Vec<u32>) = threads.map(|(events, at)| (i64::from(events), at)).unzip();
    let values = |column: &Column| -> Result<ArrayRef> {
        let image = |at: &u32| block.dict.contexts.get(*at as usize).and_then(|c| c.image);
        let entries = match column.per() {
            Per::Image => threads.iter().map(image).collect(),
            Per::Context => threads.iter().copied().map(Some).collect(),
            Per::Kind | Per::Fd | Per::Row => return internal_err!("{} is not of threads", column.name()),
        };
        Ok(column.by_entry(block, entries)?)
    };
    let keys = groups.keys.iter().map(|key| match key {
        Key::Column(column) => values(column),
        Key::Computed(_) => internal_err!("a thread has no computed key"),
    });
    let results = groups.aggregates.iter().map(|aggregate| -> Result<ArrayRef> {
        Ok(match aggregate {
            Aggregate::Present(column) => {
                let values = values(column)?;
                let count = |(at, n): (usize, &i64)| if values.is_null(at) { 0 } else { *n };
                Arc::new(Int64Array::from_iter_values(counts.iter().enumerate().map(count)))
            }
            _ => Arc::new(Int64Array::from(counts.clone())),
        })
    });
    let arrays = keys.chain(results).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(threads.len()));
    Ok(RecordBatch::try_new_with_options(
        groups.schema.clone(),
        arrays,
        &options,
    )?)
}
