//! Where text came from: condition text is pieced together from YAML scalars, and every offset in it leads back to a
//! file, line and column.

use crate::diagnostics::{Diagnostic, Severity};

/// A file as it was handed over.
#[derive(Debug)]
pub(crate) struct SourceFile {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

/// How a scalar was written, as far as it decides how its value relates to the file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// The value is the text itself.
    Verbatim,
    /// Plain or block scalars: line breaks and indentation may differ, all else is the same.
    Folded,
    /// Single-quoted: as folded, and `''` stands for `'`.
    Single,
    /// Double-quoted: as folded, and backslash escapes.
    Double,
}

/// A place in a file where a scalar's content begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) file: u32,
    /// Byte offset of the first character of the content.
    pub(crate) start: usize,
    pub(crate) style: Style,
}

impl Origin {
    /// For what stands in no file.
    pub(crate) const NOWHERE: Origin = Origin {
        file: u32::MAX,
        start: 0,
        style: Style::Verbatim,
    };
}

/// A place in a [`Text`] of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loc {
    text: u32,
    offset: u32,
}

/// Text made of pieces with known origins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    buf: String,
    /// Each piece: where it begins in `buf`, whether it is a scalar's value or made up, and where it came from.
    pieces: Vec<(usize, bool, Origin)>,
}

impl Text {
    /// The text of one scalar.
    pub(crate) fn scalar(value: &str, origin: Origin) -> Text {
        let mut text = Text::default();
        text.push_scalar(value, origin);
        text
    }

    /// Appends a scalar's value.
    pub(crate) fn push_scalar(&mut self, value: &str, origin: Origin) {
        self.pieces.push((self.buf.len(), true, origin));
        self.buf.push_str(value);
    }

    /// Appends text that stands in no file; errors in it are shown at `origin`.
    pub(crate) fn push_made(&mut self, made: &str, origin: Origin) {
        self.pieces.push((self.buf.len(), false, origin));
        self.buf.push_str(made);
    }

    /// Appends another text with its origins.
    pub(crate) fn push_text(&mut self, other: &Text) {
        let base = self.buf.len();
        self.pieces
            .extend(other.pieces.iter().map(|&(at, real, origin)| (base + at, real, origin)));
        self.buf.push_str(&other.buf);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.buf
    }

    pub(crate) fn origin(&self) -> Option<Origin> {
        self.pieces.first().map(|p| p.2)
    }
}

/// All files and texts of a load.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<SourceFile>,
    texts: Vec<Text>,
}

