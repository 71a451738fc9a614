//! Tables about the recording itself: `segments`, `snapshots`, `users`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use ctrace_trace::catalogue::{FieldType, Value};
use ctrace_trace::segment::Segment;
use ctrace_trace::snapshot::{HostSnapshot, Unit, User};

use crate::source::CaseSource;
use crate::state_table::{StateColumn, batch};

/// Columns of table `segments`.
pub(crate) const SEGMENTS: &[StateColumn<Segment>] = &[
    column("segment", FieldType::Uint, "Its number in the case.", |s| {
        Value::Uint(s.number().into())
    }),
    column("file", FieldType::Str, "Name of its file.", |s| {
        Value::owned(s.path().file_name().unwrap_or_default().as_encoded_bytes())
    }),
    column("bytes", FieldType::Uint, "Size of the file.", |s| Value::Uint(s.len())),
    column("blocks", FieldType::Uint, "Number of whole blocks.", |s| {
        Value::Uint(s.blocks().len() as u64)
    }),
    column("events", FieldType::Uint, "Number of events in them.", |s| {
        Value::Uint(s.blocks().iter().map(|b| u64::from(b.head().events)).sum())
    }),
    column("from_ts", FieldType::Timestamp, "Time of the first event.", |s| {
        s.blocks()
            .iter()
            .map(|b| b.head().min_ts)
            .min()
            .map_or(Value::Absent, Value::Uint)
    }),
    column("to_ts", FieldType::Timestamp, "Time of the last event.", |s| {
        s.blocks()
            .iter()
            .map(|b| b.head().max_ts)
            .max()
            .map_or(Value::Absent, Value::Uint)
    }),
    column("closed", FieldType::Bool, "Whether it was closed in order.", |s| {
        Value::Bool(!s.is_open() && s.footer().is_some())
    }),
    column("kernel", FieldType::Str, "Release of the kernel.", |s| {
        word(&s.header().about.host.kernel_release)
    }),
    column("os", FieldType::Str, "Name of the operating system.", |s| {
        word(&s.header().about.host.os)
    }),
    column("boot_id", FieldType::Str, "Id of the boot.", |s| {
        word(&s.header().about.host.boot_id)
    }),
    column("sources", FieldType::List, "Sources that were recorded.", |s| {
        words(&s.header().about.capture.sources)
    }),
    column("scope", FieldType::Str, "What was recorded of the host.", |s| {
        word(&s.header().about.capture.scope)
    }),
    column("tool", FieldType::Str, "What recorded it.", |s| {
        let tool = &s.header().about.tool;
        Value::owned(format!("{} {}", tool.name, tool.version))
    }),
];

/// A snapshot and the number of its segment.
pub(crate) struct Taken {
    segment: u32,
    snapshot: HostSnapshot,
}

/// Columns of table `snapshots`.
pub(crate) const SNAPSHOTS: &[StateColumn<Taken>] = &[
    column(
        "segment",
        FieldType::Uint,
        "Number of the segment that begins with it.",
        |t| Value::Uint(t.segment.into()),
    ),
    column("ts", FieldType::Timestamp, "When it was taken.", |t| {
        Value::Uint(t.snapshot.taken_ts)
    }),
    column("processes", FieldType::Uint, "Processes.", |t| {
        count(&t.snapshot.processes)
    }),
    column("open_files", FieldType::Uint, "Their open descriptors.", |t| {
        Value::Uint(t.snapshot.processes.iter().map(|p| p.fds.len() as u64).sum())
    }),
    column("listening", FieldType::Uint, "Listening sockets.", |t| {
        count(&t.snapshot.listening)
    }),
    column("containers", FieldType::Uint, "Containers.", |t| {
        count(&t.snapshot.containers)
    }),
    column("mounts", FieldType::Uint, "Mounts.", |t| count(&t.snapshot.mounts)),
    column("modules", FieldType::List, "Names of the kernel's modules.", |t| {
        Value::List(t.snapshot.modules.iter().map(|m| m.name.as_bytes().into()).collect())
    }),
    column(
        "audit_rules",
        FieldType::List,
        "Rules of the audit subsystem, as `auditctl -l` shows them.",
        |t| t.snapshot.audit.as_ref().map_or(Value::Absent, |a| words(&a.rules)),
    ),
    column(
        "audit_enabled",
        FieldType::Uint,
        "Whether the audit subsystem is off (0), on (1), or on and locked until a reboot (2).",
        |t| {
            let audit = t.snapshot.audit.as_ref();
            audit.map_or(Value::Absent, |a| Value::Uint(a.enabled.into()))
        },
    ),
    column("docker_version", FieldType::Str, "Version of the Docker engine.", |t| {
        t.snapshot.docker.as_ref().map_or(Value::Absent, |d| word(&d.version))
    }),
    column(
        "kernel_command_line",
        FieldType::Str,
        "Command line of the kernel.",
        |t| Value::text(&t.snapshot.kernel_command_line),
    ),
    column(
        "incomplete",
        FieldType::List,
        "What could not be read, with the reason.",
        |t| {
            let reasons = t.snapshot.incomplete.iter().map(|(what, why)| format!("{what}: {why}"));
            Value::List(reasons.map(|r| Cow::Owned(r.into_bytes())).collect())
        },
    ),
];

