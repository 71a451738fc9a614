//! A value as it lies in memory: what is in it follows it.

use super::names::{KEY_LEN, Name};

/// A value, with the name that it has as a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// See [`super::names::key`]; of no meaning where it is no member.
    key: u64,
    /// A number, or where a text is; of an object [`super::names::Names::bits`].
    bits: u64,
    name: Span,
    /// How many nodes it is, with all that are in it.
    pub(super) size: u32,
    pub(super) kind: Kind,
    /// The name is not in the line as it is meant.
    is_name_apart: bool,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    /// A number from 0.
    Unsigned,
    /// A number below 0.
    Negative,
    /// With a fraction.
    Float,
    /// A text of the line.
    Text,
    /// A text that the line has with escapes.
    TextApart,
    Array,
    Object,
}

/// Where a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn of(self, text: &str) -> &str {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Node {
    pub(super) const NULL: Node = Node::new(Name::NONE, Kind::Null, 0);

    #[inline]
    pub(super) const fn new(name: Name, kind: Kind, bits: u64) -> Node {
        Node {
            key: name.key,
            bits,
            name: name.span,
            size: 1,
            kind,
            is_name_apart: name.is_apart,
        }
    }

    /// A text of the line.
    #[inline]
    pub(super) fn text(name: Name, span: Span) -> Node {
        Node::new(name, Kind::Text, u64::from(span.start) | u64::from(span.len) << 32)
    }

    /// A text that is not in the line.
    pub(super) fn text_apart(name: Name, span: Span) -> Node {
        Node {
            kind: Kind::TextApart,
            ..Node::text(name, span)
        }
    }

    /// A number as it lies here: of a negative one its two's complement, of one with a fraction its IEEE 754 form.
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// Says which names an object has.
    pub(super) fn set_names(&mut self, bits: u64) {
        self.bits = bits;
    }

    /// Where its text is.
    pub(super) fn span(&self) -> Span {
        Span {
            start: self.bits as u32,
            len: (self.bits >> 32) as u32,
        }
    }

    pub(super) fn name<'v>(&self, line: &'v str, texts: &'v str) -> &'v str {
        self.name.of(if self.is_name_apart { texts } else { line })
    }

    /// Whether it has a name. `key` is the name's.
    #[inline]
    pub(super) fn is_named(&self, name: &str, name_key: u64, line: &str, texts: &str) -> bool {
        let len = self.name.len as usize;
        // The key has all of a short name.
        self.key == name_key && len == name.len() && (len <= KEY_LEN || self.name(line, texts) == name)
    }
}
