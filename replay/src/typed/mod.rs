//! The typed form that every rule language compiles to: formulas over interned comparisons of fields with constants or
//! other fields.

pub(crate) mod atom;
pub(crate) mod clock;
pub(crate) mod compile;
mod constant;
pub(crate) mod formula;
pub(crate) mod getopt;
pub(crate) mod glob;
pub(crate) mod path_prefix;
pub(crate) mod record;
mod regex_syntax;
pub(crate) mod test;
mod text;
pub(crate) mod transform;
