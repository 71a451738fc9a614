//! Columns of table `events`: from a catalogue field to an Arrow array.
//!
//! A field of the process or of the open object is computed once per dictionary entry of a block. Texts stay
//! dictionaries: their keys are the block's own entry numbers. Numbers are gathered by the same keys.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanBuilder, DictionaryArray, DurationNanosecondBuilder, Int64Builder, ListBuilder,
    StringArray, StringBuilder, TimestampNanosecondBuilder, UInt32Array, UInt64Array, UInt64Builder,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit, UInt32Type};
use arrow::error::ArrowError;
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::catalogue::{self, Domain, Field, FieldArg, FieldType, Getter, Value};

/// One column of table `events`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Number of the event in the recording.
    Seq,
    /// UTC time.
    Ts,
    /// A field of the catalogue.
    Field(&'static Field),
}

/// The type of a UTC time stamp.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The type of a text that repeats.
pub(crate) fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8))
}

/// Every column, in the order of the table.
pub(crate) fn all() -> Vec<Column> {
    let fields = catalogue::all().filter(|f| f.column.is_some()).map(Column::Field);
    [Column::Seq, Column::Ts].into_iter().chain(fields).collect()
}

/// What the rows of a block refer to in order to find a column's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// The event type.
    Kind,
    /// The process image.
    Image,
    /// The thread.
    Context,
    /// The open object.
    Fd,
    /// The event.
    Row,
}

impl Column {
    /// Name in SQL.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Column::Seq => "seq",
            Column::Ts => "ts",
            Column::Field(f) => f.column.unwrap_or(f.name),
        }
    }

    /// What it means.
    pub(crate) fn doc(&self) -> &'static str {
        match self {
            Column::Seq => "Number of the event in the recording.",
            Column::Ts => "When it happened, UTC.",
            Column::Field(f) => f.doc,
        }
    }

    /// Its Arrow field. Only `seq` and `ts` are never null.
    pub(crate) fn arrow(&self) -> ArrowField {
        let field = match self {
            Column::Seq => ArrowField::new("seq", DataType::UInt64, false),
            Column::Ts => ArrowField::new("ts", timestamp_type(), false),
            Column::Field(f) => ArrowField::new(self.name(), arrow_type(f), true),
        };
        field.with_metadata([("doc".to_owned(), self.doc().to_owned())].into())
    }

    /// What a value belongs to.
    pub(crate) fn per(&self) -> Per {
        match self {
            Column::Seq | Column::Ts => Per::Row,
            Column::Field(f) => match f.domain() {
                Domain::Kind => Per::Kind,
                Domain::Process => Per::Image,
                Domain::Thread => Per::Context,
                Domain::Fd => Per::Fd,
                Domain::Event => Per::Row,
            },
        }
    }

    /// The block columns to decode for it.
    pub(crate) fn needs(&self) -> Need {
        match self {
            Column::Seq => Need::NOTHING,
            Column::Ts => Need::TS,
            Column::Field(f) => f.needs(),
        }
    }

    /// The values of the selected rows.
    pub(crate) fn array(&self, block: &Decoded, rows: &Rows<'_>) -> Result<ArrayRef, ArrowError> {
        match self {
            Column::Seq => Ok(Arc::new(UInt64Array::from_iter_values(
                rows.iter().map(|r| block.first_seq + r as u64),
            ))),
            Column::Ts => {
                let values = rows.iter().map(|r| block.ts.get(r).map_or(0, |ts| *ts as i64));
                let mut b = TimestampNanosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
                values.for_each(|v| b.append_value(v));
                Ok(Arc::new(b.finish()))
            }
            Column::Field(f) if self.per() == Per::Row => {
                Ok(collect(f, rows.iter().map(|r| f.of(block.event(r), &FieldArg::None))))
            }
            Column::Field(f) => spread(self.entries(block), &self.keys(block, rows), f),
        }
    }

    /// The value of each dictionary entry that rows can refer to; `None` for columns of rows.
    ///
    /// Texts come as plain strings here: the entry number is the dictionary key.
    pub(crate) fn entries(&self, block: &Decoded) -> Option<ArrayRef> {
        let Column::Field(f) = self else { return None };
        let dict = &block.dict;
        let none = &FieldArg::None;
        let array = match f.get {
            Getter::Kind(get) => collect(f, block.kinds.iter().map(|k| get(&k.spec))),
            Getter::Process(get) => {
                let images = (0..dict.images.len() as u32).map(|i| dict.image(i));
                collect(f, images.map(|i| i.map_or(Value::Absent, |i| get(i, none))))
            }
            Getter::Thread(get) => collect(f, dict.contexts.iter().map(|c| get(*c, dict))),
            Getter::Fd(get) => {
                let fds = (0..dict.fds.len() as u32).map(|i| dict.fd(i));
                collect(f, fds.map(|i| i.map_or(Value::Absent, |i| get(i, none))))
            }
            Getter::Event(_) => return None,
        };
        Some(array)
    }

    /// The dictionary entry of each selected row.
    fn keys(&self, block: &Decoded, rows: &Rows<'_>) -> UInt32Array {
        rows.iter().map(|row| entry_of(self.per(), block, row)).collect()
    }
}

