//! Fields of a record's text: `name=value`, quoted, hex-coded or bare, also inside `msg='…'`.

use std::borrow::Cow;

use memchr::memchr;

use super::record::decimal;
use crate::scan::{Sixteen, WIDTH, Which};

/// One `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it is written.
    pub name: &'a [u8],
    /// The value.
    pub value: Value<'a>,
    /// Where the value begins in the text, with its quote.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Between double quotes: the text itself.
    Quoted(&'a [u8]),
    /// Without quotes: a number, a word, or text that the kernel hex-coded because it holds a blank, a quote or a
    /// control character. Which of them it is depends on the field.
    Bare(&'a [u8]),
}

/// The fields of a text, in order. The fields inside `msg='…'` come in its place; words that are no field are left out.
pub fn fields(text: &[u8]) -> Fields<'_> {
    Fields { text, rest: text }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        self.short().or_else(|| self.any())
    }
}

impl<'a> Fields<'a> {
    /// A field as most are: without a quote, and no longer than what is looked at at once. Where the next one is another
    /// nothing is taken.
    #[inline]
    fn short(&mut self) -> Option<Field<'a>> {
        // One blank is between nearly all fields.
        let text = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        let block = Sixteen::of(text.first_chunk()?);
        let equals = block.is(b'=').bits().trailing_zeros() as usize;
        let end = block.is_at_most(b' ').bits().trailing_zeros() as usize;
        // What may begin or end a value in another way.
        let quotes = block.is(b'"').or(block.is(b'\'')).or(block.is(b'{')).or(block.is(b','));
        let quote = quotes.bits().trailing_zeros() as usize;
        let is_short = end < WIDTH && (1..end).contains(&equals) && end <= quote;
        if !is_short || text.get(end) != Some(&b' ') {
            return None;
        }
        let start = self.text.len() - text.len();
        let field = Field {
            name: text.get(..equals)?,
            value: Value::Bare(text.get(equals + 1..end)?),
            start: start + equals + 1,
            end: start + end,
        };
        self.rest = text.get(end..)?;
        Some(field)
    }

    fn any(&mut self) -> Option<Field<'a>> {
        loop {
            self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
            if *self.rest.first()? <= b' ' {
                self.rest = self.rest.trim_ascii_start();
            }
            let stop = name_end(self.rest)?;
            let (name, after) = self.rest.split_at_checked(stop)?;
            let Some(value) = after.strip_prefix(b"=") else {
                self.rest = after;
                continue;
            };
            // A quote opens a list of fields; its end is then a word of its own or sticks to the last value.
            if let Some(inner) = value.strip_prefix(b"'") {
                self.rest = inner;
                continue;
            }
            let start = self.text.len().saturating_sub(value.len());
            let (value, rest) = take_value(value);
            self.rest = rest;
            if !name.is_empty() {
                let end = self.text.len().saturating_sub(rest.len());
                return Some(Field {
                    name,
                    value,
                    start,
                    end,
                });
            }
        }
    }
}

/// The value at the beginning of a text, and what follows. What it gives would be stored and read again at once, which
/// the processor waits for, if this were a call.
#[inline(always)]
fn take_value(text: &[u8]) -> (Value<'_>, &[u8]) {
    if let Some(text) = text.strip_prefix(b"\"")
        && let Some(end) = quote_end(text)
        && let Some((value, rest)) = text.split_at_checked(end)
    {
        return (Value::Quoted(value), rest.get(1..).unwrap_or_default());
    }
    if text.starts_with(b"{")
        && let Some(end) = memchr(b'}', text)
        && let Some((value, rest)) = text.split_at_checked(end + 1)
    {
        return (Value::Bare(value), rest);
    }
    let end = word_end(text).unwrap_or(text.len());
    let value = text.get(..end).unwrap_or(text);
    // The end of a list of fields is no part of its last value.
    let value = value.strip_suffix(b"'").unwrap_or(value);
    // Old programs separate fields with commas.
    let value = value.strip_suffix(b",").unwrap_or(value);
    (Value::Bare(value), text.get(value.len()..).unwrap_or_default())
}

