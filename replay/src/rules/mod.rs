//! Rules files: from text to checked rules.
//!
//! The order of work is Falco's: [`read`] turns YAML into items, [`collect`] lets later items add to and replace
//! earlier ones over all files, [`resolve`] expands lists and macros, and this module compiles each rule's condition
//! and output. Unlike Falco, which stops at the first error, every step goes on and the errors of all files are shown
//! together.

mod check;
mod collect;
mod exception;
mod item;
mod named;
mod node;
mod read;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;

use crate::alert::Said;
use crate::condition::ast::Expr;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::engine::evaluate::{self, Place};
use crate::fields;
use crate::output::Format;
use crate::sigma::{self, Resolved};
use crate::source::Sources;
use crate::typed::atom::Extract;
use crate::typed::compile::{self, CompileError, ErrorKind};
use crate::typed::formula::{Formulas, NodeId};
use crate::typed::glob::Glob;
use crate::yaml::Yaml;

pub use check::{Checked, Language, Report, Verdict, check};
pub use item::Priority;
pub use named::NameError;
pub(crate) use node::{Bad, Node, Read};
pub(crate) use resolve::Syntax;

/// The engine version that rules may require; that of Falco 0.44.
pub const ENGINE_VERSION: (u32, u32, u32) = (0, 62, 0);

/// Deepest formula once macros are expanded; public rules stay below ten.
pub(crate) const MAX_DEPTH: u32 = 500;

/// Largest formula once macros are expanded; public rules stay below a thousand.
pub(crate) const MAX_SIZE: u64 = 1 << 18;

/// A rules file: the caller reads it, so that this crate needs no file system.
#[derive(Clone, Copy, Debug)]
pub struct RuleFile<'a> {
    /// Name for messages.
    pub name: &'a str,
    /// Content.
    pub text: &'a str,
}

/// Which of the loaded rules run.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Only rules of this priority or a more urgent one.
    pub min_priority: Option<Priority>,
    /// Only rules with one of these tags; empty for all.
    pub tags: Vec<String>,
    /// No rules with one of these tags.
    pub without_tags: Vec<String>,
    /// No rules with names that one of these shell patterns matches.
    pub disable: Vec<String>,
    /// Rules with names that one of these shell patterns matches run even where their file or `disable` says otherwise.
    pub enable: Vec<String>,
    /// Values of the placeholders in Sigma rules, by name.
    pub placeholders: BTreeMap<String, Vec<String>>,
}

/// One rule that loaded.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it looks for.
    pub description: String,
    /// How urgent its alerts are.
    pub priority: Priority,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The source of the events it looks at; several are joined with commas.
    pub source: String,
    /// Whether it runs: it is enabled and the [`LoadOptions`] select it.
    pub active: bool,
    pub(crate) condition: NodeId,
    pub(crate) output: Format,
    /// The condition as it was written, where it was written in Falco's language.
    pub(crate) syntax: Option<Expr>,
    /// Names of the exceptions that stand in `syntax`, in their order: they are the last parts of it.
    pub(crate) exceptions: Vec<String>,
    /// Its index in [`RuleSet::rules`].
    pub(crate) index: usize,
    /// Whether it raises an alert whatever other rules match, as Sigma's rules do.
    pub(crate) independent: bool,
    /// Whether its matches serve correlations alone.
    pub(crate) silent: bool,
    /// Values that correlations want of each match; `None` for the name of the host.
    pub(crate) capture: Vec<Option<Extract>>,
    /// What its alerts have in common; made for the first.
    pub(crate) said: OnceLock<Arc<Said>>,
}

impl Rule {
    /// Columns that the values for correlations need.
    pub(crate) fn captured_needs(&self) -> Need {
        let values = self.capture.iter().flatten();
        values.fold(Need::NOTHING, |need, value| need | value.needs())
    }

    /// What its alerts have in common.
    pub(crate) fn said(&self) -> &Arc<Said> {
        self.said.get_or_init(|| Arc::new(Said::of(self)))
    }

    /// Whether its matches serve correlations alone: there are no alerts of it.
    pub fn raises_no_alert(&self) -> bool {
        self.silent
    }

