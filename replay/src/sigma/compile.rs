//! From documents to rules and correlations.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::correlation::Correlation;
use super::detection::{self, Tree};
use super::document::{Body, Detection, Document, Logsource};
use super::logsource::{self, Mapping, Read};
use super::window::{Member, Of, Resolved};
use crate::alert::Said;
use crate::output::Format;
use crate::rules::{Checked, Language, LoadOptions, Loader, MAX_DEPTH, MAX_SIZE, Priority, Rule, Verdict};
use crate::source::Origin;
use crate::typed::atom::Extract;
use crate::typed::formula::{Formulas, NodeId};

/// The priority of rules that give no level.
const NO_LEVEL: Priority = Priority::Notice;

/// Names that rules give the host; a case has one.
const HOST: [&str; 5] = ["Computer", "ComputerName", "Hostname", "hostname", "host"];

/// Why a rule does not become one.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) origin: Origin,
    pub(super) message: String,
    /// Whether the rule is right, and it is the data that is missing.
    pub(super) needs: bool,
}

impl Refusal {
    pub(super) fn wrong(origin: Origin, message: String) -> Refusal {
        Refusal {
            origin,
            message,
            needs: false,
        }
    }

    pub(super) fn needs(origin: Origin, message: String) -> Refusal {
        Refusal {
            origin,
            message,
            needs: true,
        }
    }
}

/// Compiles all documents; rules are added to those of Falco's files.
pub(crate) fn compile(
    documents: &[Document],
    options: &LoadOptions,
    loader: &mut Loader,
    formulas: &mut Formulas,
    rules: &mut Vec<Rule>,
) -> Vec<Resolved> {
    let mut compiler = Compiler {
        documents,
        options,
        loader,
        formulas,
        rules,
        mappings: BTreeMap::new(),
        made: BTreeMap::new(),
        correlations: Vec::new(),
        muted: BTreeMap::new(),
    };
    for (i, document) in documents.iter().enumerate() {
        if let Body::Rule(source, detection) = &document.body {
            compiler.rule(i, document, source, detection);
        }
    }
    compiler.filters();
    compiler.all_correlations();
    compiler.mute();
    compiler.correlations
}

struct Compiler<'a> {
    documents: &'a [Document],
    options: &'a LoadOptions,
    loader: &'a mut Loader,
    formulas: &'a mut Formulas,
    rules: &'a mut Vec<Rule>,
    /// Of the rules that were made.
    mappings: BTreeMap<usize, &'static Mapping>,
    /// What became of each document.
    made: BTreeMap<usize, Vec<Of>>,
    correlations: Vec<Resolved>,
    /// Rules that correlations refer to, and whether one of these wants them told.
    muted: BTreeMap<usize, bool>,
}

