//! Fields of the user and group: `user.*`, `group.*`.

use super::{Field, FieldType, Getter, Value, field};
use crate::block::decoded::{ImageView, StrId};
use FieldType::{Int, Str, Uint};
use Getter::Process;

fn of<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    if p.entry.pid == 0 { Value::Absent } else { get(p) }
}

/// Falco's name of users and groups that nobody knows: a text like any other, which differs from `root`.
const UNKNOWN: &[u8] = b"<NA>";

fn named(p: ImageView<'_>, name: StrId) -> Value<'_> {
    let name = p.str(name);
    Value::Str(if name.is_empty() { UNKNOWN } else { name }.into())
}

/// Falco shows an unset login user as -1 and `<NA>`.
fn login(p: ImageView<'_>) -> Value<'_> {
    match p.entry.loginuid {
        u32::MAX => Value::Int(-1),
        id => Value::Int(i64::from(id)),
    }
}

pub(super) const FIELDS: &[Field] = &[
    field(
        "user.uid",
        "user_uid",
        Uint,
        "Effective user id.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.euid)))),
    ),
    field(
        "user.name",
        "user_name",
        Str,
        "Name of the effective user; `<NA>` where nobody knows one.",
        Process(|p, _| of(p, |p| named(p, p.entry.user))),
    ),
    field(
        "user.loginuid",
        "user_loginuid",
        Int,
        "Login (audit) user id, which survives su and sudo; -1 when unset.",
        Process(|p, _| of(p, login)),
    ),
    field(
        "user.loginname",
        "user_loginname",
        Str,
        "Name of the login user; `<NA>` when unset or where nobody knows one.",
        Process(|p, _| of(p, |p| named(p, p.entry.login_user))),
    ),
    field(
        "user.ruid",
        "user_ruid",
        Uint,
        "Real user id.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.uid)))),
    ),
    field(
        "group.gid",
        "group_gid",
        Uint,
        "Effective group id.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.egid)))),
    ),
    field(
        "group.name",
        "group_name",
        Str,
        "Name of the effective group; `<NA>` where nobody knows one.",
        Process(|p, _| of(p, |p| named(p, p.entry.group))),
    ),
    field(
        "group.rgid",
        "group_rgid",
        Uint,
        "Real group id.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.gid)))),
    ),
];
