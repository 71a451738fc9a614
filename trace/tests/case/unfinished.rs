//! Writers that are killed, and real blocks that are damaged.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ctrace_trace::block::Need;
use ctrace_trace::case::{Case, verify};
use ctrace_trace::segment::{BlockReader, ProblemKind};

use crate::events::{config, image, push, writer};

/// Set in the process that is to be killed: the folder of its case.
const VICTIM: &str = "CTRACE_TEST_VICTIM";

/// The body of the process that is killed; nothing when it runs as a test.
#[expect(
    clippy::disallowed_methods,
    reason = "tells the process that is killed from the test that kills it"
)]
#[test]
fn victim() {
    let Ok(dir) = std::env::var(VICTIM) else { return };
    let mut w = writer(Path::new(&dir), config()).expect("creates");
    let image = image(1, None);
    for n in 0.. {
        push(&mut w, &image, n, 1_000_000).expect("pushes");
        if n == 5000 {
            println!("under way");
        }
    }
}

#[test]
fn a_killed_writer_leaves_whole_blocks() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut child = Command::new(std::env::current_exe().expect("is known"))
        .args(["--exact", "unfinished::victim", "--nocapture"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut out = child.stdout.take().expect("is piped");
    let (mut seen, mut buffer) = (Vec::new(), [0; 256]);
    while !seen.windows(9).any(|w| w == b"under way") {
        let n = out.read(&mut buffer).expect("reads");
        assert!(n > 0, "the writer ended by itself: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..n]);
    }
    child.kill().expect("is killed");
    child.wait().expect("is gone");

    let case = Case::open(dir.path()).expect("opens");
    let segment = &case.segments()[0];
    assert!(segment.is_open() && segment.footer().is_none());
    assert_eq!(case.problems().len(), 1, "{:?}", case.problems());
    assert!(matches!(
        case.problems()[0].kind,
        ProblemKind::Unfinished | ProblemKind::TornTail
    ));
    assert!(case.totals().events >= 5000);
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        reader.read(block, Need::ALL).expect("decodes");
    }
}

/// Real blocks with damage behind every checksum: the decoder sees it and must neither panic nor run away.
#[test]
fn damaged_blocks_are_reported_and_the_others_read() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let image = image(1, None);
    for n in 0..60 {
        push(&mut w, &image, n, 50_000_000).expect("pushes");
    }
    w.finish().expect("finishes");
    let file = dir.path().join("000001.ctrace");
    let bytes = fs::read(&file).expect("reads");
    let whole = Case::open(&file).expect("opens");
    let blocks = whole.blocks().count();
    assert_eq!(blocks, 3);
    let first = whole.blocks().next().expect("is there").offset() as usize;
    let mut reader = BlockReader::new();
    for at in first..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        fs::write(&file, &damaged).expect("writes");
        let case = Case::open(&file).expect("opens");
        let read = case.blocks().filter(|b| reader.read(b, Need::ALL).is_ok()).count();
        let noticed = !case.problems().is_empty() || read < blocks;
        assert!(read + 1 >= blocks, "byte {at} cost {} blocks", blocks - read);
        if at % 7 == 0 {
            assert!(!verify(&case).is_intact(), "byte {at} is not noticed");
        }
        let in_footer = case.segments()[0].footer().is_none();
        assert!(
            noticed || in_footer || at as u64 >= bytes.len() as u64 - 16,
            "byte {at} read as if nothing were"
        );
    }
}
