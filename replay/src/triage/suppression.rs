//! Suppression files: which alerts are known to be false, why, and until when.

use ctrace_trace::block::Need;

use crate::calendar;
use crate::condition;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::engine::evaluate::{self, Place};
use crate::fields::FieldRef;
use crate::filter::{NoNames, settle};
use crate::rules::RuleFile;
use crate::source::{Origin, Sources, Text};
use crate::typed::compile;
use crate::typed::formula::{Formulas, NodeId};
use crate::typed::glob::Glob;
use crate::yaml::{Kind, NodeId as YamlId, Yaml};

/// The keys of an entry.
const KEYS: [&str; 4] = ["suppress", "condition", "reason", "expires"];

/// One entry of a suppression file.
#[derive(Debug)]
pub struct Suppression {
    /// The names of rules that it is about; `*` and `?` as in file names.
    pub rules: Vec<String>,
    /// Why their alerts are false.
    pub reason: String,
    /// When it ends, UTC nanoseconds: alerts of events from then on are shown. `None` for never.
    pub expires: Option<u64>,
    /// The file that holds it, as the caller named it.
    pub file: String,
    /// Its line.
    pub line: u32,
    patterns: Vec<Glob>,
    condition: Option<NodeId>,
}

impl Suppression {
    fn names(&self, rule: &str) -> bool {
        self.patterns.iter().any(|p| p.matches(rule.as_bytes()))
    }
}

/// All entries.
#[derive(Debug, Default)]
pub struct Suppressions {
    entries: Vec<Suppression>,
    formulas: Formulas,
}

impl Suppressions {
    /// Reads suppression files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(files: &[RuleFile<'_>]) -> Result<Suppressions, Diagnostics> {
        let mut reader = Reader {
            sources: Sources::default(),
            found: Suppressions::default(),
            wrong: Vec::new(),
        };
        for file in files {
            let id = reader.sources.add_file(file.name, file.text);
            match Yaml::parse_strictly(&reader.sources, id) {
                Ok(yaml) => yaml.roots.iter().for_each(|root| reader.document(&yaml, *root)),
                Err(error) => reader.wrong.push(error),
            }
        }
        if reader.wrong.is_empty() {
            Ok(reader.found)
        } else {
            Err(Diagnostics(reader.wrong))
        }
    }

    /// The entries, in the order of files and lines.
    pub fn entries(&self) -> &[Suppression] {
        &self.entries
    }

    pub(super) fn needs(&self) -> Need {
        let atoms = self.formulas.atoms_of(self.entries.iter().filter_map(|e| e.condition));
        let atoms = atoms.into_iter().filter_map(|id| self.formulas.atom_of(id));
        atoms.fold(Need::TS | Need::KIND, |need, atom| need | atom.needs())
    }

    /// Calls `each` for every field in a condition.
    pub(super) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldRef)) {
        let atoms = self.formulas.atoms_of(self.entries.iter().filter_map(|e| e.condition));
        let atoms = atoms.into_iter().filter_map(|id| self.formulas.atom_of(id));
        atoms.for_each(|atom| atom.fields(each));
    }

    /// The first entry that covers a rule's alert for an event, and the first that would had it not expired.
    pub(super) fn find(&self, rule: &str, place: Place<'_>) -> (Option<usize>, Option<usize>) {
        self.first(place.ts(), |entry| self.covers(entry, rule, place))
    }

    /// The same by the rule's name alone.
    pub(super) fn find_named(&self, rule: &str, ts: u64) -> (Option<usize>, Option<usize>) {
        self.first(ts, |entry| entry.condition.is_none() && entry.names(rule))
    }

    fn first(&self, ts: u64, covers: impl Fn(&Suppression) -> bool) -> (Option<usize>, Option<usize>) {
        let mut expired = None;
        for (i, entry) in self.entries.iter().enumerate().filter(|(_, entry)| covers(entry)) {
            if entry.expires.is_none_or(|end| ts < end) {
                return (Some(i), expired);
            }
            expired = expired.or(Some(i));
        }
        (None, expired)
    }

    fn covers(&self, entry: &Suppression, rule: &str, place: Place<'_>) -> bool {
        let mut ask = |id| {
            let atom = self.formulas.atom_of(id);
            atom.is_some_and(|atom| evaluate::holds(atom, place))
        };
        entry.names(rule) && entry.condition.is_none_or(|c| self.formulas.eval(c, &mut ask))
    }
}

