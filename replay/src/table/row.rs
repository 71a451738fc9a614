//! A row of table `events` as an event: what its columns say, and an event that is made of them for what accessors compute.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::block::{BlockBuilder, Compressor, Decoder, Need};
use ctrace_trace::catalogue::{Field, FieldArg, FieldType, Value, packed};
use ctrace_trace::container::{Container, Mount};
use ctrace_trace::event::{Arg, Event};
use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::{EventSpec, Schema};

use super::place::{self, InTable};

/// Columns of some rows of table `events`.
pub trait Columns {
    /// How many rows there are.
    fn rows(&self) -> usize;
    /// The value of a column in a row: addresses are texts, times nanoseconds. Absent where it is null or no such column
    /// is there.
    fn value(&self, row: usize, column: &str) -> Value<'_>;
}

/// The columns that every event takes.
pub(crate) const ALWAYS: [&str; 6] = ["seq", "ts", "source", "evt_type", "evt_is_compat", "evt_rawres"];

/// The column with the source's own text, by the source.
const RAW: [(&str, &str); 5] = [
    ("docker", "docker_raw"),
    ("audit", "audit_raw"),
    ("k8s_audit", "ka_raw"),
    ("log", "log_raw"),
    ("container_log", "log_raw"),
];

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    columns: &'a dyn Columns,
    row: usize,
    /// What was made of it.
    pub(crate) event: EventView<'a>,
}

impl<'a> Row<'a> {
    pub(crate) fn seq(&self) -> u64 {
        uint(self.columns.value(self.row, "seq"))
    }

    pub(crate) fn source(&self) -> &'a str {
        self.event.spec().map_or("", |s| s.source.name())
    }

    /// The value of a field.
    pub(crate) fn value(&self, field: &Field, arg: &FieldArg) -> Value<'a> {
        let column = |name: &str| self.columns.value(self.row, name);
        match place::find(field, arg) {
            InTable::Column(name) => typed(column(name), field.ty),
            InTable::Item(name, at) => match column(name) {
                Value::List(items) => {
                    let item = at.checked_sub(1).and_then(|at| items.into_iter().nth(at));
                    item.map_or(Value::Absent, |item| number_or_text(field.name, item))
                }
                _ => Value::Absent,
            },
            InTable::Text(name) => match column(name) {
                Value::Absent => Value::Absent,
                number => Value::owned(number.to_string()),
            },
            InTable::Packed(name, key) => match column(name) {
                Value::Str(text) => packed::find(&text, &key).map_or(Value::Absent, |v| Value::owned(v.to_vec())),
                _ => Value::Absent,
            },
            InTable::Made(..) | InTable::Rebuilt(_) => field.of(self.event, arg),
            InTable::Nowhere => Value::Absent,
        }
    }
}

/// Ancestors' process ids are numbers.
fn number_or_text<'a>(field: &str, item: Cow<'a, [u8]>) -> Value<'a> {
    let number = || std::str::from_utf8(&item).ok()?.parse().ok();
    match (field == "proc.apid").then(number).flatten() {
        Some(number) => Value::Int(number),
        None => Value::Str(item),
    }
}

/// A value of a column as the field has it.
fn typed(value: Value<'_>, ty: FieldType) -> Value<'_> {
    match (value, ty) {
        (Value::Str(text), FieldType::Ip) => {
            let ip = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok());
            ip.map_or(Value::Absent, Value::Ip)
        }
        (Value::Int(v), FieldType::Uint | FieldType::Timestamp) => u64::try_from(v).map_or(Value::Absent, Value::Uint),
        (Value::Uint(v), FieldType::Int | FieldType::Duration) => i64::try_from(v).map_or(Value::Absent, Value::Int),
        (value, _) => value,
    }
}

fn uint(value: Value<'_>) -> u64 {
    match value {
        Value::Uint(v) => v,
        Value::Int(v) => u64::try_from(v).unwrap_or(0),
        _ => 0,
    }
}

/// Events made of rows.
pub(crate) struct Made<'a> {
    columns: &'a dyn Columns,
    block: Box<Decoded>,
    /// The row of each event.
    rows: Vec<usize>,
    /// Rows that are no event of this version's.
    pub(crate) unknown: u64,
}