impl Compiler<'_> {
    fn refuse(&mut self, document: &Document, refusal: Refusal) {
        let Refusal { origin, message, needs } = refusal;
        let verdict = if needs {
            self.loader
                .warn(origin, format!("rule '{}' is left out: {message}", document.title));
            Verdict::LeftOut(message)
        } else {
            self.loader.error(origin, message.clone());
            Verdict::Wrong(message)
        };
        self.check(document, verdict);
    }

    fn check(&mut self, document: &Document, verdict: Verdict) {
        let sources = &self.loader.sources;
        let checked = Checked::new(&document.title, Language::Sigma, document.origin, verdict, sources);
        self.loader.checked.push(checked);
    }

    /// A name that no other rule has.
    fn name(&self, document: &Document) -> String {
        let taken =
            |name: &str| self.rules.iter().any(|r| r.name == name) || self.correlations.iter().any(|c| c.name == name);
        let title = &document.title;
        let numbered = (2..).map(|n| format!("{title} ({n})"));
        let id = document.id.iter().map(|id| format!("{title} ({id})"));
        let mut names = std::iter::once(title.clone()).chain(id).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }

    /// Whether a document's status lets it run.
    fn enabled(document: &Document) -> bool {
        !matches!(document.status.as_deref(), Some("unsupported" | "deprecated"))
    }

    fn rule(&mut self, index: usize, document: &Document, source: &Logsource, detection: &Detection) {
        let before = self.rules.len();
        match self.conditions(document, source, detection) {
            Ok(mapping) => {
                let made: Vec<usize> = (before..self.rules.len()).collect();
                made.iter().for_each(|i| _ = self.mappings.insert(*i, mapping));
                let active = self.rules.last().is_some_and(|r| r.active);
                self.made.insert(index, made.into_iter().map(Of::Rule).collect());
                self.check(
                    document,
                    Verdict::Loads {
                        source: mapping.source.to_owned(),
                        active,
                        never_recorded: Vec::new(),
                    },
                );
            }
            Err(refusal) => {
                self.rules.truncate(before);
                self.refuse(document, refusal);
            }
        }
    }

    fn conditions(
        &mut self,
        document: &Document,
        source: &Logsource,
        detection: &Detection,
    ) -> Result<&'static Mapping, Refusal> {
        let mapping = logsource::mapping(source).map_err(|e| Refusal::needs(detection.origin, e))?;
        for condition in &detection.conditions {
            let tree = detection::tree(detection, condition, &self.options.placeholders)?;
            let node = self.formula(&tree, mapping, condition.1)?;
            let output = output(document, mapping).map_err(|e| Refusal::needs(document.origin, e))?;
            let name = self.name(document);
            let priority = document.level.unwrap_or(NO_LEVEL);
            let enabled = Self::enabled(document);
            self.rules.push(Rule {
                active: self.options.selects(&name, priority, &document.tags, enabled),
                name,
                description: document.description.clone(),
                priority,
                tags: document.tags.iter().cloned().collect(),
                source: mapping.source.to_owned(),
                condition: node,
                output,
                syntax: None,
                exceptions: Vec::new(),
                index: self.rules.len(),
                independent: true,
                silent: false,
                capture: Vec::new(),
                said: OnceLock::new(),
            });
        }
        Ok(mapping)
    }

    fn formula(&mut self, tree: &Tree, mapping: &Mapping, at: Origin) -> Result<NodeId, Refusal> {
        let node = detection::formula(tree, mapping, self.formulas)?;
        let events = match mapping.events {
            "" => self.formulas.constant(true),
            text => detection::falco(text, self.formulas).map_err(|e| Refusal::needs(at, e))?,
        };
        let node = self.formulas.and([events, node]);
        let wrong = |message: &str| {
            Err(Refusal {
                origin: at,
                message: message.to_owned(),
                needs: false,
            })
        };
        if self.formulas.depth(node) > MAX_DEPTH {
            return wrong("the condition is nested too deeply");
        }
        if self.formulas.size(node) > MAX_SIZE {
            return wrong("the condition is too large");
        }
        Ok(node)
    }

    /// Filters are conditions that the rules they name must satisfy too.
    fn filters(&mut self) {
        let documents = self.documents;
        for document in documents {
            let Body::Filter(source, names, detection) = &document.body else {
                continue;
            };
            let result = self.filter(source, names.as_deref(), detection);
            match result {
                Ok(0) => self.loader.warn(
                    document.origin,
                    format!("filter '{}' concerns no rule that was loaded", document.title),
                ),
                Ok(_) => {}
                Err(refusal) => self.refuse(document, refusal),
            }
        }
    }

    /// How many rules the filter concerns.
    fn filter(
        &mut self,
        source: &Logsource,
        names: Option<&[String]>,
        detection: &Detection,
    ) -> Result<usize, Refusal> {
        let documents = self.documents;
        let concerned = |document: &Document| match (&document.body, names) {
            (Body::Rule(of, _), None) => of == source,
            (Body::Rule(..), Some(names)) => names.iter().any(|n| document.is(n)),
            _ => false,
        };
        let made = self
            .made
            .iter()
            .filter(|(i, _)| documents.get(**i).is_some_and(concerned));
        let rules: Vec<usize> = made
            .flat_map(|(_, of)| of)
            .filter_map(|of| match of {
                Of::Rule(i) => Some(*i),
                Of::Correlation(_) => None,
            })
            .collect();
        for index in &rules {
            let Some(mapping) = self.mappings.get(index).copied() else {
                continue;
            };
            for condition in &detection.conditions {
                let tree = detection::tree(detection, condition, &self.options.placeholders)?;
                let node = detection::formula(&tree, mapping, self.formulas)?;
                if let Some(rule) = self.rules.get_mut(*index) {
                    rule.condition = self.formulas.and([rule.condition, node]);
                }
            }
        }
        Ok(rules.len())
    }

    /// Correlations come after those that they refer to; those that are left refer to each other.
    fn all_correlations(&mut self) {
        let documents = self.documents;
        let all = documents.iter().enumerate().filter_map(|(i, d)| match &d.body {
            Body::Correlation(correlation) => Some((i, d, correlation)),
            _ => None,
        });
        let mut open: Vec<_> = all.collect();
        loop {
            let (ready, rest): (Vec<_>, Vec<_>) = open.iter().partition(|(_, _, c)| {
                let waits = |name: &String| open.iter().any(|(_, other, _)| other.is(name));
                !c.rules.iter().any(|(name, _)| waits(name))
            });
            if ready.is_empty() {
                break;
            }
            for (i, document, correlation) in ready {
                if let Err(refusal) = self.correlation(i, document, correlation) {
                    self.refuse(document, refusal);
                }
            }
            open = rest;
        }
        for (_, document, correlation) in open {
            let origin = correlation.rules.first().map_or(document.origin, |r| r.1);
            let message = "correlations that refer to each other in a circle".to_owned();
            let refusal = Refusal {
                origin,
                message,
                needs: false,
            };
            self.refuse(document, refusal);
        }
    }

    fn correlation(&mut self, index: usize, document: &Document, correlation: &Correlation) -> Result<(), Refusal> {
        let mut members = Vec::new();
        for (name, at) in &correlation.rules {
            let of = self.referred(name, *at)?;
            let places = |compiler: &mut Self, fields: &[String]| {
                let each = fields.iter().map(|field| {
                    let alias = correlation.aliases.get(field);
                    let own = alias.and_then(|rules| rules.get(name)).unwrap_or(field);
                    compiler.place(of, own).map_err(|e| Refusal::needs(*at, e))
                });
                each.collect::<Result<Vec<usize>, Refusal>>()
            };
            members.push(Member {
                of,
                group: places(self, &correlation.group_by)?,
                values: places(self, &correlation.values)?,
            });
        }
        let name = self.name(document);
        let priority = document.level.unwrap_or(NO_LEVEL);
        let active = self
            .options
            .selects(&name, priority, &document.tags, Self::enabled(document));
        for member in members.iter().filter(|_| active) {
            match member.of {
                Of::Rule(i) => *self.muted.entry(i).or_default() |= correlation.generate,
                Of::Correlation(i) => {
                    if let Some(inner) = self.correlations.get_mut(i).filter(|_| !correlation.generate) {
                        inner.told = false;
                    }
                }
            }
        }
        let sources = self.sources(&members);
        self.made.insert(index, vec![Of::Correlation(self.correlations.len())]);
        let tags: Vec<String> = document.tags.iter().cloned().collect();
        let group_by = correlation.group_by.iter().map(String::as_str);
        let shown: Vec<&str> = group_by.chain([correlation.measure.name()]).collect();
        self.correlations.push(Resolved {
            said: Arc::new(Said::of_correlation((&name, priority, &tags), &shown)),
            name,
            measure: correlation.measure,
            members,
            group_by: correlation.group_by.clone(),
            timespan_ns: correlation.timespan_ns,
            conditions: correlation.conditions.clone(),
            told: active,
        });
        self.check(
            document,
            Verdict::Loads {
                source: sources,
                active,
                never_recorded: Vec::new(),
            },
        );
        Ok(())
    }

    /// The rule or correlation of an id or name.
    fn referred(&self, name: &str, at: Origin) -> Result<Of, Refusal> {
        let wrong = |message: String| Refusal {
            origin: at,
            message,
            needs: false,
        };
        let Some(index) = self.documents.iter().position(|d| d.is(name)) else {
            return Err(wrong(format!("there is no rule with id or name '{name}'")));
        };
        match self.made.get(&index).map(Vec::as_slice) {
            Some([one]) => Ok(*one),
            Some(_) => Err(wrong(format!("rule '{name}' has several conditions"))),
            None => Err(Refusal::needs(at, format!("needs rule '{name}', which does not load"))),
        }
    }

    /// Where among the captured values of a member a field is.
    fn place(&mut self, of: Of, field: &str) -> Result<usize, String> {
        let index = match of {
            Of::Rule(index) => index,
            Of::Correlation(i) => {
                let group = self
                    .correlations
                    .get(i)
                    .map(|c| c.group_by.as_slice())
                    .unwrap_or_default();
                let place = group.iter().position(|g| g == field);
                return place.ok_or_else(|| format!("needs field '{field}', by which the correlation is not grouped"));
            }
        };
        let value = if HOST.contains(&field) {
            None
        } else {
            let mapping = self.mappings.get(&index).ok_or("needs a rule that loads")?;
            Some(shown(mapping, field)?)
        };
        let Some(rule) = self.rules.get_mut(index) else {
            return Err("needs a rule that loads".to_owned());
        };
        rule.capture.push(value);
        Ok(rule.capture.len() - 1)
    }

    /// The sources of members, each once.
    fn sources(&self, members: &[Member]) -> String {
        let mut out: Vec<&str> = Vec::new();
        let mut open: Vec<Of> = members.iter().map(|m| m.of).collect();
        while let Some(of) = open.pop() {
            match of {
                Of::Rule(i) => out.extend(self.rules.get(i).iter().flat_map(|r| r.source.split(", "))),
                Of::Correlation(i) => open.extend(
                    self.correlations
                        .get(i)
                        .iter()
                        .flat_map(|c| c.members.iter().map(|m| m.of)),
                ),
            }
        }
        out.sort_unstable();
        out.dedup();
        out.join(", ")
    }

    /// Rules of correlations run in any case, and raise alerts of their own only where a correlation asks for it.
    fn mute(&mut self) {
        for (index, generate) in &self.muted {
            if let Some(rule) = self.rules.get_mut(*index) {
                rule.silent = !(rule.active && *generate);
                rule.active = true;
            }
        }
    }
}

