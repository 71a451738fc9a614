//! How fast blocks become columns: everything, and what rules need.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::blocks::encode;
use ctrace_benches::workload;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{Decoder, Need, verify};

const NEEDS: [(&str, Need); 4] = [
    ("all", Need::ALL),
    (
        "rules",
        Need(Need::KIND.0 | Need::CONTEXT.0 | Need::IMAGES.0 | Need::FD_HOT.0 | Need::ARGS_HOT.0),
    ),
    ("time and type", Need(Need::KIND.0 | Need::TS.0)),
    ("processes", Need(Need::CONTEXT.0 | Need::IMAGES.0)),
];

fn bench(c: &mut Criterion) {
    let recorded = workload::mixed(10 << 16);
    let args = recorded.args();
    let blocks = encode(&recorded.schema, &recorded.events(&args));
    let mut group = c.benchmark_group("decode");
    group.sample_size(20);
    group.throughput(Throughput::Elements(
        blocks.iter().map(|b| u64::from(b.head.events)).sum(),
    ));
    for (name, need) in NEEDS {
        group.bench_with_input(BenchmarkId::new("columns", name), &need, |b, need| {
            let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
            b.iter(|| {
                for block in &blocks {
                    let read = decoder.decode(&block.head, &block.body, &recorded.schema, *need, &mut out);
                    read.expect("a block decodes");
                    black_box(&out);
                }
            });
        });
    }
    group.bench_function("verify", |b| {
        b.iter(|| {
            blocks
                .iter()
                .for_each(|block| verify(&block.head, &block.body).expect("a block verifies"))
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