/// A unit of systemd in the snapshot of a segment.
pub(crate) struct UnitState {
    segment: u32,
    unit: Unit,
}

/// Columns of table `units`.
pub(crate) const UNITS: &[StateColumn<UnitState>] = &[
    column(
        "segment",
        FieldType::Uint,
        "Number of the segment that begins with this state.",
        |u| Value::Uint(u.segment.into()),
    ),
    column("name", FieldType::Str, "Name of the unit: `ssh.service`.", |u| {
        word(&u.unit.name)
    }),
    column("description", FieldType::Str, "What it says it is.", |u| {
        word(&u.unit.description)
    }),
    column(
        "load",
        FieldType::Str,
        "Whether its file was read: `loaded`, `not-found`, `masked`, …",
        |u| word(&u.unit.load),
    ),
    column("active", FieldType::Str, "`active`, `inactive`, `failed`, …", |u| {
        word(&u.unit.active)
    }),
    column(
        "sub",
        FieldType::Str,
        "What that means for its kind: `running`, `exited`, `mounted`, …",
        |u| word(&u.unit.sub),
    ),
    column(
        "active_enter_ts",
        FieldType::Timestamp,
        "When it was last activated.",
        |u| time(u.unit.active_enter_ts),
    ),
    column(
        "inactive_enter_ts",
        FieldType::Timestamp,
        "When it was last deactivated.",
        |u| time(u.unit.inactive_enter_ts),
    ),
];

/// The rows of table `units`.
pub(crate) fn units(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    let of_segment = |taken: Taken| {
        let units = taken.snapshot.units().unwrap_or_default();
        units.into_iter().map(move |unit| UnitState {
            segment: taken.segment,
            unit,
        })
    };
    let units: Vec<UnitState> = taken(source).into_iter().flat_map(of_segment).collect();
    batch(UNITS, &units, source)
}

fn time(ts: u64) -> Value<'static> {
    if ts == 0 { Value::Absent } else { Value::Uint(ts) }
}

/// Columns of table `users`.
pub(crate) const USERS: &[StateColumn<User>] = &[
    column("uid", FieldType::Uint, "User id.", |u| Value::Uint(u.uid.into())),
    column("name", FieldType::Str, "Name.", |u| word(&u.name)),
    column("gid", FieldType::Uint, "Id of the first group.", |u| {
        Value::Uint(u.gid.into())
    }),
    column("home", FieldType::Str, "Home folder.", |u| word(&u.home)),
    column("shell", FieldType::Str, "Shell.", |u| word(&u.shell)),
];

/// The rows of table `segments`.
pub(crate) fn segments(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    batch(SEGMENTS, source.case().segments(), source)
}

/// The rows of table `snapshots`.
pub(crate) fn snapshots(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    batch(SNAPSHOTS, &taken(source), source)
}

/// The rows of table `users`: every account that a snapshot has, once for each form.
pub(crate) fn users(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    let mut users = BTreeMap::new();
    for user in taken(source).into_iter().flat_map(|t| t.snapshot.users) {
        users.insert(
            (
                user.uid,
                user.name.clone(),
                user.gid,
                user.home.clone(),
                user.shell.clone(),
            ),
            user,
        );
    }
    let users: Vec<User> = users.into_values().collect();
    batch(USERS, &users, source)
}

fn taken(source: &CaseSource) -> Vec<Taken> {
    let mut out = Vec::new();
    for segment in source.case().segments() {
        match segment.snapshot() {
            Ok(snapshot) => out.extend(snapshot.map(|snapshot| Taken {
                segment: segment.number(),
                snapshot,
            })),
            Err(problem) => source.note(problem),
        }
    }
    out
}

const fn column<R>(
    name: &'static str,
    ty: FieldType,
    doc: &'static str,
    get: for<'a> fn(&'a R) -> Value<'a>,
) -> StateColumn<R> {
    StateColumn { name, ty, doc, get }
}

fn word(s: &str) -> Value<'_> {
    Value::text(s.as_bytes())
}

fn words(list: &[String]) -> Value<'_> {
    Value::List(list.iter().map(|s| s.as_bytes().into()).collect())
}

fn count<T>(list: &[T]) -> Value<'static> {
    Value::Uint(list.len() as u64)
}
