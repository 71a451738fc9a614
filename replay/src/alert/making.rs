//! Alerts of one block, made together: they share a page with their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::said::Said;
use super::{Alert, Origin, Shape, Values};
use crate::engine::evaluate::{self, Place};
use crate::rules::Rule;
use crate::shown::{FULL, Memory};
use crate::triage::Inspection;
use crate::typed::atom::Extract;

/// Makes alerts; one per thread.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    /// By index of the rule.
    memories: BTreeMap<usize, Memory>,
    values: Values,
    /// Lines are made of this shape.
    shape: Option<Shape>,
    made: Vec<Alert>,
    /// Alerts whose page is done.
    done: usize,
    none: Arc<Values>,
}

impl Maker {
    /// Makes lines too.
    pub(crate) fn printing(shape: Option<Shape>) -> Maker {
        Maker {
            shape,
            ..Maker::default()
        }
    }

    /// Makes the alert of a rule for an event or a row whose columns were decoded as the rule's output needs them.
    pub(crate) fn add(&mut self, rule: &Rule, place: Place<'_>, origin: &Arc<Origin>, asked: Option<&Inspection>) {
        let said = rule.said();
        let values = &mut self.values;
        let first = values.list.len() as u32;
        let memory = self.memories.entry(rule.index).or_default();
        for (number, slot) in said.slots.iter().enumerate() {
            let value = memory.value(number, slot, place, &mut values.page);
            values.list.push(value);
        }
        let mut alert = Alert {
            event: place.seq(),
            ts: place.ts(),
            incomplete: None,
            said: said.clone(),
            origin: origin.clone(),
            // Takes its place when the page is done.
            values: self.none.clone(),
            first,
            line: None,
            source: place.source(),
            last: None,
            seen: asked.map(|asked| Box::new(asked.look(rule, place))),
            captured: captured(rule, place, origin),
        };
        if let Some(shape) = self.shape {
            alert.make_line(shape, values);
        }
        self.made.push(alert);
        if self.values.page.is_full() || self.values.lines.len() > FULL {
            self.turn();
        }
    }

    /// The alerts so far.
    pub(crate) fn take(&mut self) -> Vec<Alert> {
        self.turn();
        self.done = 0;
        std::mem::take(&mut self.made)
    }

    /// Hands the page to its alerts and begins another.
    fn turn(&mut self) {
        let values = Arc::new(std::mem::take(&mut self.values));
        for alert in self.made.iter_mut().skip(self.done) {
            alert.values = values.clone();
        }
        self.done = self.made.len();
        self.memories.values_mut().for_each(Memory::forget);
    }
}

impl Alert {
    /// A single alert.
    pub(crate) fn new(
        rule: &Rule,
        place: Place<'_>,
        origin: &Arc<Origin>,
        asked: Option<&Inspection>,
    ) -> Option<Alert> {
        let mut maker = Maker::default();
        maker.add(rule, place, origin, asked);
        maker.take().pop()
    }

    /// The alert of a correlation whose last match this is, with a value for each of its slots.
    pub(crate) fn correlation(&self, said: &Arc<Said>, values: Values, captured: Vec<Option<String>>) -> Alert {
        Alert {
            said: said.clone(),
            values: Arc::new(values),
            first: 0,
            line: None,
            last: Some(self.id().into_bytes().into()),
            captured,
            ..self.clone()
        }
    }
}

/// The values that correlations want.
fn captured(rule: &Rule, place: Place<'_>, origin: &Origin) -> Vec<Option<String>> {
    let value = |extract: &Extract| evaluate::value(extract, place).map(|v| v.to_string());
    let each = rule.capture.iter().map(|wanted| match wanted {
        Some(extract) => value(extract),
        None => Some(origin.hostname.clone()),
    });
    each.collect()
}
