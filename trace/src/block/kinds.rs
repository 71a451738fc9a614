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
    /// Begins a walk over events, given where those of each thread end.
    pub(super) fn start(&mut self, ends: &[u32]) {
        self.next.clear();
        self.next.push(0);
        self.next.extend_from_slice(ends);
        self.next.truncate(ends.len());
    }

    /// Whether the walk came to the end of every thread's events.
    pub(super) fn is_at(&self, ends: &[u32]) -> bool {
        self.next == ends
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

/// Appends the types of events, given with their threads, thread by thread: one byte per event, or all low bytes and then all high bytes where there are
/// many types.
pub(super) fn write(
    events: impl ExactSizeIterator<Item = (u16, u32)>,
    order: &mut ThreadOrder,
    types: usize,
    out: &mut Vec<u8>,
) {
    let count = events.len();
    let planes = if types > ONE_BYTE { 2 } else { 1 };
    out.resize(planes * count, 0);
    for (kind, context) in events {
        let at = order.place(context);
        out[at] = kind as u8;
        if planes == 2 {
            out[count + at] = (kind >> 8) as u8;
        }
    }
}

/// Reads the type of each event; there are so many `types`.
pub(super) fn read(
    column: &Cursor<'_>,
    contexts: &[u32],
    ends: &[u32],
    order: &mut ThreadOrder,
    types: usize,
    kinds: &mut Vec<u16>,
) -> Result<(), Malformed> {
    let bytes = column.remaining();
    let planes = if types > ONE_BYTE { 2 } else { 1 };
    if bytes.len() != planes * contexts.len() {
        return Err(Malformed::Counts);
    }
    let (low, high) = bytes.split_at(contexts.len());
    kinds.clear();
    order.start(ends);
    if planes == 1 {
        let kind = |context: &u32| low.get(order.place(*context)).map_or(u16::MAX, |low| u16::from(*low));
        kinds.extend(contexts.iter().map(kind));
    } else {
        kinds.extend(contexts.iter().map(|context| {
            let at = order.place(*context);
            match (low.get(at), high.get(at)) {
                (Some(low), Some(high)) => u16::from(*low) | u16::from(*high) << 8,
                _ => u16::MAX,
            }
        }));
    }
    if order.is_at(ends) {
        Ok(())
    } else {
        Err(Malformed::Counts)
    }
}

/// Keeps the types in the order of threads, where one byte tells them apart.
pub(super) fn by_thread(column: &Cursor<'_>, events: usize, types: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let bytes = column.remaining();
    out.clear();
    if types > ONE_BYTE {
        return Ok(());
    }
    if bytes.len() != events {
        return Err(Malformed::Counts);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// Sorts the rows by type, given how many each type has.
pub(super) fn rows<'a>(
    kinds: &[u16],
    counts: &[u32],
    sorted: &mut Vec<u32>,
    rows: impl Iterator<Item = &'a mut Vec<u32>>,
) -> Result<(), Malformed> {
    sorted.clear();
    sorted.resize(kinds.len(), 0);
    let mut end = 0;
    let mut next: Vec<u32> = counts
        .iter()
        .map(|count| {
            end += count;
            end - count
        })
        .collect();
    for (row, kind) in (0..).zip(kinds) {
        let next = next.get_mut(*kind as usize).ok_or(Malformed::UnknownId)?;
        *sorted.get_mut(*next as usize).ok_or(Malformed::Counts)? = row;
        *next += 1;
    }
    let mut start = 0;
    for ((rows, next), count) in rows.zip(next).zip(counts) {
        let end = start + *count;
        if next != end {
            return Err(Malformed::Counts);
        }
        rows.extend_from_slice(sorted.get(start as usize..end as usize).unwrap_or_default());
        start = end;
    }
    Ok(())
}

/// Numbers each event among those of its type.
pub(super) fn ordinals<'a>(types: impl Iterator<Item = &'a [u32]>, events: usize, out: &mut Vec<u32>) {
    out.clear();
    out.resize(events, 0);
    for rows in types {
        for (ordinal, row) in (0..).zip(rows) {
            if let Some(place) = out.get_mut(*row as usize) {
                *place = ordinal;
            }
        }
    }
}