    /// Whether it looks at events of a source.
    pub(crate) fn concerns(&self, source: &str) -> bool {
        concerns(&self.source, source)
    }
}

/// Whether a source is among those that are joined with commas.
pub(crate) fn concerns(sources: &str, source: &str) -> bool {
    sources.split(", ").any(|s| s == source)
}

/// Rules that loaded without errors.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) formulas: Formulas,
    pub(crate) syntax: Syntax,
    pub(crate) correlations: Vec<Resolved>,
    warnings: Vec<Diagnostic>,
    notes: Vec<Diagnostic>,
}

impl RuleSet {
    /// The rules in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether an event satisfies the condition of the rule at an index of [`RuleSet::rules`], asked comparison by
    /// comparison. For single events: an [`crate::Engine`] asks all rules of all events faster. The columns of
    /// [`RuleSet::needs`] must be there.
    pub fn holds(&self, rule: usize, event: EventView<'_>) -> bool {
        let of_source = |rule: &&Rule| event.spec().is_some_and(|s| rule.concerns(s.source.name()));
        let mut ask = |id| {
            self.formulas
                .atom_of(id)
                .is_some_and(|atom| evaluate::holds(atom, Place::Event(event)))
        };
        let rule = self.rules.get(rule).filter(of_source);
        rule.is_some_and(|rule| self.formulas.eval(rule.condition, &mut ask))
    }

    /// Columns that [`RuleSet::holds`] looks at.
    pub fn needs(&self) -> Need {
        let atoms = self.formulas.atoms_of(self.rules.iter().map(|r| r.condition));
        let atoms = atoms.into_iter().filter_map(|id| self.formulas.atom_of(id));
        atoms.fold(Need::KIND, |need, atom| need | atom.needs())
    }

    /// What is odd about the rules, in the order of files and lines.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// What has no effect, unused macros and lists above all, in the order of files and lines.
    pub fn notes(&self) -> &[Diagnostic] {
        &self.notes
    }
}

/// The event sources that rules can name.
fn is_source(name: &str) -> bool {
    ctrace_trace::event::Source::ALL.iter().any(|s| s.name() == name)
}

