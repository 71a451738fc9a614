//! Items over all files: later ones define anew, append, replace, switch on and off.

use std::collections::{BTreeMap, BTreeSet};

use super::Loader;
use super::exception;
use super::item::{Broken, Item, RuleItem, RulePatch, RuleUpdate};
use crate::condition;
use crate::diagnostics::nearest;
use crate::source::{Origin, Text};

/// A list as all items together define it.
#[derive(Debug)]
pub(super) struct ListDef {
    pub(super) items: Vec<(String, Origin)>,
    pub(super) origin: Origin,
    /// When it was first defined; see [`MacroDef::first`].
    pub(super) first: usize,
    pub(super) last: usize,
}

/// A macro as all items together define it.
#[derive(Debug)]
pub(super) struct MacroDef {
    pub(super) condition: Text,
    pub(super) origin: Origin,
    /// Number of the item that first defined it.
    pub(super) first: usize,
    /// Number of the item that last changed it: it may use macros first defined before that one.
    pub(super) last: usize,
}

/// All lists, macros and rules.
#[derive(Debug, Default)]
pub(super) struct Collection {
    pub(super) lists: BTreeMap<String, ListDef>,
    pub(super) macros: BTreeMap<String, MacroDef>,
    /// In the order of their first definition, which is the order in which they are tried.
    pub(super) rules: Vec<RuleItem>,
    pub(super) broken: BTreeSet<(Broken, String)>,
    /// Names of lists that a condition's grammar does not take for one value.
    pub(super) unusual: Vec<String>,
    by_name: BTreeMap<String, usize>,
    count: usize,
}

impl Collection {
    /// Takes the next item.
    pub(super) fn add(&mut self, item: Item, loader: &mut Loader) {
        let at = self.count;
        self.count += 1;
        match item {
            Item::List {
                name,
                items,
                append,
                origin,
            } => self.add_list(name, items, append, origin, at, loader),
            Item::Macro {
                name,
                condition,
                append,
                origin,
            } => {
                self.add_macro(name, condition, append, origin, at, loader);
            }
            Item::Rule(rule) => self.define_rule(*rule, loader),
            Item::Enable { name, enabled, origin } => {
                if let Some(rule) = self.rule_mut(&name, origin, None, loader) {
                    rule.enabled = enabled;
                }
            }
            Item::Update(update) => self.update_rule(*update, loader),
            Item::Broken { kind, name } => {
                self.broken.insert((kind, name));
            }
        }
    }

    fn add_list(
        &mut self,
        name: String,
        items: Vec<(String, Origin)>,
        append: bool,
        origin: Origin,
        at: usize,
        loader: &mut Loader,
    ) {
        if !condition::is_bare(&name) && !self.unusual.contains(&name) {
            loader.warn(origin, format!("'{name}' is an unusual name for a list"));
            self.unusual.push(name.clone());
        }
        match (self.lists.get_mut(&name), append) {
            (Some(list), true) => {
                list.items.extend(items);
                list.last = at;
            }
            (Some(list), false) => {
                *list = ListDef {
                    items,
                    origin,
                    first: list.first,
                    last: at,
                }
            }
            (None, false) => {
                self.lists.insert(
                    name,
                    ListDef {
                        items,
                        origin,
                        first: at,
                        last: at,
                    },
                );
            }
            (None, true) => self.nothing_before("list", Broken::List, &name, origin, loader),
        }
    }

    fn add_macro(
        &mut self,
        name: String,
        condition: Text,
        append: bool,
        origin: Origin,
        at: usize,
        loader: &mut Loader,
    ) {
        if !condition::is_identifier(&name) {
            loader.warn(
                origin,
                format!("no condition can name macro '{name}': names are letters, digits and '_'"),
            );
        }
        match (self.macros.get_mut(&name), append) {
            (Some(old), true) => {
                append_text(&mut old.condition, &condition);
                old.last = at;
            }
            (Some(old), false) => {
                *old = MacroDef {
                    condition,
                    origin,
                    first: old.first,
                    last: at,
                }
            }
            (None, false) => {
                self.macros.insert(
                    name,
                    MacroDef {
                        condition,
                        origin,
                        first: at,
                        last: at,
                    },
                );
            }
            (None, true) => self.nothing_before("macro", Broken::Macro, &name, origin, loader),
        }
    }

