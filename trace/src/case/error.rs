//! Why a case cannot be opened or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::block::{BlockError, PushError};
use crate::segment::{PackError, Problem, SegmentError};

/// Why a case cannot be opened or written. Damage within a case is no error: see [`super::Case::problems`].
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Events could not be written. What was written before is whole, and writing can go on.
    #[error("{}: {lost} events could not be written: {source}", path.display())]
    Lost {
        /// The segment.
        path: PathBuf,
        /// How many events are lost.
        lost: u64,
        /// Why.
        source: io::Error,
    },
    /// The folder for a new case is not empty.
    #[error("{}: the folder is not empty; name another one", .0.display())]
    Exists(PathBuf),
    /// Another process writes the case.
    #[error("{}: another process is recording into this case", .0.display())]
    InUse(PathBuf),
    /// A folder without segments.
    #[error("{}: no segments (NNNNNN.ctrace) in this folder", .0.display())]
    Empty(PathBuf),
    /// No segment can be read.
    #[error("{0}")]
    Unreadable(Problem),
    /// An event does not fit its declaration or no block; the recording can go on without it.
    #[error("event not recorded: {0}")]
    Event(#[from] PushError),
    /// A block could not be coded; its events are lost and writing can go on.
    #[error("{lost} events could not be coded: {source}")]
    Block {
        /// How many events are lost.
        lost: u64,
        /// Why.
        source: BlockError,
    },
    /// Header, snapshot or footer cannot be stored.
    #[error("{}: {source}", path.display())]
    Pack {
        /// The segment.
        path: PathBuf,
        /// Why.
        source: PackError,
    },
}

impl CaseError {
    /// Whether the disk (or the quota) is full.
    pub fn is_storage_full(&self) -> bool {
        match self {
            CaseError::Io { source, .. } | CaseError::Lost { source, .. } => is_full(source),
            _ => false,
        }
    }

    /// How many events this error cost: what a gap event should say.
    pub fn lost_events(&self) -> u64 {
        match self {
            CaseError::Lost { lost, .. } | CaseError::Block { lost, .. } => *lost,
            CaseError::Event(_) => 1,
            _ => 0,
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> CaseError + '_ {
        |source| CaseError::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn segment(path: PathBuf, error: SegmentError) -> CaseError {
        match error {
            SegmentError::Io(source) => CaseError::Io { path, source },
            SegmentError::Pack(source) => CaseError::Pack { path, source },
        }
    }
}

/// Whether an operation failed for lack of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
