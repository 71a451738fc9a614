//! JSON as it stands in a line: its values lie one after the other in one memory, and texts are those of the line.
//!
//! A [`Document`] is that memory, for one line after the other; [`Json`] is a value in it. Members are few and found by
//! looking through them. Nothing is accepted here that `serde_json` does not accept: what is rare (numbers with fractions,
//! deep nesting, members with one name) and what is wrong is left to it.

mod names;
mod node;
mod reader;
mod scan;
mod tree;
mod value;

use serde_json::Value;

use node::Node;

pub(crate) use reader::{Reader, Text};
pub(crate) use value::{InOrder, Json};

/// The memory of a document.
#[derive(Debug, Default)]
pub(crate) struct Document {
    nodes: Vec<Node>,
    /// The texts that do not stand in the line as they are meant.
    texts: String,
}

/// A document in its memory.
#[derive(Debug)]
pub(crate) struct Read<'v> {
    nodes: &'v [Node],
    line: &'v str,
    texts: &'v str,
}

/// More memory than this is not kept for the next document.
const KEPT_NODES: usize = 1 << 16;
const KEPT_TEXTS: usize = 1 << 20;

impl Document {
    /// Reads a document.
    pub(crate) fn parse<'v>(&'v mut self, text: &'v [u8]) -> Result<Read<'v>, serde_json::Error> {
        if let Some(line) = self.read_usual(text) {
            return Ok(self.of(line));
        }
        let value = serde_json::from_slice::<Value>(text)?;
        Ok(self.take(&value))
    }

    fn read_usual<'a>(&mut self, text: &'a [u8]) -> Option<&'a str> {
        let line = std::str::from_utf8(text).ok()?;
        self.read(line).map(|()| line)
    }

    /// Takes over a document that was read, or made, elsewhere.
    pub(crate) fn take(&mut self, value: &Value) -> Read<'_> {
        self.clear();
        tree::take(value, &mut self.nodes, &mut self.texts);
        self.of("")
    }

    /// Reads a document; `None` for what is rare, and for what is no JSON.
    fn read(&mut self, line: &str) -> Option<()> {
        self.clear();
        tree::read(line, &mut self.nodes, &mut self.texts)
    }

    fn of<'v>(&'v self, line: &'v str) -> Read<'v> {
        Read {
            nodes: &self.nodes,
            line,
            texts: &self.texts,
        }
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.texts.clear();
        self.nodes.shrink_to(KEPT_NODES);
        self.texts.shrink_to(KEPT_TEXTS);
    }
}

impl Read<'_> {
    /// The document itself.
    pub(crate) fn root(&self) -> Json<'_> {
        Json::of(self, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: [&str; 18] = [
        r#"{"a":1,"b":[true,false,null,-5,0,"x"],"c":{"d":"e\"\\\/\b\f\n\r\t\u00e9\u0000"},"":[],"f":{}}"#,
        " [ 1 , { \"a\" : \"b\" } ]\r\n\t",
        r#""text with é and more than eight bytes""#,
        "123456789012345678",
        r#"{"long":[18446744073709551615,9999999999999999999,-9999999999999999999],"big":1e400}"#,
        r#"{"numbers":[1.5,-0,1e3,1234567890123456789,-9223372036854775808]}"#,
        r#"{"twice":1,"other":2,"twice":{"last":true}}"#,
        r#"{"escaped\tname":{"and \"one\"":"below\n"},"escaped\tnam":1,"escaped\u0009name":2}"#,
        r#"{"named much longer":1,"named very longer":2,"named much longer":3}"#,
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
        let mut document = Document::default();
        for text in DOCUMENTS.into_iter().chain([&*deep, &too_deep, &many]) {
            // All of it, and cut anywhere.
            for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
                let text = &text[..end];
                let expected = serde_json::from_str::<Value>(text);
                if document.read(text).is_some() {
                    let read = serde_json::to_value(document.of(text).root()).expect("a value");
                    assert_eq!(read, *expected.as_ref().expect(text), "{text}");
                }
                match (document.parse(text.as_bytes()), expected) {
                    (Ok(read), Ok(value)) => {
                        assert_eq!(read.root().to_string(), value.to_string());
                    }
                    (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected.to_string()),
                    (read, expected) => panic!("{text}: {read:?} and not {expected:?}"),
                }
            }
        }
        assert!(document.read(DOCUMENTS[0]).is_some() && document.read(DOCUMENTS[1]).is_some());
        assert!(document.read(DOCUMENTS[6]).is_none() && document.read(DOCUMENTS[8]).is_none());
        assert!(document.parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn values_below() {
        let mut document = Document::default();
        let text = br#"{"a":{"b":[1,"x"]},"much longer a":[],"much longer b":{"c":-2},"e":"\n"}"#;
        let read = document.parse(text).expect("JSON");
        let json = read.root();
        assert_eq!(json.pointer("/a/b/1").and_then(Json::as_str), Some("x"));
        assert!(json.pointer("/a/c").is_none() && json.pointer("/a/b/c").is_none());
        assert_eq!(json.get("a").and_then(|a| a.get("b")?.at(0)?.as_i64()), Some(1));
        assert_eq!(json.pointer("/much longer b/c").and_then(Json::as_i64), Some(-2));
        assert_eq!(json.get("e").and_then(Json::as_str), Some("\n"));
        let mut in_order = json.in_order();
        for name in ["much longer a", "much longer b", "none", "a", "e", "a"] {
            let (found, expected) = (in_order.get(name), json.get(name));
            assert_eq!(found.map(|v| v.to_string()), expected.map(|v| v.to_string()), "{name}");
        }
        assert!(json.get("e").and_then(|e| e.in_order().get("a")).is_none());
        let names: Vec<&str> = json.as_object().expect("an object").map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "much longer a", "much longer b", "e"]);
    }
}
