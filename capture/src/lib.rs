//! Live sources, the resolver and the recorder of ctrace.

mod record_args;

pub use record_args::{Keep, RecordArgs, SourceArg};
