//! Test files: from YAML to tests.

use super::events::InlineEvents;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity, nearest};
use crate::engine::Matching;
use crate::source::{Origin, Sources};
use crate::yaml::{Kind, Node, NodeId, Yaml};

const FILE_KEYS: [&str; 2] = ["rules", "tests"];
const TEST_KEYS: [&str; 8] = [
    "name", "rules", "case", "events", "matching", "expect", "forbid", "only",
];
const EXPECT_KEYS: [&str; 4] = ["rule", "count", "fields", "output"];

/// A test file.
#[derive(Debug)]
pub struct TestFile {
    /// Its tests, in their order.
    pub tests: Vec<TestCase>,
}

/// One test.
#[derive(Debug)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: u32,
    /// The rules files, relative to the test file.
    pub rules: Vec<String>,
    /// What is replayed.
    pub input: Input,
    /// Which of the rules that match an event raise an alert; all unless the test says otherwise, so that it does not
    /// depend on other rules.
    pub matching: Matching,
    /// The alerts that must come.
    pub expect: Vec<Expectation>,
    /// Names of rules that must not raise one, `*` for all that are not expected, and their line.
    pub forbid: Vec<(String, u32)>,
    /// Where the value of `expect` stands, by bytes of the file: from the key to the next thing.
    pub(crate) expect_at: Option<(usize, usize)>,
    /// The column of the test's keys, from 0, and where a new key may be put.
    pub(crate) indent: usize,
    pub(crate) end: usize,
}

/// What a test replays.
#[derive(Debug)]
pub enum Input {
    /// A case folder or segment file, relative to the test file.
    Case(String),
    /// Events that the test itself holds.
    Events(InlineEvents),
}

/// Alerts that must come.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The line that says so.
    pub line: u32,
    /// Name of the rule.
    pub rule: String,
    /// How many: exactly, or (`2+`) at least. One or more unless it is said.
    pub count: Count,
    /// Fields of the output, with their values as text.
    pub fields: Vec<(String, String)>,
    /// What the output contains.
    pub output: Option<String>,
}

/// A number of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// So many or more.
    AtLeast(u64),
}

impl Count {
    /// Whether a number of alerts is as wanted.
    pub fn fits(self, found: u64) -> bool {
        match self {
            Count::Exactly(n) => found == n,
            Count::AtLeast(n) => found >= n,
        }
    }

    fn parse(text: &str) -> Option<Count> {
        match text.strip_suffix('+') {
            Some(n) => n.parse().ok().map(Count::AtLeast),
            None => text.parse().ok().map(Count::Exactly),
        }
    }
}

/// An error at a place.
pub(super) type Read<T> = Result<T, (Origin, String)>;

impl TestFile {
    /// Reads a test file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<TestFile, Diagnostics> {
        let mut sources = Sources::default();
        let file = sources.add_file(name, text);
        let yaml = Yaml::parse_strictly(&sources, file).map_err(|e| Diagnostics(vec![e]))?;
        let reader = Reader {
            yaml: &yaml,
            sources: &sources,
            text,
        };
        let mut wrong = Vec::new();
        let mut tests = Vec::new();
        for root in &yaml.roots {
            reader.document(*root, &mut tests, &mut wrong);
        }
        if wrong.is_empty() {
            Ok(TestFile { tests })
        } else {
            Err(Diagnostics(wrong))
        }
    }
}

/// Reads one file.
pub(super) struct Reader<'a> {
    pub(super) yaml: &'a Yaml,
    sources: &'a Sources,
    text: &'a str,
}

impl<'a> Reader<'a> {
    fn document(&self, root: NodeId, tests: &mut Vec<TestCase>, wrong: &mut Vec<Diagnostic>) {
        let mut told = |result: Read<TestCase>| match result {
            Ok(test) => tests.push(test),
            Err((origin, message)) => wrong.push(self.sources.at_origin(Severity::Error, origin, message)),
        };
        let Some(node) = self.yaml.node(root) else { return };
        if matches!(node.kind, Kind::Null) {
            return;
        }
        let items = self.keys(root, &FILE_KEYS, "a test file").and_then(|()| {
            let rules = self.names(root, "rules")?;
            match self.child(root, "tests").map(|n| &n.kind) {
                Some(Kind::Seq(items)) => Ok((rules, items)),
                _ => Err((node.origin, "'tests' is missing: a list of tests".to_owned())),
            }
        });
        match items {
            Ok((rules, items)) => items.iter().for_each(|id| told(self.test(*id, &rules))),
            Err(error) => told(Err(error)),
        }
    }

