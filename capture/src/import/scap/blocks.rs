//! The blocks of a capture: type, length, body, length again.

use crate::import::{ImportError, Input};

/// Type of the block that begins a capture; it reads the same in both byte orders.
pub(super) const SECTION_HEADER: u32 = 0x0A0D_0D0A;
/// Kinds of the blocks of network captures (pcapng), which begin with the same header: interfaces, packets, names.
const OF_NETWORKS: std::ops::RangeInclusive<u32> = 1..=10;
/// The number by which the byte order is told.
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
/// The newest version of the format that is known; later ones of the same number are readable.
const MAJOR: u16 = 1;
/// No block is longer. Lists of processes and events with large payloads have some megabytes.
const MAX_BLOCK: u32 = 256 << 20;
/// Type and length before the body, length behind it.
const FRAME: u32 = 12;

/// Whether a file begins like a capture.
pub(super) fn is_capture(start: &[u8]) -> bool {
    let number = |at: usize| start.get(at..)?.first_chunk().copied();
    if !start.starts_with(&SECTION_HEADER.to_le_bytes()) {
        return false;
    }
    let read: fn([u8; 4]) -> u32 = match number(8) {
        None => return true,
        Some(order) if u32::from_le_bytes(order) == BYTE_ORDER => u32::from_le_bytes,
        Some(order) if u32::from_be_bytes(order) == BYTE_ORDER => u32::from_be_bytes,
        Some(_) => return false,
    };
    let second = number(4).and_then(|length| number(read(length) as usize));
    second.is_none_or(|kind| !OF_NETWORKS.contains(&read(kind)))
}

/// A block.
pub(super) struct Block<'a> {
    pub(super) kind: u32,
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) body: &'a [u8],
    /// Whether numbers begin with their highest byte.
    pub(super) big: bool,
}

/// What comes next.
pub(super) enum Next<'a> {
    Block(Block<'a>),
    End,
    /// The rest cannot be read: from where, and why.
    Cut(u64, String),
}

/// Reads blocks.
pub(super) struct Blocks<'i> {
    input: &'i mut Input,
    buffer: Vec<u8>,
    big: bool,
    count: u64,
}

impl<'i> Blocks<'i> {
    pub(super) fn new(input: &'i mut Input) -> Blocks<'i> {
        Blocks {
            input,
            buffer: Vec::new(),
            big: false,
            count: 0,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn input(&self) -> &Input {
        self.input
    }

    /// The next block.
    pub(super) fn next(&mut self) -> Result<Next<'_>, ImportError> {
        let offset = self.input.offset();
        self.buffer.clear();
        let got = self.input.read_into(&mut self.buffer, 8)?;
        if got == 0 {
            return Ok(match self.input.cut() {
                Some(reason) => Next::Cut(offset, reason.to_owned()),
                None if self.count == 0 => Next::Cut(0, "the file is empty".to_owned()),
                None => Next::End,
            });
        }
        if got < 8 {
            return Ok(self.short(offset));
        }
        let kind = self.number(0);
        if kind == SECTION_HEADER {
            // Its length is in the byte order that its body tells.
            self.input.read_into(&mut self.buffer, 4)?;
            match self.order() {
                Some(big) => self.big = big,
                None if self.buffer.len() < 12 => return Ok(self.short(offset)),
                None => return Ok(Next::Cut(offset, "the byte order mark is wrong".to_owned())),
            }
        } else if self.count == 0 {
            return Ok(Next::Cut(
                offset,
                "the file does not begin with a section header".to_owned(),
            ));
        }
        let length = self.number(4);
        if !(FRAME..=MAX_BLOCK).contains(&length) || (kind == SECTION_HEADER && length < FRAME + 16) {
            return Ok(Next::Cut(
                offset,
                format!("block of type {kind:#x} with impossible length {length}"),
            ));
        }
        let left = (length as usize).saturating_sub(self.buffer.len());
        if self.input.read_into(&mut self.buffer, left)? < left {
            return Ok(self.short(offset));
        }
        let end = length as usize - 4;
        if self.number(end) != length {
            let reason = format!("block of type {kind:#x}: its length {length} is not repeated at its end");
            return Ok(Next::Cut(offset, reason));
        }
        if kind == SECTION_HEADER && self.half(12) > MAJOR {
            let reason = format!("version {} of the format is not known", self.half(12));
            return Ok(Next::Cut(offset, reason));
        }
        self.count += 1;
        Ok(Next::Block(Block {
            kind,
            offset,
            body: self.buffer.get(8..end).unwrap_or_default(),
            big: self.big,
        }))
    }

    fn short(&self, offset: u64) -> Next<'static> {
        let reason = self.input.cut().map_or_else(
            || "the file ends within a block".to_owned(),
            |gzip| format!("the file ends within a block: {gzip}"),
        );
        Next::Cut(offset, reason)
    }

    /// The byte order of a section header in the buffer.
    fn order(&self) -> Option<bool> {
        let mark: [u8; 4] = self.buffer.get(8..12)?.try_into().ok()?;
        match (u32::from_le_bytes(mark), u32::from_be_bytes(mark)) {
            (BYTE_ORDER, _) => Some(false),
            (_, BYTE_ORDER) => Some(true),
            _ => None,
        }
    }

    fn number(&self, at: usize) -> u32 {
        let bytes: [u8; 4] = self
            .buffer
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .unwrap_or_default();
        if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn half(&self, at: usize) -> u16 {
        let bytes: [u8; 2] = self
            .buffer
            .get(at..at + 2)
            .and_then(|b| b.try_into().ok())
            .unwrap_or_default();
        if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }
}
