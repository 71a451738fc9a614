//! A column chunk of a Parquet file, written from dictionary keys.
//!
//! The rows of an export refer to the few entries of their blocks' dictionaries. The general writer of the parquet crate
//! takes values and has to hash and compare each of them again; here rows are keys from the start.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{PageWriteSpec, PageWriter as _};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::{self, Bound};
use super::dictionary::{Dictionary, ValueType};
use super::pages::{Encoded, EncodedPage, PageValues, PageWriter};

/// Of bloom filters: one in so many look-ups is misled.
const FALSE_POSITIVES: f64 = 0.01;

/// A column of some rows.
pub(super) struct Keyed<'a> {
    pub(super) pages: &'a [EncodedPage],
    /// The values.
    pub(super) dictionary: &'a Dictionary,
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

/// Puts a chunk together.
pub(super) fn write(column: &Keyed<'_>, writer: &mut PageWriter) -> Result<Chunk, ParquetError> {
    let encoded = Encoded::of(column.dictionary);
    let mut sink = TrackedWrite::new(Vec::new());
    let mut pages = SerializedPageWriter::new(&mut sink);
    let mut sums = Sums::new(column);
    if let Encoded::Keys { .. } = encoded {
        let page = writer.dictionary(column.dictionary)?;
        sums.dictionary(&pages.write_page(page)?);
    }
    for page in column.pages {
        sums.page(&pages.write_page(page.compressed())?, page, column.dictionary);
    }
    pages.close()?;
    let bytes = Bytes::from(sink.into_inner()?);
    let close = sums.finish(column, encoded, bytes.len())?;
    Ok(Chunk { bytes, close })
}

/// The smallest and the largest value of a page.
fn bounds_of<'a>(page: &'a EncodedPage, dictionary: &'a Dictionary) -> Option<(&'a [u8], &'a [u8])> {
    match &page.values {
        PageValues::Bounds(bounds) => bounds.as_ref().map(|(low, high)| (low.as_slice(), high.as_slice())),
        PageValues::Keys(keys) => {
            let compare = |a: &&u32, b: &&u32| dictionary.compare(**a, **b);
            let (low, high) = (keys.iter().min_by(compare)?, keys.iter().max_by(compare)?);
            Some((dictionary.get(*low), dictionary.get(*high)))
        }
    }
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
    rows: usize,
    bounds: Option<(Vec<u8>, Vec<u8>)>,
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
            rows: 0,
            bounds: None,
        }
    }

    fn dictionary(&mut self, written: &PageWriteSpec) {
        self.dictionary_offset = Some(written.offset);
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
    }

    fn page(&mut self, written: &PageWriteSpec, page: &EncodedPage, dictionary: &Dictionary) {
        self.data_offset.get_or_insert(written.offset);
        self.uncompressed += written.uncompressed_size;
        self.compressed += written.compressed_size;
        self.nulls += page.nulls;
        self.entries += page.entries;
        self.rows += page.rows;
        self.offsets.append_row_count(page.rows as i64);
        self.offsets
            .append_offset_and_size(written.offset as i64, written.compressed_size as i32);
        let text = dictionary.ty == ValueType::Text;
        let range = bounds_of(page, dictionary);
        let (low, high) = match range {
            Some((low, high)) => (bounds::lower(low, text).bytes, bounds::upper(high, text).bytes),
            None => (Vec::new(), Vec::new()),
        };
        self.index.append(range.is_none(), low, high, page.nulls as i64);
        if let Some((low, high)) = range {
            self.widen(dictionary.ty, low, high);
        }
    }

    fn widen(&mut self, ty: ValueType, low: &[u8], high: &[u8]) {
        let (least, most) = self.bounds.get_or_insert_with(|| (low.to_vec(), high.to_vec()));
        if ty.compare(low, least).is_lt() {
            *least = low.to_vec();
        }
        if ty.compare(high, most).is_gt() {
            *most = high.to_vec();
        }
    }

    fn finish(self, column: &Keyed<'_>, encoded: Encoded, len: usize) -> Result<ColumnCloseResult, ParquetError> {
        let dictionary = column.dictionary;
        let text = dictionary.ty == ValueType::Text;
        let range = self
            .bounds
            .map(|(low, high)| (bounds::lower(&low, text), bounds::upper(&high, text)));
        let metadata = ColumnChunkMetaData::builder(column.descr.clone())
            .set_encodings(match encoded {
                Encoded::Keys { .. } => vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY],
                Encoded::Bits(_) | Encoded::Plain => vec![Encoding::PLAIN, Encoding::RLE],
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
            rows_written: self.rows as u64,
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
