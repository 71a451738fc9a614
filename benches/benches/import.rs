//! How fast captures of other tools become cases: reading, state, blocks and zstd, written to a folder in memory.

use std::io::Read;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_capture::import::{ImportOptions, import};

/// A small capture of one `curl`, many times over.
const SAMPLE: &str = "data/scap/libs_curl_google.scap";
const TIMES: u64 = 600;
/// Between the copies, so that time goes on.
const STEP_NS: u64 = 10_000_000_000;

fn bench(c: &mut Criterion) {
    scap(c);
    text(c, "audit", "data/audit/audit-scoped.log", "audit(", later_audit);
    text(
        c,
        "docker-events",
        "data/docker/events-cli28.jsonl.gz",
        "\"timeNano\":",
        later_docker,
    );
    text(c, "json-file", "data/docker/json-file.log", "\"time\":", unchanged);
    text(
        c,
        "k8s-audit",
        "data/k8s_audit/create_secret.json",
        "\"stage\":",
        unchanged,
    );
}

/// Text of that many bytes is imported.
const TEXT_BYTES: usize = 100 << 20;

/// A log many times over, with the times of each copy behind those of the one before.
fn text(c: &mut Criterion, name: &str, sample: &str, mark: &str, later: fn(&str, u64) -> String) {
    let Some(bytes) = read(sample) else {
        eprintln!("SKIP {name}: ../shared/{sample} is not there");
        return;
    };
    let text = String::from_utf8_lossy(&bytes);
    let pieces: Vec<&str> = text.split(mark).collect();
    let mut log = String::new();
    let mut copy = 0;
    while log.len() < TEXT_BYTES {
        for (at, piece) in pieces.iter().enumerate() {
            if at > 0 {
                log.push_str(mark);
                log.push_str(&later(piece, copy));
            } else {
                log.push_str(piece);
            }
        }
        copy += 1;
    }
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    let file = folder.path().join("log");
    std::fs::write(&file, &log).expect("written");
    let mut group = c.benchmark_group("import");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function(name, |b| {
        let output = || tempfile::tempdir_in(folder.path()).expect("a folder");
        b.iter_batched(output, |output| run(&file, output.path()), BatchSize::PerIteration);
    });
    group.finish();
}

/// Seconds stand at the beginning.
fn later_audit(piece: &str, copy: u64) -> String {
    match piece.split_once('.') {
        Some((seconds, rest)) => match seconds.parse::<u64>() {
            Ok(seconds) => format!("{}.{rest}", seconds + copy * 60),
            Err(_) => piece.to_owned(),
        },
        None => piece.to_owned(),
    }
}

/// Nanoseconds stand at the beginning.
fn later_docker(piece: &str, copy: u64) -> String {
    match piece.split_once('}') {
        Some((ns, rest)) => match ns.parse::<u64>() {
            Ok(ns) => format!("{}}}{rest}", ns + copy * 3_600_000_000_000),
            Err(_) => piece.to_owned(),
        },
        None => piece.to_owned(),
    }
}

/// Each copy at the same times.
fn unchanged(piece: &str, _: u64) -> String {
    piece.to_owned()
}

fn scap(c: &mut Criterion) {
    let Some(sample) = read(SAMPLE) else {
        eprintln!("SKIP import: ../shared/{SAMPLE} is not there");
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    let (capture, events) = multiply(&sample);
    let file = folder.path().join("capture.scap");
    std::fs::write(&file, &capture).expect("written");
    println!("{events} events of the capture, {} MB", capture.len() / 1_000_000);
    let mut group = c.benchmark_group("import");
    group.sample_size(10);
    group.throughput(Throughput::Elements(events));
    group.bench_function("scap", |b| {
        let output = || tempfile::tempdir_in(folder.path()).expect("a folder");
        b.iter_batched(output, |output| run(&file, output.path()), BatchSize::PerIteration);
    });
    group.finish();
}

fn run(file: &Path, folder: &Path) {
    let options = ImportOptions {
        files: vec![file.to_owned()],
        output: folder.join("case"),
        ..ImportOptions::default()
    };
    let outcome = import(&options, &mut |_| true).expect("imported");
    assert!(outcome.files.iter().all(|f| !f.is_damaged()));
}

/// A sample, decompressed where it is compressed.
fn read(sample: &str) -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("CTRACE_SHARED").map(PathBuf::from);
    let places = ["../shared", "../../shared"].map(|place| root.join(place));
    let path = named
        .into_iter()
        .chain(places)
        .map(|p| p.join(sample))
        .find(|p| p.exists())?;
    let raw = std::fs::read(path).ok()?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Some(raw);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&raw[..])
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// The lists once and the events many times, each time later; and how many events that are.
fn multiply(sample: &[u8]) -> (Vec<u8>, u64) {
    let (mut lists, mut events) = (Vec::new(), Vec::new());
    let mut rest = sample;
    while let Some(head) = rest.get(..8) {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (block, after) = rest.split_at(number(4) as usize);
        rest = after;
        if (0x216..=0x217).contains(&number(0)) || number(0) == 0x204 || number(0) == 0x208 {
            events.push(block);
        } else {
            lists.extend_from_slice(block);
        }
    }
    let mut out = lists;
    for copy in 0..TIMES {
        for block in &events {
            let flags = matches!(block[0], 0x08 | 0x17);
            // Behind type, length, CPU and flags.
            let at = out.len() + 8 + 2 + if flags { 4 } else { 0 };
            out.extend_from_slice(block);
            let ts = u64::from_le_bytes(out[at..at + 8].try_into().expect("eight bytes"));
            out[at..at + 8].copy_from_slice(&(ts + copy * STEP_NS).to_le_bytes());
        }
    }
    (out, TIMES * events.len() as u64)
}

criterion_group!(benches, bench);
criterion_main!(benches);
