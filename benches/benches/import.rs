//! How fast captures and logs of other tools become cases: reading, state, blocks and zstd, written to a folder in
//! memory.

use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::logs::{SAMPLES, Sample};
use ctrace_benches::{captures, shared};
use ctrace_capture::import::{ImportOptions, import};

/// A small capture of one `curl`, so many times over.
const SAMPLE: &str = "data/scap/libs_curl_google.scap";
const TIMES: u64 = 600;

/// So many bytes of each log are imported; for a first look fewer.
const LOG_BYTES: usize = 100 << 20;
const QUICK_BYTES: usize = 16 << 20;

fn bench(c: &mut Criterion) {
    scap(c);
    let is_quick = std::env::args().any(|a| a == "--quick" || a == "--test");
    for sample in SAMPLES {
        log(c, sample, if is_quick { QUICK_BYTES } else { LOG_BYTES });
    }
}

fn log(c: &mut Criterion, sample: &Sample, bytes: usize) {
    let folder = folder();
    let Some(log) = sample.log(bytes, folder.path()) else {
        eprintln!("SKIP {}: the sample is not there", sample.name);
        return;
    };
    let file = folder.path().join("log");
    std::fs::write(&file, &log).expect("written");
    measure(c, sample.name, Throughput::Bytes(log.len() as u64), &file);
}

fn scap(c: &mut Criterion) {
    let Some(sample) = shared::read(SAMPLE) else {
        eprintln!("SKIP import: ../shared/{SAMPLE} is not there");
        return;
    };
    let folder = folder();
    let (capture, events) = captures::multiply(&sample, TIMES);
    let file = folder.path().join("capture.scap");
    std::fs::write(&file, &capture).expect("written");
    println!("{events} events of the capture, {} MB", capture.len() / 1_000_000);
    measure(c, "scap", Throughput::Elements(events), &file);
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder")
}

/// Imports a file; cases go beside it.
fn measure(c: &mut Criterion, name: &str, throughput: Throughput, file: &Path) {
    let beside = file.parent().expect("a file has a folder");
    let mut group = c.benchmark_group("import");
    group.sample_size(10);
    group.throughput(throughput);
    group.bench_function(name, |b| {
        let output = || tempfile::tempdir_in(beside).expect("a folder");
        b.iter_batched(output, |output| run(file, output.path()), BatchSize::PerIteration);
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
