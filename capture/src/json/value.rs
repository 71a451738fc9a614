//! A value of a document: what it is, and what is in it.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

use super::Read;
use super::names::{bit, key};
use super::node::{Kind, Node};

/// A value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'v> {
    read: &'v Read<'v>,
    at: usize,
}

/// Where nothing is.
static NOTHING: Read<'static> = Read {
    nodes: &[],
    line: "",
    texts: "",
};
static NULL: Node = Node::NULL;

impl<'v> Json<'v> {
    /// `null`.
    pub(crate) fn null() -> Json<'static> {
        Json { read: &NOTHING, at: 0 }
    }

    pub(super) fn of(read: &'v Read<'v>, at: usize) -> Json<'v> {
        Json { read, at }
    }

    #[inline]
    fn node(self) -> &'v Node {
        self.read.nodes.get(self.at).unwrap_or(&NULL)
    }

    fn kind(self) -> Kind {
        self.node().kind
    }

    /// A member, of an object.
    #[inline(always)]
    pub(crate) fn get(self, name: &str) -> Option<Json<'v>> {
        self.get_of(name, key(name.as_bytes()))
    }

    #[inline(always)]
    fn get_of(self, name: &str, key: u64) -> Option<Json<'v>> {
        let node = self.node();
        // Many names are asked for that are not there.
        if node.kind != Kind::Object || node.bits() & bit(name, key) == 0 {
            return None;
        }
        self.read.find(self.at + 1..self.at + node.size as usize, name, key)
    }

    /// The members of an object, to be asked for in their order.
    pub(crate) fn in_order(self) -> InOrder<'v> {
        let members = self.as_object();
        let range = members.map_or(0..0, |members| members.at..members.end);
        InOrder {
            read: self.read,
            next: range.start,
            names: self.node().bits(),
            range,
        }
    }

    /// An element, of a list.
    pub(crate) fn at(self, index: usize) -> Option<Json<'v>> {
        self.as_array()?.nth(index)
    }

    /// What is below names and, of lists, numbers: `/spec/containers/0`.
    pub(crate) fn pointer(self, path: &str) -> Option<Json<'v>> {
        let mut names = path.split('/').skip(1);
        names.try_fold(self, |value, name| match value.kind() {
            Kind::Array => value.at(name.parse().ok()?),
            _ => value.get(name),
        })
    }

    #[inline]
    pub(crate) fn as_str(self) -> Option<&'v str> {
        let node = self.node();
        match node.kind {
            Kind::Text => Some(node.span().of(self.read.line)),
            Kind::TextApart => Some(node.span().of(self.read.texts)),
            _ => None,
        }
    }

    pub(crate) fn as_u64(self) -> Option<u64> {
        let node = self.node();
        (node.kind == Kind::Unsigned).then_some(node.bits())
    }

    pub(crate) fn as_i64(self) -> Option<i64> {
        let node = self.node();
        match node.kind {
            Kind::Unsigned => i64::try_from(node.bits()).ok(),
            Kind::Negative => Some(node.bits().cast_signed()),
            _ => None,
        }
    }

    /// The elements of a list.
    pub(crate) fn as_array(self) -> Option<Elements<'v>> {
        (self.kind() == Kind::Array).then(|| Elements(self.members()))
    }

    /// Members in their order, with their names.
    pub(crate) fn as_object(self) -> Option<Members<'v>> {
        (self.kind() == Kind::Object).then(|| self.members())
    }

    fn members(self) -> Members<'v> {
        Members {
            read: self.read,
            at: self.at + 1,
            end: self.at + self.node().size as usize,
        }
    }

    pub(crate) fn is_string(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::TextApart)
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self.kind(), Kind::Unsigned | Kind::Negative | Kind::Float)
    }

    pub(crate) fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    pub(crate) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }
}

impl<'v> Read<'v> {
    /// The member of a name among those that lie there.
    fn find(&'v self, range: Range<usize>, name: &str, key: u64) -> Option<Json<'v>> {
        let mut at = range.start;
        while at < range.end {
            let node = self.nodes.get(at)?;
            if node.is_named(name, key, self.line, self.texts) {
                return Some(Json::of(self, at));
            }
            at += node.size as usize;
        }
        None
    }
}

/// The members of an object for who asks for most of them. Each is looked for behind the one before: where they are asked
/// for in their order, which most tools never change, no other is looked at.
#[derive(Clone, Debug)]
pub(crate) struct InOrder<'v> {
    read: &'v Read<'v>,
    range: Range<usize>,
    next: usize,
    /// See [`super::names::Names::bits`].
    names: u64,
}

impl<'v> InOrder<'v> {
    /// A member.
    #[inline(always)]
    pub(crate) fn get(&mut self, name: &str) -> Option<Json<'v>> {
        self.get_of(name, key(name.as_bytes()))
    }

    #[inline(always)]
    fn get_of(&mut self, name: &str, key: u64) -> Option<Json<'v>> {
        if self.names & bit(name, key) == 0 {
            return None;
        }
        self.find(name, key)
    }

    fn find(&mut self, name: &str, key: u64) -> Option<Json<'v>> {
        let behind = self.read.find(self.next..self.range.end, name, key);
        let found = behind.or_else(|| self.read.find(self.range.start..self.next, name, key))?;
        self.next = found.at + found.node().size as usize;
        Some(found)
    }
}

/// The members of an object.
#[derive(Clone, Debug)]
pub(crate) struct Members<'v> {
    read: &'v Read<'v>,
    at: usize,
    end: usize,
}

impl<'v> Iterator for Members<'v> {
    type Item = (&'v str, Json<'v>);

    #[inline]
    fn next(&mut self) -> Option<(&'v str, Json<'v>)> {
        let Read { nodes, line, texts } = self.read;
        let node = nodes.get(self.at).filter(|_| self.at < self.end)?;
        let value = Json::of(self.read, self.at);
        self.at += node.size as usize;
        Some((node.name(line, texts), value))
    }
}

/// The elements of a list.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'v>(Members<'v>);

impl<'v> Iterator for Elements<'v> {
    type Item = Json<'v>;

    #[inline]
    fn next(&mut self) -> Option<Json<'v>> {
        self.0.next().map(|(_, value)| value)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = self.node();
        match node.kind {
            Kind::Null => serializer.serialize_unit(),
            Kind::False => serializer.serialize_bool(false),
            Kind::True => serializer.serialize_bool(true),
            Kind::Unsigned => serializer.serialize_u64(node.bits()),
            Kind::Negative => serializer.serialize_i64(node.bits().cast_signed()),
            Kind::Float => serializer.serialize_f64(f64::from_bits(node.bits())),
            Kind::Text | Kind::TextApart => serializer.serialize_str(self.as_str().unwrap_or_default()),
            Kind::Array => serializer.collect_seq(Elements(self.members())),
            Kind::Object => serializer.collect_map(self.members()),
        }
    }
}

/// Without blanks.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
