//! What triage asks of an alert's event while its block is decoded: values to tell repetitions by, the container, and
//! whether a suppression covers it.

use ctrace_trace::block::Need;
use ctrace_trace::escape;

use super::suppression::{Suppression, Suppressions};
use crate::alert::Alert;
use crate::diagnostics::Diagnostics;
use crate::engine::evaluate::Place;
use crate::fields::FieldRef;
use crate::output::Format;
use crate::rules::Rule;

/// What is asked of each alert's event.
#[derive(Debug)]
pub struct Inspection {
    fields: Vec<Format>,
    container: Format,
    suppressions: Suppressions,
}

/// The answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The values of the fields that repetitions are told by.
    pub(crate) values: Vec<String>,
    /// Name of the container.
    pub(crate) container: String,
    /// The first suppression that covers it.
    pub(crate) suppressed: Option<usize>,
    /// The first that would, had it not expired; only where none covers it.
    pub(crate) expired: Option<usize>,
}

impl Inspection {
    /// Asks for these fields (`proc.name`, `container.id`) and suppressions.
    ///
    /// # Errors
    /// Where one of the fields is none; the "file" of the messages is `format`.
    pub fn new(fields: &[String], suppressions: Suppressions) -> Result<Inspection, Diagnostics> {
        let field = |name: &String| Format::parse(&format!("%{name}"));
        Ok(Inspection {
            fields: fields.iter().map(field).collect::<Result<_, _>>()?,
            container: Format::parse("%container.name")?,
            suppressions,
        })
    }

    /// The suppressions.
    pub fn suppressions(&self) -> &[Suppression] {
        self.suppressions.entries()
    }

    pub(crate) fn needs(&self) -> Need {
        let fields = self.fields.iter().fold(self.container.needs(), |n, f| n | f.needs());
        fields | self.suppressions.needs()
    }

    /// Calls `each` for every field that is asked for.
    pub(crate) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldRef)) {
        let formats = self.fields.iter().chain([&self.container]);
        formats.flat_map(Format::values).for_each(|v| v.fields(each));
        self.suppressions.fields(each);
    }

    pub(crate) fn look(&self, rule: &Rule, place: Place<'_>) -> Seen {
        let (suppressed, expired) = self.suppressions.find(&rule.name, place);
        Seen {
            values: self.fields.iter().map(|f| f.text_at(place)).collect(),
            container: escape::text(&self.container.text_at(place)),
            suppressed,
            expired: expired.filter(|_| suppressed.is_none()),
        }
    }

    /// A correlation's alert with answers of its own: what covers its last event does not cover it, and suppressions
    /// with a condition, which is about one event, never do.
    pub(crate) fn of_correlation(&self, alert: &Alert) -> Alert {
        let (suppressed, expired) = self.suppressions.find_named(alert.rule(), alert.ts);
        let seen = alert.seen().cloned().unwrap_or_default();
        alert.with_seen(Seen {
            suppressed,
            expired: expired.filter(|_| suppressed.is_none()),
            ..seen
        })
    }
}
