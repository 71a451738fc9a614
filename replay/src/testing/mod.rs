//! Tests of rules: what is replayed, and which alerts must and must not come of it. The format is described in
//! `docs/rules.md`.

mod document;
mod events;
mod field;
mod judge;
mod process;
mod report;
mod update;

pub use document::{Expectation, Input, TestCase, TestFile};
pub use events::InlineEvents;
pub use judge::{Failure, Judge};
pub use report::{TestResult, junit, tap};
pub use update::Rewriter;
