//! A column chunk of a Parquet file, written from dictionary keys.
//!
//! The rows of an export refer to the few entries of their blocks' dictionaries. The general writer of the parquet crate
//! takes values and has to hash and compare each of them again; here rows are keys from the start.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::{self, Bound};
use super::dictionary::{Dictionary, Lists, NULL, ValueType};
use super::hybrid;

/// Rows of a page: what a reader that uses the page index reads at least.
const PAGE_ROWS: usize = 1 << 15;
/// Values of a larger dictionary are written out in each row: readers keep dictionaries in memory.
const MAX_DICTIONARY: usize = 16 << 20;
/// Bytes of a page of values, about.
const PAGE_BYTES: usize = 1 << 20;
/// A page has no more items of lists: a hostile block may have a chain of parents as long as its dictionary.
const MAX_ITEMS: usize = 1 << 25;
/// Of bloom filters: one in so many look-ups is misled.
const FALSE_POSITIVES: f64 = 0.01;
const ZSTD_LEVEL: i32 = 1;

/// A column of some rows.
pub(super) struct Keyed<'a> {
    /// Of each row: the value, or the list.
    pub(super) keys: &'a [u32],
    /// The values.
    pub(super) dictionary: &'a Dictionary,
    /// The lists, where rows have lists of values.
    pub(super) lists: Option<&'a Lists>,
    pub(super) descr: ColumnDescPtr,
    /// Whether single values will be looked for.
    pub(super) bloom: bool,
}

/// An encoded chunk.
pub(super) struct Chunk {
    bytes: Bytes,
    close: ColumnCloseResult,
}

impl Chunk {
    /// The bytes, and what the file has to know of them.
    pub(super) fn into_parts(self) -> (Bytes, ColumnCloseResult) {
        (self.bytes, self.close)
    }
}

/// The compression of every page.
pub(crate) fn compression() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}

/// Encodes chunks; keeps memory between them.
pub(super) struct ChunkWriter {
    zstd: zstd::bulk::Compressor<'static>,
    /// An uncompressed page.
    page: Vec<u8>,
    /// Keys of the values of a page.
    dense: Vec<u32>,
    /// How much of a value is there: see [`ChunkWriter::lists`].
    definition: Vec<u32>,
    /// 0 where a row begins, 1 where a list goes on.
    repetition: Vec<u32>,
    /// The number of the last page that had a value, by key.
    seen: Vec<u32>,
}

