//! Captured buffer bytes.

use super::varint::{Cursor, Malformed, put};

/// Appends how many bytes events have: for each that has some, how many events before it have none, and the length.
pub(super) fn write_lens(lens: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    let mut gap = 0u64;
    for len in lens {
        if len == 0 {
            gap += 1;
            continue;
        }
        put(out, gap);
        put(out, u64::from(len));
        gap = 0;
    }
}

/// Reads the captured bytes of all events: where each event's end, and the bytes.
pub(super) fn read(
    lens: &mut Cursor<'_>,
    bytes: &Cursor<'_>,
    events: u32,
    ends: &mut Vec<u32>,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    ends.clear();
    out.clear();
    let mut end = 0usize;
    while lens.len() > 0 {
        let gap = lens.get_len()?;
        if gap >= events as usize - ends.len() {
            return Err(Malformed::Counts);
        }
        ends.resize(ends.len() + gap, end as u32);
        end = end.checked_add(lens.get_len()?).ok_or(Malformed::OutOfRange)?;
        if end > bytes.len() {
            return Err(Malformed::OutOfRange);
        }
        ends.push(end as u32);
    }
    ends.resize(events as usize, end as u32);
    if end != bytes.len() {
        return Err(Malformed::LeftOver);
    }
    out.extend_from_slice(bytes.remaining());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_back() {
        let mut bytes = Vec::new();
        write_lens([0, 0, 3, 0, 2, 0].into_iter(), &mut bytes);
        let (mut ends, mut data) = (Vec::new(), Vec::new());
        let read = read(
            &mut Cursor::new(&bytes),
            &Cursor::new(b"abcde"),
            6,
            &mut ends,
            &mut data,
        );
        assert_eq!(read, Ok(()));
        assert_eq!(ends, [0, 0, 3, 3, 5, 5]);
        assert_eq!(data, b"abcde");
    }
}
