//! Reading a condition's text: blanks, names, numbers, quoted and bare strings, as Falco's grammar defines them.

/// A position in a text. Every method that takes a token leaves the position alone when the token is not there.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pub(super) at: usize,
}

/// Why a quoted string is not one.
pub(super) struct BadString {
    pub(super) at: usize,
    pub(super) message: String,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Cursor { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The position, or at the end the one after the last word: what stands behind it is only a folded line's end.
    pub(super) fn place(&self) -> usize {
        if self.is_done() {
            self.text.trim_end().len()
        } else {
            self.at
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    /// Skips white space; says whether there was any.
    pub(super) fn blank(&mut self) -> bool {
        let n = self.rest().bytes().take_while(|b| is_blank(*b)).count();
        self.at += n;
        n > 0
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// Takes the keyword `and`, `or` or `not` when a blank, a bracket or the end follows it.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let Some(after) = self.rest().strip_prefix(word) else {
            return false;
        };
        let ends = after.bytes().next().is_none_or(|b| is_blank(b) || b == b'(');
        if ends {
            self.at += word.len();
        }
        ends
    }

    fn take(&mut self, n: usize) -> &'a str {
        let token = self.rest().get(..n).unwrap_or("");
        self.at += token.len();
        token
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> Option<&'a str> {
        let rest = self.rest();
        let n = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        (n > 0).then(|| self.take(n))
    }

    /// `[a-zA-Z][a-zA-Z0-9_]*`
    pub(super) fn identifier(&mut self) -> Option<&'a str> {
        let n = identifier_len(self.rest());
        (n > 0).then(|| self.take(n))
    }

    /// Identifiers joined by dots, at least two.
    pub(super) fn field_name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let mut end = identifier_len(rest);
        let mut dots = 0;
        while end > 0 && rest.as_bytes().get(end) == Some(&b'.') {
            let more = identifier_len(rest.get(end + 1..).unwrap_or(""));
            if more == 0 {
                break;
            }
            end += 1 + more;
            dots += 1;
        }
        (dots > 0).then(|| self.take(end))
    }

    /// Hexadecimal, decimal with fraction and exponent, signed.
    pub(super) fn number(&mut self) -> Option<&'a str> {
        let n = number_len(self.rest().as_bytes());
        (n > 0).then(|| self.take(n))
    }

    /// `[^()"'\s=,]+`
    pub(super) fn bare(&mut self) -> Option<&'a str> {
        self.take_while(|c| !matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') && !is_blank_char(c))
    }

    /// `[^\[\]"'\s]+`
    pub(super) fn bare_field_arg(&mut self) -> Option<&'a str> {
        self.take_while(|c| !matches!(c, '[' | ']' | '"' | '\'') && !is_blank_char(c))
    }

    /// A string in single or double quotes, its escapes resolved.
    ///
    /// As in Falco it ends at the first such quote that has no backslash in front of it, whatever that backslash
    /// means: `\\"` does not end a string. A backslash at the end of one is written `\x5c`.
    pub(super) fn quoted(&mut self) -> Result<Option<Vec<u8>>, BadString> {
        let bytes = self.text.as_bytes();
        let Some(quote) = bytes.get(self.at).copied().filter(|b| matches!(b, b'"' | b'\'')) else {
            return Ok(None);
        };
        let start = self.at + 1;
        let mut before = quote;
        let len = bytes.iter().skip(start).position(|b| {
            let ends = *b == quote && before != b'\\';
            before = *b;
            ends
        });
        let Some(inside) = len.and_then(|len| bytes.get(..start + len)) else {
            return Err(BadString {
                at: self.at,
                message: "string without its closing quote (a quote behind `\\` does not close it)".into(),
            });
        };
        let (mut out, mut at) = (Vec::new(), start);
        while let Some(b) = inside.get(at) {
            if *b == b'\\' {
                at += unescape(inside, at, quote, &mut out)?;
            } else {
                out.push(*b);
                at += 1;
            }
        }
        self.at = inside.len() + 1;
        Ok(Some(out))
    }

    /// The longest of these names that stands here as a word of its own. They are not only letters, so that nothing
    /// else would take them.
    pub(super) fn one_of(&mut self, names: &[String]) -> Option<&'a str> {
        let rest = self.rest();
        let ends = |after: &str| {
            after
                .chars()
                .next()
                .is_none_or(|c| is_blank_char(c) || matches!(c, '(' | ')' | ',' | '='))
        };
        let stands = |name: &&String| rest.strip_prefix(name.as_str()).is_some_and(ends);
        let len = names.iter().filter(stands).map(String::len).max()?;
        Some(self.take(len))
    }
}

/// Whether a condition can name a list by this: all of it is one bare string.
pub(crate) fn is_bare(name: &str) -> bool {
    let mut cursor = Cursor::new(name);
    cursor.bare().is_some() && cursor.is_done()
}

/// Whether a condition can name a macro by this.
pub(crate) fn is_identifier(name: &str) -> bool {
    !name.is_empty() && identifier_len(name) == name.len()
}

/// Resolves the escape at `at`; returns its length in the text.
fn unescape(bytes: &[u8], at: usize, quote: u8, out: &mut Vec<u8>) -> Result<usize, BadString> {
    let bad = |message: String| BadString { at, message };
    let c = match bytes.get(at + 1) {
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        // Falco keeps `\ ` as a backslash because published rules rely on it.
        Some(b' ' | b'\\') => b'\\',
        Some(b'/') => b'/',
        Some(b) if *b == quote => quote,
        Some(b'"' | b'\'') => return Err(bad("escape of the other kind of quote".into())),
        Some(b'x') => {
            let hex = bytes.get(at + 2..at + 4).and_then(|h| std::str::from_utf8(h).ok());
            let hex = hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
            out.push(byte.ok_or_else(|| bad("\\x needs two hexadecimal digits".into()))?);
            return Ok(4);
        }
        Some(b) => return Err(bad(format!("unsupported escape \\{}", char::from(*b)))),
        None => return Err(bad("string without its closing quote".into())),
    };
    out.push(c);
    Ok(2)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 8 | 11 | 12)
}

fn is_blank_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_blank)
}

fn identifier_len(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}

fn number_len(b: &[u8]) -> usize {
    let digits = |from: usize| b.iter().skip(from).take_while(|c| c.is_ascii_digit()).count();
    if b.first() == Some(&b'0') && matches!(b.get(1), Some(b'x' | b'X')) {
        let hex = b.iter().skip(2).take_while(|c| c.is_ascii_hexdigit()).count();
        if hex > 0 {
            return 2 + hex;
        }
    }
    let sign = usize::from(matches!(b.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    if whole == 0 {
        return 0;
    }
    let mut end = sign + whole;
    if b.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(b.get(end), Some(b'e' | b'E')) && matches!(b.get(end + 1), Some(b'+' | b'-')) && digits(end + 2) > 0 {
        end += 2 + digits(end + 2);
    }
    end
}
