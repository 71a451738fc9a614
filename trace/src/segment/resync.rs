//! Finding the next whole record behind damage.

use std::io;

use super::file::{Found, Record, SegmentFile};
use super::footer::{Footer, TRAILER_LEN};
use super::format::{PREFIX_LEN, RECORD_MAGIC, RecordKind, Salt};

/// How much is read at once in search of a record's magic.
const CHUNK: usize = 1 << 20;

/// The footer's offset as the end of the file tells; `None` where the end is no trailer.
fn trailer(file: &SegmentFile) -> io::Result<Option<u64>> {
    let Some(at) = file.len().checked_sub(TRAILER_LEN as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_LEN];
    file.read_into(at, &mut trailer)?;
    Ok(Footer::offset(&trailer).filter(|offset| *offset < at))
}

/// Whether the file ends as closed segments do.
pub(crate) fn ends_with_trailer(file: &SegmentFile) -> io::Result<bool> {
    Ok(trailer(file)?.is_some())
}

/// The footer, found from the end of the file; `None` where the end is no trailer or what it points at is no footer.
pub(crate) fn footer_from_end(file: &SegmentFile, salt: &Salt) -> io::Result<Option<Footer>> {
    let Some(offset) = trailer(file)? else { return Ok(None) };
    match file.record_at(offset, salt)? {
        Found::Record(r) if r.prefix.kind == RecordKind::FOOTER => Ok(Footer::decode(&r.head).ok()),
        _ => Ok(None),
    }
}

/// For damage and for what turns out to be no record a file may be read so many times over: in one that was not made for it
/// that is no more than once.
const READ_OVER: u64 = 16;

/// Searches whole records behind damage. One per segment: it also bounds the work that a hostile file can cause.
#[derive(Debug)]
pub(crate) struct Resync {
    /// Offsets that a footer names, ascending.
    known: Vec<u64>,
    /// Bytes that may still be read of damaged records and of candidates that turn out to be none.
    budget: u64,
}

impl Resync {
    /// A search over a file whose footer, where it was found, names the blocks.
    pub(crate) fn new(file: &SegmentFile, footer: Option<&Footer>) -> Resync {
        let mut known: Vec<u64> = footer.iter().flat_map(|f| f.index.iter().map(|e| e.offset)).collect();
        known.sort_unstable();
        Resync {
            known,
            budget: file.len().saturating_mul(READ_OVER).saturating_add(CHUNK as u64),
        }
    }

    /// Notes that no whole record is where one was expected: to find that out its head may have been read.
    pub(crate) fn met_damage(&mut self, file: &SegmentFile, at: u64) -> io::Result<()> {
        self.budget = self.budget.saturating_sub(cost_at(file, at)?);
        Ok(())
    }

    /// The offset of the first whole record at or behind `from`; `None` when there is none, or the search was given up.
    pub(crate) fn next(&mut self, file: &SegmentFile, salt: &Salt, from: u64) -> io::Result<Option<u64>> {
        let mut next_known = self.known.partition_point(|at| *at < from);
        while let Some(&at) = self.known.get(next_known) {
            if self.is_record(file, salt, at)? {
                return Ok(Some(at));
            }
            if self.gave_up() {
                return Ok(None);
            }
            next_known += 1;
        }
        self.search(file, salt, from)
    }

    fn search(&mut self, file: &SegmentFile, salt: &Salt, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < file.len() {
            let size = (file.len() - at).min(CHUNK as u64);
            let chunk = file.read(at, size)?;
            for hit in magic_positions(&chunk) {
                if self.is_record(file, salt, at + hit as u64)? {
                    return Ok(Some(at + hit as u64));
                }
                if self.gave_up() {
                    return Ok(None);
                }
            }
            if size < CHUNK as u64 {
                return Ok(None);
            }
            // A magic may lie across the border of two chunks.
            at += size - (RECORD_MAGIC.len() as u64 - 1);
        }
        Ok(None)
    }

    /// Whether a whole record begins at a place.
    fn is_record(&mut self, file: &SegmentFile, salt: &Salt, at: u64) -> io::Result<bool> {
        self.budget = self.budget.saturating_sub(cost_at(file, at)?);
        Ok(self.budget > 0 && matches!(file.record_at(at, salt)?, Found::Record(_)))
    }

    /// Whether the body of the record before the damage is damaged too. Never so for a record too long to be checked.
    pub(crate) fn body_is_damaged(&mut self, file: &SegmentFile, record: &Record) -> io::Result<bool> {
        self.budget = self.budget.saturating_sub(u64::from(record.prefix.body_len));
        Ok(self.budget > 0 && file.body(record)?.is_none())
    }

    /// Whether the search ended before the end of the file.
    pub(crate) fn gave_up(&self) -> bool {
        self.budget == 0
    }
}

/// How many bytes may be read to find out whether a whole record begins at a place.
fn cost_at(file: &SegmentFile, at: u64) -> io::Result<u64> {
    let head_len = file.prefix_at(at)?.map_or(0, |(prefix, _)| prefix.head_len);
    let there = file.len().saturating_sub(at);
    Ok(PREFIX_LEN as u64 + u64::from(head_len).min(there))
}

/// Where the magic of a record stands in some bytes.
fn magic_positions(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes
        .windows(RECORD_MAGIC.len())
        .enumerate()
        .filter(|(_, w)| **w == RECORD_MAGIC)
        .map(|(i, _)| i)
}
