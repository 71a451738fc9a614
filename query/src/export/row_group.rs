//! A row group of table `events`: some whole blocks in memory, and how a column of them becomes a chunk.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, FieldRef};
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::segment::{BlockReader, BlockRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{Chunk, ChunkWriter, Keyed};
use super::dictionary::{Dictionary, Lists, NULL, ValueType};
use crate::column::{Column, Per};
use crate::error::QueryError;
use crate::source::{CaseSource, host_name};
use crate::values::{self, Rows, entry_count, entry_of};

/// The columns of rows whose values are mostly their own: nothing is gained by looking for equal ones.
pub(crate) const DISTINCT: [&str; 6] = [
    "seq",
    "ts",
    "proc_duration",
    "proc_ppid_duration",
    "evt_args",
    "evt_buffer",
];

/// What the values of a row may belong to beside the row itself.
const DOMAINS: [Per; 4] = [Per::Kind, Per::Context, Per::Image, Per::Fd];

/// What a thread keeps between tasks.
pub(super) struct Worker {
    pub(super) reader: BlockReader,
    chunks: ChunkWriter,
    /// Of the rows of a column.
    keys: Vec<u32>,
    sorted: Vec<u32>,
}

impl Worker {
    pub(super) fn new() -> Result<Worker, QueryError> {
        Ok(Worker {
            reader: BlockReader::new(),
            chunks: ChunkWriter::new()?,
            keys: Vec::new(),
            sorted: Vec::new(),
        })
    }
}

/// A decoded block, with what several columns need of it.
pub(super) struct Loaded {
    block: Decoded,
    host: String,
    /// For each of [`DOMAINS`], the entry of each row; [`NULL`] for none.
    entries: [Vec<u32>; 4],
    /// For each of [`DOMAINS`], the entries that rows use.
    used: [Vec<bool>; 4],
    /// The arguments as text, which take longer to make than all other columns together.
    args: Option<ArrayRef>,
}

impl Loaded {
    /// Reads a block; a damaged one is noted and left out.
    pub(super) fn read(
        source: &CaseSource,
        reader: &mut BlockReader,
        block: &BlockRef,
        columns: &[Column],
    ) -> Result<Option<Loaded>, QueryError> {
        let need = columns
            .iter()
            .fold(ctrace_trace::block::Need::NOTHING, |n, c| n | c.needs());
        let mut decoded = match reader.read(block, need) {
            Ok(decoded) => std::mem::take(decoded),
            Err(problem) => {
                source.note(problem);
                return Ok(None);
            }
        };
        source.resolve(&mut decoded);
        let host = host_name(&block.header().about.host).to_owned();
        let entries = DOMAINS.map(|per| {
            let entry = |row| entry_of(per, &decoded, row).unwrap_or(NULL);
            (0..decoded.len).map(entry).collect::<Vec<u32>>()
        });
        let mut used = DOMAINS.map(|per| vec![false; entry_count(per, &decoded)]);
        for (used, entries) in used.iter_mut().zip(&entries) {
            for entry in entries {
                if let Some(used) = used.get_mut(*entry as usize) {
                    *used = true;
                }
            }
        }
        let mut loaded = Loaded {
            block: decoded,
            host,
            entries,
            used,
            args: None,
        };
        if let Some(args) = columns.iter().find(|c| c.name() == "evt_args") {
            loaded.args = Some(loaded.array(args)?);
        }
        Ok(Some(loaded))
    }

    fn array(&self, column: &Column) -> Result<ArrayRef, QueryError> {
        if let Some(args) = self.args.as_ref().filter(|_| column.name() == "evt_args") {
            return Ok(args.clone());
        }
        Ok(column.array(&self.block, &self.host, &Rows::All(0..self.block.len))?)
    }

    /// Appends the keys of the rows in a column.
    fn keys(&self, column: &Column, values: &mut Values, keys: &mut Vec<u32>) -> Result<(), QueryError> {
        let Some(at) = DOMAINS.iter().position(|per| *per == column.per()) else {
            values.add_keys(&self.array(column)?, |_| true, keys);
            return Ok(());
        };
        let (Some(rows), Some(used)) = (self.entries.get(at), self.used.get(at)) else {
            return Ok(());
        };
        let array = column.entries(&self.block, 0..used.len() as u32)?;
        let mut of_entries = Vec::with_capacity(used.len());
        values.add_keys(
            &array,
            |entry| used.get(entry).copied().unwrap_or(false),
            &mut of_entries,
        );
        if of_entries.iter().all(|key| *key == NULL) {
            keys.resize(keys.len() + rows.len(), NULL);
        } else {
            let key = |entry: &u32| of_entries.get(*entry as usize).copied().unwrap_or(NULL);
            keys.extend(rows.iter().map(key));
        }
        Ok(())
    }
}

/// The distinct values of a column.
enum Values {
    Single(Dictionary),
    Lists(Lists),
}

impl Values {
    /// `None` for columns whose values are written as they are.
    fn of(target: &Target<'_>) -> Option<Values> {
        match target.field.data_type() {
            _ if DISTINCT.contains(&target.column.name()) => None,
            DataType::List(_) => Some(Values::Lists(Lists::new())),
            other => ValueType::of(other).map(|ty| Values::Single(Dictionary::new(ty))),
        }
    }

    fn add_keys(&mut self, array: &dyn Array, wanted: impl Fn(usize) -> bool, keys: &mut Vec<u32>) {
        match self {
            Values::Single(values) => values.add_keys(array, wanted, keys),
            Values::Lists(lists) => lists.add_keys(array, wanted, keys),
        }
    }
}

/// Consecutive blocks whose rows are written together.
pub(super) struct Group {
    blocks: Vec<Loaded>,
    /// The rows in order of time; `None` where that is the order of the blocks.
    order: Option<UInt32Array>,
    /// The rows of each day, in that order.
    pub(super) days: Vec<(i32, Range<usize>)>,
}

impl Group {
    /// Puts blocks together.
    pub(super) fn new(blocks: Vec<Loaded>) -> Group {
        let mut ts: Vec<u64> = blocks.iter().flat_map(|b| &b.block.ts).copied().collect();
        let order = (!ts.is_sorted()).then(|| {
            let mut order: Vec<u32> = (0..ts.len() as u32).collect();
            // Stable: rows of the same time stay in order of their numbers.
            order.sort_by_key(|row| ts.get(*row as usize));
            ts.sort_unstable();
            UInt32Array::from(order)
        });
        Group {
            blocks,
            order,
            days: days(&ts),
        }
    }

    /// Encodes a column, a chunk for each day.
    pub(super) fn encode(&self, column: &Target<'_>, worker: &mut Worker) -> Result<Vec<Written>, QueryError> {
        match Values::of(column) {
            Some(values) => self.by_keys(values, column, worker),
            None => self.by_values(column),
        }
    }

    fn by_keys(
        &self,
        mut values: Values,
        target: &Target<'_>,
        worker: &mut Worker,
    ) -> Result<Vec<Written>, QueryError> {
        let Worker {
            chunks, keys, sorted, ..
        } = worker;
        keys.clear();
        for block in &self.blocks {
            block.keys(target.column, &mut values, keys)?;
        }
        if let Some(order) = &self.order {
            sorted.clear();
            sorted.extend(
                order
                    .values()
                    .iter()
                    .map(|row| keys.get(*row as usize).copied().unwrap_or(NULL)),
            );
            std::mem::swap(keys, sorted);
        }
        let (dictionary, lists) = match &values {
            Values::Single(dictionary) => (dictionary, None),
            Values::Lists(lists) => (&lists.items, Some(lists)),
        };
        let chunk = |(_, rows): &(i32, Range<usize>)| {
            chunks.write(&Keyed {
                keys: keys.get(rows.clone()).unwrap_or_default(),
                dictionary,
                lists,
                descr: target.descr.clone(),
                bloom: target.bloom,
            })
        };
        let chunks = self.days.iter().map(chunk).map(|c| c.map(Written::Keyed));
        chunks.collect::<Result<_, _>>().map_err(not_written)
    }

    fn by_values(&self, target: &Target<'_>) -> Result<Vec<Written>, QueryError> {
        let arrays = self.blocks.iter().map(|b| b.array(target.column));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        // Most columns need not be copied: they come in order, and their writer takes one array after the other.
        let values = match &self.order {
            Some(order) => vec![take(&concat(&parts)?, order, None)?],
            None => arrays,
        };
        let mut out = Vec::new();
        for (day, rows) in self.days.iter().enumerate() {
            let Some(mut writer) = target.writer(day) else {
                return Err(QueryError::Internal(format!("no writer of {}", target.column.name())));
            };
            for part in parts_of(&values, rows.1.clone()) {
                for leaf in compute_leaves(target.field, &part).map_err(not_written)? {
                    writer.write(&leaf).map_err(not_written)?;
                }
            }
            out.push(Written::Values(writer.close().map_err(not_written)?));
        }
        Ok(out)
    }
}

/// The days of ordered times, with their rows.
fn days(ts: &[u64]) -> Vec<(i32, Range<usize>)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = ts.get(at) {
        let day = values::day(*first);
        let rest = ts.get(at..).unwrap_or_default();
        let end = at + rest.partition_point(|t| values::day(*t) <= day);
        out.push((day, at..end));
        at = end;
    }
    out
}

/// The parts of arrays, one behind the other, that a range of rows covers.
fn parts_of(arrays: &[ArrayRef], rows: Range<usize>) -> Vec<ArrayRef> {
    let mut out = Vec::new();
    let mut start = 0;
    for array in arrays {
        let (from, to) = (rows.start.max(start), rows.end.min(start + array.len()));
        if from < to {
            out.push(array.slice(from - start, to - from));
        }
        start += array.len();
    }
    out
}

/// An encoded chunk.
pub(super) enum Written {
    /// From dictionary keys.
    Keyed(Chunk),
    /// From values.
    Values(ArrowColumnChunk),
}

/// A column of the files.
pub(super) struct Target<'a> {
    pub(super) column: &'a Column,
    pub(super) field: &'a FieldRef,
    pub(super) descr: ColumnDescPtr,
    pub(super) bloom: bool,
    /// Of each day, for columns that are written from values.
    pub(super) writers: Vec<Mutex<Option<ArrowColumnWriter>>>,
}

impl Target<'_> {
    fn writer(&self, day: usize) -> Option<ArrowColumnWriter> {
        let writer = self.writers.get(day)?;
        writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn not_written(error: parquet::errors::ParquetError) -> QueryError {
    QueryError::Internal(error.to_string())
}
