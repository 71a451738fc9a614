//! Captured buffer bytes.

use super::varint::{Cursor, Malformed, put};

/// The captured bytes of a block's events while it is built.
#[derive(Debug, Default)]
pub(super) struct Captured {
    /// For each event that has some: how many events before it have none, and how many bytes.
    lens: Vec<u8>,
    bytes: Vec<u8>,
    /// The first event that may have some.
    next: u64,
}

impl Captured {
    /// Adds what an event has that has some; none behind it had.
    #[inline(never)]
    pub(super) fn add(&mut self, event: usize, data: &[u8]) {
        let event = event as u64;
        put(&mut self.lens, event - self.next);
        put(&mut self.lens, data.len() as u64);
        self.next = event + 1;
        self.bytes.extend_from_slice(data);
    }

    /// Appends both columns.
    pub(super) fn write(&self, lens: &mut Vec<u8>, bytes: &mut Vec<u8>) {
        lens.extend_from_slice(&self.lens);
        bytes.extend_from_slice(&self.bytes);
    }

    pub(super) fn clear(&mut self) {
        self.lens.clear();
        self.bytes.clear();
        self.next = 0;
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
        let (mut captured, mut lens, mut bytes) = (Captured::default(), Vec::new(), Vec::new());
        for _ in 0..2 {
            captured.clear();
            let data: [&[u8]; 6] = [b"", b"", b"abc", b"", b"de", b""];
            let some = data.iter().enumerate().filter(|(_, data)| !data.is_empty());
            some.for_each(|(event, data)| captured.add(event, data));
        }
        captured.write(&mut lens, &mut bytes);
        let (mut ends, mut data) = (Vec::new(), Vec::new());
        let read = read(&mut Cursor::new(&lens), &Cursor::new(&bytes), 6, &mut ends, &mut data);
        assert_eq!(read, Ok(()));
        assert_eq!(ends, [0, 0, 3, 3, 5, 5]);
        assert_eq!(data, b"abcde");
    }
}
