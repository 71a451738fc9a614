//! String values: wildcards and their escapes, and the modifiers that turn one value into others.

use memchr::memmem::Finder;

use crate::condition::Operator;
use crate::typed::glob::Glob;
use crate::typed::test::{StrTest, Test};

/// More values than this are not made of one.
const MAX_VARIANTS: usize = 4096;

/// A string with wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Many,
}

impl Pattern {
    /// Reads a value. A backslash makes a wildcard or a backslash after it plain; before anything else it is plain
    /// itself.
    pub(super) fn parse(text: &str) -> Pattern {
        let bytes = text.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&b) = bytes.get(at) {
            at += 1;
            out.push(match b {
                b'*' => Token::Many,
                b'?' => Token::One,
                b'\\' => match bytes.get(at) {
                    Some(next @ (b'*' | b'?' | b'\\')) => {
                        at += 1;
                        Token::Byte(*next)
                    }
                    _ => Token::Byte(b'\\'),
                },
                _ => Token::Byte(b),
            });
        }
        Pattern(out)
    }

    fn plain(bytes: &[u8]) -> Pattern {
        Pattern(bytes.iter().map(|b| Token::Byte(*b)).collect())
    }

    /// Its bytes, where it has no wildcards.
    pub(super) fn literal(&self) -> Option<Vec<u8>> {
        let bytes = self.0.iter().map(|t| match t {
            Token::Byte(b) => Some(*b),
            _ => None,
        });
        bytes.collect()
    }

    /// With any text before and after it.
    pub(super) fn within(mut self, before: bool, after: bool) -> Pattern {
        if before && self.0.first() != Some(&Token::Many) {
            self.0.insert(0, Token::Many);
        }
        if after && self.0.last() != Some(&Token::Many) {
            self.0.push(Token::Many);
        }
        self
    }

    /// With small letters.
    fn folded(mut self) -> Pattern {
        for token in &mut self.0 {
            if let Token::Byte(b) = token {
                *b = b.to_ascii_lowercase();
            }
        }
        self
    }

    /// The test for it; with `fold` of a text whose letters became small.
    pub(super) fn test(&self, fold: bool) -> Test {
        let pattern = if fold { self.clone().folded() } else { self.clone() };
        let tokens = pattern.0.as_slice();
        let plain = |tokens: &[Token]| Pattern(tokens.to_vec()).literal();
        if let Some(text) = plain(tokens) {
            return Test::Str(StrTest::Compare(Operator::Eq, text.into()));
        }
        let test = match tokens {
            [Token::Many] => return Test::Exists,
            [Token::Many, inner @ .., Token::Many] => {
                plain(inner).map(|t| StrTest::Contains(Box::new(Finder::new(&t).into_owned())))
            }
            [start @ .., Token::Many] => plain(start).map(|t| StrTest::StartsWith(t.into())),
            [Token::Many, end @ ..] => plain(end).map(|t| StrTest::EndsWith(t.into())),
            _ => None,
        };
        let glob = || Glob::new(&pattern.glob(), false).map(StrTest::Glob);
        Test::Str(test.or_else(glob).unwrap_or(StrTest::Never))
    }

    /// As a shell pattern.
    fn glob(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for token in &self.0 {
            match token {
                Token::Many => out.push(b'*'),
                Token::One => out.push(b'?'),
                Token::Byte(b) => {
                    if matches!(b, b'*' | b'?' | b'[' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(*b);
                }
            }
        }
        out
    }
}

/// The ways in which the beginning of a command line option is written.
const DASHES: [&str; 5] = ["-", "/", "\u{2013}", "\u{2014}", "\u{2015}"];

/// `windash`: every option begins with each of the dashes. An option begins at a dash or slash that no word precedes
/// and that a word follows.
pub(super) fn windash(text: &Pattern) -> Result<Vec<Pattern>, String> {
    let word =
        |t: Option<&Token>| matches!(t, Some(Token::Byte(b)) if b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80);
    let mut out = vec![Pattern::default()];
    for (i, token) in text.0.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| text.0.get(i));
        let option = matches!(token, Token::Byte(b'-' | b'/')) && !word(before) && word(text.0.get(i + 1));
        if !option {
            out.iter_mut().for_each(|p| p.0.push(*token));
            continue;
        }
        if out.len() * DASHES.len() > MAX_VARIANTS {
            return Err("windash makes too many values of this one".to_owned());
        }
        let with = |dash: &str, p: &Pattern| Pattern([p.0.as_slice(), &Pattern::plain(dash.as_bytes()).0].concat());
        out = out.iter().flat_map(|p| DASHES.map(|dash| with(dash, p))).collect();
    }
    Ok(out)
}

