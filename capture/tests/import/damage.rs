//! Captures that were cut or changed anywhere: no panic, no memory beyond what is there, and the place is told.

use std::path::PathBuf;

use ctrace_capture::import::End;
use ctrace_trace::case::{Case, verify};

use crate::capture::{Capture, story};
use crate::imported::try_import;
use ctrace_skip::shared;

/// A folder in memory, where there is one: thousands of cases are made durable here.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

/// Imports what may be anything. Where something is not right, what came out must be a whole case with a place in it.
fn survive(bytes: &[u8]) -> Option<End> {
    let folder = memory();
    let (file, output) = (folder.path().join("file"), folder.path().join("case"));
    std::fs::write(&file, bytes).expect("written");
    let outcome = try_import(&[PathBuf::from(&file)], &output).ok()?;
    let case = Case::open(&output).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(verify(&case).problems, []);
    let report = outcome.files.into_iter().next()?;
    if let End::Cut { offset, reason } = &report.end {
        assert!(!reason.is_empty());
        // Offsets are those of what a gzip file decompresses to.
        let plain = !bytes.starts_with(&[0x1f, 0x8b]);
        assert!(!plain || *offset <= bytes.len() as u64, "{offset}");
    }
    assert!(report.bad == 0 || !report.problems.is_empty());
    Some(report.end)
}

#[test]
fn cut_at_every_byte() {
    let whole = story(false, 0x204, 9).bytes;
    let mut events = 0;
    for length in 12..whole.len() {
        let folder = memory();
        let file = folder.path().join("file");
        std::fs::write(&file, &whole[..length]).expect("written");
        let outcome = try_import(&[file], &folder.path().join("case")).unwrap_or_else(|e| panic!("{e}"));
        let report = &outcome.files[0];
        match &report.end {
            End::Whole => {}
            End::Cut { offset, .. } => assert!(*offset < length as u64),
            End::Unread { reason } => panic!("{reason}"),
        }
        assert!(report.events >= events, "what was there before is there still");
        events = report.events;
        assert_eq!(report.bad, 0);
    }
}

#[test]
fn every_byte_changed() {
    for whole in [story(false, 0x204, 9), story(true, 0x217, 4)] {
        for at in 0..whole.bytes.len() {
            for change in [0xff, 0x01] {
                let mut bytes = whole.bytes.clone();
                bytes[at] ^= change;
                survive(&bytes);
            }
        }
    }
}

#[test]
fn gzip_cut_and_changed() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&story(false, 0x216, 9).bytes).expect("compressed");
    let whole = gzip.finish().expect("compressed");
    for at in 10..whole.len() {
        survive(&whole[..at]);
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        survive(&bytes);
    }
    let Some(End::Cut { reason, .. }) = survive(&whole[..whole.len() - 20]) else {
        panic!("cut")
    };
    assert!(reason.contains("gzip"), "{reason}");
}

#[test]
fn real_captures_changed() {
    for name in ["libs_curl_google", "falco_cat_write"] {
        let Some(path) = shared("real_captures_changed", &format!("data/scap/{name}.scap")) else {
            return;
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).expect("opened");
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(file), &mut bytes).expect("gzip");
        for at in (0..bytes.len()).step_by(bytes.len() / 150) {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            survive(&changed);
            survive(&bytes[..at]);
        }
    }
}

/// Lengths that promise much: nothing is set aside for what is not there.
#[test]
fn memory_follows_the_file_and_not_its_promises() {
    for kind in [0x216, 0x215, 0x218, 0x206] {
        let mut c = Capture::new(false);
        c.bytes.extend(u32::to_le_bytes(kind));
        c.bytes.extend(u32::to_le_bytes(255 << 20));
        assert!(matches!(survive(&c.bytes), Some(End::Cut { offset: 28, .. })));
    }
    let mut c = Capture::new(false);
    c.bytes.extend(u32::to_le_bytes(0x216));
    c.bytes.extend(u32::to_le_bytes(u32::MAX));
    assert!(matches!(survive(&c.bytes), Some(End::Cut { offset: 28, .. })));
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("peak");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    // Other tests of this program run beside this one; the promises alone were 255 MiB each.
    assert!(peak < 250 << 10, "{peak} kB");
}

#[test]
fn what_is_no_capture_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    for (bytes, why) in [
        (&b""[..], "file: the file is empty; there is nothing to import"),
        (b"hello\n", "format not known"),
        (b"\x1f\x8b", "the gzip stream is cut"),
        (&[0xff; 100], "format not known"),
    ] {
        std::fs::write(&file, bytes).expect("written");
        let output = folder.path().join("case");
        let error = try_import(std::slice::from_ref(&file), &output).expect_err("no format");
        assert!(error.to_string().contains(why), "{error}");
        assert!(!output.exists(), "nothing is made of it");
    }
}
