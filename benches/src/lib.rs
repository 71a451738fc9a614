//! Criterion benches and side-by-side comparisons.

pub mod blocks;
pub mod captures;
pub mod logs;
pub mod recording;
pub mod shared;
pub mod workload;
