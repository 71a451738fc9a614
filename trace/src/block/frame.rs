//! Frames: columns as they lie in a block's body, compressed and checked one by one.
//!
//! A column of some size is a frame of its own, so that a reader decompresses what it needs and no more. Small columns
//! share a frame, one for what rules look at and one for the rest; in a small block all of them share one.

use std::fmt;
use std::ops::Range;

use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};

use super::error::BlockError;
use super::head::{Codec, FrameEntry, Hash, frames_digest};
use super::pool::emptied_for;
use super::varint::{Cursor, Malformed, put};

/// A column with a frame of its own has at least so many bytes.
const OWN_FRAME: usize = 1024;
/// When all small columns together have fewer bytes, one shared frame takes them all.
const ONE_SHARED_FRAME: usize = 16 * 1024;
/// Fewer bytes are not worth an attempt to compress.
const TRY_ZSTD: usize = 48;

/// What saves less than this part of a frame is not worth decompressing: the low bytes of times.
const WORTHWHILE: usize = 64;

macro_rules! columns {
    ($($id:literal $variant:ident $name:literal $group:ident,)*) => {
        /// A column; the number is the id of its frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Column { $($variant = $id,)* }

        impl Column {
            /// All columns, by number.
            pub(super) const ALL: [Column; COLUMNS] = [$(Column::$variant,)*];

            /// The name in errors and in docs/trace-format.md.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)* }
            }

            const fn group(self) -> Group {
                match self { $(Column::$variant => Group::$group,)* }
            }
        }
    };
}

/// How many columns there are.
pub(super) const COLUMNS: usize = 47;

columns! {
    0 Kinds "kinds" Hot,
    1 Contexts "contexts" Hot,
    2 Cpus "cpu" Hot,
    3 Images "images" Hot,
    4 Containers "containers" Hot,
    5 ImageLens "image string lengths" Hot,
    6 ImageText "image strings" Hot,
    7 HotFdDict "hot fds" Hot,
    8 HotFdLens "hot fd string lengths" Hot,
    9 HotFdText "hot fd strings" Hot,
    10 HotFdRefs "hot fd references" Hot,
    11 HotFdNums "hot fd numbers" Hot,
    12 HotRets "hot results" Hot,
    13 HotArgNums "hot number arguments" Hot,
    14 HotArgStrs "hot string arguments" Hot,
    15 HotArgPaths "hot path arguments" Hot,
    16 HotArgRaws "hot raw paths" Hot,
    17 HotArgLens "hot argument string lengths" Hot,
    18 HotArgText "hot argument strings" Hot,
    19 BulkFdDict "bulk fds" Bulk,
    20 BulkFdLens "bulk fd string lengths" Bulk,
    21 BulkFdText "bulk fd strings" Bulk,
    22 BulkFdRefs "bulk fd references" Bulk,
    23 BulkFdNums "bulk fd numbers" Bulk,
    24 BulkRets "bulk results" Bulk,
    25 BulkArgNums "bulk number arguments" Bulk,
    26 BulkArgStrs "bulk string arguments" Bulk,
    27 BulkArgPaths "bulk path arguments" Bulk,
    28 BulkArgRaws "bulk raw paths" Bulk,
    29 BulkArgLens "bulk argument string lengths" Bulk,
    30 BulkArgText "bulk argument strings" Bulk,
    31 TsLow "time, low byte" Bulk,
    32 TsMiddle "time, middle byte" Bulk,
    33 TsHigh "time, high byte" Bulk,
    34 TsEscapes "time, large steps" Bulk,
    35 Switches "switches" Hot,
    36 DataLens "data lengths" Bulk,
    37 DataBytes "data" Alone,
    38 HotFdFiles "hot fd files" Bulk,
    39 BulkFdFiles "bulk fd files" Bulk,
    40 Origins "origins" Alone,
    41 OriginLow "origins, low byte" Alone,
    42 OriginMiddle "origins, middle byte" Alone,
    43 OriginHigh "origins, high byte" Alone,
    44 OriginEscapes "origins, large steps" Alone,
    45 OriginLines "origins, lines" Alone,
    46 Latencies "latencies" Alone,
}

/// With which columns a small column may share a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Hot,
    Bulk,
    /// With none: captured data can be taken out of a block without touching anything else, and readers that are older
    /// than a column pass its frame over.
    Alone,
}

/// Ids of the shared frames.
const SHARED_HOT: u8 = 64;
const SHARED_BULK: u8 = 65;

