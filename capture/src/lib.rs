//! Live sources, the resolver and the recorder of ctrace.

pub mod audit;
pub mod docker;
mod record_args;
pub mod resolver;
pub mod syscall;

pub use record_args::{Keep, RecordArgs, SourceArg};
