//! The argument of a field: whether it takes this one, and the fields whose argument names one of an event's.

use ctrace_trace::catalogue::{ArgRule, Field, FieldArg};
use ctrace_trace::schema::Schema;

use super::FieldError;
use crate::diagnostics::nearest;

/// Reads an argument; refuses what the field does not take.
pub(super) fn check_arg(field: &Field, arg: Option<&str>) -> Result<FieldArg, FieldError> {
    let error = |message: String| {
        Err(FieldError {
            message,
            suggestion: None,
        })
    };
    let parsed = match arg {
        None => FieldArg::None,
        Some(text) => match text.parse() {
            Ok(index) => FieldArg::Index(index),
            Err(_) => FieldArg::Key(text.to_owned()),
        },
    };
    match (field.arg, &parsed) {
        (ArgRule::None, FieldArg::None) => {}
        (ArgRule::None, _) => return error(format!("field '{}' takes no argument", field.name)),
        (ArgRule::Required, FieldArg::None) => return error(format!("field '{}' needs an argument", field.name)),
        (ArgRule::OptionalIndex, FieldArg::Key(_)) => {
            return error(format!("the argument of field '{}' must be a number", field.name));
        }
        _ => {}
    }
    if let (true, FieldArg::Key(key)) = (is_event_arg(field.name), &parsed) {
        check_param(key)?;
    }
    Ok(parsed)
}

/// Names of arguments that no event type declares: the catalogue takes them from the result, the open object or the
/// process image.
pub(crate) const DERIVED_ARGS: [&str; 24] = [
    "res",
    "fd",
    "tuple",
    "addr",
    "exe",
    "args",
    "cwd",
    "comm",
    "env",
    "pid",
    "ptid",
    "vpid",
    "pgid",
    "vpgid",
    "tty",
    "loginuid",
    "cgroups",
    "trusted_exepath",
    "exe_ino",
    "cap_permitted",
    "cap_effective",
    "cap_inheritable",
    "uid",
    "gid",
];

/// Whether it is one of the fields whose argument names a parameter of the event.
pub(crate) fn is_event_arg(name: &str) -> bool {
    name == "evt.arg" || name == "evt.rawarg"
}

/// Refuses parameters that no event type has: a comparison with one would be false for ever.
fn check_param(key: &str) -> Result<(), FieldError> {
    let schema = Schema::current();
    let params = || {
        schema
            .specs()
            .iter()
            .flat_map(|s| s.params.iter().map(|p| p.name.as_str()))
    };
    let names = || params().chain(DERIVED_ARGS);
    if names().any(|n| n == key) {
        return Ok(());
    }
    Err(FieldError {
        message: format!("unknown event argument '{key}'"),
        suggestion: nearest(key, names()),
    })
}

/// Whether a parameter of some event type is a text.
pub(super) fn is_text_param(key: &str) -> bool {
    Schema::current()
        .specs()
        .iter()
        .flat_map(|s| &s.params)
        .any(|p| p.name == key && !p.kind.is_num())
}
