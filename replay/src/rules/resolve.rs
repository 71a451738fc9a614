//! Names in conditions: lists become their items, macros their formulas. Each is resolved once, when first used.

use std::collections::{BTreeMap, BTreeSet};

use super::Loader;
use super::collect::{Collection, ListDef};
use super::exception::push_quoted;
use super::item::Broken;
use crate::condition::ast::{Expr, Value};
use crate::condition::{self, SyntaxError};
use crate::diagnostics::{Severity, nearest};
use crate::source::{Loc, Sources, Text};
use crate::typed::compile::{self, CompileError, ErrorKind, Names};
use crate::typed::formula::{Formulas, NodeId};

/// Deepest chain of macros that use each other; keeps hostile rules from exhausting the stack.
const MAX_MACRO_DEPTH: usize = 50;

/// Most items that a list may have once the lists in it are expanded.
const MAX_ITEMS: usize = 1 << 20;

/// A macro's formula and the errors found in it.
#[derive(Clone, Debug, Default)]
struct Resolved {
    node: Option<NodeId>,
    errors: Vec<CompileError>,
}

/// What the names in conditions stand for, as it was written.
#[derive(Debug, Default)]
pub(crate) struct Syntax {
    pub(crate) macros: BTreeMap<String, Expr>,
    pub(crate) lists: BTreeMap<String, Vec<Value>>,
}

/// Lists and macros of a load.
pub(super) struct Scope<'a> {
    collected: &'a Collection,
    conditions: BTreeMap<&'a str, Option<Expr>>,
    macros: BTreeMap<&'a str, Resolved>,
    lists: BTreeMap<String, (Vec<Value>, Vec<CompileError>)>,
    used: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    /// Parses all macros; what is wrong with their syntax is reported even when nothing uses them.
    pub(super) fn new(collected: &'a Collection, loader: &mut Loader) -> Scope<'a> {
        let mut conditions = BTreeMap::new();
        for (name, def) in &collected.macros {
            let id = loader.sources.add_text(def.condition.clone());
            let parsed = condition::parse_naming(loader.sources.text(id), id, &collected.unusual);
            conditions.insert(
                name.as_str(),
                match parsed {
                    Ok(expr) => Some(expr),
                    Err(e) => {
                        loader.report(Severity::Error, syntax(e));
                        None
                    }
                },
            );
        }
        Scope {
            collected,
            conditions,
            macros: BTreeMap::new(),
            lists: BTreeMap::new(),
            used: BTreeSet::new(),
        }
    }

    /// Parses the condition of a rule.
    pub(super) fn parse(&self, sources: &Sources, id: u32) -> Result<Expr, SyntaxError> {
        condition::parse_naming(sources.text(id), id, &self.collected.unusual)
    }

    /// The names as a rule sees them.
    pub(super) fn of_rule<'s>(&'s mut self, sources: &'s mut Sources) -> Resolver<'s, 'a> {
        Resolver {
            scope: self,
            sources,
            path: Vec::new(),
        }
    }

    /// Notes unused macros and lists, and what is wrong in them: undefined macros are errors, as in Falco. What names
    /// stand for is kept for explanations.
    pub(super) fn finish(mut self, formulas: &mut Formulas, loader: &mut Loader) -> Syntax {
        let collected = self.collected;
        for (name, def) in &collected.macros {
            if self.used.contains(name.as_str()) {
                continue;
            }
            loader.note(def.origin, format!("macro '{name}' is not used"));
            let mut errors = Vec::new();
            let mut resolver = Resolver {
                scope: &mut self,
                sources: &mut loader.sources,
                path: Vec::new(),
            };
            resolver.resolve_macro(name, formulas, &mut errors);
            for e in errors {
                let severity = if e.undefined_macro() {
                    Severity::Error
                } else {
                    Severity::Note
                };
                loader.report(severity, e);
            }
        }
        for (name, def) in &collected.lists {
            if !self.lists.contains_key(name) {
                loader.note(def.origin, format!("list '{name}' is not used"));
            }
        }
        let macros = self.conditions.into_iter();
        Syntax {
            macros: macros
                .filter_map(|(name, expr)| Some((name.to_owned(), expr?)))
                .collect(),
            lists: self.lists.into_iter().map(|(name, (items, _))| (name, items)).collect(),
        }
    }
}

const UNDEFINED: &str = "undefined macro";
const LOOP: &str = "macros that use each other in a circle";

impl CompileError {
    fn undefined_macro(&self) -> bool {
        self.message.starts_with(UNDEFINED) || self.message.starts_with(LOOP)
    }
}

fn syntax(e: SyntaxError) -> CompileError {
    CompileError {
        loc: e.loc,
        message: e.message,
        suggestion: e.suggestion,
        kind: ErrorKind::Wrong,
    }
}

