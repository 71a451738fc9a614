//! Data pages of dictionary keys, or of texts that are written out.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{CompressedPage, Page};
use parquet::errors::ParquetError;

use super::dictionary::{Dictionary, Distinct, Lists, NULL, ValueType};
use super::hybrid;

/// Rows of a page: what a reader that uses the page index reads at least.
const PAGE_ROWS: usize = 1 << 15;
/// Values of a larger dictionary are written out in each row: readers keep dictionaries in memory.
const MAX_DICTIONARY: usize = 16 << 20;
/// Bytes of a page of values, about.
const PAGE_BYTES: usize = 1 << 20;
/// Bytes of a text's length.
const LENGTH: usize = size_of::<u32>();
/// A page has no more items of lists: a hostile block may have a chain of parents as long as its dictionary.
const MAX_ITEMS: usize = 1 << 25;
const ZSTD_LEVEL: i32 = 1;

/// A data page.
pub(super) struct EncodedPage {
    bytes: Bytes,
    uncompressed: usize,
    encoding: Encoding,
    pub(super) rows: usize,
    /// Values, nulls, and lists without values.
    pub(super) entries: usize,
    pub(super) nulls: usize,
    pub(super) values: PageValues,
}

/// What is known of the values of a page.
pub(super) enum PageValues {
    /// Their keys, each once.
    Keys(Vec<u32>),
    /// The smallest and the largest.
    Bounds(Option<(Vec<u8>, Vec<u8>)>),
}

