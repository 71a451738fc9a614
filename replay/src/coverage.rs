//! What rules cover: ATT&CK techniques named by their tags, rules that never fired on a corpus, and comparisons that
//! were never true on it.

use std::collections::{BTreeMap, BTreeSet};

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::case::Case;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, Schema};
use ctrace_trace::segment::{BlockReader, Problem};
use serde_json::{Value as Json, json};

use crate::engine::confirm;
use crate::engine::evaluate::{Place, holds};
use crate::engine::plan::{Plan, Wanted};
use crate::engine::{Engine, Matching, Options};
use crate::explain::comparisons;
use crate::rules::RuleSet;
use crate::triage::techniques;
use crate::typed::formula::{AtomId, Formulas, NodeId};

/// So many events of a block are asked comparison by comparison; what was never true of them is asked of the rest by
/// dictionaries, where only rare things give few matches.
const SAMPLE: usize = 2048;

/// What rules cover, and what of it was seen in a corpus of cases.
#[derive(Debug)]
pub struct Coverage<'a> {
    rules: &'a RuleSet,
    /// Alerts of each rule, by index.
    fired: Vec<u64>,
    formulas: Formulas,
    /// Comparisons as they are written, with the rules that hold them, that were not true yet.
    never: BTreeMap<NodeId, Comparison>,
    /// Cases that were looked at.
    cases: u64,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Comparison {
    text: String,
    atom: Option<AtomId>,
    rules: BTreeSet<usize>,
}

/// A technique, the rules that name it and their alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Technique {
    /// Names of active rules with its tag.
    pub rules: Vec<String>,
    /// Alerts of those rules.
    pub alerts: u64,
}

