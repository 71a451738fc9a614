//! Criterion benches and side-by-side comparisons.

pub mod blocks;
pub mod recording;
pub mod workload;
