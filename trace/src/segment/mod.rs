//! Segments: the files of a case. A segment is a header, a snapshot of the host, blocks and a footer, and is readable
//! without the segments before it.

mod block_ref;
mod file;
mod footer;
mod format;
mod header;
mod packed;
mod problem;
mod reader;
mod resync;
mod scan;
pub(crate) mod snapshot;
mod writer;

pub use block_ref::{BlockReader, BlockRef};
pub(crate) use file::{Found, Record, SegmentFile};
pub use footer::{Footer, IndexEntry, Totals};
pub use format::{CaseId, Digest, FILE_MAGIC, Hex, Prefix, RecordKind, SegmentName, VERSION};
pub(crate) use format::{Salt, sha256};
pub use header::{About, Capture, ClockReading, Host, KNOWN_FEATURES, Previous, SegmentHeader, Tool};
pub use packed::PackError;
pub(crate) use problem::Problems;
pub use problem::{Problem, ProblemKind};
pub use reader::Segment;
pub(crate) use writer::{Closed, Room, SegmentError, SegmentWriter, is_full};
