//! Damage by intent: everything that whoever holds the file and this format can compute is computed anew.

use std::fs;

use super::{BODIES, Bench, ID, OPENAT, block, case, open_bytes, record_bounds, segment};
use crate::block::EncodedBlock;
use crate::case::{Case, verify};
use crate::segment::{CaseId, Footer, IndexEntry, Prefix, Problem, ProblemKind, RecordKind, Salt};

/// A block's record, all checksums right.
fn record(block: &EncodedBlock, salt: &Salt) -> Vec<u8> {
    let prefix = Prefix {
        kind: RecordKind::BLOCK,
        flags: 0,
        head_len: block.head_bytes.len() as u32,
        body_len: block.body.len() as u32,
        body_crc: crc32fast::hash(&block.body),
    };
    let mut bytes = prefix.encode(salt, &block.head_bytes).to_vec();
    bytes.extend_from_slice(&block.head_bytes);
    bytes.extend_from_slice(&block.body);
    bytes
}

fn of_kind(problems: &[Problem], kind: ProblemKind) -> Vec<&Problem> {
    problems.iter().filter(|p| p.kind == kind).collect()
}

#[test]
fn a_replaced_block_breaks_the_chain() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = case(dir.path(), 1).remove(0);
    let mut bytes = fs::read(&path).expect("reads");
    let bounds = record_bounds(&bytes);
    let original = Case::open(&path).expect("opens");
    let middle = original.blocks().nth(1).expect("is there").clone();
    let mut other = BODIES[1].to_vec();
    other[0] ^= 1;
    let forged = block(10, 10, middle.head().prev, &other);
    let (from, to) = (bounds[3] as usize, bounds[4] as usize);
    let forged = record(&forged, &Salt::of(ID));
    assert_eq!(forged.len(), to - from, "the forged record fits in place");
    bytes.splice(from..to, forged);
    fs::write(&path, &bytes).expect("writes");

    let case = Case::open(&path).expect("opens");
    assert_eq!(case.problems(), [], "every checksum is right");
    let found = verify(&case);
    let broken = of_kind(&found.problems, ProblemKind::ChainBroken);
    assert_eq!(
        broken.iter().map(|p| p.offset).collect::<Vec<_>>(),
        [bounds[4]],
        "{:?}",
        found.problems
    );
}

#[test]
fn a_replaced_last_block_differs_from_the_footer() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = case(dir.path(), 1).remove(0);
    let mut bytes = fs::read(&path).expect("reads");
    let bounds = record_bounds(&bytes);
    let prev = Case::open(&path)
        .expect("opens")
        .blocks()
        .nth(2)
        .expect("is there")
        .head()
        .prev;
    let forged = record(&block(20, 10, prev, b"THIRD"), &Salt::of(ID));
    bytes.splice(bounds[4] as usize..bounds[5] as usize, forged);
    fs::write(&path, &bytes).expect("writes");
    let found = verify(&Case::open(&path).expect("opens"));
    assert_eq!(
        of_kind(&found.problems, ProblemKind::Inconsistent).len(),
        1,
        "{:?}",
        found.problems
    );
}

#[test]
fn a_removed_block_breaks_chain_numbers_and_footer() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = case(dir.path(), 1).remove(0);
    let mut bytes = fs::read(&path).expect("reads");
    let bounds = record_bounds(&bytes);
    bytes.drain(bounds[3] as usize..bounds[4] as usize);
    fs::write(&path, &bytes).expect("writes");
    let found = verify(&Case::open(&path).expect("opens"));
    assert_eq!(of_kind(&found.problems, ProblemKind::ChainBroken).len(), 1);
    assert!(
        of_kind(&found.problems, ProblemKind::Inconsistent).len() >= 2,
        "{:?}",
        found.problems
    );
}

#[test]
fn a_rewritten_segment_breaks_the_chain_of_segments() {
    let dir = tempfile::tempdir().expect("tempdir");
    let paths = case(dir.path(), 3);
    let second = Case::open(&paths[1]).expect("opens");
    let previous = second.segments()[0].header().about.previous.clone();
    fs::remove_file(&paths[1]).expect("removes");
    let mut forged = segment(dir.path(), 2, previous, &[b"forged", BODIES[1], BODIES[2]]);
    forged.close(&super::totals(2, 3)).expect("closes");
    let found = verify(&Case::open(dir.path()).expect("opens"));
    let broken = of_kind(&found.problems, ProblemKind::ChainBroken);
    assert_eq!(broken.len(), 1, "{:?}", found.problems);
    assert_eq!(broken[0].path, paths[2]);
}

#[test]
fn a_segment_of_another_case_is_left_out() {
    let (dir, other) = (
        tempfile::tempdir().expect("tempdir"),
        tempfile::tempdir().expect("tempdir"),
    );
    case(dir.path(), 1);
    let mut header = super::header(2, 30, None);
    header.about.case_id = CaseId([9; 16]);
    let mut writer =
        crate::segment::SegmentWriter::create(super::folder(other.path()), other.path(), &header, None, false)
            .expect("creates");
    let closed = writer.close(&crate::segment::Totals::default()).expect("closes");
    fs::rename(closed.path, dir.path().join("000002.ctrace")).expect("renames");
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.segments().len(), 1);
    assert_eq!(of_kind(case.problems(), ProblemKind::Inconsistent).len(), 1);
}

