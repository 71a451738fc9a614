//! Rotation, keeping, continuing.

use std::fs;
use std::path::Path;

use ctrace_trace::case::{Case, CaseConfig, CaseError, CaseWriter, Existing, Keep, Rotation, verify};

use crate::events::{config, image, push, writer};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("lists")
        .map(|e| e.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

fn record(dir: &Path, rotation: Rotation, existing: Existing, events: std::ops::Range<u64>) -> u32 {
    let mut w = writer(
        dir,
        CaseConfig {
            rotation,
            existing,
            ..config()
        },
    )
    .expect("creates");
    let image = image(1, None);
    for n in events {
        push(&mut w, &image, n, 1_000_000).expect("pushes");
    }
    w.finish().expect("finishes").segments
}

#[test]
fn segments_end_by_size() {
    let dir = tempfile::tempdir().expect("tempdir");
    let rotation = Rotation {
        size: Some(100_000),
        ..Rotation::default()
    };
    let segments = record(dir.path(), rotation, Existing::Refuse, 0..20_000);
    assert!(segments > 3, "{segments} segments");
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.segments().len() as u32, segments);
    let all_but_last = &case.segments()[..segments as usize - 1];
    assert!(all_but_last.iter().all(|s| (100_000..200_000).contains(&s.len())));
    assert_eq!(verify(&case).problems, []);
    assert_eq!(case.totals().events, 20_000);
}

#[test]
fn the_newest_segments_are_kept_by_number() {
    let dir = tempfile::tempdir().expect("tempdir");
    let rotation = Rotation {
        every_ns: Some(2_000_000_000),
        keep: Keep::Segments(3),
        ..Rotation::default()
    };
    let segments = record(dir.path(), rotation, Existing::Refuse, 0..20_000);
    let kept: Vec<String> = (segments - 2..=segments).map(|n| format!("{n:06}.ctrace")).collect();
    assert_eq!(names(dir.path()), kept);
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(verify(&case).problems, []);
    let last = case.blocks().last().expect("has blocks").head();
    assert_eq!(last.first_seq + u64::from(last.events), 20_000);
}

#[test]
fn the_newest_segments_are_kept_by_size() {
    let dir = tempfile::tempdir().expect("tempdir");
    let rotation = Rotation {
        keep: Keep::Bytes(400_000),
        ..Rotation::default()
    };
    record(dir.path(), rotation, Existing::Refuse, 0..40_000);
    let sizes: u64 = names(dir.path())
        .iter()
        .map(|n| fs::metadata(dir.path().join(n)).expect("stat").len())
        .sum();
    assert!((200_000..=400_000).contains(&sizes), "{sizes} bytes kept");
    assert_eq!(verify(&Case::open(dir.path()).expect("opens")).problems, []);
}

#[test]
fn a_folder_that_is_not_empty_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    fs::write(dir.path().join("notes.txt"), "mine").expect("writes");
    assert!(matches!(writer(dir.path(), config()), Err(CaseError::Exists(_))));
    assert_eq!(names(dir.path()), ["notes.txt"]);
}

#[test]
fn a_case_that_is_being_written_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let first = writer(dir.path(), config()).expect("creates");
    let again = writer(
        dir.path(),
        CaseConfig {
            existing: Existing::Continue,
            ..config()
        },
    );
    assert!(matches!(again, Err(CaseError::InUse(_))), "{again:?}");
    drop(first);
    writer(
        dir.path(),
        CaseConfig {
            existing: Existing::Continue,
            ..config()
        },
    )
    .expect("is free now");
}

#[test]
fn a_continued_case_goes_on_with_numbers_and_chains() {
    let dir = tempfile::tempdir().expect("tempdir");
    record(dir.path(), Rotation::default(), Existing::Refuse, 0..3000);
    // A writer that was killed leaves an unfinished segment.
    let mut killed = writer(
        dir.path(),
        CaseConfig {
            existing: Existing::Continue,
            ..config()
        },
    )
    .expect("continues");
    let image = image(1, None);
    for n in 3000..4000 {
        push(&mut killed, &image, n, 1_000_000).expect("pushes");
    }
    killed.flush().expect("flushes");
    drop(killed);
    record(dir.path(), Rotation::default(), Existing::Continue, 4000..5000);

    assert_eq!(
        names(dir.path()),
        ["000001.ctrace", "000002.ctrace.open", "000003.ctrace"]
    );
    let case = Case::open(dir.path()).expect("opens");
    let mut due = 0;
    for block in case.blocks() {
        assert_eq!(block.head().first_seq, due);
        due += u64::from(block.head().events);
    }
    assert_eq!(due, 5000);
    let found = verify(&case);
    assert!(found.is_intact(), "{:?}", found.problems);
    // Whoever touches the unfinished segment afterwards is found out.
    let unfinished = dir.path().join("000002.ctrace.open");
    let mut bytes = fs::read(&unfinished).expect("reads");
    bytes.pop();
    fs::write(&unfinished, bytes).expect("writes");
    let found = verify(&Case::open(dir.path()).expect("opens"));
    let broken = found
        .problems
        .iter()
        .filter(|p| p.kind == ctrace_trace::segment::ProblemKind::ChainBroken);
    assert_eq!(broken.count(), 1, "{:?}", found.problems);
}

