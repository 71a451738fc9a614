//! Rules over traces: Falco's language, evaluated on dictionaries.

mod condition;
mod diagnostics;
mod source;
mod yaml;
