//! Segments with hand-made blocks, so that what is tested is the file and not the columns; and what damage does to them.

mod damage;
mod tamper;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Case;
use crate::block::head::{BlockHead, Codec, DictCounts, FrameEntry, KindCount};
use crate::block::{EncodedBlock, Hash};
use crate::event::{EventType, Source};
use crate::schema::{EventSpec, FdUse, Schema};
use crate::segment::{
    About, Capture, CaseId, ClockReading, Host, Previous, Room, SegmentHeader, SegmentWriter, Tool, Totals, sha256,
};
use crate::snapshot::HostSnapshot;

pub(super) const ID: CaseId = CaseId(*b"0123456789abcdef");
const OPENAT: EventType = EventType(257);

/// A schema of one event type, so that segments stay small.
fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![EventSpec {
        id: OPENAT,
        name: "openat".to_owned(),
        source: Source::Syscall,
        hot: true,
        fd: FdUse::Ret,
        has_ret: true,
        params: Vec::new(),
    }]))
}

fn header(segment: u32, first_seq: u64, previous: Option<Previous>) -> SegmentHeader {
    let about = About {
        case_id: ID,
        segment,
        first_seq,
        previous,
        tool: Tool {
            name: "ctrace".to_owned(),
            ..Tool::default()
        },
        host: Host {
            name: "lab".to_owned(),
            ..Host::default()
        },
        capture: Capture::default(),
        clock: ClockReading {
            realtime_ns: 1,
            ..ClockReading::default()
        },
        required_features: 0,
        optional_features: 0,
        extensions: vec![(7, b"later".to_vec())],
    };
    SegmentHeader {
        about,
        schema: schema(),
    }
}

/// A block of `events` events whose body is one frame of these bytes.
fn block(first_seq: u64, events: u32, prev: Hash, body: &[u8]) -> EncodedBlock {
    let frame = FrameEntry {
        id: 0,
        codec: Codec::Raw,
        packed_len: body.len() as u32,
        raw_len: body.len() as u32,
        crc32: crc32fast::hash(body),
    };
    let head = BlockHead {
        layout: crate::block::head::LAYOUT,
        events,
        first_seq,
        min_ts: 1000 + first_seq,
        max_ts: 1000 + first_seq + u64::from(events),
        base_ts: 1000 + first_seq,
        ts_sorted: true,
        kinds: vec![KindCount { id: OPENAT, events }],
        counts: DictCounts::default(),
        sources: 2,
        container_ids: Some(Vec::new()),
        outside_containers: true,
        frames: vec![frame],
        frames_digest: sha256(&sha256(body)),
        prev,
    };
    let head_bytes = head.encode().expect("encodes");
    EncodedBlock {
        hash: sha256(&head_bytes),
        head,
        head_bytes,
        body: body.to_vec(),
    }
}

fn folder(dir: &Path) -> std::fs::File {
    std::fs::File::open(dir).expect("it is there")
}

/// Writes one segment with a snapshot and a block of ten events for each body.
fn segment(dir: &Path, number: u32, previous: Option<Previous>, bodies: &[&[u8]]) -> SegmentWriter {
    let first_seq = u64::from(number - 1) * 10 * bodies.len() as u64;
    let state = HostSnapshot {
        kernel_command_line: b"quiet".to_vec(),
        ..HostSnapshot::default()
    };
    let mut writer = SegmentWriter::create(
        folder(dir),
        dir,
        &header(number, first_seq, previous),
        Some(&state),
        false,
    )
    .expect("creates");
    for (i, body) in bodies.iter().enumerate() {
        writer
            .block(&block(first_seq + 10 * i as u64, 10, writer.link(), body), Room::Free)
            .expect("writes");
    }
    writer
}

fn totals(number: u32, blocks: u64) -> Totals {
    let mut totals = Totals::default();
    let first_seq = u64::from(number - 1) * 10 * blocks;
    for i in 0..blocks {
        totals.add_block(&block(first_seq + 10 * i, 10, [0; 32], b"").head, &schema());
    }
    totals
}

const BODIES: [&[u8]; 3] = [b"first body", b"second body, longer", b"third"];

/// A case of closed segments.
fn case(dir: &Path, segments: u32) -> Vec<PathBuf> {
    let mut previous = None;
    let mut paths = Vec::new();
    for number in 1..=segments {
        let mut writer = segment(dir, number, previous, &BODIES);
        let closed = writer.close(&totals(number, BODIES.len() as u64)).expect("closes");
        previous = Some(Previous {
            segment: number,
            sha256: closed.sha256,
        });
        paths.push(closed.path);
    }
    paths
}

/// The bytes of a closed segment.
fn closed_bytes() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("tempdir");
    fs::read(&case(dir.path(), 1)[0]).expect("reads")
}

/// The bytes of an unfinished segment.
fn open_bytes() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("tempdir");
    let writer = segment(dir.path(), 1, None, &BODIES);
    fs::read(writer.open_path()).expect("reads")
}

