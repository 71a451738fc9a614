//! Exceptions: checking their shape, and the text that they add to a rule's condition.
//!
//! They become text rather than formulas because their values are pieces of the condition language: they may be
//! quoted, name lists, or hold lists in brackets.

use super::item::{Entry, Exception, RuleItem};
use super::{Loader, check_field, is_source};
use crate::condition::{Operator, operator_of};
use crate::source::{Origin, Text};

/// Fills in the default operators and reports what does not fit together. Of a source that is not known nobody knows
/// the fields either.
pub(super) fn check(exception: &mut Exception, source: &str, loader: &mut Loader) {
    let known = is_source(source);
    let Some(fields) = &exception.fields else { return };
    let origin = exception.origin;
    match fields {
        Entry::List(list, at) => {
            let equals = || Entry::List(list.iter().map(|_| Entry::Item("=".to_owned(), *at)).collect(), *at);
            let comps = exception.comps.get_or_insert_with(equals);
            let Entry::List(comps, _) = comps else {
                return loader.error(origin, "fields and comps must both be lists");
            };
            if comps.len() != list.len() {
                return loader.error(origin, "fields and comps must be of the same length");
            }
            for comp in comps.iter() {
                check_operator(comp, loader);
            }
            list.iter().filter(|_| known).for_each(|f| check_field_entry(f, loader));
        }
        Entry::Item(_, at) => {
            let comps = exception.comps.get_or_insert_with(|| Entry::Item("in".to_owned(), *at));
            let Entry::Item(comp, comp_at) = comps else {
                return loader.error(origin, "fields and comps must both be single values");
            };
            let (comp, comp_at) = (comp.clone(), *comp_at);
            if !operator_of(&comp).is_some_and(|(op, modifier)| takes_list(op, modifier.is_some())) {
                loader.error(comp_at, format!("'{comp}' is no operator for one field: use in, pmatch, intersects or one with oneof, anyof, allof"));
            }
            if known {
                check_field_entry(fields, loader);
            }
        }
    }
}

fn takes_list(op: Operator, modified: bool) -> bool {
    modified || matches!(op, Operator::In | Operator::Pmatch | Operator::Intersects)
}

fn check_operator(comp: &Entry, loader: &mut Loader) {
    match comp {
        Entry::Item(text, _) if operator_of(text).is_some() => {}
        Entry::Item(text, at) => loader.error(*at, format!("unknown operator '{text}'")),
        Entry::List(_, at) => loader.error(*at, "an operator must be a single value"),
    }
}

fn check_field_entry(field: &Entry, loader: &mut Loader) {
    match field {
        Entry::Item(name, at) => {
            // Transformers are checked where the condition is compiled.
            if let Err(e) = if name.contains('(') { Ok(()) } else { check_field(name) } {
                let hint = e
                    .suggestion
                    .map(|n| format!("; did you mean '{n}'?"))
                    .unwrap_or_default();
                loader.error(*at, format!("{}{hint}", e.message));
            }
        }
        Entry::List(_, at) => loader.error(*at, "a field must be a single value"),
    }
}

/// The rule's condition with its exceptions.
pub(super) fn condition(rule: &RuleItem) -> Result<Text, (Origin, String)> {
    if rule.exceptions.is_empty() {
        return Ok(rule.condition.clone());
    }
    let mut text = Text::default();
    text.push_made("(", rule.origin);
    text.push_text(&rule.condition);
    text.push_made(")", rule.origin);
    for exception in &rule.exceptions {
        append(exception, &mut text)?;
    }
    Ok(text)
}

fn append(exception: &Exception, text: &mut Text) -> Result<(), (Origin, String)> {
    if exception.values.is_empty() {
        return Ok(());
    }
    let at = exception.origin;
    match (&exception.fields, &exception.comps) {
        (Some(Entry::Item(field, field_at)), Some(Entry::Item(comp, comp_at))) => {
            text.push_made(" and not (", at);
            text.push_scalar(field, *field_at);
            text.push_made(&format!(" {} (", comp.trim()), *comp_at);
            for (i, value) in exception.values.iter().enumerate() {
                let Entry::Item(value, origin) = value else {
                    return Err((value.origin(), "values of a single field are single values".to_owned()));
                };
                text.push_made(if i == 0 { "" } else { ", " }, at);
                push_quoted(value, *origin, text);
            }
            text.push_made("))", at);
        }
        (Some(Entry::List(fields, _)), Some(Entry::List(comps, _))) => {
            text.push_made(" and not (", at);
            for (i, values) in exception.values.iter().enumerate() {
                text.push_made(if i == 0 { "(" } else { " or (" }, at);
                let Entry::List(values, _) = values else {
                    return Err((values.origin(), "values of several fields are lists".to_owned()));
                };
                if values.len() != fields.len() {
                    return Err((
                        at,
                        format!("exception '{}': fields and values differ in length", exception.name),
                    ));
                }
                for (k, ((field, comp), value)) in fields.iter().zip(comps).zip(values).enumerate() {
                    text.push_made(if k == 0 { "" } else { " and " }, at);
                    push_comparison(field, comp, value, text);
                }
                text.push_made(")", at);
            }
            text.push_made(")", at);
        }
        _ => {}
    }
    Ok(())
}

fn push_comparison(field: &Entry, comp: &Entry, value: &Entry, text: &mut Text) {
    let (Entry::Item(field, field_at), Entry::Item(comp, comp_at)) = (field, comp) else {
        return;
    };
    text.push_scalar(field, *field_at);
    text.push_made(&format!(" {} ", comp.trim()), *comp_at);
    let list = operator_of(comp).is_some_and(|(op, modifier)| takes_list(op, modifier.is_some()));
    match value {
        Entry::List(items, at) => {
            text.push_made("(", *at);
            for (i, item) in items.iter().enumerate() {
                text.push_made(if i == 0 { "" } else { ", " }, *at);
                if let Entry::Item(item, origin) = item {
                    push_quoted(item, *origin, text);
                }
            }
            text.push_made(")", *at);
        }
        Entry::Item(item, at) if list && !item.starts_with('(') => {
            text.push_made("(", *at);
            text.push_scalar(item, *at);
            text.push_made(")", *at);
        }
        Entry::Item(item, at) if list => text.push_scalar(item, *at),
        Entry::Item(item, at) => push_quoted(item, *at, text),
    }
}

/// Values with spaces need quotes in a condition; those that begin with one bring their own.
pub(super) fn push_quoted(value: &str, origin: Origin, text: &mut Text) {
    let quote = value.contains(' ') && !value.starts_with(['"', '\'']);
    text.push_made(if quote { "\"" } else { "" }, origin);
    text.push_scalar(value, origin);
    text.push_made(if quote { "\"" } else { "" }, origin);
}
