//! Fields of the process image: `proc.*`, `user.*`, `group.*`, `thread.*`, `container.*`, `k8s.*`.

use super::{ArgRule, Field, FieldType, Getter, Value};
use crate::block::Need;

pub(super) const FIELDS: &[Field] = &[Field {
    name: "proc.name",
    column: Some("proc_name"),
    ty: FieldType::Str,
    arg: ArgRule::None,
    doc: "Name of the process as the kernel keeps it (`comm`, at most 15 bytes).",
    get: Getter::Process(|p, _| Value::text(p.str(p.entry.name))),
    reads: Need::NOTHING,
}];