impl ChunkWriter {
    pub(super) fn new() -> io::Result<ChunkWriter> {
        Ok(ChunkWriter {
            zstd: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            page: Vec::new(),
            dense: Vec::new(),
            definition: Vec::new(),
            repetition: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// Encodes a chunk.
    pub(super) fn write(&mut self, column: &Keyed<'_>) -> Result<Chunk, ParquetError> {
        let values = Encoded::of(column.dictionary);
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut sink);
        let mut sums = Sums::new(column);
        if let Encoded::Keys { .. } = values {
            let page = self.dictionary(column.dictionary)?;
            sums.dictionary(&pages.write_page(page)?);
        }
        self.seen.clear();
        self.seen.resize(column.dictionary.len(), 0);
        for (rows, number) in pages_of(column, &values).into_iter().zip(1..) {
            let keys = column.keys.get(rows).unwrap_or_default();
            let (page, facts) = self.page(column, keys, &values, number)?;
            sums.page(&pages.write_page(page)?, keys.len(), &facts, column);
        }
        pages.close()?;
        let bytes = Bytes::from(sink.into_inner()?);
        let close = sums.finish(column, &values, bytes.len())?;
        Ok(Chunk { bytes, close })
    }

    fn dictionary(&mut self, dictionary: &Dictionary) -> Result<CompressedPage, ParquetError> {
        self.page.clear();
        dictionary
            .values()
            .for_each(|v| plain(dictionary.ty, v, &mut self.page));
        let page = Page::DictionaryPage {
            buf: self.zstd.compress(&self.page)?.into(),
            num_values: dictionary.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, self.page.len()))
    }

    fn page(
        &mut self,
        column: &Keyed<'_>,
        keys: &[u32],
        values: &Encoded,
        number: u32,
    ) -> Result<(CompressedPage, PageFacts), ParquetError> {
        self.dense.clear();
        self.page.clear();
        let entries = match column.lists {
            Some(lists) => self.lists(lists, keys)?,
            None => self.values(keys),
        };
        let facts = PageFacts {
            entries,
            nulls: entries - self.dense.len(),
            bounds: self.bounds(column.dictionary, number),
        };
        match values {
            Encoded::Keys { bits } => {
                self.page.push(*bits as u8);
                hybrid::encode(&self.dense, *bits, &mut self.page);
            }
            Encoded::Bits => {
                let truth = |key: &u32| u32::from(column.dictionary.get(*key) == [1]);
                hybrid::pack(self.dense.iter().map(truth), 1, &mut self.page);
            }
            Encoded::Plain => {
                let dictionary = column.dictionary;
                let values = self.dense.iter().map(|k| dictionary.get(*k));
                values.for_each(|v| plain(dictionary.ty, v, &mut self.page));
            }
        }
        let page = Page::DataPage {
            buf: self.zstd.compress(&self.page)?.into(),
            num_values: entries as u32,
            encoding: values.encoding(),
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Ok((CompressedPage::new(page, self.page.len()), facts))
    }
}

impl ChunkWriter {
    /// Begins a page of values with their levels: 1 for each row with a value. Gives the number of levels.
    fn values(&mut self, keys: &[u32]) -> usize {
        if keys.contains(&NULL) {
            self.dense.extend(keys.iter().filter(|k| **k != NULL));
        } else {
            self.dense.extend_from_slice(keys);
        }
        self.definition.clear();
        if self.dense.is_empty() || self.dense.len() == keys.len() {
            let mut levels = Vec::new();
            hybrid::repeated(u32::from(!self.dense.is_empty()), keys.len(), 1, &mut levels);
            section(&levels, &mut self.page);
        } else {
            self.definition.extend(keys.iter().map(|k| u32::from(*k != NULL)));
            levels(&self.definition, 1, &mut self.page);
        }
        keys.len()
    }

    /// Begins a page of lists. The levels are those of an optional list of optional items: 0 no list, 1 a list without
    /// items, 2 an item without a value, 3 a value.
    fn lists(&mut self, lists: &Lists, keys: &[u32]) -> Result<usize, ParquetError> {
        self.definition.clear();
        self.repetition.clear();
        for list in keys {
            let first = self.definition.len();
            if *list == NULL {
                self.definition.push(0);
            } else {
                for item in lists.get(*list) {
                    self.definition.push(if item == NULL { 2 } else { 3 });
                    self.dense.extend(Some(item).filter(|i| *i != NULL));
                }
                if self.definition.len() == first {
                    self.definition.push(1);
                }
            }
            self.repetition.push(0);
            self.repetition.resize(self.definition.len(), 1);
            if self.definition.len() > MAX_ITEMS {
                return Err(ParquetError::General(format!(
                    "the lists of some rows have more than {MAX_ITEMS} items"
                )));
            }
        }
        levels(&self.repetition, 1, &mut self.page);
        levels(&self.definition, 2, &mut self.page);
        Ok(self.definition.len())
    }

    /// The keys of the smallest and the largest value of a page.
    fn bounds(&mut self, dictionary: &Dictionary, page: u32) -> Option<(u32, u32)> {
        let mut bounds = None;
        let mut last = NULL;
        for key in &self.dense {
            if *key == std::mem::replace(&mut last, *key) {
                continue;
            }
            match self.seen.get_mut(*key as usize) {
                Some(seen) if *seen != page => *seen = page,
                _ => continue,
            }
            bounds = wider(dictionary, bounds, Some((*key, *key)));
        }
        bounds
    }
}

/// Bounds of what two pairs of bounds hold.
fn wider(dictionary: &Dictionary, a: Option<(u32, u32)>, b: Option<(u32, u32)>) -> Option<(u32, u32)> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b) };
    let low = if dictionary.compare(b.0, a.0).is_lt() { b.0 } else { a.0 };
    let high = if dictionary.compare(b.1, a.1).is_gt() { b.1 } else { a.1 };
    Some((low, high))
}

/// Levels with their length before them.
fn levels(values: &[u32], bits: u32, page: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    hybrid::encode(values, bits, &mut bytes);
    section(&bytes, page);
}

fn section(bytes: &[u8], page: &mut Vec<u8>) {
    page.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    page.extend_from_slice(bytes);
}

/// How values are written.
enum Encoded {
    /// As keys of a dictionary.
    Keys { bits: u32 },
    /// As truth values.
    Bits,
    /// One after the other.
    Plain,
}

impl Encoded {
    fn of(dictionary: &Dictionary) -> Encoded {
        match dictionary.ty {
            ValueType::Bool => Encoded::Bits,
            // Nothing but nulls.
            _ if dictionary.len() == 0 => Encoded::Plain,
            _ if dictionary.size() > MAX_DICTIONARY => Encoded::Plain,
            // Some readers do not expect keys of no bits.
            _ => Encoded::Keys {
                bits: hybrid::bits_for(dictionary.len() as u32 - 1).max(1),
            },
        }
    }

    fn encoding(&self) -> Encoding {
        match self {
            Encoded::Keys { .. } => Encoding::RLE_DICTIONARY,
            Encoded::Bits | Encoded::Plain => Encoding::PLAIN,
        }
    }
}

/// The rows of each page. A column without values needs one page.
fn pages_of(column: &Keyed<'_>, values: &Encoded) -> Vec<Range<usize>> {
    let rows = column.keys.len();
    let per_page = match values {
        _ if column.dictionary.len() == 0 => rows.max(1),
        Encoded::Plain => {
            let mean = column.dictionary.size() / column.dictionary.len().max(1);
            (PAGE_BYTES / (mean + 4)).clamp(1, PAGE_ROWS)
        }
        _ => PAGE_ROWS,
    };
    (0..rows)
        .step_by(per_page)
        .map(|at| at..rows.min(at + per_page))
        .collect()
}