#[test]
fn a_segment_that_is_removed_while_it_is_written_is_told_of_in_the_next() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("case");
    let mut w = writer(&path, config()).expect("creates");
    let image = image(1, None);
    let mut n = 0;
    let mut some = |w: &mut CaseWriter| {
        for _ in 0..10 {
            push(w, &image, n, 1_000_000).expect("pushes");
            n += 1;
        }
        w.flush()
    };
    some(&mut w).expect("writes");
    fs::remove_file(path.join("000001.ctrace.open")).expect("removes");
    let error = some(&mut w).expect_err("the file is gone");
    assert!(matches!(error, CaseError::Removed { lost: 10, .. }), "{error}");
    fs::remove_dir_all(&path).expect("removes");
    // The loss that was told in it is told again.
    let error = some(&mut w).expect_err("the folder is gone");
    assert!(matches!(error, CaseError::Removed { lost: 10, .. }), "{error}");
    some(&mut w).expect("writes");
    assert!(matches!(
        writer(
            &path,
            CaseConfig {
                existing: Existing::Continue,
                ..config()
            }
        ),
        Err(CaseError::InUse(_))
    ));
    let summary = w.finish().expect("finishes");
    assert_eq!((summary.events, summary.lost), (21, 20));
    assert_eq!(names(&path), ["000003.ctrace"]);
    let case = Case::open(&path).expect("opens");
    let (losses, problems) = case.losses();
    assert_eq!(
        (losses.len(), losses[0].count, problems.len()),
        (1, 20, 0),
        "{losses:?}"
    );
    assert!(losses[0].reason.contains("removed"));
}

#[test]
fn what_is_missing_is_told_also_where_every_block_is_full() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(
        dir.path(),
        CaseConfig {
            block_span_ns: None,
            ..config()
        },
    )
    .expect("creates");
    let image = image(1, None);
    let mut n = 0;
    let mut block = |w: &mut CaseWriter| loop {
        n += 1;
        let blocks = w.summary().blocks;
        let pushed = push(w, &image, n, 1000);
        if w.summary().blocks > blocks {
            break pushed;
        }
    };
    block(&mut w).expect("writes");
    fs::remove_file(dir.path().join("000001.ctrace.open")).expect("removes");
    block(&mut w).expect_err("the file is gone");
    block(&mut w).expect("writes");
    let lost = w.summary().lost;
    w.finish().expect("finishes");
    let (losses, _) = Case::open(dir.path()).expect("opens").losses();
    assert_eq!((losses.len(), losses[0].count), (1, lost), "{losses:?}");
    assert!(lost >= 65_000, "{lost}");
}

#[test]
fn a_block_spans_less_than_is_asked_for_in_whatever_order_its_events_come() {
    let dir = tempfile::tempdir().expect("tempdir");
    let most = config().block_span_ns.expect("a bound");
    let mut w = writer(dir.path(), config()).expect("creates");
    let image = image(1, None);
    // In thousandths of the bound, and how many blocks were ended by then.
    for (at, blocks) in [
        (500, 0),
        (600, 0),
        (400, 0),
        (1399, 0),
        (1400, 1),
        (1300, 1),
        (2299, 1),
        (2300, 2),
        (1301, 2),
        (1300, 3),
    ] {
        push(&mut w, &image, at, most / 1000).expect("pushes");
        assert_eq!(w.summary().blocks, blocks, "{at}");
    }
    assert_eq!(w.finish().expect("finishes").events, 10);
}

#[test]
fn a_case_that_is_moved_is_gone_on_with_where_it_is() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let rotation = Rotation {
        every_ns: Some(2_000_000_000),
        keep: Keep::Segments(3),
        ..Rotation::default()
    };
    let mut w = writer(&from, CaseConfig { rotation, ..config() }).expect("creates");
    let image = image(1, None);
    for n in 0..10_000 {
        if n == 3_000 {
            fs::rename(&from, &to).expect("moves");
        }
        push(&mut w, &image, n, 1_000_000).expect("pushes");
    }
    assert_eq!(w.finish().expect("finishes").lost, 0);
    assert!(!from.exists());
    let case = Case::open(&to).expect("opens");
    assert_eq!((case.segments().len(), verify(&case).problems), (3, Vec::new()));
    assert_eq!(names(&to).len(), 3);
}
