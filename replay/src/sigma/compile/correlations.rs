//! Correlations: the rules and correlations that they refer to, and the fields by which these are grouped.

use std::sync::Arc;

use super::output::shown;
use super::{Compiler, HOST, NO_LEVEL};
use crate::alert::Said;
use crate::rules::Verdict;
use crate::sigma::correlation::Correlation;
use crate::sigma::document::{Body, Document};
use crate::sigma::refusal::Refusal;
use crate::sigma::window::{Member, Of, Resolved};
use crate::source::Origin;

impl Compiler<'_> {
    /// Correlations come after those that they refer to; those that are left refer to each other.
    pub(super) fn all_correlations(&mut self) {
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
            self.refuse(document, Refusal::wrong(origin, message));
        }
    }

    fn correlation(&mut self, index: usize, document: &Document, correlation: &Correlation) -> Result<(), Refusal> {
        let members = self.members(correlation)?;
        let name = self.name(document);
        let priority = document.level.unwrap_or(NO_LEVEL);
        let active = self
            .options
            .selects(&name, priority, &document.tags, Self::enabled(document));
        if active {
            self.speak_for(&members, correlation.generate);
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

    /// What a correlation refers to, with the places of what it wants of each.
    fn members(&mut self, correlation: &Correlation) -> Result<Vec<Member>, Refusal> {
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
        Ok(members)
    }

    /// Notes that a correlation speaks for its members, which speak themselves only where it generates.
    fn speak_for(&mut self, members: &[Member], generate: bool) {
        for member in members {
            match member.of {
                Of::Rule(i) => *self.muted.entry(i).or_default() |= generate,
                Of::Correlation(i) => {
                    if let Some(inner) = self.correlations.get_mut(i).filter(|_| !generate) {
                        inner.told = false;
                    }
                }
            }
        }
    }

    /// The rule or correlation of an id or name.
    fn referred(&self, name: &str, at: Origin) -> Result<Of, Refusal> {
        let wrong = |message: String| Refusal::wrong(at, message);
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
    pub(super) fn mute(&mut self) {
        for (index, generate) in &self.muted {
            if let Some(rule) = self.rules.get_mut(*index) {
                rule.silent = !(rule.active && *generate);
                rule.active = true;
            }
        }
    }
}
