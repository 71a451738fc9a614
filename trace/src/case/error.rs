//! Why a case cannot be opened or written.

use std::io;
use std::path::{Path, PathBuf};

use crate::block::{BlockError, PushError};
use crate::segment::{PackError, Problem, SegmentError, is_full};

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
    /// The file of the segment that was being written was removed. Writing goes on in a new one.
    #[error("{}: the file was removed while it was written, and {lost} events with it", path.display())]
    Removed {
        /// The segment.
        path: PathBuf,
        /// How many events are lost.
        lost: u64,
    },
    /// Events could not be written because the case has as many bytes as it may have. What was written before is whole.
    #[error("{}: {lost} events could not be written: the case may have {max} bytes", path.display())]
    AtBound {
        /// The case.
        path: PathBuf,
        /// How many events are lost.
        lost: u64,
        /// The bound.
        max: u64,
    },
    /// The folder for a new case is not empty.
    #[error("{}: the folder is not empty; name another one", .0.display())]
    Exists(PathBuf),
    /// There is a file where the folder for a new case, or one that it lies in, should be.
    #[error("{}: a case is a folder, and there is a file; name another one", .0.display())]
    NotAFolder(PathBuf),
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
    /// Whether the disk, the quota or what the case may have is full.
    pub fn is_storage_full(&self) -> bool {
        match self {
            CaseError::Io { source, .. } | CaseError::Lost { source, .. } => is_full(source),
            CaseError::AtBound { .. } => true,
            _ => false,
        }
    }

    /// Whether no case can be begun there because of what is there already.
    pub fn is_taken(&self) -> bool {
        matches!(self, CaseError::Exists(_) | CaseError::NotAFolder(_))
    }

    /// How many events this error cost: what a gap event should say.
    pub fn lost_events(&self) -> u64 {
        match self {
            CaseError::Lost { lost, .. }
            | CaseError::Removed { lost, .. }
            | CaseError::AtBound { lost, .. }
            | CaseError::Block { lost, .. } => *lost,
            CaseError::Event(_) => 1,
            _ => 0,
        }
    }

    /// The same of a block that so many events were lost with.
    pub(crate) fn costing(self, lost: u64) -> CaseError {
        match self {
            CaseError::Io { path, source } => CaseError::Lost { path, lost, source },
            CaseError::AtBound { path, max, .. } => CaseError::AtBound { path, lost, max },
            CaseError::Block { source, .. } => CaseError::Block { lost, source },
            other => other,
        }
    }

    /// Why events were lost, in the words of a gap event.
    pub(crate) fn reason(&self) -> String {
        match self {
            CaseError::Io { source, .. } | CaseError::Lost { source, .. } => source.to_string(),
            CaseError::AtBound { max, .. } => format!("the case may have {max} bytes"),
            CaseError::Block { source, .. } => source.to_string(),
            other => other.to_string(),
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
