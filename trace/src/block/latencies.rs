//! How long calls took: a column that is there where somebody recorded their beginnings.

use super::decoded::ABSENT;
use super::numbers;
use super::varint::{Cursor, Malformed};

/// The latencies of a block's events while it is built: those that are known.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<(u32, i64)>);

impl Latencies {
    /// Notes how long an event took.
    #[inline(never)]
    pub(super) fn add(&mut self, event: usize, latency: u64) {
        // What does not fit is longer than 292 years.
        self.0.push((event as u32, i64::try_from(latency).unwrap_or(i64::MAX)));
    }

    /// Forgets everything, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes a number for each event; nothing where none is known.
    pub(super) fn write(&self, events: usize, numbers: &mut Vec<i64>, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        numbers.clear();
        numbers.resize(events, ABSENT);
        for (event, latency) in &self.0 {
            if let Some(place) = numbers.get_mut(*event as usize) {
                *place = *latency;
            }
        }
        numbers::write(out, numbers, false);
    }
}

/// Reads the latencies of a block's events; `out` stays empty where there are none.
pub(super) fn read(mut column: Cursor<'_>, events: u32, out: &mut Vec<i64>) -> Result<(), Malformed> {
    out.clear();
    if column.len() == 0 {
        return Ok(());
    }
    numbers::read(&mut column, events as usize, &mut *out)?;
    column.finish()?;
    match out.iter().all(|latency| *latency >= 0 || *latency == ABSENT) {
        true => Ok(()),
        false => Err(Malformed::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(known: &[(usize, u64)], events: usize) -> Vec<i64> {
        let (mut table, mut bytes, mut back) = (Latencies::default(), Vec::new(), Vec::new());
        known.iter().for_each(|(event, latency)| table.add(*event, *latency));
        table.write(events, &mut Vec::new(), &mut bytes);
        assert_eq!(read(Cursor::new(&bytes), events as u32, &mut back), Ok(()));
        back
    }

    #[test]
    fn what_is_known_comes_back_and_nothing_is_stored_of_nothing() {
        assert_eq!(round_trip(&[], 3), Vec::<i64>::new());
        assert_eq!(
            round_trip(&[(1, 0), (3, u64::MAX)], 5),
            [ABSENT, 0, ABSENT, i64::MAX, ABSENT]
        );
    }

    #[test]
    fn a_negative_latency_is_an_error() {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        numbers::write(&mut bytes, &[5, -1], false);
        assert_eq!(read(Cursor::new(&bytes), 2, &mut back), Err(Malformed::OutOfRange));
    }
}
