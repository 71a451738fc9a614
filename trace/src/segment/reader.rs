//! A segment open for reading.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::block_ref::BlockRef;
use super::file::{Record, SegmentFile};
use super::footer::Footer;
use super::format::{Digest, SegmentName};
use super::header::SegmentHeader;
use super::problem::{Problem, ProblemKind, Problems};
use super::scan::{Scanned, scan};
use super::snapshot;
use crate::snapshot::HostSnapshot;

/// A segment: its header, and where everything else in it lies. Opening reads prefixes and heads; of the bodies only
/// the last one of an unfinished segment is looked at.
#[derive(Debug)]
pub struct Segment {
    file: Arc<SegmentFile>,
    name: Option<SegmentName>,
    header: Arc<SegmentHeader>,
    header_link: Digest,
    snapshots: Vec<Record>,
    blocks: Vec<BlockRef>,
    footer: Option<(u64, Footer)>,
    records: Vec<u64>,
}

impl Segment {
    /// Opens a file. The problems are those of the file; without a segment they say why there is none.
    pub(crate) fn open(path: &Path) -> (Option<Segment>, Vec<Problem>) {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(SegmentName::parse);
        let file = match SegmentFile::open(path) {
            Ok(file) => Arc::new(file),
            Err(e) => return (None, io_problem(path, &e)),
        };
        match scan(&file, name) {
            Ok(scanned) => Segment::new(file, name, scanned),
            Err(problems) => (None, problems.into_vec()),
        }
    }

    fn new(file: Arc<SegmentFile>, name: Option<SegmentName>, scanned: Scanned) -> (Option<Segment>, Vec<Problem>) {
        let Scanned {
            header,
            header_link,
            snapshots,
            blocks,
            footer,
            records,
            mut problems,
            ..
        } = scanned;
        let segment = header.about.segment;
        if let Some(name) = name.filter(|name| name.number != segment) {
            let message = format!("named segment {}, but its header says {segment}", name.number);
            problems.add(ProblemKind::Inconsistent, 0, message);
        }
        let opened = Segment {
            file,
            name,
            header,
            header_link,
            snapshots,
            blocks,
            footer,
            records,
        };
        (Some(opened), problems.into_vec())
    }

    /// Its number in the case.
    pub fn number(&self) -> u32 {
        self.header.about.segment
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Length of the file when it was opened.
    pub fn len(&self) -> u64 {
        self.file.len()
    }

    /// Whether it has no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether its file name says that it was not closed.
    pub fn is_open(&self) -> bool {
        self.name.is_some_and(|n| n.open)
    }

    /// Where, when and how it was recorded.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Its whole blocks, in order.
    pub fn blocks(&self) -> &[BlockRef] {
        &self.blocks
    }

    /// Index and totals; `None` where the segment was not closed or the footer is damaged.
    pub fn footer(&self) -> Option<&Footer> {
        self.footer.as_ref().map(|(_, footer)| footer)
    }

    /// The state of the host when the segment was begun, read now; `None` where none was recorded.
    ///
    /// # Errors
    /// Where the file cannot be read or the snapshot is damaged.
    pub fn snapshot(&self) -> Result<Option<HostSnapshot>, Problem> {
        let Some(record) = self.snapshots.first() else {
            return Ok(None);
        };
        let problem = |kind, message: String| Problem {
            path: self.path().to_owned(),
            offset: record.offset,
            kind,
            message: format!("snapshot: {message}"),
        };
        let body = self
            .file
            .body(record)
            .map_err(|e| problem(ProblemKind::Io, e.to_string()))?;
        let body = body.ok_or_else(|| problem(ProblemKind::Corrupt, "its checksum differs".to_owned()))?;
        let head = snapshot::decode_head(&record.head).map_err(|e| problem(ProblemKind::Corrupt, e.to_string()))?;
        if head.layout != snapshot::LAYOUT {
            return Err(problem(ProblemKind::Unsupported, format!("layout {}", head.layout)));
        }
        let read = snapshot::decode_body(&body).map_err(|e| problem(ProblemKind::Corrupt, e.to_string()))?;
        Ok(Some(read))
    }

    pub(crate) fn file(&self) -> &Arc<SegmentFile> {
        &self.file
    }

    pub(crate) fn header_link(&self) -> Digest {
        self.header_link
    }

    /// Offset of the footer record.
    pub(crate) fn footer_offset(&self) -> Option<u64> {
        self.footer.as_ref().map(|(at, _)| *at)
    }

    /// Where each whole record begins, the header's first.
    pub(crate) fn records(&self) -> &[u64] {
        &self.records
    }
}

fn io_problem(path: &Path, error: &io::Error) -> Vec<Problem> {
    let mut problems = Problems::new(path.to_owned());
    let told = match ProblemKind::of(error) {
        ProblemKind::Denied => format!("{error}; ask as root, or as who recorded"),
        _ => error.to_string(),
    };
    problems.add(ProblemKind::of(error), 0, told);
    problems.into_vec()
}
