//! The engine's log stream, cut into what containers wrote.
//!
//! With `timestamps=1` each entry is `2026-11-21T06:00:00.123456789Z text\n`. Of a container without a terminal each comes in a
//! frame of its own: one byte for the stream, three zeros, the length as four bytes, big endian. Of one with a terminal
//! they follow each other without frames. An entry without a line's end is a piece of a longer line: the engine
//! cuts lines into pieces of 16 KiB.

use thiserror::Error;

use crate::docker::timestamp::parse_rfc3339;

/// Longest frame that is accepted; the engine's entries are some 16 KiB.
const MAX_FRAME: usize = 256 * 1024;
/// Where the engine cuts lines.
const PIECE: usize = 16 * 1024;
/// Longest time stamp that is accepted, with the space behind it.
const MAX_STAMP: usize = 64;
const HEADER: usize = 8;

/// Bytes that cannot be a log stream.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum EntryError {
    /// A frame is not of a stream.
    #[error("malformed frame of a log stream")]
    Frame,
    /// An entry is too long.
    #[error("entry of more than {MAX_FRAME} bytes")]
    Long,
    /// What the engine says in place of an entry.
    #[error("{0}")]
    Told(String),
}

/// One entry: a line that a container wrote, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Nanoseconds since the Unix epoch, by the engine's clock.
    pub(super) ts_ns: u64,
    /// `stdout` or `stderr`; a terminal knows the first only.
    pub(super) stream: &'static str,
    /// Without the line's end.
    pub(super) text: &'a [u8],
    /// The line goes on in the next entry of its stream.
    pub(super) is_partial: bool,
}

/// Collects bytes until an entry is whole.
#[derive(Debug)]
pub(super) struct Entries {
    buffer: Vec<u8>,
    /// Where the first entry that was not yet returned begins.
    start: usize,
    is_tty: bool,
}

impl Entries {
    pub(super) fn new(is_tty: bool) -> Entries {
        Entries {
            buffer: Vec::new(),
            start: 0,
            is_tty,
        }
    }

    /// Where new bytes are appended. Call [`Entries::next`] until it says `None` before the next append.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        &mut self.buffer
    }

    /// The next whole entry. `ended` says that nothing more comes: what is left of a terminal's stream is an entry then.
    pub(super) fn next(&mut self, ended: bool) -> Result<Option<Entry<'_>>, EntryError> {
        let waiting = self.buffer.get(self.start..).unwrap_or_default();
        let (length, stream, entry) = if self.is_tty {
            let Some(length) = tty_length(waiting, ended) else {
                return too_long(waiting);
            };
            (length, "stdout", waiting.get(..length).unwrap_or_default())
        } else {
            let Some((stream, length)) = frame(waiting)? else {
                return Ok(None);
            };
            let Some(entry) = waiting.get(HEADER..HEADER + length) else {
                return Ok(None);
            };
            (HEADER + length, stream, entry)
        };
        self.start += length;
        parse(stream, entry).map(Some)
    }
}

fn too_long(waiting: &[u8]) -> Result<Option<Entry<'static>>, EntryError> {
    if waiting.len() > MAX_FRAME {
        Err(EntryError::Long)
    } else {
        Ok(None)
    }
}

/// Stream and length of the frame at the beginning; `None` while its header is incomplete.
fn frame(bytes: &[u8]) -> Result<Option<(&'static str, usize)>, EntryError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let [stream, 0, 0, 0, length @ ..] = *header else {
        return Err(EntryError::Frame);
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(EntryError::Long);
    }
    match stream {
        1 => Ok(Some(("stdout", length))),
        // 3 is an error of the engine's own: it has no time and is told from what was written by that.
        2 | 3 => Ok(Some(("stderr", length))),
        _ => Err(EntryError::Frame),
    }
}

/// Length of the entry at the beginning of a terminal's stream. A line's piece has no end: where one may be cut the next
/// bytes decide, since what follows is a time stamp then and never otherwise.
fn tty_length(bytes: &[u8], ended: bool) -> Option<usize> {
    let stamp = stamp_length(bytes).unwrap_or(0);
    let cut = stamp + PIECE;
    let head = bytes.get(..cut.min(bytes.len())).unwrap_or_default();
    if let Some(end) = head.iter().position(|b| *b == b'\n') {
        return Some(end + 1);
    }
    let rest = bytes.get(cut..).unwrap_or_default();
    if stamp > 0 && stamp_length(rest).is_some() {
        return Some(cut);
    }
    if rest.len() >= MAX_STAMP || ended {
        if let Some(end) = rest.iter().position(|b| *b == b'\n') {
            return Some(cut + end + 1);
        }
        return (ended && !bytes.is_empty()).then_some(bytes.len());
    }
    // A line of just the length of a piece.
    (rest.first() == Some(&b'\n')).then_some(cut + 1)
}

