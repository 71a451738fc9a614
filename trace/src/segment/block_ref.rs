//! A block in a segment file: its head in memory, its body read when it is asked for.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::file::SegmentFile;
use super::header::SegmentHeader;
use super::problem::{Problem, ProblemKind};
use crate::block::decoded::Decoded;
use crate::block::{self, BlockError, BlockHead, Decoder, Need};
use crate::schema::Schema;

/// A block that has been found but not read. Cheap to clone; can be sent to other threads.
#[derive(Clone, Debug)]
pub struct BlockRef {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Arc<SegmentFile>,
    header: Arc<SegmentHeader>,
    offset: u64,
    body_offset: u64,
    body_len: u32,
    head: BlockHead,
}

impl BlockRef {
    pub(crate) fn new(
        file: Arc<SegmentFile>,
        header: Arc<SegmentHeader>,
        offset: u64,
        body: (u64, u32),
        head: BlockHead,
    ) -> BlockRef {
        let (body_offset, body_len) = body;
        BlockRef {
            inner: Arc::new(Inner {
                file,
                header,
                offset,
                body_offset,
                body_len,
                head,
            }),
        }
    }

    /// What the block holds.
    pub fn head(&self) -> &BlockHead {
        &self.inner.head
    }

    /// The event types of its segment.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.inner.header.schema
    }

    /// The header of its segment.
    pub fn header(&self) -> &SegmentHeader {
        &self.inner.header
    }

    /// Its segment's file.
    pub fn path(&self) -> &Path {
        self.inner.file.path()
    }

    /// Where its record begins in the file.
    pub fn offset(&self) -> u64 {
        self.inner.offset
    }

    /// Length of its body.
    pub fn body_len(&self) -> u32 {
        self.inner.body_len
    }

    /// Reads the body.
    ///
    /// # Errors
    /// Where the file cannot be read; what was read is not checked (the decoder and [`BlockRef::check`] do).
    pub fn load(&self) -> Result<Vec<u8>, Problem> {
        let mut body = Vec::new();
        self.load_into(&mut body)?;
        Ok(body)
    }

    /// Reads the body into memory that is used again.
    ///
    /// # Errors
    /// As [`BlockRef::load`].
    pub(crate) fn load_into(&self, body: &mut Vec<u8>) -> Result<(), Problem> {
        self.make_room(body);
        self.inner
            .file
            .read_into(self.inner.body_offset, body)
            .map_err(|e| self.io_problem(&e))
    }

    /// Gives memory that is used again the length of the body. What it holds stays only if it has that length already.
    fn make_room(&self, body: &mut Vec<u8>) {
        // The length was compared with the file's when the block was found.
        let len = self.inner.body_len as usize;
        if body.capacity() < len {
            // Not grown, which would copy it. The next block may be somewhat larger.
            *body = Vec::new();
            body.reserve_exact(len.next_power_of_two());
        }
        body.resize(len, 0);
    }

    /// Reads the parts of the body that decoding `need` looks at; what lies between them is left as it was.
    fn load_needed(&self, need: Need, have: Need, body: &mut Vec<u8>) -> Result<(), Problem> {
        let ranges =
            block::ranges_beyond(self.head(), self.schema(), need, have).map_err(|e| self.block_problem(&e))?;
        self.make_room(body);
        for range in ranges {
            // The frames add up to the body's length: compared when the block was found.
            let Some(part) = body.get_mut(range.start as usize..range.end as usize) else {
                continue;
            };
            let at = self.inner.body_offset + range.start;
            self.inner.file.read_into(at, part).map_err(|e| self.io_problem(&e))?;
        }
        Ok(())
    }

    /// Decodes what is asked for.
    ///
    /// # Errors
    /// Where the file cannot be read or the block is damaged.
    pub fn decode(&self, decoder: &mut Decoder, need: Need) -> Result<Decoded, Problem> {
        let mut out = Decoded::default();
        let body = self.load()?;
        self.decode_body(decoder, need, &body, &mut out)?;
        Ok(out)
    }

    fn decode_body(&self, decoder: &mut Decoder, need: Need, body: &[u8], out: &mut Decoded) -> Result<(), Problem> {
        out.host.clear();
        out.host.push_str(&self.header().about.host.name);
        decoder
            .decode(self.head(), body, self.schema(), need, out)
            .map_err(|e| self.block_problem(&e))
    }

    /// Reads the body and compares every checksum and digest. The problem's offset is that of the first damaged frame.
    ///
    /// # Errors
    /// Where the file cannot be read or the block is damaged.
    pub fn check(&self) -> Result<(), Problem> {
        let body = self.load()?;
        let Err(error) = block::verify(self.head(), &body) else {
            return Ok(());
        };
        let problem = self.block_problem(&error);
        Err(Problem {
            offset: problem.offset + self.first_damaged(&body),
            ..problem
        })
    }

    /// Where the first frame begins whose checksum differs; 0 where all are right.
    fn first_damaged(&self, body: &[u8]) -> u64 {
        let mut rest = body;
        let mut at = 0;
        for frame in &self.head().frames {
            match rest.split_at_checked(frame.packed_len as usize) {
                Some((bytes, _)) if crc32fast::hash(bytes) != frame.crc32 => return at,
                Some((bytes, tail)) => (at, rest) = (at + bytes.len() as u64, tail),
                None => return at,
            }
        }
        0
    }

    fn io_problem(&self, error: &io::Error) -> Problem {
        self.problem(ProblemKind::Io, error.to_string())
    }

    fn block_problem(&self, error: &BlockError) -> Problem {
        self.problem(ProblemKind::Corrupt, format!("{}: {error}", self.describe()))
    }

    fn problem(&self, kind: ProblemKind, message: String) -> Problem {
        Problem {
            path: self.path().to_owned(),
            offset: self.inner.body_offset,
            kind,
            message,
        }
    }

    /// The block in words, for messages.
    pub(crate) fn describe(&self) -> String {
        describe(self.head())
    }
}

