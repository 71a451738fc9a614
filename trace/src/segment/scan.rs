//! Finding the records of a segment by their prefixes and heads, over damage and up to a torn end.

use std::io;
use std::sync::Arc;

use super::block_ref::{BlockRef, describe};
use super::file::{Found, Record, SegmentFile};
use super::footer::Footer;
use super::format::{Digest, PRELUDE_LEN, Prelude, RecordKind, Salt, SegmentName, sha256};
use super::header::SegmentHeader;
use super::problem::{ProblemKind, Problems};
use super::resync::{Resync, ends_with_trailer, footer_from_end};
use crate::block::{self, BlockHead};

/// What a scan found.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) header: Arc<SegmentHeader>,
    /// Hash of the header record: the first link of the chain.
    pub(crate) header_link: Digest,
    pub(crate) snapshots: Vec<Record>,
    pub(crate) blocks: Vec<BlockRef>,
    pub(crate) footer: Option<(u64, Footer)>,
    /// Where each whole record begins, the header's first.
    pub(crate) records: Vec<u64>,
    /// Where the last whole record ends.
    end: u64,
    pub(crate) problems: Problems,
}

/// Scans a file; without a result where its header cannot be read, and then the problems say why.
pub(crate) fn scan(file: &Arc<SegmentFile>, name: Option<SegmentName>) -> Result<Scanned, Problems> {
    let mut problems = Problems::new(file.path().to_owned());
    let (header, record) = match read_header(file, &mut problems) {
        Ok(Some(found)) => found,
        Ok(None) => return Err(problems),
        Err(e) => {
            problems.add(ProblemKind::Io, 0, e.to_string());
            return Err(problems);
        }
    };
    let (header_link, at) = (record.link, record.end);
    let scanned = Scanned {
        header: Arc::new(header),
        header_link,
        snapshots: Vec::new(),
        blocks: Vec::new(),
        footer: None,
        records: vec![PRELUDE_LEN as u64],
        end: at,
        problems,
    };
    let mut scan = Scan {
        file,
        open: name.is_some_and(|n| n.open),
        tail_reported: false,
        out: scanned,
    };
    if let Err(e) = scan.records() {
        let at = scan.out.end;
        scan.out.problems.add(ProblemKind::Io, at, e.to_string());
    }
    Ok(scan.out)
}

/// The header record's hash and end.
struct HeaderRecord {
    link: Digest,
    end: u64,
}

/// The record of the header; `None` where there is none, and then the problems say why.
fn find_header(file: &SegmentFile, problems: &mut Problems) -> io::Result<Option<Record>> {
    use ProblemKind::{Corrupt, Foreign, TornTail, Unsupported};
    let start = file.read(0, file.len().min(PRELUDE_LEN as u64))?;
    let prelude = Prelude::parse(&start);
    match prelude {
        Prelude::Cut => {
            problems.add(TornTail, file.len(), "the file ends before its header");
            return Ok(None);
        }
        Prelude::Version(v) => {
            problems.add(
                Unsupported,
                8,
                format!("format version {v}; this program reads {}", super::VERSION),
            );
            return Ok(None);
        }
        Prelude::Known | Prelude::Damaged | Prelude::Foreign => {}
    }
    let at = PRELUDE_LEN as u64;
    let record = match file.record_at(at, &Salt::NONE)? {
        Found::Record(r) if r.prefix.kind == RecordKind::HEADER => r,
        _ if prelude == Prelude::Foreign => {
            problems.add(Foreign, 0, "no ctrace segment");
            return Ok(None);
        }
        Found::End | Found::Cut(..) if !ends_with_trailer(file)? => {
            problems.add(TornTail, at, "the file ends within its header");
            return Ok(None);
        }
        _ => {
            problems.add(
                Corrupt,
                at,
                "the header is damaged; without it nothing in the segment can be read",
            );
            return Ok(None);
        }
    };
    if prelude != Prelude::Known {
        problems.add(Corrupt, 0, "the first 16 bytes are damaged; the rest was read");
    }
    Ok(Some(record))
}

fn read_header(file: &SegmentFile, problems: &mut Problems) -> io::Result<Option<(SegmentHeader, HeaderRecord)>> {
    use ProblemKind::{Corrupt, Unsupported};
    let Some(record) = find_header(file, problems)? else {
        return Ok(None);
    };
    let Some(body) = file.body(&record)? else {
        problems.add(
            Corrupt,
            record.body_offset(),
            "the schema is damaged; without it no event can be read",
        );
        return Ok(None);
    };
    let header = match SegmentHeader::decode(&record.head, &body) {
        Ok(header) => header,
        Err(e) => {
            problems.add(Corrupt, record.offset, format!("header: {e}"));
            return Ok(None);
        }
    };
    if header.unknown_features() != 0 {
        let bits = header.unknown_features();
        problems.add(
            Unsupported,
            record.offset,
            format!("needs features that this program does not have: bits {bits:#x}"),
        );
        return Ok(None);
    }
    let link = sha256(&file.read(record.offset, record.prefix.record_len())?);
    Ok(Some((
        header,
        HeaderRecord {
            link,
            end: record.end(),
        },
    )))
}

struct Scan<'a> {
    file: &'a Arc<SegmentFile>,
    open: bool,
    tail_reported: bool,
    out: Scanned,
}

