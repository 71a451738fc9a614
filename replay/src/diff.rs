//! Two versions of rules over one case: which alerts differ, and the condition responsible for each.

use std::collections::BTreeMap;

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::Case;
use ctrace_trace::segment::Problem;
use sha2::{Digest, Sha256};

use crate::alert::{Alert, Origin};
use crate::engine::evaluate::Place;
use crate::engine::{Engine, Matching, Options, Outcome};
use crate::explain::{Finder, Side, responsible};
use crate::rules::RuleSet;

/// How an alert differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the new rules raise it.
    Added,
    /// Only the old rules raise it.
    Removed,
    /// Both raise it, and it says something else.
    Changed,
}

/// One alert that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// The alert; as the new rules raise it where both do.
    pub alert: Alert,
    /// The condition responsible, or what else is: sentences. Values of events in them are escaped.
    pub reasons: Vec<String>,
}

/// What two versions of rules say about a case.
#[derive(Debug, Default)]
pub struct Diff {
    /// The alerts that differ, in the order of events and rules' names; as many as were asked for.
    pub differences: Vec<Difference>,
    /// How many were added, removed and changed in all.
    pub counts: [u64; 3],
    /// How many are the same.
    pub same: u64,
    /// What replaying the old rules did.
    pub old: Outcome,
    /// What replaying the new rules did.
    pub new: Outcome,
    /// Blocks that could not be read when alerts were explained.
    pub problems: Vec<Problem>,
}

impl Diff {
    /// Whether no alert differs.
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }
}

/// The alerts of a run, by event and rule.
type Alerts = BTreeMap<(u64, String), Raised>;

/// What is kept of an alert: a digest of what it says, and the alert where it cannot be made again from its event.
#[derive(Debug)]
struct Raised {
    digest: [u8; 32],
    correlation: Option<Box<Alert>>,
}

/// Replays both versions and compares. At most `limit` differences are explained; the others are counted.
pub fn diff(old: &RuleSet, new: &RuleSet, case: &Case, options: &Options, limit: usize) -> Diff {
    let (old_alerts, old_outcome) = alerts(old, case, options);
    let (new_alerts, new_outcome) = alerts(new, case, options);
    let mut out = Diff {
        old: old_outcome,
        new: new_outcome,
        ..Diff::default()
    };
    let mut found: BTreeMap<&(u64, String), Change> = BTreeMap::new();
    for (key, raised) in &old_alerts {
        match new_alerts.get(key) {
            None => _ = found.insert(key, Change::Removed),
            Some(other) if other.digest != raised.digest => _ = found.insert(key, Change::Changed),
            Some(_) => out.same += 1,
        }
    }
    let added = new_alerts.keys().filter(|key| !old_alerts.contains_key(*key));
    found.extend(added.map(|key| (key, Change::Added)));
    for change in found.values() {
        if let Some(count) = out.counts.get_mut(*change as usize) {
            *count += 1;
        }
    }
    let mut finder = Finder::new(case, options.resolve_late);
    let comparison = Comparison {
        old,
        new,
        case,
        first: options.matching == Matching::First,
        old_alerts: &old_alerts,
        new_alerts: &new_alerts,
    };
    for ((event, rule), change) in found.into_iter().take(limit) {
        match finder.with(*event, |view| comparison.difference(rule, change, view)) {
            Ok(difference) => out.differences.extend(difference.flatten()),
            Err(problem) => out.problems.push(problem),
        }
    }
    out
}

fn alerts(rules: &RuleSet, case: &Case, options: &Options) -> (Alerts, Outcome) {
    let mut alerts = Alerts::new();
    let outcome = Engine::new(rules).replay(case, options, &mut |alert| {
        let raised = Raised {
            digest: Sha256::digest(alert.json()).into(),
            correlation: place(rules, alert.rule()).is_none().then(|| Box::new(alert.clone())),
        };
        alerts.insert((alert.event, alert.rule().to_owned()), raised);
    });
    (alerts, outcome)
}

struct Comparison<'a> {
    old: &'a RuleSet,
    new: &'a RuleSet,
    case: &'a Case,
    /// Whether an event raises the first of its rules only.
    first: bool,
    old_alerts: &'a Alerts,
    new_alerts: &'a Alerts,
}

