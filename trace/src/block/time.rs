//! Time stamps: the step from event to event in three byte planes, with large and backward steps apart.

use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};

/// In the planes it stands for a step that is among the escapes; smaller steps are stored as they are.
const ESCAPE: u64 = 0xFF_FFFF;

/// Steps put together at a time, from three planes with one instruction for many.
const TOGETHER: usize = 256;

/// Turns time stamps into what the planes store.
#[derive(Debug, Default)]
pub(super) struct Steps {
    last: u64,
    escapes: Vec<u8>,
}

impl Steps {
    /// Starts over: the next step is one from `base`.
    pub(super) fn start(&mut self, base: u64) {
        self.last = base;
        self.escapes.clear();
    }

    /// What the planes store of the next time stamp.
    #[inline]
    pub(super) fn step(&mut self, ts: u64) -> u32 {
        let step = ts.wrapping_sub(self.last);
        self.last = ts;
        if step >= ESCAPE {
            put(&mut self.escapes, zigzag(step as i64));
            return ESCAPE as u32;
        }
        step as u32
    }

    /// The column of large and backward steps.
    pub(super) fn escapes(&self) -> &[u8] {
        &self.escapes
    }
}

/// The time stamps of a block while it is built.
#[derive(Debug, Default)]
pub(super) struct Times {
    steps: Steps,
    /// Smaller steps forward say all of a time stamp; none does before the first.
    small: u64,
    base: u64,
    min: u64,
    /// The largest that an older one came behind. While they come in order the last is the largest.
    passed: u64,
    unsorted: bool,
}

impl Times {
    /// What the planes store of the next time stamp.
    #[inline]
    pub(super) fn step(&mut self, ts: u64) -> u32 {
        match ts.checked_sub(self.steps.last) {
            Some(step) if step < self.small => {
                self.steps.last = ts;
                step as u32
            }
            _ => self.leap(ts),
        }
    }

    /// The same of the first one, and of one that is far from that before it or older.
    #[inline(never)]
    fn leap(&mut self, ts: u64) -> u32 {
        if self.small == 0 {
            (self.base, self.min, self.small) = (ts, ts, ESCAPE);
            self.steps.start(ts);
        }
        if ts < self.steps.last {
            self.unsorted = true;
            self.passed = self.passed.max(self.steps.last);
            self.min = self.min.min(ts);
        }
        self.steps.step(ts)
    }

    /// The first; 0 where there is none.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// The smallest and the largest; `None` where there is none.
    #[inline]
    pub(super) fn range(&self) -> Option<(u64, u64)> {
        (self.small > 0).then(|| (self.min, self.passed.max(self.steps.last)))
    }

    /// Whether none is older than the one before it.
    pub(super) fn is_sorted(&self) -> bool {
        !self.unsorted
    }

    /// The column of large and backward steps.
    pub(super) fn escapes(&self) -> &[u8] {
        self.steps.escapes()
    }

    pub(super) fn clear(&mut self) {
        self.steps.start(0);
        (self.small, self.base, self.passed, self.unsorted) = (0, 0, 0, false);
    }
}

/// Appends steps to the planes (low, middle, high byte).
pub(super) fn write(steps: impl ExactSizeIterator<Item = u32>, planes: [&mut Vec<u8>; 3]) {
    let [low, middle, high] = planes.map(|plane| more(plane, steps.len()));
    for (((step, low), middle), high) in steps.zip(low).zip(middle).zip(high) {
        [*low, *middle, *high, _] = step.to_le_bytes();
    }
}

/// Room for so many bytes behind those of a plane.
fn more(plane: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    let at = plane.len();
    plane.resize(at + bytes, 0);
    &mut plane[at..]
}

/// Reads `events` time stamps.
pub(super) fn read(
    base: u64,
    events: u32,
    planes: [Cursor<'_>; 3],
    escapes: &mut Cursor<'_>,
    out: &mut Vec<u64>,
) -> Result<(), Malformed> {
    let [low, middle, high] = planes.map(|plane| plane.remaining());
    if [low, middle, high].iter().any(|plane| plane.len() != events as usize) {
        return Err(Malformed::Counts);
    }
    out.clear();
    out.reserve(events as usize);
    let mut last = base;
    let mut steps = Vec::with_capacity(TOGETHER);
    let planes = low
        .chunks(TOGETHER)
        .zip(middle.chunks(TOGETHER))
        .zip(high.chunks(TOGETHER));
    for ((low, middle), high) in planes {
        let stored = low.iter().zip(middle).zip(high);
        steps.clear();
        steps.extend(
            stored.map(|((low, middle), high)| u32::from(*low) | u32::from(*middle) << 8 | u32::from(*high) << 16),
        );
        if steps.iter().all(|step| u64::from(*step) != ESCAPE) {
            out.extend(steps.iter().map(|step| {
                last = last.wrapping_add(u64::from(*step));
                last
            }));
            continue;
        }
        for &step in &steps {
            let step = match u64::from(step) {
                ESCAPE => unzigzag(escapes.get()?) as u64,
                step => step,
            };
            last = last.wrapping_add(step);
            out.push(last);
        }
    }
    escapes.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_of_times_comes_back() {
        let ts = [5, 5, 6, 0x100_0005, 0x200_0004, 0x200_0003, 0, u64::MAX, 7, 1 << 63, 3];
        let (mut low, mut middle, mut high, mut steps) = (Vec::new(), Vec::new(), Vec::new(), Steps::default());
        steps.start(5);
        let stored: Vec<u32> = ts.iter().map(|ts| steps.step(*ts)).collect();
        let mut times = Times::default();
        for _ in 0..2 {
            times.clear();
            assert_eq!(times.range(), None);
            assert_eq!(ts.map(|ts| times.step(ts)).to_vec(), stored);
        }
        assert_eq!(times.escapes(), steps.escapes());
        write(stored.into_iter(), [&mut low, &mut middle, &mut high]);
        let planes = [&low, &middle, &high].map(|p| Cursor::new(p));
        let mut back = Vec::new();
        assert_eq!(
            read(5, ts.len() as u32, planes, &mut Cursor::new(steps.escapes()), &mut back),
            Ok(())
        );
        assert_eq!(back, ts);
    }

    #[test]
    fn the_range_of_times_is_known_at_any_time() {
        let far = u64::from(u32::MAX);
        for ts in [
            &[7, 7, 9, far, far + 1][..],
            &[0, 1],
            &[9, 8, 10, 10, far, 3, 4, far + 1, 5],
            &[u64::MAX, 7, 8, 0],
        ] {
            let mut times = Times::default();
            for (at, next) in ts.iter().enumerate() {
                times.step(*next);
                let so_far = &ts[..=at];
                let range = so_far.iter().min().copied().zip(so_far.iter().max().copied());
                assert_eq!((times.base(), times.range()), (ts[0], range));
                assert_eq!(times.is_sorted(), so_far.is_sorted());
            }
        }
    }
}
