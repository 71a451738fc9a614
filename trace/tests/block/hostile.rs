//! Damaged and hostile blocks: errors, never a panic.

use std::hint::black_box;
use std::sync::Arc;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::head::Codec;
use ctrace_trace::block::{BlockError, BlockHead, Decoder, EncodedBlock, Need, verify};
use ctrace_trace::schema::Schema;

use crate::random::{Chance, World, block, events, schema};

fn small() -> (Arc<Schema>, EncodedBlock) {
    let chance = &mut Chance(31);
    let (schema, world) = (schema(25, chance), World::new(chance));
    let block = block(&schema, &events(250, &schema, &world, chance));
    (schema, block)
}

#[test]
fn every_flipped_byte_of_the_body_is_found() {
    let (schema, block) = small();
    let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
    let mut body = block.body.clone();
    for at in 0..body.len() {
        body[at] ^= 1 << (at % 8);
        let read = decoder.decode(&block.head, &body, &schema, Need::ALL, &mut out);
        assert!(matches!(read, Err(BlockError::Checksum { .. })), "byte {at}: {read:?}");
        assert!(matches!(verify(&block.head, &body), Err(BlockError::Checksum { .. })));
        body[at] = block.body[at];
    }
    decoder
        .decode(&block.head, &body, &schema, Need::ALL, &mut out)
        .unwrap();
}

#[test]
fn damage_to_columns_that_are_not_asked_for_does_no_harm() {
    let chance = &mut Chance(32);
    let (schema, world) = (schema(25, chance), World::new(chance));
    let block = block(&schema, &events(5_000, &schema, &world, chance));
    let (mut body, mut at) = (block.body.clone(), 0);
    for frame in &block.head.frames {
        // The columns of times are frames of their own in a block of this size.
        if (31..35).contains(&frame.id) {
            body[at] ^= 1;
        }
        at += frame.packed_len as usize;
    }
    let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
    let all_but_time = Need(Need::ALL.0 & !Need::TS.0);
    decoder
        .decode(&block.head, &body, &schema, all_but_time, &mut out)
        .unwrap();
    assert!(decoder.decode(&block.head, &body, &schema, Need::TS, &mut out).is_err());
}

#[test]
fn a_body_of_another_length_is_an_error() {
    let (schema, block) = small();
    let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
    for len in 0..block.body.len() {
        let read = decoder.decode(&block.head, &block.body[..len], &schema, Need::NOTHING, &mut out);
        assert!(matches!(read, Err(BlockError::BodyLength { .. })));
    }
    let longer = [&block.body[..], b"x"].concat();
    assert!(matches!(
        verify(&block.head, &longer),
        Err(BlockError::BodyLength { .. })
    ));
}

#[test]
fn a_damaged_head_is_an_error_or_another_hash() {
    let (schema, block) = small();
    let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
    let mut bytes = block.head_bytes.clone();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            if let Ok(head) = BlockHead::decode(&bytes) {
                assert_ne!(BlockHead::hash(&bytes), block.hash);
                let _ = decoder.decode(&head, &block.body, &schema, Need::ALL, &mut out);
                look_at_everything(&out);
            }
            bytes[at] = block.head_bytes[at];
        }
        assert!(BlockHead::decode(&bytes[..at]).is_err());
    }
}

/// The block with its frames uncompressed, so that damage reaches the readers of columns.
fn uncompressed(block: &EncodedBlock) -> (BlockHead, Vec<Vec<u8>>) {
    let mut rest = &block.body[..];
    let mut frames = Vec::new();
    for entry in &block.head.frames {
        let (packed, tail) = rest.split_at(entry.packed_len as usize);
        rest = tail;
        frames.push(match entry.codec {
            Codec::Raw => packed.to_vec(),
            Codec::Zstd => zstd::bulk::decompress(packed, entry.raw_len as usize).expect("a frame"),
        });
    }
    (block.head.clone(), frames)
}

fn sealed(mut head: BlockHead, frames: &[Vec<u8>]) -> (BlockHead, Vec<u8>) {
    for (entry, bytes) in head.frames.iter_mut().zip(frames) {
        entry.codec = Codec::Raw;
        entry.packed_len = bytes.len() as u32;
        entry.raw_len = bytes.len() as u32;
        entry.crc32 = crc32fast::hash(bytes);
    }
    (head, frames.concat())
}

#[test]
fn hostile_columns_never_panic() {
    let chance = &mut Chance(33);
    let (schema, block) = small();
    let large = {
        let world = World::new(chance);
        crate::random::block(&schema, &events(3_000, &schema, &world, chance))
    };
    let (mut decoder, mut out) = (Decoder::new(), Decoded::default());
    let (mut refused, mut read) = (0, 0);
    for (block, rounds) in [(block, 20_000), (large, 1_500)] {
        let (head, frames) = uncompressed(&block);
        for _ in 0..rounds {
            let (mut head, mut frames) = (head.clone(), frames.clone());
            (0..1 + chance.below(3)).for_each(|_| damage(&mut head, &mut frames, chance));
            let (head, body) = sealed(head, &frames);
            let need = if chance.below(2) == 0 {
                Need::ALL
            } else {
                Need(chance.next() as u32 & Need::ALL.0)
            };
            match decoder.decode(&head, &body, &schema, need, &mut out) {
                Err(_) => refused += 1,
                Ok(()) => {
                    read += 1;
                    look_at_everything(&out);
                }
            }
        }
    }
    assert!(refused > 5_000 && read > 500, "{refused} refused, {read} read");
}

fn damage(head: &mut BlockHead, frames: &mut [Vec<u8>], chance: &mut Chance) {
    let frame = chance.below(frames.len());
    let frame = &mut frames[frame];
    let at = chance.below(frame.len().max(1));
    match chance.below(10) {
        0 => frame.truncate(at),
        1 => frame.insert(at, chance.next() as u8),
        2 => head.counts.strings[chance.below(5)] ^= 1 << chance.below(22),
        3 => head.counts.images ^= 1 << chance.below(19),
        4 => head.counts.fds[chance.below(2)] ^= 1 << chance.below(18),
        5 => head.counts.contexts ^= 1 << chance.below(17),
        6 => head.counts.containers ^= 1 << chance.below(17),
        7 if !frame.is_empty() => frame[at] = 0xFF,
        _ if !frame.is_empty() => frame[at] ^= 1 << chance.below(8),
        _ => (),
    }
}

fn look_at_everything(block: &Decoded) {
    for event in block.events() {
        let slots = event.kind_columns().map_or(0, |k| k.args.len());
        for slot in 0..slots {
            black_box(event.arg(slot));
        }
        if let Some(image) = event.image() {
            black_box((
                image.container(),
                image.ancestors().count(),
                image.args().count(),
                image.str(image.entry.name),
            ));
        }
        if let Some(fd) = event.fd() {
            black_box((fd.name(), fd.path_raw()));
        }
        black_box((
            event.ts(),
            event.cpu(),
            event.ret(),
            event.fd_num(),
            event.data(),
            event.context(),
            event.origin(),
            event.latency(),
        ));
    }
}
