//! Numbers for values and for combinations of them, in the order in which rows first have them: what rows are grouped by.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, DurationNanosecondType, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use datafusion::common::{Result, internal_err};
use hashbrown::HashMap;

/// Numbers combinations in the order in which they appear.
pub(crate) enum Numbers {
    /// By the combination itself, where there can be few: the group's number and one, or nothing.
    Dense(Vec<u32>),
    /// By its hash.
    Sparse(HashMap<u64, u32>),
}

impl Numbers {
    /// Tables of up to a mebibyte are faster than hashing.
    const DENSE: u64 = 1 << 18;

    /// For so many combinations.
    pub(crate) fn new(combinations: u64) -> Numbers {
        if combinations <= Numbers::DENSE {
            Numbers::Dense(vec![0; combinations as usize])
        } else {
            Numbers::Sparse(HashMap::new())
        }
    }

    /// The number of this combination: `next` where it is new.
    pub(crate) fn number(&mut self, combination: u64, next: usize) -> usize {
        match self {
            Numbers::Dense(table) => match table.get_mut(combination as usize) {
                Some(slot) if *slot == 0 => {
                    *slot = next as u32 + 1;
                    next
                }
                Some(slot) => *slot as usize - 1,
                None => next,
            },
            Numbers::Sparse(map) => *map.entry(combination).or_insert(next as u32) as usize,
        }
    }
}

/// Whether values of this type are numbers of eight bytes.
pub(crate) fn is_number(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Int64
            | DataType::UInt64
            | DataType::Timestamp(TimeUnit::Nanosecond, _)
            | DataType::Duration(TimeUnit::Nanosecond)
    )
}

/// Of each row the number of its value, 0 for none, and how many numbers there are.
pub(crate) fn numbered(array: &Int64Array, rows: impl Iterator<Item = usize>) -> (Vec<u32>, u64) {
    let mut known: HashMap<i64, u32> = HashMap::new();
    // Neighbours are often equal.
    let mut last = (0, 0);
    let codes = rows.map(|row| {
        if array.is_null(row) {
            return 0;
        }
        let value = array.values().get(row).copied().unwrap_or_default();
        if last.1 == 0 || last.0 != value {
            let next = known.len() as u32 + 1;
            last = (value, *known.entry(value).or_insert(next));
        }
        last.1
    });
    let codes = codes.collect();
    (codes, known.len() as u64 + 1)
}

/// The bits of numbers of eight bytes.
pub(crate) fn numbers(array: &ArrayRef) -> Result<Int64Array> {
    fn bits<T: ArrowPrimitiveType>(array: &ArrayRef) -> Int64Array {
        let array = array.as_primitive::<T>();
        Int64Array::new(array.values().inner().clone().into(), array.nulls().cloned())
    }
    Ok(match array.data_type() {
        DataType::Int64 => bits::<Int64Type>(array),
        DataType::UInt64 => bits::<UInt64Type>(array),
        DataType::Timestamp(..) => bits::<TimestampNanosecondType>(array),
        DataType::Duration(_) => bits::<DurationNanosecondType>(array),
        other => return internal_err!("{other} is no number of eight bytes"),
    })
}
