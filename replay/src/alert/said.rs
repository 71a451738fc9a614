//! What the alerts of a rule have in common, made once: their text with places for values, and the pieces of their JSON
//! that no event changes.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::fields::{self, FieldRef};
use crate::output::{Format, Token};
use crate::rules::{Priority, Rule};
use crate::shown::{Piece, Slot};
use crate::triage::techniques;
use crate::typed::atom::Extract;

/// What all alerts of a rule say.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) rule: String,
    pub(crate) priority: Priority,
    /// Sorted.
    pub(crate) tags: Vec<String>,
    pub(crate) techniques: Vec<String>,
    /// Index of the rule; `usize::MAX` for a correlation.
    pub(crate) index: usize,
    /// Whether it serves correlations alone.
    pub(crate) silent: bool,
    pub(crate) parts: Vec<Part>,
    /// The keys of the JSON object of fields, sorted.
    pub(crate) keys: Vec<Key>,
    /// The values that parts and keys refer to.
    pub(crate) slots: Vec<Slot>,
    /// JSON of what stands between fields and source, and between source and time.
    pub(crate) before_source: Piece,
    pub(crate) before_time: Piece,
}

/// A part of the text.
#[derive(Debug)]
pub(crate) enum Part {
    Text(Piece),
    /// The value of a slot, padded or cut to a width other than 0.
    Value(usize, usize),
}

/// A field of the output.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// As JSON, with what stands before and after it.
    pub(crate) json: Piece,
    pub(crate) value: KeyValue,
}

/// The value of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyValue {
    /// That of a slot.
    Slot(usize),
    /// The event's time, nanoseconds.
    Time,
    /// None, ever.
    Null,
}

/// Fields that show a time as text in a line are numbers in JSON: nanoseconds since the epoch.
const TIMES: [&str; 5] = [
    "evt.time",
    "evt.time.s",
    "evt.time.iso8601",
    "evt.datetime",
    "evt.datetime.s",
];

impl Said {
    pub(crate) fn of(rule: &Rule) -> Said {
        let mut slots = Slots::default();
        let mut keys = BTreeMap::new();
        for value in rule.output.values() {
            if let Extract::Absent(name) = value {
                keys.insert(name.clone(), KeyValue::Null);
            }
            // Transformed values have no key, but the fields in them do, as in Falco.
            value.fields(&mut |field| {
                let value = match TIMES.contains(&field.text.as_str()) {
                    true => KeyValue::Time,
                    false => KeyValue::Slot(slots.field(field)),
                };
                keys.insert(field.text.clone(), value);
            });
        }
        let parts = parts(&rule.output, &mut slots);
        Said::new(
            (&rule.name, rule.priority, &rule.tags),
            (rule.index, rule.silent),
            parts,
            keys,
            slots.list,
        )
    }

    /// Of a correlation: a name and values in the order of slots.
    pub(crate) fn of_correlation((name, priority, tags): (&str, Priority, &[String]), values: &[&str]) -> Said {
        let mut parts = vec![Part::Text(Piece::text(format!("{name} (")))];
        let mut keys = BTreeMap::new();
        for (slot, value) in values.iter().enumerate() {
            let blank = if slot == 0 { "" } else { " " };
            parts.push(Part::Text(Piece::text(format!("{blank}{value}="))));
            parts.push(Part::Value(slot, 0));
            keys.insert((*value).to_owned(), KeyValue::Slot(slot));
        }
        parts.push(Part::Text(Piece::text(")".to_owned())));
        Said::new((name, priority, tags), (usize::MAX, false), parts, keys, Vec::new())
    }

    fn new(
        (rule, priority, tags): (&str, Priority, &[String]),
        (index, silent): (usize, bool),
        parts: Vec<Part>,
        mut keys: BTreeMap<String, KeyValue>,
        slots: Vec<Slot>,
    ) -> Said {
        keys.insert("evt.time".to_owned(), KeyValue::Time);
        let quoted = |text: &str| Json::from(text).to_string();
        let key = |(i, (name, value)): (usize, (String, KeyValue))| Key {
            json: Piece::json(format!("{}{}:", if i == 0 { "" } else { "," }, quoted(&name))),
            name,
            value,
        };
        Said {
            before_source: Piece::json(format!(
                ",\"priority\":{},\"rule\":{},\"source\":",
                quoted(priority.name()),
                quoted(rule)
            )),
            before_time: Piece::json(format!(",\"tags\":{},\"time\":\"", Json::from(tags))),
            rule: rule.to_owned(),
            priority,
            tags: tags.to_vec(),
            techniques: techniques(tags),
            index,
            silent,
            parts,
            keys: keys.into_iter().enumerate().map(key).collect(),
            slots,
        }
    }
}

/// The parts of an output.
fn parts(format: &Format, slots: &mut Slots) -> Vec<Part> {
    let part = |token: &Token| match token {
        Token::Text(text) => Part::Text(Piece::text(text.clone())),
        Token::Field { value, width } => Part::Value(slots.value(value), *width),
    };
    format.tokens.iter().map(part).collect()
}

/// Values without repetition.
#[derive(Default)]
struct Slots {
    list: Vec<Slot>,
    known: BTreeMap<String, usize>,
}

impl Slots {
    fn value(&mut self, value: &Extract) -> usize {
        let list = &mut self.list;
        *self.known.entry(format!("{value:?}")).or_insert_with(|| {
            list.push(Slot::new(value.clone()));
            list.len() - 1
        })
    }

    fn field(&mut self, field: &FieldRef) -> usize {
        self.value(&Extract::Field(fields::FieldRef::clone(field)))
    }
}
