//! Which events of a block may satisfy a condition, as far as their types, images and open objects tell.

use ctrace_trace::block::decoded::{Decoded, KindColumns};

use super::mask;
use super::objects::Objects;
use super::scan::{Events, Scan};

/// An event that may satisfy an slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) row: u32,
    pub(super) slot: u32,
    /// Whether its type is of the bulk family.
    pub(super) bulk: bool,
    /// Classes of its image and open object.
    pub(super) image: u32,
    pub(super) fd: u32,
    /// What these two say of the whole condition.
    pub(super) verdict: Option<bool>,
}

impl<'p> Scan<'p> {
    /// Notes which events of a type are left when live slots were held against their open objects.
    pub(super) fn left_of(&mut self, index: usize, kind: &KindColumns, side: &Objects<'p>) {
        let mut slots = self.live.clone();
        mask::keep(&mut slots, self.plan.mask_of(kind.spec.id).unwrap_or_default());
        let of_type = self.plan.mask_of(kind.spec.id).is_some() && mask::any(&slots);
        if !of_type {
            return;
        }
        let start = self.ordinals.len();
        let events = if !kind.spec.hot {
            // What objects they have is known together with the rows only.
            Events::All
        } else if kind.fds.is_empty() {
            if !mask::meet(&slots, side.classes().mask(0)) {
                return;
            }
            Events::All
        } else {
            let allowed = |class| mask::meet(&slots, side.classes().mask(class));
            let allowed: Vec<bool> = (0..side.classes().len() as u32).map(allowed).collect();
            let class_of = |fd: &u32| self.fd_class.get(*fd as usize).copied().unwrap_or(0) as usize;
            let left = (0..).zip(&kind.fds);
            let left = left.filter(|(_, fd)| allowed.get(class_of(fd)).copied().unwrap_or(false));
            self.ordinals.extend(left.map(|(ordinal, _)| ordinal));
            if self.ordinals.len() == start {
                return;
            }
            Events::Some(start..self.ordinals.len())
        };
        self.left.push((index, events));
    }

    /// The events that may satisfy an slot, by row, then by slot.
    pub(super) fn candidates(&mut self, decoded: &Decoded) -> &[Candidate] {
        self.candidates.clear();
        let Some(mut side) = self.fds.remove(self.live.as_slice()) else {
            return &self.candidates;
        };
        let left = std::mem::take(&mut self.left);
        for (kind, events) in &left {
            if let Some(kind) = decoded.kinds.get(*kind) {
                self.of_kind(kind, events, decoded, &mut side);
            }
        }
        self.left = left;
        self.fds.insert(self.live.as_slice().into(), side);
        self.candidates.sort_unstable_by_key(|c| (c.row, c.slot));
        &self.candidates
    }

    fn of_kind(&mut self, kind: &KindColumns, events: &Events, decoded: &Decoded, side: &mut Objects<'p>) {
        let Some(slots) = self.plan.mask_of(kind.spec.id) else {
            return;
        };
        let allowed = self.allowed(slots);
        let ordinals = std::mem::take(&mut self.ordinals);
        match events {
            Events::All => {
                for ordinal in 0..kind.rows.len() {
                    self.event(kind, ordinal, &allowed, decoded, side);
                }
            }
            Events::Some(range) => {
                for ordinal in ordinals.get(range.clone()).unwrap_or_default() {
                    self.event(kind, *ordinal as usize, &allowed, decoded, side);
                }
            }
        }
        self.ordinals = ordinals;
    }

    /// Adds the candidates that an event is; `allowed` has the slots of its type for each class of images.
    #[inline]
    fn event(
        &mut self,
        kind: &KindColumns,
        ordinal: usize,
        allowed: &[u64],
        decoded: &Decoded,
        side: &mut Objects<'p>,
    ) {
        let row = kind.rows.get(ordinal).copied().unwrap_or(0);
        let context = decoded.context.get(row as usize).copied().unwrap_or(0);
        let local = self.context_class.get(context as usize).copied().unwrap_or(0) as usize;
        let Some(by_type) = self.slots_in(allowed, local) else {
            return;
        };
        let fd = if kind.spec.hot {
            kind.fds.get(ordinal)
        } else {
            decoded.fd.get(row as usize)
        };
        let fd = fd.and_then(|fd| self.fd_class.get(*fd as usize)).copied().unwrap_or(0);
        let by_fd = side.classes().mask(fd);
        if !mask::meet(by_type, by_fd) {
            return;
        }
        let image = self.local_classes.get(local).copied().unwrap_or(0);
        let left: Vec<u64> = by_type.iter().zip(by_fd).map(|(a, b)| a & b).collect();
        for slot in mask::bits(&left) {
            let verdict = side.verdict(self.plan, &self.images, (slot, image, fd));
            if verdict != Some(false) {
                self.candidates.push(Candidate {
                    row,
                    slot,
                    bulk: !kind.spec.hot,
                    image,
                    fd,
                    verdict,
                });
            }
        }
    }
}
