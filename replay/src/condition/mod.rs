//! Falco's condition language: text to syntax tree. Nothing here knows which fields exist.

pub(crate) mod ast;
mod cursor;
mod operator;
mod parser;

pub(crate) use operator::operator_of;
pub use operator::{Modifier, Operator};
pub(crate) use parser::{SyntaxError, parse, parse_field, parse_values};
