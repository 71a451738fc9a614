//! Reading a block: the columns that are asked for, and no others, go into a [`Decoded`].

use super::Need;
use super::decoded::Decoded;
use super::error::BlockError;
use super::head::{BlockHead, frames_digest};
use crate::schema::Schema;

/// Decodes blocks; keeps its memory between blocks, one per reading thread.
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// A decoder.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Decodes what `need` asks for into `out`, whose memory is reused. What `need` implies ([`Need::implied`]) is
    /// decoded too, all else in `out` is empty afterwards. After an error the content of `out` means nothing.
    ///
    /// Never panics and never allocates without bound, whatever the bytes are.
    pub fn decode(
        &mut self,
        head: &BlockHead,
        body: &[u8],
        schema: &Schema,
        need: Need,
        out: &mut Decoded,
    ) -> Result<(), BlockError> {
        let _ = (head, body, schema, need, out);
        Err(BlockError::Head("not written yet"))
    }
}

/// Checks that a body is the one its head was made for: length, checksum of each frame, digest over all.
pub fn verify(head: &BlockHead, body: &[u8]) -> Result<(), BlockError> {
    let mut rest = body;
    let mut frames = Vec::with_capacity(head.frames.len());
    for f in &head.frames {
        let (frame, tail) = rest
            .split_at_checked(f.packed_len as usize)
            .ok_or(BlockError::BodyLength {
                expected: head.body_len(),
                actual: body.len() as u64,
            })?;
        frames.push(frame);
        rest = tail;
    }
    if frames_digest(frames.into_iter()) != head.frames_digest {
        return Err(BlockError::Digest);
    }
    Ok(())
}
