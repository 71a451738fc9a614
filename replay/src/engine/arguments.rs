//! Which events are left by what images and objects together, and arguments, say of them, before it is known which
//! events of the block they are: types, threads and rows need not be read where none is left.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, KindColumns};
use ctrace_trace::catalogue::FieldArg;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, ParamKind};

use super::evaluate::{Place, holds};
use super::mask;
use super::objects::Objects;
use super::plan::Asked;
use super::scan::{Events, Scan};
use crate::fields::{DERIVED_ARGS, is_event_arg};
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::formula::AtomId;

/// Fields that are computed from an argument and nothing else.
const OF_ARGUMENTS: [&str; 2] = ["evt.is_open_read", "evt.is_open_write"];

/// What is asked about the events of a type.
struct OfType<'k> {
    kind: &'k KindColumns,
    index: usize,
    /// The live slots of the type.
    slots: Vec<u64>,
    /// Classes of the images of threads that have such events.
    images: Vec<u32>,
}

impl<'p> Scan<'p> {
    /// Leaves out the events of the hot family whose objects, with none of the images that have such events, allow a live
    /// slot. False when none is left.
    pub(super) fn pairs(&mut self, decoded: &Decoded) -> bool {
        self.retain(decoded, &mut |scan, of_type, events, side| {
            let mut known: Vec<Option<bool>> = vec![None; side.classes().len()];
            let mut may = |fd: u32| match known.get_mut(fd as usize) {
                Some(known) => *known.get_or_insert_with(|| scan.pair_may_hold(of_type, fd, side)),
                None => true,
            };
            match events {
                Events::All if of_type.kind.fds.is_empty() => may(0).then_some(Kept::All),
                _ => scan.some_of(
                    of_type,
                    events,
                    &mut |ordinal| may(scan.class_of(of_type.kind, ordinal)),
                ),
            }
        })
    }

    fn pair_may_hold(&self, of_type: &OfType<'_>, fd: u32, side: &mut Objects<'p>) -> bool {
        let mut slots = of_type.slots.clone();
        mask::keep(&mut slots, side.classes().mask(fd));
        mask::bits(&slots).any(|slot| {
            let mut images = of_type.images.iter();
            images.any(|image| {
                mask::has(self.images.mask(*image), slot)
                    && side.verdict(self.plan, &self.images, (slot, *image, fd)) != Some(false)
            })
        })
    }

    /// Columns that [`Scan::arguments`] takes; nothing where it cannot help: of each type that is left some slot must ask
    /// arguments. They are not read twice where an event is left.
    pub(super) fn argument_needs(&self, decoded: &Decoded) -> Need {
        let helps = |(index, _): &(usize, Events)| {
            let kind = decoded.kinds.get(*index).filter(|kind| kind.spec.hot);
            kind.is_some_and(|kind| {
                let slots = self.slots_left(kind.spec.id);
                mask::bits(&slots).any(|slot| self.asks_arguments(slot, &kind.spec))
            })
        };
        if self.left.iter().all(helps) {
            Need::ARG_COLUMNS_HOT
        } else {
            Need::NOTHING
        }
    }

    fn asks_arguments(&self, slot: u32, spec: &EventSpec) -> bool {
        let condition = self.plan.slot(slot).map(|slot| slot.condition);
        let atoms = self.plan.formulas.atoms_of(condition);
        let mut atoms = atoms.into_iter().filter_map(|id| self.plan.formulas.atom_of(id));
        atoms.any(|atom| is_of_arguments(atom, spec))
    }

    /// Leaves out the events of the hot family whose arguments decide against all of their slots. False when none is
    /// left.
    pub(super) fn arguments(&mut self, decoded: &Decoded) -> bool {
        self.retain(decoded, &mut |scan, of_type, events, side| {
            scan.some_of(of_type, events, &mut |ordinal| {
                scan.event_may_hold(decoded, of_type, ordinal, side)
            })
        })
    }

    fn event_may_hold(&self, decoded: &Decoded, of_type: &OfType<'_>, ordinal: u32, side: &Objects<'p>) -> bool {
        let fd = self.class_of(of_type.kind, ordinal);
        let mut slots = of_type.slots.clone();
        mask::keep(&mut slots, side.classes().mask(fd));
        let place = Place::Event(decoded.event_of_type(of_type.index as u16, ordinal));
        mask::bits(&slots).any(|slot| {
            let condition = self.plan.slot(slot).map(|slot| slot.condition);
            let mut images = of_type
                .images
                .iter()
                .filter(|image| mask::has(self.images.mask(**image), slot));
            images.any(|image| {
                let (image, fd) = (self.images.bits(*image), side.classes().bits(fd));
                let mut atom = |id: AtomId| match self.plan.asked(id) {
                    Asked::Image(bit) => Some(mask::has(image, bit)),
                    Asked::Fd(bit) => Some(mask::has(fd, bit)),
                    Asked::Event => {
                        let atom = self.plan.formulas.atom_of(id);
                        let atom = atom.filter(|atom| is_of_arguments(atom, &of_type.kind.spec));
                        atom.map(|atom| holds(atom, place))
                    }
                };
                condition.is_some_and(|id| self.plan.formulas.decides(id, &mut atom) != Some(false))
            })
        })
    }

