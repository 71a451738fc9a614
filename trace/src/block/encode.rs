//! Building a block: events go in one by one, a head and a body come out.

use std::sync::Arc;

use super::MAX_EVENTS;
use super::error::{BlockError, PushError};
use super::frame::Compressor;
use super::head::{BlockHead, Hash};
use crate::event::Event;
use crate::schema::Schema;

/// A finished block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBlock {
    /// The head.
    pub head: BlockHead,
    /// The head as it is stored.
    pub head_bytes: Vec<u8>,
    /// The frames.
    pub body: Vec<u8>,
    /// SHA-256 of `head_bytes`: the `prev` of the next link.
    pub hash: Hash,
}

/// Collects events for one block after another; keeps its memory between blocks.
#[derive(Debug)]
pub struct BlockBuilder {
    schema: Arc<Schema>,
    len: usize,
    range: Option<(u64, u64)>,
}

impl BlockBuilder {
    /// A builder for events that `schema` declares.
    pub fn new(schema: Arc<Schema>) -> BlockBuilder {
        BlockBuilder {
            schema,
            len: 0,
            range: None,
        }
    }

    /// Adds an event. On an error the block is as it was before.
    pub fn push(&mut self, event: &Event<'_>) -> Result<(), PushError> {
        let _ = self.schema.get(event.kind).ok_or(PushError::UnknownKind(event.kind))?;
        self.len += 1;
        Ok(())
    }

    /// How many events the block has so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the block must be finished before another event is pushed.
    pub fn is_full(&self) -> bool {
        self.len >= MAX_EVENTS as usize
    }

    /// Smallest and largest time stamp so far.
    pub fn time_range(&self) -> Option<(u64, u64)> {
        self.range
    }

    /// Codes the events collected so far and starts over. `first_seq` is the number of the first event in the
    /// recording, `prev` the hash of the previous link.
    pub fn finish(
        &mut self,
        first_seq: u64,
        prev: Hash,
        compressor: &mut Compressor,
    ) -> Result<EncodedBlock, BlockError> {
        let _ = (first_seq, prev, compressor);
        Err(BlockError::Head("not written yet"))
    }
}
