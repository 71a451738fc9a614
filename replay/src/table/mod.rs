//! Replay over a table: events that SQL selected from table `events` of an export, instead of blocks of a case.
//!
//! [`Engine::selection`] says what to select; [`Engine::replay_table`] asks every rule of every selected event, so that a
//! selection may hold more events than rules match, and tells the alerts as [`Engine::replay`] does.

pub(crate) mod place;
mod row;
mod selection;

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::case::Loss;

use crate::alert::{Alert, Maker, Origin};
use crate::engine::evaluate::{self, Place};
use crate::engine::{Engine, Matching, Outcome, Teller};
use crate::rules::Rule;
use crate::typed::formula::AtomId;
pub use row::Columns;
pub(crate) use row::Row;
pub use selection::{Missing, Selection};

/// The recording that rows of a table belong to.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Its id.
    pub case_id: Vec<u8>,
    /// Name of the recorded host.
    pub hostname: String,
    /// What the recorder noted as lost.
    pub losses: Vec<Loss>,
}

/// Rows that are made events at once.
const AT_ONCE: usize = 4096;

/// A replay of one recording over its rows.
pub struct TableReplay<'a, 't> {
    engine: Engine<'a>,
    rules: Vec<&'a Rule>,
    origin: Arc<Origin>,
    maker: Maker,
    first: bool,
    teller: Teller<'a, 't>,
    outcome: Outcome,
    unknown: u64,
}

impl<'a> Engine<'a> {
    /// What to select for the active rules. Rules that ask for what the table does not have are left out.
    pub fn selection(&self) -> Selection {
        selection::select(self.rules, &self.active(), self.inspection)
    }

    /// Begins a replay of rows of one recording, which must come in the order of `seq`; `take` is called for each alert,
    /// in the order of events and of rules.
    pub fn replay_table<'t>(
        &self,
        recording: &'t Recording,
        matching: Matching,
        take: &'t mut dyn FnMut(&Alert),
    ) -> TableReplay<'a, 't> {
        let whole = |rule: &&Rule| selection::asked_and_missing(self.rules, rule).is_empty();
        TableReplay {
            engine: *self,
            rules: self.active().into_iter().filter(whole).collect(),
            origin: Origin::new(&recording.case_id, &recording.hostname),
            maker: Maker::default(),
            first: matching == Matching::First,
            teller: Teller::new(self, &recording.losses, &[], take),
            outcome: Outcome {
                losses: recording.losses.clone(),
                ..Outcome::default()
            },
            unknown: 0,
        }
    }
}

impl TableReplay<'_, '_> {
    /// Replays further rows.
    pub fn rows(&mut self, columns: &dyn Columns) {
        for from in (0..columns.rows()).step_by(AT_ONCE) {
            let made = row::Made::new(columns, from..columns.rows().min(from + AT_ONCE));
            self.unknown += made.unknown;
            for row in made.rows() {
                self.outcome.events += 1;
                self.row(row);
            }
        }
    }

    fn row(&mut self, row: Row<'_>) {
        let mut known: BTreeMap<AtomId, bool> = BTreeMap::new();
        let formulas = &self.engine.rules.formulas;
        let mut ask = |id: AtomId| {
            *known.entry(id).or_insert_with(|| {
                let atom = formulas.atom_of(id);
                atom.is_some_and(|atom| evaluate::holds(atom, Place::Row(row)))
            })
        };
        let mut taken = false;
        for rule in self.rules.iter().filter(|r| r.concerns(row.source())) {
            let free = !self.first || rule.independent;
            if (free || !taken) && formulas.eval(rule.condition, &mut ask) {
                taken |= !free;
                self.maker
                    .add(rule, Place::Row(row), &self.origin, self.engine.inspection);
            }
        }
        self.teller.wait(self.maker.take());
        self.teller.release(row.event.ts());
    }

    /// Tells the alerts that waited. The outcome's events are the rows; the number beside it is of rows whose event type
    /// this version does not know.
    pub fn finish(mut self) -> (Outcome, u64) {
        (self.outcome.alerts, self.outcome.incomplete) = self.teller.finish();
        (self.outcome, self.unknown)
    }
}
