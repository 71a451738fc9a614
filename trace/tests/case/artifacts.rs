//! Executed files and their copies: what events say is found again, and what is wrong with copies is named.

use std::fs;
use std::path::Path;

use ctrace_trace::artifact::{Artifact, ArtifactKind, copy_name};
use ctrace_trace::case::{Case, verify};
use ctrace_trace::segment::ProblemKind;

use crate::events::{START, config, image, writer};

/// SHA-256 of `first` and of `second`, as `sha256sum` prints them.
const FIRST: &str = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
const SECOND: &str = "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4";

fn artifact(path: &str, sha256: &str) -> Artifact {
    let sha256 = ctrace_trace::artifact::digest(sha256.as_bytes());
    Artifact {
        kind: ArtifactKind::Executable,
        path: path.as_bytes().to_vec(),
        dev: 65024,
        ino: 7,
        ctime: START - 5,
        mtime: START - 6,
        size: Some(6),
        sha256,
        copy: sha256,
        ..Artifact::default()
    }
}

/// A case with two collected files, and one that could not be read.
fn case(dir: &Path) -> Vec<Artifact> {
    let all = vec![
        artifact("/a", FIRST),
        artifact("/b", SECOND),
        Artifact {
            sha256: None,
            copy: None,
            size: None,
            reason: "the process had ended".to_owned(),
            ..artifact("/c", FIRST)
        },
    ];
    let mut w = writer(dir, config()).expect("creates");
    for (n, one) in all.iter().enumerate() {
        // Told again in another segment it is still one.
        for again in 0..2 {
            let ts = START + n as u64 * 10 + again;
            one.with_event(ts, Some(&image(n as u64 + 1, None)), |event| {
                w.push(event).expect("pushes");
            });
        }
    }
    w.finish().expect("finishes");
    for (contents, one) in [("first", &all[0]), ("second", &all[1])] {
        let path = dir.join(copy_name(&one.copy.expect("copied")));
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, contents).expect("written");
    }
    all
}

#[test]
fn what_was_executed_is_read_back_and_copies_are_whole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let all = case(dir.path());
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.artifacts().all, all);
    let (executed, problems) = case.executed();
    assert_eq!((executed.len(), problems), (6, Vec::new()));
    assert_eq!((executed[0].pid, &executed[0].artifact), (4001, &all[0]));
    let found = verify(&case);
    assert_eq!(found.problems, []);
    assert_eq!((found.copies.count, found.copies.bytes), (2, 11));
    assert_eq!((case.copies().count, case.copies().bytes), (2, 11));
    // One segment knows the folder that it lies in.
    let one = Case::open(&dir.path().join("000001.ctrace")).expect("opens");
    assert_eq!(one.copies().count, 2);
}

/// What is wrong, what makes it so, and as what it is told.
type Damage = (&'static str, fn(&Path), ProblemKind);

#[test]
fn copies_that_are_missing_changed_or_something_else_are_named() {
    let damage: [Damage; 4] = [
        (
            "missing",
            |copy| fs::remove_file(copy).expect("there"),
            ProblemKind::MissingCopy,
        ),
        (
            "changed",
            |copy| fs::write(copy, "First").expect("there"),
            ProblemKind::Corrupt,
        ),
        (
            "a link",
            |copy| {
                fs::rename(copy, copy.with_extension("real")).expect("there");
                std::os::unix::fs::symlink(copy.with_extension("real"), copy).expect("a link");
            },
            ProblemKind::Io,
        ),
        (
            "a folder",
            |copy| {
                fs::remove_file(copy).expect("there");
                fs::create_dir(copy).expect("room");
            },
            ProblemKind::Io,
        ),
    ];
    for (what, damage, kind) in damage {
        let dir = tempfile::tempdir().expect("tempdir");
        let all = case(dir.path());
        let copy = dir.path().join(copy_name(&all[0].copy.expect("copied")));
        damage(&copy);
        let found = verify(&Case::open(dir.path()).expect("opens"));
        let problems: Vec<_> = found.problems.iter().map(|p| (p.path.clone(), p.kind)).collect();
        assert_eq!(problems, [(copy, kind)], "{what}: {:?}", found.problems);
        assert!(!found.is_intact());
        assert_eq!(found.copies.count, 1);
    }
}
