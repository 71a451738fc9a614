//! Blocks of a workload.

use std::sync::Arc;

use ctrace_trace::block::{BlockBuilder, Compressor, EncodedBlock};
use ctrace_trace::event::Event;
use ctrace_trace::schema::Schema;

/// Events in blocks as a recorder would write them, linked by hash.
pub fn encode(schema: &Arc<Schema>, events: &[Event<'_>]) -> Vec<EncodedBlock> {
    let mut builder = BlockBuilder::new(schema.clone());
    let mut zstd = Compressor::default();
    let mut blocks: Vec<EncodedBlock> = Vec::new();
    let mut seq = 0;
    let mut finish = |builder: &mut BlockBuilder, blocks: &mut Vec<EncodedBlock>| {
        let prev = blocks.last().map_or([0; 32], |b| b.hash);
        let block = builder.finish(seq, prev, &mut zstd).expect("a block encodes");
        seq += u64::from(block.head.events);
        blocks.push(block);
    };
    for event in events {
        if builder.is_full() {
            finish(&mut builder, &mut blocks);
        }
        builder.push(event).expect("the workload fits its schema");
    }
    if !builder.is_empty() {
        finish(&mut builder, &mut blocks);
    }
    blocks
}

/// The name of a frame by its id.
pub fn frame_name(id: u8) -> &'static str {
    ctrace_trace::block::frame::frame_name(id)
}
