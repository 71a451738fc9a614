//! YAML with positions: an arena of nodes, each knowing where it stands. Aliases share nodes, so no document can
//! unfold into more than it holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::diagnostics::{Diagnostic, Severity};
use crate::source::{Origin, Sources, Style};

/// Deepest nesting that a rules file may have; Falco's own files need six.
const MAX_DEPTH: usize = 64;

/// Lines that are indented further to please the parser; see [`padded`].
const MAX_PADS: usize = 1000;

/// How far such lines are indented: further than any nesting that [`MAX_DEPTH`] allows in practice.
const PAD: usize = 64;

/// Why a text does not parse.
enum Failure {
    /// A line (from 1) is not indented far enough.
    Indentation(usize, Diagnostic),
    Other(Diagnostic),
}

/// The text with some lines indented further.
///
/// YAML wants everything in brackets indented further than the block around it. Falco's parser does not insist, and
/// published rules close their lists with a `]` below the key.
fn padded<'a>(text: &'a str, pads: &BTreeSet<usize>) -> Cow<'a, str> {
    if pads.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + pads.len() * PAD);
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if pads.contains(&(i + 1)) {
            out.extend(std::iter::repeat_n(' ', PAD));
        }
        out.push_str(line);
    }
    Cow::Owned(out)
}

/// The lines (from 1) that hold nothing but a closing bracket.
fn lone_brackets(text: &str) -> impl Iterator<Item = usize> {
    let lone = |line: &str| matches!(line.trim(), "]" | "}" | "]," | "},");
    text.lines()
        .enumerate()
        .filter(move |(_, l)| lone(l))
        .map(|(i, _)| i + 1)
}

/// Number of a node in a [`Yaml`].
pub(crate) type NodeId = usize;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Scalar(String),
    Seq(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// A key that its mapping has already: YAML forbids it, parsers differ.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    /// The document's root.
    pub(crate) root: NodeId,
}

/// All documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    nodes: Vec<Node>,
    /// The root of each document.
    pub(crate) roots: Vec<NodeId>,
    /// Keys that a mapping has already.
    pub(crate) repeated: Vec<Repeated>,
}

impl Yaml {
    /// Parses a file that `sources` holds as `file`.
    pub(crate) fn parse(sources: &Sources, file: u32) -> Result<Yaml, Diagnostic> {
        let text = sources.tail(file, 0);
        let mut pads = BTreeSet::new();
        loop {
            match Yaml::parse_padded(sources, file, &padded(text, &pads), &pads) {
                Err(Failure::Indentation(line, error)) => {
                    if pads.contains(&line) || pads.len() > MAX_PADS {
                        return Err(error);
                    }
                    if pads.is_empty() {
                        pads.extend(lone_brackets(text));
                    }
                    pads.insert(line);
                }
                Err(Failure::Other(error)) => return Err(error),
                Ok(yaml) => return Ok(yaml),
            }
        }
    }

    /// The same for files where a key that is given twice is an error.
    pub(crate) fn parse_strictly(sources: &Sources, file: u32) -> Result<Yaml, Diagnostic> {
        let yaml = Yaml::parse(sources, file)?;
        match yaml.repeated.first() {
            Some(key) => {
                let message = format!("not YAML: the key `{}` is given twice", key.name);
                Err(sources.at_origin(Severity::Error, key.origin, message))
            }
            None => Ok(yaml),
        }
    }

    fn parse_padded(sources: &Sources, file: u32, text: &str, pads: &BTreeSet<usize>) -> Result<Yaml, Failure> {
        let mut builder = Builder {
            sources,
            file,
            pads,
            last: (0, 0, 0),
            yaml: Yaml::default(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
        };
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|e| {
                let origin = builder.origin_at(e.marker().line(), e.marker().col(), Style::Verbatim);
                let error = sources.at_origin(Severity::Error, origin, format!("not YAML: {}", e.info()));
                match e.info().contains("invalid indentation") {
                    true => Failure::Indentation(e.marker().line(), error),
                    false => Failure::Other(error),
                }
            })?;
            builder.take(event, span).map_err(Failure::Other)?;
        }
        Ok(builder.yaml)
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The value of a key of a mapping: the first, where it is given twice.
    pub(crate) fn get(&self, map: NodeId, key: &str) -> Option<NodeId> {
        let Kind::Map(entries) = &self.node(map)?.kind else {
            return None;
        };
        entries
            .iter()
            .find(|(k, _)| self.scalar(*k).is_some_and(|(s, _)| s == key))
            .map(|(_, v)| *v)
    }

