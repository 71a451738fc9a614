//! Columns while their rows are collected, to be given out in another order.
//!
//! Numbers are held in less memory than they came in: times and sequence numbers of neighbouring rows are near each other.

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::numbering::{is_number, numbers};

/// What has come of a column.
pub(super) enum Held {
    /// Numbers of eight bytes.
    Numbers(Packed),
    /// Anything else, as it came.
    Parts(Vec<ArrayRef>),
}

impl Held {
    /// Nothing yet of a column of this type.
    pub(super) fn new(ty: &DataType) -> Held {
        match is_number(ty) {
            true => Held::Numbers(Packed::new(ty)),
            false => Held::Parts(Vec::new()),
        }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, array: &ArrayRef) -> Result<()> {
        match self {
            Held::Numbers(packed) => packed.add(&numbers(array)?),
            Held::Parts(parts) => parts.push(array.clone()),
        }
        Ok(())
    }

    /// Bytes that giving out these rows needs, at most: parts are there twice, as they came and put together.
    pub(super) fn room(&self, array: &ArrayRef) -> Option<usize> {
        let bytes = array.to_data().get_slice_memory_size().ok()?;
        Some(match self {
            Held::Numbers(_) => bytes,
            Held::Parts(_) => 2 * bytes,
        })
    }

    /// The same, where no more rows come.
    pub(super) fn whole(self) -> Result<Held> {
        Ok(match self {
            Held::Numbers(mut packed) => {
                packed.pack();
                Held::Numbers(packed)
            }
            Held::Parts(parts) => {
                let arrays: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
                let put = (!arrays.is_empty()).then(|| concat(&arrays)).transpose()?;
                Held::Parts(Vec::from_iter(put))
            }
        })
    }

    /// These rows of the whole column; `None` where there is nothing.
    pub(super) fn rows(&self, rows: &UInt32Array) -> Result<Option<ArrayRef>> {
        Ok(match self {
            Held::Numbers(packed) => Some(packed.rows(rows.values())?),
            Held::Parts(parts) => parts.first().map(|whole| take(whole, rows, None)).transpose()?,
        })
    }

    /// The column in the batches that it came in, which have so many rows.
    pub(super) fn into_batches(self, batches: Vec<u32>) -> Box<dyn Iterator<Item = Result<ArrayRef>> + Send> {
        let mut packed = match self {
            Held::Numbers(packed) => packed,
            Held::Parts(parts) => return Box::new(parts.into_iter().map(Ok)),
        };
        packed.pack();
        let mut from = 0;
        Box::new(batches.into_iter().map(move |rows| {
            let rows: Vec<u32> = (from..from + rows).collect();
            from += rows.len() as u32;
            packed.rows(&rows)
        }))
    }

    /// The numbers of the column; `None` where it has something else.
    pub(super) fn numbers(&self) -> Option<&Packed> {
        match self {
            Held::Numbers(packed) => Some(packed),
            Held::Parts(_) => None,
        }
    }
}

/// Numbers of eight bytes, by row.
pub(super) struct Packed {
    ty: DataType,
    chunks: Vec<Chunk>,
    /// The last rows, which do not fill a chunk yet.
    values: Vec<i64>,
    nulls: NullBufferBuilder,
}

/// As many rows as a batch mostly has.
const CHUNK: usize = 1 << 13;

/// Numbers of consecutive rows: how much they are more than the least of them.
struct Chunk {
    least: i64,
    more: More,
    nulls: Option<NullBuffer>,
}

/// Each in as many bytes as the largest needs.
enum More {
    Two(Box<[u16]>),
    Four(Box<[u32]>),
    Eight(Box<[u64]>),
}

impl Packed {
    /// No numbers, of this type.
    pub(super) fn new(ty: &DataType) -> Packed {
        Packed {
            ty: ty.clone(),
            chunks: Vec::new(),
            values: Vec::new(),
            nulls: NullBufferBuilder::new(CHUNK),
        }
    }

    /// The type of the column.
    pub(super) fn ty(&self) -> &DataType {
        &self.ty
    }

    /// Adds rows.
    pub(super) fn add(&mut self, array: &Int64Array) {
        let mut from = 0;
        while from < array.len() {
            let some = array.slice(from, (CHUNK - self.values.len()).min(array.len() - from));
            self.values.extend_from_slice(some.values());
            match some.nulls() {
                Some(nulls) => self.nulls.append_buffer(nulls),
                None => self.nulls.append_n_non_nulls(some.len()),
            }
            from += some.len();
            if self.values.len() == CHUNK {
                self.pack();
            }
        }
    }