impl Comparison<'_> {
    fn difference(&self, rule: &str, change: Change, event: EventView<'_>) -> Option<Difference> {
        let kept = |alerts: &Alerts| {
            let raised = alerts.get(&(event.seq(), rule.to_owned()))?;
            raised.correlation.as_deref().cloned()
        };
        let alert = |set: &RuleSet, alerts: &Alerts| {
            if let Some(kept) = kept(alerts) {
                return Some(kept);
            }
            let rule = set.rules().get(place(set, rule)?)?;
            let header = self.case.segments().first()?.header();
            let origin = Origin::new(&header.about.case_id.0, &header.about.host.name);
            Alert::new(rule, Place::Event(event), &origin, None)
        };
        let (alert, reasons) = match change {
            Change::Added => (
                alert(self.new, self.new_alerts)?,
                self.reasons(rule, event, ("new", self.new), ("old", self.old, self.old_alerts)),
            ),
            Change::Removed => (
                alert(self.old, self.old_alerts)?,
                self.reasons(rule, event, ("old", self.old), ("new", self.new, self.new_alerts)),
            ),
            Change::Changed => {
                let (old, new) = (alert(self.old, self.old_alerts)?, alert(self.new, self.new_alerts)?);
                let reasons = changes(&old, &new);
                (new, reasons)
            }
        };
        Some(Difference { change, alert, reasons })
    }

    /// Why the one version raises an alert and the other does not.
    fn reasons(
        &self,
        rule: &str,
        event: EventView<'_>,
        (firing_name, firing): (&str, &RuleSet),
        (silent_name, silent, silent_alerts): (&str, &RuleSet, &Alerts),
    ) -> Vec<String> {
        let correlation = |set: &RuleSet| set.correlations.iter().any(|c| c.name == rule);
        let (Some(here), Some(there)) = (place(firing, rule), place(silent, rule)) else {
            if correlation(silent) {
                return vec![format!(
                    "the correlation finds other matches in the {silent_name} rules"
                )];
            }
            return vec![format!("there is no such rule in the {silent_name} rules")];
        };
        if silent.rules().get(there).is_some_and(|r| !r.active) {
            return vec![format!("the rule is not enabled in the {silent_name} rules")];
        }
        let (Some(fires), Some(not)) = (firing.explain(here, event), silent.explain(there, event)) else {
            return vec!["the condition is nested too deeply to be compared".to_owned()];
        };
        if let Some((of_rule, of_event)) = &not.other_source {
            return vec![format!(
                "the {silent_name} rule is about source {of_rule}, the event is of source {of_event}"
            )];
        }
        if not.fires {
            let first = (event.seq(), String::new());
            let others = silent_alerts
                .range(first..)
                .take_while(|((seq, _), _)| *seq == event.seq());
            let names: Vec<String> = others.map(|((_, name), _)| format!("'{name}'")).collect();
            return if self.first && !names.is_empty() {
                vec![format!("in the {silent_name} rules {} comes first", names.join(", "))]
            } else {
                vec!["both conditions hold".to_owned()]
            };
        }
        let (side, found) = responsible(&fires.tree, &not.tree);
        let name = if side == Side::Firing { firing_name } else { silent_name };
        found.iter().map(|d| format!("{name}: {}", d.sentence())).collect()
    }
}

fn place(set: &RuleSet, rule: &str) -> Option<usize> {
    set.rules().iter().position(|r| r.name == rule)
}

/// What two alerts of the same rule and event say differently.
fn changes(old: &Alert, new: &Alert) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |what: &str, old: String, new: String| {
        if old != new {
            out.push(format!("{what}: {old} → {new}"));
        }
    };
    compare("priority", old.priority().to_string(), new.priority().to_string());
    compare("source", old.source().to_owned(), new.source().to_owned());
    compare("tags", old.tags().join(", "), new.tags().join(", "));
    compare("output", old.message(), new.message());
    if out.is_empty() {
        out.push("other fields in the output".to_owned());
    }
    out
}
