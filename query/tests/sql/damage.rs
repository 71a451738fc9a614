//! Damaged blocks: what can be read is there, what is missing is told.

use std::fs;

use ctrace_query::Session;
use ctrace_trace::case::Case;

use super::world::World;
use super::{csv, options};

#[test]
fn a_damaged_block_is_left_out_and_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = World::new().write(folder.path());
    let block = case.blocks().nth(2).expect("a block").clone();
    let (first, events) = (block.head().first_seq, u64::from(block.head().events));
    let whole = Session::case(case, &options()).expect("a session");
    let sql = format!(
        "SELECT seq, proc_name, fd_name FROM events WHERE seq NOT BETWEEN {first} AND {} ORDER BY seq",
        first + events - 1
    );
    let expected = csv(&whole, &sql);
    assert!(whole.problems().is_empty());

    let mut bytes = fs::read(block.path()).expect("the segment");
    let last = bytes.len() as u64 - 1;
    let end = (block.offset() + 64 + u64::from(block.body_len())).min(last) as usize;
    let middle = end - block.body_len() as usize;
    bytes[middle..end].iter_mut().for_each(|b| *b ^= 0x55);
    fs::write(block.path(), bytes).expect("written");
    let damaged = Session::case(Case::open(folder.path()).expect("the case opens"), &options()).expect("a session");
    let rows = csv(&damaged, "SELECT seq, proc_name, fd_name FROM events ORDER BY seq");
    assert_eq!(rows, expected);
    let problems = damaged.problems();
    let told = damaged_at_opening(folder.path()) + problems.len();
    assert!(told > 0, "nothing is told");
}

fn damaged_at_opening(path: &std::path::Path) -> usize {
    Case::open(path).expect("the case opens").problems().len()
}
