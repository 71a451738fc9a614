//! What was put on a page already: the value of a process image is looked up once, however many events it has.

use ctrace_trace::catalogue::Value;

use super::{Page, Shown};
use crate::engine::evaluate::{self, Place};
use crate::fields::Scope;
use crate::typed::atom::Extract;

/// A value that lines show.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) extract: Extract,
    scope: Scope,
}

impl Slot {
    pub(crate) fn new(extract: Extract) -> Slot {
        let scope = extract.scope();
        Slot { extract, scope }
    }
}

/// Where the values of some slots stand on the current page.
#[derive(Debug)]
pub(crate) struct Memory {
    /// By slot and index of the dictionary entry: the round in which the value was put there, and where.
    known: Vec<Vec<(u32, Shown)>>,
    round: u32,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            known: Vec::new(),
            round: 1,
        }
    }
}

impl Memory {
    /// Forgets everything: another page or another block.
    pub(crate) fn forget(&mut self) {
        self.round = self.round.wrapping_add(1);
        // After so many rounds entries of the first ones would look new.
        if self.round == 0 {
            self.known.clear();
            self.round = 1;
        }
    }

    /// The value of the slot of that number at a place.
    pub(crate) fn value(&mut self, number: usize, slot: &Slot, place: Place<'_>, page: &mut Page) -> Shown {
        let mut make = || page.add(&evaluate::value(&slot.extract, place).unwrap_or(Value::Absent));
        let Some(entry) = entry(slot.scope, place) else {
            return make();
        };
        if self.known.len() <= number {
            self.known.resize_with(number + 1, Vec::new);
        }
        let Some(known) = self.known.get_mut(number) else {
            return make();
        };
        if known.len() <= entry {
            known.resize(entry + 1, (0, Shown::ABSENT));
        }
        match known.get_mut(entry) {
            Some((round, shown)) if *round == self.round => *shown,
            Some(unknown) => {
                *unknown = (self.round, make());
                unknown.1
            }
            None => make(),
        }
    }
}

/// The dictionary entry that a value depends on; `None` where it depends on more.
fn entry(scope: Scope, place: Place<'_>) -> Option<usize> {
    let Place::Event(event) = place else { return None };
    match scope {
        Scope::Constant => Some(0),
        Scope::Kind => event.block.kind.get(event.row).map(|kind| usize::from(*kind)),
        Scope::Process => event.context()?.image.map(|image| image as usize),
        Scope::Fd => event.block.fd.get(event.row).map(|fd| *fd as usize),
        Scope::Row => None,
    }
}