/// The dictionary entry that a row refers to.
pub(crate) fn entry_of(per: Per, block: &Decoded, row: usize) -> Option<u32> {
    match per {
        Per::Kind => block.kind.get(row).map(|k| u32::from(*k)),
        Per::Context => block.context.get(row).copied(),
        Per::Image => block.dict.contexts.get(*block.context.get(row)? as usize)?.image,
        Per::Fd => block.fd.get(row).copied().filter(|fd| *fd != 0),
        Per::Row => Some(row as u32),
    }
}

/// The rows of a block that a scan gives out.
pub(crate) enum Rows<'a> {
    /// All, this many.
    All(usize),
    /// These, ascending.
    Some(&'a [u32]),
}

impl Rows<'_> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::All(n) => *n,
            Rows::Some(rows) => rows.len(),
        }
    }

    /// Row numbers in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let (range, some) = match self {
            Rows::All(n) => (0..*n, &[][..]),
            Rows::Some(rows) => (0..0, *rows),
        };
        range.chain(some.iter().map(|r| *r as usize))
    }
}

fn arrow_type(f: &Field) -> DataType {
    match f.ty {
        FieldType::Bool => DataType::Boolean,
        FieldType::Int => DataType::Int64,
        FieldType::Uint => DataType::UInt64,
        FieldType::Timestamp => timestamp_type(),
        FieldType::Duration => DataType::Duration(TimeUnit::Nanosecond),
        FieldType::Str | FieldType::Ip if f.domain() == Domain::Event => DataType::Utf8,
        FieldType::Str | FieldType::Ip => dictionary_type(),
        FieldType::List => DataType::List(Arc::new(ArrowField::new_list_field(DataType::Utf8, true))),
    }
}

/// Gives each row the value of its entry.
fn spread(entries: Option<ArrayRef>, keys: &UInt32Array, f: &Field) -> Result<ArrayRef, ArrowError> {
    let Some(entries) = entries else {
        return Err(ArrowError::ComputeError(format!("{} has no dictionary", f.name)));
    };
    match entries.as_any().downcast_ref::<StringArray>() {
        Some(values) => dictionary(keys, values),
        None => take(&entries, keys, None),
    }
}

/// A dictionary array over a block's entries. Rows of entries without a value are null by their key, because not every
/// kernel looks for nulls among the values.
pub(crate) fn dictionary(keys: &UInt32Array, values: &StringArray) -> Result<ArrayRef, ArrowError> {
    let valid = |k: &u32| (*k as usize) < values.len() && values.is_valid(*k as usize);
    let keys: UInt32Array = if values.null_count() == 0 {
        keys.clone()
    } else {
        keys.iter().map(|k| k.filter(valid)).collect()
    };
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(
        keys,
        Arc::new(values.clone()),
    )?))
}

/// Bytes as text: what is not UTF-8 becomes `\xNN`, and stays distinguishable.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(s) => Cow::Borrowed(s),
        Err(_) => {
            let mut out = String::with_capacity(bytes.len() + 8);
            for chunk in bytes.utf8_chunks() {
                out.push_str(chunk.valid());
                chunk
                    .invalid()
                    .iter()
                    .for_each(|b| out.push_str(&format!("\\x{b:02x}")));
            }
            Cow::Owned(out)
        }
    }
}

/// Collects values of a field into an array of its plain type (texts as `Utf8`).
fn collect<'a>(f: &Field, values: impl Iterator<Item = Value<'a>>) -> ArrayRef {
    match f.ty {
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
        FieldType::Str | FieldType::Ip => {
            let mut b = StringBuilder::new();
            for v in values {
                match v {
                    Value::Absent => b.append_null(),
                    Value::Str(s) => b.append_value(text(&s)),
                    other => b.append_value(other.to_string()),
                }
            }
            Arc::new(b.finish())
        }
        FieldType::List => {
            let mut b = ListBuilder::new(StringBuilder::new());
            for v in values {
                match v {
                    Value::List(items) => {
                        items.iter().for_each(|s| b.values().append_value(text(s)));
                        b.append(true);
                    }
                    _ => b.append(false),
                }
            }
            Arc::new(b.finish())
        }
    }
}

fn int(v: &Value<'_>) -> Option<i64> {
    match v {
        Value::Int(x) => Some(*x),
        Value::Uint(x) => i64::try_from(*x).ok(),
        Value::Bool(b) => Some(i64::from(*b)),
        _ => None,
    }
}

fn uint(v: &Value<'_>) -> Option<u64> {
    match v {
        Value::Uint(x) => Some(*x),
        Value::Int(x) => u64::try_from(*x).ok(),
        _ => None,
    }
}
