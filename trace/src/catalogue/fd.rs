//! Fields of the open object behind the event's descriptor: `fd.*`.

use super::{ArgRule, Field, FieldType, Getter, Value};
use crate::block::Need;

pub(super) const FIELDS: &[Field] = &[Field {
    name: "fd.name",
    column: Some("fd_name"),
    ty: FieldType::Str,
    arg: ArgRule::None,
    doc: "Absolute path of a file, the tuple of a socket, or the object's name.",
    get: Getter::Fd(|f, _| Value::Str(f.name())),
    reads: Need::NOTHING,
}];