impl EncodedPage {
    /// As writers of pages take it.
    pub(super) fn compressed(&self) -> CompressedPage {
        let page = Page::DataPage {
            buf: self.bytes.clone(),
            num_values: self.entries as u32,
            encoding: self.encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        CompressedPage::new(page, self.uncompressed)
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoded {
    /// As keys of a dictionary.
    Keys { bits: u32 },
    /// As truth values; of the first two keys.
    Bits([bool; 2]),
    /// One after the other.
    Plain,
}

impl Encoded {
    pub(super) fn of(dictionary: &Dictionary) -> Encoded {
        match dictionary.ty {
            ValueType::Bool => Encoded::Bits([0, 1].map(|key| dictionary.get(key) == [1])),
            // Nothing but nulls.
            _ if dictionary.len() == 0 => Encoded::Plain,
            _ if dictionary.size() > MAX_DICTIONARY => Encoded::Plain,
            // Some readers do not expect keys of no bits.
            _ => Encoded::Keys {
                bits: hybrid::bits_for(dictionary.len() as u32 - 1).max(1),
            },
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Encoded::Keys { .. } => Encoding::RLE_DICTIONARY,
            Encoded::Bits(_) | Encoded::Plain => Encoding::PLAIN,
        }
    }
}

/// The pages of some rows, one list for each day.
pub(super) type Pages = Vec<Vec<EncodedPage>>;

/// Encodes pages; keeps memory between them.
pub(super) struct PageWriter {
    zstd: zstd::bulk::Compressor<'static>,
    /// An uncompressed page.
    page: Vec<u8>,
    /// Keys of the values of a page.
    dense: Vec<u32>,
    /// How much of a value is there: see [`PageWriter::lists`].
    definition: Vec<u32>,
    /// 0 where a row begins, 1 where a list goes on.
    repetition: Vec<u32>,
    /// The number of the last page that had a value, by key.
    seen: Vec<u32>,
}

impl PageWriter {
    pub(super) fn new() -> io::Result<PageWriter> {
        Ok(PageWriter {
            zstd: zstd::bulk::Compressor::new(ZSTD_LEVEL)?,
            page: Vec::new(),
            dense: Vec::new(),
            definition: Vec::new(),
            repetition: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// Encodes the pages of some rows.
    pub(super) fn pages(&mut self, keys: &[u32], distinct: Distinct<'_>) -> Result<Vec<EncodedPage>, ParquetError> {
        let encoded = Encoded::of(distinct.dictionary);
        if encoded == Encoded::Plain && distinct.lists.is_none() && distinct.dictionary.ty == ValueType::Text {
            return self.texts(keys, &distinct.dictionary.values().collect::<Vec<_>>());
        }
        self.seen.clear();
        self.seen.resize(distinct.dictionary.len(), 0);
        let ranges = ranges(keys.len(), distinct.dictionary, encoded);
        let page = |(rows, number): (Range<usize>, u32)| {
            let keys = keys.get(rows).unwrap_or_default();
            self.encode(keys, distinct, encoded, number)
        };
        ranges.into_iter().zip(1..).map(page).collect()
    }

    /// Encodes the pages of rows whose texts are written out; keys are their numbers.
    pub(super) fn texts(&mut self, keys: &[u32], texts: &[&[u8]]) -> Result<Vec<EncodedPage>, ParquetError> {
        let text = |key: &u32| texts.get(*key as usize).copied().unwrap_or_default();
        self.seen.clear();
        self.seen.resize(texts.len(), 0);
        let mut pages = Vec::new();
        let mut rest = keys;
        while !rest.is_empty() {
            let mut room = PAGE_BYTES;
            let fits = |key: &&u32| {
                let begun = room > 0;
                room = room.saturating_sub(text(key).len() + LENGTH);
                begun
            };
            let rows = rest.iter().take(PAGE_ROWS).take_while(fits).count();
            let (keys, others) = rest.split_at_checked(rows).unwrap_or((rest, &[]));
            rest = others;
            self.dense.clear();
            self.page.clear();
            let entries = self.values(keys);
            for text in self.dense.iter().map(text) {
                plain(ValueType::Text, text, &mut self.page);
            }
            let used = self.used(pages.len() as u32 + 1);
            let bounds = used.iter().map(text).min().zip(used.iter().map(text).max());
            let bounds = bounds.map(|(low, high)| (low.to_vec(), high.to_vec()));
            pages.push(self.finish(Encoded::Plain, keys.len(), entries, PageValues::Bounds(bounds))?);
        }
        Ok(pages)
    }

    /// The page of a dictionary.
    pub(super) fn dictionary(&mut self, dictionary: &Dictionary) -> Result<CompressedPage, ParquetError> {
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

    fn encode(
        &mut self,
        keys: &[u32],
        distinct: Distinct<'_>,
        encoded: Encoded,
        number: u32,
    ) -> Result<EncodedPage, ParquetError> {
        self.dense.clear();
        self.page.clear();
        let dictionary = distinct.dictionary;
        let entries = match distinct.lists {
            Some(lists) => self.lists(lists, keys)?,
            None => self.values(keys),
        };
        let used = self.used(number);
        match encoded {
            Encoded::Keys { bits } => {
                self.page.push(bits as u8);
                hybrid::encode(&self.dense, bits, &mut self.page);
            }
            Encoded::Bits(truth) => {
                let bit = |key: &u32| u32::from(truth.get(*key as usize).copied().unwrap_or(false));
                hybrid::pack(self.dense.iter().map(bit), 1, &mut self.page);
            }
            Encoded::Plain => {
                let values = self.dense.iter().map(|k| dictionary.get(*k));
                values.for_each(|v| plain(dictionary.ty, v, &mut self.page));
            }
        }
        self.finish(encoded, keys.len(), entries, PageValues::Keys(used))
    }

    /// Compresses a page.
    fn finish(
        &mut self,
        encoded: Encoded,
        rows: usize,
        entries: usize,
        values: PageValues,
    ) -> Result<EncodedPage, ParquetError> {
        Ok(EncodedPage {
            bytes: self.zstd.compress(&self.page)?.into(),
            uncompressed: self.page.len(),
            encoding: encoded.encoding(),
            rows,
            entries,
            nulls: entries - self.dense.len(),
            values,
        })
    }

    /// Encodes a page of a column that no row has.
    pub(super) fn nulls(&mut self, rows: usize, distinct: Distinct<'_>) -> Result<EncodedPage, ParquetError> {
        self.page.clear();
        self.dense.clear();
        let levels: &[u32] = if distinct.lists.is_some() { &[1, 2] } else { &[1] };
        for bits in levels {
            run(0, rows, *bits, &mut self.page);
        }
        self.finish(Encoded::Plain, rows, rows, PageValues::Bounds(None))
    }

    /// Begins a page of values with their levels: 1 for each row with a value. Gives the number of levels.
    fn values(&mut self, keys: &[u32]) -> usize {
        if keys.contains(&NULL) {
            compact(keys, &mut self.dense);
        } else {
            self.dense.extend_from_slice(keys);
        }
        if self.dense.is_empty() || self.dense.len() == keys.len() {
            run(u32::from(!self.dense.is_empty()), keys.len(), 1, &mut self.page);
        } else {
            self.definition.clear();
            self.definition.extend(keys.iter().map(|k| u32::from(*k != NULL)));
            levels(&self.definition, 1, &mut self.page);
        }
        keys.len()
    }

    /// Begins a page of lists. The levels are those of an optional list of optional items: 0 no list, 1 a list without
    /// items, 3 a value; 2, an item without a value, is of no list here.
    fn lists(&mut self, lists: &Lists, keys: &[u32]) -> Result<usize, ParquetError> {
        self.definition.clear();
        self.repetition.clear();
        for list in keys {
            let first = self.definition.len();
            match lists.get(*list) {
                None => self.definition.push(0),
                Some([]) => self.definition.push(1),
                Some(items) => {
                    self.definition.resize(first + items.len(), 3);
                    self.dense.extend_from_slice(items);
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

    /// The keys of a page, each once.
    fn used(&mut self, page: u32) -> Vec<u32> {
        if self.seen.len() < self.dense.len() {
            // Few keys: looking at each afterwards is cheaper than asking of each row whether its key is new.
            for key in &self.dense {
                if let Some(seen) = self.seen.get_mut(*key as usize) {
                    *seen = page;
                }
            }
            let keys = (0..).zip(&self.seen).filter(|(_, seen)| **seen == page);
            return keys.map(|(key, _)| key).collect();
        }
        let mut used = Vec::new();
        let mut last = NULL;
        for key in &self.dense {
            if *key == std::mem::replace(&mut last, *key) {
                continue;
            }
            match self.seen.get_mut(*key as usize) {
                Some(seen) if *seen != page => *seen = page,
                _ => continue,
            }
            used.push(*key);
        }
        used
    }
}

/// Appends the keys of rows that have a value.
fn compact(keys: &[u32], dense: &mut Vec<u32>) {
    let start = dense.len();
    dense.resize(start + keys.len(), NULL);
    let mut end = start;
    for key in keys {
        // Without a branch: whether a row has a value is hard to foretell.
        if let Some(next) = dense.get_mut(end) {
            *next = *key;
        }
        end += usize::from(*key != NULL);
    }
    dense.truncate(end);
}

/// Levels with their length before them.
fn levels(values: &[u32], bits: u32, page: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    hybrid::encode(values, bits, &mut bytes);
    section(&bytes, page);
}

/// A level that all values have, with its length before it.
fn run(level: u32, values: usize, bits: u32, page: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    hybrid::repeated(level, values, bits, &mut bytes);
    section(&bytes, page);
}

fn section(bytes: &[u8], page: &mut Vec<u8>) {
    page.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    page.extend_from_slice(bytes);
}

/// The rows of each page.
fn ranges(rows: usize, dictionary: &Dictionary, encoded: Encoded) -> Vec<Range<usize>> {
    let per_page = match encoded {
        Encoded::Plain => {
            let mean = dictionary.size() / dictionary.len().max(1);
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