    fn test(&self, id: NodeId, shared: &[String]) -> Read<TestCase> {
        self.keys(id, &TEST_KEYS, "a test")?;
        let origin = self.origin(id);
        let own = self.names(id, "rules")?;
        let rules = if own.is_empty() { shared.to_vec() } else { own };
        if rules.is_empty() {
            return Err((
                origin,
                "'rules' is missing: rules files, for the test or for the whole file".to_owned(),
            ));
        }
        let name = self
            .scalar(id, "name")
            .ok_or((origin, "'name' is missing".to_owned()))?
            .0;
        let input = match (self.scalar(id, "case"), self.yaml.get(id, "events")) {
            (Some((path, _)), None) => Input::Case(path.to_owned()),
            (None, Some(events)) => Input::Events(self.events(events)?),
            _ => return Err((origin, "a test has either a 'case' or 'events'".to_owned())),
        };
        let matching = match self.scalar(id, "matching") {
            None | Some(("all", _)) => Matching::All,
            Some(("first", _)) => Matching::First,
            Some((other, at)) => return Err((at, format!("'matching' is first or all, not '{other}'"))),
        };
        let mut forbid = self.lines(id, "forbid")?;
        if let Some((only, at)) = self.scalar(id, "only") {
            match only {
                "true" => forbid.push(("*".to_owned(), self.line(at))),
                "false" => {}
                _ => return Err((at, "'only' is true or false".to_owned())),
            }
        }
        let expect = self.expectations(id)?;
        if expect.is_empty() && forbid.is_empty() {
            return Err((origin, "the test expects and forbids nothing".to_owned()));
        }
        let start = self.line_start(origin.start);
        Ok(TestCase {
            name: name.to_owned(),
            line: self.line(origin),
            rules,
            input,
            matching,
            expect,
            forbid,
            expect_at: self.key_origin(id, "expect").map(|at| self.span(at.start, false)),
            indent: origin.start - start,
            end: self.span(origin.start, true).1,
        })
    }

    fn expectations(&self, test: NodeId) -> Read<Vec<Expectation>> {
        let Some(list) = self.child(test, "expect") else {
            return Ok(Vec::new());
        };
        let Kind::Seq(items) = &list.kind else {
            return Err((list.origin, "'expect' is a list".to_owned()));
        };
        items.iter().map(|id| self.expectation(*id)).collect()
    }

    fn expectation(&self, id: NodeId) -> Read<Expectation> {
        let origin = self.origin(id);
        let mut out = Expectation {
            line: self.line(origin),
            rule: String::new(),
            count: Count::AtLeast(1),
            fields: Vec::new(),
            output: None,
        };
        // A rule's name alone stands for one alert or more.
        if let Some((rule, _)) = self.yaml.scalar(id) {
            out.rule = rule.to_owned();
            return Ok(out);
        }
        self.keys(id, &EXPECT_KEYS, "an expectation")?;
        let (rule, _) = self
            .scalar(id, "rule")
            .ok_or((origin, "'rule' is missing".to_owned()))?;
        out.rule = rule.to_owned();
        if let Some((count, at)) = self.scalar(id, "count") {
            let parsed = Count::parse(count);
            out.count = parsed.ok_or((
                at,
                format!("'{count}' is no number of alerts (2, or 2+ for at least two)"),
            ))?;
        }
        out.output = self.scalar(id, "output").map(|(text, _)| text.to_owned());
        if let Some(fields) = self.child(id, "fields") {
            let Kind::Map(pairs) = &fields.kind else {
                return Err((fields.origin, "'fields' maps fields to values".to_owned()));
            };
            for (key, value) in pairs {
                let (Some((key, _)), Some(value)) = (self.yaml.scalar(*key), self.text_of(*value)) else {
                    return Err((fields.origin, "'fields' maps fields to single values".to_owned()));
                };
                out.fields.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(out)
    }

    /// The value of a scalar; that of null as it is written for absent values.
    pub(super) fn text_of(&self, id: NodeId) -> Option<&'a str> {
        match &self.yaml.node(id)?.kind {
            Kind::Scalar(text) => Some(text),
            Kind::Null => Some("<NA>"),
            _ => None,
        }
    }

    pub(super) fn keys(&self, id: NodeId, known: &[&str], what: &str) -> Read<()> {
        let Some(Node {
            kind: Kind::Map(pairs), ..
        }) = self.yaml.node(id)
        else {
            return Err((self.origin(id), format!("{what} is a mapping")));
        };
        for (key, _) in pairs {
            match self.yaml.scalar(*key) {
                Some((name, _)) if known.contains(&name) => {}
                Some((name, at)) => {
                    let near = nearest(name, known.iter().copied());
                    let hint = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
                    return Err((at, format!("unknown key '{name}' of {what}{hint}")));
                }
                None => return Err((self.origin(*key), "a key is a single value".to_owned())),
            }
        }
        Ok(())
    }

    fn child(&self, id: NodeId, key: &str) -> Option<&'a Node> {
        self.yaml.get(id, key).and_then(|v| self.yaml.node(v))
    }

