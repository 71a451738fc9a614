//! Event types: which type each event is of, as the position in the head's list.

use super::varint::{Cursor, Malformed};

/// How many types one byte per event can tell apart.
const ONE_BYTE: usize = 256;

/// Appends the types: one byte per event, or all low bytes and then all high bytes where there are many types.
pub(super) fn write(kinds: impl Iterator<Item = u16> + Clone, types: usize, out: &mut Vec<u8>) {
    out.extend(kinds.clone().map(|k| k as u8));
    if types > ONE_BYTE {
        out.extend(kinds.map(|k| (k >> 8) as u8));
    }
}

/// Reads the type of each event with its position among the events of its type, and fills the rows of each type.
/// `counts` says how many events each type has.
pub(super) fn read(
    column: &Cursor<'_>,
    events: u32,
    rows: &mut [Vec<u32>],
    kind: &mut Vec<u16>,
    ordinal: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let bytes = column.remaining();
    let planes = if rows.len() > ONE_BYTE { 2 } else { 1 };
    if bytes.len() != planes * events as usize {
        return Err(Malformed::Counts);
    }
    let (low, high) = bytes.split_at(events as usize);
    kind.clear();
    kind.extend(low.iter().map(|b| u16::from(*b)));
    for (kind, high) in kind.iter_mut().zip(high) {
        *kind |= u16::from(*high) << 8;
    }
    ordinal.clear();
    ordinal.reserve(events as usize);
    for (row, kind) in kind.iter().enumerate() {
        let rows = rows.get_mut(*kind as usize).ok_or(Malformed::UnknownId)?;
        ordinal.push(rows.len() as u32);
        rows.push(row as u32);
    }
    Ok(())
}
