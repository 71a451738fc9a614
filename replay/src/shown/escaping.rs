//! Escaping while a line is written: what needs none, nearly everything, is copied.

use std::fmt::Write;

use ctrace_trace::escape;

/// What becomes of characters that stand for themselves nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// Everything stays.
    None,
    /// What drives a terminal or misleads its reader is shown, as [`escape::text`] does it.
    Terminal,
    /// As in a JSON string.
    Json,
    /// The same, and what JSON lets through and misleads on a terminal is written as `\u` escapes: it says the same.
    VisibleJson,
    /// As in a JSON string, and then as [`escape::text`] does it: for lines of text.
    VisibleText,
}

/// Whether no escaping changes a text.
pub(crate) fn is_plain(text: &str) -> bool {
    // All bytes are looked at, so that the processor takes many at once.
    let odd = |b: u8| !(b' '..=b'~').contains(&b) | (b == b'"') | (b == b'\\');
    !text.bytes().fold(false, |found, b| found | odd(b))
}

/// A piece of lines that is known before, with whether it has to be escaped at all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    text: String,
    /// Whether it is JSON already.
    json: bool,
    plain: bool,
}

impl Piece {
    pub(crate) fn text(text: String) -> Piece {
        Piece {
            json: false,
            plain: is_plain(&text),
            text,
        }
    }

    pub(crate) fn json(text: String) -> Piece {
        Piece {
            json: true,
            plain: text.bytes().all(|b| (b' '..=b'~').contains(&b)),
            text,
        }
    }

    /// Writes it.
    #[inline]
    pub(crate) fn push(&self, escaping: Escaping, out: &mut String) {
        match (self.plain, self.json, escaping) {
            (true, ..) | (_, true, Escaping::None | Escaping::Json) => out.push_str(&self.text),
            (false, false, _) => escaping.push(&self.text, out),
            // What JSON itself escapes is escaped.
            (false, true, Escaping::VisibleJson) => out.push_str(&escape::json(&self.text)),
            (false, true, Escaping::VisibleText | Escaping::Terminal) => out.push_str(&escape::text(&self.text)),
        }
    }
}

impl Escaping {
    /// Writes a text.
    pub(crate) fn push(self, text: &str, out: &mut String) {
        let json = self != Escaping::None && self != Escaping::Terminal;
        let visible = self != Escaping::None && self != Escaping::Json;
        let odd = |b: u8| match b {
            b'"' | b'\\' => json,
            0..0x20 => json || visible,
            0x7f.. => visible,
            _ => false,
        };
        let mut rest = text;
        while let Some(at) = rest.bytes().position(odd) {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let mut chars = after.chars();
            if let Some(c) = chars.next() {
                self.push_char(c, out);
            }
            rest = chars.as_str();
        }
        out.push_str(rest);
    }

    /// Writes what may have to be escaped.
    fn push_char(self, c: char, out: &mut String) {
        let json = match c {
            _ if matches!(self, Escaping::None | Escaping::Terminal) => None,
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            '\u{8}' => Some("\\b"),
            '\u{c}' => Some("\\f"),
            _ => None,
        };
        match (json, self) {
            (Some(escaped), _) => out.push_str(escaped),
            (None, Escaping::None) => out.push(c),
            (None, Escaping::Terminal) => escape::push(out, c),
            (None, _) if c < ' ' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            (None, Escaping::Json) => out.push(c),
            (None, Escaping::VisibleText) => escape::push(out, c),
            (None, Escaping::VisibleJson) => escape::push_json(out, c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that some escaping changes, among others that none does.
    const ALL: &str =
        "a\"b\\c\u{0}\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1b}\u{1f} ~\u{7f}\u{9b}ü日\u{202e}\u{e0001}\u{10ffff}\u{1f600}z";

    #[test]
    fn what_is_written_is_what_the_slow_ways_give() {
        let json = serde_json::Value::from(ALL).to_string();
        let quoted = json.trim_matches('"');
        let wanted = [
            (Escaping::None, ALL.to_owned()),
            (Escaping::Terminal, escape::text(ALL)),
            (Escaping::Json, quoted.to_owned()),
            (Escaping::VisibleJson, escape::json(quoted).into_owned()),
            (Escaping::VisibleText, escape::text(quoted)),
        ];
        for (escaping, wanted) in wanted {
            let mut out = String::new();
            escaping.push(ALL, &mut out);
            assert_eq!(out, wanted, "{escaping:?}");
            let mut out = String::new();
            escaping.push("nothing to do", &mut out);
            assert_eq!(out, "nothing to do");
        }
    }

    #[test]
    fn plain_is_what_no_escaping_changes() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let text = c.to_string();
            let changed = [
                Escaping::Terminal,
                Escaping::Json,
                Escaping::VisibleJson,
                Escaping::VisibleText,
            ]
            .iter()
            .any(|escaping| {
                let mut out = String::new();
                escaping.push(&text, &mut out);
                out != text
            });
            assert!(!(changed && is_plain(&text)), "{c:?}");
            assert!(c > '~' || is_plain(&text) != changed, "{c:?}");
        }
    }
}
