//! Values of columns: from the dictionaries and columns of a decoded block to Arrow arrays.
//!
//! A field of the process or of the open object is computed once per dictionary entry of a block; rows take it from
//! there by the block's own entry numbers.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Array, DurationNanosecondBuilder, Int64Builder, ListBuilder, StringBuilder,
    StringViewArray, TimestampNanosecondArray, TimestampNanosecondBuilder, UInt32Array, UInt64Array, UInt64Builder,
    new_null_array,
};
use arrow::compute::take;
use arrow::error::ArrowError;
use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::catalogue::{Field, FieldArg, FieldType, Getter, Value};
use ctrace_trace::escape::lossless;
use ctrace_trace::event::Arg;
use ctrace_trace::names;
use ctrace_trace::schema::EventSpec;

use crate::column::{Column, Param, ParamType, Per};
use crate::process_id::ProcessId;

const NANOS_PER_DAY: u64 = 86_400_000_000_000;

/// The UTC day of a time stamp, in days since 1970.
pub(crate) fn day(ts: u64) -> i32 {
    (ts / NANOS_PER_DAY) as i32
}

/// The rows of a block that a scan gives out.
pub(crate) enum Rows<'a> {
    /// All of a range.
    All(Range<usize>),
    /// These, ascending.
    Some(&'a [u32]),
}

impl Rows<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::All(range) => range.len(),
            Rows::Some(rows) => rows.len(),
        }
    }

    /// Row numbers in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (range, some) = match self {
            Rows::All(range) => (range.clone(), &[][..]),
            Rows::Some(rows) => (0..0, *rows),
        };
        range.chain(some.iter().map(|r| *r as usize))
    }
}

/// The dictionary entry that a row refers to.
pub(crate) fn entry_of(per: Per, block: &Decoded, row: usize) -> Option<u32> {
    match per {
        Per::Kind => block.kind.get(row).map(|k| u32::from(*k)),
        Per::Context => block.context.get(row).copied(),
        Per::Image => block.dict.contexts.get(*block.context.get(row)? as usize)?.image,
        Per::Fd => block.fd.get(row).copied().filter(|fd| *fd != 0),
        Per::Row => None,
    }
}

/// How many dictionary entries a block has.
pub(crate) fn entry_count(per: Per, block: &Decoded) -> usize {
    match per {
        Per::Kind => block.kinds.len(),
        Per::Context => block.dict.contexts.len(),
        Per::Image => block.dict.images.len(),
        Per::Fd => block.dict.fds.len(),
        Per::Row => 0,
    }
}

