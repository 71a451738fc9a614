//! HTTP message bodies as bytes arrive: plain, chunked (RFC 9112, section 7.1) or until the connection closes.

use thiserror::Error;

/// Longest chunk-size or trailer line that is accepted.
const MAX_LINE: usize = 4096;

/// Bytes that cannot be a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// A chunk does not begin with a hexadecimal size.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk is not followed by an empty line.
    #[error("chunk without its end")]
    ChunkEnd,
    /// A chunk-size or trailer line does not end.
    #[error("overlong line in chunked body")]
    LongLine,
}

/// Takes the transfer coding off a body, however the bytes are cut into reads.
#[derive(Debug)]
pub(super) struct BodyDecoder {
    state: State,
    /// The part of a chunk-size or trailer line that has arrived.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain { left: u64 },
    UntilClose,
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailer,
    Done,
}

impl BodyDecoder {
    /// A body of a known length.
    pub(super) fn plain(length: u64) -> BodyDecoder {
        BodyDecoder::new(if length == 0 {
            State::Done
        } else {
            State::Plain { left: length }
        })
    }

    /// A body that the end of the connection ends.
    pub(super) fn until_close() -> BodyDecoder {
        BodyDecoder::new(State::UntilClose)
    }

    /// A chunked body.
    pub(super) fn chunked() -> BodyDecoder {
        BodyDecoder::new(State::ChunkSize)
    }

    fn new(state: State) -> BodyDecoder {
        BodyDecoder {
            state,
            line: Vec::new(),
        }
    }

    /// Whether the whole body has been seen.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the body is whole when the connection closes now.
    pub(super) fn may_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Decodes what has arrived and appends the content to `out`; bytes after the body are ignored.
    pub(super) fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        while !input.is_empty() {
            match self.state {
                State::Done => return Ok(()),
                State::UntilClose => {
                    out.extend_from_slice(input);
                    return Ok(());
                }
                State::Plain { left } => {
                    let left = take(&mut input, left, out);
                    self.state = if left == 0 { State::Done } else { State::Plain { left } };
                }
                State::ChunkData { left } => {
                    let left = take(&mut input, left, out);
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::ChunkData { left }
                    };
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => {
                    if self.take_line(&mut input)? {
                        self.end_line()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves bytes up to the next line feed into `line`; says whether the line is whole.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<bool, BodyError> {
        let (part, rest, whole) = match input.iter().position(|b| *b == b'\n') {
            Some(at) => (input.get(..at), input.get(at + 1..), true),
            None => (Some(*input), None, false),
        };
        self.line.extend_from_slice(part.unwrap_or_default());
        *input = rest.unwrap_or_default();
        if self.line.len() > MAX_LINE {
            return Err(BodyError::LongLine);
        }
        Ok(whole)
    }

    fn end_line(&mut self) -> Result<(), BodyError> {
        let line = self.line.trim_ascii();
        self.state = match self.state {
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailer,
                left => State::ChunkData { left },
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(BodyError::ChunkEnd),
            State::Trailer if line.is_empty() => State::Done,
            other => other,
        };
        self.line.clear();
        Ok(())
    }
}

/// Appends up to `left` bytes of `input` to `out`; returns how many are still missing.
fn take(input: &mut &[u8], left: u64, out: &mut Vec<u8>) -> u64 {
    let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (now, later) = input.split_at(n);
    out.extend_from_slice(now);
    *input = later;
    left - n as u64
}

/// The size in a chunk's first line, whose extensions after `;` mean nothing here.
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let text = std::str::from_utf8(digits).map_err(|_| BodyError::ChunkSize)?;
    if text.starts_with('+') {
        return Err(BodyError::ChunkSize);
    }
    u64::from_str_radix(text, 16).map_err(|_| BodyError::ChunkSize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `wire` in pieces of every size: the result must not depend on how it was cut.
    fn decode(wire: &[u8], make: fn() -> BodyDecoder) -> Result<(Vec<u8>, bool), BodyError> {
        let mut all = Vec::new();
        for size in 1..=wire.len() {
            let (mut decoder, mut out) = (make(), Vec::new());
            let result = wire.chunks(size).try_for_each(|piece| decoder.feed(piece, &mut out));
            all.push(result.map(|()| (out, decoder.is_done())));
        }
        all.dedup();
        assert_eq!(all.len(), 1, "the cut changed the result: {all:?}");
        all.remove(0)
    }

    #[test]
    fn chunks_extensions_and_trailers_are_taken_off() {
        let wire = b"4\r\nWiki\r\n6;name=value\r\npedia \r\nB\r\nin \r\nchunks\r\n0\r\nX: y\r\n\r\nleftover";
        let expected = (b"Wikipedia in \r\nchunks".to_vec(), true);
        assert_eq!(decode(wire, BodyDecoder::chunked), Ok(expected));
    }

    #[test]
    fn a_cut_body_is_not_done() {
        assert_eq!(decode(b"4\r\nWi", BodyDecoder::chunked), Ok((b"Wi".to_vec(), false)));
        assert_eq!(decode(b"abc", || BodyDecoder::plain(4)), Ok((b"abc".to_vec(), false)));
        assert_eq!(decode(b"abcde", || BodyDecoder::plain(4)), Ok((b"abcd".to_vec(), true)));
    }

    #[test]
    fn malformed_chunks_are_errors() {
        assert_eq!(decode(b"zz\r\n", BodyDecoder::chunked), Err(BodyError::ChunkSize));
        assert_eq!(decode(b"-1\r\n", BodyDecoder::chunked), Err(BodyError::ChunkSize));
        assert_eq!(
            decode(b"11111111111111111\r\n", BodyDecoder::chunked),
            Err(BodyError::ChunkSize)
        );
        assert_eq!(decode(b"1\r\nab\r\n", BodyDecoder::chunked), Err(BodyError::ChunkEnd));
        let mut decoder = BodyDecoder::chunked();
        let result = decoder.feed(&[b'1'; MAX_LINE + 1], &mut Vec::new());
        assert_eq!(result, Err(BodyError::LongLine));
    }
}
