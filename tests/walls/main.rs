//! Walls between the crates: what each of them must not depend on, and what the pure ones must not do.
//!
//! ARCHITECTURE.md states the walls; here they are checked against Cargo's own dependency graph and the sources.

mod dependencies;
mod features;
mod source;
