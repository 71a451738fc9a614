//! What blocks hold of addresses and other texts of sockets, as far as statements looked: a block has few different ones,
//! and a condition that none of them passes rules it out without reading it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use ctrace_trace::segment::BlockRef;

/// More different values of a column are not kept of a block.
const FEW: usize = 64;

/// Of more blocks and columns nothing is kept.
const MANY: usize = 1 << 16;

/// The values by block and column.
#[derive(Debug, Default)]
pub(crate) struct SocketValues {
    known: Mutex<BTreeMap<Place, ArrayRef>>,
}

/// A file, a place in it and a column.
type Place = (PathBuf, u64, String);

fn place(block: &BlockRef, column: &str) -> Place {
    (block.path().to_owned(), block.offset(), column.to_owned())
}

impl SocketValues {
    /// The different values of a column in a block; `None` where they are not known.
    pub(crate) fn get(&self, block: &BlockRef, column: &str) -> Option<ArrayRef> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&place(block, column)).cloned()
    }

    /// Keeps the different ones of all values that sockets of a block have in a column of texts.
    pub(crate) fn note(&self, block: &BlockRef, column: &str, values: &ArrayRef) {
        let Some(texts) = values.as_string_view_opt() else {
            return;
        };
        let mut different = BTreeSet::new();
        for text in texts.iter().flatten() {
            different.insert(text);
            if FEW < different.len() {
                return;
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MANY {
            let different = StringViewArray::from_iter_values(different);
            known.insert(place(block, column), Arc::new(different));
        }
    }
}
