//! How fast events become blocks, zstd included, and how many bytes they take.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctrace_benches::blocks::{self, encode};
use ctrace_benches::workload;
use ctrace_trace::block::{BlockBuilder, Compressor};

fn bench(c: &mut Criterion) {
    let recorded = workload::mixed(10 << 16);
    let args = recorded.args();
    let events = recorded.events(&args);
    report(&encode(&recorded.schema, &events));

    let mut group = c.benchmark_group("encode");
    group.sample_size(20);
    for block in [1 << 12, 1 << 16] {
        let events = &events[..events.len() / block * block];
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_with_input(BenchmarkId::new("events", block), &block, |b, block| {
            let mut builder = BlockBuilder::new(recorded.schema.clone());
            let mut zstd = Compressor::default();
            b.iter(|| {
                for chunk in events.chunks(*block) {
                    for event in chunk {
                        builder.push(event).expect("the workload fits its schema");
                    }
                    black_box(builder.finish(0, [0; 32], &mut zstd).expect("a block encodes"));
                }
            });
        });
    }
    group.finish();
}

fn report(blocks: &[ctrace_trace::block::EncodedBlock]) {
    let events: u64 = blocks.iter().map(|b| u64::from(b.head.events)).sum();
    let per_event = |bytes: u64| bytes as f64 / events as f64;
    let mut frames: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
    for f in blocks.iter().flat_map(|b| &b.head.frames) {
        let sum = frames.entry(f.id).or_default();
        sum.0 += u64::from(f.packed_len);
        sum.1 += u64::from(f.raw_len);
    }
    let heads: u64 = blocks.iter().map(|b| b.head_bytes.len() as u64).sum();
    let bodies: u64 = blocks.iter().map(|b| b.body.len() as u64).sum();
    println!(
        "{events} events: {:.3} B/event, of which heads {:.3}",
        per_event(heads + bodies),
        per_event(heads)
    );
    for (id, (packed, raw)) in frames {
        println!(
            "  {:32} {:.3} of {:.3}",
            blocks::frame_name(id),
            per_event(packed),
            per_event(raw)
        );
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
