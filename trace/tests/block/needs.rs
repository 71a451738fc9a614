//! Each column alone is the same as among all columns.

use std::ops::Range;

use ctrace_trace::block::decoded::{ArgColumn, Decoded};
use ctrace_trace::block::{Decoder, Need};

use crate::random::{Chance, World, block, events, schema};

const SINGLE: [Need; 19] = [
    Need::THREAD_KINDS,
    Need::OBJECTS_HOT,
    Need::ARG_COLUMNS_HOT,
    Need::SOCKETS,
    Need::THREADS,
    Need::KIND,
    Need::CONTEXT,
    Need::IMAGES,
    Need::FD_HOT,
    Need::FD_BULK,
    Need::ARGS_HOT,
    Need::ARGS_BULK,
    Need::RET_HOT,
    Need::RET_BULK,
    Need::TS,
    Need::CPU,
    Need::DATA,
    Need::ORIGIN,
    Need::LATENCY,
];

#[test]
fn one_column_is_the_same_as_among_all() {
    let chance = &mut Chance(21);
    let (schema, world) = (schema(40, chance), World::new(chance));
    let block = block(&schema, &events(4_000, &schema, &world, chance));
    let hot = block
        .head
        .kinds
        .iter()
        .filter(|k| schema.get(k.id).unwrap().hot)
        .count();
    let mut decoder = Decoder::new();
    let decode = |decoder: &mut Decoder, need| {
        let mut out = Decoded::default();
        decoder
            .decode(&block.head, &block.body, &schema, need, &mut out)
            .unwrap();
        out
    };
    let all = decode(&mut decoder, Need::ALL);
    decode(&mut decoder, Need::NOTHING);
    for need in SINGLE {
        let one = decode(&mut decoder, need);
        assert_same_columns(&one, &all, need.implied(), hot);
    }
}

#[test]
fn columns_may_come_one_after_the_other() {
    let chance = &mut Chance(22);
    let (schema, world) = (schema(40, chance), World::new(chance));
    let block = block(&schema, &events(4_000, &schema, &world, chance));
    let hot = block
        .head
        .kinds
        .iter()
        .filter(|k| schema.get(k.id).unwrap().hot)
        .count();
    let mut decoder = Decoder::new();
    let (head, body) = (&block.head, &block.body);
    let mut all = Decoded::default();
    decoder.decode(head, body, &schema, Need::ALL, &mut all).unwrap();
    for first in SINGLE {
        for second in SINGLE {
            let mut both = Decoded::default();
            decoder.decode(head, body, &schema, first, &mut both).unwrap();
            decoder.add(head, body, &schema, second, &mut both).unwrap();
            assert_same_columns(&both, &all, (first | second).implied(), hot);
        }
    }
}

/// What can be had of an event without knowing which it is, is what it is known by afterwards.
#[test]
fn an_event_of_a_type_is_the_event_of_its_row() {
    let chance = &mut Chance(23);
    let (schema, world) = (schema(40, chance), World::new(chance));
    let block = block(&schema, &events(4_000, &schema, &world, chance));
    let mut decoder = Decoder::new();
    let mut decode = |need| {
        let mut out = Decoded::default();
        decoder
            .decode(&block.head, &block.body, &schema, need, &mut out)
            .unwrap();
        out
    };
    let (by_type, all) = (decode(Need::ARG_COLUMNS_HOT), decode(Need::ALL));
    assert!(by_type.kind.is_empty());
    let mut seen = 0;
    for (index, kind) in (0..).zip(&all.kinds).filter(|(_, kind)| kind.spec.hot) {
        for (ordinal, row) in (0..).zip(&kind.rows) {
            let (a, b) = (by_type.event_of_type(index, ordinal), all.event(*row as usize));
            assert_eq!(a.spec(), b.spec());
            for slot in 0..=kind.spec.params.len() {
                assert_eq!(a.arg(slot), b.arg(slot));
                seen += usize::from(a.arg(slot) != ctrace_trace::event::Arg::None);
            }
            assert!(a.context().is_none() && a.ret().is_none() && a.fd().is_none() && a.data().is_empty());
        }
    }
    assert!(seen > 1_000, "{seen}");
}

