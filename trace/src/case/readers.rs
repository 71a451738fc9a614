//! Readers that a case keeps between passes over its blocks.
//!
//! A reader's memory is as large as the largest block that it decoded, and new memory costs: the kernel gives it page by
//! page, and threads wait for each other meanwhile. Nearly every use of a case makes several passes, the first of them
//! that for late facts.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use super::Case;
use crate::segment::BlockReader;

/// More than this are not kept: as many as threads worked at the same time come back.
const MAX_KEPT: usize = 64;

/// The readers of a case that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Vec<BlockReader>>);

/// A [`BlockReader`] that its case keeps once it is dropped.
#[derive(Debug)]
pub struct CaseReader<'c> {
    readers: &'c Readers,
    reader: BlockReader,
}

impl Case {
    /// A reader, with the memory of an earlier one where there was one. One per reading thread.
    pub fn reader(&self) -> CaseReader<'_> {
        let mut kept = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        CaseReader {
            readers: &self.readers,
            reader: kept.pop().unwrap_or_default(),
        }
    }
}

impl Deref for CaseReader<'_> {
    type Target = BlockReader;

    fn deref(&self) -> &BlockReader {
        &self.reader
    }
}

impl DerefMut for CaseReader<'_> {
    fn deref_mut(&mut self) -> &mut BlockReader {
        &mut self.reader
    }
}

impl Drop for CaseReader<'_> {
    fn drop(&mut self) {
        let mut reader = std::mem::take(&mut self.reader);
        reader.forget();
        let mut kept = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(reader);
        }
    }
}
