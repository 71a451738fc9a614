//! Cases: a folder of segments, read as one recording.

mod artifacts;
mod error;
mod late;
mod readers;
mod totals;
mod verify;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use artifacts::{Artifacts, COPIES, Copies, Executed};
pub use error::CaseError;
pub use late::{Exit, LateFacts};
pub use readers::CaseReader;
pub use totals::{Late, Loss};
pub use verify::{CheckedSegment, Verification, verify};
pub use writer::{CaseConfig, CaseWriter, Existing, Keep, OnFull, Opener, Opening, Rotation, Summary};

use self::readers::Readers;
use crate::segment::{BlockRef, CaseId, Problem, ProblemKind, Segment, SegmentName};

/// A case open for reading. Nothing that reads a case ever writes to it.
#[derive(Debug)]
pub struct Case {
    path: PathBuf,
    segments: Vec<Segment>,
    problems: Vec<Problem>,
    late: OnceLock<LateFacts>,
    readers: Readers,
}

impl Case {
    /// Opens a case folder or a single segment file. Reads what tells where things are, and no events.
    ///
    /// # Errors
    /// Where there is nothing that can be read. Damage is no error: see [`Case::problems`].
    pub fn open(path: &Path) -> Result<Case, CaseError> {
        let about = fs::metadata(path).map_err(CaseError::io(path))?;
        if about.is_dir() {
            Case::open_folder(path)
        } else {
            Case::open_files(path, vec![path.to_owned()], Vec::new())
        }
    }

    fn open_folder(path: &Path) -> Result<Case, CaseError> {
        // A recorder may rename or delete a segment between listing and opening.
        for _ in 0..3 {
            let (names, problems) = list(path)?;
            let files = names.iter().map(|n| path.join(n.to_string())).collect();
            let case = Case::open_files(path, files, problems);
            let vanished = |p: &Problem| p.kind == ProblemKind::Io && !p.path.exists();
            match &case {
                Ok(c) if c.problems.iter().any(vanished) => {}
                Err(CaseError::Unreadable(p)) if vanished(p) => {}
                _ => return case,
            }
        }
        let (names, problems) = list(path)?;
        Case::open_files(path, names.iter().map(|n| path.join(n.to_string())).collect(), problems)
    }

    fn open_files(path: &Path, files: Vec<PathBuf>, mut problems: Vec<Problem>) -> Result<Case, CaseError> {
        if files.is_empty() {
            return Err(CaseError::Empty(path.to_owned()));
        }
        let mut segments: Vec<Segment> = Vec::new();
        for file in &files {
            let (segment, found) = Segment::open(file);
            problems.extend(found);
            let Some(segment) = segment else { continue };
            match segments.first() {
                Some(first) if first.header().about.case_id != segment.header().about.case_id => {
                    problems.push(other_case(&segment, first.header().about.case_id));
                }
                _ => segments.push(segment),
            }
        }
        if let (true, Some(worst)) = (segments.is_empty(), problems.iter().find(|p| is_hopeless(p.kind))) {
            return Err(CaseError::Unreadable(worst.clone()));
        }
        Ok(Case {
            path: path.to_owned(),
            segments,
            problems,
            late: OnceLock::new(),
            readers: Readers::default(),
        })
    }

    /// The folder or file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The blocks of all segments, in order.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &BlockRef> {
        self.segments.iter().flat_map(|s| s.blocks())
    }

    /// The case's id; `None` where no segment can be read.
    pub fn id(&self) -> Option<CaseId> {
        self.segments.first().map(|s| s.header().about.case_id)
    }

    /// What was found wrong when the case was opened. Damage within blocks shows when they are read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Containers as completely as any part of the case knows them, collected at the first call on as many threads as
    /// are given; the result does not depend on their number.
    pub fn late_facts(&self, threads: usize) -> &LateFacts {
        self.late.get_or_init(|| LateFacts::collect(self, threads))
    }
}

fn is_hopeless(kind: ProblemKind) -> bool {
    use ProblemKind::{Denied, Foreign, Io, Unsupported};
    matches!(kind, Foreign | Unsupported | Io | Denied)
}

fn other_case(segment: &Segment, expected: CaseId) -> Problem {
    let id = segment.header().about.case_id;
    Problem {
        path: segment.path().to_owned(),
        offset: 0,
        kind: ProblemKind::Inconsistent,
        message: format!("belongs to case {id}, the segments before to {expected}; left out"),
    }
}

/// The segments of a folder in order, and what is wrong with their names.
fn list(dir: &Path) -> Result<(Vec<SegmentName>, Vec<Problem>), CaseError> {
    let mut names = names(dir).map_err(CaseError::io(dir))?;
    names.sort_unstable();
    let mut problems = Vec::new();
    let mut report = |name: &SegmentName, kind, message: String| {
        problems.push(Problem {
            path: dir.join(name.to_string()),
            offset: 0,
            kind,
            message,
        });
    };
    for pair in names.windows(2) {
        let [a, b] = pair else { continue };
        if a.number == b.number {
            report(
                b,
                ProblemKind::Duplicate,
                format!("{a} is there too; this file is left out"),
            );
        } else if b.number - a.number > 1 {
            let (from, to) = (a.number + 1, b.number - 1);
            let which = if from == to {
                format!("segment {from} is")
            } else {
                format!("segments {from} – {to} are")
            };
            report(
                b,
                ProblemKind::MissingSegment,
                format!("{which} missing before this one"),
            );
        }
    }
    // Closed files sort before open ones.
    names.dedup_by_key(|n| n.number);
    Ok((names, problems))
}

fn names(dir: &Path) -> io::Result<Vec<SegmentName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.extend(entry?.file_name().to_str().and_then(SegmentName::parse));
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
