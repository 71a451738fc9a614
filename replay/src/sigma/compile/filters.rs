//! Filters: conditions that are added to those of rules.

use super::Compiler;
use crate::sigma::detection;
use crate::sigma::document::{Body, Detection, Document, Logsource};
use crate::sigma::refusal::Refusal;
use crate::sigma::window::Of;

impl Compiler<'_> {
    /// Filters are conditions that the rules they name must satisfy too.
    pub(super) fn filters(&mut self) {
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
}
