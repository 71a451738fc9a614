//! `ctrace verify CASE`: every byte of a case.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use ctrace_trace::artifact::{Artifact, ArtifactKind, copy_name};
use ctrace_trace::case::Case;
use serde_json::Value;

use crate::cases::{self, changed, sample};
use crate::run::{CTRACE, Ran, ctrace, folder, run};

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

/// `ctrace` as a user who may read nothing but what modes allow: as root it is run without the rights that pass over them.
fn as_user(args: &[&OsStr]) -> Option<Ran> {
    if !is_root_here() {
        return Some(ctrace(args.iter().copied()));
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return None;
    }
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg("--inh-caps=-all");
    command.arg(CTRACE).args(args);
    Some(run(command))
}

fn is_root_here() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

/// A case of which a program's copy was collected, and where the copy is.
fn collected(folder: &Path) -> PathBuf {
    let digest = ctrace_trace::artifact::digest([b'a'; 64].as_slice());
    let told = Artifact {
        kind: ArtifactKind::Executable,
        path: b"/tmp/.x".to_vec(),
        sha256: digest,
        copy: digest,
        ..Artifact::default()
    };
    let mut case = cases::Writing::begin(folder);
    case.open(b"cat", b"/etc/passwd").artifact(&told);
    case.finish();
    folder.join(copy_name(&digest.expect("a digest")))
}

#[test]
fn what_may_not_be_read_is_neither_damaged_nor_missing() {
    let made = folder();
    let case = made.path().join("case");
    let copy = collected(&case);
    let artifacts = case.join("artifacts");
    fs::create_dir_all(copy.parent().expect("a folder")).expect("made");
    fs::write(&copy, "").expect("written");
    let may = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let group = copy.parent().expect("a folder").to_owned();
    for (closed, named) in [(&artifacts, "artifacts/sha256"), (&group, "artifacts/sha256/aa")] {
        may(closed, 0o000);
        let ask = |command: &str, more: &[&str]| {
            let args: Vec<&OsStr> = [OsStr::new(command), case.as_os_str()]
                .into_iter()
                .chain(more.iter().map(OsStr::new))
                .collect();
            as_user(&args)
        };
        let Some(ran) = ask("verify", &[]) else {
            may(closed, 0o755);
            return ctrace_skip::skip("what_may_not_be_read", "setpriv is not installed");
        };
        let ran = ran.code(4);
        assert!(ran.out.contains(&format!("{named}  not readable\n")), "{}", ran.out);
        assert!(
            ran.out.contains("\nnot all may be read: nothing wrong in "),
            "{}",
            ran.out
        );
        for word in ["damaged", "missing", "intact"] {
            assert!(!ran.out.contains(word) && !ran.err.contains(word), "{word}: {ran:?}");
        }
        assert!(
            ran.err
                .contains(&format!("{named}: may not be read: Permission denied"))
                && ran.err.contains("ask as root"),
            "{}",
            ran.err
        );
        let told = ask("verify", &["--json"]).expect("as before").code(4).object();
        assert_eq!(told["intact"], false);
        let info = ask("info", &[]).expect("as before").code(4);
        assert!(
            info.out.contains(", copies that may not be read\n") && info.err.contains("Permission denied"),
            "{info:?}"
        );
        may(closed, 0o755);
    }
    fs::remove_file(&copy).expect("there");
    let ran = verify(&case).code(3);
    let name = format!("artifacts/sha256/aa/{}  missing\n", "a".repeat(64));
    assert!(
        ran.out.contains(&name) && ran.out.contains("\ncopies are missing: "),
        "{}",
        ran.out
    );
    assert!(
        ran.err.contains(": missing copy: ") && !ran.out.contains("damaged"),
        "{ran:?}"
    );
}

#[test]
fn a_segment_that_may_not_be_read_is_not_damaged() {
    let case = changed(|_| ());
    let segment = case.path().join("000001.ctrace");
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o000)).expect("ours");
    let Some(ran) = as_user(&[OsStr::new("verify"), case.path().as_os_str()]) else {
        return ctrace_skip::skip("a_segment_that_may_not_be_read", "setpriv is not installed");
    };
    let told = ran.code(4).nothing();
    assert!(
        told.contains("000001.ctrace: may not be read: Permission denied"),
        "{told}"
    );
}
