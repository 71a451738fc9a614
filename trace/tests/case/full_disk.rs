//! A disk that fills up: a small tmpfs, which only root can mount.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use ctrace_trace::case::{Case, CaseConfig, OnFull, Rotation, verify};

use crate::events::{config, image, push, writer};

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
        let done = Command::new("umount").arg(self.path()).status();
        assert!(done.is_ok_and(|s| s.success()), "umount {}", self.path().display());
    }
}

/// Says that a test did not run, on stderr and in the file that the test command collects.
#[expect(clippy::disallowed_methods, reason = "the test command names the file")]
fn skip(name: &str, reason: &str) {
    eprintln!("SKIP {name}: {reason}");
    if let Ok(file) = std::env::var("CTRACE_SKIPPED") {
        let mut out = OpenOptions::new().create(true).append(true).open(file).expect("opens");
        writeln!(out, "SKIP {name}: {reason}").expect("writes");
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
    // What was written is whole, also to somebody who reads now.
    let case = Case::open(&disk.path().join("case")).expect("opens");
    assert!(verify(&case).is_intact(), "{:?}", verify(&case).problems);
    assert_eq!(case.totals().events, before.events);
    // Space for the footer is what the block did not get.
    let summary = w.finish();
    let case = Case::open(&disk.path().join("case")).expect("opens");
    assert!(verify(&case).is_intact(), "{:?}", verify(&case).problems);
    match summary {
        Ok(s) => assert_eq!(case.totals().events, s.events),
        Err(e) => assert!(e.is_storage_full(), "{e}"),
    }
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