impl Column {
    /// The values of the selected rows. `host` is the name of the block's host.
    pub(crate) fn array(&self, block: &Decoded, host: &str, rows: &Rows<'_>) -> Result<ArrayRef, ArrowError> {
        let ts = |row: usize| block.ts.get(row).copied().unwrap_or(0);
        let may_have = self.kinds(block);
        if !block.kinds.is_empty() && !may_have.contains(&true) {
            return Ok(new_null_array(&self.data_type(), rows.len()));
        }
        Ok(match self {
            Column::Seq => Arc::new(UInt64Array::from_iter_values(
                rows.iter().map(|r| block.first_seq + r as u64),
            )),
            Column::Ts => {
                let times: Vec<i64> = match rows {
                    Rows::All(range) if range.end <= block.ts.len() => {
                        let times = block.ts.get(range.clone()).unwrap_or_default();
                        times.iter().map(|ts| nanos(*ts)).collect()
                    }
                    _ => rows.iter().map(|r| nanos(ts(r))).collect(),
                };
                Arc::new(TimestampNanosecondArray::new(times.into(), None).with_timezone("UTC"))
            }
            Column::Date => Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| day(ts(r))))),
            Column::Host => Arc::new(StringViewArray::from_iter_values(rows.iter().map(|_| host))),
            Column::Param(p) => param_values(p, rows.iter().map(|r| block.event(r)))?,
            Column::Field(f) if self.per() == Per::Row => {
                collect(f.ty, rows.iter().map(|r| self.row_value(block, r, &may_have)))?
            }
            Column::ProcessKey | Column::Field(_) => {
                let per = self.per();
                self.by_entry(block, rows.iter().map(|row| entry_of(per, block, row)).collect())?
            }
        })
    }

    /// The values of these dictionary entries: computed for those in use, where they are few.
    pub(crate) fn by_entry(&self, block: &Decoded, mut keys: Vec<Option<u32>>) -> Result<ArrayRef, ArrowError> {
        let count = entry_count(self.per(), block);
        let values = if keys.len() < count {
            let used = compact(&mut keys, count);
            self.entries(block, used.into_iter())?
        } else {
            self.entries(block, 0..count as u32)?
        };
        take(&values, &UInt32Array::from(keys), None)
    }

    /// The values of dictionary entries. Columns of rows have none.
    pub(crate) fn entries(&self, block: &Decoded, entries: impl Iterator<Item = u32>) -> Result<ArrayRef, ArrowError> {
        let ty = match self {
            Column::Field(f) => f.ty,
            // Keys of processes.
            _ => FieldType::Int,
        };
        collect(ty, entries.map(|entry| self.entry_value(block, entry)))
    }

    /// The value of a dictionary entry.
    pub(crate) fn entry_value<'a>(&self, block: &'a Decoded, entry: u32) -> Value<'a> {
        let dict = &block.dict;
        let none = &FieldArg::None;
        let Column::Field(f) = self else {
            let image = dict.images.get(entry as usize);
            let key = image.and_then(ProcessId::known).map(ProcessId::key);
            return key.map_or(Value::Absent, Value::Int);
        };
        let value = match f.get {
            Getter::Kind(get) => block.kinds.get(entry as usize).map(|k| get(&k.spec)),
            Getter::Process(get) => dict.image(entry).map(|i| get(i, none)),
            Getter::Thread(get) => dict.contexts.get(entry as usize).map(|c| get(*c, dict)),
            Getter::Fd(get) => dict.fd(entry).map(|fd| get(fd, none)),
            Getter::Event(_) => None,
        };
        value.unwrap_or(Value::Absent)
    }

    /// Which of a block's event types may have values.
    pub(crate) fn kinds(&self, block: &Decoded) -> Vec<bool> {
        let absent = matches!(self, Column::Field(f) if f.is_absent(block));
        let may_have = |spec| !absent && self.may_have(spec);
        block.kinds.iter().map(|k| may_have(&k.spec)).collect()
    }

    /// The value of a row; `may_have` says of each event type whether it may have one.
    pub(crate) fn row_value<'a>(&self, block: &'a Decoded, row: usize, may_have: &[bool]) -> Value<'a> {
        let kind = block.kind.get(row).and_then(|k| may_have.get(usize::from(*k)));
        match self {
            Column::Field(f) if kind != Some(&false) => f.of(block.event(row), &FieldArg::None),
            _ => Value::Absent,
        }
    }
}

/// The value of a column that belongs to event types, for each of these types.
pub(crate) fn of_specs(f: &Field, specs: &[EventSpec]) -> Result<ArrayRef, ArrowError> {
    match f.get {
        Getter::Kind(get) => collect(f.ty, specs.iter().map(get)),
        _ => collect(f.ty, specs.iter().map(|_| Value::Absent)),
    }
}

/// Renumbers keys so that only entries in use have a number; gives the entries in use in the new order.
fn compact(keys: &mut [Option<u32>], count: usize) -> Vec<u32> {
    const UNUSED: u32 = u32::MAX;
    let mut numbers = vec![UNUSED; count];
    let mut used = Vec::new();
    for key in keys.iter_mut() {
        let Some(number) = key.and_then(|k| numbers.get_mut(k as usize)) else {
            *key = None;
            continue;
        };
        if *number == UNUSED {
            *number = used.len() as u32;
            used.extend(*key);
        }
        *key = Some(*number);
    }
    used
}

/// The values of a parameter.
fn param_values<'a>(param: &Param, events: impl Iterator<Item = EventView<'a>>) -> Result<ArrayRef, ArrowError> {
    let values = events.map(|e| e.arg_named(&param.name));
    let number = |arg: Arg<'_>| if let Arg::Num(n) = arg { Some(n) } else { None };
    match param.ty {
        ParamType::Int => collect(
            FieldType::Int,
            values.map(|v| number(v).map_or(Value::Absent, Value::Int)),
        ),
        ParamType::Uint => {
            // Unsigned 64-bit values are stored in two's complement.
            collect(
                FieldType::Uint,
                values.map(|v| number(v).map_or(Value::Absent, |n| Value::Uint(n as u64))),
            )
        }
        ParamType::Timestamp => {
            let known = values.map(|v| number(v).filter(|n| *n > 0));
            collect(FieldType::Timestamp, known.map(|v| v.map_or(Value::Absent, Value::Int)))
        }
        ParamType::Text => collect(
            FieldType::Str,
            values.map(|v| match v {
                Arg::Str(s) | Arg::Path { resolved: s, .. } => Value::Str(Cow::Borrowed(s)),
                _ => Value::Absent,
            }),
        ),
        ParamType::Name(set) => collect(
            FieldType::Str,
            values.map(|v| match number(v) {
                Some(n) => Value::owned(names::value(set, n).map_or_else(|| n.to_string(), str::to_owned)),
                None => Value::Absent,
            }),
        ),
    }
}