impl Scan<'_> {
    fn records(&mut self) -> io::Result<()> {
        let salt = Salt::of(self.out.header.about.case_id);
        let mut resync: Option<Resync> = None;
        let mut at = self.out.end;
        // Where bytes were lost from a record, the next one begins within its supposed body.
        let mut last: Option<Record> = None;
        loop {
            let (what, cut, lost) = match self.file.record_at(at, &salt)? {
                Found::Record(record) => {
                    at = record.end();
                    self.out.end = at;
                    self.take(&record);
                    last = Some(record);
                    continue;
                }
                Found::End => break,
                Found::Cut(what, record) => (what, true, record.map(|r| lost_words(&r))),
                Found::Damage(what) => (what, false, None),
            };
            if resync.is_none() {
                resync = Some(Resync::new(self.file, footer_from_end(self.file, &salt)?.as_ref()));
            }
            let Some(resync) = &mut resync else { break };
            resync.met_damage(self.file, at)?;
            let from = match &last {
                Some(before) if resync.body_is_damaged(self.file, before)? => before.body_offset(),
                _ => at + 1,
            };
            let next = resync.next(self.file, &salt, from)?;
            let lost = lost.unwrap_or_default();
            let Some(next) = next else {
                let gave_up = if resync.gave_up() {
                    "; the search for the next record was given up"
                } else {
                    ""
                };
                self.tail(at, cut, format!("{what}{gave_up}{lost}"));
                break;
            };
            let skipped = next.saturating_sub(at);
            let message = format!("{what}; {skipped} bytes skipped{lost}");
            self.out.problems.add(ProblemKind::Corrupt, at, message);
            at = next;
        }
        self.finish()
    }

    fn take(&mut self, record: &Record) {
        self.out.records.push(record.offset);
        match record.prefix.kind {
            RecordKind::SNAPSHOT => self.out.snapshots.push(record.clone()),
            RecordKind::BLOCK => self.take_block(record),
            RecordKind::FOOTER => self.take_footer(record),
            RecordKind::HEADER => {
                self.out
                    .problems
                    .add(ProblemKind::Inconsistent, record.offset, "a second header; ignored");
            }
            _ => {}
        }
    }

    fn take_block(&mut self, record: &Record) {
        let mut bad = |message: String| self.out.problems.add(ProblemKind::Corrupt, record.offset, message);
        let head = match BlockHead::decode(&record.head) {
            Ok(head) => head,
            Err(e) => return bad(e.to_string()),
        };
        let body_len = record.prefix.body_len;
        if head.body_len() != u64::from(body_len) {
            return bad(format!(
                "{}: its body has {body_len} bytes, not {}",
                describe(&head),
                head.body_len()
            ));
        }
        let (file, header) = (self.file.clone(), self.out.header.clone());
        let body = (record.body_offset(), body_len);
        self.out
            .blocks
            .push(BlockRef::new(file, header, record.offset, body, head));
    }

    fn take_footer(&mut self, record: &Record) {
        match Footer::decode(&record.head) {
            Ok(footer) if self.out.footer.is_none() => self.out.footer = Some((record.offset, footer)),
            Ok(_) => self
                .out
                .problems
                .add(ProblemKind::Inconsistent, record.offset, "a second footer; ignored"),
            Err(e) => self
                .out
                .problems
                .add(ProblemKind::Corrupt, record.offset, format!("footer: {e}")),
        }
    }

    /// Reports what lies behind the last whole record.
    fn tail(&mut self, at: u64, cut: bool, what: String) {
        let torn = (cut || self.open) && self.out.footer.is_none();
        let kind = if torn {
            ProblemKind::TornTail
        } else {
            ProblemKind::Corrupt
        };
        let rest = self.file.len() - at;
        let used = self.out.blocks.len();
        self.out.problems.add(
            kind,
            at,
            format!("{what}; the last {rest} bytes are lost, {used} blocks before are used"),
        );
        self.tail_reported = true;
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.out.footer.is_some() {
            return Ok(());
        }
        self.drop_damaged_tail()?;
        if self.tail_reported {
            return Ok(());
        }
        let at = self.file.len();
        if self.open {
            let message = "the segment was not closed: it is being written, or its writer was killed";
            self.out.problems.add(ProblemKind::Unfinished, at, message);
        } else {
            let message = "the footer is missing: the file was cut behind a whole record";
            self.out.problems.add(ProblemKind::TornTail, at, message);
        }
        Ok(())
    }

    /// After a power cut the last blocks may have their full length and not their contents.
    fn drop_damaged_tail(&mut self) -> io::Result<()> {
        while let Some(last) = self.out.blocks.last() {
            let body = last.load().map_err(|p| io::Error::other(p.message))?;
            let Err(e) = block::verify(last.head(), &body) else {
                break;
            };
            let (at, message) = (last.offset(), format!("{e}; {} is lost", last.describe()));
            self.out.problems.add(ProblemKind::TornTail, at, message);
            self.tail_reported = true;
            self.out.blocks.pop();
        }
        Ok(())
    }
}

fn lost_words(record: &Record) -> String {
    match BlockHead::decode(&record.head) {
        Ok(head) if record.prefix.kind == RecordKind::BLOCK => format!("; {} is lost", describe(&head)),
        _ => String::new(),
    }
}
