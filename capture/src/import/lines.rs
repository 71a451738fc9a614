//! Logs of lines: one after the other, with their places.

use super::{End, ImportError, Input, Origin, Sink};

/// Longer lines are cut and kept raw: nothing that is logged is as long, but a file of another kind may be one line.
const MAX_LINE: usize = 16 << 20;
/// How often the sink is told how far the file was read.
const TOLD_EVERY: u64 = 4096;

/// A line that is not empty, without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Where it stands.
    pub(super) origin: Origin,
    /// What it says.
    pub(super) text: &'a [u8],
}

/// Hands every line of a file to `take`: lent, since to copy what was just written in parts the processor waits until all
/// that was written before has reached its cache.
pub(super) fn each(
    input: &mut Input,
    sink: &mut Sink<'_>,
    mut take: impl FnMut(&Line<'_>, &mut Sink<'_>) -> Result<(), ImportError>,
) -> Result<End, ImportError> {
    let mut text = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        let offset = input.offset();
        // Nearly every line lies whole in what was read, and need not be copied.
        let piece = input.fill()?;
        let taken = match memchr::memchr(b'\n', piece).and_then(|end| piece.get(..end)) {
            Some(line) => {
                let text = line.strip_suffix(b"\r").unwrap_or(line);
                if !is_blank(text) {
                    let origin = sink.origin(offset, number);
                    take(&Line { origin, text }, sink)?;
                }
                line.len() + 1
            }
            None => 0,
        };
        if taken > 0 {
            input.consume(taken);
        } else {
            text.clear();
            let origin = sink.origin(offset, number);
            match input.line(&mut text, MAX_LINE)? {
                None => break,
                Some(_) if is_blank(&text) => {}
                Some(true) => take(&Line { origin, text: &text }, sink)?,
                Some(false) => {
                    sink.bad(origin, 0, "a line longer than 16 MiB", &text)?;
                    text = Vec::new();
                }
            }
        }
        if number.is_multiple_of(TOLD_EVERY) {
            sink.at(input);
        }
    }
    Ok(match input.cut() {
        None => End::Whole,
        Some(reason) => End::Cut {
            offset: input.offset(),
            reason: reason.to_owned(),
        },
    })
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The lines at the beginning of a file that are whole and not empty; of a file of one line without an end, that.
pub(super) fn first(start: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = memchr::memrchr(b'\n', start).map_or(start.len(), |at| at + 1);
    let lines = start.get(..whole).unwrap_or_default().split(|b| *b == b'\n');
    lines.map(<[u8]>::trim_ascii).filter(|l| !l.is_empty())
}
