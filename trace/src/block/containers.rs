//! Containers as a dictionary of a block.

use std::hash::BuildHasher;
use std::sync::Arc;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::varint::{Cursor, Malformed, put};
use crate::container::Container;

/// The containers of a block have no more bytes.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// Containers of a block under construction, told apart by content.
#[derive(Debug, Default)]
pub(super) struct ContainerTable {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    pub(super) list: Vec<Arc<Container>>,
    /// The column: each container with its length before it.
    pub(super) bytes: Vec<u8>,
}

impl ContainerTable {
    pub(super) fn weight(&self, container: &Arc<Container>) -> usize {
        if self.find(container).is_some() {
            return 0;
        }
        // More than bincode makes of it: every string with ten bytes for its length.
        let c = &**container;
        let texts = [&c.id, &c.engine, &c.name, &c.image, &c.image_id, &c.image_digest, &c.ip];
        let labels: usize = c.labels.iter().map(|(k, v)| k.len() + v.len() + 20).sum();
        let mount =
            |m: &crate::container::Mount| m.source.len() + m.dest.len() + m.mode.len() + m.propagation.len() + 50;
        let mounts: usize = c.mounts.iter().map(mount).sum();
        let caps: usize = c.cap_add.iter().map(|s| s.len() + 10).sum();
        texts.iter().map(|s| s.len() + 10).sum::<usize>() + labels + mounts + caps + 100
    }

    /// A container that is started again and again has one id.
    fn hash(hasher: &DefaultHashBuilder, container: &Container) -> u64 {
        hasher.hash_one((&container.id, container.created_ts, container.started_ts))
    }

    fn find(&self, container: &Arc<Container>) -> Option<u32> {
        let hash = Self::hash(&self.hasher, container);
        let same = |at: &u32| {
            let known = &self.list[*at as usize];
            Arc::ptr_eq(known, container) || known == container
        };
        self.table.find(hash, same).copied()
    }

    pub(super) fn id(&mut self, container: &Arc<Container>) -> u32 {
        if let Some(at) = self.find(container) {
            return at;
        }
        let at = self.list.len() as u32;
        let hash = Self::hash(&self.hasher, container);
        let ContainerTable {
            hasher,
            table,
            list,
            bytes,
        } = self;
        list.push(container.clone());
        table.insert_unique(hash, at, |at| Self::hash(hasher, &list[*at as usize]));
        // A container holds nothing that bincode cannot encode: strings, numbers, lists of both.
        let encoded = bincode::encode_to_vec(&**container, bincode::config::standard()).unwrap_or_default();
        put(bytes, encoded.len() as u64);
        bytes.extend_from_slice(&encoded);
        at
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.list.clear();
        self.bytes.clear();
    }
}

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BYTES>();

/// Reads `count` containers.
pub(super) fn read(cursor: &mut Cursor<'_>, count: u32, out: &mut Vec<Container>) -> Result<(), Malformed> {
    out.clear();
    if cursor.len() > MAX_BYTES {
        return Err(Malformed::TooLarge);
    }
    for _ in 0..count {
        let len = cursor.get_len()?;
        let bytes = cursor.take(len)?;
        let (container, used) = bincode::decode_from_slice(bytes, CONFIG).map_err(|_| Malformed::OutOfRange)?;
        if used != bytes.len() {
            return Err(Malformed::LeftOver);
        }
        out.push(container);
    }
    cursor.finish()
}
