//! Damaged cases: exit code 3, the place on stderr, and on stdout what could be read.

use std::ffi::OsStr;
use std::path::Path;

use ctrace_trace::case::Case;

use crate::cases::changed;
use crate::run::{Ran, ctrace, file, folder};

fn read(case: &Path) -> Ran {
    ctrace(
        ["read", "-p", "%evt.num"]
            .map(OsStr::new)
            .into_iter()
            .chain([case.as_os_str()]),
    )
}

#[test]
fn a_flipped_byte_costs_a_block_and_no_more() {
    let whole = changed(|_| ());
    assert_eq!(read(whole.path()).code(0).silent().lines().count(), 400);
    let opened = Case::open(whole.path()).expect("opens");
    for block in [0, 7, 20, 39] {
        let at = opened.blocks().nth(block).expect("40 blocks").offset() as usize + 200;
        let case = changed(|bytes| bytes[at] ^= 0x20);
        let ran = read(case.path()).code(3);
        let lines = ran.out.lines().count();
        assert!(
            (380..400).contains(&lines) && lines.is_multiple_of(10),
            "byte {at}: {lines} lines"
        );
        assert!(
            ran.err.contains("000001.ctrace: ") && ran.err.contains(" at byte "),
            "{}",
            ran.err
        );
        // What is printed is printed as it was, in order.
        let numbers: Vec<u64> = ran.out.lines().filter_map(|l| l.parse().ok()).collect();
        assert!(numbers.len() == lines && numbers.is_sorted());
        for args in [["info"].as_slice(), &["read", "--json"], &["query", "--format=csv"]] {
            let sql = args[0] == "query";
            let args = args.iter().map(OsStr::new).chain([case.path().as_os_str()]);
            let statement = sql.then_some(OsStr::new("SELECT count(*) FROM events WHERE proc_name <> ''"));
            assert!(!ctrace(args.chain(statement)).code(3).out.is_empty());
        }
    }
}

#[test]
fn every_tenth_of_a_truncated_case_reads_up_to_the_cut() {
    let mut before = 0;
    for tenth in 3..10 {
        let case = changed(|bytes| bytes.truncate(bytes.len() * tenth / 10));
        let ran = read(case.path()).code(3);
        let lines = ran.out.lines().count();
        assert!(
            lines >= before && lines < 400,
            "{tenth}/10: {lines} lines, {before} before"
        );
        assert!(ran.err.contains("000001.ctrace: "), "{}", ran.err);
        before = lines;
    }
    assert!(before >= 300, "{before}");
}

#[test]
fn a_damaged_beginning_is_damage_and_not_another_kind_of_file() {
    let case = changed(|bytes| bytes[0] ^= 1);
    let ran = ctrace([OsStr::new("info"), case.path().as_os_str()]).code(3);
    assert!(ran.err.contains("000001.ctrace"), "{}", ran.err);
    let segment = case.path().join("000001.ctrace");
    ctrace([OsStr::new("info"), segment.as_os_str()]).code(3);
}

#[test]
fn damage_outranks_alerts_and_alerts_are_still_printed() {
    let folder = folder();
    let rules = file(
        folder.path(),
        "r.yaml",
        "- rule: r\n  desc: d\n  condition: evt.type = openat\n  output: o\n  priority: INFO\n",
    );
    let case = changed(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
    });
    let args = |threads| {
        let options = ["replay", threads, "--rules"].map(OsStr::new);
        ctrace(options.into_iter().chain([rules.as_os_str(), case.path().as_os_str()])).code(3)
    };
    let ran = args("--threads=1");
    assert!((380..400).contains(&ran.out.lines().count()), "{}", ran.err);
    assert!(ran.err.contains(" at byte "), "{}", ran.err);
    assert_eq!(args("--threads=4"), ran);
}

#[test]
fn a_missing_segment_between_others_is_told() {
    let folder = folder();
    let case = changed(|_| ());
    for name in ["000001.ctrace", "000003.ctrace"] {
        std::fs::copy(case.path().join("000001.ctrace"), folder.path().join(name)).expect("copies");
    }
    let ran = read(folder.path()).code(3);
    assert!(ran.err.contains("missing segment"), "{}", ran.err);
}

#[test]
fn no_byte_of_a_small_case_makes_it_hang_or_panic() {
    // The whole sweep is the business of the crate that reads; here, that the command keeps its word about codes.
    let mut length = 0;
    changed(|bytes| length = bytes.len());
    for at in (0..length).step_by(length / 40) {
        let case = changed(|bytes| bytes[at] = !bytes[at]);
        let ran = ctrace(
            ["info", "--json"]
                .map(OsStr::new)
                .into_iter()
                .chain([case.path().as_os_str()]),
        );
        assert!(ran.code == 3 || ran.code == 0, "byte {at}: {} {}", ran.code, ran.err);
        assert_eq!(ran.code == 3, !ran.err.is_empty(), "byte {at}: {}", ran.err);
    }
}
