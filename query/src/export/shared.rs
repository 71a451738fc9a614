//! Pages that are encoded once for all columns in which the same rows have equal values.
//!
//! Half of a table's columns tell apart the same rows: what belongs to a container is equal where the container is, and
//! what nobody has is nowhere. Their keys are the same, so their pages are, whatever the values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parquet::errors::ParquetError;

use super::dictionary::{Distinct, Lists};
use super::domain::Domain;
use super::pages::{Encoded, Pages};

/// What decides about the pages of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    encoded: Encoded,
    /// Of what the keys of rows are.
    domain: Domain,
    /// The key of each entry of that, block by block.
    of_entries: Vec<u32>,
    /// The items of each list.
    lists: Option<Vec<Vec<u32>>>,
}

/// Pages of a row group by what decides about them.
#[derive(Default)]
pub(super) struct Shared {
    known: Mutex<BTreeMap<Shape, Arc<OnceLock<Arc<Pages>>>>>,
}

impl Shared {
    /// The pages of a column whose rows take their keys from entries; made where no column had the same.
    pub(super) fn pages(
        &self,
        domain: Domain,
        of_entries: Vec<u32>,
        distinct: Distinct<'_>,
        make: impl FnOnce(&[u32]) -> Result<Pages, ParquetError>,
    ) -> Result<Arc<Pages>, ParquetError> {
        let encoded = Encoded::of(distinct.dictionary);
        if encoded == Encoded::Plain && distinct.dictionary.len() > 0 {
            return make(&of_entries).map(Arc::new);
        }
        let shape = Shape {
            encoded,
            domain,
            of_entries,
            lists: distinct.lists.map(Lists::all),
        };
        let of_entries = shape.of_entries.clone();
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(shape).or_default().clone()
        };
        // Another thread may be at it: waiting is cheaper than doing it twice.
        let mut failed = None;
        let pages = cell.get_or_init(|| match make(&of_entries) {
            Ok(pages) => Arc::new(pages),
            Err(e) => {
                failed = Some(e);
                Arc::new(Vec::new())
            }
        });
        failed.map_or_else(|| Ok(pages.clone()), Err)
    }
}
