//! Table `processes`: one row per process image.

use std::borrow::Cow;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use ctrace_trace::catalogue::{FieldType, Value};
use ctrace_trace::process::exe_flag;
use ctrace_trace::segment::Hex;

use crate::processes::{self, End, Process};
use crate::source::CaseSource;
use crate::state_table::{StateColumn, batch};

/// The kernel's "not set" of user ids.
const UNSET: u32 = u32::MAX;

/// What fields of containers are outside of them, as in rules.
const HOST: Value<'static> = Value::Str(Cow::Borrowed(b"host"));

/// The columns, in order.
pub(crate) const COLUMNS: &[StateColumn<Process>] = &[
    int(
        "process_key",
        "Key of this row; column `process_key` of the events names it.",
        |p| Value::Int(p.id.key()),
    ),
    int(
        "parent_key",
        "Key of the image that the parent ran when this process began.",
        |p| p.parent.map_or(Value::Absent, |id| Value::Int(id.key())),
    ),
    uint("pid", "Process id on the host.", |p| Value::Uint(p.id.pid.into())),
    uint("ppid", "The parent's process id; null where it is not known.", |p| {
        known(p.ppid)
    }),
    uint("vpid", "Process id in the process's own pid namespace.", |p| {
        known(p.vpid)
    }),
    uint("sid", "Session id.", |p| known(p.sid)),
    uint("pgid", "Process group id.", |p| known(p.pgid)),
    uint("tty", "Device number of the controlling terminal; 0 for none.", |p| {
        Value::Uint(p.tty.into())
    }),
    time("start_ts", "When the process started.", |p| at(p.id.start_ts)),
    time(
        "exec_ts",
        "When it executed this program; null where it never called exec.",
        |p| at(p.id.exec_ts),
    ),
    time(
        "end_ts",
        "When this image ended: by exit, or by executing the next program.",
        |p| match p.end {
            Some(End::Exec(ts) | End::Exit(ts, ..)) => at(ts),
            None => Value::Absent,
        },
    ),
    time(
        "exit_ts",
        "When the process exited, in the row of its last image.",
        |p| match p.end {
            Some(End::Exit(ts, ..)) => at(ts),
            _ => Value::Absent,
        },
    ),
    int(
        "exit_code",
        "Exit code; null where it did not exit or a signal ended it.",
        |p| match p.end {
            Some(End::Exit(_, code, 0)) => Value::Int(code),
            _ => Value::Absent,
        },
    ),
    int("exit_signal", "Number of the signal that ended it.", |p| match p.end {
        Some(End::Exit(_, _, signal)) if signal != 0 => Value::Int(signal),
        _ => Value::Absent,
    }),
    text("name", "Name as the kernel keeps it (`comm`).", |p| {
        Value::text(&p.name)
    }),
    text("exe_path", "Path of the executed file.", |p| Value::text(&p.exe_path)),
    text("cmdline", "Name and arguments in one line.", |p| {
        Value::owned(p.cmdline())
    }),
    list("args", "The arguments, the program's name first; as recorded.", |p| {
        items(p.args())
    }),
    list("env", "Selected environment variables.", |p| items(p.env())),
    text("cwd", "Working directory when the image began.", |p| {
        Value::text(&p.cwd)
    }),
    uint("uid", "Real user id.", |p| Value::Uint(p.uid.into())),
    uint("euid", "Effective user id.", |p| Value::Uint(p.euid.into())),
    text("user_name", "Name of the effective user.", |p| Value::text(&p.user)),
    uint("gid", "Real group id.", |p| Value::Uint(p.gid.into())),
    uint("egid", "Effective group id.", |p| Value::Uint(p.egid.into())),
    text("group_name", "Name of the effective group.", |p| Value::text(&p.group)),
    uint(
        "loginuid",
        "Id of the user who logged in; null where nobody did.",
        |p| match p.loginuid {
            UNSET => Value::Absent,
            uid => Value::Uint(uid.into()),
        },
    ),
    text("loginname", "Name of the user who logged in.", |p| {
        Value::text(&p.login_user)
    }),
    text(
        "container_id",
        "Short id of the container; `host` outside containers.",
        |p| {
            p.container
                .as_ref()
                .map_or(HOST, |c| Value::text(c.short_id().as_bytes()))
        },
    ),
    text(
        "container_name",
        "Name of the container; `host` outside containers.",
        |p| p.container.as_ref().map_or(HOST, |c| Value::text(c.name.as_bytes())),
    ),
    text("container_image", "Image of the container.", |p| {
        p.container
            .as_ref()
            .map_or(Value::Absent, |c| Value::text(c.image.as_bytes()))
    }),
    text("cgroup", "cgroup v2 path.", |p| Value::text(&p.cgroup)),
    flag(
        "exe_upper_layer",
        "Whether the file is in the writable layer of an overlay file system.",
        |p| has(p, exe_flag::UPPER_LAYER),
    ),
    flag("exe_memfd", "Whether the file is in memory only.", |p| {
        has(p, exe_flag::MEMFD)
    }),
    flag("exe_writable", "Whether the user who ran the file may write it.", |p| {
        has(p, exe_flag::WRITABLE)
    }),
    flag(
        "exe_deleted",
        "Whether the file had no name any more when it was run.",
        |p| has(p, exe_flag::DELETED),
    ),
    uint("exe_ino", "Inode number of the executed file.", |p| match p.exe_ino {
        0 => Value::Absent,
        ino => Value::Uint(ino),
    }),
    time("exe_ctime", "When the file's inode was last changed.", |p| {
        at(p.exe_ctime)
    }),
    time("exe_mtime", "When the file's contents were last changed.", |p| {
        at(p.exe_mtime)
    }),
    text(
        "exe_sha256",
        "SHA-256 of the executed file; null where it is not certain: see table `artifacts`.",
        |p| {
            p.exe_sha256
                .map_or(Value::Absent, |d| Value::owned(Hex(&d).to_string()))
        },
    ),
];

/// The rows of a case.
pub(crate) fn rows(source: &CaseSource) -> Result<RecordBatch, ArrowError> {
    let mut processes = processes::collect(source);
    processes.sort_by_key(|p| (p.id.start_ts, p.id.exec_ts, p.id.pid));
    batch(COLUMNS, &processes, source)
}

type Get = for<'a> fn(&'a Process) -> Value<'a>;

const fn column(name: &'static str, ty: FieldType, doc: &'static str, get: Get) -> StateColumn<Process> {
    StateColumn { name, ty, doc, get }
}

const fn int(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::Int, doc, get)
}

const fn uint(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::Uint, doc, get)
}

const fn time(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::Timestamp, doc, get)
}

const fn text(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::Str, doc, get)
}

const fn list(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::List, doc, get)
}

const fn flag(name: &'static str, doc: &'static str, get: Get) -> StateColumn<Process> {
    column(name, FieldType::Bool, doc, get)
}

fn known(id: u32) -> Value<'static> {
    if id == 0 { Value::Absent } else { Value::Uint(id.into()) }
}

fn at(ts: u64) -> Value<'static> {
    if ts == 0 { Value::Absent } else { Value::Uint(ts) }
}

fn has(p: &Process, bit: u8) -> Value<'static> {
    Value::Bool(p.exe_flags & bit != 0)
}

fn items<'a>(words: impl Iterator<Item = &'a [u8]>) -> Value<'a> {
    Value::List(words.map(Cow::Borrowed).collect())
}
