//! Fields of the event: `evt.*`, `syscall.*`, `fs.path.*`.

use super::{ArgRule, Field, FieldType, Getter, Value};
use crate::block::Need;

pub(super) const FIELDS: &[Field] = &[Field {
    name: "evt.type",
    column: Some("evt_type"),
    ty: FieldType::Str,
    arg: ArgRule::None,
    doc: "Name of the event (`openat`, `procexit`).",
    get: Getter::Kind(|s| Value::owned(s.name.as_bytes())),
    reads: Need::NOTHING,
}];
