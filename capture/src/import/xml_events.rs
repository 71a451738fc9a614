//! Events of XML: one a line, also behind a prefix; several in a line; or each over many lines, as tools print them for
//! people. What they stand in (`<Events>`, `<?xml …?>`) says nothing.

use super::lines::{self, Line};
use super::{End, ImportError, Input, Origin, Sink};

/// Longer events are cut and kept raw.
const MAX_EVENT: usize = 1 << 20;
/// How an event begins and ends, and what stands in it first.
const BEGIN: &[u8] = b"<Event";
const END: &[u8] = b"</Event>";
const SYSTEM: &[u8] = b"<System";

/// Hands every event of a file to `take`, and every line that is none. An event that does not end costs only itself.
pub(super) fn each(
    input: &mut Input,
    sink: &mut Sink<'_>,
    mut take: impl FnMut(&Line<'_>, &mut Sink<'_>) -> Result<(), ImportError>,
) -> Result<End, ImportError> {
    let mut open = Open::default();
    let end = lines::each(input, sink, |line, sink| split(&mut open, line, sink, &mut take))?;
    open.give_up(sink)?;
    Ok(end)
}

/// The events at the beginning of a file; the last one may be cut.
pub(super) fn first(start: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start;
    std::iter::from_fn(move || {
        rest = event(rest)?;
        let (event, behind) = rest.split_at_checked(end_of(rest).unwrap_or(rest.len()))?;
        rest = behind;
        Some(event)
    })
}

/// A text from where its first event begins.
pub(super) fn event(text: &[u8]) -> Option<&[u8]> {
    begins(text).find(|event| inside(event).is_some_and(|i| i.starts_with(SYSTEM)))
}

/// Whether a line is only what events stand in.
pub(super) fn is_wrapping(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    [&b"<?xml"[..], b"<Events", b"</Events>"]
        .iter()
        .any(|w| line.starts_with(w))
        && begins(line).next().is_none()
}

/// The places at which a tag of that name begins, and what follows each.
fn begins(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tags = memchr::memmem::find_iter(text, BEGIN).filter_map(move |at| text.get(at..));
    tags.filter(|tag| matches!(tag.get(BEGIN.len()), Some(b'>' | b' ')))
}

/// What stands behind the tag of an event.
fn inside(event: &[u8]) -> Option<&[u8]> {
    let tag = memchr::memchr(b'>', event)?;
    event.get(tag + 1..).map(<[u8]>::trim_ascii_start)
}

/// Offset behind the first end of an event.
fn end_of(text: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, END).map(|at| at + END.len())
}

/// Offset of an event that begins in a line: all of it, or only its tag.
fn begin_of(line: &[u8]) -> Option<usize> {
    let whole = |event: &&[u8]| inside(event).is_some_and(|i| i.is_empty() || i.starts_with(SYSTEM));
    begins(line).find(whole).map(|event| line.len() - event.len())
}

/// Takes events out of a line, and waits for the rest of one that goes on behind it.
fn split(
    open: &mut Open,
    line: &Line<'_>,
    sink: &mut Sink<'_>,
    take: &mut impl FnMut(&Line<'_>, &mut Sink<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut rest = line.text;
    let place = |rest: &[u8]| Origin {
        offset: line.origin.offset + (line.text.len() - rest.len()) as u64,
        ..line.origin
    };
    loop {
        let begin = begin_of(rest);
        if open.is_open() {
            let end = end_of(rest).filter(|end| begin.is_none_or(|begin| *end <= begin));
            if begin.is_some() && end.is_none() {
                open.give_up(sink)?;
                continue;
            }
            let (piece, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, b""));
            open.add(piece);
            if end.is_some() {
                take(&open.line(), sink)?;
                open.end();
            } else if open.text.len() > MAX_EVENT {
                open.give_up(sink)?;
            }
            rest = behind;
        } else {
            let event = begin.and_then(|begin| rest.get(begin..)).unwrap_or_default();
            let end = end_of(event).map(|end| end + begin.unwrap_or(0));
            let origin = place(rest);
            match end {
                Some(end) if begin_of(rest.get(end..).unwrap_or_default()).is_some() => {
                    let (text, behind) = rest.split_at_checked(end).unwrap_or((rest, b""));
                    take(&Line { origin, text }, sink)?;
                    rest = behind;
                    continue;
                }
                None if goes_on(rest, begin) => open.begin(origin, rest),
                _ if begin.is_none() && is_wrapping(rest) => {}
                _ => take(&Line { origin, text: rest }, sink)?,
            }
            return Ok(());
        }
        if rest.trim_ascii().is_empty() {
            return Ok(());
        }
    }
}

/// Whether an event that begins in a line may end in another one: what is behind a prefix is a line of a log, and a line
/// that was torn off ends anywhere.
fn goes_on(line: &[u8], begin: Option<usize>) -> bool {
    let before = begin.and_then(|begin| line.get(..begin)).map(<[u8]>::trim_ascii);
    before.is_some_and(|b| b.is_empty() || is_wrapping(b)) && line.trim_ascii_end().ends_with(b">")
}

/// An event whose end was not read yet.
#[derive(Default)]
struct Open {
    origin: Origin,
    text: Vec<u8>,
}

impl Open {
    fn is_open(&self) -> bool {
        !self.text.is_empty()
    }

    fn begin(&mut self, origin: Origin, text: &[u8]) {
        self.origin = origin;
        self.text.extend_from_slice(text);
    }

    fn add(&mut self, text: &[u8]) {
        self.text.push(b'\n');
        self.text.extend_from_slice(text);
    }

    fn line(&self) -> Line<'_> {
        Line {
            origin: self.origin,
            text: &self.text,
        }
    }

    fn give_up(&mut self, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        if self.is_open() {
            sink.bad(self.origin, 0, "an event that does not end", &self.text)?;
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        self.text = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_at_the_beginning() {
        let text = b"<?xml version=\"1.0\"?>\n<Events>\n<Event xmlns=\"x\">\n <System/>\n</Event><Event><System/>1</Event>\n<Event><Sys";
        let events: Vec<&[u8]> = first(text).collect();
        assert_eq!(events.len(), 2);
        assert!(events[0].starts_with(b"<Event xmlns") && events[0].ends_with(END));
        assert_eq!(events[1], b"<Event><System/>1</Event>");
    }

    #[test]
    fn what_stands_around_events() {
        assert!(is_wrapping(b" <Events>") && is_wrapping(b"</Events>") && is_wrapping(b"<?xml version='1.0'?>"));
        assert!(!is_wrapping(b"<Events><Event><System>") && !is_wrapping(b"text"));
    }
}