/// A value as `PLAIN` has it.
fn plain(ty: ValueType, value: &[u8], out: &mut Vec<u8>) {
    if ty == ValueType::Text {
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(value);
}

/// What the index says of a page.
struct PageFacts {
    /// Values, nulls, and lists without values.
    entries: usize,
    nulls: usize,
    /// The keys of the smallest and the largest value.
    bounds: Option<(u32, u32)>,
}

/// What adds up over the pages of a chunk.
struct Sums {
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    data_offset: Option<u64>,
    dictionary_offset: Option<u64>,
    uncompressed: usize,
    compressed: usize,
    nulls: usize,
    entries: usize,
    bounds: Option<(u32, u32)>,
}

impl Sums {
    fn new(column: &Keyed<'_>) -> Sums {
        Sums {
            index: ColumnIndexBuilder::new(column.descr.physical_type()),
            offsets: OffsetIndexBuilder::new(),
            data_offset: None,
            dictionary_offset: None,
            uncompressed: 0,
            compressed: 0,
            nulls: 0,
            entries: 0,
            bounds: None,
        }
    }

    fn dictionary(&mut self, written: &PageWriteSpec) {
        self.dictionary_offset = Some(written.offset);
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
    }

    fn page(&mut self, written: &PageWriteSpec, rows: usize, facts: &PageFacts, column: &Keyed<'_>) {
        self.data_offset.get_or_insert(written.offset);
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
        self.nulls += facts.nulls;
        self.entries += facts.entries;
        self.offsets.append_row_count(rows as i64);
        self.offsets
            .append_offset_and_size(written.offset as i64, written.compressed_size as i32);
        let text = column.dictionary.ty == ValueType::Text;
        let (low, high) = match facts.bounds {
            Some((low, high)) => (
                bounds::lower(column.dictionary.get(low), text).bytes,
                bounds::upper(column.dictionary.get(high), text).bytes,
            ),
            None => (Vec::new(), Vec::new()),
        };
        self.index.append(facts.bounds.is_none(), low, high, facts.nulls as i64);
        self.bounds = wider(column.dictionary, self.bounds, facts.bounds);
    }

    fn finish(self, column: &Keyed<'_>, values: &Encoded, len: usize) -> Result<ColumnCloseResult, ParquetError> {
        let dictionary = column.dictionary;
        let text = dictionary.ty == ValueType::Text;
        let range = self.bounds.map(|(low, high)| {
            (
                bounds::lower(dictionary.get(low), text),
                bounds::upper(dictionary.get(high), text),
            )
        });
        let metadata = ColumnChunkMetaData::builder(column.descr.clone())
            .set_encodings(match values {
                Encoded::Keys { .. } => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
                Encoded::Bits | Encoded::Plain => vec![Encoding::PLAIN, Encoding::RLE],
            })
            .set_compression(compression())
            .set_num_values(self.entries as i64)
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_data_page_offset(self.data_offset.unwrap_or(0) as i64)
            .set_dictionary_page_offset(self.dictionary_offset.map(|o| o as i64))
            .set_statistics(statistics(column, range, self.nulls as u64))
            .build()?;
        Ok(ColumnCloseResult {
            bytes_written: len as u64,
            rows_written: column.keys.len() as u64,
            metadata,
            bloom_filter: bloom(column)?,
            column_index: Some(self.index.build()?),
            offset_index: Some(self.offsets.build()),
        })
    }
}

fn bloom(column: &Keyed<'_>) -> Result<Option<Sbbf>, ParquetError> {
    let dictionary = column.dictionary;
    if !column.bloom || dictionary.len() == 0 || dictionary.ty == ValueType::Bool {
        return Ok(None);
    }
    let mut filter = Sbbf::new_with_ndv_fpp(dictionary.len() as u64, FALSE_POSITIVES)?;
    dictionary.values().for_each(|v| filter.insert(v));
    Ok(Some(filter))
}

fn statistics(column: &Keyed<'_>, range: Option<(Bound, Bound)>, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    let (low, high) = range.unzip();
    let number = |b: &Bound| b.bytes.as_slice().try_into().map(i64::from_le_bytes).ok();
    match column.descr.physical_type() {
        Type::BYTE_ARRAY => {
            let exact = |b: &Option<Bound>| b.as_ref().is_some_and(|b| b.exact);
            let (low_exact, high_exact) = (exact(&low), exact(&high));
            let text = |b: Option<Bound>| b.map(|b| ByteArray::from(b.bytes));
            Statistics::ByteArray(
                ValueStatistics::new(text(low), text(high), None, nulls, false)
                    .with_min_is_exact(low_exact)
                    .with_max_is_exact(high_exact),
            )
        }
        Type::BOOLEAN => {
            let truth = |b: Option<Bound>| b.map(|b| b.bytes == [1]);
            Statistics::Boolean(ValueStatistics::new(truth(low), truth(high), None, nulls, false))
        }
        _ => {
            let (low, high) = (low.as_ref().and_then(number), high.as_ref().and_then(number));
            Statistics::Int64(ValueStatistics::new(low, high, None, nulls, false))
        }
    }
}
