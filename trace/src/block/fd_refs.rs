//! Which event uses which open object.
//!
//! Objects first used by an event of the hot family come first, so that hot columns need no bulk ones. In the bulk
//! family a reference is predicted by what the thread last did with the same descriptor number.

use super::decoded::ABSENT;
use super::varint::{Cursor, Malformed, put};

/// Gives open objects their final indices in the order in which columns use them.
#[derive(Debug, Default)]
pub(super) struct FdNumbering {
    /// Final index by provisional one; 0 where there is none yet.
    indices: Vec<u32>,
    /// Provisional indices in final order.
    order: Vec<u32>,
    section: usize,
}

impl FdNumbering {
    /// Begins a block of `fds` provisional entries, "none" included.
    pub(super) fn start(&mut self, fds: usize) {
        self.indices.clear();
        self.indices.resize(fds, 0);
        self.order.clear();
        self.section = 0;
    }

    /// The final index, and whether this is the object's first use.
    #[inline]
    fn refer(&mut self, provisional: u32) -> (u32, bool) {
        let slot = &mut self.indices[provisional as usize];
        if *slot != 0 || provisional == 0 {
            return (*slot, false);
        }
        self.order.push(provisional);
        *slot = self.order.len() as u32;
        (*slot, true)
    }

    /// The provisional indices that were first used since the last call.
    pub(super) fn take_section(&mut self) -> &[u32] {
        let section = &self.order[self.section..];
        self.section = self.order.len();
        section
    }
}

/// Codes of a reference within one event type of the hot family.
mod hot_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const SAME: u64 = 2;
    /// Index (from 1) + this.
    pub(super) const KNOWN: u64 = 2;
}

/// A type's byte in the references: no event has one, or codes follow.
const ALL_NONE: u8 = 0;
const CODES: u8 = 1;

/// Appends a type's byte.
pub(super) fn write_presence(present: bool, out: &mut Vec<u8>) {
    out.push(if present { CODES } else { ALL_NONE });
}

/// Reads a type's byte.
pub(super) fn read_presence(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    match cursor.byte()? {
        ALL_NONE => Ok(false),
        CODES => Ok(true),
        _ => Err(Malformed::UnknownMode),
    }
}

/// Whether any of an event type's references is one.
pub(super) fn any(fds: &[u32]) -> bool {
    fds.iter().any(|fd| *fd != 0)
}

/// Appends the references of one event type of the hot family, of which at least one is there.
pub(super) fn write_hot_refs(fds: &[u32], numbering: &mut FdNumbering, out: &mut Vec<u8>) {
    let mut last = 0;
    for fd in fds {
        match numbering.refer(*fd) {
            (0, _) => put(out, hot_code::NONE),
            (_, true) => put(out, hot_code::NEW),
            (at, false) if at == last => put(out, hot_code::SAME),
            (at, false) => put(out, u64::from(at) + hot_code::KNOWN),
        }
        last = numbering.indices[*fd as usize];
    }
}

/// Resolves references while columns are read: what is next and where the family's entries end.
#[derive(Clone, Copy, Debug)]
pub(super) struct FdRefs {
    next: u32,
    end: u32,
}

impl FdRefs {
    /// The family's entries are `first .. first + count`.
    pub(super) fn new(first: u32, count: u32) -> FdRefs {
        FdRefs {
            next: first,
            end: first + count,
        }
    }

    fn fresh(&mut self) -> Result<u32, Malformed> {
        let at = self.next;
        if at >= self.end {
            return Err(Malformed::Counts);
        }
        self.next += 1;
        Ok(at)
    }

    fn known(&self, at: u64) -> Result<u32, Malformed> {
        if at < u64::from(self.next) {
            Ok(at as u32)
        } else {
            Err(Malformed::UnknownId)
        }
    }

    /// Checks that all entries of the family were used.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.next == self.end {
            Ok(())
        } else {
            Err(Malformed::Counts)
        }
    }
}

