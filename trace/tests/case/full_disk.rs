//! A disk that fills up: a small tmpfs, which only root can mount.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ctrace_skip::skip;
use ctrace_trace::case::{Case, CaseConfig, CaseError, CaseWriter, OnFull, Rotation, verify};
use ctrace_trace::event::{Arg, EventType};
use ctrace_trace::process::ProcessImage;

use crate::events::{START, config, image, path, push, push_other, writer};

/// A tmpfs of some bytes, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(bytes: u64) -> Result<Disk, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let size = format!("size={bytes}");
        let out = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .output();
        match out {
            Ok(o) if o.status.success() => Ok(Disk(dir)),
            Ok(o) => Err(String::from_utf8_lossy(&o.stderr).trim().to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a child that another test is just starting may still hold a descriptor of a file on it.
        let done = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(done.is_ok_and(|s| s.success()), "umount {}", self.path().display());
    }
}

#[test]
fn root_a_full_disk_is_reported_and_corrupts_nothing() {
    let disk = match Disk::mount(1 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skip("root_a_full_disk_is_reported_and_corrupts_nothing", &reason),
    };
    let mut w = writer(&disk.path().join("case"), config()).expect("creates");
    let image = image(1, None);
    let mut n = 0;
    let error = loop {
        if let Err(e) = push(&mut w, &image, n, 100_000) {
            break e;
        }
        n += 1;
        assert!(n < 1_000_000, "the disk does not fill up");
    };
    assert!(error.is_storage_full(), "{error}");
    assert_eq!(error.lost_events(), 10_000, "one block of a second");
    let before = w.summary();
    assert_eq!(before.lost, 10_000);
    // What was written is whole and says what is missing, also to somebody who reads now: the writer may be killed.
    let dir = disk.path().join("case");
    let case = Case::open(&dir).expect("opens");
    assert!(verify(&case).is_intact(), "{:?}", verify(&case).problems);
    assert_eq!(case.totals().events, before.events);
    let first = START + before.events.saturating_sub(1) * 100_000;
    assert_eq!(unwritten(&case), [(10_000, first, first + 9_999 * 100_000)]);
    n += 1;
    // The disk stays full: room for the end was reserved.
    let error = loop {
        if let Err(e) = push(&mut w, &image, n, 100_000) {
            break e;
        }
        n += 1;
    };
    assert_eq!(error.lost_events(), 10_000);
    push_other(&mut w, EventType::CAPTURE_STOP, START + n * 100_000, None, &[]).expect("taken");
    let _ = w.flush();
    let error = w.close().err();
    assert!(error.is_none_or(|e| e.is_storage_full()));
    let summary = w.summary();
    let case = Case::open(&dir).expect("opens");
    assert_eq!(verify(&case).problems, []);
    assert!(case.segments()[0].footer().is_some());
    let told = unwritten(&case);
    assert_eq!(told.iter().map(|gap| gap.0).sum::<u64>(), summary.lost, "{told:?}");
    assert_eq!(verify(&case).totals.lost.values().sum::<u64>(), summary.lost);
    assert!(told.windows(2).all(|w| w[0].2 < w[1].1), "{told:?}");
    assert_eq!(
        fs::metadata(case.segments()[0].path())
            .map(|m| m.blocks() * 512 - m.len() < 8192)
            .ok(),
        Some(true)
    );
}

/// The gaps of events that could not be written: how many, from when, to when.
fn unwritten(case: &Case) -> Vec<(u64, u64, u64)> {
    let (losses, problems) = case.losses();
    assert_eq!(problems, []);
    let unwritten = |l: &ctrace_trace::case::Loss| l.source == "case" && l.class == 6 && l.cpu == -1;
    assert!(losses.iter().all(unwritten), "{losses:?}");
    losses.iter().map(|l| (l.count, l.from_ts, l.to_ts)).collect()
}

