//! What to select of table `events` for some rules, and which rules ask for what it does not have.

use std::collections::BTreeSet;

use super::place::{self, InTable};
use super::row::ALWAYS;
use crate::fields::FieldRef;
use crate::rules::{Rule, RuleSet};
use crate::triage::Inspection;
use crate::typed::atom::Right;

/// What to select of table `events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The columns, sorted.
    pub columns: Vec<&'static str>,
    /// A condition in SQL that holds for every event that a rule may match, and for others.
    pub condition: String,
    /// What the table does not have, in the order of rules.
    pub missing: Vec<Missing>,
}

/// A field of a rule that table `events` does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Name of the rule.
    pub rule: String,
    /// The field.
    pub field: String,
    /// Whether the rule asks for it, and is left out; else it only shows it, as `<NA>`.
    pub asked: bool,
}

/// Whether the table has nothing that a field could be read from.
pub(super) fn is_missing(field: &FieldRef) -> bool {
    field
        .parts
        .iter()
        .any(|(f, arg)| place::find(f, arg) == InTable::Nowhere)
}

/// The fields that a rule asks for and the table does not have.
pub(super) fn asked_and_missing(set: &RuleSet, rule: &Rule) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for atom in set.formulas.atoms_of([rule.condition]) {
        if let Some(atom) = set.formulas.atom_of(atom) {
            atom.fields(&mut |f| out.extend(is_missing(f).then(|| f.text.clone())));
        }
    }
    out
}

/// What to select for the rules.
pub(super) fn select(set: &RuleSet, rules: &[&Rule], inspection: Option<&Inspection>) -> Selection {
    let mut columns: BTreeSet<&'static str> = ALWAYS.into_iter().collect();
    let mut missing = Vec::new();
    let mut conditions = Vec::new();
    let mut take = |f: &FieldRef| {
        for (field, arg) in &f.parts {
            columns.extend(place::columns(&place::find(field, arg)));
        }
    };
    for rule in rules {
        let lacking = asked_and_missing(set, rule);
        if !lacking.is_empty() {
            missing.extend(lacking.into_iter().map(|field| Missing {
                rule: rule.name.clone(),
                field,
                asked: true,
            }));
            continue;
        }
        for atom in set.formulas.atoms_of([rule.condition]) {
            let Some(atom) = set.formulas.atom_of(atom) else {
                continue;
            };
            atom.fields(&mut take);
        }
        let mut shown = BTreeSet::new();
        let values = rule.output.values().chain(rule.capture.iter().flatten());
        for value in values {
            value.fields(&mut |f| {
                take(f);
                shown.extend(is_missing(f).then(|| f.text.clone()));
            });
        }
        missing.extend(shown.into_iter().map(|field| Missing {
            rule: rule.name.clone(),
            field,
            asked: false,
        }));
        conditions.push(set.candidates_sql(rule));
    }
    if let Some(inspection) = inspection {
        inspection.fields(&mut take);
    }
    // Conditions on single records read them as text.
    let single = rules.iter().flat_map(|r| set.formulas.atoms_of([r.condition]));
    if single
        .filter_map(|a| set.formulas.atom_of(a))
        .any(|a| matches!(a.right, Right::Record(_)))
    {
        columns.extend(["audit_raw", "audit_syscall"]);
    }
    Selection {
        columns: columns.into_iter().collect(),
        condition: crate::sql::any(conditions),
        missing,
    }
}