/// Resolves names while one condition is compiled.
pub(super) struct Resolver<'s, 'a> {
    scope: &'s mut Scope<'a>,
    sources: &'s mut Sources,
    /// The macros that are being expanded, outermost first.
    path: Vec<&'a str>,
}

impl<'a> Resolver<'_, 'a> {
    fn resolve_macro(
        &mut self,
        name: &'a str,
        formulas: &mut Formulas,
        errors: &mut Vec<CompileError>,
    ) -> Option<NodeId> {
        self.scope.used.insert(name);
        if !self.scope.macros.contains_key(name) {
            let expr = self.scope.conditions.get(name).cloned().flatten();
            let mut resolved = Resolved::default();
            if let Some(expr) = expr {
                self.path.push(name);
                resolved.node = compile::condition(&expr, self, formulas, &mut resolved.errors);
                self.path.pop();
            }
            self.scope.macros.insert(name, resolved);
        }
        let resolved = self.scope.macros.get(name)?;
        // Once, however often the macro is used: macros that use another one twice would double its errors.
        for e in &resolved.errors {
            if !errors
                .iter()
                .any(|known| known.loc == e.loc && known.message == e.message)
            {
                errors.push(e.clone());
            }
        }
        resolved.node
    }

    fn undefined(&self, name: &str, loc: Loc, why: &str) -> CompileError {
        let mut error = CompileError::new(loc, format!("{UNDEFINED} '{name}'{why}"));
        if self.scope.collected.lists.contains_key(name) {
            error
                .message
                .push_str(": it is a list, which stands only after an operator");
        } else if why.is_empty() {
            error.suggestion = nearest(name, self.scope.collected.macros.keys().map(String::as_str));
        }
        error
    }

    fn expand_list(&mut self, list: &ListDef, path: &mut Vec<String>, errors: &mut Vec<CompileError>) -> Vec<Value> {
        let mut out = Vec::new();
        for (item, origin) in &list.items {
            // An item names a list that was defined before the list it stands in was last changed.
            let nested = self.scope.collected.lists.get(item).filter(|l| l.first < list.last);
            if let Some(nested) = nested.filter(|_| !path.contains(item)) {
                path.push(item.clone());
                self.scope.lists.entry(item.clone()).or_default();
                let inner = self.expand_list(nested, path, errors);
                path.pop();
                if inner.len() > MAX_ITEMS {
                    return inner; // told where it happened
                }
                out.extend(inner);
            } else {
                let mut text = Text::default();
                push_quoted(item, *origin, &mut text);
                let id = self.sources.add_text(text);
                match condition::parse_values(self.sources.text(id), id) {
                    Ok(values) => out.extend(values),
                    Err(e) => errors.push(syntax(e)),
                }
            }
            if out.len() > MAX_ITEMS {
                let mut text = Text::default();
                push_quoted(item, *origin, &mut text);
                let id = self.sources.add_text(text);
                errors.push(CompileError::new(
                    Sources::loc(id, 0),
                    "a list expands to too many items",
                ));
                break;
            }
        }
        out
    }
}

impl Names for Resolver<'_, '_> {
    fn macro_node(
        &mut self,
        name: &str,
        loc: Loc,
        formulas: &mut Formulas,
        errors: &mut Vec<CompileError>,
    ) -> Option<NodeId> {
        let collected = self.scope.collected;
        let Some((key, def)) = collected.macros.get_key_value(name) else {
            if !collected.broken.contains(&(Broken::Macro, name.to_owned())) {
                errors.push(self.undefined(name, loc, ""));
            }
            return None;
        };
        if self.path.contains(&key.as_str()) {
            errors.push(CompileError::new(loc, format!("{LOOP}: '{name}'")));
            return None;
        }
        if self.path.len() >= MAX_MACRO_DEPTH {
            errors.push(CompileError::new(loc, "macros are nested too deeply"));
            return None;
        }
        let user = self.path.last().and_then(|m| collected.macros.get(*m));
        if user.is_some_and(|user| def.first >= user.last) {
            errors.push(self.undefined(name, loc, " here: it is defined only later"));
            return None;
        }
        self.resolve_macro(key, formulas, errors)
    }

    fn list_items(&mut self, name: &str, errors: &mut Vec<CompileError>) -> Option<Vec<Value>> {
        let list = self.scope.collected.lists.get(name)?;
        if self.scope.lists.get(name).is_none_or(|l| l.0.is_empty()) {
            let mut found = Vec::new();
            let items = self.expand_list(list, &mut vec![name.to_owned()], &mut found);
            self.scope.lists.insert(name.to_owned(), (items, found));
        }
        let (items, found) = self.scope.lists.get(name)?;
        errors.extend(found.iter().cloned());
        Some(items.clone())
    }
}
