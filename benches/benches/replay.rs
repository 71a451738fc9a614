//! How fast rules run over a case: the file is read, decompressed, decoded and matched; what printing adds where a rule
//! raises an alert for every tenth event; and what loading rules costs.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::recording::record;
use ctrace_replay::{Engine, Extras, LoadOptions, Options, RuleFile, RuleSet, Shape, load};
use ctrace_trace::case::Case;

/// Enough that what happens once for each thread, and the last block, do not count: of 64 blocks each of four threads has
/// 16, and waits for the last one as long as 3 % of that. A run without measurement, as CI
/// does it in the dev profile, needs no more than the shape.
const BLOCKS: usize = if cfg!(debug_assertions) { 4 } else { 128 };

/// A rule that shows what the public ones show, about many events.
const MANY: &str = "
- rule: File opened
  desc: What printing costs
  condition: evt.type in (open, openat) and fd.name startswith /
  output: A file was opened | file=%fd.name gparent=%proc.aname[2] ggparent=%proc.aname[3] evt_type=%evt.type user=%user.name user_uid=%user.uid user_loginuid=%user.loginuid process=%proc.name proc_exepath=%proc.exepath parent=%proc.pname command=%proc.cmdline terminal=%proc.tty container_id=%container.id container_name=%container.name
  priority: WARNING
  tags: [maturity_stable, host, container, filesystem, mitre_credential_access, T1555]
";

/// The rules of the bundled sample, and the public ones where the shared test data are there: the stable set, and all
/// three where `falco-incubating_rules.yaml` and `falco-sandbox_rules.yaml` are beside it or in the folder that
/// `CTRACE_RULES` names.
fn rules() -> Vec<(&'static str, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shared = std::env::var_os("CTRACE_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let stable = shared.join("data/falco/falco_rules.yaml");
    let mut sets = vec![
        ("sample", vec![root.join("samples/attack/rules.yaml")]),
        ("public", vec![stable.clone()]),
    ];
    let folder = std::env::var_os("CTRACE_RULES").map_or_else(|| shared.join("data/falco"), PathBuf::from);
    let others = ["falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"].map(|name| folder.join(name));
    sets.push(("all public", [stable].into_iter().chain(others).collect()));
    let read = |paths: Vec<PathBuf>| {
        let texts = paths.iter().map(std::fs::read_to_string);
        texts.collect::<Result<Vec<String>, _>>().ok()
    };
    let sets = sets.into_iter().map(|(name, paths)| Some((name, read(paths)?)));
    sets.flatten().collect()
}

fn loaded(texts: &[String]) -> RuleSet {
    let names: Vec<String> = (0..texts.len()).map(|i| format!("{i}.yaml")).collect();
    let files: Vec<RuleFile<'_>> = names
        .iter()
        .zip(texts)
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    load(&files, &LoadOptions::default()).expect("rules load")
}

/// ctrace's own rules and the public ones that are there: more than a hundred with all three public sets.
fn all_rules() -> Vec<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samples/rules/falco");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(own)
        .expect("the samples are there")
        .map(|entry| entry.expect("the folder is read").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    paths.sort();
    let own = paths.iter().map(|path| std::fs::read_to_string(path).expect("read"));
    let public = rules().pop().filter(|(name, _)| *name != "sample");
    public.into_iter().flat_map(|(_, texts)| texts).chain(own).collect()
}

fn matching(c: &mut Criterion, case: &Case, events: u64) {
    let mut group = c.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(events));
    for (name, texts) in rules() {
        let rules = loaded(&texts);
        for threads in [1, 4] {
            let options = Options {
                threads,
                ..Options::default()
            };
            group.bench_with_input(BenchmarkId::new(name, threads), &options, |b, options| {
                b.iter(|| {
                    Engine::new(&rules).replay(case, options, &mut |alert| {
                        black_box(alert);
                    })
                });
            });
        }
    }
    group.finish();
}

/// Alerts a second: without printing, as text, as JSON.
fn printing(c: &mut Criterion, case: &Case) {
    let rules = loaded(&[MANY.to_owned()]);
    let engine = Engine::new(&rules);
    let alerts = engine.replay(case, &Options::default(), &mut |_| {}).alerts;
    let mut group = c.benchmark_group("alerts");
    group.sample_size(10);
    group.throughput(Throughput::Elements(alerts));
    for threads in [1, 4] {
        let options = Options {
            threads,
            ..Options::default()
        };
        group.bench_with_input(BenchmarkId::new("raised", threads), &options, |b, options| {
            b.iter(|| {
                engine.replay(case, options, &mut |alert| {
                    black_box(alert);
                })
            });
        });
        for (name, shape) in [("text", Shape::Text), ("json", Shape::Json)] {
            group.bench_with_input(BenchmarkId::new(name, threads), &options, |b, options| {
                let mut line = String::new();
                b.iter(|| {
                    engine.printing(shape).replay(case, options, &mut |alert| {
                        line.clear();
                        alert.print(shape, Extras::default(), &mut line);
                        black_box(&line);
                    })
                });
            });
        }
    }
    group.finish();
}

/// Rules loaded a second.
fn loading(c: &mut Criterion) {
    let texts = all_rules();
    let count = loaded(&texts).rules().len();
    let mut group = c.benchmark_group("load");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(BenchmarkId::new("rules", count), |b| {
        b.iter(|| black_box(loaded(&texts)));
    });
    group.finish();
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let case = record(dir.path(), BLOCKS << 16);
    let events: u64 = case.blocks().map(|b| u64::from(b.head().events)).sum();
    matching(c, &case, events);
    printing(c, &case);
    loading(c);
}

criterion_group!(benches, bench);
criterion_main!(benches);
