//! Event types: which type each event is of, as the position in the head's list.

use super::varint::{Cursor, Malformed};

/// How many types one byte per event can tell apart.
const ONE_BYTE: usize = 256;

/// The events thread by thread: what a program does repeats itself, what several programs do at once does not.
#[derive(Debug, Default)]
pub(super) struct ThreadOrder {
    /// Per thread: where its next event stands in the column.
    next: Vec<u32>,
}

impl ThreadOrder {
    /// Begins a walk over the events whose threads are `contexts`, each below `count`.
    pub(super) fn start(&mut self, contexts: &[u32], count: usize) {
        self.next.clear();
        self.next.resize(count + 1, 0);
        for context in contexts {
            if let Some(n) = self.next.get_mut(*context as usize + 1) {
                *n += 1;
            }
        }
        let mut sum = 0;
        for n in &mut self.next {
            sum += *n;
            *n = sum;
        }
    }

    /// Where the next event of a thread stands.
    #[inline]
    pub(super) fn place(&mut self, context: u32) -> usize {
        match self.next.get_mut(context as usize) {
            Some(next) => {
                *next += 1;
                *next as usize - 1
            }
            None => usize::MAX,
        }
    }
}

/// Appends the types thread by thread: one byte per event, or all low bytes and then all high bytes where there are
/// many types.
pub(super) fn write(
    kinds: impl Iterator<Item = u16>,
    contexts: &[u32],
    order: &mut ThreadOrder,
    types: usize,
    out: &mut Vec<u8>,
) {
    let events = contexts.len();
    let planes = if types > ONE_BYTE { 2 } else { 1 };
    out.resize(planes * events, 0);
    for (kind, context) in kinds.zip(contexts) {
        let at = order.place(*context);
        out[at] = kind as u8;
        if planes == 2 {
            out[events + at] = (kind >> 8) as u8;
        }
    }
}

/// Reads the type of each event with its position among the events of its type, and fills the rows of each type.
pub(super) fn read(
    column: &Cursor<'_>,
    contexts: &[u32],
    order: &mut ThreadOrder,
    rows: &mut [Vec<u32>],
    kinds: &mut Vec<u16>,
    ordinal: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let bytes = column.remaining();
    let planes = if rows.len() > ONE_BYTE { 2 } else { 1 };
    if bytes.len() != planes * contexts.len() {
        return Err(Malformed::Counts);
    }
    let (low, high) = bytes.split_at(contexts.len());
    kinds.clear();
    ordinal.clear();
    ordinal.reserve(contexts.len());
    kinds.extend(contexts.iter().map(|context| {
        let at = order.place(*context);
        let high = high.get(at).copied().unwrap_or(0);
        low.get(at)
            .map_or(u16::MAX, |low| u16::from(*low) | u16::from(high) << 8)
    }));
    for (row, kind) in kinds.iter().enumerate() {
        let rows = rows.get_mut(*kind as usize).ok_or(Malformed::UnknownId)?;
        ordinal.push(rows.len() as u32);
        rows.push(row as u32);
    }
    Ok(())
}
