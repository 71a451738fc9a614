//! Checking that a case is what was written: checksums, digests, the chain of blocks, the chain of segments, totals.

use std::io;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::Case;
use super::artifacts::Copies;
use super::totals::{self, Loss};
use crate::block::BlockHead;
use crate::segment::{
    Digest, Footer, Found, Hex, IndexEntry, Problem, ProblemKind, Problems, Record, RecordKind, Salt, Segment,
    SegmentFile, Totals, sha256, snapshot,
};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Verification {
    /// Each segment.
    pub segments: Vec<CheckedSegment>,
    /// Everything that is wrong, in the order of segments and offsets.
    pub problems: Vec<Problem>,
    /// What the recorder says it lost: the windows in which the recording is not complete.
    pub losses: Vec<Loss>,
    /// Totals over all whole blocks, counted anew.
    pub totals: Totals,
    /// The copies of executed files beside the segments; what is wrong with them is among the problems too.
    pub copies: Copies,
}

impl Verification {
    /// Whether everything was read and nothing is wrong. An unfinished last segment is nothing wrong.
    pub fn is_intact(&self) -> bool {
        !self.problems.iter().any(|p| p.kind.leaves_out())
    }
}

/// A segment that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSegment {
    /// Its file.
    pub path: PathBuf,
    /// Its number.
    pub number: u32,
    /// SHA-256 of the file, as `sha256sum` prints it.
    pub sha256: Digest,
    /// Length of the file.
    pub bytes: u64,
    /// Whole blocks.
    pub blocks: u64,
    /// Events in them.
    pub events: u64,
    /// Whether it was closed.
    pub closed: bool,
}

/// Checks a case completely: every byte of it is read, the copies of executed files too.
pub fn verify(case: &Case) -> Verification {
    let mut out = Verification {
        problems: case.problems().to_vec(),
        ..Verification::default()
    };
    let mut before: Option<(&Segment, Digest)> = None;
    for segment in case.segments() {
        let mut check = Check::new(segment);
        if let Err(e) = check.records() {
            check.problems.add(ProblemKind::Io, 0, e.to_string());
        }
        check.contents(&mut out);
        match hash(segment.file()) {
            Ok(sha256) => {
                check.previous(before);
                out.segments.push(checked(segment, sha256));
                before = Some((segment, sha256));
            }
            Err(e) => check.problems.add(ProblemKind::Io, 0, e.to_string()),
        }
        out.problems.extend(check.problems.into_vec());
    }
    out.copies = case.check_copies(&case.artifacts().all);
    out.problems.extend(out.copies.problems.iter().cloned());
    let order = |p: &Problem| (p.path.clone(), p.offset);
    out.problems.sort_by_key(order);
    out.problems.dedup();
    out
}

fn checked(segment: &Segment, sha256: Digest) -> CheckedSegment {
    CheckedSegment {
        path: segment.path().to_owned(),
        number: segment.number(),
        sha256,
        bytes: segment.len(),
        blocks: segment.blocks().len() as u64,
        events: segment.blocks().iter().map(|b| u64::from(b.head().events)).sum(),
        closed: segment.footer().is_some(),
    }
}

/// SHA-256 of a file up to the length that it had when it was opened.
fn hash(file: &SegmentFile) -> io::Result<Digest> {
    const CHUNK: u64 = 1 << 20;
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < file.len() {
        let size = CHUNK.min(file.len() - at);
        hash.update(file.read(at, size)?);
        at += size;
    }
    Ok(hash.finalize().into())
}

/// The check of one segment.
struct Check<'a> {
    segment: &'a Segment,
    problems: Problems,
    /// The link that the next linked record must name.
    link: Digest,
    /// What the footer's index must be.
    index: Vec<IndexEntry>,
    next_seq: u64,
}