    fn scalar(&self, id: NodeId, key: &str) -> Option<(&'a str, Origin)> {
        self.yaml.get(id, key).and_then(|v| self.yaml.scalar(v))
    }

    /// One name or a list of names, with their lines.
    fn lines(&self, id: NodeId, key: &str) -> Read<Vec<(String, u32)>> {
        let Some(node) = self.child(id, key) else {
            return Ok(Vec::new());
        };
        let named = |(name, at): (&str, Origin)| (name.to_owned(), self.line(at));
        match &node.kind {
            Kind::Scalar(name) => Ok(vec![named((name, node.origin))]),
            Kind::Seq(items) => {
                let each = |i: &NodeId| self.yaml.scalar(*i).map(named);
                let all: Option<Vec<_>> = items.iter().map(each).collect();
                all.ok_or((node.origin, format!("'{key}' is a list of names")))
            }
            _ => Err((node.origin, format!("'{key}' is a name or a list of names"))),
        }
    }

    fn names(&self, id: NodeId, key: &str) -> Read<Vec<String>> {
        Ok(self.lines(id, key)?.into_iter().map(|(name, _)| name).collect())
    }

    pub(super) fn origin(&self, id: NodeId) -> Origin {
        let none = Origin {
            file: 0,
            start: 0,
            style: crate::source::Style::Verbatim,
        };
        self.yaml.node(id).map_or(none, |n| n.origin)
    }

    fn key_origin(&self, id: NodeId, key: &str) -> Option<Origin> {
        let Kind::Map(pairs) = &self.yaml.node(id)?.kind else {
            return None;
        };
        let found = pairs.iter().filter_map(|(k, _)| self.yaml.scalar(*k));
        found.filter(|(name, _)| *name == key).map(|(_, at)| at).next()
    }

    pub(super) fn line(&self, origin: Origin) -> u32 {
        self.sources.at_origin(Severity::Note, origin, String::new()).line
    }

    fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or("");
        before.rfind('\n').map_or(0, |i| i + 1)
    }

    /// What belongs to a key at `start`, or with `whole` to the mapping that it is the first key of: up to the next line
    /// that is indented no further. Items of a list may stand as far left as their key.
    fn span(&self, start: usize, whole: bool) -> (usize, usize) {
        let column = start - self.line_start(start);
        let tail = |at: usize| self.text.get(at..).unwrap_or("");
        let mut at = start + tail(start).find('\n').map_or(tail(start).len(), |i| i + 1);
        let mut end = at;
        for line in tail(at).split_inclusive('\n') {
            at += line.len();
            let (indent, bare) = (line.len() - line.trim_start().len(), line.trim());
            if bare.is_empty() || bare.starts_with('#') {
                continue;
            }
            if indent < column || (indent == column && !whole && !bare.starts_with('-')) {
                break;
            }
            end = at;
        }
        (start, end)
    }
}