/// Length of the time stamp at the beginning and of the space behind it.
fn stamp_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..bytes.len().min(MAX_STAMP))?;
    let end = head.iter().position(|b| *b == b' ')?;
    let text = std::str::from_utf8(head.get(..end)?).ok()?;
    parse_rfc3339(text).map(|_| end + 1)
}

fn parse<'a>(stream: &'static str, entry: &'a [u8]) -> Result<Entry<'a>, EntryError> {
    let told = || EntryError::Told(String::from_utf8_lossy(entry).trim().chars().take(300).collect());
    let end = entry.iter().position(|b| *b == b' ').ok_or_else(told)?;
    let (stamp, text) = entry.split_at(end);
    let stamp = std::str::from_utf8(stamp).map_err(|_| told())?;
    let text = text.get(1..).unwrap_or_default();
    let line = text.strip_suffix(b"\n");
    Ok(Entry {
        ts_ns: parse_rfc3339(stamp).ok_or_else(told)?,
        stream,
        text: line.unwrap_or(text),
        is_partial: line.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: &str = "1970-01-01T00:00:07.000000001Z ";
    const TS: u64 = 7_000_000_001;

    type Owned = (u64, &'static str, Vec<u8>, bool);

    /// Decodes in pieces of a size: the result must not depend on how the stream was cut.
    fn decode(wire: &[u8], is_tty: bool, size: usize) -> Result<Vec<Owned>, EntryError> {
        let (mut entries, mut out) = (Entries::new(is_tty), Vec::new());
        let mut take = |entries: &mut Entries, ended| -> Result<(), EntryError> {
            while let Some(e) = entries.next(ended)? {
                out.push((e.ts_ns, e.stream, e.text.to_vec(), e.is_partial));
            }
            Ok(())
        };
        for piece in wire.chunks(size) {
            entries.buffer().extend_from_slice(piece);
            take(&mut entries, false)?;
        }
        take(&mut entries, true)?;
        Ok(out)
    }

    fn framed(stream: u8, text: &[u8]) -> Vec<u8> {
        let mut out = vec![stream, 0, 0, 0];
        out.extend_from_slice(&u32::try_from(STAMP.len() + text.len()).expect("short").to_be_bytes());
        out.extend_from_slice(STAMP.as_bytes());
        out.extend_from_slice(text);
        out
    }

    #[test]
    fn frames_are_entries() {
        let wire = [framed(1, b"out\n"), framed(2, b"\n"), framed(1, b"piece")].concat();
        let want = vec![
            (TS, "stdout", b"out".to_vec(), false),
            (TS, "stderr", Vec::new(), false),
            (TS, "stdout", b"piece".to_vec(), true),
        ];
        for size in 1..=wire.len() {
            assert_eq!(decode(&wire, false, size), Ok(want.clone()), "{size}");
        }
    }

    #[test]
    fn a_terminals_lines_are_cut_where_the_engine_cut_them() {
        let (full, rest) = ("x".repeat(PIECE), "the rest\r");
        let wire = format!("{STAMP}short\r\n{STAMP}{full}{STAMP}{full}{STAMP}{rest}\n{STAMP}{full}\n{STAMP}no end");
        let piece = |text: &str, partial| (TS, "stdout", text.as_bytes().to_vec(), partial);
        let want = vec![
            piece("short\r", false),
            piece(&full, true),
            piece(&full, true),
            piece(rest, false),
            piece(&full, false),
            piece("no end", true),
        ];
        for size in [1, 7, 1000, PIECE, PIECE + STAMP.len(), wire.len()] {
            assert_eq!(decode(wire.as_bytes(), true, size), Ok(want.clone()), "{size}");
        }
    }

    #[test]
    fn what_is_no_log_stream_is_an_error() {
        assert_eq!(decode(b"\x07\0\0\0\0\0\0\0", false, 8), Err(EntryError::Frame));
        assert_eq!(decode(b"\x01\0\0\0\xff\0\0\0", false, 8), Err(EntryError::Long));
        assert_eq!(
            decode(b"\x01\0\0\0\0\0\0\0", false, 8),
            Err(EntryError::Told(String::new()))
        );
        let told = decode(b"Error grabbing logs: EOF\n", true, 100);
        assert_eq!(told, Err(EntryError::Told("Error grabbing logs: EOF".to_owned())));
        assert_eq!(decode(&vec![b'x'; MAX_FRAME + 1], true, 4096), Err(EntryError::Long));
    }
}