    /// Packs the last rows. All chunks but the last one are full.
    fn pack(&mut self) {
        if !self.values.is_empty() {
            self.chunks.push(Chunk::new(&self.values, self.nulls.finish()));
            self.values.clear();
        }
    }

    /// The number of a row, `None` for none.
    pub(super) fn get(&self, row: u32) -> Option<i64> {
        let (chunk, at) = self.place(row)?;
        chunk.is_valid(at).then(|| chunk.bits(at))
    }

    fn place(&self, row: u32) -> Option<(&Chunk, usize)> {
        let chunk = self.chunks.get(row as usize / CHUNK)?;
        Some((chunk, row as usize % CHUNK))
    }

    /// The numbers of these rows.
    fn rows(&self, rows: &[u32]) -> Result<ArrayRef> {
        let bits = |row: &u32| self.place(*row).map_or(0, |(chunk, at)| chunk.bits(at));
        let values: Vec<i64> = rows.iter().map(bits).collect();
        let valid = |row: &u32| self.place(*row).is_some_and(|(chunk, at)| chunk.is_valid(at));
        let nulls = self.chunks.iter().any(|chunk| chunk.nulls.is_some());
        let nulls = nulls.then(|| NullBuffer::from_iter(rows.iter().map(valid)));
        let data = Int64Array::new(values.into(), nulls).into_data();
        Ok(make_array(data.into_builder().data_type(self.ty.clone()).build()?))
    }
}

impl Chunk {
    fn new(values: &[i64], nulls: Option<NullBuffer>) -> Chunk {
        let least = values.iter().copied().min().unwrap_or_default();
        let most = values.iter().copied().max().unwrap_or_default();
        let more = values.iter().map(|value| value.wrapping_sub(least) as u64);
        let more = match most.wrapping_sub(least) as u64 {
            0..=0xffff => More::Two(more.map(|more| more as u16).collect()),
            0x1_0000..=0xffff_ffff => More::Four(more.map(|more| more as u32).collect()),
            _ => More::Eight(more.collect()),
        };
        Chunk { least, more, nulls }
    }

    fn is_valid(&self, at: usize) -> bool {
        self.nulls
            .as_ref()
            .is_none_or(|nulls| at < nulls.len() && nulls.is_valid(at))
    }

    fn bits(&self, at: usize) -> i64 {
        let more = match &self.more {
            More::Two(more) => more.get(at).map(|more| u64::from(*more)),
            More::Four(more) => more.get(at).map(|more| u64::from(*more)),
            More::Eight(more) => more.get(at).copied(),
        };
        self.least.wrapping_add(more.unwrap_or_default() as i64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{TimestampNanosecondArray, UInt64Array};

    use super::*;

    /// Numbers that fit in two, four and eight bytes above the least one, some of them none.
    #[test]
    fn numbers_come_out_as_they_went_in() {
        let near = |row: u64| Some(1_700_000_000_000_000_000 + row as i64 * 7);
        let far = |row: u64| (!row.is_multiple_of(5)).then_some(row as i64 * 400_000);
        let ends = |row: u64| [Some(i64::MIN), Some(i64::MAX), Some(-1), None][row as usize % 4];
        let rows = 2 * CHUNK as u64 + 100;
        for of in [near, far, ends] as [fn(u64) -> Option<i64>; 3] {
            let times = TimestampNanosecondArray::from_iter((0..rows).map(of)).with_timezone("UTC");
            let numbers = UInt64Array::from_iter((0..rows).map(|row| of(row).map(|v| v as u64)));
            for array in [Arc::new(times) as ArrayRef, Arc::new(numbers)] {
                let mut held = Held::new(array.data_type());
                for from in (0..array.len()).step_by(5000) {
                    held.add(&array.slice(from, 5000.min(array.len() - from)))
                        .expect("numbers");
                }
                let held = held.whole().expect("whole");
                let backwards = UInt32Array::from_iter_values((0..rows as u32).rev());
                let expected = take(&array, &backwards, None).expect("rows");
                assert_eq!(&held.rows(&backwards).expect("rows").expect("a column"), &expected);
            }
        }
    }
}