/// The name of a frame in errors and reports.
pub fn frame_name(id: u8) -> &'static str {
    match (Column::ALL.get(id as usize), id) {
        (Some(column), _) => column.name(),
        (None, SHARED_HOT) => "small hot columns",
        (None, SHARED_BULK) => "small bulk columns",
        _ => "unknown",
    }
}

/// The columns of one family of event types.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamilyColumns {
    pub(super) fd_dict: Column,
    pub(super) fd_files: Column,
    pub(super) fd_lens: Column,
    pub(super) fd_text: Column,
    pub(super) fd_refs: Column,
    pub(super) fd_nums: Column,
    pub(super) rets: Column,
    pub(super) arg_nums: Column,
    pub(super) arg_strs: Column,
    pub(super) arg_paths: Column,
    pub(super) arg_raws: Column,
    pub(super) arg_lens: Column,
    pub(super) arg_text: Column,
}

pub(super) const HOT: FamilyColumns = FamilyColumns {
    fd_dict: Column::HotFdDict,
    fd_files: Column::HotFdFiles,
    fd_lens: Column::HotFdLens,
    fd_text: Column::HotFdText,
    fd_refs: Column::HotFdRefs,
    fd_nums: Column::HotFdNums,
    rets: Column::HotRets,
    arg_nums: Column::HotArgNums,
    arg_strs: Column::HotArgStrs,
    arg_paths: Column::HotArgPaths,
    arg_raws: Column::HotArgRaws,
    arg_lens: Column::HotArgLens,
    arg_text: Column::HotArgText,
};

pub(super) const BULK: FamilyColumns = FamilyColumns {
    fd_dict: Column::BulkFdDict,
    fd_files: Column::BulkFdFiles,
    fd_lens: Column::BulkFdLens,
    fd_text: Column::BulkFdText,
    fd_refs: Column::BulkFdRefs,
    fd_nums: Column::BulkFdNums,
    rets: Column::BulkRets,
    arg_nums: Column::BulkArgNums,
    arg_strs: Column::BulkArgStrs,
    arg_paths: Column::BulkArgPaths,
    arg_raws: Column::BulkArgRaws,
    arg_lens: Column::BulkArgLens,
    arg_text: Column::BulkArgText,
};

/// The zstd level of recordings: 3 saves 3 % and costs as much again.
const RECORDING: i32 = 1;
/// What that level takes for most frames of a block: of how many bits the places of what was seen are, and from how many
/// bytes on something is found again. For frames of less than 16 KiB it would take a table of four times the size, which is
/// emptied for each, and find nothing more by it.
const HASH_BITS: u32 = 13;
const SHORTEST: u32 = 6;
/// The same for a column that has a byte for each event, or about one: there what is short is found everywhere and saves
/// nothing.
const SHORTEST_OF_BYTES: u32 = 7;

/// Compresses frames; reusable, one per writing thread.
pub struct Compressor {
    zstd: CCtx<'static>,
    level: i32,
    packed: Vec<u8>,
}

impl Compressor {
    /// A compressor of zstd level `level`. Level 1 is what recorders use.
    pub fn new(level: i32) -> Compressor {
        let mut zstd = CCtx::create();
        // Levels out of range are clamped by zstd; there is no other error.
        let _ = zstd.set_parameter(CParameter::CompressionLevel(level));
        if level == RECORDING {
            let _ = zstd.set_parameter(CParameter::HashLog(HASH_BITS));
        }
        Compressor {
            zstd,
            level,
            packed: Vec::new(),
        }
    }

    /// Appends `raw` as a frame to `body`, compressed if that makes it smaller.
    fn frame(&mut self, id: u8, raw: &[u8], body: &mut Vec<u8>) -> FrameEntry {
        let packed = self.compressed(id, raw);
        let (codec, bytes) = match packed {
            Some(packed) => (Codec::Zstd, packed),
            None => (Codec::Raw, raw),
        };
        body.extend_from_slice(bytes);
        FrameEntry {
            id,
            codec,
            packed_len: bytes.len() as u32,
            raw_len: raw.len() as u32,
            crc32: crc32fast::hash(bytes),
        }
    }

    fn compressed(&mut self, id: u8, raw: &[u8]) -> Option<&[u8]> {
        if raw.len() < TRY_ZSTD {
            return None;
        }
        if self.level == RECORDING {
            let shortest = CParameter::MinMatch(shortest_of(id));
            let _ = self.zstd.set_parameter(shortest);
        }
        self.packed.clear();
        self.packed.reserve(compress_bound(raw.len()));
        let len = self.zstd.compress2(&mut self.packed, raw).ok()?;
        (len + raw.len() / WORTHWHILE < raw.len()).then_some(&self.packed)
    }
}

