//! What users name, on a command line or in a notebook: rules files and folders of them, cases and exports. Nothing is
//! printed here.
//!
//! [`rules`] finds, reads and loads rules; [`diagnosis`] shows what is wrong with them; [`alerts`] is what table function
//! `alerts('RULES', …)` does; [`data`] tells cases from exports.

pub mod alerts;
pub mod data;
pub mod diagnosis;
mod error;
pub mod rules;

pub use error::InputError;
