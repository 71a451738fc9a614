//! JSON as it stands in a line: texts are borrowed from it.
//!
//! Members are few and found by looking through them. Nothing is accepted here that `serde_json` does not accept: what
//! is rare (numbers with fractions, deep nesting, members with one name) and what is wrong is left to it.

mod names;
mod reader;
mod scan;

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use names::is_same;
use reader::read;

pub(crate) use reader::Reader;

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
    fn values_below() {
        let json = Json::parse(br#"{"a":{"b":[1,"x"]}}"#).expect("JSON");
        assert_eq!(json.pointer("/a/b/1").and_then(Json::as_str), Some("x"));
        assert_eq!(json.pointer("/a/c"), None);
        assert_eq!(json.pointer("/a/b/c"), None);
        assert_eq!(json.get("a").and_then(|a| a.get("b")?.at(0)?.as_i64()), Some(1));
    }
}