/// From how many bytes on what was seen is found again in a frame.
fn shortest_of(id: u8) -> u32 {
    const BYTES: [Column; 8] = [
        Column::Kinds,
        Column::Cpus,
        Column::HotFdDict,
        Column::BulkFdDict,
        Column::BulkFdRefs,
        Column::BulkFdNums,
        Column::TsMiddle,
        Column::TsHigh,
    ];
    match BYTES.iter().any(|column| *column as u8 == id) {
        true => SHORTEST_OF_BYTES,
        false => SHORTEST,
    }
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new(RECORDING)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// The columns of a block while it is written.
#[derive(Debug)]
pub(super) struct ColumnBuffers {
    columns: [Vec<u8>; COLUMNS],
    shared: [Vec<u8>; 2],
}

impl Default for ColumnBuffers {
    fn default() -> ColumnBuffers {
        ColumnBuffers {
            columns: std::array::from_fn(|_| Vec::new()),
            shared: [Vec::new(), Vec::new()],
        }
    }
}

impl ColumnBuffers {
    /// The bytes of a column.
    pub(super) fn get(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.columns[column as usize]
    }

    /// Several columns at once, which must differ.
    pub(super) fn get_many<const N: usize>(&mut self, columns: [Column; N]) -> [&mut Vec<u8>; N] {
        let at = columns.map(|c| c as usize);
        // The columns are named in the source: two of the same name are a mistake that every test would meet.
        self.columns.get_disjoint_mut(at).expect("columns differ")
    }

    /// Makes all columns empty, keeping their memory.
    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Vec::clear);
    }

    /// Compresses everything: the directory, the body and the digest over the frames.
    pub(super) fn pack(&mut self, compressor: &mut Compressor) -> (Vec<FrameEntry>, Vec<u8>, Hash) {
        self.fill_shared();
        let own = Column::ALL.iter().map(|c| (*c as u8, &self.columns[*c as usize]));
        let own = own.filter(|(id, bytes)| is_own(Column::ALL[*id as usize], bytes));
        let shared = [(SHARED_HOT, &self.shared[0]), (SHARED_BULK, &self.shared[1])];
        let shared = shared.into_iter().filter(|(_, bytes)| !bytes.is_empty());

        let mut body = Vec::new();
        let frames: Vec<FrameEntry> = own
            .chain(shared)
            .map(|(id, bytes)| compressor.frame(id, bytes, &mut body))
            .collect();
        let digest = frames_digest(split(&frames, &body).map(|(_, bytes)| bytes));
        (frames, body, digest)
    }

    fn fill_shared(&mut self) {
        let columns = &self.columns;
        let small = || Column::ALL.iter().map(|c| (*c, &columns[*c as usize]));
        let small = || small().filter(|(c, bytes)| !bytes.is_empty() && !is_own(*c, bytes));
        let one = small().map(|(_, bytes)| bytes.len()).sum::<usize>() < ONE_SHARED_FRAME;
        self.shared.iter_mut().for_each(Vec::clear);
        for (column, bytes) in small() {
            let into = &mut self.shared[usize::from(!one && column.group() == Group::Bulk)];
            into.push(column as u8);
            put(into, bytes.len() as u64);
            into.extend_from_slice(bytes);
        }
    }
}

fn is_own(column: Column, bytes: &[u8]) -> bool {
    !bytes.is_empty() && (bytes.len() >= OWN_FRAME || column.group() == Group::Alone)
}

/// The frames of a body with their entries, as far as the body reaches.
fn split<'a>(frames: &'a [FrameEntry], body: &'a [u8]) -> impl Iterator<Item = (&'a FrameEntry, &'a [u8])> {
    frames.iter().scan(body, |rest, entry| {
        let (frame, tail) = rest.split_at_checked(entry.packed_len as usize)?;
        *rest = tail;
        Some((entry, frame))
    })
}

/// Where each frame lies in a body whose length has been checked.
pub(super) fn locate<'a>(
    frames: &'a [FrameEntry],
    body: &'a [u8],
) -> Result<impl Iterator<Item = (&'a FrameEntry, &'a [u8])>, BlockError> {
    let expected: u64 = frames.iter().map(|f| u64::from(f.packed_len)).sum();
    if expected != body.len() as u64 {
        return Err(BlockError::BodyLength {
            expected,
            actual: body.len() as u64,
        });
    }
    Ok(split(frames, body))
}

/// Compares the checksum of a frame.
pub(super) fn check(entry: &FrameEntry, frame: &[u8]) -> Result<(), BlockError> {
    if crc32fast::hash(frame) == entry.crc32 {
        Ok(())
    } else {
        Err(BlockError::Checksum {
            frame: frame_name(entry.id),
        })
    }
}

