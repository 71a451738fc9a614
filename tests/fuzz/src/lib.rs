//! What must hold of any bytes that an importer, a decoder or a parser is given: it ends without a panic, in bounded
//! memory, and what comes out is whole.
//!
//! The targets of cargo-fuzz (`fuzz/`) call these functions, and so does a test that changes samples in a few ways, so
//! that they cannot rot where no fuzzer runs.

mod mutate;
mod seeds;
mod target;

pub use mutate::Mutations;
pub use seeds::{block_seed, seeds};
pub use target::{Target, targets};
