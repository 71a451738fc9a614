//! Fields of the thread, and the identities that Falco files under it: `thread.*`.

use super::{Field, FieldType, Getter, Value, field};
use crate::block::decoded::ImageView;
use FieldType::{Bool, Int, Str};
use Getter::{Process, Thread};

/// Names of capabilities by bit (`linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities, separated by spaces.
fn capabilities<'a>(p: ImageView<'a>, set: u64) -> Value<'a> {
    if p.entry.pid == 0 {
        return Value::Absent;
    }
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(bit, _)| set >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    Value::owned(names.join(" "))
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "thread.tid",
        "thread_tid",
        Int,
        "Thread id in the initial pid namespace.",
        Thread(|c, _| {
            if c.tid == 0 {
                Value::Absent
            } else {
                Value::Int(i64::from(c.tid))
            }
        }),
    ),
    field(
        "thread.ismain",
        "thread_ismain",
        Bool,
        "Whether it is the process's first thread.",
        Thread(|c, d| match c.image.and_then(|i| d.image(i)) {
            Some(p) if p.entry.pid != 0 => Value::Bool(p.entry.pid == c.tid),
            _ => Value::Absent,
        }),
    )
    .reading(crate::block::Need::IMAGES),
    field(
        "thread.cap_permitted",
        "thread_cap_permitted",
        Str,
        "Permitted capabilities, separated by spaces.",
        Process(|p, _| capabilities(p, p.entry.cap_permitted)),
    ),
    field(
        "thread.cap_effective",
        "thread_cap_effective",
        Str,
        "Effective capabilities, separated by spaces.",
        Process(|p, _| capabilities(p, p.entry.cap_effective)),
    ),
    field(
        "thread.cap_inheritable",
        "thread_cap_inheritable",
        Str,
        "Inheritable capabilities, separated by spaces.",
        Process(|p, _| capabilities(p, p.entry.cap_inheritable)),
    ),
    field(
        "thread.cgroups",
        "thread_cgroups",
        Str,
        "cgroup v2 path.",
        Process(|p, _| Value::text(p.str(p.entry.cgroup))),
    ),
];