/// A program on the recorded host can write a whole record into a captured buffer. When the block around it is damaged,
/// the reader must not take it for one of the file's own.
#[test]
fn a_record_planted_in_captured_data_is_not_found() {
    let planted = block(999, 10, [0; 32], b"planted");
    for (salt, taken) in [
        (Salt::NONE, false),
        (Salt::of(CaseId([1; 16])), false),
        (Salt::of(ID), true),
    ] {
        let dir = tempfile::tempdir().expect("tempdir");
        let body = [b"padding".as_slice(), &record(&planted, &salt), b"padding"].concat();
        let writer = segment(dir.path(), 1, None, &[BODIES[0], &body, BODIES[2]]);
        let mut bytes = fs::read(writer.open_path()).expect("reads");
        let bounds = record_bounds(&bytes);
        bytes[bounds[3] as usize] ^= 1;
        let case = Bench::new("000001.ctrace.open").open(&bytes).expect("opens");
        let seqs: Vec<u64> = case.blocks().map(|b| b.head().first_seq).collect();
        // With the case's own id the record is found: what protects is the id alone.
        assert_eq!(seqs, if taken { vec![0, 999, 20] } else { vec![0, 20] });
    }
}

#[test]
fn unknown_records_are_skipped() {
    let bytes = open_bytes();
    let bounds = record_bounds(&bytes);
    let prefix = Prefix {
        kind: RecordKind(200),
        flags: 3,
        head_len: 4,
        body_len: 5,
        body_crc: crc32fast::hash(b"later"),
    };
    let unknown = [&prefix.encode(&Salt::of(ID), b"sign")[..], b"sign", b"later"].concat();
    for at in &bounds[1..] {
        let mut with = bytes.clone();
        with.splice(*at as usize..*at as usize, unknown.iter().copied());
        let bench = Bench::new("000001.ctrace.open");
        let case = bench.open(&with).expect("opens");
        assert_eq!(case.blocks().count(), 3);
        assert!(verify(&case).is_intact(), "{:?}", verify(&case).problems);
    }
}

/// A file of nothing but record magics and impossible lengths must not keep a reader busy.
#[test]
fn a_file_made_to_be_searched_is_given_up() {
    let mut bytes = open_bytes();
    let fake = b"\xc7Rec\x03\0\0\0\xff\xff\xff\x03\0\0\0\0";
    while bytes.len() < 64 << 20 {
        bytes.extend_from_slice(fake);
    }
    let case = Bench::new("000001.ctrace").open(&bytes).expect("opens");
    assert_eq!(case.blocks().count(), 3);
    assert!(case.problems()[0].message.contains("given up"), "{:?}", case.problems());
    assert_eq!(case.totals().by_type.get(&OPENAT), Some(&30));
}

/// Whole records with long damaged ones between them: each of these could be read to the end of the file.
#[test]
fn damage_that_is_long_to_look_at_is_given_up() {
    let mut bytes = open_bytes();
    let small = Prefix {
        kind: RecordKind(200),
        flags: 0,
        head_len: 0,
        body_len: 0,
        body_crc: crc32fast::hash(b""),
    };
    let long = Prefix {
        head_len: 1 << 20,
        ..small
    };
    for _ in 0..50_000 {
        bytes.extend_from_slice(&small.encode(&Salt::of(ID), b""));
        bytes.extend_from_slice(&long.encode(&Salt::of(ID), b"another head"));
    }
    let case = Bench::new("000001.ctrace.open").open(&bytes).expect("opens");
    assert_eq!(case.blocks().count(), 3);
    let last = case.problems().last().expect("it is damaged");
    assert!(last.message.contains("given up"), "{last}");
}

/// A footer that names damaged records, each as long as the rest of the file.
#[test]
fn a_footer_that_names_no_records_is_given_up() {
    let mut bytes = open_bytes();
    let long = Prefix {
        kind: RecordKind::BLOCK,
        flags: 0,
        head_len: 1 << 20,
        body_len: 0,
        body_crc: 0,
    };
    let mut footer = Footer::default();
    let first = bytes.len() as u64;
    for _ in 0..50_000 {
        footer.index.push(IndexEntry {
            offset: bytes.len() as u64,
            ..IndexEntry::default()
        });
        bytes.extend_from_slice(&long.encode(&Salt::of(ID), b"another head"));
    }
    let (head, trailer) = footer.encode(bytes.len() as u64).expect("encodes");
    let prefix = Prefix {
        kind: RecordKind::FOOTER,
        head_len: head.len() as u32,
        body_len: trailer.len() as u32,
        body_crc: crc32fast::hash(&trailer),
        ..long
    };
    bytes.extend_from_slice(&prefix.encode(&Salt::of(ID), &head));
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&trailer);
    let case = Bench::new("000001.ctrace").open(&bytes).expect("opens");
    assert_eq!(case.blocks().count(), 3);
    let found = case
        .problems()
        .iter()
        .find(|p| p.offset == first)
        .expect("it is damaged");
    assert!(found.message.contains("given up"), "{found}");
}
