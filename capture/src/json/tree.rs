//! Reads a document into memory: each value is followed by what is in it.

use serde_json::Value;

use super::names::{Name, Names, key};
use super::node::{Kind, Node, Span};
use super::reader::{MAX_DEPTH, MAX_LEN, Reader};

/// Reads a document; `None` for what is rare, and for what is no JSON.
pub(super) fn read(line: &str, nodes: &mut Vec<Node>, texts: &mut String) -> Option<()> {
    (line.len() <= MAX_LEN).then_some(())?;
    let mut builder = Builder {
        reader: Reader::of(line),
        line,
        nodes,
        texts,
    };
    builder.reader.skip_blanks();
    builder.value(Name::NONE, 0)?;
    builder.reader.end()
}

struct Builder<'a, 'd> {
    reader: Reader<'a>,
    line: &'a str,
    nodes: &'d mut Vec<Node>,
    texts: &'d mut String,
}

impl Builder<'_, '_> {
    /// Reads a value, before which no blanks are.
    #[inline]
    fn value(&mut self, name: Name, depth: u32) -> Option<()> {
        let node = match self.reader.peek()? {
            b'"' => {
                let text = self.reader.text(self.texts)?;
                match text.is_apart() {
                    false => Node::text(name, text.span()),
                    true => Node::text_apart(name, text.span()),
                }
            }
            b'0'..=b'9' => Node::new(name, Kind::Unsigned, self.reader.digits()?),
            b'{' => return self.object(name, depth),
            b'[' => return self.array(name, depth),
            b't' => self.reader.word("true").map(|()| Node::new(name, Kind::True, 0))?,
            b'f' => self.reader.word("false").map(|()| Node::new(name, Kind::False, 0))?,
            b'n' => self.reader.word("null").map(|()| Node::new(name, Kind::Null, 0))?,
            _ => Node::new(name, Kind::Negative, self.reader.negative()?.cast_unsigned()),
        };
        self.nodes.push(node);
        Some(())
    }

    fn array(&mut self, name: Name, depth: u32) -> Option<()> {
        let start = self.open(name, Kind::Array, depth)?;
        if self.reader.take(b']').is_some() {
            return Some(());
        }
        loop {
            self.reader.skip_blanks();
            self.value(Name::NONE, depth + 1)?;
            if self.reader.take(b',').is_none() {
                self.reader.take(b']')?;
                return self.close(start);
            }
        }
    }

    fn object(&mut self, name: Name, depth: u32) -> Option<()> {
        let start = self.open(name, Kind::Object, depth)?;
        if self.reader.take(b'}').is_some() {
            return Some(());
        }
        let mut names = Names::default();
        loop {
            self.reader.skip_blanks();
            let name = self.name()?;
            names.is_new(name, self.nodes.get(start + 1..)?, [self.line, self.texts])?;
            self.reader.take(b':')?;
            self.reader.skip_blanks();
            self.value(name, depth + 1)?;
            if self.reader.take(b',').is_none() {
                self.reader.take(b'}')?;
                self.nodes.get_mut(start)?.set_names(names.bits());
                return self.close(start);
            }
        }
    }

    /// Begins what holds other values.
    fn open(&mut self, name: Name, kind: Kind, depth: u32) -> Option<usize> {
        self.reader.advance().filter(|()| depth < MAX_DEPTH)?;
        self.nodes.push(Node::new(name, kind, 0));
        Some(self.nodes.len() - 1)
    }

    fn close(&mut self, start: usize) -> Option<()> {
        close(self.nodes, start)
    }

    #[inline]
    fn name(&mut self) -> Option<Name> {
        let text = self.reader.text(self.texts)?;
        let (span, is_apart) = (text.span(), text.is_apart());
        let start = span.start as usize;
        let text = if is_apart {
            self.texts.as_bytes()
        } else {
            self.line.as_bytes()
        };
        Some(Name {
            key: key(text.get(start..start + span.len as usize)?),
            span,
            is_apart,
        })
    }
}

/// Says of what holds other values how many nodes it is.
fn close(nodes: &mut [Node], start: usize) -> Option<()> {
    let size = u32::try_from(nodes.len() - start).ok()?;
    nodes.get_mut(start)?.size = size;
    Some(())
}

/// What was appended from a place on.
fn span(start: usize, texts: &str) -> Option<Span> {
    let len = texts.len().checked_sub(start)?;
    Some(Span {
        start: u32::try_from(start).ok()?,
        len: u32::try_from(len).ok()?,
    })
}

/// Takes over a value that was read elsewhere.
pub(super) fn take(value: &Value, nodes: &mut Vec<Node>, texts: &mut String) {
    take_member(Name::NONE, value, nodes, texts);
}

fn take_member(name: Name, value: &Value, nodes: &mut Vec<Node>, texts: &mut String) {
    let start = nodes.len();
    nodes.push(match value {
        Value::Null => Node::new(name, Kind::Null, 0),
        Value::Bool(true) => Node::new(name, Kind::True, 0),
        Value::Bool(false) => Node::new(name, Kind::False, 0),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => Node::new(name, Kind::Unsigned, n),
            (None, Some(n)) => Node::new(name, Kind::Negative, n.cast_unsigned()),
            (None, None) => Node::new(name, Kind::Float, number.as_f64().unwrap_or_default().to_bits()),
        },
        Value::String(text) => Node::text_apart(name, keep(text, texts)),
        Value::Array(_) => Node::new(name, Kind::Array, 0),
        // It may have any name.
        Value::Object(_) => Node::new(name, Kind::Object, u64::MAX),
    });
    match value {
        Value::Array(list) => {
            list.iter()
                .for_each(|value| take_member(Name::NONE, value, nodes, texts));
        }
        Value::Object(members) => {
            for (name, value) in members {
                let name = Name {
                    key: key(name.as_bytes()),
                    span: keep(name, texts),
                    is_apart: true,
                };
                take_member(name, value, nodes, texts);
            }
        }
        _ => return,
    }
    // Documents are far smaller than what 32 bits can count.
    let _ = close(nodes, start);
}

fn keep(text: &str, texts: &mut String) -> Span {
    let start = texts.len();
    texts.push_str(text);
    span(start, texts).unwrap_or_default()
}
