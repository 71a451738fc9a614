//! Comparisons of dictionary entries: all that hold for an entry are found at once, as a set of bits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ctrace_trace::catalogue::Value;
use hashbrown::HashMap;

use super::evaluate::{Place, each_value, holds};
use super::mask;
use super::matcher::TextMatcher;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::formula::{AtomId, Formulas};
use crate::typed::test::Test;

/// Values whose bits are remembered, per group.
const MEMO_VALUES: usize = 1 << 14;
/// Longer values are not remembered.
const MEMO_BYTES: usize = 1 << 10;

/// The comparisons that are made of an entry.
#[derive(Debug)]
pub(super) struct Comparisons<'r> {
    groups: Vec<Group<'r>>,
    /// Comparisons of two fields, and those of two ends that want both.
    loose: Vec<(&'r Atom, u32)>,
}

/// All comparisons with what one expression yields.
#[derive(Debug)]
struct Group<'r> {
    left: &'r Extract,
    texts: TextMatcher<'r>,
    others: Vec<(&'r Test, u32)>,
    all: Vec<(&'r Test, u32)>,
    memo: Option<Memo>,
}

/// The bits of texts that were met before.
type Memo = HashMap<Box<[u8]>, Box<[u32]>>;

impl<'r> Comparisons<'r> {
    /// The comparisons of some atoms, whose bits are their positions in `placed`. With `memo`, the result for a text is
    /// remembered: for fields that take the same few values again and again.
    pub(super) fn new(
        formulas: &'r Formulas,
        placed: &[AtomId],
        wanted: impl Fn(u32) -> bool,
        memo: bool,
    ) -> Comparisons<'r> {
        let mut loose = Vec::new();
        let mut groups: BTreeMap<Cow<'r, str>, Group<'r>> = BTreeMap::new();
        for (bit, atom) in (0..).zip(placed).filter(|(bit, _)| wanted(*bit)) {
            let Some(atom) = formulas.atom_of(*atom) else { continue };
            match &atom.right {
                Right::Test(test) if !test.is_not_equal() => {
                    let group = groups.entry(name_of(&atom.left)).or_insert_with(|| Group {
                        left: &atom.left,
                        texts: TextMatcher::default(),
                        others: Vec::new(),
                        all: Vec::new(),
                        memo: memo.then(HashMap::new),
                    });
                    group.add(test, bit);
                }
                _ => loose.push((atom, bit)),
            }
        }
        let mut groups: Vec<Group<'_>> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.texts.finish());
        Comparisons { groups, loose }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.loose.is_empty()
    }

    /// Sets the bits of the comparisons that hold for an entry.
    pub(super) fn mark(&mut self, place: Place<'_>, out: &mut [u64]) {
        for group in &mut self.groups {
            group.mark(place, out);
        }
        for (atom, bit) in &self.loose {
            if holds(atom, place) {
                mask::set(out, *bit);
            }
        }
    }
}

impl<'r> Group<'r> {
    fn add(&mut self, test: &'r Test, bit: u32) {
        match test.as_text() {
            Some(text) => self.texts.add(text, bit),
            None => self.others.push((test, bit)),
        }
        self.all.push((test, bit));
    }

    fn mark(&mut self, place: Place<'_>, out: &mut [u64]) {
        let Group {
            left,
            texts,
            others,
            all,
            memo,
            ..
        } = self;
        each_value(left, place, &mut |value| match (&value, &mut *memo) {
            (Value::Str(text), Some(memo)) if text.len() <= MEMO_BYTES => {
                if let Some(bits) = memo.get(text.as_ref()) {
                    bits.iter().for_each(|bit| mask::set(out, *bit));
                    return;
                }
                let mut found = vec![0; out.len()];
                mark_text(texts, others, text, &value, &mut found);
                if memo.len() >= MEMO_VALUES {
                    memo.clear();
                }
                memo.insert(text.as_ref().into(), mask::bits(&found).collect());
                mask::add(out, &found);
            }
            (Value::Str(text), _) => mark_text(texts, others, text, &value, out),
            _ => mark_each(all, &value, out),
        });
    }
}

/// What tells expressions apart.
fn name_of(left: &Extract) -> Cow<'_, str> {
    match left {
        Extract::Field(field) => Cow::Borrowed(&field.text),
        other => Cow::Owned(format!("{other:?}")),
    }
}

fn mark_text(texts: &TextMatcher<'_>, others: &[(&Test, u32)], text: &[u8], value: &Value<'_>, out: &mut [u64]) {
    texts.mark(text, out);
    mark_each(others, value, out);
}

fn mark_each(tests: &[(&Test, u32)], value: &Value<'_>, out: &mut [u64]) {
    for (test, bit) in tests {
        if test.holds(value) {
            mask::set(out, *bit);
        }
    }
}
