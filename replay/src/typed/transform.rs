//! The transformers of one argument.

use std::borrow::Cow;

use ctrace_trace::catalogue::Value;

use super::clock::TimePart;
use crate::fields::{Arity, Type};

/// A transformer of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    ToLower,
    ToUpper,
    /// Decodes base64 with or without padding; absent when the value is not base64.
    B64,
    Basename,
    Len,
    /// Without blanks at the end: `proc.exeline` has one where no arguments follow. Sigma's field mapping alone uses it.
    Trim,
    /// A part of a time; for Sigma's modifiers.
    Part(TimePart),
}

impl Transform {
    pub(crate) fn of(name: &str) -> Option<Transform> {
        Some(match name {
            "tolower" => Transform::ToLower,
            "toupper" => Transform::ToUpper,
            "b64" => Transform::B64,
            "basename" => Transform::Basename,
            "len" => Transform::Len,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Transform::ToLower => "tolower",
            Transform::ToUpper => "toupper",
            Transform::B64 => "b64",
            Transform::Basename => "basename",
            Transform::Len => "len",
            Transform::Trim => "trim",
            Transform::Part(part) => part.name(),
        }
    }

    /// The type of the result, or nothing where the transformer does not fit.
    pub(crate) fn result(self, ty: Type, arity: Arity) -> Option<Type> {
        match (self, ty) {
            (Transform::Len, _) if arity == Arity::List => Some(Type::Uint),
            (Transform::Len, Type::Str | Type::Bytes) => Some(Type::Uint),
            (Transform::B64, Type::Str | Type::Bytes) => Some(ty),
            (Transform::ToLower | Transform::ToUpper | Transform::Basename | Transform::Trim, Type::Str) => Some(ty),
            (Transform::Part(_), Type::Uint) => Some(ty),
            _ => None,
        }
    }

    /// Applies it to one value.
    pub(crate) fn apply<'a>(self, value: Value<'a>) -> Option<Value<'a>> {
        let bytes = match (self, value) {
            (_, Value::Str(bytes)) => bytes,
            (Transform::Part(part), Value::Uint(ns)) => return Some(Value::Uint(part.of(ns))),
            (Transform::ToLower, Value::List(items)) => {
                let items = items.into_iter().map(|i| Cow::Owned(i.to_ascii_lowercase()));
                return Some(Value::List(items.collect()));
            }
            _ => return None,
        };
        Some(match self {
            Transform::ToLower => Value::Str(Cow::Owned(bytes.to_ascii_lowercase())),
            Transform::ToUpper => Value::Str(Cow::Owned(bytes.to_ascii_uppercase())),
            Transform::B64 => Value::Str(Cow::Owned(decode_base64(&bytes)?)),
            Transform::Basename => Value::Str(basename(bytes)),
            Transform::Len => Value::Uint(bytes.len() as u64),
            Transform::Trim => Value::Str(Cow::Owned(bytes.trim_ascii_end().to_vec())),
            Transform::Part(_) => return None,
        })
    }
}

fn basename(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let start = memchr::memrchr(b'/', &path).map_or(0, |i| i + 1);
    match path {
        Cow::Borrowed(b) => Cow::Borrowed(b.get(start..).unwrap_or(b"")),
        Cow::Owned(mut b) => {
            b.drain(..start.min(b.len()));
            Cow::Owned(b)
        }
    }
}

/// RFC 4648 base64, padding optional.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text
        .strip_suffix(b"==")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.chunks(4) {
        let mut bits = 0u32;
        for c in chunk {
            bits = bits << 6 | sextet(*c)?;
        }
        let bytes = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        let n = match chunk.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return None,
        };
        out.extend(bytes.iter().skip(1).take(n));
    }
    Some(out)
}

fn sextet(c: u8) -> Option<u32> {
    Some(u32::from(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_and_without_padding() {
        assert_eq!(decode_base64(b"aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64(b"aGVsbG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(decode_base64(b"a"), None);
        assert_eq!(decode_base64(b"a b="), None);
    }

    #[test]
    fn basename_of_paths() {
        assert_eq!(basename(Cow::Borrowed(b"/usr/bin/cat")).as_ref(), b"cat");
        assert_eq!(basename(Cow::Owned(b"cat".to_vec())).as_ref(), b"cat");
        assert_eq!(basename(Cow::Borrowed(b"/usr/")).as_ref(), b"");
    }
}
