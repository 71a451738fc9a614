//! Damage by accident: flipped bytes, cut files, killed writers, random mutations.

use super::{Bench, closed_bytes, open_bytes, record_bounds};
use crate::case::{Case, CaseError, verify};
use crate::segment::ProblemKind;

/// Blocks of `bytes` that lie whole before `len`.
fn whole_blocks(bounds: &[u64], len: usize) -> usize {
    // header, snapshot, three blocks, and in closed segments a footer
    bounds[3..6].iter().filter(|end| **end <= len as u64).count()
}

fn kinds(case: &Case) -> Vec<ProblemKind> {
    case.problems().iter().map(|p| p.kind).collect()
}

#[test]
fn every_flipped_byte_is_detected() {
    let bytes = closed_bytes();
    let bench = Bench::new("000001.ctrace");
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            match bench.open(&damaged) {
                Ok(case) => {
                    let found = verify(&case);
                    assert!(!found.is_intact(), "byte {at} ^ {flip:#x} is not noticed");
                    let first = found.problems.iter().map(|p| p.offset).min().expect("has one");
                    assert!(first <= at as u64, "byte {at}: first reported is {first}");
                }
                Err(CaseError::Unreadable(_)) => {}
                Err(e) => panic!("byte {at}: {e}"),
            }
        }
    }
}

#[test]
fn a_flipped_byte_costs_at_most_its_block() {
    let bytes = closed_bytes();
    let bounds = record_bounds(&bytes);
    let bench = Bench::new("000001.ctrace");
    for at in bounds[1] as usize..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let case = bench.open(&damaged).expect("opens");
        let whole = case.blocks().filter(|b| b.check().is_ok()).count();
        let in_block = (bounds[2] as usize..bounds[5] as usize).contains(&at);
        assert_eq!(whole, if in_block { 2 } else { 3 }, "byte {at}");
    }
}

#[test]
fn a_closed_segment_cut_anywhere_reads_up_to_the_last_whole_block() {
    let bytes = closed_bytes();
    let bounds = record_bounds(&bytes);
    let bench = Bench::new("000001.ctrace");
    for len in 0..bytes.len() {
        let case = bench.open(&bytes[..len]).expect("opens");
        assert_eq!(case.blocks().count(), whole_blocks(&bounds, len), "cut at {len}");
        assert_eq!(
            kinds(&case),
            [ProblemKind::TornTail],
            "cut at {len}: {:?}",
            case.problems()
        );
        assert!(case.problems()[0].offset <= len as u64);
    }
}

#[test]
fn an_unfinished_segment_cut_anywhere_reads_up_to_the_last_whole_block() {
    let bytes = open_bytes();
    let bounds = record_bounds(&bytes);
    let bench = Bench::new("000001.ctrace.open");
    for len in 0..=bytes.len() {
        let case = bench.open(&bytes[..len]).expect("opens");
        assert_eq!(case.blocks().count(), whole_blocks(&bounds, len), "cut at {len}");
        let at_border = bounds[1..].contains(&(len as u64));
        let expected = if at_border {
            ProblemKind::Unfinished
        } else {
            ProblemKind::TornTail
        };
        assert_eq!(kinds(&case), [expected], "cut at {len}: {:?}", case.problems());
    }
}

#[test]
fn a_cut_says_which_events_are_lost() {
    let bytes = open_bytes();
    let case = Bench::new("000001.ctrace.open")
        .open(&bytes[..bytes.len() - 1])
        .expect("opens");
    let message = &case.problems()[0].message;
    assert!(message.contains("the block of 10 events 20 – 29 is lost"), "{message}");
}

#[test]
fn contents_that_never_reached_the_disk_are_a_torn_tail() {
    let bytes = open_bytes();
    let bounds = record_bounds(&bytes);
    let bench = Bench::new("000001.ctrace.open");
    // The length was written and the contents were not: zeros, from anywhere in the last two blocks.
    for from in bounds[3] as usize..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[from..].fill(0);
        if damaged == bytes {
            continue;
        }
        let case = bench.open(&damaged).expect("opens");
        assert_eq!(
            case.blocks().count(),
            if from < bounds[4] as usize { 1 } else { 2 },
            "zeros from {from}"
        );
        assert!(
            kinds(&case).iter().all(|k| *k == ProblemKind::TornTail),
            "{:?}",
            case.problems()
        );
    }
}

#[test]
fn bytes_lost_from_the_middle_cost_their_block_only() {
    let bytes = closed_bytes();
    let bounds = record_bounds(&bytes);
    let bench = Bench::new("000001.ctrace");
    for at in bounds[2]..bounds[3] {
        let mut damaged = bytes.clone();
        damaged.remove(at as usize);
        let case = bench.open(&damaged).expect("opens");
        assert_eq!(
            case.blocks().filter(|b| b.check().is_ok()).count(),
            2,
            "byte {at} removed"
        );
        assert!(kinds(&case).contains(&ProblemKind::Corrupt));
    }
}

#[test]
fn bytes_behind_the_footer_are_corruption() {
    let mut bytes = closed_bytes();
    bytes.extend_from_slice(b"tail");
    let case = Bench::new("000001.ctrace").open(&bytes).expect("opens");
    assert_eq!(kinds(&case), [ProblemKind::Corrupt]);
    assert_eq!(case.blocks().count(), 3);
}

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = [0, 1, 0x7F, 0xFF][self.below(4)],
            2 => bytes.truncate(at + 1),
            3 => drop(bytes.drain(at..(at + self.below(40)).min(bytes.len()))),
            4 => {
                let copy = bytes[at..(at + self.below(200)).min(bytes.len())].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, copy);
            }
            _ => {
                let end = (at + 4).min(bytes.len());
                bytes[at..end].fill(0xFF);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn random_mutations_never_panic_and_never_pass() {
    const ROUNDS: usize = 10_000;
    let originals = [(closed_bytes(), "000001.ctrace"), (open_bytes(), "000001.ctrace.open")];
    let benches = originals.each_ref().map(|(_, name)| Bench::new(name));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..ROUNDS {
        let which = round % 2;
        let original = &originals[which].0;
        let mut bytes = original.clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes);
        }
        let Ok(case) = benches[which].open(&bytes) else {
            continue;
        };
        let found = verify(&case);
        // An unfinished segment cut at a record is a shorter unfinished segment: nothing in it can tell.
        let shorter = which == 1 && original.starts_with(&bytes);
        assert!(
            !found.is_intact() || bytes == *original || shorter,
            "round {round} is not noticed"
        );
    }
}
