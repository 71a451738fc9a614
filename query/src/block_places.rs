//! The dictionaries that the keys of groups belong to: a combination of their entries is one number.
//!
//! Entries that say the same of all keys (the images of a container, where rows are grouped by containers) count as one,
//! so that fewer groups leave a block.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use ctrace_trace::block::decoded::Decoded;
use datafusion::common::Result;

use crate::block_groups::{Aggregate, Groups, Key};
use crate::column::{Column, Per};
use crate::numbering::{is_number, numbered, numbers};
use crate::values::{entry_count, entry_of};

/// The dictionaries.
pub(crate) struct Places {
    places: Vec<Place>,
}

/// A dictionary.
struct Place {
    /// Whose entries a row refers to.
    per: Per,
    /// The number of each entry; one more than the entry where there are no such. Rows without an entry have 0.
    codes: Option<Vec<u32>>,
    /// How many numbers there are.
    size: u64,
}

impl Places {
    /// The dictionaries of a block that these groups need.
    pub(crate) fn new(groups: &Groups, block: &Decoded) -> Result<Places> {
        let keys: Vec<&Column> = groups.keys.iter().filter_map(Key::column).collect();
        let present: Vec<&Column> = groups.aggregates.iter().filter_map(present).collect();
        let mut seen: Vec<Per> = Vec::new();
        let mut places = Vec::new();
        for per in keys.iter().chain(&present).map(|c| c.per()) {
            if per == Per::Row || seen.contains(&per) {
                continue;
            }
            seen.push(per);
            // What is counted where it is present is asked of a group's first row.
            let counted = present.iter().any(|c| c.per() == per);
            let own: Vec<&Column> = keys.iter().filter(|c| c.per() == per).copied().collect();
            let merged = if counted { None } else { merged(per, &own, block)? };
            places.push(merged.unwrap_or_else(|| Place {
                per,
                codes: None,
                // One more for rows without an entry.
                size: entry_count(per, block) as u64 + 1,
            }));
        }
        Ok(Places { places })
    }

    /// How many combinations there can be; `None` where they cannot be numbered.
    pub(crate) fn combinations(&self) -> Option<u64> {
        self.places.iter().try_fold(1u64, |all, p| all.checked_mul(p.size))
    }

    /// The combination of a row.
    pub(crate) fn of(&self, block: &Decoded, row: usize) -> u64 {
        self.places.iter().fold(0, |all, place| {
            // Entries have been checked when the block was decoded; a wrong one counts as none.
            let entry = entry_of(place.per, block, row);
            let number = match &place.codes {
                None => entry.map_or(0, |e| u64::from(e) + 1),
                Some(codes) => entry.and_then(|e| codes.get(e as usize)).map_or(0, |c| u64::from(*c)),
            };
            all.wrapping_mul(place.size)
                .wrapping_add(if number < place.size { number } else { 0 })
        })
    }
}

fn present(aggregate: &Aggregate) -> Option<&Column> {
    match aggregate {
        Aggregate::Present(column) => Some(column),
        _ => None,
    }
}

/// A dictionary whose entries with the same values of these columns have one number. Images are numbered by contexts,
/// which rows refer to. `None` where that is not worth it: open objects are many, and few are alike.
fn merged(per: Per, columns: &[&Column], block: &Decoded) -> Result<Option<Place>> {
    if !matches!(per, Per::Image | Per::Context) || columns.is_empty() {
        return Ok(None);
    }
    let count = entry_count(per, block);
    let mut codes = vec![0u32; count];
    let mut size = 1;
    for column in columns {
        let values = column.entries(block, 0..count as u32)?;
        let Some(own) = distinct(&values)? else {
            return Ok(None);
        };
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        for (code, own) in codes.iter_mut().zip(own) {
            let next = known.len() as u32;
            *code = *known.entry((*code, own)).or_insert(next);
        }
        size = known.len() as u32;
    }
    // 0 is for rows without an entry.
    let numbered = codes.iter().map(|code| code + 1);
    let codes = match per {
        Per::Image => {
            let of_images: Vec<u32> = numbered.collect();
            let of = |image: Option<u32>| image.and_then(|i| of_images.get(i as usize)).copied();
            let contexts = block.dict.contexts.iter();
            contexts.map(|context| of(context.image).unwrap_or_default()).collect()
        }
        _ => numbered.collect(),
    };
    Ok(Some(Place {
        per: Per::Context,
        codes: Some(codes),
        size: u64::from(size) + 1,
    }))
}

/// A number for each value, the same for the same; `None` for values of other types than texts and numbers.
fn distinct(values: &ArrayRef) -> Result<Option<Vec<u32>>> {
    if is_number(values.data_type()) {
        return Ok(Some(numbered(&numbers(values)?, 0..values.len()).0));
    }
    let Some(texts) = values.as_string_view_opt() else {
        return Ok(None);
    };
    let mut known: HashMap<Option<&str>, u32> = HashMap::new();
    let code = |text| {
        let next = known.len() as u32;
        *known.entry(text).or_insert(next)
    };
    Ok(Some(texts.iter().map(code).collect()))
}
