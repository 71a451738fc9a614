//! Live sources, the resolver and the recorder of ctrace.

pub mod audit;
pub mod docker;
pub mod host;
mod record_args;
pub mod syscall;

pub use record_args::{Keep, RecordArgs, SourceArg};
