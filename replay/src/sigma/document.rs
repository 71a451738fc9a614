//! Sigma's documents as they were read: rules, correlations and filters.

use std::collections::BTreeSet;

use super::correlation::Correlation;
use crate::rules::Priority;
use crate::source::Origin;

/// A document of a Sigma file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(super) title: String,
    pub(super) origin: Origin,
    pub(super) id: Option<String>,
    /// By which correlations and filters may refer to it, as to `id`.
    pub(super) name: Option<String>,
    pub(super) description: String,
    pub(super) status: Option<String>,
    pub(super) level: Option<Priority>,
    pub(super) tags: BTreeSet<String>,
    /// Fields that are of interest to whoever reads the alert.
    pub(super) fields: Vec<String>,
    pub(super) body: Body,
}

impl Document {
    /// Whether `reference` means this document.
    pub(super) fn is(&self, reference: &str) -> bool {
        self.id.as_deref() == Some(reference) || self.name.as_deref() == Some(reference)
    }
}

/// What a document is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Rule(Logsource, Detection),
    Correlation(Correlation),
    /// Conditions for other rules: their names, or nothing for all of the log source.
    Filter(Logsource, Option<Vec<String>>, Detection),
}

/// Where a rule's events come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Logsource {
    pub(super) product: Option<String>,
    pub(super) category: Option<String>,
    pub(super) service: Option<String>,
}

/// The searches of a rule and the condition that joins them.
#[derive(Clone, Debug)]
pub(super) struct Detection {
    pub(super) searches: Vec<(String, Search)>,
    /// Several are rules of their own.
    pub(super) conditions: Vec<(String, Origin)>,
    pub(super) origin: Origin,
}

/// What a search identifier stands for.
#[derive(Clone, Debug)]
pub(super) enum Search {
    All(Vec<Search>),
    Any(Vec<Search>),
    Item(Item),
}

/// A field or, without one, the whole event, and the values to look for.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) field: Option<String>,
    pub(super) modifiers: Vec<String>,
    pub(super) values: Vec<Value>,
    pub(super) origin: Origin,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Text(String, Origin),
}
