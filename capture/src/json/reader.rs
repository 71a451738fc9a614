//! Reads JSON from its beginning to its end.

use std::borrow::Cow;

use serde_json::Number;

use super::Json;
use super::names::Names;
use super::scan::special;

/// Reads a document; `None` for what is rare, and for what is no JSON.
pub(super) fn read(text: &str) -> Option<Json<'_>> {
    let mut reader = Reader {
        text,
        at: 0,
        open: Vec::with_capacity(USUAL_MEMBERS),
    };
    let value = reader.value(0)?;
    reader.end().map(|()| value)
}

/// What is nested deeper is rare.
const MAX_DEPTH: u32 = 64;
/// Most objects that are open at once have no more together.
const USUAL_MEMBERS: usize = 64;
/// Digits of which every number fits into 64 bits: nanoseconds since 1970 have as many.
const MAX_DIGITS: usize = 19;

/// Reads what it is asked for, one after the other; `None` for what is rare, and for what is no JSON.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The members so far of objects that are not complete: how many an object has is known at its end.
    open: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Reader<'a> {
    /// Begins a document.
    pub(crate) fn new(text: &'a [u8]) -> Option<Reader<'a>> {
        let text = std::str::from_utf8(text).ok()?;
        let mut reader = Reader {
            text,
            at: 0,
            open: Vec::new(),
        };
        reader.skip_blanks();
        Some(reader)
    }

    /// Nothing but blanks may follow.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.skip_blanks();
        (self.at == self.text.len()).then_some(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes a character, with blanks before it.
    fn take(&mut self, wanted: u8) -> Option<()> {
        self.skip_blanks();
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self, depth: u32) -> Option<Json<'a>> {
        self.skip_blanks();
        match self.peek()? {
            b'"' => self.string().map(Json::String),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number().map(Json::Number),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Option<Json<'a>> {
        self.rest()
            .starts_with(word.as_bytes())
            .then(|| self.at += word.len())?;
        Some(value)
    }

    /// A whole number.
    fn number(&mut self) -> Option<Number> {
        if self.peek()? != b'-' {
            return self.digits().map(Number::from);
        }
        self.at += 1;
        // Zero has no sign here.
        let number = self.digits().filter(|n| *n > 0)?;
        Some(Number::from(-i64::try_from(number).ok()?))
    }

    /// A whole number without a sign. Where there is none nothing is taken.
    #[inline]
    fn digits(&mut self) -> Option<u64> {
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

    fn array(&mut self, depth: u32) -> Option<Json<'a>> {
        self.take(b'[').filter(|()| depth < MAX_DEPTH)?;
        let mut list = Vec::new();
        if self.take(b']').is_some() {
            return Some(Json::Array(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Json::Array(list));
            }
        }
    }

    fn object(&mut self, depth: u32) -> Option<Json<'a>> {
        self.take(b'{').filter(|()| depth < MAX_DEPTH)?;
        if self.take(b'}').is_some() {
            return Some(Json::Object(Vec::new()));
        }
        let start = self.open.len();
        let mut names = Names::default();
        loop {
            self.skip_blanks();
            match self.plain() {
                Some(name) => {
                    names.is_new(name, self.open.get(start..)?)?;
                    self.member(name, depth)?;
                }
                None => {
                    let name = self.string()?;
                    names.is_new(&name, self.open.get(start..)?)?;
                    self.take(b':')?;
                    let value = self.value(depth + 1)?;
                    self.open.push((name, value));
                }
            }
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Json::Object(self.open.split_off(start)));
            }
        }
    }

    /// Reads the value of a member. What most values are goes from registers to its place: what is stored and read again
    /// at once, as the result of a call is, the processor waits for.
    #[inline(always)]
    fn member(&mut self, name: &'a str, depth: u32) -> Option<()> {
        self.take(b':')?;
        self.skip_blanks();
        if let Some(text) = self.plain() {
            let value = Json::String(Cow::Borrowed(text));
            self.open.extend(Some((Cow::Borrowed(name), value)));
        } else if let Some(number) = self.digits() {
            let value = Json::Number(Number::from(number));
            self.open.extend(std::iter::once((Cow::Borrowed(name), value)));
        } else {
            let value = self.value(depth + 1)?;
            self.open.push((Cow::Borrowed(name), value));
        }
        Some(())
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

    /// A whole number; 0 for `null`.
    pub(crate) fn number_or_null(&mut self) -> Option<u64> {
        match self.peek()? {
            b'n' => self.word("null", Json::Null).map(|_| 0),
            _ => self.digits(),
        }
    }

    /// A text with its quotes; the empty one for `null`.
    pub(crate) fn string_or_null(&mut self) -> Option<Cow<'a, str>> {
        match self.peek()? {
            b'n' => self.word("null", Json::Null).map(|_| Cow::default()),
            _ => self.string(),
        }
    }

    /// Reads over a value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            _ => self.value(0).map(drop),
        }
    }

    /// A text with its quotes.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        if let Some(text) = self.plain() {
            return Some(Cow::Borrowed(text));
        }
        (self.peek()? == b'"').then(|| self.at += 1)?;
        self.escaped()
    }

    /// A text with its quotes that has no escapes. Where there is none nothing is taken.
    #[inline]
    pub(crate) fn plain(&mut self) -> Option<&'a str> {
        let rest = self.rest().strip_prefix(b"\"")?;
        let len = special(rest)?;
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let text = self.text.get(start..start + len)?;
        self.at = start + len + 1;
        Some(text)
    }

    /// The text behind a quote that has escapes in it.
    fn escaped(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let mut unescaped: Option<String> = None;
        let mut piece = start;
        loop {
            self.at += special(self.rest())?;
            let plain = self.text.get(piece..self.at)?;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(match unescaped {
                        None => Cow::Borrowed(plain),
                        Some(mut text) => {
                            text.push_str(plain);
                            Cow::Owned(text)
                        }
                    });
                }
                b'\\' => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(plain);
                    self.at += 1;
                    text.push(self.escape()?);
                    piece = self.at;
                }
                // Control characters are written as escapes.
                _ => return None,
            }
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