impl Sources {
    /// Adds a file and returns its number.
    pub(crate) fn add_file(&mut self, name: &str, text: &str) -> u32 {
        let line_starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1))
            .collect();
        self.files.push(SourceFile {
            name: name.to_owned(),
            text: text.to_owned(),
            line_starts,
        });
        (self.files.len() - 1) as u32
    }

    /// Adds a text and returns the number that [`Loc`]s of it carry.
    pub(crate) fn add_text(&mut self, text: Text) -> u32 {
        self.texts.push(text);
        (self.texts.len() - 1) as u32
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", |t| t.as_str())
    }

    /// A location of a text added before.
    pub(crate) fn loc(text: u32, offset: usize) -> Loc {
        Loc {
            text,
            offset: offset.min(u32::MAX as usize) as u32,
        }
    }

    /// Byte offset of a line (from 1) and column (from 0, in characters) of a file.
    pub(crate) fn byte_of(&self, file: u32, line: usize, column: usize) -> usize {
        let Some(f) = self.files.get(file as usize) else {
            return 0;
        };
        let start = line
            .checked_sub(1)
            .and_then(|l| f.line_starts.get(l))
            .copied()
            .unwrap_or(f.text.len());
        self.further(file, start, column)
    }

    /// Byte offset of the character that stands `count` characters after the one at `byte`.
    pub(crate) fn further(&self, file: u32, byte: usize, count: usize) -> usize {
        let rest = self.tail(file, byte);
        byte + rest.char_indices().nth(count).map_or(rest.len(), |(i, _)| i)
    }

    /// A file's text from a byte offset on.
    pub(crate) fn tail(&self, file: u32, byte: usize) -> &str {
        self.files
            .get(file as usize)
            .and_then(|f| f.text.get(byte..))
            .unwrap_or("")
    }

    /// A diagnostic at a place in a text.
    pub(crate) fn at_loc(&self, severity: Severity, loc: Loc, message: String) -> Diagnostic {
        let Some(text) = self.texts.get(loc.text as usize) else {
            return self.at(severity, 0, 0, message);
        };
        let offset = loc.offset as usize;
        let Some(&(piece, real, origin)) = text.pieces.iter().rev().find(|p| p.0 <= offset) else {
            return self.at(severity, 0, 0, message);
        };
        let end = text
            .pieces
            .iter()
            .map(|p| p.0)
            .find(|at| *at > piece)
            .unwrap_or(text.buf.len());
        let value = text.buf.get(piece..end).unwrap_or("");
        let within = if real {
            self.source_offset(origin, value, offset - piece)
        } else {
            0
        };
        self.at(severity, origin.file, origin.start + within, message)
    }

    /// A diagnostic at the beginning of a scalar or node.
    pub(crate) fn at_origin(&self, severity: Severity, origin: Origin, message: String) -> Diagnostic {
        self.at(severity, origin.file, origin.start, message)
    }

    fn at(&self, severity: Severity, file: u32, byte: usize, message: String) -> Diagnostic {
        let Some(f) = self.files.get(file as usize) else {
            return Diagnostic {
                severity,
                file: String::new(),
                line: 1,
                column: 1,
                message,
                suggestion: None,
            };
        };
        let byte = byte.min(f.text.len());
        let line = f.line_starts.partition_point(|s| *s <= byte).max(1);
        let start = f.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = f.text.get(start..byte).map_or(0, |s| s.chars().count()) + 1;
        Diagnostic {
            severity,
            file: f.name.clone(),
            line: line as u32,
            column: column as u32,
            message,
            suggestion: None,
        }
    }

    fn source_offset(&self, origin: Origin, value: &str, target: usize) -> usize {
        if origin.style == Style::Verbatim {
            return target;
        }
        let tail = self
            .files
            .get(origin.file as usize)
            .and_then(|f| f.text.get(origin.start..))
            .unwrap_or("");
        align(tail, value, target, origin.style)
    }
}

/// Where in `source` the character at byte `target` of `value` stands.
///
/// Folding changes white space only, so all other characters are met in order.
fn align(source: &str, value: &str, target: usize, style: Style) -> usize {
    let mut at = 0;
    for (i, c) in value.char_indices() {
        let (start, end) = place_of(source, at, c, style);
        if i >= target {
            return start;
        }
        at = end;
    }
    at
}

/// Where the next value character `c` begins and ends in `source`, from byte `at` on.
fn place_of(source: &str, mut at: usize, c: char, style: Style) -> (usize, usize) {
    let peek = |at: usize| source.get(at..).and_then(|s| s.chars().next());
    if c.is_whitespace() {
        return match peek(at) {
            Some('\\') if style == Style::Double => (at, at + escape_len(source, at)),
            Some(s) if s.is_whitespace() => (at, at + s.len_utf8()),
            _ => (at, at),
        };
    }
    while let Some(s) = peek(at) {
        if s.is_whitespace() {
            at += s.len_utf8();
        } else if style == Style::Double && s == '\\' && matches!(peek(at + 1), Some('\n' | '\r')) {
            at += 1;
        } else {
            break;
        }
    }
    let len = match (style, peek(at)) {
        (Style::Double, Some('\\')) => escape_len(source, at),
        (Style::Single, Some('\'')) => 2,
        (_, Some(s)) => s.len_utf8(),
        (_, None) => 0,
    };
    (at, at + len)
}

/// Length of the backslash escape at byte `at` of a double-quoted scalar (YAML 1.2, 5.7).
fn escape_len(source: &str, at: usize) -> usize {
    match source.as_bytes().get(at + 1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_offsets_lead_back_to_the_line() {
        let source = "a and\n    b or\n    (c)\n";
        let value = "a and b or (c)\n";
        let c = value.find('c').unwrap_or(0);
        assert_eq!(align(source, value, c, Style::Folded), source.find('c').unwrap_or(0));
    }

    #[test]
    fn quoted_offsets_skip_escapes() {
        assert_eq!(align(r#"a \"b\" c""#, r#"a "b" c"#, 6, Style::Double), 8);
        assert_eq!(align("a ''b'' c'", "a 'b' c", 6, Style::Single), 8);
    }
}