/// Where a quoted text ends.
#[inline(always)]
fn quote_end(text: &[u8]) -> Option<usize> {
    end_of(text, |block| block.is(b'"'), |byte| byte == b'"')
}

/// Where a name ends: at an equals sign, a blank or a tab.
#[inline(always)]
fn name_end(text: &[u8]) -> Option<usize> {
    end_of(
        text,
        |block| block.is(b'=').or(block.is_at_most(b' ')),
        |byte| matches!(byte, b'=' | b' ' | b'\t'),
    )
}

/// Where a word ends: at a blank or a tab.
#[inline(always)]
fn word_end(text: &[u8]) -> Option<usize> {
    end_of(
        text,
        |block| block.is_at_most(b' '),
        |byte| matches!(byte, b' ' | b'\t'),
    )
}

/// Where the first character is that ends something. `found` tells such of sixteen characters, and may tell other control
/// characters, which are rare.
#[inline(always)]
fn end_of(text: &[u8], found: impl Fn(Sixteen) -> Which, is_end: impl Fn(u8) -> bool) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<WIDTH>();
    for (at, block) in blocks.iter().enumerate() {
        let bits = found(Sixteen::of(block)).bits();
        if bits != 0 {
            let place = at * WIDTH + bits.trailing_zeros() as usize;
            if text.get(place).is_some_and(|byte| is_end(*byte)) {
                return Some(place);
            }
            return Some(place + text.get(place..)?.iter().position(|byte| is_end(*byte))?);
        }
    }
    Some(blocks.len() * WIDTH + rest.iter().position(|byte| is_end(*byte))?)
}

impl<'a> Value<'a> {
    /// The characters as they are written, without the quotes.
    pub fn text(self) -> &'a [u8] {
        match self {
            Value::Quoted(text) | Value::Bare(text) => text,
        }
    }

    /// The text of a field in which the kernel hex-codes what it does not trust (`comm`, `exe`, `name`, `key`, …).
    /// `(null)`, `(none)` and `?` stay as they are.
    pub fn decoded(self) -> Cow<'a, [u8]> {
        match self {
            Value::Quoted(text) => Cow::Borrowed(text),
            Value::Bare(text) => unhex(text).map_or(Cow::Borrowed(text), Cow::Owned),
        }
    }

    /// Whether the kernel had no value here.
    pub fn is_absent(self) -> bool {
        matches!(self, Value::Bare(b"(null)" | b"(none)" | b"?" | b""))
    }

    /// A decimal number.
    pub fn number(self) -> Option<i64> {
        let text = self.text();
        match text.strip_prefix(b"-") {
            Some(digits) => i64::try_from(decimal(digits)?).ok().map(|n| -n),
            None => i64::try_from(decimal(text)?).ok(),
        }
    }

    /// A hexadecimal number, as in `arch=` and `a0=`.
    pub fn hex_number(self) -> Option<u64> {
        let text = std::str::from_utf8(self.text()).ok()?;
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    }
}

