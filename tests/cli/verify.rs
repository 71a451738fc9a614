//! `ctrace verify CASE`: every byte of a case.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use ctrace_trace::case::Case;
use serde_json::Value;

use crate::cases::{self, changed, sample};
use crate::run::{Ran, ctrace, folder};

fn verify(case: &Path) -> Ran {
    ctrace([OsStr::new("verify"), case.as_os_str()])
}

fn json(case: &Path) -> (i32, Value) {
    let ran = ctrace([OsStr::new("verify"), OsStr::new("--json"), case.as_os_str()]);
    (ran.code, serde_json::from_str(&ran.out).expect("one JSON object"))
}

#[test]
fn an_intact_case_is_told_segment_by_segment() {
    let text = verify(sample()).code(0).silent();
    assert!(
        text.contains("000001.ctrace  ok, ") && text.contains("\nintact: "),
        "{text}"
    );
    let (code, json) = json(sample());
    assert_eq!(
        (code, &json["intact"], &json["segments"][0]["status"]),
        (0, &true.into(), &"ok".into())
    );
    let bytes = fs::read(sample().join("000001.ctrace")).expect("a segment");
    assert_eq!(json["segments"][0]["bytes"], bytes.len());
    let sha256 = json["segments"][0]["sha256"].as_str().expect("a digest");
    assert!(sha256.len() == 64 && text.contains(sha256));
}

#[test]
fn any_flipped_byte_is_found() {
    let mut length = 0;
    changed(|bytes| length = bytes.len());
    for at in (0..length).step_by(length / 60) {
        let case = changed(|bytes| bytes[at] ^= 4);
        let (code, json) = json(case.path());
        // Without a header there is no segment to be asked.
        if !json["segments"].is_null() {
            assert_eq!(
                (&json["intact"], &json["segments"][0]["status"]),
                (&false.into(), &"damaged".into()),
                "byte {at}"
            );
            assert!(
                json["segments"][0]["problems"][0]["offset"].as_u64().expect("a place") <= at as u64,
                "byte {at}"
            );
        }
        assert_eq!(code, 3, "byte {at}");
    }
}

#[test]
fn what_is_missing_and_what_is_unfinished_is_told() {
    let made = folder();
    let mut case = cases::Writing::begin(&made.path().join("case"));
    case.open(b"cat", b"/etc/passwd").gap(17).flush();
    case.abandon();
    let ran = verify(&made.path().join("case")).code(0);
    assert!(
        ran.out.contains("000001.ctrace.open  unfinished, 1 block, 2 events"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("incomplete: 17 syscalls (bulk) between "),
        "{}",
        ran.out
    );
    let whole = changed(|_| ());
    let holes = folder();
    for name in ["000002.ctrace", "000006.ctrace"] {
        fs::copy(whole.path().join("000001.ctrace"), holes.path().join(name)).expect("copies");
    }
    let ran = verify(holes.path()).code(3);
    assert!(
        ran.out.contains("000003.ctrace to 000005.ctrace  missing"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("damaged: ") && ran.err.contains("missing segment"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn a_certificate_and_rules_go_together() {
    for option in ["--certificate", "--rules"] {
        ctrace([
            OsStr::new("verify"),
            sample().as_os_str(),
            OsStr::new(option),
            OsStr::new("x"),
        ])
        .code(2);
    }
}

#[test]
fn a_damaged_state_of_the_host_is_damage_to_those_who_ask_it() {
    let made = folder();
    let path = made.path().join("000001.ctrace");
    let mut bytes = fs::read(sample().join("000001.ctrace")).expect("a segment");
    let opened = Case::open(sample()).expect("opens");
    bytes[opened.blocks().next().expect("a block").offset() as usize - 50] ^= 1;
    fs::write(&path, bytes).expect("writes");
    let rules = crate::run::project("samples/attack/rules.yaml");
    for args in [
        &["read", "-n", "3"][..],
        &["info"],
        &["verify"],
        &["replay", "--rules", rules.to_str().expect("UTF-8"), "--"],
    ] {
        let ran = ctrace(args.iter().map(OsStr::new).chain([path.as_os_str()])).code(3);
        assert!(
            !ran.out.is_empty() && ran.err.contains("snapshot"),
            "{args:?}: {}",
            ran.err
        );
    }
}
