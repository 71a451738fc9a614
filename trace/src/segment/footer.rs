//! The footer record: where the blocks are, and the totals that need not be counted again.

use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use super::format::Digest;
use super::packed::{self, PackError};
use crate::block::BlockHead;
use crate::event::{EventType, Source};
use crate::schema::Schema;

/// The last bytes of a closed segment: what a reader that starts at the end looks for.
pub(crate) const END_MAGIC: [u8; 8] = *b"\x89CTRend\n";

/// The footer's body: its own offset (u64, little endian) and [`END_MAGIC`].
pub(crate) const TRAILER_LEN: usize = 16;

/// The last record of a closed segment. All of it can be computed from the blocks; `verify` does and compares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Footer {
    /// Every block, in order.
    pub index: Vec<IndexEntry>,
    /// Totals over the blocks.
    pub totals: Totals,
    /// SHA-256 of the last linked record's head; of the header record where there is none.
    pub last_link: Digest,
    /// Additions by number, ignored where unknown.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// Where a block is and what range it covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct IndexEntry {
    /// Offset of its record in the file.
    pub offset: u64,
    /// Length of the record's head.
    pub head_len: u32,
    /// Length of the record's body.
    pub body_len: u32,
    /// Events.
    pub events: u32,
    /// Number of its first event.
    pub first_seq: u64,
    /// Smallest time stamp.
    pub min_ts: u64,
    /// Largest time stamp.
    pub max_ts: u64,
}

/// Counts of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// All events.
    pub events: u64,
    /// Smallest and largest time stamp; `None` without events.
    pub ts: Option<(u64, u64)>,
    /// Per event type.
    pub by_type: BTreeMap<EventType, u64>,
    /// Per source.
    pub by_source: BTreeMap<Source, u64>,
    /// Lost events by source name and loss class ([`EventType::GAP`]'s parameters `source` and `class`).
    pub lost: BTreeMap<(String, i64), u64>,
}

impl Totals {
    /// Adds a block, without what it says about losses: that is not in its head.
    pub fn add_block(&mut self, head: &BlockHead, schema: &Schema) {
        if head.events == 0 {
            return;
        }
        let mut block = Totals {
            events: u64::from(head.events),
            ts: Some((head.min_ts, head.max_ts)),
            ..Totals::default()
        };
        for kind in &head.kinds {
            let events = u64::from(kind.events);
            block.by_type.insert(kind.id, events);
            if let Some(spec) = schema.get(kind.id) {
                *block.by_source.entry(spec.source).or_default() += events;
            }
        }
        self.add(&block);
    }

    /// Adds the totals of another part of the recording.
    pub fn add(&mut self, other: &Totals) {
        self.events = self.events.saturating_add(other.events);
        self.ts = match (self.ts, other.ts) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        merge(&mut self.by_type, &other.by_type);
        merge(&mut self.by_source, &other.by_source);
        merge(&mut self.lost, &other.lost);
    }
}

/// Sums per key; a hostile file's counts may not overflow.
fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, n) in from {
        let sum = into.entry(key.clone()).or_default();
        *sum = sum.saturating_add(*n);
    }
}

impl Footer {
    /// Head and body of the record, which will lie at `offset`.
    pub(crate) fn encode(&self, offset: u64) -> Result<(Vec<u8>, [u8; TRAILER_LEN]), PackError> {
        let mut trailer = [0; TRAILER_LEN];
        trailer[..8].copy_from_slice(&offset.to_le_bytes());
        trailer[8..].copy_from_slice(&END_MAGIC);
        Ok((packed::encode(self)?, trailer))
    }

    /// Reads the head.
    pub(crate) fn decode(head: &[u8]) -> Result<Footer, PackError> {
        packed::decode(head)
    }

    /// The footer's offset as the last bytes of a file tell; `None` when they are no trailer.
    pub(crate) fn offset(trailer: &[u8; TRAILER_LEN]) -> Option<u64> {
        let (offset, magic) = trailer.split_first_chunk::<8>()?;
        (magic == END_MAGIC).then(|| u64::from_le_bytes(*offset))
    }
}