impl<'a> Check<'a> {
    fn new(segment: &'a Segment) -> Check<'a> {
        Check {
            segment,
            problems: Problems::new(segment.path().to_owned()),
            link: segment.header_link(),
            index: Vec::new(),
            next_seq: segment.header().about.first_seq,
        }
    }

    /// Checks the records that were found when the segment was opened.
    fn records(&mut self) -> io::Result<()> {
        let salt = Salt::of(self.segment.header().about.case_id);
        // The header was checked when it was read: its checksum has no salt.
        for &offset in self.segment.records().iter().skip(1) {
            let Found::Record(record) = self.segment.file().record_at(offset, &salt)? else {
                self.problems.add(
                    ProblemKind::Corrupt,
                    offset,
                    "a record is no longer what it was a moment ago",
                );
                continue;
            };
            match record.prefix.kind {
                RecordKind::BLOCK => self.block(&record),
                RecordKind::SNAPSHOT => self.snapshot(&record)?,
                _ => drop(self.body(&record)?),
            }
        }
        Ok(())
    }

    /// Compares the checksum of a body; the bodies of blocks have finer ones.
    fn body(&mut self, record: &Record) -> io::Result<Option<Vec<u8>>> {
        let body = self.segment.file().body(record)?;
        if body.is_none() {
            let what = match record.prefix.kind {
                RecordKind::SNAPSHOT => "snapshot".to_owned(),
                RecordKind::FOOTER => "footer".to_owned(),
                kind => format!("record of kind {}", kind.0),
            };
            let message = format!("{what}: the checksum of its body differs");
            self.problems.add(ProblemKind::Corrupt, record.body_offset(), message);
        }
        Ok(body)
    }

    fn snapshot(&mut self, record: &Record) -> io::Result<()> {
        let body = self.body(record)?;
        match snapshot::decode_head(&record.head) {
            Ok(head) => {
                self.chain(record, head.prev);
                if body.is_some_and(|b| sha256(&b) != head.body) {
                    self.problems.add(
                        ProblemKind::Inconsistent,
                        record.body_offset(),
                        "snapshot: its digest differs",
                    );
                }
            }
            Err(e) => self
                .problems
                .add(ProblemKind::Corrupt, record.offset, format!("snapshot: {e}")),
        }
        Ok(())
    }

    fn block(&mut self, record: &Record) {
        // Heads that do not decode were reported when the segment was opened.
        let Ok(head) = BlockHead::decode(&record.head) else {
            return;
        };
        self.chain(record, head.prev);
        if head.first_seq != self.next_seq {
            let message = format!("event {} follows where {} is due", head.first_seq, self.next_seq);
            self.problems.add(ProblemKind::Inconsistent, record.offset, message);
        }
        self.next_seq = head.first_seq.saturating_add(u64::from(head.events));
        self.index.push(IndexEntry {
            offset: record.offset,
            head_len: record.prefix.head_len,
            body_len: record.prefix.body_len,
            events: head.events,
            first_seq: head.first_seq,
            min_ts: head.min_ts,
            max_ts: head.max_ts,
        });
    }

    /// Compares a link with the one before, and goes on from it.
    fn chain(&mut self, record: &Record, prev: Digest) {
        if prev != self.link {
            let message = "the record does not name the one before it: one was removed, replaced or put in";
            self.problems.add(ProblemKind::ChainBroken, record.offset, message);
        }
        self.link = sha256(&record.head);
    }

    /// Checks the bodies of the blocks and what the footer says of them all.
    fn contents(&mut self, out: &mut Verification) {
        let mut whole = Vec::new();
        for block in self.segment.blocks() {
            match block.check() {
                Ok(()) => whole.push(block.clone()),
                Err(p) => out.problems.push(p),
            }
        }
        let counted = totals::count(&whole);
        out.totals.add(&counted.totals);
        out.losses.extend(counted.losses);
        out.problems.extend(counted.problems);
        if let (Some(at), Some(footer)) = (self.segment.footer_offset(), self.segment.footer()) {
            self.footer(
                at,
                footer,
                (whole.len() == self.segment.blocks().len()).then_some(&counted.totals),
            );
        }
    }

    /// Compares the footer with what was found; totals only where every block could be counted.
    fn footer(&mut self, at: u64, footer: &Footer, totals: Option<&Totals>) {
        let mut wrong = |what: &str| {
            self.problems
                .add(ProblemKind::Inconsistent, at, format!("footer: {what}"))
        };
        if footer.index != self.index {
            let (claimed, found) = (footer.index.len(), self.index.len());
            wrong(&format!("its index of {claimed} blocks differs from the {found} found"));
        }
        if footer.last_link != self.link {
            wrong("it names another last record");
        }
        if totals.is_some_and(|t| *t != footer.totals) {
            wrong("its totals differ from those of the blocks");
        }
    }

    /// Compares what the header says of the segment before with that segment.
    fn previous(&mut self, before: Option<(&Segment, Digest)>) {
        let about = &self.segment.header().about;
        let mut broken = |message: String| self.problems.add(ProblemKind::ChainBroken, 0, message);
        let Some(previous) = &about.previous else {
            if about.segment > 1 || before.is_some() {
                broken("the header names no segment before this one".to_owned());
            }
            return;
        };
        // Without the file before (rotated away, or reported as missing) there is nothing to compare.
        let Some((segment, sha256)) = before.filter(|(s, _)| s.number() == previous.segment) else {
            return;
        };
        if previous.sha256 != sha256 {
            let (claimed, found) = (Hex(&previous.sha256), Hex(&sha256));
            let name = segment.path().display();
            broken(format!(
                "names {claimed} as the SHA-256 of the segment before; {name} has {found}"
            ));
        }
    }
}
