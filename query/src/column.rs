//! Columns of the tables that are read from blocks: their names, types and meaning, and what of a block they need.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, TimeUnit};
use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, Domain, Field, FieldType, packed};
use ctrace_trace::schema::EventSpec;

/// One column of a table.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// Number of the event in the recording.
    Seq,
    /// UTC time.
    Ts,
    /// Key of the process image that acted, as in table `processes`.
    ProcessKey,
    /// A field of the catalogue.
    Field(&'static Field),
    /// A parameter of the table's only event type.
    Param(Arc<Param>),
    /// Name of the recorded host.
    Host,
    /// UTC day of the event: exports are partitioned by host and day.
    Date,
}

/// A parameter of an event type as a column.
#[derive(Debug)]
pub(crate) struct Param {
    /// Its name in the event type's declaration.
    pub(crate) name: String,
    /// Its name in SQL.
    pub(crate) column: String,
    /// How its values are shown.
    pub(crate) ty: ParamType,
    /// What it means.
    pub(crate) doc: &'static str,
}

/// The types of parameters in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParamType {
    /// Signed number.
    Int,
    /// Unsigned number.
    Uint,
    /// UTC nanoseconds.
    Timestamp,
    /// Text.
    Text,
    /// The name of a number.
    Name(ctrace_trace::schema::NameSet),
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

/// The type of a UTC time stamp.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The type of a length of time.
fn duration_type() -> DataType {
    DataType::Duration(TimeUnit::Nanosecond)
}

/// The type of texts: views, as DataFusion reads texts of Parquet. A text of a dictionary is in memory once, and each
/// row that has it points there; unlike dictionary arrays, every function and operator takes views.
pub(crate) const TEXT: DataType = DataType::Utf8View;

/// The type of a list of texts.
fn list_type() -> DataType {
    DataType::List(Arc::new(ArrowField::new_list_field(DataType::Utf8, true)))
}

/// The columns of table `events`, in its order.
pub(crate) fn of_events() -> Vec<Column> {
    let fields = catalogue::all().filter(|f| f.column.is_some());
    let fields = fields.chain(packed::PACKED).map(Column::Field);
    let first = [Column::Seq, Column::Ts, Column::ProcessKey];
    first
        .into_iter()
        .chain(fields)
        .chain([Column::Host, Column::Date])
        .collect()
}

/// The Arrow schema of columns.
pub(crate) fn schema(columns: &[Column]) -> Schema {
    Schema::new(columns.iter().map(Column::arrow).collect::<Vec<_>>())
}

impl Column {
    /// Name in SQL.
    pub(crate) fn name(&self) -> &str {
        match self {
            Column::Seq => "seq",
            Column::Ts => "ts",
            Column::ProcessKey => "process_key",
            Column::Field(f) => f.column.unwrap_or(f.name),
            Column::Param(p) => &p.column,
            Column::Host => "host",
            Column::Date => "date",
        }
    }

    /// What it means.
    pub(crate) fn doc(&self) -> &'static str {
        match self {
            Column::Seq => "Number of the event in the recording.",
            Column::Ts => "When it happened, UTC.",
            Column::ProcessKey => "The process image that acted: key of table `processes`.",
            Column::Field(f) => f.doc,
            Column::Param(p) => p.doc,
            Column::Host => "Name of the recorded host.",
            Column::Date => "UTC day; exports are partitioned by host and day.",
        }
    }

    /// Its Arrow field. Only `seq` and `ts` are never null.
    pub(crate) fn arrow(&self) -> ArrowField {
        let never_null = matches!(self, Column::Seq | Column::Ts);
        ArrowField::new(self.name(), self.data_type(), !never_null)
    }

    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Column::Seq => DataType::UInt64,
            Column::Ts => timestamp_type(),
            Column::ProcessKey => DataType::Int64,
            Column::Field(f) => data_type(f.ty),
            Column::Param(p) => p.ty.arrow(),
            Column::Host => TEXT,
            Column::Date => DataType::Date32,
        }
    }

    /// What a value belongs to.
    pub(crate) fn per(&self) -> Per {
        match self {
            Column::Seq | Column::Ts | Column::Param(_) | Column::Host | Column::Date => Per::Row,
            Column::ProcessKey => Per::Image,
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
            Column::Seq | Column::Host => Need::NOTHING,
            Column::Ts | Column::Date => Need::TS,
            Column::ProcessKey => Need::CONTEXT | Need::IMAGES,
            // Beside the fields of the event, which may look at anything of its type, event types are not looked at.
            Column::Field(f) => match f.domain() {
                Domain::Process => Need::CONTEXT | Need::IMAGES | f.reads,
                Domain::Thread => Need::CONTEXT | f.reads,
                Domain::Kind | Domain::Fd | Domain::Event => f.needs(),
            },
            Column::Param(_) => Need::KIND | Need::ARGS,
        }
    }

    /// The part of a block that has all values of it, where that can be decoded without the rows.
    pub(crate) fn dictionary(&self) -> Need {
        match self {
            Column::ProcessKey => Need::IMAGES,
            Column::Field(f) if f.domain() == Domain::Process => Need::IMAGES | f.reads,
            Column::Field(f) if f.of_socket => Need::SOCKETS,
            _ => Need::NOTHING,
        }
    }

    /// Whether open objects that are no sockets have no value.
    pub(crate) fn of_socket(&self) -> bool {
        matches!(self, Column::Field(f) if f.of_socket)
    }

    /// Whether an event of a type may have a value. Certain only where the answer is no.
    pub(crate) fn may_have(&self, spec: &EventSpec) -> bool {
        match self {
            Column::Field(f) => f.may_have(spec),
            _ => true,
        }
    }

    /// Whether blocks have bounds of it in their heads.
    pub(crate) fn has_bounds(&self) -> bool {
        matches!(self, Column::Seq | Column::Ts)
    }

    /// Whether heads may list its values: the short id of the container.
    pub(crate) fn is_container_id(&self) -> bool {
        matches!(self, Column::Field(f) if f.name == "container.id")
    }
}

impl ParamType {
    /// How values look in Arrow.
    pub(crate) fn arrow(self) -> DataType {
        match self {
            ParamType::Int => DataType::Int64,
            ParamType::Uint => DataType::UInt64,
            ParamType::Timestamp => timestamp_type(),
            ParamType::Text | ParamType::Name(_) => TEXT,
        }
    }
}

/// How values of a field look in Arrow.
pub(crate) fn data_type(ty: FieldType) -> DataType {
    match ty {
        FieldType::Bool => DataType::Boolean,
        FieldType::Int => DataType::Int64,
        FieldType::Uint => DataType::UInt64,
        FieldType::Timestamp => timestamp_type(),
        FieldType::Duration => duration_type(),
        FieldType::Str | FieldType::Ip => TEXT,
        FieldType::List => list_type(),
    }
}
