//! How fast rules run over a case: the file is read, decompressed, decoded and matched.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::recording::record;
use ctrace_replay::{Engine, LoadOptions, Options, RuleFile, RuleSet, load};

/// A run without measurement, as CI does it in the dev profile, needs no more than the shape.
const BLOCKS: usize = if cfg!(debug_assertions) { 4 } else { 20 };

/// The rules of the bundled sample, and the public ones where the shared test data are there.
fn rules() -> Vec<(&'static str, RuleSet)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("CTRACE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let files = [
        ("sample", root.join("samples/attack/rules.yaml")),
        ("public", shared.join("data/falco/falco_rules.yaml")),
    ];
    files
        .into_iter()
        .filter_map(|(name, path)| {
            let text = std::fs::read_to_string(path).ok()?;
            Some((
                name,
                load(&[RuleFile { name, text: &text }], &LoadOptions::default()).expect("rules load"),
            ))
        })
        .collect()
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let case = record(dir.path(), BLOCKS << 16);
    let events: u64 = case.blocks().map(|b| u64::from(b.head().events)).sum();
    let mut group = c.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(events));
    for (name, rules) in rules() {
        for threads in [1, 4] {
            let options = Options {
                threads,
                ..Options::default()
            };
            group.bench_with_input(BenchmarkId::new(name, threads), &options, |b, options| {
                b.iter(|| {
                    Engine::new(&rules).replay(&case, options, &mut |alert| {
                        black_box(alert);
                    })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