#[test]
fn root_a_disk_that_stays_full_for_hours_is_told_of_and_one_that_has_room_again_is_used() {
    let name = "root_a_disk_that_stays_full_for_hours_is_told_of_and_one_that_has_room_again_is_used";
    let disk = match Disk::mount(1 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skip(name, &reason),
    };
    let dir = disk.path().join("case");
    let rotation = Rotation {
        size: Some(200_000),
        ..Rotation::default()
    };
    let mut w = writer(&dir, CaseConfig { rotation, ..config() }).expect("creates");
    let image = image(1, None);
    let ballast = disk.path().join("ballast");
    let mut lost = 0;
    for n in 0..20_000_u64 {
        if n == 10 {
            // Somebody else takes what is left.
            let mut file = fs::File::create(&ballast).expect("creates");
            while file.write_all(&[1; 4096]).is_ok() {}
        }
        if n == 19_000 {
            fs::remove_file(&ballast).expect("removes");
        }
        // Two a second, of some size.
        lost += push_large(&mut w, &image, n).err().map_or(0, |e| e.lost_events());
        if n == 18_000 {
            let told = unwritten(&Case::open(&dir).expect("opens"));
            let end = told.last().expect("told").2;
            assert!(told.len() < 30 && end > START + 4000 * 500_000_000, "{told:?}");
        }
    }
    let summary = w.finish().expect("finishes");
    assert!(
        lost > 10_000 && lost == summary.lost && summary.segments > 2,
        "{summary:?}"
    );
    let case = Case::open(&dir).expect("opens");
    assert_eq!(verify(&case).problems, []);
    let told = unwritten(&case);
    assert_eq!(told.iter().map(|gap| gap.0).sum::<u64>(), lost);
    let last = case.blocks().last().expect("has blocks").head();
    assert_eq!(last.first_seq + u64::from(last.events), summary.events);
}

fn push_large(w: &mut CaseWriter, image: &Arc<ProcessImage>, n: u64) -> Result<u64, CaseError> {
    let text: String = (0..200).map(|i| path(n * 200 + i)).collect();
    let args = [("sources", Arg::Str(text.as_bytes()))];
    push_other(w, EventType::CAPTURE_START, START + n * 500_000_000, Some(image), &args)
}

#[test]
fn a_case_stays_within_its_bound_and_stops_there() {
    let dir = tempfile::tempdir().expect("tempdir");
    let max = 400_000;
    let config = CaseConfig {
        max_bytes: Some(max),
        ..config()
    };
    let mut w = writer(dir.path(), config).expect("creates");
    let image = image(1, None);
    let error = (0..1_000_000).find_map(|n| push(&mut w, &image, n, 1_000_000).err());
    let error = error.expect("the bound is met");
    assert!(
        error.is_storage_full() && error.to_string().contains("may have 400000 bytes"),
        "{error}"
    );
    w.finish().expect("what is left fits in what is kept for it");
    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(verify(&case).problems, []);
    let [(1000, ..)] = unwritten(&case)[..] else {
        panic!("{:?}", unwritten(&case))
    };
    let bytes: u64 = case.segments().iter().map(|s| s.len()).sum();
    assert!(bytes <= max && bytes > max / 2, "{bytes}");
    assert!(case.segments().len() > 1);
}

#[test]
fn a_case_stays_within_its_bound_and_drops_the_oldest_where_that_is_allowed() {
    let dir = tempfile::tempdir().expect("tempdir");
    let max = 1 << 20;
    let config = CaseConfig {
        max_bytes: Some(max),
        on_full: OnFull::DropOldest,
        ..config()
    };
    let mut w = writer(dir.path(), config).expect("creates");
    let image = image(1, None);
    for n in 0..100_000 {
        push(&mut w, &image, n, 1_000_000).expect("there is always room");
        if n % 1000 == 0 {
            let held: u64 = fs::read_dir(dir.path())
                .expect("lists")
                .map(|e| e.and_then(|e| e.metadata()).map_or(0, |m| m.len()))
                .sum();
            assert!(held <= max, "{held}");
        }
    }
    let summary = w.finish().expect("finishes");
    assert!(
        summary.deleted > 3 && summary.lost == 0 && summary.kept_bytes > max / 2,
        "{summary:?}"
    );
    assert_eq!(verify(&Case::open(dir.path()).expect("opens")).problems, []);
}

#[test]
fn root_a_full_disk_can_be_relieved_by_dropping_the_oldest() {
    let disk = match Disk::mount(1 << 20) {
        Ok(disk) => disk,
        Err(reason) => return skip("root_a_full_disk_can_be_relieved_by_dropping_the_oldest", &reason),
    };
    let rotation = Rotation {
        size: Some(200_000),
        ..Rotation::default()
    };
    let config = CaseConfig {
        rotation,
        on_full: OnFull::DropOldest,
        ..config()
    };
    let dir = disk.path().join("case");
    let mut w = writer(&dir, config).expect("creates");
    let image = image(1, None);
    for n in 0..200_000 {
        push(&mut w, &image, n, 500_000).expect("there is always room");
    }
    let summary = w.finish().expect("finishes");
    assert!(summary.deleted > 3 && summary.lost == 0, "{summary:?}");
    let case = Case::open(&dir).expect("opens");
    assert_eq!(verify(&case).problems, []);
    assert!(case.segments().len() >= 3);
    assert_eq!(fs::read_dir(&dir).expect("lists").count(), case.segments().len());
    let last = case.blocks().last().expect("has blocks").head();
    assert_eq!(last.first_seq + u64::from(last.events), 200_000);
}
