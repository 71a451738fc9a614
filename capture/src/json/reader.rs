//! Reads JSON from its beginning to its end, one piece after the other.

use std::borrow::Cow;

use super::node::Span;
use super::scan::special;

/// What is nested deeper is rare.
pub(super) const MAX_DEPTH: u32 = 64;
/// Digits of which every number fits into 64 bits: nanoseconds since 1970 have as many.
const MAX_DIGITS: usize = 19;

/// A text that was read: where it lies, in one number, since what is returned in parts is written and read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text(u64);

/// It has escapes, and is not in the document as it is meant.
const APART: u64 = 1 << 63;
/// Longer documents are rare.
pub(super) const MAX_LEN: usize = i32::MAX as usize;

impl Text {
    #[inline]
    fn new(start: usize, len: usize) -> Text {
        Text(start as u64 | (len as u64) << 32)
    }

    /// Appends a text that was read elsewhere.
    pub(crate) fn append(text: &str, texts: &mut String) -> Option<Text> {
        let start = texts.len();
        texts.push_str(text);
        Text::behind(start, texts)
    }

    /// What was appended from a place on.
    fn behind(start: usize, texts: &str) -> Option<Text> {
        let text = Text::new(start, texts.len().checked_sub(start)?);
        (texts.len() <= MAX_LEN).then_some(Text(text.0 | APART))
    }

    /// Where it lies.
    #[inline]
    pub(super) fn span(self) -> Span {
        Span {
            start: self.0 as u32,
            len: ((self.0 & !APART) >> 32) as u32,
        }
    }

    #[inline]
    pub(super) fn is_apart(self) -> bool {
        self.0 & APART != 0
    }

    /// Its characters: of the document, or of the texts that were appended.
    #[inline]
    pub(crate) fn of<'v>(self, document: &'v str, texts: &'v str) -> &'v str {
        self.span().of(if self.is_apart() { texts } else { document })
    }
}

