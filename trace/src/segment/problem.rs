//! What can be wrong with a case, and where. Damage is data: it is reported beside what could still be read.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The kind of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The segment was not closed: it is being written, or its writer was killed. What is there is whole.
    Unfinished,
    /// The file ends within a record, or the last record of an unfinished segment is damaged.
    TornTail,
    /// Bytes are not what was written; reading goes on at the next whole record.
    Corrupt,
    /// A segment is missing between two others.
    MissingSegment,
    /// A copy that the recorder collected is not there.
    MissingCopy,
    /// Two files claim the same place in the case.
    Duplicate,
    /// A record does not name the one before it: something was removed, replaced or put in.
    ChainBroken,
    /// A record or file is whole but says something else than its contents do.
    Inconsistent,
    /// The file cannot be read by this version.
    Unsupported,
    /// The file is not a segment.
    Foreign,
    /// The operating system fails, or what is there is no file.
    Io,
    /// Whoever asks may not read it, which says nothing of what is in it.
    Denied,
}

impl ProblemKind {
    /// Whether anything is wrong: an unfinished segment is the normal state of a running capture, and what may not be
    /// read may be whole.
    pub const fn is_damage(self) -> bool {
        !matches!(self, ProblemKind::Unfinished | ProblemKind::Denied)
    }

    /// Whether something is missing from what was read, or from what was checked: by damage, or for lack of permission.
    pub const fn leaves_out(self) -> bool {
        !matches!(self, ProblemKind::Unfinished)
    }

    /// What an error of the operating system is.
    pub(crate) fn of(error: &io::Error) -> ProblemKind {
        match error.kind() {
            io::ErrorKind::PermissionDenied => ProblemKind::Denied,
            _ => ProblemKind::Io,
        }
    }

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            ProblemKind::Unfinished => "unfinished",
            ProblemKind::TornTail => "torn tail",
            ProblemKind::Corrupt => "corrupt",
            ProblemKind::MissingSegment => "missing segment",
            ProblemKind::MissingCopy => "missing copy",
            ProblemKind::Duplicate => "duplicate segment",
            ProblemKind::ChainBroken => "chain broken",
            ProblemKind::Inconsistent => "inconsistent",
            ProblemKind::Unsupported => "unsupported",
            ProblemKind::Foreign => "not a segment",
            ProblemKind::Io => "cannot be read",
            ProblemKind::Denied => "may not be read",
        }
    }
}

/// One problem, located.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where it begins, in bytes; 0 where the whole file is meant.
    pub offset: u64,
    /// What it is.
    pub kind: ProblemKind,
    /// What was found and what is lost.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, kind) = (self.path.display(), self.kind.name());
        match self.offset {
            0 => write!(f, "{path}: {kind}: {}", self.message),
            offset => write!(f, "{path}: {kind} at byte {offset}: {}", self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// At most so many problems are kept of one segment: a hostile file may have one at every byte.
const MAX_LISTED: usize = 1000;

/// The problems of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problems {
    path: PathBuf,
    listed: Vec<Problem>,
    unlisted: u64,
}

impl Problems {
    /// An empty list for a file.
    pub(crate) fn new(path: PathBuf) -> Problems {
        Problems {
            path,
            ..Problems::default()
        }
    }

    /// Adds a problem.
    pub(crate) fn add(&mut self, kind: ProblemKind, offset: u64, message: impl Into<String>) {
        if self.listed.len() >= MAX_LISTED {
            self.unlisted += 1;
            return;
        }
        let (path, message) = (self.path.clone(), message.into());
        self.listed.push(Problem {
            path,
            offset,
            kind,
            message,
        });
    }

    /// The list, with a last entry for what did not fit.
    pub(crate) fn into_vec(mut self) -> Vec<Problem> {
        if let (Some(last), true) = (self.listed.last().cloned(), self.unlisted > 0) {
            let message = format!("{} more problems behind this one are not listed", self.unlisted);
            self.listed.push(Problem { message, ..last });
        }
        self.listed
    }
}
