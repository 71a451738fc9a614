//! What goes in comes out; the digests are those of the system's own tool.

use std::process::Command;

use ctrace_trace::block::{Decoder, Need};
use ctrace_trace::case::{Case, Rotation, verify};
use ctrace_trace::event::{Arg, EventType};
use ctrace_trace::segment::{BlockReader, Hex};

use crate::events::{OPENAT, START, config, image, path, push, push_other, writer};

#[test]
fn events_come_out_as_they_went_in() {
    const EVENTS: u64 = 150_000;
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let image = image(1, None);
    for n in 0..EVENTS {
        assert_eq!(push(&mut w, &image, n, 1000).expect("pushes"), n);
    }
    let summary = w.finish().expect("finishes");
    assert_eq!((summary.events, summary.blocks, summary.segments), (EVENTS, 3, 1));
    let file = dir.path().join("000001.ctrace");
    assert_eq!(summary.bytes, std::fs::metadata(&file).expect("is there").len());

    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.problems(), []);
    let mut reader = BlockReader::new();
    let mut n = 0;
    for block in case.blocks() {
        let decoded = reader.read(block, Need::ALL).expect("decodes");
        for event in decoded.events() {
            assert_eq!(
                (event.seq(), event.ts(), event.kind()),
                (n, START + n * 1000, Some(OPENAT))
            );
            let expected = path(n);
            let Arg::Path { resolved, .. } = event.arg_named("name") else {
                panic!("event {n} has no path")
            };
            assert_eq!(resolved, expected.as_bytes());
            assert_eq!(event.image().map(|i| i.str(i.entry.name)), Some(b"proc1".as_slice()));
            n += 1;
        }
    }
    assert_eq!(n, EVENTS);
    let found = verify(&case);
    assert_eq!(found.problems, []);
    assert_eq!(found.totals.by_type.get(&OPENAT), Some(&EVENTS));
    assert_eq!(found.totals.ts, Some((START, START + (EVENTS - 1) * 1000)));
}

#[test]
fn a_block_ends_after_a_second() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let image = image(1, None);
    for n in 0..100 {
        push(&mut w, &image, n, 100_000_000).expect("pushes");
    }
    let summary = w.finish().expect("finishes");
    assert_eq!(summary.blocks, 10);
    let case = Case::open(dir.path()).expect("opens");
    assert!(case.blocks().all(|b| b.head().max_ts - b.head().min_ts < 1_000_000_000));
}

#[test]
fn losses_reach_footer_and_verification() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    for (n, count) in [(0, 5), (1, 37)] {
        let args = [
            ("source", Arg::Str(b"syscall".as_slice())),
            ("class", Arg::Num(2)),
            ("count", Arg::Num(count)),
            ("cpu", Arg::Num(-1)),
            ("from", Arg::Num(10 + n)),
            ("to", Arg::Num(20 + n)),
        ];
        push_other(&mut w, EventType::GAP, START + n as u64, None, &args).expect("pushes");
    }
    w.finish().expect("finishes");
    let case = Case::open(dir.path()).expect("opens");
    let key = ("syscall".to_owned(), 2);
    assert_eq!(
        case.segments()[0]
            .footer()
            .and_then(|f| f.totals.lost.get(&key).copied()),
        Some(42)
    );
    let found = verify(&case);
    assert_eq!(found.problems, []);
    assert_eq!(
        found
            .losses
            .iter()
            .map(|l| (l.seq, l.count, l.from_ts))
            .collect::<Vec<_>>(),
        [(0, 5, 10), (1, 37, 11)]
    );
}

#[test]
fn each_header_names_the_sha256sum_of_the_file_before() {
    let dir = tempfile::tempdir().expect("tempdir");
    let rotation = Rotation {
        every_ns: Some(3_000_000_000),
        ..Rotation::default()
    };
    let mut w = writer(dir.path(), ctrace_trace::case::CaseConfig { rotation, ..config() }).expect("creates");
    let image = image(1, None);
    for n in 0..150 {
        push(&mut w, &image, n, 100_000_000).expect("pushes");
    }
    w.finish().expect("finishes");
    let case = Case::open(dir.path()).expect("opens");
    assert!(case.segments().len() >= 4, "{} segments", case.segments().len());
    for pair in case.segments().windows(2) {
        let out = Command::new("sha256sum")
            .arg(pair[0].path())
            .output()
            .expect("sha256sum runs");
        let printed = String::from_utf8(out.stdout).expect("is text");
        let previous = pair[1].header().about.previous.clone().expect("names the one before");
        assert_eq!(
            printed.split(' ').next(),
            Some(Hex(&previous.sha256).to_string().as_str())
        );
        assert_eq!(previous.segment, pair[0].number());
    }
    let pids: Vec<u32> = case
        .segments()
        .iter()
        .map(|s| s.snapshot().expect("reads").expect("is there").processes[0].pid)
        .collect();
    assert_eq!(
        pids,
        (1..=case.segments().len() as u32).collect::<Vec<_>>(),
        "each segment has a snapshot of its own"
    );
    assert_eq!(verify(&case).problems, []);
}

/// A reader with the bytes of another block in its memory must not mix them in, whatever it asks for.
#[test]
fn parts_of_blocks_read_as_the_whole_does() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let images = [image(1, None), image(2, None)];
    for n in 0..140_000 {
        push(&mut w, &images[n as usize % 2], n, 1000).expect("pushes");
    }
    w.finish().expect("finishes");
    let case = Case::open(dir.path()).expect("opens");
    let mut reader = BlockReader::new();
    let mut decoder = Decoder::new();
    for need in [
        Need::TS,
        Need::KIND,
        Need::IMAGES,
        Need::CONTEXT | Need::CPU,
        Need::KIND | Need::ARGS,
        Need::ALL,
    ] {
        for block in case.blocks() {
            let whole = block.decode(&mut decoder, need).expect("decodes");
            let parts = reader.read(block, need).expect("decodes");
            assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
        }
    }
}