/// A field's value as outputs show it.
fn shown(mapping: &Mapping, field: &str) -> Result<Extract, String> {
    if mapping.records {
        let resolved = crate::fields::resolve("audit.field", Some(field));
        return resolved.map(Extract::Field).map_err(|e| e.message);
    }
    let mut all = Vec::new();
    for read in mapping.field(field)? {
        all.push(detection::extract(*read, false)?);
    }
    Ok(match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            Extract::First(all)
        }
    })
}

/// The title, and the fields that the rule names or that its log source is about.
fn output(document: &Document, mapping: &Mapping) -> Result<Format, String> {
    let named: Vec<&str> = document.fields.iter().map(String::as_str).collect();
    let mut parts = Vec::new();
    let mut add = |name: &str, value: Extract| {
        let before = if parts.is_empty() {
            format!("{} (", document.title)
        } else {
            " ".to_owned()
        };
        parts.push((format!("{before}{name}="), value));
    };
    let known = named
        .iter()
        .filter_map(|name| Some((*name, shown(mapping, name).ok()?)));
    let known: Vec<(&str, Extract)> = known.collect();
    if !known.is_empty() {
        known.into_iter().for_each(|(name, value)| add(name, value));
    } else if mapping.records {
        for name in ["audit.type", "audit.exe", "audit.syscall", "audit.key"] {
            add(name, detection::extract(Read::Field(name), false)?);
        }
    } else {
        for name in mapping.shown {
            add(name, shown(mapping, name)?);
        }
    }
    Ok(Format::made(parts, ")"))
}
