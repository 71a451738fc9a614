//! A row group of table `events`: some whole blocks in memory, and how a column of them becomes a chunk.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, FieldRef};
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::catalogue::Value;
use ctrace_trace::segment::{BlockReader, BlockRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescPtr;

use super::chunk::{self, Chunk, Keyed};
use super::dictionary::{Dictionary, Lists, NULL, ValueType};
use super::pages::{Distinct, EncodedPage, PageWriter, Pages, Shared};
use crate::column::{Column, Per};
use crate::error::QueryError;
use crate::source::{CaseSource, host_name};
use crate::values::{self, Rows, entry_count, entry_of};

/// The columns of rows whose values are mostly their own: nothing is gained by looking for equal ones.
pub(crate) const DISTINCT: [&str; 7] = [
    "seq",
    "ts",
    "proc_duration",
    "proc_ppid_duration",
    "evt_args",
    "evt_arg",
    "evt_buffer",
];

/// What the values of a row may belong to beside the row itself.
const DOMAINS: [Per; 4] = [Per::Kind, Per::Context, Per::Image, Per::Fd];

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

    /// Appends the keys of the values of a domain's entries.
    fn keys_of_entries(&self, domain: usize, column: &Column, values: &mut Values, keys: &mut Vec<u32>) {
        let used = self.used.get(domain).map_or(&[][..], Vec::as_slice);
        let key = |(entry, used): (u32, &bool)| match used {
            true => values.key_of(&column.entry_value(&self.block, entry)),
            false => NULL,
        };
        keys.extend((0..).zip(used).map(key));
    }

    /// Appends the keys of the rows of a column of a domain; `of_entries` begins with those of this block. Gives the rest.
    fn spread<'k>(&self, domain: usize, of_entries: &'k [u32], keys: &mut Vec<u32>) -> &'k [u32] {
        let (Some(rows), Some(used)) = (self.entries.get(domain), self.used.get(domain)) else {
            return of_entries;
        };
        let (own, rest) = of_entries.split_at_checked(used.len()).unwrap_or((of_entries, &[]));
        keys.extend(
            rows.iter()
                .map(|entry| own.get(*entry as usize).copied().unwrap_or(NULL)),
        );
        rest
    }

    /// Appends the keys of the rows of a column whose values belong to rows.
    fn keys_of_rows(&self, column: &Column, values: &mut Values, keys: &mut Vec<u32>) {
        let may_have = column.kinds(&self.block);
        if may_have.contains(&true) {
            let rows = 0..self.block.len;
            keys.extend(rows.map(|row| values.key_of(&column.row_value(&self.block, row, &may_have))));
        } else {
            keys.resize(keys.len() + self.block.len, NULL);
        }
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

    fn key_of(&mut self, value: &Value<'_>) -> u32 {
        match self {
            Values::Single(values) => values.key_of(value),
            Values::Lists(lists) => lists.key_of(value),
        }
    }

    fn distinct(&self) -> Distinct<'_> {
        match self {
            Values::Single(dictionary) => Distinct {
                dictionary,
                lists: None,
            },
            Values::Lists(lists) => Distinct {
                dictionary: &lists.items,
                lists: Some(lists),
            },
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Values::Single(values) => values.is_full(),
            Values::Lists(lists) => lists.is_full(),
        }
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
            pages: Shared::default(),
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
        let domain = DOMAINS.iter().position(|per| *per == target.column.per());
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
            Some(domain) => self.pages.pages(domain, found, distinct, |of_entries| {
                let mut keys = std::mem::take(&mut worker.keys);
                keys.clear();
                let spread = |rest, block: &Loaded| block.spread(domain, rest, &mut keys);
                self.blocks.iter().fold(of_entries, spread);
                let pages = self.pages_of(&mut keys, distinct, worker);
                worker.keys = keys;
                pages
            }),
            None => self.pages_of(&mut found, distinct, worker).map(Arc::new),
        };
        let pages = pages.map_err(not_written)?;
        let chunk = |pages: &Vec<EncodedPage>| {
            let keyed = Keyed {
                pages,
                dictionary: distinct.dictionary,
                descr: target.descr.clone(),
                bloom: target.bloom,
            };
            chunk::write(&keyed, &mut worker.pages).map(Written::Keyed)
        };
        pages.iter().map(chunk).collect::<Result<_, _>>().map_err(not_written)
    }

    /// Encodes the pages of each day; the keys are those of the rows as the blocks have them.
    fn pages_of(
        &self,
        keys: &mut Vec<u32>,
        distinct: Distinct<'_>,
        worker: &mut Worker,
    ) -> Result<Pages, ParquetError> {
        if let Some(order) = self
            .order
            .as_ref()
            .filter(|_| distinct.dictionary.len() > 0 || distinct.lists.is_some())
        {
            let sorted = &mut worker.sorted;
            sorted.clear();
            let key = |row: &u32| keys.get(*row as usize).copied().unwrap_or(NULL);
            sorted.extend(order.values().iter().map(key));
            std::mem::swap(keys, sorted);
        }
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