    /// A scalar's value and origin.
    pub(crate) fn scalar(&self, id: NodeId) -> Option<(&str, Origin)> {
        let node = self.node(id)?;
        match &node.kind {
            Kind::Scalar(s) => Some((s, node.origin)),
            _ => None,
        }
    }
}

struct Builder<'a> {
    sources: &'a Sources,
    file: u32,
    pads: &'a BTreeSet<usize>,
    /// Line, column and byte of the place that was looked up last: the next one is mostly a little further.
    last: (usize, usize, usize),
    yaml: Yaml,
    open: Vec<Open>,
    anchors: BTreeMap<usize, NodeId>,
}

/// A collection that is not at its end.
struct Open {
    id: NodeId,
    /// The key that waits for its value.
    key: Option<NodeId>,
    /// The keys of a mapping so far.
    keys: BTreeSet<String>,
}

impl Builder<'_> {
    fn origin_at(&mut self, line: usize, column: usize, style: Style) -> Origin {
        let column = if self.pads.contains(&line) {
            column.saturating_sub(PAD)
        } else {
            column
        };
        let start = match self.last {
            (l, c, byte) if l == line && c <= column => self.sources.further(self.file, byte, column - c),
            _ => self.sources.byte_of(self.file, line, column),
        };
        self.last = (line, column, start);
        Origin {
            file: self.file,
            start,
            style,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let at = self.origin_at(span.start.line(), span.start.col(), Style::Verbatim);
        match event {
            Event::Scalar(value, style, anchor, _) => {
                let node = self.scalar_node(&value, style, at);
                self.add(node, anchor, at);
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.open(Kind::Seq(Vec::new()), at, anchor),
            Event::MappingStart(anchor, _) => self.open(Kind::Map(Vec::new()), at, anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                Ok(())
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(&id) if !self.open.iter().any(|open| open.id == id) => {
                    self.attach(id, at);
                    Ok(())
                }
                _ => Err(self.error(at, "alias of an unknown anchor, or of what it stands in")),
            },
            _ => Ok(()),
        }
    }

    fn scalar_node(&self, value: &str, style: ScalarStyle, at: Origin) -> Node {
        let tail = self.sources.tail(self.file, at.start);
        let (skip, style, plain) = match style {
            ScalarStyle::Plain => (0, Style::Folded, true),
            ScalarStyle::SingleQuoted => (usize::from(tail.starts_with('\'')), Style::Single, false),
            ScalarStyle::DoubleQuoted => (usize::from(tail.starts_with('"')), Style::Double, false),
            ScalarStyle::Literal | ScalarStyle::Folded => (block_header_len(tail), Style::Folded, false),
        };
        let null = plain && matches!(value, "" | "~" | "null" | "Null" | "NULL");
        let kind = if null {
            Kind::Null
        } else {
            Kind::Scalar(value.to_owned())
        };
        Node {
            origin: Origin {
                start: at.start + skip,
                style,
                ..at
            },
            kind,
        }
    }

    fn open(&mut self, kind: Kind, at: Origin, anchor: usize) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(at, "nested too deeply"));
        }
        self.add(Node { origin: at, kind }, anchor, at);
        self.open.push(Open {
            id: self.yaml.nodes.len() - 1,
            key: None,
            keys: BTreeSet::new(),
        });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, at: Origin) {
        let id = self.yaml.nodes.len();
        self.yaml.nodes.push(node);
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id, at);
    }

    fn attach(&mut self, id: NodeId, at: Origin) {
        let name = self.yaml.scalar(id).map(|(name, _)| name.to_owned());
        let Some(open) = self.open.last_mut() else {
            self.yaml.roots.push(id);
            return;
        };
        match self.yaml.nodes.get_mut(open.id).map(|n| &mut n.kind) {
            Some(Kind::Seq(items)) => items.push(id),
            Some(Kind::Map(entries)) => match open.key.take() {
                Some(key) => entries.push((key, id)),
                None => {
                    open.key = Some(id);
                    if let Some(name) = name.filter(|name| !open.keys.insert(name.clone())) {
                        let root = self.yaml.roots.last().copied().unwrap_or_default();
                        self.yaml.repeated.push(Repeated { name, origin: at, root });
                    }
                }
            },
            _ => {}
        }
    }

    fn error(&self, at: Origin, message: &str) -> Diagnostic {
        self.sources
            .at_origin(Severity::Error, at, format!("not YAML: {message}"))
    }
}

/// Length of a block scalar's first line (`>`, `|-`, …), when the text begins with one.
fn block_header_len(tail: &str) -> usize {
    if tail.starts_with(['>', '|']) {
        tail.find('\n').map_or(tail.len(), |i| i + 1)
    } else {
        0
    }
}
