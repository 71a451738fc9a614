//! A row group of table `events`: some whole blocks in memory, and how a column of them becomes a chunk.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::FieldRef;
use ctrace_trace::segment::BlockReader;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{self, Chunk, Keyed};
use super::dictionary::{Dictionary, Distinct, NULL, ValueType, Values};
use super::domain::Domain;
use super::loaded::Loaded;
use super::pages::{EncodedPage, PageWriter, Pages};
use super::shared::Shared;
use super::texts::TEXTS;
use crate::column::Column;
use crate::error::QueryError;
use crate::values;

/// Columns of rows whose values are mostly their own: the general writer of the parquet crate takes them as they are.
const BY_VALUES: [&str; 5] = ["seq", "ts", "proc_duration", "proc_ppid_duration", "evt_buffer"];

/// Columns that have no dictionary, in large files at least: too many of their values are different.
pub(crate) const DISTINCT: [&str; 7] = [
    "seq",
    "ts",
    "proc_duration",
    "proc_ppid_duration",
    "evt_args",
    "evt_arg",
    "evt_buffer",
];

/// What a thread keeps between tasks.
pub(super) struct Worker {
    pub(super) reader: BlockReader,
    pages: PageWriter,
    /// Of the rows of a column.
    keys: Vec<u32>,
    sorted: Vec<u32>,
}

impl Worker {
    pub(super) fn new() -> Result<Worker, QueryError> {
        Ok(Worker {
            reader: BlockReader::new(),
            pages: PageWriter::new()?,
            keys: Vec::new(),
            sorted: Vec::new(),
        })
    }
}

/// Consecutive blocks whose rows are written together.
pub(super) struct Group {
    blocks: Vec<Loaded>,
    pages: Shared,
    /// The rows in order of time; `None` where that is the order of the blocks.
    order: Option<UInt32Array>,
    /// The rows of each day, in that order.
    pub(super) days: Vec<(i32, Range<usize>)>,
}

impl Group {
    /// Puts blocks together.
    pub(super) fn new(blocks: Vec<Loaded>) -> Group {
        let mut ts: Vec<u64> = blocks.iter().flat_map(Loaded::ts).copied().collect();
        let order = (!ts.is_sorted()).then(|| {
            let mut order: Vec<u32> = (0..ts.len() as u32).collect();
            // Stable: rows of the same time stay in order of their numbers.
            order.sort_by_key(|row| ts.get(*row as usize));
            ts.sort_unstable();
            UInt32Array::from(order)
        });
        Group {
            blocks,
            pages: Shared::default(),
            order,
            days: days(&ts),
        }
    }

    /// Encodes a column, a chunk for each day.
    pub(super) fn encode(&self, target: &Target<'_>, worker: &mut Worker) -> Result<Vec<Written>, QueryError> {
        if TEXTS.contains(&target.column.name()) {
            return self.by_texts(target, worker);
        }
        let absent = self.blocks.iter().all(|b| b.is_absent(target.column));
        let by_values = BY_VALUES.contains(&target.column.name()) && !absent;
        match Values::of(target.field.data_type()).filter(|_| !by_values) {
            Some(values) if absent => self.nulls(&values, target, worker),
            Some(values) => self.by_keys(values, target, worker),
            None => self.by_values(target),
        }
    }

    /// Encodes a column that no row has.
    fn nulls(&self, none: &Values, target: &Target<'_>, worker: &mut Worker) -> Result<Vec<Written>, QueryError> {
        let none = none.distinct();
        let pages = self.pages_of_nulls(none, worker).map_err(not_written)?;
        chunks(&pages, none.dictionary, target, worker)
    }

