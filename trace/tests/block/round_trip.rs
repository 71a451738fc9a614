//! What goes in comes out.

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockBuilder, BlockHead, Compressor, Decoder, Need, verify};
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::schema::Schema;

use crate::compare::assert_same;
use crate::random::{Chance, World, block, events, schema};

#[test]
fn random_events_come_back() {
    let mut decoder = Decoder::new();
    let mut out = Decoded::default();
    for (seed, types, n) in [
        (1, 1, 1),
        (2, 12, 60),
        (3, 40, 3_000),
        (4, 300, 20_000),
        (5, 300, 500),
        (6, 2, 65_536),
    ] {
        let chance = &mut Chance(seed);
        let (schema, world) = (schema(types, chance), World::new(chance));
        let events = events(n, &schema, &world, chance);
        let block = block(&schema, &events);
        verify(&block.head, &block.body).unwrap();
        decoder
            .decode(&block.head, &block.body, &schema, Need::ALL, &mut out)
            .unwrap();
        assert_same(&out, &events, 17);
    }
}

#[test]
fn more_than_256_types_in_one_block() {
    let chance = &mut Chance(9);
    let (schema, world) = (schema(300, chance), World::new(chance));
    let events = events(20_000, &schema, &world, chance);
    let block = block(&schema, &events);
    assert!(block.head.kinds.len() > 256);
    let mut out = Decoded::default();
    Decoder::new()
        .decode(&block.head, &block.body, &schema, Need::ALL, &mut out)
        .unwrap();
    assert_same(&out, &events, 17);
}

#[test]
fn a_block_without_events() {
    let schema = Schema::current();
    let block = block(&schema, &[]);
    assert_eq!(block.head.events, 0);
    assert!(block.body.is_empty());
    verify(&block.head, &block.body).unwrap();
    let mut out = Decoded::default();
    Decoder::new()
        .decode(&block.head, &block.body, &schema, Need::ALL, &mut out)
        .unwrap();
    assert_same(&out, &[], 17);
}

#[test]
fn the_head_says_what_is_in_the_block() {
    let chance = &mut Chance(11);
    let (schema, world) = (schema(20, chance), World::new(chance));
    let events = events(1_000, &schema, &world, chance);
    let block = block(&schema, &events);
    let head = BlockHead::decode(&block.head_bytes).unwrap();
    assert_eq!(head, block.head);
    assert_eq!(BlockHead::hash(&block.head_bytes), block.hash);
    assert_eq!((head.first_seq, head.prev, head.events), (17, [3; 32], 1_000));
    assert_eq!(head.min_ts, events.iter().map(|e| e.ts).min().unwrap());
    assert_eq!(head.max_ts, events.iter().map(|e| e.ts).max().unwrap());
    assert!(!head.ts_sorted);
    for kind in &head.kinds {
        assert_eq!(
            kind.events as usize,
            events.iter().filter(|e| e.kind == kind.id).count()
        );
        assert!(head.has_kind(kind.id));
    }
    let ids = head.container_ids.unwrap();
    let acted = events.iter().filter_map(|e| e.image.as_ref()?.container.as_ref());
    assert!(acted.clone().count() > 0);
    acted.for_each(|c| assert!(ids.iter().any(|id| id == c.short_id())));
    assert!(head.outside_containers);
}

#[test]
fn a_builder_codes_the_same_block_again() {
    let chance = &mut Chance(12);
    let (schema, world) = (schema(20, chance), World::new(chance));
    let (one, two) = (
        events(700, &schema, &world, chance),
        events(300, &schema, &world, chance),
    );
    let mut builder = BlockBuilder::new(schema.clone());
    let mut zstd = Compressor::default();
    let mut code = |events: &[crate::random::OwnedEvent]| {
        events.iter().for_each(|e| e.push_to(&mut builder));
        assert_eq!(builder.len(), events.len());
        let block = builder.finish(17, [3; 32], &mut zstd).unwrap();
        assert!(builder.is_empty() && builder.time_range().is_none());
        block
    };
    let first = code(&one);
    code(&two);
    assert_eq!(code(&one), first);
    assert_eq!(block(&schema, &one), first);
}

#[test]
fn few_events_cost_few_bytes() {
    let schema = Schema::current();
    let mut builder = BlockBuilder::new(schema.clone());
    for i in 0..50 {
        let raw = format!(
            r#"{{"Type":"container","Action":"start","id":"{:012x}","timeNano":{i}}}"#,
            i * 7919
        );
        let text = [
            Arg::Str(b"container"),
            Arg::Str(b"start"),
            Arg::Str(b"4711"),
            Arg::Str(b"web"),
            Arg::None,
        ];
        let mut args = text.to_vec();
        args.extend([Arg::Num(0), Arg::Str(raw.as_bytes())]);
        let event = Event {
            ts: 1_750_000_000_000_000_000 + i * 1_000_000_007,
            kind: EventType::DOCKER,
            cpu: 0,
            tid: 0,
            image: None,
            ret: None,
            latency: None,
            fd_num: None,
            fd: None,
            args: &args,
            data: &[],
        };
        builder.push(&event).unwrap();
    }
    let block = builder.finish(0, [0; 32], &mut Compressor::default()).unwrap();
    assert!(block.head.frames.len() <= 2, "{:?}", block.head.frames);
    assert!(block.head_bytes.len() < 160, "{}", block.head_bytes.len());
    assert!(block.body.len() < 900, "{}", block.body.len());
    let mut out = Decoded::default();
    let need = Need::KIND | Need::ARGS_HOT;
    Decoder::new()
        .decode(&block.head, &block.body, &schema, need, &mut out)
        .unwrap();
    assert_eq!(out.event(49).arg_named("action"), Arg::Str(b"start"));
    assert!(out.ts.is_empty());
}