/// Two bytes a character, the less significant first with `little`, after a mark of the order with `mark`.
pub(super) fn utf16(text: &Pattern, little: bool, mark: bool) -> Result<Vec<Pattern>, String> {
    let bytes = text.literal().ok_or("a value with wildcards cannot be encoded")?;
    let text = String::from_utf8(bytes).map_err(|_| "a value is encoded twice")?;
    let units = mark.then_some(0xFEFF).into_iter().chain(text.encode_utf16());
    let order = if little { u16::to_le_bytes } else { u16::to_be_bytes };
    Ok(vec![Pattern::plain(&units.flat_map(order).collect::<Vec<u8>>())])
}

/// Base64.
pub(super) fn base64(text: &Pattern) -> Result<Vec<Pattern>, String> {
    let bytes = text.literal().ok_or("a value with wildcards cannot be encoded")?;
    Ok(vec![Pattern::plain(&encode(&bytes))])
}

/// What stays the same of the value's base64, wherever in a longer text it stands.
pub(super) fn base64offset(text: &Pattern) -> Result<Vec<Pattern>, String> {
    let bytes = text.literal().ok_or("a value with wildcards cannot be encoded")?;
    let at = |offset: usize| {
        let shifted = [vec![b' '; offset], bytes.clone()].concat();
        // The first characters depend on what stands before, the last ones on what follows.
        let skip = [0, 2, 3].get(offset).copied().unwrap_or(0);
        let coded = encode(&shifted);
        let keep = shifted.len() * 8 / 6;
        Pattern::plain(coded.get(skip..keep).unwrap_or_default())
    };
    Ok((0..3).map(at).filter(|p| !p.0.is_empty()).collect())
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |w, b| w << 8 | u32::from(*b));
        for i in 0..4 {
            let sextet = (word >> (18 - 6 * i) & 63) as usize;
            out.push(match ALPHABET.get(sextet) {
                Some(c) if i <= chunk.len() => *c,
                _ => b'=',
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, text: &str) -> bool {
        let value = ctrace_trace::catalogue::Value::Str(text.as_bytes().into());
        Pattern::parse(pattern).test(false).holds(&value)
    }

    /// The table of the specification.
    #[test]
    fn escapes() {
        for (pattern, text, expected) in [
            (r"a\b", r"a\b", true),
            (r"a\\b", r"a\b", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
            (r"a\?", "a?", true),
            (r"a\?", "ab", false),
            (r"a\\*", r"a\b", true),
            (r"a\\*", "ab", false),
            (r"a\\\*", r"a\*", true),
            (r"a\\\*", r"a\b", false),
            (r"a\\\b", r"a\\b", true),
            (r"a\\\\b", r"a\\b", true),
            ("a[b]*", "a[b]c", true),
            ("a[b]*", "abc", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*c", "ac", true),
            ("*", "", true),
            ("**a*", "xay", true),
        ] {
            assert_eq!(holds(pattern, text), expected, "{pattern} on {text}");
        }
    }

    fn literals(found: Result<Vec<Pattern>, String>) -> Vec<String> {
        let texts = found.expect("encodes").into_iter().map(|p| p.literal().expect("plain"));
        texts.map(|t| String::from_utf8_lossy(&t).into_owned()).collect()
    }

    #[test]
    fn encodings() {
        assert_eq!(literals(base64(&Pattern::parse("foobar"))), ["Zm9vYmFy"]);
        assert_eq!(literals(base64(&Pattern::parse("fooba"))), ["Zm9vYmE="]);
        // The example of pySigma's documentation.
        assert_eq!(
            literals(base64offset(&Pattern::parse("foobar"))),
            ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]
        );
        assert_eq!(literals(utf16(&Pattern::parse("cmd"), true, false)), ["c\0m\0d\0"]);
        assert_eq!(literals(utf16(&Pattern::parse("cmd"), false, false)), ["\0c\0m\0d"]);
        let marked = utf16(&Pattern::parse("c"), true, true).map(|v| v[0].literal());
        assert_eq!(marked, Ok(Some(vec![0xFF, 0xFE, b'c', 0])));
        assert!(base64(&Pattern::parse("a*")).is_err());
    }

    #[test]
    fn dashes() {
        let found = literals(windash(&Pattern::parse(" -param-name")));
        assert_eq!(found.len(), 5);
        assert!(found.contains(&" /param-name".to_owned()) && found.contains(&" \u{2014}param-name".to_owned()));
        assert_eq!(literals(windash(&Pattern::parse("a-b"))), ["a-b"]);
        assert!(windash(&Pattern::parse(&" -a".repeat(20))).is_err());
    }
}