/// Pairs of hexadecimal digits to bytes; `None` when there is anything else, or nothing.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_chunks::<2>();
    if text.is_empty() || !odd.is_empty() || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(
        pairs
            .iter()
            .map(|[high, low]| nibble(*high) << 4 | nibble(*low))
            .collect(),
    )
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    (digit & 0xF) + 9 * (digit >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<(String, String)> {
        let text_of = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        fields(text.as_bytes())
            .map(|f| (text_of(f.name), text_of(f.value.text())))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn bare_quoted_and_nested() {
        let text = "arch=c000003e comm=\"a b=c\" key=(null) msg='cwd=\"/srv x\" cmd=6964 res=success'";
        let expected = [
            ("arch", "c000003e"),
            ("comm", "a b=c"),
            ("key", "(null)"),
            ("cwd", "/srv x"),
            ("cmd", "6964"),
            ("res", "success"),
        ];
        assert_eq!(parse(text), pairs(&expected));
    }

    #[test]
    fn words_that_are_no_fields_are_left_out() {
        let text = "avc:  denied  { read write } for  pid=13010 saddr={ fam=inet lport=1 } x= y=1";
        let expected = [
            ("pid", "13010"),
            ("saddr", "{ fam=inet lport=1 }"),
            ("x", ""),
            ("y", "1"),
        ];
        assert_eq!(parse(text), pairs(&expected));
    }

    #[test]
    fn ends_are_found_in_any_place() {
        for len in 0..40 {
            let mut text = vec![0x80; len];
            assert_eq!((name_end(&text), word_end(&text), quote_end(&text)), (None, None, None));
            for at in (0..len).rev() {
                // What ends something, what differs from it by the lowest bit or by the highest, and control characters.
                for (byte, ends) in [
                    (b'=', [true, false, false]),
                    (b' ', [true, true, false]),
                    (b'\t', [true, true, false]),
                    (b'"', [false, false, true]),
                    (b'=' ^ 1, [false; 3]),
                    (b' ' ^ 1, [false; 3]),
                    (b'\t' ^ 0x80, [false; 3]),
                    (b'\n', [false; 3]),
                    (0, [false; 3]),
                ] {
                    text[at] = byte;
                    let found = [name_end(&text), word_end(&text), quote_end(&text)];
                    assert_eq!(found, ends.map(|is| is.then_some(at)), "{byte} at {at} of {len}");
                    // Behind a character that is none.
                    if let Some(next) = text.get_mut(at + 1) {
                        let before = std::mem::replace(next, b' ');
                        let expected = if ends[0] { at } else { at + 1 };
                        assert_eq!(name_end(&text), Some(expected), "{byte} at {at} of {len}");
                        text[at + 1] = before;
                    }
                }
            }
        }
    }

    /// Short fields are read in another way where more follows.
    #[test]
    fn short_fields_are_those_that_the_others_are() {
        let pieces = [
            "a=1",
            "uid=0",
            " ",
            "  ",
            "\t",
            "=",
            "a=",
            "a='b=2",
            "'",
            "x='c,d'",
            "k=\"v w\"",
            "c={ d }",
            "e=f,",
            "\n",
            "word",
            "long_name=0123456789",
            "sixteen_=1234567",
            "é=ü",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..6 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(state >> 33) as usize % pieces.len()]);
                text.push_str(["", " "][(state >> 60) as usize % 2]);
            }
            let text = text.as_bytes();
            let mut any = fields(text);
            let expected: Vec<Field<'_>> = std::iter::from_fn(|| any.any()).collect();
            assert_eq!(fields(text).collect::<Vec<_>>(), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn hostile_text_ends() {
        for text in ["=", "a=\"", "a='", "a={", "====", "a=\"b\"c=\"d", "'", "a"] {
            let _ = parse(text);
        }
        assert_eq!(parse("a=\"open"), pairs(&[("a", "\"open")]));
    }

    #[test]
    fn values_decode_by_their_form() {
        assert_eq!(&*Value::Bare(b"737020636F6D6D").decoded(), b"sp comm");
        assert_eq!(&*Value::Quoted(b"6161").decoded(), b"6161");
        assert_eq!(&*Value::Bare(b"(null)").decoded(), b"(null)");
        assert_eq!(Value::Bare(b"-13").number(), Some(-13));
        assert_eq!(Value::Bare(b"4294967295").number(), Some(4_294_967_295));
        assert_eq!(Value::Bare(b"c000003e").hex_number(), Some(0xc000_003e));
        assert_eq!(unhex(b"abc"), None);
    }
}