impl<'a> Coverage<'a> {
    /// Of the active rules of a set, with nothing seen yet.
    pub fn new(rules: &'a RuleSet) -> Coverage<'a> {
        let mut formulas = Formulas::default();
        let mut never: BTreeMap<NodeId, Comparison> = BTreeMap::new();
        for (i, rule) in rules.rules().iter().enumerate().filter(|(_, r)| r.active) {
            comparisons(rules, rule, &mut |text, atom| {
                let node = formulas.atom(atom);
                let found = never.entry(node).or_insert_with(|| Comparison {
                    text,
                    atom: formulas.atoms_of([node]).into_iter().next(),
                    rules: BTreeSet::new(),
                });
                found.rules.insert(i);
            });
        }
        Coverage {
            rules,
            fired: vec![0; rules.rules().len()],
            formulas,
            never,
            cases: 0,
            problems: Vec::new(),
        }
    }

    /// Looks at a case: which rules fire, all of each event's counted, and which comparisons are true.
    pub fn add(&mut self, case: &Case, threads: usize) {
        self.cases += 1;
        let places: BTreeMap<&str, usize> = self
            .rules
            .rules()
            .iter()
            .enumerate()
            .map(|(i, r)| (r.name.as_str(), i))
            .collect();
        let options = Options {
            threads,
            matching: Matching::All,
            ..Options::default()
        };
        let fired = &mut self.fired;
        let outcome = Engine::new(self.rules).replay(case, &options, &mut |alert| {
            let place = places.get(alert.rule());
            place.and_then(|i| fired.get_mut(*i)).into_iter().for_each(|n| *n += 1);
        });
        self.problems.extend(outcome.problems);
        let mut reader = BlockReader::new();
        for block in case.blocks() {
            if self.never.is_empty() {
                break;
            }
            if let Ok(decoded) = reader.read(block, Need::ALL) {
                case.late_facts(threads).resolve(decoded);
                self.block(decoded);
            }
        }
    }

    /// Strikes out the comparisons that are true of an event of a block.
    fn block(&mut self, block: &Decoded) {
        let formulas = &self.formulas;
        self.never.retain(|_, comparison| {
            let atom = comparison.atom.and_then(|id| formulas.atom_of(id));
            !atom.is_some_and(|atom| block.events().take(SAMPLE).any(|e| holds(atom, Place::Event(e))))
        });
        let nodes: Vec<NodeId> = self.never.keys().copied().collect();
        let specs: Vec<EventSpec> = block.kinds.iter().map(|k| EventSpec::clone(&k.spec)).collect();
        let present: BTreeSet<EventType> = specs.iter().map(|s| s.id).collect();
        let wanted: Vec<Wanted<'_>> = nodes
            .iter()
            .map(|node| Wanted {
                condition: *node,
                source: None,
                independent: true,
            })
            .collect();
        let plan = Plan::new(&self.formulas, &wanted, &Schema::new(specs), &present);
        for hit in confirm::matches(&plan, block, false) {
            nodes
                .get(hit.rule)
                .into_iter()
                .for_each(|node| _ = self.never.remove(node));
        }
    }

    /// Blocks that could not be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Each active rule's name and how often it fired, in the order of the rules; without those whose matches serve
    /// correlations alone.
    pub fn fired(&self) -> impl Iterator<Item = (&str, u64)> {
        let rules = self.rules.rules().iter().zip(&self.fired);
        rules
            .filter(|(r, _)| r.active && !r.silent)
            .map(|(r, n)| (r.name.as_str(), *n))
    }

    /// Comparisons that were true of no event, as they are written, with the rules that hold them; sorted.
    pub fn never_true(&self) -> Vec<(&str, Vec<&str>)> {
        let name = |i: &usize| self.rules.rules().get(*i).map(|r| r.name.as_str());
        let each = self.never.values();
        let mut out: Vec<_> = each
            .map(|c| (c.text.as_str(), c.rules.iter().filter_map(name).collect()))
            .collect();
        out.sort_unstable();
        out
    }

    /// The techniques that tags of active rules name.
    pub fn techniques(&self) -> BTreeMap<String, Technique> {
        let mut out: BTreeMap<String, Technique> = BTreeMap::new();
        let rules = self.rules.rules().iter().zip(&self.fired);
        for (rule, alerts) in rules.filter(|(r, _)| r.active) {
            for technique in techniques(&rule.tags) {
                let found = out.entry(technique).or_default();
                found.rules.push(rule.name.clone());
                found.alerts += alerts;
            }
        }
        out
    }

    /// The techniques as a layer of the ATT&CK Navigator (layer format 4.5): 1 for covered by a rule, 2 for fired too.
    pub fn navigator(&self, name: &str) -> Json {
        let technique = |(id, found): (String, Technique)| {
            json!({
                "techniqueID": id,
                "score": if found.alerts > 0 { 2 } else { 1 },
                "comment": format!("{} alerts; rules: {}", found.alerts, found.rules.join(", ")),
                "enabled": true,
                "showSubtechniques": true,
            })
        };
        json!({
            "name": name,
            "versions": { "layer": "4.5", "navigator": "4.9.1", "attack": "14" },
            "domain": "enterprise-attack",
            "description": format!("Techniques covered by rules (1) and fired by {} captures (2)", self.cases),
            "techniques": self.techniques().into_iter().map(technique).collect::<Vec<_>>(),
            "gradient": { "colors": ["#ffffff", "#ffe766", "#8ec843"], "minValue": 0, "maxValue": 2 },
            "legendItems": [
                { "label": "covered by a rule", "color": "#ffe766" },
                { "label": "fired by a capture", "color": "#8ec843" },
            ],
        })
    }

    /// All of it as one JSON object.
    pub fn json(&self) -> Json {
        let techniques: BTreeMap<String, Json> = self
            .techniques()
            .into_iter()
            .map(|(id, t)| (id, json!({ "rules": t.rules, "alerts": t.alerts })))
            .collect();
        let rules: Vec<Json> = self
            .fired()
            .map(|(name, n)| json!({ "rule": name, "alerts": n }))
            .collect();
        let never: Vec<Json> = self
            .never_true()
            .into_iter()
            .map(|(text, rules)| json!({ "comparison": text, "rules": rules }))
            .collect();
        json!({ "cases": self.cases, "techniques": techniques, "rules": rules, "never_true": never })
    }
}