/// A block in words, for messages.
pub(crate) fn describe(head: &BlockHead) -> String {
    match head.events {
        0 => "a block without events".to_owned(),
        n => format!(
            "the block of {n} events {} – {}",
            head.first_seq,
            head.first_seq + u64::from(n) - 1
        ),
    }
}

/// Reads blocks one after another with the same memory; one per reading thread.
#[derive(Debug, Default)]
pub struct BlockReader {
    decoder: Decoder,
    body: Vec<u8>,
    decoded: Decoded,
    /// The block that was read last, if it could be.
    last: Option<BlockRef>,
}

impl BlockReader {
    /// A reader.
    pub fn new() -> BlockReader {
        BlockReader::default()
    }

    /// Lets go of the block that was read last. Its memory stays.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// What was decoded of this block: nothing, if another one was read since.
    pub fn have(&self, block: &BlockRef) -> Need {
        let same = |last: &BlockRef| Arc::ptr_eq(&last.inner, &block.inner);
        match &self.last {
            Some(last) if same(last) => self.decoded.have,
            _ => Need::NOTHING,
        }
    }

    /// What was decoded last; of no meaning after an error.
    pub fn decoded(&self) -> &Decoded {
        &self.decoded
    }

    /// Reads and decodes what is asked for of a block.
    ///
    /// # Errors
    /// Where the file cannot be read or the block is damaged.
    pub fn read(&mut self, block: &BlockRef, need: Need) -> Result<&mut Decoded, Problem> {
        self.last = None;
        block.load_needed(need, Need::NOTHING, &mut self.body)?;
        block.decode_body(&mut self.decoder, need, &self.body, &mut self.decoded)?;
        self.last = Some(block.clone());
        Ok(&mut self.decoded)
    }

    /// Reads and decodes what is asked for beyond what was read of this block before; if it was not the last one, as
    /// [`BlockReader::read`].
    ///
    /// # Errors
    /// As [`BlockReader::read`].
    pub fn add(&mut self, block: &BlockRef, need: Need) -> Result<&mut Decoded, Problem> {
        let same = |last: &BlockRef| Arc::ptr_eq(&last.inner, &block.inner);
        if !self.last.as_ref().is_some_and(same) {
            return self.read(block, need);
        }
        let have = self.decoded.have;
        if have.contains(need.implied()) {
            return Ok(&mut self.decoded);
        }
        self.last = None;
        block.load_needed(need, have, &mut self.body)?;
        self.decoder
            .add(block.head(), &self.body, block.schema(), need, &mut self.decoded)
            .map_err(|e| block.block_problem(&e))?;
        self.last = Some(block.clone());
        Ok(&mut self.decoded)
    }
}
