//! The head of a block: what is in it, where its frames lie, and its link in the chain of hashes.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::error::BlockError;
use super::{MAX_EVENTS, MAX_FRAME, MAX_RAW};
use crate::event::EventType;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// How the columns of a block are coded; readers refuse numbers that they do not know.
pub const LAYOUT: u8 = 3;

/// No head is longer.
pub const MAX_HEAD: usize = 1 << 20;

/// What a reader has to know about a block before it touches the body.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BlockHead {
    /// How columns are coded: [`LAYOUT`].
    pub layout: u8,
    /// How many events there are.
    pub events: u32,
    /// Number of the first event in the recording; the others follow without a hole.
    pub first_seq: u64,
    /// Smallest time stamp, UTC nanoseconds; 0 in an empty block.
    pub min_ts: u64,
    /// Largest time stamp.
    pub max_ts: u64,
    /// Time stamp of the first event: what times in the columns are relative to.
    pub base_ts: u64,
    /// Whether no event is earlier than the one before it.
    pub ts_sorted: bool,
    /// The event types present: those of the hot family first, each family ascending by number. The position in this
    /// list is what columns store.
    pub kinds: Vec<KindCount>,
    /// Dictionary sizes.
    pub counts: DictCounts,
    /// Bit n is set when an event of the source with number n is present ([`crate::event::Source`]).
    pub sources: u8,
    /// Short ids of the containers of the images that acted, sorted, where they are few; `None` where they are many.
    pub container_ids: Option<Vec<String>>,
    /// Whether an event may have happened outside containers (an image without one, or no image at all).
    pub outside_containers: bool,
    /// Where each frame lies: frames follow each other in the body in this order, without holes.
    pub frames: Vec<FrameEntry>,
    /// SHA-256 over the SHA-256 of each frame's packed bytes, in directory order: so that a redaction can replace a
    /// frame by its hash and the chain still holds.
    pub frames_digest: Hash,
    /// Hash of the previous link of the chain.
    pub prev: Hash,
}

/// How many events of a type a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KindCount {
    /// The event type.
    pub id: EventType,
    /// How many, at least one.
    pub events: u32,
}

/// Sizes of a block's dictionaries. String ids run through the sections in the order of [`DictCounts::strings`], after
/// the two fixed ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct DictCounts {
    /// Threads.
    pub contexts: u32,
    /// Process images.
    pub images: u32,
    /// Containers.
    pub containers: u32,
    /// Open objects: first used by an event of the hot family, then of the bulk family.
    pub fds: [u32; 2],
    /// Strings: of process images, of hot open objects, of hot arguments, of bulk open objects, of bulk arguments.
    pub strings: [u32; 5],
}

/// One frame of a block's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FrameEntry {
    /// Which column or group of columns it holds.
    pub id: u8,
    /// How it is compressed.
    pub codec: Codec,
    /// Bytes in the body.
    pub packed_len: u32,
    /// Bytes after decompression.
    pub raw_len: u32,
    /// CRC-32 (IEEE) of the bytes in the body.
    pub crc32: u32,
}

/// How a frame is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Codec {
    /// Not at all.
    Raw,
    /// As one zstd frame.
    Zstd,
}

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_HEAD>> =
    bincode::config::standard().with_limit::<MAX_HEAD>();

impl BlockHead {
    /// The bytes that a file stores and that [`BlockHead::hash`] is taken over.
    pub fn encode(&self) -> Result<Vec<u8>, BlockError> {
        bincode::encode_to_vec(self, CONFIG).map_err(|_| BlockError::Head("too long"))
    }

    /// Reads a head and checks everything that needs no schema.
    pub fn decode(bytes: &[u8]) -> Result<BlockHead, BlockError> {
        if bytes.len() > MAX_HEAD {
            return Err(BlockError::Head("too long"));
        }
        let (head, used): (BlockHead, usize) =
            bincode::decode_from_slice(bytes, CONFIG).map_err(|_| BlockError::Head("does not decode"))?;
        if used != bytes.len() {
            return Err(BlockError::Head("bytes left over"));
        }
        head.check()?;
        Ok(head)
    }

    /// A block's hash, its link in the chain: SHA-256 of the encoded head.
    pub fn hash(head_bytes: &[u8]) -> Hash {
        Sha256::digest(head_bytes).into()
    }

    /// Length of the body.
    pub fn body_len(&self) -> u64 {
        self.frames.iter().map(|f| u64::from(f.packed_len)).sum()
    }

    /// Whether an event of this type is in the block.
    pub fn has_kind(&self, id: EventType) -> bool {
        self.kinds.iter().any(|k| k.id == id)
    }

    pub(super) fn check(&self) -> Result<(), BlockError> {
        if self.layout != LAYOUT {
            return Err(BlockError::Head("column layout of another version"));
        }
        if self.events > MAX_EVENTS {
            return Err(BlockError::Head("too many events"));
        }
        if self.first_seq.checked_add(u64::from(self.events)).is_none() {
            return Err(BlockError::Head("event numbers overflow"));
        }
        let counted: u64 = self.kinds.iter().map(|k| u64::from(k.events)).sum();
        if counted != u64::from(self.events) || self.kinds.iter().any(|k| k.events == 0) {
            return Err(BlockError::Head("counts per event type do not add up"));
        }
        self.counts.check()?;
        self.check_frames()
    }

    fn check_frames(&self) -> Result<(), BlockError> {
        let mut raw = 0u64;
        for (i, f) in self.frames.iter().enumerate() {
            let sane = match f.codec {
                Codec::Raw => f.raw_len == f.packed_len,
                // A zstd block of 4 bytes may stand for 128 KiB of one byte; nothing expands more.
                Codec::Zstd => u64::from(f.raw_len) <= u64::from(f.packed_len) << 15,
            };
            if !sane || f.raw_len as usize > MAX_FRAME {
                return Err(BlockError::Head("size of a frame is impossible"));
            }
            if self.frames.iter().take(i).any(|g| g.id == f.id) {
                return Err(BlockError::Head("a frame is there twice"));
            }
            raw += u64::from(f.raw_len);
        }
        if raw > MAX_RAW {
            return Err(BlockError::Head("frames are too large"));
        }
        Ok(())
    }
}

impl DictCounts {
    /// How many string ids there are, the fixed ones included.
    pub(super) fn strings(&self) -> u32 {
        self.strings.iter().fold(super::strings::FIXED_IDS, |sum, n| sum + n)
    }

    fn check(&self) -> Result<(), BlockError> {
        use super::{MAX_CONTAINERS, MAX_FDS, MAX_IMAGES, MAX_STRINGS};
        let sum = |v: &[u32]| v.iter().map(|n| u64::from(*n)).sum::<u64>();
        let fits = self.contexts <= MAX_EVENTS
            && self.images <= MAX_IMAGES
            && self.containers <= MAX_CONTAINERS
            && sum(&self.fds) <= u64::from(MAX_FDS)
            && sum(&self.strings) <= u64::from(MAX_STRINGS);
        if fits {
            Ok(())
        } else {
            Err(BlockError::Head("a dictionary is too large"))
        }
    }
}

/// The digest over the frames of a body: SHA-256 over the frames' SHA-256.
pub(crate) fn frames_digest<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Hash {
    let mut all = Sha256::new();
    for frame in frames {
        all.update(Sha256::digest(frame));
    }
    all.finalize().into()
}