/// A set of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnSet(u64);

impl ColumnSet {
    /// Adds columns.
    pub(super) fn add(&mut self, columns: &[Column]) {
        columns.iter().for_each(|c| self.0 |= 1 << *c as u8);
    }

    fn has(self, column: Column) -> bool {
        self.0 & 1 << column as u8 != 0
    }

    /// Whether a frame may hold one of the columns.
    pub(super) fn wants(self, frame: u8) -> bool {
        let in_group = |groups: &[Group]| Column::ALL.iter().any(|c| self.has(*c) && groups.contains(&c.group()));
        match Column::ALL.get(frame as usize) {
            Some(column) => self.has(*column),
            None if frame == SHARED_HOT => in_group(&[Group::Hot, Group::Bulk]),
            None if frame == SHARED_BULK => in_group(&[Group::Bulk]),
            None => false,
        }
    }
}

/// The columns of a block while it is read: decompressed frames and where columns lie in them.
pub(super) struct Frames {
    zstd: DCtx<'static>,
    /// One per column, then one per shared frame.
    buffers: [Vec<u8>; COLUMNS + 2],
    places: [(u8, Range<usize>); COLUMNS],
    /// Which buffers hold frames of the block.
    unpacked: u64,
}

impl Default for Frames {
    fn default() -> Frames {
        Frames {
            zstd: DCtx::create(),
            buffers: std::array::from_fn(|_| Vec::new()),
            places: std::array::from_fn(|_| (0, 0..0)),
            unpacked: 0,
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

impl Frames {
    /// Forgets the block before.
    pub(super) fn begin(&mut self) {
        self.places = std::array::from_fn(|_| (0, 0..0));
        self.unpacked = 0;
    }

    /// Checks and decompresses the frames that hold the wanted columns, but for those that were before.
    pub(super) fn load(&mut self, entries: &[FrameEntry], body: &[u8], wanted: ColumnSet) -> Result<(), BlockError> {
        for (entry, frame) in locate(entries, body)? {
            if !wanted.wants(entry.id) {
                continue;
            }
            let slot = match entry.id {
                SHARED_HOT => COLUMNS,
                SHARED_BULK => COLUMNS + 1,
                own => own as usize,
            };
            if self.unpacked >> slot & 1 == 1 {
                continue;
            }
            check(entry, frame)?;
            self.unpacked |= 1 << slot;
            self.unpack(slot, entry, frame)?;
            if slot < COLUMNS {
                self.place(slot as u8, slot as u8, 0..entry.raw_len as usize);
            } else {
                self.place_shared(slot as u8).map_err(|_| BlockError::Decompress {
                    frame: frame_name(entry.id),
                })?;
            }
        }
        Ok(())
    }

    fn unpack(&mut self, slot: usize, entry: &FrameEntry, frame: &[u8]) -> Result<(), BlockError> {
        let buffer = &mut self.buffers[slot];
        emptied_for(buffer, entry.raw_len as usize);
        match entry.codec {
            Codec::Raw => buffer.extend_from_slice(frame),
            Codec::Zstd => {
                // zstd writes no more than the buffer's capacity, which may be larger than asked for.
                let len = self.zstd.decompress(buffer, frame).unwrap_or(usize::MAX);
                if len != entry.raw_len as usize {
                    return Err(BlockError::Decompress {
                        frame: frame_name(entry.id),
                    });
                }
            }
        }
        Ok(())
    }

    fn place(&mut self, column: u8, buffer: u8, range: Range<usize>) {
        if let Some(place) = self.places.get_mut(column as usize) {
            *place = (buffer, range);
        }
    }

    fn place_shared(&mut self, buffer: u8) -> Result<(), Malformed> {
        let Frames { buffers, places, .. } = self;
        let bytes = &buffers[buffer as usize];
        let mut cursor = Cursor::new(bytes);
        while cursor.len() > 0 {
            let column = cursor.byte()?;
            let len = cursor.get_len()?;
            let start = bytes.len() - cursor.len();
            cursor.take(len)?;
            let place = places.get_mut(column as usize).ok_or(Malformed::UnknownId)?;
            if !place.1.is_empty() {
                return Err(Malformed::UnknownId);
            }
            *place = (buffer, start..start + len);
        }
        Ok(())
    }

    /// The bytes of a column; empty where the block has none or it was not wanted.
    pub(super) fn column(&self, column: Column) -> Cursor<'_> {
        let (buffer, range) = &self.places[column as usize];
        Cursor::new(self.buffers[*buffer as usize].get(range.clone()).unwrap_or(&[]))
    }
}