    fn nothing_before(&self, what: &str, kind: Broken, name: &str, origin: Origin, loader: &mut Loader) {
        if self.broken.contains(&(kind, name.to_owned())) {
            return;
        }
        let known: Vec<&str> = match kind {
            Broken::List => self.lists.keys().map(String::as_str).collect(),
            Broken::Macro => self.macros.keys().map(String::as_str).collect(),
            Broken::Rule => self.by_name.keys().map(String::as_str).collect(),
        };
        let hint = nearest(name, known)
            .map(|n| format!("; did you mean '{n}'?"))
            .unwrap_or_default();
        loader.error(origin, format!("there is no earlier {what} '{name}' to change{hint}"));
    }

    fn define_rule(&mut self, mut rule: RuleItem, loader: &mut Loader) {
        for exception in &mut rule.exceptions {
            exception::check(exception, &rule.source, loader);
        }
        let Some(&index) = self.by_name.get(&rule.name) else {
            self.by_name.insert(rule.name.clone(), self.rules.len());
            self.rules.push(rule);
            return;
        };
        if let Some(old) = self.rules.get_mut(index) {
            if old.source != rule.source {
                loader.error(
                    rule.origin,
                    format!("rule '{}' is defined again with another source", rule.name),
                );
            }
            *old = rule;
        }
    }

    fn rule_mut(
        &mut self,
        name: &str,
        origin: Origin,
        source: Option<&str>,
        loader: &mut Loader,
    ) -> Option<&mut RuleItem> {
        let Some(&index) = self.by_name.get(name) else {
            self.nothing_before("rule", Broken::Rule, name, origin, loader);
            return None;
        };
        let rule = self.rules.get_mut(index)?;
        if source.is_some_and(|s| s != rule.source) {
            loader.error(origin, format!("rule '{name}' is changed with another source"));
            return None;
        }
        Some(rule)
    }

    fn update_rule(&mut self, update: RuleUpdate, loader: &mut Loader) {
        let RuleUpdate {
            name,
            origin,
            source,
            append,
            replace,
        } = update;
        if let Some(rule) = self.rule_mut(&name, origin, source.as_deref(), loader) {
            apply_append(rule, append, loader);
            apply_replace(rule, replace, loader);
        }
    }
}

fn append_text(text: &mut Text, more: &Text) {
    if let Some(origin) = more.origin() {
        text.push_made(" ", origin);
    }
    text.push_text(more);
}

fn apply_append(rule: &mut RuleItem, patch: RulePatch, loader: &mut Loader) {
    if let Some(more) = &patch.condition {
        append_text(&mut rule.condition, more);
    }
    if let Some(more) = &patch.output {
        append_text(&mut rule.output, more);
    }
    if let Some(more) = patch.desc {
        rule.desc = format!("{} {more}", rule.desc);
    }
    rule.tags.extend(patch.tags.unwrap_or_default());
    for mut new in patch.exceptions.unwrap_or_default() {
        match rule.exceptions.iter_mut().find(|e| e.name == new.name) {
            Some(_) if new.fields.is_some() || new.comps.is_some() => {
                loader.error(
                    new.origin,
                    format!("exception '{}' exists: only values can be appended to it", new.name),
                );
            }
            Some(old) => old.values.append(&mut new.values),
            None if new.fields.is_none() => {
                loader.error(new.origin, format!("new exception '{}' has no fields", new.name));
            }
            None if new.values.is_empty() => {
                loader.error(new.origin, format!("new exception '{}' has no values", new.name));
            }
            None => {
                exception::check(&mut new, &rule.source, loader);
                rule.exceptions.push(new);
            }
        }
    }
}

fn apply_replace(rule: &mut RuleItem, patch: RulePatch, loader: &mut Loader) {
    fn set<T>(slot: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *slot = value;
        }
    }
    set(&mut rule.condition, patch.condition);
    set(&mut rule.output, patch.output);
    set(&mut rule.desc, patch.desc);
    set(&mut rule.priority, patch.priority);
    set(&mut rule.tags, patch.tags);
    set(&mut rule.enabled, patch.enabled);
    set(&mut rule.skip_if_unknown, patch.skip_if_unknown);
    if let Some(mut exceptions) = patch.exceptions {
        exceptions
            .iter_mut()
            .for_each(|e| exception::check(e, &rule.source, loader));
        rule.exceptions = exceptions;
    }
}
