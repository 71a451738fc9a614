//! The items of rules files as they were read: lists, macros, rules and their exceptions.

use std::collections::BTreeSet;
use std::fmt;

use crate::source::{Origin, Text};

/// How urgent a rule's alerts are. The most urgent sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "syslog's levels by name")]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

impl Priority {
    /// All priorities, the most urgent first.
    pub const ALL: [Priority; 8] = [
        Priority::Emergency,
        Priority::Alert,
        Priority::Critical,
        Priority::Error,
        Priority::Warning,
        Priority::Notice,
        Priority::Informational,
        Priority::Debug,
    ];

    /// The name that alerts carry.
    pub const fn name(self) -> &'static str {
        match self {
            Priority::Emergency => "Emergency",
            Priority::Alert => "Alert",
            Priority::Critical => "Critical",
            Priority::Error => "Error",
            Priority::Warning => "Warning",
            Priority::Notice => "Notice",
            Priority::Informational => "Informational",
            Priority::Debug => "Debug",
        }
    }

    /// The priority of a name in any case; `info` is short for informational.
    pub fn parse(text: &str) -> Option<Priority> {
        if text.eq_ignore_ascii_case("info") {
            return Some(Priority::Informational);
        }
        Priority::ALL.into_iter().find(|p| p.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file says, in its order.
#[derive(Debug)]
pub(crate) enum Item {
    List {
        name: String,
        items: Vec<(String, Origin)>,
        append: bool,
        origin: Origin,
    },
    Macro {
        name: String,
        condition: Text,
        append: bool,
        origin: Origin,
    },
    Rule(Box<RuleItem>),
    /// A rule's `enabled` without anything else, the old way to switch an earlier rule on or off.
    Enable {
        name: String,
        enabled: bool,
        origin: Origin,
    },
    Update(Box<RuleUpdate>),
    /// A list, macro or rule with errors: it exists, so that what uses it is not reported as well.
    Broken {
        kind: Broken,
        name: String,
    },
}

/// What a [`Item::Broken`] would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    List,
    Macro,
    Rule,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct RuleItem {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) condition: Text,
    pub(crate) output: Text,
    pub(crate) desc: String,
    pub(crate) priority: Priority,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) source: String,
    pub(crate) enabled: bool,
    pub(crate) skip_if_unknown: bool,
    pub(crate) exceptions: Vec<Exception>,
}

/// Changes to an earlier rule.
#[derive(Debug)]
pub(crate) struct RuleUpdate {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) source: Option<String>,
    /// Appended, then replaced.
    pub(crate) append: RulePatch,
    pub(crate) replace: RulePatch,
}

/// Keys of a rule that an update gives.
#[derive(Debug, Default)]
pub(crate) struct RulePatch {
    pub(crate) condition: Option<Text>,
    pub(crate) output: Option<Text>,
    pub(crate) desc: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) tags: Option<BTreeSet<String>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) skip_if_unknown: Option<bool>,
    pub(crate) exceptions: Option<Vec<Exception>>,
}

/// An exception of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) fields: Option<Entry>,
    pub(crate) comps: Option<Entry>,
    pub(crate) values: Vec<Entry>,
}

/// A scalar or a list of entries.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Item(String, Origin),
    List(Vec<Entry>, Origin),
}

impl Entry {
    pub(crate) fn origin(&self) -> Origin {
        match self {
            Entry::Item(_, origin) | Entry::List(_, origin) => *origin,
        }
    }
}
