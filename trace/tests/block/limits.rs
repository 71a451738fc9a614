//! What does not fit is refused, by the builder before it is in a block and by the reader before memory is taken.

use std::sync::Arc;

use ctrace_trace::block::head::Codec;
use ctrace_trace::block::{BlockBuilder, BlockError, BlockHead, Compressor, MAX_EVENTS, PushError};
use ctrace_trace::event::{Arg, Event, EventType, Source};
use ctrace_trace::schema::{EventSpec, FdUse, Param, ParamKind, Schema};

fn schema() -> Arc<Schema> {
    let param = |name: &str, kind| Param {
        name: name.to_owned(),
        kind,
        arg: None,
    };
    Arc::new(Schema::new(vec![EventSpec {
        id: EventType(1),
        name: "note".to_owned(),
        source: Source::Syscall,
        hot: true,
        fd: FdUse::None,
        has_ret: false,
        params: vec![param("n", ParamKind::Int), param("s", ParamKind::Str)],
    }]))
}

fn event<'a>(kind: u16, args: &'a [Arg<'a>]) -> Event<'a> {
    Event {
        ts: 1,
        kind: EventType(kind),
        cpu: 0,
        tid: 0,
        image: None,
        ret: None,
        latency: None,
        fd_num: None,
        fd: None,
        args,
        data: &[],
    }
}

#[test]
fn events_that_do_not_fit_are_refused() {
    let mut builder = BlockBuilder::new(schema());
    assert_eq!(builder.push(&event(2, &[])), Err(PushError::UnknownKind(EventType(2))));
    let few = builder.push(&event(1, &[Arg::None]));
    assert!(
        matches!(
            few,
            Err(PushError::ArgCount {
                declared: 2,
                given: 1,
                ..
            })
        ),
        "{few:?}"
    );
    let wrong = builder.push(&event(1, &[Arg::Str(b"x"), Arg::None]));
    assert!(matches!(wrong, Err(PushError::ArgKind { index: 0, .. })), "{wrong:?}");
    let huge = vec![b'x'; 50 << 20];
    let large = builder.push(&event(1, &[Arg::None, Arg::Str(&huge)]));
    assert!(matches!(large, Err(PushError::TooLarge { .. })), "{large:?}");
    assert!(builder.is_empty() && builder.time_range().is_none());
    let block = builder.finish(0, [0; 32], &mut Compressor::default()).unwrap();
    assert_eq!(block.head.events, 0);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let huge = vec![b'x'; 50 << 20];
    let bad: [&[Arg<'_>]; 4] = [
        &[Arg::Num(7), Arg::Num(8)],
        &[Arg::Str(b"x"), Arg::Str(b"never")],
        &[
            Arg::Num(9),
            Arg::Path {
                resolved: b"/never",
                raw: b"",
            },
        ],
        &[Arg::Num(i64::MAX), Arg::Str(&huge)],
    ];
    let encode = |bad: &[&[Arg<'_>]]| {
        let mut builder = BlockBuilder::new(schema());
        for n in 0..100 {
            for args in bad {
                assert!(builder.push(&event(1, args)).is_err());
            }
            builder.push(&event(1, &[Arg::Num(n), Arg::Str(b"text")])).unwrap();
            for args in bad {
                assert!(builder.push(&event(1, args)).is_err());
            }
            builder.push(&event(1, &[Arg::None, Arg::None])).unwrap();
        }
        builder.finish(0, [0; 32], &mut Compressor::default()).unwrap()
    };
    assert_eq!(encode(&bad), encode(&[]));
}

#[test]
fn a_builder_is_full_by_events_or_bytes() {
    let mut builder = BlockBuilder::new(schema());
    for _ in 0..MAX_EVENTS {
        assert!(!builder.is_full());
        builder.push(&event(1, &[Arg::Num(1), Arg::None])).unwrap();
    }
    assert!(builder.is_full());
    assert_eq!(builder.push(&event(1, &[Arg::None, Arg::None])), Err(PushError::Full));
    builder.finish(0, [0; 32], &mut Compressor::default()).unwrap();

    let long = vec![b'y'; 17 << 20];
    assert!(!builder.is_full());
    builder.push(&event(1, &[Arg::None, Arg::Str(&long)])).unwrap();
    assert!(builder.is_full());
    let block = builder.finish(0, [0; 32], &mut Compressor::default()).unwrap();
    assert!(BlockHead::decode(&block.head_bytes).is_ok());
}

#[test]
fn heads_that_promise_too_much_are_refused() {
    let mut builder = BlockBuilder::new(schema());
    builder.push(&event(1, &[Arg::Num(1), Arg::Str(b"text")])).unwrap();
    let block = builder.finish(0, [0; 32], &mut Compressor::default()).unwrap();
    let refused = |change: fn(&mut BlockHead)| {
        let mut head = block.head.clone();
        change(&mut head);
        let read = BlockHead::decode(&head.encode().unwrap());
        assert!(matches!(read, Err(BlockError::Head(_))), "{read:?}");
    };
    refused(|h| h.layout = 9);
    refused(|h| h.events = MAX_EVENTS + 1);
    refused(|h| h.events = 2);
    refused(|h| h.first_seq = u64::MAX);
    refused(|h| h.counts.strings[2] = u32::MAX);
    refused(|h| h.counts.images = u32::MAX);
    refused(|h| h.frames[0].raw_len = 1 << 30);
    refused(|h| (h.frames[0].codec, h.frames[0].raw_len) = (Codec::Zstd, 64 << 20));
    refused(|h| h.frames.push(h.frames[0]));
}
