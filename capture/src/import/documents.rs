//! Files of JSON: one document a line, or documents over many lines as tools print them for people.

use super::lines::{self, Line};
use super::{End, ImportError, Input, Origin, Sink};
use crate::json::{Document, Json};

/// Longer documents are cut and kept raw.
const MAX_DOCUMENT: usize = 64 << 20;

/// What is known of the end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Nothing. What can be read is a document; what cannot may go on in the next line.
    Unknown,
    /// It closes what it opens, or will not do so any more.
    Settled,
}

/// Hands every document of a file to `take`: a line that closes what it opens, or lines that do so together. A line
/// that is torn off does not swallow those behind it.
///
/// `take` says whether it took the text. It takes what is settled, and else what it can read, without a trace of what it
/// cannot: most lines are documents, and their brackets are counted by reading them.
pub(super) fn each(
    input: &mut Input,
    sink: &mut Sink<'_>,
    mut take: impl FnMut(&Line<'_>, Whole, &mut Sink<'_>) -> Result<bool, ImportError>,
) -> Result<End, ImportError> {
    let mut open = Open::default();
    let end = lines::each(input, sink, |line, sink| {
        if !open.is_open() {
            if line.text.starts_with(b"{") && take(line, Whole::Unknown, sink)? {
                return Ok(());
            }
            let mut scan = Scan::default();
            scan.read(line.text);
            if scan.is_closed() || !goes_on(line.text) {
                take(line, Whole::Settled, sink)?;
                return Ok(());
            }
            open.begin(line, scan);
            return Ok(());
        }
        if open.is_torn_before(line.text) {
            sink.bad(open.origin, 0, "JSON that does not end", &open.text)?;
            open.end();
            take(line, Whole::Settled, sink)?;
            return Ok(());
        }
        open.add(line.text);
        if open.scan.is_closed() {
            take(&open.line(), Whole::Settled, sink)?;
            open.end();
        } else if open.text.len() > MAX_DOCUMENT || !goes_on(line.text) {
            sink.bad(open.origin, 0, "JSON that does not end", &open.text)?;
            open.end();
        }
        Ok(())
    })?;
    if open.is_open() {
        sink.bad(open.origin, 0, "JSON that does not end", &open.text)?;
    }
    Ok(end)
}

/// Hands every document of a file to `take`, read; each may stand behind a prefix. What cannot be read is kept.
pub(super) fn read(
    input: &mut Input,
    sink: &mut Sink<'_>,
    mut take: impl FnMut(Json<'_>, &Line<'_>, &mut Sink<'_>) -> Result<(), ImportError>,
) -> Result<End, ImportError> {
    let mut document = Document::default();
    each(input, sink, |line, is_whole, sink| {
        match document.parse(within(line.text)) {
            Ok(read) => take(read.root(), line, sink)?,
            // It may go on in the next line.
            Err(_) if is_whole == Whole::Unknown => return Ok(false),
            Err(error) => unreadable(&error, line, sink)?,
        }
        Ok(true)
    })
}

/// Keeps a line that is no JSON.
fn unreadable(error: &serde_json::Error, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if within(line.text).starts_with(b"{") {
        return sink.bad(line.origin, 0, &error.to_string(), line.text);
    }
    // What is said to people in between.
    sink.unknown(line.origin, 0, "not a record of this format", line.text)
}

/// A file in which more documents than this do not end is not looked through.
const MAX_TORN: usize = 16;

/// The documents at the beginning of a file, wherever in a line each begins: some tools print them over many lines,
/// some log them behind a prefix. Those that do not end are left out.
pub(super) fn first(start: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut torn) = (start, 0);
    std::iter::from_fn(move || {
        while torn < MAX_TORN {
            rest = rest.get(memchr::memchr(b'{', rest)?..)?;
            let mut scan = Scan::default();
            let end = rest.iter().position(|byte| {
                scan.read(std::slice::from_ref(byte));
                scan.is_closed()
            });
            if let Some((document, behind)) = end.and_then(|at| rest.split_at_checked(at + 1)) {
                rest = behind;
                return Some(document);
            }
            torn += 1;
            rest = rest.get(memchr::memchr(b'\n', rest)?..)?;
        }
        None
    })
}

/// The document of a line, which may stand behind a prefix: of syslog, of an event stream (`data:`), of a sequence.
pub(super) fn within(line: &[u8]) -> &[u8] {
    if line.trim_ascii_start().starts_with(b"{") {
        return line;
    }
    let behind = memchr::memmem::find(line, b"{\"").and_then(|at| line.get(at..));
    behind.unwrap_or(line)
}

/// Whether JSON that is open may be broken after this line: behind a comma, a colon or a bracket, or anywhere in what is
/// indented. A line of a log that was torn off is neither.
fn goes_on(line: &[u8]) -> bool {
    let end = line.trim_ascii_end().last();
    line.starts_with(b" ") || line.starts_with(b"\t") || matches!(end, Some(b',' | b':' | b'[' | b'{' | b'}' | b']'))
}

/// A document whose end was not read yet.
#[derive(Default)]
struct Open {
    origin: Origin,
    text: Vec<u8>,
    scan: Scan,
}

impl Open {
    fn is_open(&self) -> bool {
        !self.text.is_empty()
    }

    fn begin(&mut self, line: &Line<'_>, scan: Scan) {
        self.origin = line.origin;
        self.text.extend_from_slice(line.text);
        self.scan = scan;
    }

    fn add(&mut self, text: &[u8]) {
        self.text.push(b'\n');
        self.text.extend_from_slice(text);
        self.scan.read(text);
    }

    /// Whether a line is a document of its own where none can stand.
    fn is_torn_before(&self, line: &[u8]) -> bool {
        let in_list = self.text.ends_with(b"[") || self.text.ends_with(b"},");
        line.starts_with(b"{") && !in_list && {
            let mut scan = Scan::default();
            scan.read(line);
            scan.is_closed()
        }
    }

    fn line(&self) -> Line<'_> {
        Line {
            origin: self.origin,
            text: &self.text,
        }
    }

    fn end(&mut self) {
        self.text = Vec::new();
    }
}

/// How deep in brackets a text is. Whether it is JSON at all is for others to say.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: i64,
    in_string: bool,
    is_escaped: bool,
}

impl Scan {
    fn read(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((byte, after)) = rest.split_first() {
            if !self.in_string {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
                rest = after;
            } else if self.is_escaped {
                self.is_escaped = false;
                rest = after;
            } else {
                // Most of a record is text.
                let at = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                match rest.get(at) {
                    Some(b'"') => self.in_string = false,
                    Some(_) => self.is_escaped = true,
                    None => {}
                }
                rest = rest.get(at + 1..).unwrap_or_default();
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.depth <= 0 && !self.in_string
    }
}
