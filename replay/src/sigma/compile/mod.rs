//! From documents to rules and correlations.

mod correlations;
mod filters;
mod output;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use self::output::output;
use super::detection::{self, Tree};
use super::document::{Body, Detection, Document, Logsource};
use super::logsource::{self, Mapping};
use super::refusal::Refusal;
use super::window::{Of, Resolved};
use crate::rules::{Checked, Language, LoadOptions, Loader, MAX_DEPTH, MAX_SIZE, Priority, Rule, Verdict};
use crate::source::Origin;
use crate::typed::formula::{Formulas, NodeId};

/// The priority of rules that give no level.
const NO_LEVEL: Priority = Priority::Notice;

/// Names that rules give the host; a case has one.
const HOST: [&str; 5] = ["Computer", "ComputerName", "Hostname", "hostname", "host"];

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
        let wrong = |message: &str| Err(Refusal::wrong(at, message.to_owned()));
        if self.formulas.depth(node) > MAX_DEPTH {
            return wrong("the condition is nested too deeply");
        }
        if self.formulas.size(node) > MAX_SIZE {
            return wrong("the condition is too large");
        }
        Ok(node)
    }
}
