//! Fields of the thread, and the identities that Falco files under it: `thread.*`.

use std::borrow::Cow;

use super::{Field, FieldType, Getter, Value, field};
use crate::block::decoded::ImageView;
use crate::names;
use FieldType::{Bool, Int, Str};
use Getter::{Process, Thread};

/// A set of capabilities, separated by spaces.
fn capabilities<'a>(p: ImageView<'a>, set: u64) -> Value<'a> {
    if p.entry.pid == 0 {
        return Value::Absent;
    }
    match names::capabilities(set) {
        Cow::Borrowed(text) => Value::Str(Cow::Borrowed(text.as_bytes())),
        Cow::Owned(text) => Value::owned(text),
    }
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
