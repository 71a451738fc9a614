//! What a case writer is told.

use std::sync::Arc;

use crate::schema::Schema;
use crate::segment::{Capture, CaseId, ClockReading, Host, Tool};
use crate::snapshot::HostSnapshot;

/// How a case is written.
#[derive(Clone, Debug)]
pub struct CaseConfig {
    /// Id of a new case; a case that is continued keeps its own.
    pub id: CaseId,
    /// The event types that may come.
    pub schema: Arc<Schema>,
    /// The writing program.
    pub tool: Tool,
    /// The recorded host.
    pub host: Host,
    /// What was asked for.
    pub capture: Capture,
    /// What to do with a folder that is not empty.
    pub existing: Existing,
    /// When segments end and which are kept.
    pub rotation: Rotation,
    /// What to do when the disk is full.
    pub on_full: OnFull,
    /// The case may have this many bytes: where it has them, that is as if the disk were full.
    pub max_bytes: Option<u64>,
    /// Whether each block is made durable before the next event is taken: a power cut then loses at most the block
    /// being built. Without it a killed recorder still loses no more, and who writes can have it done by a thread
    /// ([`crate::case::CaseWriter::file`]).
    pub sync: bool,
    /// zstd level of the blocks; 1 is right for recorders.
    pub level: i32,
    /// A block is closed when its events span this much time: what a killed recorder loses at most. `None` for what can
    /// be written again, such as an import: blocks are then full, however far apart their events are.
    pub block_span_ns: Option<u64>,
}

/// See [`CaseConfig::block_span_ns`]; what recorders take.
pub(super) const BLOCK_SPAN_NS: u64 = 1_000_000_000;

impl CaseConfig {
    /// A configuration without rotation for a new case.
    pub fn new(id: CaseId, schema: Arc<Schema>) -> CaseConfig {
        CaseConfig {
            id,
            schema,
            tool: Tool::default(),
            host: Host::default(),
            capture: Capture::default(),
            existing: Existing::Refuse,
            rotation: Rotation::default(),
            on_full: OnFull::Stop,
            max_bytes: None,
            sync: false,
            level: 1,
            block_span_ns: Some(BLOCK_SPAN_NS),
        }
    }
}

/// What to do with a folder that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Existing {
    /// Refuse it.
    #[default]
    Refuse,
    /// Add segments to the case in it.
    Continue,
}

/// When segments end and which are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rotation {
    /// A segment ends when it has this many bytes.
    pub size: Option<u64>,
    /// A segment ends when its events span this many nanoseconds.
    pub every_ns: Option<u64>,
    /// Which segments are kept.
    pub keep: Keep,
}

impl Rotation {
    /// The size at which segments end. A total size can only be kept by deleting segments, so there must be several.
    pub(crate) fn segment_size(&self, max_bytes: Option<u64>) -> Option<u64> {
        let total = match self.keep {
            Keep::Bytes(total) => Some(max_bytes.unwrap_or(u64::MAX).min(total)),
            _ => max_bytes,
        };
        match total {
            Some(total) => Some(self.size.unwrap_or(u64::MAX).min(total / 4)),
            None => self.size,
        }
    }
}

/// Which segments are kept; the oldest closed ones are deleted first, the one being written never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// As many as have at most this many bytes together.
    Bytes(u64),
    /// This many, the one being written included; at least 1.
    Segments(u32),
}

/// What to do when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFull {
    /// Report it; the block is lost.
    #[default]
    Stop,
    /// Delete the oldest closed segment and try again; report it when there is none.
    DropOldest,
}

/// What a segment starts from.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// The clocks now.
    pub clock: ClockReading,
    /// The state of the host, where it is known.
    pub state: Option<HostSnapshot>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events in written blocks.
    pub events: u64,
    /// Written blocks.
    pub blocks: u64,
    /// Bytes in all segments written so far, those deleted since included.
    pub bytes: u64,
    /// Bytes in the segments that are there.
    pub kept_bytes: u64,
    /// Segments begun.
    pub segments: u32,
    /// Segments deleted to stay within bounds.
    pub deleted: u32,
    /// Events that could not be written.
    pub lost: u64,
}
