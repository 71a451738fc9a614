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

/// Of each row the number of its value, 0 for none, and how many numbers there are.
pub(crate) fn numbered(array: &Int64Array, rows: impl Iterator<Item = usize>) -> (Vec<u32>, u64) {
    let mut known = Known::default();
    let codes = rows.map(|row| known.code(array, row)).collect();
    (codes, known.values.len() as u64 + 1)
}

/// So many values are found without hashing them.
const LATELY: usize = 256;

/// The different values so far.
#[derive(Default)]
pub(crate) struct Known {
    codes: HashMap<i64, u32>,
    values: Vec<i64>,
    /// Values and their numbers, by the last bits: rows of a few processors, one after another, have the same few values.
    lately: Vec<(i64, u32)>,
}

impl Known {
    /// The number of a row's value, 0 for none.
    pub(crate) fn code(&mut self, array: &Int64Array, row: usize) -> u32 {
        let value = array.values().get(row).copied();
        self.code_of(value.filter(|_| array.is_valid(row)))
    }

    /// The number of a value, 0 for none.
    pub(crate) fn code_of(&mut self, value: Option<i64>) -> u32 {
        let Some(value) = value else { return 0 };
        let place = value as usize % LATELY;
        match self.lately.get(place) {
            Some((known, code)) if *known == value && *code != 0 => *code,
            _ => self.look_up(value, place),
        }
    }

    fn look_up(&mut self, value: i64, place: usize) -> u32 {
        let next = self.values.len() as u32 + 1;
        let code = *self.codes.entry(value).or_insert(next);
        if code == next {
            self.values.push(value);
        }
        self.lately.resize(LATELY, (0, 0));
        if let Some(lately) = self.lately.get_mut(place) {
            *lately = (value, code);
        }
        code
    }

    /// The value with a number; `None` for 0.
    pub(crate) fn value(&self, code: u32) -> Option<i64> {
        let at = code.checked_sub(1)?;
        self.values.get(at as usize).copied()
    }

    /// How many numbers there are, with that of none.
    pub(crate) fn count(&self) -> usize {
        self.values.len() + 1
    }

    /// Bytes.
    pub(crate) fn size(&self) -> usize {
        let lately = self.lately.capacity() * size_of::<(i64, u32)>();
        self.codes.allocation_size() + self.values.capacity() * size_of::<i64>() + lately
    }
}

/// Numbers pairs of numbers in the order in which they appear.
#[derive(Default)]
pub(crate) struct Pairs {
    /// The pairs, by number.
    pairs: Vec<(u32, u32)>,
    /// By the first: by the second: the number and one, or nothing. While there are few.
    table: Vec<Vec<u32>>,
    cells: usize,
    /// By the pair, where there are more.
    map: HashMap<(u32, u32), u32>,
}

impl Pairs {
    /// The number of this pair.
    pub(crate) fn number(&mut self, pair: (u32, u32)) -> u32 {
        let next = self.pairs.len() as u32;
        if self.map.is_empty() {
            match self.slot(pair) {
                Some(slot) if *slot == 0 => {
                    *slot = next + 1;
                    self.pairs.push(pair);
                    return next;
                }
                Some(slot) => return *slot - 1,
                None => self.use_map(),
            }
        }
        let number = *self.map.entry(pair).or_insert(next);
        if number == next {
            self.pairs.push(pair);
        }
        number
    }

    /// Where a pair's number stands in the table; `None` where that would become too large.
    fn slot(&mut self, (first, second): (u32, u32)) -> Option<&mut u32> {
        let (first, second) = (first as usize, second as usize);
        let there = self.table.get(first).map_or(0, Vec::len);
        if there <= second {
            let wanted = (second + 1).next_power_of_two();
            let rows = self.table.len().max(first + 1);
            if (Numbers::DENSE as usize) < self.cells + wanted - there + rows {
                return None;
            }
            self.cells += wanted - there;
            self.table.resize_with(rows, Vec::new);
            self.table.get_mut(first)?.resize(wanted, 0);
        }
        self.table.get_mut(first)?.get_mut(second)
    }

    fn use_map(&mut self) {
        self.table = Vec::new();
        self.map = self.pairs.iter().copied().zip(0..).collect();
    }

    /// The pair with a number.
    pub(crate) fn pair(&self, number: u32) -> Option<(u32, u32)> {
        self.pairs.get(number as usize).copied()
    }

    /// How many pairs there are.
    pub(crate) fn count(&self) -> usize {
        self.pairs.len()
    }

    /// Bytes.
    pub(crate) fn size(&self) -> usize {
        let table = self.cells * size_of::<u32>() + self.table.capacity() * size_of::<Vec<u32>>();
        self.map.allocation_size() + self.pairs.capacity() * size_of::<(u32, u32)>() + table
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