/// Loads rules files in the given order; later ones add to and override earlier ones.
///
/// # Errors
/// Every error of every file, in the order of files and lines.
pub fn load(files: &[RuleFile<'_>], options: &LoadOptions) -> Result<RuleSet, Diagnostics> {
    let Loaded {
        mut set, diagnostics, ..
    } = gather(files, options);
    let of = |severity| {
        let list = diagnostics.iter().filter(|d| d.severity == severity).cloned();
        sorted(list.collect(), files)
    };
    let errors = of(Severity::Error);
    if !errors.is_empty() {
        return Err(Diagnostics(errors));
    }
    set.warnings = of(Severity::Warning);
    set.notes = of(Severity::Note);
    Ok(set)
}

/// What there is once all files were looked at, whatever is wrong with them.
struct Loaded {
    set: RuleSet,
    diagnostics: Vec<Diagnostic>,
    checked: Vec<Checked>,
}

fn gather(files: &[RuleFile<'_>], options: &LoadOptions) -> Loaded {
    let mut loader = Loader::default();
    let mut collected = collect::Collection::default();
    for file in files {
        let id = loader.sources.add_file(file.name, file.text);
        match Yaml::parse(&loader.sources, id) {
            Ok(yaml) => {
                loader.repeated(&yaml);
                read::read(&yaml, &mut loader, &mut |loader, item| collected.add(item, loader));
            }
            Err(error) => loader.diagnostics.push(error),
        }
    }
    loader.compile(&collected, options)
}

/// Puts diagnostics in the order of files and lines and drops repetitions.
fn sorted(mut list: Vec<Diagnostic>, files: &[RuleFile<'_>]) -> Vec<Diagnostic> {
    let rank = |d: &Diagnostic| files.iter().position(|f| f.name == d.file).unwrap_or(files.len());
    list.sort_by(|a, b| (rank(a), a.line, a.column, &a.message).cmp(&(rank(b), b.line, b.column, &b.message)));
    list.dedup();
    list
}

/// What is gathered while files load.
#[derive(Debug, Default)]
pub(crate) struct Loader {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What became of the rules so far.
    pub(crate) checked: Vec<Checked>,
    pub(crate) sigma: Vec<sigma::Document>,
}

impl Loader {
    pub(crate) fn error(&mut self, origin: crate::source::Origin, message: impl Into<String>) {
        self.diagnostics
            .push(self.sources.at_origin(Severity::Error, origin, message.into()));
    }

    pub(crate) fn warn(&mut self, origin: crate::source::Origin, message: impl Into<String>) {
        self.diagnostics
            .push(self.sources.at_origin(Severity::Warning, origin, message.into()));
    }

    pub(crate) fn note(&mut self, origin: crate::source::Origin, message: impl Into<String>) {
        self.diagnostics
            .push(self.sources.at_origin(Severity::Note, origin, message.into()));
    }

    /// Keys given twice. Falco takes the first one and says nothing; Sigma forbids it.
    fn repeated(&mut self, yaml: &Yaml) {
        for key in &yaml.repeated {
            if sigma::is_document(yaml, key.root) {
                self.error(key.origin, format!("the key '{}' is given twice", key.name));
            } else {
                self.warn(
                    key.origin,
                    format!("the key '{}' is given twice; this one is ignored", key.name),
                );
            }
        }
    }

    fn report(&mut self, severity: Severity, error: CompileError) {
        let mut d = self.sources.at_loc(severity, error.loc, error.message);
        d.suggestion = error.suggestion;
        self.diagnostics.push(d);
    }

    fn compile(mut self, collected: &collect::Collection, options: &LoadOptions) -> Loaded {
        let mut formulas = Formulas::default();
        let mut scope = resolve::Scope::new(collected, &mut self);
        let mut rules = Vec::new();
        for rule in &collected.rules {
            let before = self.diagnostics.len();
            let compiled = self.compile_rule(rule, options, &mut scope, &mut formulas);
            let verdict = verdict(compiled.as_ref(), self.diagnostics.get(before..).unwrap_or_default());
            let checked = Checked::new(&rule.name, Language::Falco, rule.origin, verdict, &self.sources);
            self.checked.push(checked);
            rules.extend(compiled);
        }
        let syntax = scope.finish(&mut formulas, &mut self);
        rules.iter_mut().enumerate().for_each(|(i, rule)| rule.index = i);
        let documents = std::mem::take(&mut self.sigma);
        let correlations = sigma::compile(&documents, options, &mut self, &mut formulas, &mut rules);
        Loaded {
            set: RuleSet {
                rules,
                formulas,
                syntax,
                correlations,
                warnings: Vec::new(),
                notes: Vec::new(),
            },
            diagnostics: self.diagnostics,
            checked: self.checked,
        }
    }

    fn compile_rule(
        &mut self,
        rule: &item::RuleItem,
        options: &LoadOptions,
        scope: &mut resolve::Scope<'_>,
        formulas: &mut Formulas,
    ) -> Option<Rule> {
        if !is_source(&rule.source) {
            self.warn(
                rule.origin,
                format!("rule '{}' is left out: unknown source '{}'", rule.name, rule.source),
            );
            return None;
        }
        let mut errors = Vec::new();
        let text = self.sources.add_text(rule.output.clone());
        let output = Format::compile(self.sources.text(text), text, &mut errors);
        let compiled = self.rule_condition(rule, scope, formulas, &mut errors);
        let (notes, errors): (Vec<_>, Vec<_>) = errors.into_iter().partition(|e| e.kind == ErrorKind::NeverRecorded);
        notes.into_iter().for_each(|e| self.report(Severity::Warning, e));
        if rule.skip_if_unknown && !errors.is_empty() && errors.iter().all(|e| e.kind == ErrorKind::Unknown) {
            errors.into_iter().for_each(|e| self.report(Severity::Warning, e));
            self.warn(
                rule.origin,
                format!("rule '{}' is left out: skip-if-unknown-filter", rule.name),
            );
            return None;
        }
        errors.into_iter().for_each(|e| self.report(Severity::Error, e));
        let (syntax, condition) = compiled?;
        let used = rule
            .exceptions
            .iter()
            .filter(|e| e.fields.is_some() && !e.values.is_empty());
        Some(Rule {
            name: rule.name.clone(),
            description: rule.desc.clone(),
            priority: rule.priority,
            tags: rule.tags.iter().cloned().collect(),
            source: rule.source.clone(),
            active: options.selects(&rule.name, rule.priority, &rule.tags, rule.enabled),
            condition,
            output: output?,
            syntax: Some(syntax),
            exceptions: used.map(|e| e.name.clone()).collect(),
            index: 0,
            independent: false,
            silent: false,
            capture: Vec::new(),
            said: OnceLock::new(),
        })
    }

    fn rule_condition(
        &mut self,
        rule: &item::RuleItem,
        scope: &mut resolve::Scope<'_>,
        formulas: &mut Formulas,
        errors: &mut Vec<CompileError>,
    ) -> Option<(Expr, NodeId)> {
        let text = match exception::condition(rule) {
            Ok(text) => text,
            Err((origin, message)) => {
                self.error(origin, message);
                return None;
            }
        };
        let id = self.sources.add_text(text);
        let expr = match scope.parse(&self.sources, id) {
            Ok(expr) => expr,
            Err(e) => {
                errors.push(CompileError {
                    loc: e.loc,
                    message: e.message,
                    suggestion: e.suggestion,
                    kind: ErrorKind::Wrong,
                });
                return None;
            }
        };
        let mut names = scope.of_rule(&mut self.sources);
        let node = compile::condition(&expr, &mut names, formulas, errors)?;
        if formulas.depth(node) > MAX_DEPTH {
            errors.push(CompileError::new(
                Sources::loc(id, 0),
                "the condition is nested too deeply",
            ));
            return None;
        }
        if formulas.size(node) > MAX_SIZE {
            errors.push(CompileError::new(
                Sources::loc(id, 0),
                "the condition is too large once its macros are expanded",
            ));
            return None;
        }
        Some((expr, node))
    }
}

/// What became of a rule, given the diagnostics that it caused.
fn verdict(rule: Option<&Rule>, caused: &[Diagnostic]) -> Verdict {
    let all = |severity| {
        let list = caused.iter().filter(|d| d.severity == severity);
        list.map(|d| d.message.clone()).collect::<Vec<_>>()
    };
    let errors = all(Severity::Error);
    match rule {
        _ if !errors.is_empty() => Verdict::Wrong(errors.join("; ")),
        Some(rule) => Verdict::Loads {
            source: rule.source.clone(),
            active: rule.active,
            never_recorded: all(Severity::Warning),
        },
        None => Verdict::LeftOut(all(Severity::Warning).join("; ")),
    }
}

impl LoadOptions {
    /// Whether a rule runs.
    pub(crate) fn selects(&self, name: &str, priority: Priority, rule_tags: &BTreeSet<String>, enabled: bool) -> bool {
        let tagged = |tags: &[String]| tags.iter().any(|t| rule_tags.contains(t));
        let named = |patterns: &[String]| {
            let glob = |p: &String| Glob::new(p.as_bytes(), false);
            patterns.iter().filter_map(glob).any(|g| g.matches(name.as_bytes()))
        };
        let enabled = (enabled && !named(&self.disable)) || named(&self.enable);
        enabled
            && self.min_priority.is_none_or(|p| priority <= p)
            && (self.tags.is_empty() || tagged(&self.tags))
            && !tagged(&self.without_tags)
    }
}

/// Field names for suggestions, also used by the reader of exceptions.
pub(crate) fn check_field(name: &str) -> Result<(), fields::FieldError> {
    let (name, arg) = match name.split_once('[') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(']'))),
        None => (name, None),
    };
    if fields::unsupported(name, arg).is_some() {
        return Ok(());
    }
    fields::resolve(name, arg).map(|_| ())
}