/// A folder with one file in which a test puts damaged bytes.
struct Bench {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Bench {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join(name);
        Bench { _dir: dir, path }
    }

    fn open(&self, bytes: &[u8]) -> Result<Case, super::CaseError> {
        fs::write(&self.path, bytes).expect("writes");
        Case::open(&self.path)
    }
}

/// Where each record of a segment begins, and the end of the file.
fn record_bounds(bytes: &[u8]) -> Vec<u64> {
    let bench = Bench::new("000001.ctrace");
    let case = bench.open(bytes).expect("opens");
    let mut bounds = case.segments()[0].records().to_vec();
    bounds.push(bytes.len() as u64);
    bounds
}

#[test]
fn a_case_reads_as_it_was_written() {
    let dir = tempfile::tempdir().expect("tempdir");
    let paths = case(dir.path(), 3);
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.problems(), []);
    assert_eq!(case.id(), Some(ID));
    let seqs: Vec<u64> = case.blocks().map(|b| b.head().first_seq).collect();
    assert_eq!(seqs, [0, 10, 20, 30, 40, 50, 60, 70, 80]);
    for (i, segment) in case.segments().iter().enumerate() {
        assert_eq!(segment.path(), paths[i]);
        assert_eq!(segment.header().schema, schema());
        assert_eq!(segment.header().about.extensions, [(7, b"later".to_vec())]);
        let state = segment.snapshot().expect("reads").expect("is there");
        assert_eq!(state.kernel_command_line, b"quiet");
        for (block, body) in segment.blocks().iter().zip(BODIES) {
            assert_eq!(block.load().expect("loads"), body);
        }
        assert_eq!(segment.footer().map(|f| f.totals.events), Some(30));
    }
    let verification = super::verify(&case);
    assert_eq!(verification.problems, []);
    assert_eq!(verification.totals, case.totals());
    assert_eq!(verification.segments.len(), 3);
}

#[test]
fn a_single_segment_opens_by_itself() {
    let dir = tempfile::tempdir().expect("tempdir");
    let paths = case(dir.path(), 2);
    let one = Case::open(&paths[1]).expect("opens");
    assert_eq!(one.blocks().count(), 3);
    assert!(super::verify(&one).is_intact());
}

#[test]
fn a_case_may_have_more_segments_than_a_process_may_hold_open() {
    let dir = tempfile::tempdir().expect("tempdir");
    case(dir.path(), 600);
    let open = || fs::read_dir("/proc/self/fd").expect("lists").count();
    let before = open();
    let case = Case::open(dir.path()).expect("opens");
    // Other tests of this process hold some of the allowance, and open files of their own.
    assert!(open() < before + 400, "{} descriptors", open() - before);
    assert_eq!(super::verify(&case).problems, []);
    let last = case.blocks().last().expect("is there");
    assert_eq!(last.load().expect("loads"), BODIES[2]);
    fs::remove_file(last.path()).expect("removes");
    assert_eq!(last.load().expect_err("is gone").kind, crate::segment::ProblemKind::Io);
}

#[test]
fn rotated_segments_are_fine_and_gaps_are_not() {
    let dir = tempfile::tempdir().expect("tempdir");
    let paths = case(dir.path(), 4);
    fs::remove_file(&paths[0]).expect("removes");
    let rotated = Case::open(dir.path()).expect("opens");
    assert_eq!(super::verify(&rotated).problems, []);
    fs::remove_file(&paths[2]).expect("removes");
    let holed = Case::open(dir.path()).expect("opens");
    let kinds: Vec<_> = holed.problems().iter().map(|p| (p.kind, p.message.clone())).collect();
    let missing = "segment 3 is missing before this one".to_owned();
    assert_eq!(kinds, [(crate::segment::ProblemKind::MissingSegment, missing)]);
    assert_eq!(holed.blocks().count(), 6);
}

#[test]
fn what_is_no_case_is_an_error() {
    let dir = tempfile::tempdir().expect("tempdir");
    assert!(matches!(Case::open(dir.path()), Err(super::CaseError::Empty(_))));
    let bench = Bench::new("notes.txt");
    let error = bench
        .open(b"#!/bin/sh\necho a long enough text file\n")
        .expect_err("is no segment");
    assert!(matches!(error, super::CaseError::Unreadable(p) if p.kind == crate::segment::ProblemKind::Foreign));
    for version in [crate::segment::VERSION - 1, crate::segment::VERSION + 1] {
        let mut other = closed_bytes();
        other[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32fast::hash(&other[..12]).to_le_bytes();
        other[12..16].copy_from_slice(&crc);
        let error = bench.open(&other).expect_err("is of another version");
        assert!(matches!(error, super::CaseError::Unreadable(p) if p.kind == crate::segment::ProblemKind::Unsupported));
    }
}
