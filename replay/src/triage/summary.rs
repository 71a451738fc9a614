//! Counts of alerts by rule, priority, container and technique.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::Fate;
use crate::alert::Alert;
use crate::rules::Priority;

/// So many containers are counted by name; the others together.
const MAX_CONTAINERS: usize = 10_000;

/// How many alerts of each fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "see Fate")]
pub struct Counts {
    pub shown: u64,
    pub suppressed: u64,
    pub repeated: u64,
    pub limited: u64,
}

impl Counts {
    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Shown => self.shown += 1,
            Fate::Suppressed(_) => self.suppressed += 1,
            Fate::Repeated => self.repeated += 1,
            Fate::Limited => self.limited += 1,
        }
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.shown + self.suppressed + self.repeated + self.limited
    }

    fn json(&self) -> Json {
        json!({
            "shown": self.shown,
            "suppressed": self.suppressed,
            "repeated": self.repeated,
            "limited": self.limited,
        })
    }
}

/// Counts of a replay.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// All alerts.
    pub total: Counts,
    /// By rule.
    pub rules: BTreeMap<String, Counts>,
    /// By priority, the most urgent first.
    pub priorities: BTreeMap<Priority, Counts>,
    /// By container's name; `host` outside containers. Escaped.
    pub containers: BTreeMap<String, Counts>,
    /// By ATT&CK technique; an alert counts for each of its rule's.
    pub techniques: BTreeMap<String, Counts>,
    /// By number of the suppression: how many alerts it covered, and how many it would have had it not expired.
    pub suppressions: BTreeMap<usize, (u64, u64)>,
    /// How many rules had no events to look at, by the source that they look at.
    pub idle: BTreeMap<String, u64>,
    /// How many have losses near them.
    pub incomplete: u64,
    /// Time of the first and the last event with an alert.
    pub range: Option<(u64, u64)>,
}

/// Counts under a name, which is copied the first time only.
fn count(counts: &mut BTreeMap<String, Counts>, name: &str, fate: Fate) {
    match counts.get_mut(name) {
        Some(known) => known.add(fate),
        None => counts.entry(name.to_owned()).or_default().add(fate),
    }
}

impl Summary {
    pub(super) fn count(&mut self, alert: &Alert, fate: Fate) {
        self.total.add(fate);
        count(&mut self.rules, alert.rule(), fate);
        self.priorities.entry(alert.priority()).or_default().add(fate);
        let container = alert.seen().map_or("", |seen| &seen.container);
        let known = self.containers.len() < MAX_CONTAINERS || self.containers.contains_key(container);
        count(&mut self.containers, if known { container } else { "(others)" }, fate);
        for technique in alert.techniques() {
            count(&mut self.techniques, technique, fate);
        }
        if let Some(by) = alert.seen().and_then(|seen| seen.suppressed) {
            self.suppressions.entry(by).or_default().0 += 1;
        }
        if let Some(by) = alert.seen().and_then(|seen| seen.expired) {
            self.suppressions.entry(by).or_default().1 += 1;
        }
        self.incomplete += u64::from(alert.incomplete.is_some());
        let (first, last) = self.range.unwrap_or((alert.ts, alert.ts));
        self.range = Some((first.min(alert.ts), last.max(alert.ts)));
    }

    /// All counts as one JSON object.
    pub fn json(&self) -> Json {
        fn object<K: ToString>(counts: &BTreeMap<K, Counts>) -> Json {
            let pairs = counts.iter().map(|(k, c)| (k.to_string(), c.json()));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        json!({
            "alerts": self.total.json(),
            "incomplete": self.incomplete,
            "rules": object(&self.rules),
            "priorities": object(&self.priorities),
            "containers": object(&self.containers),
            "techniques": object(&self.techniques),
            "rules_without_events": self.idle,
        })
    }
}
