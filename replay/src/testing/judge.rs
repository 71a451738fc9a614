//! Whether the alerts are those that a test wants.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::document::{Count, Expectation, TestCase};
use crate::alert::Alert;
use crate::rules::RuleSet;

/// What is not as a test wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line of the test file that wants it.
    pub line: u32,
    /// What is wrong. Values of events in it are not escaped.
    pub message: String,
}

/// Takes the alerts of a test's replay.
#[derive(Debug)]
pub struct Judge<'t> {
    test: &'t TestCase,
    /// How many alerts each expectation found.
    found: Vec<u64>,
    /// By rule: how many alerts, and the first.
    pub(super) by_rule: BTreeMap<String, (u64, Alert)>,
}

impl<'t> Judge<'t> {
    /// For a test.
    pub fn new(test: &'t TestCase) -> Judge<'t> {
        Judge {
            test,
            found: vec![0; test.expect.len()],
            by_rule: BTreeMap::new(),
        }
    }

    /// Takes the next alert.
    pub fn take(&mut self, alert: &Alert) {
        for (wanted, found) in self.test.expect.iter().zip(&mut self.found) {
            *found += u64::from(wanted.is_met_by(alert));
        }
        match self.by_rule.get_mut(alert.rule()) {
            Some((count, _)) => *count += 1,
            None => _ = self.by_rule.insert(alert.rule().to_owned(), (1, alert.clone())),
        }
    }

    /// Everything that is not as the test wants it.
    pub fn failures(&self, rules: &RuleSet) -> Vec<Failure> {
        let correlation = |name: &str| rules.correlations.iter().any(|c| c.name == name);
        let known = |name: &str| rules.rules().iter().any(|r| r.name == name) || correlation(name);
        let mut out = Vec::new();
        let mut fail = |line, message| out.push(Failure { line, message });
        for (wanted, found) in self.test.expect.iter().zip(&self.found) {
            if !known(&wanted.rule) {
                fail(wanted.line, format!("no rule is called '{}'", wanted.rule));
            } else if !wanted.count.fits(*found) {
                fail(wanted.line, self.missed(wanted, *found));
            }
        }
        for (name, line) in &self.test.forbid {
            if name != "*" && !known(name) {
                fail(*line, format!("no rule is called '{name}'"));
            }
            for (rule, (count, first)) in &self.by_rule {
                let expected = self.test.expect.iter().any(|e| e.rule == *rule);
                if name == rule || (name == "*" && !expected) {
                    let message = format!(
                        "'{rule}' raised {count} alerts and must not, the first: {}",
                        first.text()
                    );
                    fail(*line, message);
                }
            }
        }
        out
    }

    fn missed(&self, wanted: &Expectation, found: u64) -> String {
        let count = match wanted.count {
            Count::Exactly(n) => format!("{n} alerts"),
            Count::AtLeast(n) => format!("{n} alerts or more"),
        };
        let mut message = format!("'{}' must raise {count}, found {found}", wanted.rule);
        if let Some((all, first)) = self.by_rule.get(&wanted.rule)
            && *all != found
        {
            let different = wanted.differs(first);
            message.push_str(&format!(
                "; {all} alerts of the rule in all, the first: {} ({different})",
                first.text()
            ));
        }
        message
    }
}

impl Expectation {
    fn is_met_by(&self, alert: &Alert) -> bool {
        alert.rule() == self.rule && self.differs(alert).is_empty()
    }

    /// In which fields an alert is another than the one that is expected; empty where in none.
    fn differs(&self, alert: &Alert) -> String {
        let mut out = Vec::new();
        for (name, wanted) in &self.fields {
            match alert.field(name) {
                None => out.push(format!("{name} is not in the output")),
                Some(value) if text(&value) != *wanted => out.push(format!("{name} is {}", text(&value))),
                Some(_) => {}
            }
        }
        if let Some(part) = self
            .output
            .as_ref()
            .filter(|part| !alert.message().contains(part.as_str()))
        {
            out.push(format!("the output lacks '{part}'"));
        }
        out.join(", ")
    }
}

/// A field's value as tests write it.
pub(super) fn text(value: &Json) -> String {
    match value {
        Json::Null => "<NA>".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
