//! How fast SQL runs over a case and over its export, and how fast the export is written. Elements are events, of the
//! export too: its other tables have few rows beside them.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::recording::record;
use ctrace_query::export::export;
use ctrace_query::{Options, Session};
use ctrace_trace::case::Case;

/// A run without measurement, as CI does it in the dev profile, needs no more than the shape.
const BLOCKS: usize = if cfg!(debug_assertions) { 2 } else { 40 };

const STATEMENTS: [(&str, &str); 6] = [
    ("count", "SELECT count(*) FROM events"),
    (
        "top processes",
        "SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name ORDER BY n DESC LIMIT 10",
    ),
    (
        "failed opens",
        "SELECT fs_path_name, count(*) AS n FROM events WHERE evt_type = 'openat' AND evt_rawres < 0
         GROUP BY fs_path_name ORDER BY n DESC LIMIT 10",
    ),
    (
        "time window",
        "SELECT evt_type, count(*) FROM events
         WHERE ts BETWEEN (SELECT min(ts) FROM events) + interval '1' second
                      AND (SELECT min(ts) FROM events) + interval '3' second
         GROUP BY evt_type",
    ),
    (
        "path",
        "SELECT seq, proc_name, fd_name FROM events WHERE fd_name LIKE '/etc/%shadow%'",
    ),
    (
        "distinct paths",
        "SELECT proc_name, count(DISTINCT fd_name) FROM events GROUP BY proc_name",
    ),
];

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("case");
    let case = record(&path, BLOCKS << 16);
    let events: u64 = case.blocks().map(|b| u64::from(b.head().events)).sum();
    let options = Options {
        threads: 4,
        ..Options::default()
    };
    let session = Session::case(case, &options).expect("a session");
    let exported = dir.path().join("export");
    export(&session, &exported, &|_, _| ()).expect("the export");
    let folder = Session::folder(&exported, &options).expect("a session");
    let mut group = c.benchmark_group("query");
    group.sample_size(10);
    group.throughput(Throughput::Elements(events));
    for (name, sql) in STATEMENTS {
        for (over, session) in [("case", &session), ("export", &folder)] {
            group.bench_with_input(BenchmarkId::new(name, over), sql, |b, sql| {
                b.iter(|| black_box(session.batches(sql).expect("a result")));
            });
        }
    }
    group.bench_function("export", |b| {
        b.iter(|| {
            let session = Session::case(Case::open(&path).expect("opens"), &options).expect("a session");
            let target = tempfile::tempdir_in(dir.path()).expect("a temporary folder");
            export(&session, target.path(), &|_, _| ()).expect("the export")
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