fn assert_same_columns(one: &Decoded, all: &Decoded, need: Need, hot: usize) {
    let has = |n: Need| need.intersects(n);
    assert_column(&one.kind, &all.kind, has(Need::KIND));
    assert_column(&one.ordinal, &all.ordinal, has(Need::ARGS_HOT) || has(Need::ARGS_BULK));
    assert_column(&one.context, &all.context, has(Need::CONTEXT));
    assert_column(&one.dict.contexts, &all.dict.contexts, has(Need::THREADS));
    if has(Need::THREAD_KINDS) {
        for context in 0..all.dict.contexts.len() {
            for (kind, columns) in all.kinds.iter().enumerate() {
                let is_there = columns
                    .rows
                    .iter()
                    .any(|row| all.context[*row as usize] as usize == context);
                assert_eq!(one.thread_has(context, kind), is_there);
            }
        }
    }
    assert_column(&one.dict.images, &all.dict.images, has(Need::IMAGES));
    assert_column(&one.dict.containers, &all.dict.containers, has(Need::IMAGES));
    assert_column(&one.ts, &all.ts, has(Need::TS));
    assert_column(&one.cpu, &all.cpu, has(Need::CPU));
    assert_column(&one.data_ends, &all.data_ends, has(Need::DATA));
    assert_column(&one.data_bytes, &all.data_bytes, has(Need::DATA));
    let origins = if has(Need::ORIGIN) {
        &all.origins
    } else {
        &Default::default()
    };
    assert_eq!(&one.origins, origins);
    assert_column(&one.latency, &all.latency, has(Need::LATENCY));
    let n = all.kinds.len();
    for (rets, fds, args, kinds) in [
        (Need::RET_HOT, Need::FD_HOT, Need::ARG_COLUMNS_HOT, 0..hot),
        (Need::RET_BULK, Need::FD_BULK, Need::ARGS_BULK, hot..n),
    ] {
        if has(rets) {
            assert_rows(&one.ret, &all.ret, all, kinds.clone());
        }
        if has(fds) {
            assert_rows(&one.fd, &all.fd, all, kinds.clone());
            assert_rows(&one.fd_num, &all.fd_num, all, kinds.clone());
        }
        if has(Need::KIND) {
            assert_eq!(rows_of(one, kinds.clone()), rows_of(all, kinds.clone()));
        }
        if has(Need::KIND) || has(args) {
            assert_args(one, all, kinds, has(args));
        }
    }
    if has(Need::OBJECTS_HOT) {
        for (a, b) in one.kinds.iter().zip(&all.kinds) {
            assert_eq!((&a.spec, &a.fds), (&b.spec, &b.fds));
        }
    }
    let hot_objects = hot_objects(all, hot);
    let named = match (has(Need::FD_BULK), has(Need::FD_HOT)) {
        (true, _) => all.dict.fds.len(),
        (false, true) => hot_objects,
        (false, false) => 0,
    };
    assert_eq!(one.dict.fds.get(..named), all.dict.fds.get(..named));
    if has(Need::SOCKETS) {
        let nameless = |block: &Decoded| -> Vec<_> {
            let objects = block.dict.fds.iter();
            objects.map(|fd| (fd.kind, fd.socket.clone())).collect()
        };
        assert_eq!(nameless(one), nameless(all));
    }
    let with_strings = if has(Need::OBJECTS_HOT) {
        named.max(hot_objects)
    } else {
        0
    };
    assert_strings(one, all, with_strings, need);
}

fn assert_column<T: PartialEq + std::fmt::Debug>(one: &[T], all: &[T], asked: bool) {
    assert_eq!(one, if asked { all } else { &[] });
}

fn assert_rows<T: PartialEq + std::fmt::Debug>(one: &[T], all: &[T], block: &Decoded, kinds: Range<usize>) {
    for row in block.kinds[kinds].iter().flat_map(|k| &k.rows) {
        assert_eq!(one[*row as usize], all[*row as usize]);
    }
}

fn rows_of(block: &Decoded, kinds: Range<usize>) -> Vec<&[u32]> {
    block.kinds[kinds].iter().map(|k| k.rows.as_slice()).collect()
}

fn assert_args(one: &Decoded, all: &Decoded, kinds: Range<usize>, asked: bool) {
    for (a, b) in one.kinds[kinds.clone()].iter().zip(&all.kinds[kinds]) {
        assert_eq!((&a.spec, a.events), (&b.spec, b.events));
        assert_eq!(a.args.len(), if asked { b.args.len() } else { 0 });
        for (a, b) in a.args.iter().zip(&b.args) {
            match (a, b) {
                (ArgColumn::Num(a), ArgColumn::Num(b)) => assert_eq!(a, b),
                (ArgColumn::Str(a), ArgColumn::Str(b)) => assert_eq!(a, b),
                (ArgColumn::Path(a), ArgColumn::Path(b)) => assert_eq!(a, b),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// How many objects events of the hot family use, with the one that stands for none: these come first.
fn hot_objects(all: &Decoded, hot: usize) -> usize {
    let used = all.kinds[..hot].iter().flat_map(|k| &k.fds).max();
    used.map_or(0, |last| *last as usize) + 1
}

/// Whatever ids the decoded columns hold, their strings are there; of open objects those of the first few.
fn assert_strings(one: &Decoded, all: &Decoded, objects: usize, need: Need) {
    let (mine, theirs) = (&one.dict.strings, &all.dict.strings);
    assert_eq!(mine.len(), theirs.len());
    for fd in one.dict.fds.iter().take(objects).skip(1) {
        assert_eq!(mine.get(fd.name), theirs.get(fd.name));
    }
    for image in &one.dict.images {
        assert_eq!(mine.get(image.argv), theirs.get(image.argv));
    }
    for column in one.kinds.iter().flat_map(|k| &k.args) {
        match column {
            ArgColumn::Str(ids) => ids.iter().for_each(|id| assert_eq!(mine.get(*id), theirs.get(*id))),
            ArgColumn::Path(ids) => ids.iter().for_each(|(id, raw)| {
                let (a, b) = (mine.get(*id), theirs.get(*id));
                assert_eq!(one.dict.raw_path(a, *raw), all.dict.raw_path(b, *raw), "{need:?}");
            }),
            ArgColumn::Num(_) => (),
        }
    }
}