/// Reads what it is asked for; `None` for what is rare, and for what is no JSON.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins a document.
    pub(crate) fn new(text: &'a [u8]) -> Option<Reader<'a>> {
        (text.len() <= MAX_LEN).then_some(())?;
        let mut reader = Reader::of(std::str::from_utf8(text).ok()?);
        reader.skip_blanks();
        Some(reader)
    }

    pub(super) fn of(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// What is read.
    pub(crate) fn document(&self) -> &'a str {
        self.text
    }

    /// Nothing but blanks may follow.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        (self.at == self.text.len()).then_some(())
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes on by a character.
    #[inline]
    pub(super) fn advance(&mut self) -> Option<()> {
        self.at += 1;
        Some(())
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes a character, with blanks before it.
    #[inline]
    pub(super) fn take(&mut self, wanted: u8) -> Option<()> {
        // Blanks are rare.
        if self.peek()? != wanted {
            self.skip_blanks();
        }
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// A whole number below 0.
    pub(super) fn negative(&mut self) -> Option<i64> {
        (self.peek()? == b'-').then(|| self.at += 1)?;
        // Zero has no sign here.
        let number = self.digits().filter(|n| *n > 0)?;
        Some(-i64::try_from(number).ok()?)
    }

    /// A whole number without a sign. Where there is none nothing is taken.
    #[inline]
    pub(crate) fn digits(&mut self) -> Option<u64> {
        let rest = self.rest();
        let (mut number, mut len) = (0_u64, 0);
        for byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(digit.into());
            len += 1;
        }
        let is_plain = (1..=MAX_DIGITS).contains(&len) && !matches!(rest.get(len), Some(b'.' | b'e' | b'E'));
        // No other number begins with a zero.
        let is_number = is_plain && (len == 1 || rest.first() != Some(&b'0'));
        is_number.then(|| self.at += len)?;
        Some(number)
    }

    /// Hands the members of an object to `take`, which reads their values. Names may come twice; with escapes they are
    /// rare.
    #[inline]
    pub(crate) fn members(&mut self, mut take: impl FnMut(&'a str, &mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            let name = self.plain()?;
            self.take(b':')?;
            self.skip_blanks();
            take(name, self)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// Appends the members of an object to `all`, whose values are texts. Names may come twice.
    pub(crate) fn text_members(&mut self, texts: &mut String, all: &mut Vec<[Text; 2]>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            let name = self.text(texts)?;
            self.take(b':')?;
            self.skip_blanks();
            all.push([name, self.text(texts)?]);
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// Lets `take` read the elements of a list.
    #[inline]
    pub(crate) fn elements(&mut self, mut take: impl FnMut(&mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            take(self)?;
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// A whole number from 0; 0 for `null`.
    pub(crate) fn number_or_null(&mut self) -> Option<u64> {
        match self.peek()? {
            b'n' => self.word("null").map(|()| 0),
            _ => self.digits(),
        }
    }

    /// A text with its quotes; the empty one for `null`.
    pub(crate) fn string_or_null(&mut self) -> Option<Cow<'a, str>> {
        match self.peek()? {
            b'n' => self.word("null").map(|()| Cow::default()),
            _ => self.string(),
        }
    }

    /// Reads over a value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.skip_value(0)
    }

    fn skip_value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' | b'[' if depth == MAX_DEPTH => None,
            b'{' => {
                self.advance()?;
                if self.take(b'}').is_some() {
                    return Some(());
                }
                loop {
                    self.skip_blanks();
                    self.skip_string()?;
                    self.take(b':')?;
                    self.skip_blanks();
                    self.skip_value(depth + 1)?;
                    if self.take(b',').is_none() {
                        return self.take(b'}');
                    }
                }
            }
            b'[' => self.elements(|reader| reader.skip_value(depth + 1)),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            b'-' => self.negative().map(drop),
            _ => self.digits().map(drop),
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        self.text(&mut String::new()).map(drop)
    }

    /// A text with its quotes.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        if let Some(text) = self.plain() {
            return Some(Cow::Borrowed(text));
        }
        let mut text = String::new();
        self.text(&mut text)?;
        Some(Cow::Owned(text))
    }

    /// A text with its quotes that has no escapes. Where there is none nothing is taken.
    #[inline]
    pub(crate) fn plain(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let len = self.plain_len()?;
        let text = self.text.get(start..start + len)?;
        self.at = start + len + 1;
        Some(text)
    }

    #[inline]
    fn plain_len(&self) -> Option<usize> {
        let rest = self.rest().strip_prefix(b"\"")?;
        let len = special(rest)?;
        (rest.get(len) == Some(&b'"')).then_some(len)
    }

    /// A text with its quotes: where it is. One with escapes is appended to `texts` without them.
    #[inline]
    pub(crate) fn text(&mut self, texts: &mut String) -> Option<Text> {
        let rest = self.rest().strip_prefix(b"\"")?;
        let len = special(rest)?;
        if rest.get(len) != Some(&b'"') {
            return self.escaped(len, texts);
        }
        let start = self.at + 1;
        self.at = start + len + 1;
        Some(Text::new(start, len))
    }

    /// One of which so many characters are no escapes.
    fn escaped(&mut self, plain: usize, texts: &mut String) -> Option<Text> {
        let start = texts.len();
        self.at += 1;
        self.unescape(plain, texts)?;
        Text::behind(start, texts)
    }

    /// Appends the rest of a text to `text`, without its escapes. Before the first come `plain` characters.
    fn unescape(&mut self, plain: usize, text: &mut String) -> Option<()> {
        let mut len = plain;
        loop {
            let start = self.at;
            self.at += len;
            text.push_str(self.text.get(start..self.at)?);
            let found = self.peek()?;
            self.at += 1;
            match found {
                b'"' => return Some(()),
                b'\\' => text.push(self.escape()?),
                // Control characters are written as escapes.
                _ => return None,
            }
            len = special(self.rest())?;
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<char> {
        let escaped = self.peek()?;
        self.at += 1;
        Some(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return None;
                }
                self.at += 4;
                // Halves of a pair are rare.
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }
}
