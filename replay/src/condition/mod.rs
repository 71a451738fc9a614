//! Falco's condition language: text to syntax tree. Nothing here knows which fields exist.

pub(crate) mod ast;
mod cursor;
mod operator;
mod parser;
mod text;

pub(crate) use cursor::{is_bare, is_identifier};
pub(crate) use operator::{Modifier, Operator, operator_of};
pub(crate) use parser::{SyntaxError, parse, parse_field, parse_naming, parse_values};
pub use text::quoted;