    /// Leaves of each type of the hot family what `keep` says, which may be nothing. False when no type is left.
    fn retain(&mut self, decoded: &Decoded, keep: &mut Keep<'_, 'p>) -> bool {
        let Some(mut side) = self.fds.remove(self.live.as_slice()) else {
            return !self.left.is_empty();
        };
        let left = std::mem::take(&mut self.left);
        for (index, events) in left {
            let kind = decoded.kinds.get(index).filter(|kind| kind.spec.hot);
            let kept = match kind {
                Some(kind) => {
                    let of_type = OfType {
                        kind,
                        index,
                        slots: self.slots_left(kind.spec.id),
                        images: self.images_with(decoded, index, kind.spec.id),
                    };
                    keep(self, &of_type, &events, &mut side).map(|kept| self.noted(kept))
                }
                None => Some(events),
            };
            self.left.extend(kept.map(|events| (index, events)));
        }
        self.fds.insert(self.live.as_slice().into(), side);
        !self.left.is_empty()
    }

    /// The live slots of a type that the images of the block allow.
    fn slots_left(&self, id: EventType) -> Vec<u64> {
        let allowed = self.allowed(self.plan.mask_of(id).unwrap_or_default());
        let mut slots = vec![0; self.plan.words];
        allowed
            .chunks(self.plan.words)
            .for_each(|some| mask::add(&mut slots, some));
        slots
    }

    /// The classes of images of threads that have events of a type and allow one of its live slots.
    fn images_with(&self, decoded: &Decoded, index: usize, id: EventType) -> Vec<u32> {
        let allowed = self.allowed(self.plan.mask_of(id).unwrap_or_default());
        let mut has = vec![false; self.local_classes.len()];
        for (context, local) in self.context_class.iter().enumerate() {
            if let Some(has) = has.get_mut(*local as usize).filter(|has| !**has) {
                *has = self.slots_in(&allowed, *local as usize).is_some() && decoded.thread_has(context, index);
            }
        }
        let classes = self.local_classes.iter().zip(has).filter(|(_, has)| *has);
        classes.map(|(class, _)| *class).collect()
    }

    fn class_of(&self, kind: &KindColumns, ordinal: u32) -> u32 {
        let fd = kind.fds.get(ordinal as usize).copied().unwrap_or(0);
        self.fd_class.get(fd as usize).copied().unwrap_or(0)
    }

    /// Those of some events of a type of which `may` holds; nothing if there are none.
    fn some_of(&self, of_type: &OfType<'_>, events: &Events, may: &mut dyn FnMut(u32) -> bool) -> Option<Kept> {
        let kept: Vec<u32> = match events {
            Events::All => (0..of_type.kind.events).filter(|ordinal| may(*ordinal)).collect(),
            Events::Some(range) => {
                let ordinals = self.ordinals.get(range.clone()).unwrap_or_default();
                ordinals.iter().copied().filter(|ordinal| may(*ordinal)).collect()
            }
        };
        (!kept.is_empty()).then_some(Kept::Some(kept))
    }

    fn noted(&mut self, kept: Kept) -> Events {
        match kept {
            Kept::All => Events::All,
            Kept::Some(ordinals) => {
                let start = self.ordinals.len();
                self.ordinals.extend(ordinals);
                Events::Some(start..self.ordinals.len())
            }
        }
    }
}

/// Says which events of a type are kept.
type Keep<'f, 'p> = dyn FnMut(&Scan<'p>, &OfType<'_>, &Events, &mut Objects<'p>) -> Option<Kept> + 'f;

/// Events that are kept, by their positions among those of their type.
enum Kept {
    All,
    Some(Vec<u32>),
}

/// Whether an atom reads declared arguments of the type and nothing else. Numbers are left out: how those of users and
/// groups are shown depends on the process.
fn is_of_arguments(atom: &Atom, spec: &EventSpec) -> bool {
    let (Extract::Field(field), Right::Test(_)) = (&atom.left, &atom.right) else {
        return false;
    };
    match field.parts.as_slice() {
        [(field, FieldArg::None)] => OF_ARGUMENTS.contains(&field.name),
        [(field, FieldArg::Key(key))] if is_event_arg(field.name) && !DERIVED_ARGS.contains(&key.as_str()) => {
            let param = spec.param(key).and_then(|slot| spec.params.get(slot));
            param.is_some_and(|param| matches!(param.kind, ParamKind::Path | ParamKind::Str))
        }
        _ => false,
    }
}
