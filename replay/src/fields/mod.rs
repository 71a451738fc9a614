//! From names in rules to fields of the catalogue, with those that stand for both ends of a socket.

mod argument;
mod foreign;
mod values;

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, ArgRule, Field, FieldArg};

pub(crate) use self::argument::{DERIVED_ARGS, is_event_arg};
use self::argument::{check_arg, is_text_param};
pub(crate) use self::foreign::{check_event_type, unsupported};
pub(crate) use self::values::{Arity, FdPart, Scope, Type};
use crate::diagnostics::nearest;

/// A field as a condition or format names it.
#[derive(Clone, Debug)]
pub(crate) struct FieldRef {
    /// As it was written, argument included.
    pub(crate) text: String,
    /// The field to read; two for fields that mean either end of a socket, none for one that is never recorded.
    pub(crate) parts: Vec<(&'static Field, FieldArg)>,
    pub(crate) ty: Type,
    pub(crate) arity: Arity,
}

impl FieldRef {
    pub(crate) fn scope(&self) -> Scope {
        self.parts
            .iter()
            .map(|(f, _)| Scope::of(f.domain()))
            .fold(Scope::Constant, Scope::join)
    }

    /// Columns that must be decoded to read it.
    pub(crate) fn needs(&self) -> Need {
        let parts = self.parts.iter();
        parts.fold(Need::NOTHING, |n, (f, arg)| n | f.needs_with(arg))
    }

    /// What of an open object it reads.
    pub(crate) fn fd_part(&self) -> FdPart {
        FdPart::of(self.parts.iter().map(|(field, _)| field.name))
    }

    /// Whether it can stand beside another field or in a transformer.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.arity, Arity::Any | Arity::Ends)
    }

    /// Whether it is the name of the event's type, whose constants are checked.
    pub(crate) fn is_event_type(&self) -> bool {
        self.text == "evt.type" || self.text == "syscall.type"
    }
}

/// Why a name with its argument is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

/// The fields that mean either end of a socket.
const ENDS: [(&str, [&str; 2], Type); 4] = [
    ("fd.ip", ["fd.cip", "fd.sip"], Type::Ip),
    ("fd.net", ["fd.cip", "fd.sip"], Type::Net),
    ("fd.port", ["fd.cport", "fd.sport"], Type::Port),
    ("fd.proto", ["fd.cport", "fd.sport"], Type::Port),
];

/// The fields that are an address, compared with networks.
const NETS: [(&str, &str); 4] = [
    ("fd.cnet", "fd.cip"),
    ("fd.snet", "fd.sip"),
    ("fd.lnet", "fd.lip"),
    ("fd.rnet", "fd.rip"),
];

/// Finds the field of a name and argument.
pub(crate) fn resolve(name: &str, arg: Option<&str>) -> Result<FieldRef, FieldError> {
    let text = match arg {
        Some(arg) => format!("{name}[{arg}]"),
        None => name.to_owned(),
    };
    if arg.is_none() {
        if let Some((_, ends, ty)) = ENDS.iter().find(|e| e.0 == name) {
            let parts: Option<Vec<_>> = ends
                .iter()
                .map(|n| Some((catalogue::find(n)?, FieldArg::None)))
                .collect();
            if let Some(parts) = parts {
                return Ok(FieldRef {
                    text,
                    parts,
                    ty: *ty,
                    arity: Arity::Ends,
                });
            }
        }
        if let Some(field) = NETS.iter().find(|n| n.0 == name).and_then(|n| catalogue::find(n.1)) {
            return Ok(FieldRef {
                text,
                parts: vec![(field, FieldArg::None)],
                ty: Type::Net,
                arity: Arity::One,
            });
        }
    }
    let (field, arg) = find(name, arg)?;
    let ty = match &arg {
        FieldArg::Key(key) if field.name == "evt.rawarg" && is_text_param(key) => Type::Str,
        _ => Type::of(field),
    };
    let arity = Arity::of(field, &arg);
    Ok(FieldRef {
        text,
        parts: vec![(field, arg)],
        ty,
        arity,
    })
}

fn find(name: &str, arg: Option<&str>) -> Result<(&'static Field, FieldArg), FieldError> {
    if let Some(field) = catalogue::find(name) {
        return Ok((field, check_arg(field, arg)?));
    }
    // `evt.arg.flags` is the field `evt.arg` with an argument after a dot.
    let dotted = name.rmatch_indices('.').find_map(|(dot, _)| {
        let field = catalogue::find(name.get(..dot)?)?;
        matches!(field.arg, ArgRule::Required | ArgRule::Optional).then_some((field, name.get(dot + 1..)?))
    });
    match dotted {
        Some((field, key)) if arg.is_none() => Ok((field, check_arg(field, Some(key))?)),
        _ => Err(FieldError {
            message: format!("unknown field '{name}'"),
            suggestion: nearest(name, all_names()),
        }),
    }
}

/// Every name that conditions may use.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    let ends = ENDS.iter().map(|e| e.0).chain(NETS.iter().map(|n| n.0));
    catalogue::all().map(|f| f.name).chain(ends)
}