struct Reader {
    sources: Sources,
    found: Suppressions,
    wrong: Vec<Diagnostic>,
}

/// An error at a place.
type Read<T> = Result<T, (Origin, String)>;

impl Reader {
    fn document(&mut self, yaml: &Yaml, root: YamlId) {
        let Some(node) = yaml.node(root) else { return };
        match &node.kind {
            Kind::Null => {}
            Kind::Seq(items) => {
                for item in items {
                    match self.entry(yaml, *item) {
                        Ok(entry) => self.found.entries.extend(entry),
                        Err((origin, message)) => self.error(origin, message),
                    }
                }
            }
            _ => self.error(node.origin, "a suppression file is a list of suppressions".to_owned()),
        }
    }

    fn error(&mut self, origin: Origin, message: String) {
        self.wrong
            .push(self.sources.at_origin(Severity::Error, origin, message));
    }

    /// An entry; nothing where its condition is wrong, which has then been noted.
    fn entry(&mut self, yaml: &Yaml, id: YamlId) -> Read<Option<Suppression>> {
        let Some(node) = yaml.node(id) else { return Ok(None) };
        let Kind::Map(keys) = &node.kind else {
            return Err((node.origin, "each suppression is a mapping".to_owned()));
        };
        for (key, _) in keys {
            if let Some((name, origin)) = yaml.scalar(*key).filter(|(name, _)| !KEYS.contains(name)) {
                return Err((
                    origin,
                    format!("unknown key '{name}'; expected one of {}", KEYS.join(", ")),
                ));
            }
        }
        let scalar = |key: &str| {
            yaml.get(id, key)
                .and_then(|v| yaml.scalar(v))
                .filter(|(s, _)| !s.is_empty())
        };
        let required = |key: &str, why: &str| scalar(key).ok_or((node.origin, format!("'{key}' is missing: {why}")));
        let rules = rules(yaml, id, node.origin)?;
        let (reason, _) = required("reason", "a suppression says why")?;
        let (expires, at) = required("expires", "a date (2027-01-31, UTC), or 'never'")?;
        let expires = match expires {
            "never" => None,
            date => match calendar::parse(date) {
                Some(ts) => Some(ts),
                None => return Err((at, format!("'{date}' is no date (2027-01-31 or 2027-01-31T12:00:00Z)"))),
            },
        };
        let condition = match scalar("condition") {
            None => None,
            Some((text, origin)) => match self.condition(text, origin) {
                None => return Ok(None),
                found => found,
            },
        };
        let patterns: Option<Vec<Glob>> = rules.iter().map(|r| Glob::new(r.as_bytes(), false)).collect();
        let patterns = patterns.ok_or((node.origin, "'suppress' is no pattern".to_owned()))?;
        let place = self.sources.at_origin(Severity::Note, node.origin, String::new());
        Ok(Some(Suppression {
            patterns,
            rules,
            reason: reason.to_owned(),
            expires,
            file: place.file,
            line: place.line,
            condition,
        }))
    }

    fn condition(&mut self, text: &str, origin: Origin) -> Option<NodeId> {
        let id = self.sources.add_text(Text::scalar(text, origin));
        let parsed = match condition::parse(text, id) {
            Ok(parsed) => parsed,
            Err(e) => {
                let found = self.sources.at_loc(Severity::Error, e.loc, e.message);
                self.wrong.push(Diagnostic {
                    suggestion: e.suggestion,
                    ..found
                });
                return None;
            }
        };
        let mut errors = Vec::new();
        let node = compile::condition(&parsed, &mut NoNames, &mut self.found.formulas, &mut errors);
        if let Err(wrong) = settle(&self.sources, errors) {
            self.wrong.extend(wrong.0);
            return None;
        }
        node
    }
}

/// The rules that an entry names: one, or a list.
fn rules(yaml: &Yaml, id: YamlId, origin: Origin) -> Read<Vec<String>> {
    let missing = || {
        (
            origin,
            "'suppress' is missing: the name of a rule, or a list of names".to_owned(),
        )
    };
    let node = yaml
        .get(id, "suppress")
        .and_then(|v| yaml.node(v))
        .ok_or_else(missing)?;
    let names: Vec<String> = match &node.kind {
        Kind::Scalar(name) => vec![name.clone()],
        Kind::Seq(items) => items
            .iter()
            .filter_map(|i| yaml.scalar(*i))
            .map(|(s, _)| s.to_owned())
            .collect(),
        _ => Vec::new(),
    };
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err((node.origin, missing().1));
    }
    Ok(names)
}
