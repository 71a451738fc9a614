//! Making recorded bytes safe to show: terminals must not be driven by what a recorded process wrote.

use std::borrow::Cow;
use std::fmt::Write;

/// Recorded text with everything that could drive a terminal or mislead its reader written as `\xNN` or `\u{NNNN}`:
/// control characters, direction overrides, invisible characters.
pub fn text(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    s.chars().for_each(|c| push(&mut out, c));
    out
}

/// The same for bytes that need not be UTF-8.
pub fn bytes(s: &[u8]) -> String {
    let mut out = String::with_capacity(s.len());
    for chunk in s.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push(&mut out, c));
        chunk
            .invalid()
            .iter()
            .for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out
}

/// Bytes as text of their own: only what is not UTF-8 is written as `\xNN`. For formats that have an escaping of their
/// own (JSON, Parquet); not for terminals.
pub fn lossless(s: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(s) {
        Ok(s) => Cow::Borrowed(s),
        Err(_) => {
            let mut out = String::with_capacity(s.len() + 8);
            for chunk in s.utf8_chunks() {
                out.push_str(chunk.valid());
                chunk
                    .invalid()
                    .iter()
                    .for_each(|b| out.push_str(&format!("\\x{b:02x}")));
            }
            Cow::Owned(out)
        }
    }
}

/// Appends a character as [`text`] writes it.
pub fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if misleads(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// JSON with the characters that [`misleads`] names written as `\u` escapes: it says the same and is safe to show.
pub fn json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(misleads) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    json.chars().for_each(|c| push_json(&mut out, c));
    Cow::Owned(out)
}

/// Appends a character of a JSON text as [`json`] writes it.
pub fn push_json(out: &mut String, c: char) {
    if misleads(c) {
        // Writing to a string cannot fail.
        c.encode_utf16(&mut [0; 2])
            .iter()
            .for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
    } else {
        out.push(c);
    }
}

/// Characters outside ASCII, and DEL, that act on a terminal or hide: C1 controls, line separators, direction marks and
/// overrides, zero-width and variation characters, tags, private use. JSON leaves these as they are.
pub fn misleads(c: char) -> bool {
    matches!(u32::from(c),
        0x7f..=0x9f | 0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
        | 0xfff0..=0xfffb | 0xe000..=0xf8ff | 0x1d173..=0x1d17a | 0xe0000..=0x10ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(bytes(b"a\x1b[31mred\x07\xff\n"), "a\\x1b[31mred\\x07\\xff\\n");
        assert_eq!(text("exe\u{202e}gpj.sh \u{9b}31m"), "exe\\u{202e}gpj.sh \\u{9b}31m");
        assert_eq!(text("Grüße 日本"), "Grüße 日本");
        assert_eq!(lossless(b"\x1b\xfe"), "\u{1b}\\xfe");
    }

    #[test]
    fn json_that_is_safe_says_the_same() {
        let quoted = "\"a\u{202e}b\u{9b}\u{7f}\u{e0001}ü\\u001b\"";
        let visible = json(quoted);
        assert!(!visible.chars().any(|c| misleads(c) || c.is_control()), "{visible}");
        assert_eq!(visible, "\"a\\u202eb\\u009b\\u007f\\udb40\\udc01ü\\u001b\"");
        assert!(matches!(json("\"ü\""), Cow::Borrowed(_)));
    }
}
