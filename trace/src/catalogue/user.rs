//! Fields of the user and group: `user.*`, `group.*`.

use super::{Field, FieldType, Getter, Value, field};
use crate::block::decoded::{ImageView, StrId};
use FieldType::{Int, Str, Uint};
use Getter::Process;

fn of<'a>(p: ImageView<'a>, get: impl FnOnce(ImageView<'a>) -> Value<'a>) -> Value<'a> {
    if p.entry.pid == 0 { Value::Absent } else { get(p) }
}

/// The name, or the number where nobody knows a name.
fn named(p: ImageView<'_>, name: StrId, id: u32) -> Value<'_> {
    let name = p.str(name);
    if name.is_empty() {
        Value::owned(id.to_string())
    } else {
        Value::Str(name.into())
    }
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
        "Name of the effective user; the number where nobody knows a name.",
        Process(|p, _| of(p, |p| named(p, p.entry.user, p.entry.euid))),
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
        "Name of the login user.",
        Process(|p, _| {
            of(p, |p| match p.entry.loginuid {
                u32::MAX => Value::Absent,
                id => named(p, p.entry.login_user, id),
            })
        }),
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
        "Name of the effective group; the number where nobody knows a name.",
        Process(|p, _| of(p, |p| named(p, p.entry.group, p.entry.egid))),
    ),
    field(
        "group.rgid",
        "group_rgid",
        Uint,
        "Real group id.",
        Process(|p, _| of(p, |p| Value::Uint(u64::from(p.entry.gid)))),
    ),
];
