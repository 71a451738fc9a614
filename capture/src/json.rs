//! JSON as it stands in a line: texts are borrowed from it.
//!
//! Members are few and found by looking through them. Nothing is accepted here that `serde_json` does not accept: what
//! is rare (numbers with fractions, deep nesting, members with one name) and what is wrong is left to it.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// Names are different.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a document.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Json<'a>, serde_json::Error> {
        match Json::parse_usual(text) {
            Some(json) => Ok(json),
            None => serde_json::from_slice::<Value>(text).map(Json::from),
        }
    }

    /// Reads a document that has nothing rare in it. `None` says nothing of whether it is JSON.
    pub(crate) fn parse_usual(text: &'a [u8]) -> Option<Json<'a>> {
        read(std::str::from_utf8(text).ok()?)
    }

    /// A member, of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let mut members = self.as_object()?.iter();
        members.find_map(|(n, value)| is_same(n, name).then_some(value))
    }

    /// An element, of a list.
    pub(crate) fn at(&self, index: usize) -> Option<&Json<'a>> {
        self.as_array()?.get(index)
    }

    /// What is below names and, of lists, numbers: `/spec/containers/0`.
    pub(crate) fn pointer(&self, path: &str) -> Option<&Json<'a>> {
        let mut names = path.split('/').skip(1);
        names.try_fold(self, |value, name| match value {
            Json::Array(list) => list.get(name.parse::<usize>().ok()?),
            value => value.get(name),
        })
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Json::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Json::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(list) => Some(list),
            _ => None,
        }
    }

    /// Members in their order.
    pub(crate) fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self, Json::String(_))
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Json::Number(_))
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Json::Object(_))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }
}

impl From<Value> for Json<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Json::Null,
            Value::Bool(is) => Json::Bool(is),
            Value::Number(number) => Json::Number(number),
            Value::String(text) => Json::String(text.into()),
            Value::Array(list) => Json::Array(list.into_iter().map(Json::from).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                Json::Object(members.map(|(name, value)| (name.into(), value.into())).collect())
            }
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(is) => serializer.serialize_bool(*is),
            Json::Number(number) => number.serialize(serializer),
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(list) => serializer.collect_seq(list),
            Json::Object(members) => serializer.collect_map(members.iter().map(|(name, value)| (name, value))),
        }
    }
}

/// Without blanks.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Reads a document; `None` for what is rare, and for what is no JSON.
fn read(text: &str) -> Option<Json<'_>> {
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
/// More members are rare, and comparing their names would take long.
const MAX_MEMBERS: usize = 64;
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

    /// Hands the members of an object to `take`, which reads their values. Names may come twice.
    #[inline]
    pub(crate) fn members(&mut self, mut take: impl FnMut(Cow<'a, str>, &mut Reader<'a>) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
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
            _ => self.number()?.as_u64(),
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
    fn plain(&mut self) -> Option<&'a str> {
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

/// Which names an object has, nearly: those that share a bit are compared with each other.
#[derive(Default)]
struct Names([u64; 4]);

impl Names {
    /// Takes a name that is not among those before it.
    #[inline]
    fn is_new(&mut self, name: &str, members: &[(Cow<'_, str>, Json<'_>)]) -> Option<()> {
        let mark = mark(name.as_bytes());
        let (word, bit) = (self.0.get_mut(usize::from(mark / 64))?, 1 << (mark % 64));
        if *word & bit != 0 {
            let is_known = members.len() >= MAX_MEMBERS || members.iter().any(|(known, _)| is_same(known, name));
            (!is_known).then_some(())?;
        }
        *word |= bit;
        Some(())
    }
}

/// A number that few names share: made of the length and of the first and last four characters.
#[inline]
fn mark(name: &[u8]) -> u8 {
    let ends = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    ((ends ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Whether two names are the same. Many have one length, few of those end alike.
#[inline]
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.as_bytes().last() == b.as_bytes().last() && a == b
}

const ONES: u64 = u64::MAX / 255;

/// Where the first quote, backslash or control character is.
fn special(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // The high bit of each byte that is one. Those above it may be wrong, which the first does not mind.
        let found = quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * u64::from(b' ')) & !word;
        match found & (ONES << 7) {
            0 => {}
            found => return Some(at * 8 + found.trailing_zeros() as usize / 8),
        }
    }
    let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..b' ');
    Some(words.len() * 8 + rest.iter().position(is_special)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: [&str; 16] = [
        r#"{"a":1,"b":[true,false,null,-5,0,"x"],"c":{"d":"e\"\\\/\b\f\n\r\t\u00e9\u0000"},"":[],"f":{}}"#,
        " [ 1 , { \"a\" : \"b\" } ]\r\n\t",
        r#""text with é and more than eight bytes""#,
        "123456789012345678",
        r#"{"long":[18446744073709551615,9999999999999999999,-9999999999999999999],"big":1e400}"#,
        r#"{"numbers":[1.5,-0,1e3,1234567890123456789,-9223372036854775808]}"#,
        r#"{"twice":1,"other":2,"twice":{"last":true}}"#,
        r#""\ud83d\ude00 and \ud83d alone""#,
        "[01]",
        "[1,]",
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        "[\"\u{1}\"]",
        r#"["\x"]"#,
        "[1] 2",
        "-",
    ];

    #[test]
    fn it_reads_what_serde_json_reads() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let too_deep = "[".repeat(10_000);
        let many: Vec<String> = (0..300).map(|n| format!("\"{n}\":{n}")).collect();
        let many = format!("{{{}}}", many.join(","));
        for text in DOCUMENTS.into_iter().chain([&*deep, &too_deep, &many]) {
            // All of it, and cut anywhere.
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let text = &text[..end];
                let expected = serde_json::from_str::<Value>(text);
                let read = read(text);
                if let Some(read) = &read {
                    assert_eq!(*read, Json::from(expected.as_ref().expect(text).clone()), "{text}");
                }
                match (Json::parse(text.as_bytes()), expected) {
                    (Ok(json), Ok(value)) => {
                        assert_eq!(json.to_string(), value.to_string());
                    }
                    (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected.to_string()),
                    (json, expected) => panic!("{text}: {json:?} and not {expected:?}"),
                }
            }
        }
        assert!(read(DOCUMENTS[0]).is_some() && read(DOCUMENTS[1]).is_some());
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn special_characters_are_found_in_any_place() {
        for len in 0..40 {
            let mut text = vec![0x80; len];
            assert_eq!(special(&text), None);
            for at in (0..len).rev() {
                for (byte, expected) in [
                    (b'"', Some(at)),
                    (b'\\', Some(at)),
                    (0x1F, Some(at)),
                    (b' ', None),
                    (0xFF, None),
                ] {
                    text[at] = byte;
                    assert_eq!(special(&text), expected, "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn values_below() {
        let json = Json::parse(br#"{"a":{"b":[1,"x"]}}"#).expect("JSON");
        assert_eq!(json.pointer("/a/b/1").and_then(Json::as_str), Some("x"));
        assert_eq!(json.pointer("/a/c"), None);
        assert_eq!(json.pointer("/a/b/c"), None);
        assert_eq!(json.get("a").and_then(|a| a.get("b")?.at(0)?.as_i64()), Some(1));
    }
}
