//! How fast captures of other tools become cases: reading, state, blocks and zstd, written to a folder in memory.

use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::{captures, shared};
use ctrace_capture::import::{ImportOptions, import};

/// A small capture of one `curl`, so many times over.
const SAMPLE: &str = "data/scap/libs_curl_google.scap";
const TIMES: u64 = 600;

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
    let Some(bytes) = shared::read(sample) else {
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
    let Some(sample) = shared::read(SAMPLE) else {
        eprintln!("SKIP import: ../shared/{SAMPLE} is not there");
        return;
    };
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    let (capture, events) = captures::multiply(&sample, TIMES);
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

criterion_group!(benches, bench);
criterion_main!(benches);