    fn by_keys(
        &self,
        mut values: Values,
        target: &Target<'_>,
        worker: &mut Worker,
    ) -> Result<Vec<Written>, QueryError> {
        let domain = Domain::of(target.column);
        let mut found = Vec::new();
        for block in &self.blocks {
            match domain {
                Some(domain) => block.keys_of_entries(domain, target.column, &mut values, &mut found),
                None => block.keys_of_rows(target.column, &mut values, &mut found),
            }
        }
        if values.is_full() {
            let (name, most) = (target.column.name(), values::MAX_TEXT);
            let what = format!("the texts of some rows of {name} have more than {most} bytes");
            return Err(QueryError::Internal(what));
        }
        let distinct = values.distinct();
        let pages = match domain {
            _ if distinct.is_empty() => self.pages_of_nulls(distinct, worker).map(Arc::new),
            Some(domain) => self.pages.pages(domain, found, distinct, |of_entries| {
                let mut keys = self.spread(domain, of_entries, worker);
                let pages = self.pages_of(&mut keys, distinct, worker);
                worker.keys = keys;
                pages
            }),
            None => self.pages_of(&mut found, distinct, worker).map(Arc::new),
        };
        let pages = pages.map_err(not_written)?;
        chunks(&pages, distinct.dictionary, target, worker)
    }

    fn by_texts(&self, target: &Target<'_>, worker: &mut Worker) -> Result<Vec<Written>, QueryError> {
        let (mut texts, mut of_entries) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            block.number_texts(target.column.name(), &mut texts, &mut of_entries);
        }
        let mut keys = self.spread(Domain::Arguments, &of_entries, worker);
        self.sort(&mut keys, worker);
        let pages = |(_, rows): &(i32, Range<usize>)| {
            let keys = keys.get(rows.clone()).unwrap_or_default();
            worker.pages.texts(keys, &texts)
        };
        let pages = self.days.iter().map(pages).collect::<Result<Pages, _>>();
        worker.keys = keys;
        chunks(
            &pages.map_err(not_written)?,
            &Dictionary::new(ValueType::Text),
            target,
            worker,
        )
    }

    /// The keys of the rows as the blocks have them, from those of a domain's entries.
    fn spread(&self, domain: Domain, of_entries: &[u32], worker: &mut Worker) -> Vec<u32> {
        let mut keys = std::mem::take(&mut worker.keys);
        keys.clear();
        let spread = |rest, block: &Loaded| block.spread(domain, rest, &mut keys);
        self.blocks.iter().fold(of_entries, spread);
        keys
    }

    /// Puts the keys of rows in order of time.
    fn sort(&self, keys: &mut Vec<u32>, worker: &mut Worker) {
        if let Some(order) = &self.order {
            let sorted = &mut worker.sorted;
            sorted.clear();
            let key = |row: &u32| keys.get(*row as usize).copied().unwrap_or(NULL);
            sorted.extend(order.values().iter().map(key));
            std::mem::swap(keys, sorted);
        }
    }

    /// The pages of each day of a column that no row has.
    fn pages_of_nulls(&self, distinct: Distinct<'_>, worker: &mut Worker) -> Result<Pages, ParquetError> {
        let page = |(_, rows): &(i32, Range<usize>)| Ok(vec![worker.pages.nulls(rows.len(), distinct)?]);
        self.days.iter().map(page).collect()
    }

    /// Encodes the pages of each day; the keys are those of the rows as the blocks have them.
    fn pages_of(
        &self,
        keys: &mut Vec<u32>,
        distinct: Distinct<'_>,
        worker: &mut Worker,
    ) -> Result<Pages, ParquetError> {
        self.sort(keys, worker);
        let pages = |(_, rows): &(i32, Range<usize>)| {
            let keys = keys.get(rows.clone()).unwrap_or_default();
            worker.pages.pages(keys, distinct)
        };
        self.days.iter().map(pages).collect()
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

/// Puts the pages of each day together.
fn chunks(
    pages: &Pages,
    dictionary: &Dictionary,
    target: &Target<'_>,
    worker: &mut Worker,
) -> Result<Vec<Written>, QueryError> {
    let chunk = |pages: &Vec<EncodedPage>| {
        let keyed = Keyed {
            pages,
            dictionary,
            descr: target.descr.clone(),
            bloom: target.bloom,
        };
        chunk::write(&keyed, &mut worker.pages).map(Written::Keyed)
    };
    pages.iter().map(chunk).collect::<Result<_, _>>().map_err(not_written)
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

fn not_written(error: ParquetError) -> QueryError {
    QueryError::Internal(error.to_string())
}
