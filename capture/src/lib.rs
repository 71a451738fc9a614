//! Live sources, the resolver, the recorder and the importers of ctrace.

mod ahead;
mod artifact;
pub mod audit;
mod console;
pub mod docker;
pub mod host;
pub mod import;
mod json;
mod privileges;
mod record_args;
mod recorder;
pub mod resolver;
mod scope;
mod snaplen;
mod specs;
pub mod syscall;
mod syscall_set;

pub use artifact::Limits;
pub use console::run;
pub use record_args::{Keep, RecordArgs, SourceArg};
pub use recorder::{Absent, Notice, Outcome, RecordError, record};
pub use scope::Scope;
pub use snaplen::Snaplen;
pub use syscall_set::SyscallSet;