/// Reads the references of the events of one type of the hot family.
pub(super) fn read_hot_refs(
    cursor: &mut Cursor<'_>,
    refs: &mut FdRefs,
    events: u32,
    out: &mut Vec<u32>,
) -> Result<(), Malformed> {
    // As many bytes at least.
    if cursor.len() < events as usize {
        return Err(Malformed::Truncated);
    }
    out.reserve(events as usize);
    let mut last = 0;
    for _ in 0..events {
        last = match cursor.get()? {
            hot_code::NONE => 0,
            hot_code::NEW => refs.fresh()?,
            hot_code::SAME => last,
            at => refs.known(at - hot_code::KNOWN)?,
        };
        out.push(last);
    }
    Ok(())
}

/// Puts the references of a type where its events are.
pub(super) fn scatter(rows: &[u32], fds: &[u32], out: &mut [u32]) {
    for (row, fd) in rows.iter().zip(fds) {
        if let Some(place) = out.get_mut(*row as usize) {
            *place = *fd;
        }
    }
}

/// Codes of a reference of the bulk family.
mod bulk_code {
    pub(super) const PREDICTED: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const NONE: u64 = 2;
    /// Index (from 1) + this.
    pub(super) const KNOWN: u64 = 2;
}

/// How many descriptor numbers are told apart per thread; events without a number have a slot of their own.
const NUMBERS: usize = 16;
/// Slots of a thread: those of the numbers, that of events without one, and some that are not used.
const SLOTS: usize = 2 * NUMBERS;

/// What each thread last did with each descriptor number, modulo [`NUMBERS`].
#[derive(Debug, Default)]
pub(super) struct FdPrediction {
    slots: Vec<u32>,
}

impl FdPrediction {
    /// Begins a block of so many threads.
    pub(super) fn start(&mut self, contexts: usize) {
        self.slots.clear();
        self.slots.resize(contexts * SLOTS, 0);
    }

    /// Where an event's prediction is kept.
    #[inline]
    pub(super) fn slot(&mut self, context: u32, fd_num: i64) -> Option<&mut u32> {
        let number = if fd_num == ABSENT {
            NUMBERS
        } else {
            fd_num as usize % NUMBERS
        };
        self.slots.get_mut(context as usize * SLOTS + number)
    }
}

/// Appends the reference of one event of the bulk family, given its slot of the prediction.
#[inline]
pub(super) fn write_bulk_ref(slot: &mut u32, fd: u32, numbering: &mut FdNumbering, out: &mut Vec<u8>) {
    let (at, new) = numbering.refer(fd);
    if new {
        put(out, bulk_code::NEW);
    } else if at == *slot {
        put(out, bulk_code::PREDICTED);
    } else if at == 0 {
        put(out, bulk_code::NONE);
    } else {
        put(out, u64::from(at) + bulk_code::KNOWN);
    }
    *slot = at;
}

/// Lets an event of the hot family, whose reference is known already, tell the prediction.
#[inline]
pub(super) fn observe(slot: &mut u32, fd: u32, numbering: &FdNumbering) {
    *slot = numbering.indices[fd as usize];
}

/// What the references of the bulk family make of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Its type has no references.
    Passed,
    /// It is of the hot family: its reference is known.
    Observed,
    /// Its reference is to be read.
    Read,
}

/// Reads the references of the bulk family; `events` are the type, thread and descriptor number of each event, `roles`
/// those of the types, and `out` has the references of the hot family.
pub(super) fn read_bulk_refs<'a>(
    mut cursor: Cursor<'_>,
    mut refs: FdRefs,
    prediction: &mut FdPrediction,
    events: impl Iterator<Item = ((&'a u16, &'a u32), &'a i64)>,
    roles: &[Role],
    out: &mut [u32],
) -> Result<(), Malformed> {
    for (((kind, context), num), fd) in events.zip(out) {
        let role = roles.get(*kind as usize).copied().unwrap_or(Role::Passed);
        if role == Role::Passed {
            continue;
        }
        let slot = prediction.slot(*context, *num).ok_or(Malformed::UnknownId)?;
        if role == Role::Observed {
            *slot = *fd;
            continue;
        }
        match cursor.get()? {
            bulk_code::PREDICTED => (),
            bulk_code::NEW => *slot = refs.fresh()?,
            bulk_code::NONE => *slot = 0,
            at => *slot = refs.known(at - bulk_code::KNOWN)?,
        }
        *fd = *slot;
    }
    refs.finish()?;
    cursor.finish()
}