impl<'a> Made<'a> {
    /// Makes events of rows.
    pub(crate) fn new(columns: &'a dyn Columns, rows: std::ops::Range<usize>) -> Made<'a> {
        let schema = Schema::current();
        let mut builder = BlockBuilder::new(schema.clone());
        let (mut kept, mut unknown, mut ids) = (Vec::with_capacity(rows.len()), 0, 0);
        for row in rows {
            match push(&mut builder, &schema, columns, row, &mut ids) {
                Some(()) => kept.push(row),
                None => unknown += 1,
            }
        }
        let mut block = Box::<Decoded>::default();
        let encoded = builder.finish(0, [0; 32], &mut Compressor::new(1));
        let decoded = encoded.and_then(|b| Decoder::new().decode(&b.head, &b.body, &schema, Need::ALL, &mut block));
        if decoded.is_err() {
            unknown += kept.len() as u64;
            kept.clear();
        }
        Made {
            columns,
            block,
            rows: kept,
            unknown,
        }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let events = self.rows.iter().enumerate().filter(|(at, _)| *at < self.block.len);
        events.map(|(at, row)| Row {
            columns: self.columns,
            row: *row,
            event: self.block.event(at),
        })
    }
}

fn push(builder: &mut BlockBuilder, schema: &Schema, columns: &dyn Columns, row: usize, ids: &mut u64) -> Option<()> {
    let text = |name: &str| match columns.value(row, name) {
        Value::Str(text) => text.into_owned(),
        _ => Vec::new(),
    };
    let source = text("source");
    let spec = spec(schema, &text("evt_type"), &source, columns.value(row, "evt_is_compat"))?;
    let raw = RAW.iter().find(|(name, _)| name.as_bytes() == source);
    let raw = raw.map(|(_, column)| text(column)).unwrap_or_default();
    // Beside its own text, what accessors of other fields than these look at.
    const PARAMS: [(&str, &str); 4] = [
        ("syscall", "audit_syscall"),
        ("action", "docker_action"),
        ("id", "docker_actor_id"),
        ("image", "docker_image"),
    ];
    let params = PARAMS.map(|(param, column)| (param, if raw.is_empty() { Vec::new() } else { text(column) }));
    let args: Vec<Arg<'_>> = spec
        .params
        .iter()
        .map(|p| match p.name.as_str() {
            "raw" if !raw.is_empty() => Arg::Str(&raw),
            name => {
                let known = params.iter().find(|(param, value)| *param == name && !value.is_empty());
                known.map_or(Arg::None, |(_, value)| Arg::Str(value))
            }
        })
        .collect();
    let image = image(columns, row, ids);
    let ret = match columns.value(row, "evt_rawres") {
        Value::Int(ret) if spec.has_ret => Some(ret),
        _ => None,
    };
    let latency = match columns.value(row, "evt_latency") {
        Value::Int(ns) => u64::try_from(ns).ok(),
        _ => None,
    };
    let fd = fd(columns, row, ids);
    let event = Event {
        ts: uint(columns.value(row, "ts")),
        kind: spec.id,
        cpu: 0,
        tid: 0,
        image: image.as_ref(),
        ret,
        latency,
        fd_num: None,
        fd: fd.as_ref(),
        args: &args,
        data: b"",
    };
    builder.push(&event).ok()
}

fn spec<'s>(schema: &'s Schema, name: &[u8], source: &[u8], compat: Value<'_>) -> Option<&'s EventSpec> {
    let fits = |s: &&EventSpec| {
        s.name.as_bytes() == name && s.source.name().as_bytes() == source && Value::Bool(s.id.is_compat()) == compat
    };
    schema.specs().iter().find(fits)
}

/// An open object of the name, where it was selected.
fn fd(columns: &dyn Columns, row: usize, ids: &mut u64) -> Option<Arc<FdEntry>> {
    let Value::Str(name) = columns.value(row, "fd_name") else {
        return None;
    };
    *ids += 1;
    Some(Arc::new(FdEntry {
        id: *ids,
        kind: FdKind::File,
        name: name.into_owned(),
        name_raw: Vec::new(),
        open_flags: 0,
        dev: 0,
        ino: 0,
        socket: None,
    }))
}

/// An image that carries the container's labels and mounts, where they were selected.
fn image(columns: &dyn Columns, row: usize, ids: &mut u64) -> Option<Arc<ProcessImage>> {
    let Value::Str(id) = columns.value(row, "container_id") else {
        return None;
    };
    let (labels, mounts) = match (
        columns.value(row, "container_label"),
        columns.value(row, "container_mount"),
    ) {
        (Value::Absent, Value::Absent) => return None,
        (Value::Str(labels), Value::Str(mounts)) => (labels, mounts),
        (Value::Str(labels), _) => (labels, Cow::Borrowed(&b""[..])),
        (_, Value::Str(mounts)) => (Cow::Borrowed(&b""[..]), mounts),
        _ => return None,
    };
    *ids += 1;
    let string = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let label = |item: &[u8]| {
        let end = memchr::memchr(b'=', item)?;
        Some((string(item.get(..end)?), string(item.get(end + 1..)?)))
    };
    let mount = |item: &[u8]| {
        let mut parts = item.split(|b| *b == 0x1e).map(string);
        let mut next = || parts.next().unwrap_or_default();
        Mount {
            source: next(),
            dest: next(),
            mode: next(),
            rw: next() == "true",
            propagation: next(),
        }
    };
    let container = Container {
        id: string(&id),
        labels: packed::items(&labels).filter_map(label).collect(),
        mounts: packed::items(&mounts).map(mount).collect(),
        ..Container::default()
    };
    Some(Arc::new(ProcessImage {
        id: *ids,
        pid: 1,
        container: Some(Arc::new(container)),
        ..ProcessImage::default()
    }))
}