/// Collects values into an array of their type.
pub(crate) fn collect<'a>(ty: FieldType, values: impl Iterator<Item = Value<'a>>) -> Result<ArrayRef, ArrowError> {
    Ok(match ty {
        FieldType::Bool => {
            let mut b = BooleanBuilder::new();
            values.for_each(|v| b.append_option(if let Value::Bool(x) = v { Some(x) } else { None }));
            Arc::new(b.finish())
        }
        FieldType::Int => {
            let mut b = Int64Builder::new();
            values.for_each(|v| b.append_option(int(&v)));
            Arc::new(b.finish())
        }
        FieldType::Duration => {
            let mut b = DurationNanosecondBuilder::new();
            values.for_each(|v| b.append_option(int(&v)));
            Arc::new(b.finish())
        }
        FieldType::Timestamp => {
            let mut b = TimestampNanosecondBuilder::new().with_timezone("UTC");
            values.for_each(|v| b.append_option(int(&v)));
            Arc::new(b.finish())
        }
        FieldType::Uint => {
            let mut b = UInt64Builder::new();
            values.for_each(|v| b.append_option(uint(&v)));
            Arc::new(b.finish())
        }
        FieldType::Str | FieldType::Ip => texts(values)?,
        FieldType::List => lists(values)?,
    })
}

/// The texts of one array have no more bytes: a hostile block may name its longest string in every row.
pub(crate) const MAX_TEXT: usize = 1 << 30;

/// Counts bytes up to [`MAX_TEXT`].
#[derive(Default)]
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), ArrowError> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 <= MAX_TEXT {
            return Ok(());
        }
        Err(ArrowError::MemoryError(format!(
            "the texts of some rows have more than {MAX_TEXT} bytes"
        )))
    }
}

fn texts<'a>(values: impl Iterator<Item = Value<'a>>) -> Result<ArrayRef, ArrowError> {
    /// Growing copies everything; most columns have about so many bytes a value at least.
    const MEAN: usize = 16;
    let mut room = Room::default();
    let rows = values.size_hint().0;
    let mut b = StringBuilder::with_capacity(rows, rows * MEAN);
    let mut append = |s: &str, b: &mut StringBuilder| {
        b.append_value(s);
        room.take(s.len())
    };
    for v in values {
        match v {
            Value::Absent => b.append_null(),
            Value::Str(s) => append(&lossless(&s), &mut b)?,
            other => append(&other.to_string(), &mut b)?,
        }
    }
    // Shares the bytes.
    Ok(Arc::new(StringViewArray::from(&b.finish())))
}

fn lists<'a>(values: impl Iterator<Item = Value<'a>>) -> Result<ArrayRef, ArrowError> {
    let mut room = Room::default();
    let mut b = ListBuilder::new(StringBuilder::new());
    for v in values {
        let Value::List(items) = v else {
            b.append(false);
            continue;
        };
        for item in &items {
            let item = lossless(item);
            b.values().append_value(&item);
            room.take(item.len())?;
        }
        b.append(true);
    }
    Ok(Arc::new(b.finish()))
}

/// Nanoseconds as Arrow stores them: times after 2262 stay at the end of what it can tell.
pub(crate) fn nanos(ts: u64) -> i64 {
    i64::try_from(ts).unwrap_or(i64::MAX)
}

pub(crate) fn int(v: &Value<'_>) -> Option<i64> {
    match v {
        Value::Int(x) => Some(*x),
        Value::Uint(x) => i64::try_from(*x).ok(),
        Value::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

pub(crate) fn uint(v: &Value<'_>) -> Option<u64> {
    match v {
        Value::Uint(x) => Some(*x),
        Value::Int(x) => u64::try_from(*x).ok(),
        _ => None,
    }
}
