//! Table `containers`: one row per container that any part of the case knows, as completely as the case knows it.

use std::borrow::Cow;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use ctrace_trace::catalogue::{FieldType, Value};
use ctrace_trace::container::Container;

use crate::source::CaseSource;
use crate::state_table::{StateColumn, batch};

/// The columns, in order.
pub(crate) const COLUMNS: &[StateColumn<Container>] = &[
    text(
        "container_id",
        "Short id, as in column `container_id` of the other tables.",
        |c| word(c.short_id()),
    ),
    text("full_id", "The engine's full id.", |c| word(&c.id)),
    text("name", "Name.", |c| word(&c.name)),
    text("image", "Image as it was named at creation.", |c| word(&c.image)),
    text("image_id", "Id of the image.", |c| word(&c.image_id)),
    text("image_digest", "Repository digest of the image.", |c| {
        word(&c.image_digest)
    }),
    text("engine", "Engine: `docker`, `podman`, `containerd`, …", |c| {
        word(&c.engine)
    }),
    time("created_ts", "When it was created.", |c| at(c.created_ts)),
    time("started_ts", "When it was started.", |c| at(c.started_ts)),
    flag("privileged", "Whether it runs privileged; null where not known.", |c| {
        truth(c.privileged)
    }),
    flag("read_only", "Whether its root file system is read-only.", |c| {
        truth(c.read_only)
    }),
    flag("host_pid", "Whether it shares the host's pid namespace.", |c| {
        truth(c.host_namespaces[0])
    }),
    flag("host_network", "Whether it shares the host's network.", |c| {
        truth(c.host_namespaces[1])
    }),
    flag("host_ipc", "Whether it shares the host's ipc namespace.", |c| {
        truth(c.host_namespaces[2])
    }),
    text("ip", "Address on its first network.", |c| word(&c.ip)),
    list("cap_add", "Added capabilities.", |c| {
        Value::List(c.cap_add.iter().map(|s| s.as_bytes().into()).collect())
    }),
    list("labels", "Labels, `KEY=VALUE`.", |c| {
        owned(c.labels.iter().map(|(k, v)| format!("{k}={v}")))
    }),
    list("mounts", "Mounts, `SOURCE:DEST:MODE`.", |c| {
        let mode = |rw: bool| if rw { "rw" } else { "ro" };
        owned(
            c.mounts
                .iter()
                .map(move |m| format!("{}:{}:{}", m.source, m.dest, mode(m.rw))),
        )
    }),
];

/// The rows of a case.
pub(crate) fn rows(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    let facts = source.late_facts();
    let mut containers: Vec<Container> = facts.containers().cloned().collect();
    containers.sort_by(|a, b| (a.created_ts, &a.id).cmp(&(b.created_ts, &b.id)));
    batch(COLUMNS, &containers, source)
}

type Get = for<'a> fn(&'a Container) -> Value<'a>;

const fn text(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Container> {
    StateColumn {
        name,
        ty: FieldType::Str,
        doc,
        get,
    }
}

const fn time(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Container> {
    StateColumn {
        name,
        ty: FieldType::Timestamp,
        doc,
        get,
    }
}

const fn flag(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Container> {
    StateColumn {
        name,
        ty: FieldType::Bool,
        doc,
        get,
    }
}

const fn list(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Container> {
    StateColumn {
        name,
        ty: FieldType::List,
        doc,
        get,
    }
}

fn word(s: &str) -> Value<'_> {
    Value::text(s.as_bytes())
}

fn at(ts: u64) -> Value<'static> {
    if ts == 0 { Value::Absent } else { Value::Uint(ts) }
}

fn truth(b: Option<bool>) -> Value<'static> {
    b.map_or(Value::Absent, Value::Bool)
}

fn owned(items: impl Iterator<Item = String>) -> Value<'static> {
    Value::List(items.map(|s| Cow::Owned(s.into_bytes())).collect())
}
