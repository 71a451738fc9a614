//! The bytes of records that wait: in pieces, which are filled again when all that lay in them has left.

/// A piece with so many bytes is full.
const CHUNK: usize = 1 << 20;
/// Records begin at multiples of this.
const UNIT: usize = 8;
/// Empty pieces that are kept to be filled again.
const SPARE: usize = 16;

/// Where a record begins: the number of its piece and, in [`UNIT`]s, how far in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

impl Place {
    /// Of what is kept last in a piece nearly all may lie behind its end.
    const UNITS: usize = 2 * CHUNK / UNIT;

    /// Nothing where there are more pieces than numbers (16 GiB), or a piece has so much behind its end.
    fn new(chunk: usize, start: usize) -> Option<Place> {
        let unit = Some(start / UNIT).filter(|unit| *unit < Self::UNITS)?;
        u32::try_from(chunk * Self::UNITS + unit).ok().map(Place)
    }

    /// So far behind in the same piece.
    fn behind(self, at: usize) -> Place {
        Place(self.0.wrapping_add((at / UNIT) as u32))
    }

    fn chunk(self) -> usize {
        self.0 as usize / Self::UNITS
    }

    fn start(self) -> usize {
        self.0 as usize % Self::UNITS * UNIT
    }
}

/// The pieces.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    all: Vec<Chunk>,
    /// The one that is being filled.
    filling: usize,
    /// Where that begins which was kept last, if there was a place for it.
    kept: Option<Place>,
    /// Those of which nothing waits.
    free: Vec<usize>,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Records that still wait.
    left: usize,
}

impl Chunks {
    /// Keeps bytes in which records lie.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let has_room = |chunk: &Chunk| chunk.bytes.len() < CHUNK;
        if !self.all.get(self.filling).is_some_and(has_room) {
            self.begin();
        }
        if let Some(chunk) = self.all.get_mut(self.filling) {
            let (start, end) = (chunk.bytes.len(), chunk.bytes.len() + bytes.len());
            self.kept = Place::new(self.filling, end).and(Place::new(self.filling, start));
            chunk.bytes.extend_from_slice(bytes);
            chunk.bytes.resize(chunk.bytes.len().next_multiple_of(UNIT), 0);
        }
    }

    /// Takes a record that begins so far in what was kept last; says where it lies, or nothing where it was not taken.
    #[inline]
    pub(super) fn push(&mut self, at: usize) -> Option<Place> {
        let place = self.kept?.behind(at);
        self.all.get_mut(self.filling)?.left += 1;
        Some(place)
    }

    /// Begins another piece.
    #[cold]
    fn begin(&mut self) {
        // Where all that was kept was none's.
        if self.all.get(self.filling).is_some_and(|chunk| chunk.left == 0) {
            return self.give_back(self.filling);
        }
        self.filling = self.free.pop().unwrap_or_else(|| {
            self.all.push(Chunk::default());
            self.all.len() - 1
        });
        if let Some(chunk) = self.all.get_mut(self.filling) {
            chunk.bytes.reserve(CHUNK + CHUNK / 8);
        }
    }

    /// What lies at a place and behind it.
    #[inline]
    pub(super) fn from(&self, place: Place) -> Option<&[u8]> {
        self.all.get(place.chunk())?.bytes.get(place.start()..)
    }

    /// Hands over a record, which then no longer waits.
    #[inline]
    pub(super) fn take(&mut self, place: Place, len: usize, each: impl FnOnce(&[u8])) {
        let Some(chunk) = self.all.get_mut(place.chunk()) else {
            return;
        };
        if let Some(record) = chunk.bytes.get(place.start()..place.start() + len) {
            each(record);
        }
        chunk.left -= 1;
        if chunk.left == 0 {
            self.give_back(place.chunk());
        }
    }

    /// Of a piece nothing waits any more.
    #[cold]
    fn give_back(&mut self, number: usize) {
        let Some(chunk) = self.all.get_mut(number) else { return };
        chunk.bytes.clear();
        if number == self.filling {
            return;
        }
        if self.free.len() >= SPARE {
            chunk.bytes = Vec::new();
        }
        self.free.push(number);
    }

    /// How many pieces have records that wait.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.all.iter().filter(|chunk| chunk.left > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps bytes of which the records begin at these places.
    fn keep<const N: usize>(chunks: &mut Chunks, len: usize, at: [usize; N]) -> [Place; N] {
        chunks.keep(&vec![7; len]);
        at.map(|at| chunks.push(at).expect("there is room"))
    }

    #[test]
    fn records_lie_where_they_were_kept() {
        let mut chunks = Chunks::default();
        chunks.keep(b"........first...second..");
        let (first, second) = (chunks.push(8).expect("a place"), chunks.push(16).expect("a place"));
        assert_eq!(chunks.from(second), Some(&b"second.."[..]));
        let mut taken = Vec::new();
        chunks.take(second, 6, |record| taken.extend_from_slice(record));
        chunks.take(first, 5, |record| taken.extend_from_slice(record));
        assert_eq!(taken, b"secondfirst");
        assert_eq!(chunks.used(), 0);
    }

    #[test]
    fn pieces_are_filled_again_when_nothing_in_them_waits() {
        let mut chunks = Chunks::default();
        for _ in 0..10 {
            keep(&mut chunks, CHUNK / 2, []);
        }
        assert_eq!(chunks.all.len(), 1, "of none of these is anything taken");
        let [first] = keep(&mut chunks, CHUNK - 8, [0]);
        let [last] = keep(&mut chunks, CHUNK, [CHUNK - 8]);
        let [other] = keep(&mut chunks, 8, [0]);
        assert_eq!((chunks.all.len(), chunks.used()), (2, 2));
        chunks.take(first, 8, |_| ());
        chunks.take(last, 8, |record| assert_eq!(record, [7; 8]));
        assert_eq!((chunks.all.len(), chunks.used()), (2, 1));
        keep(&mut chunks, CHUNK, [0]);
        keep(&mut chunks, CHUNK, [0]);
        assert_eq!((chunks.all.len(), chunks.used()), (2, 2), "the first was free");
        chunks.take(other, 8, |_| ());
    }

    #[test]
    fn what_has_no_place_is_not_taken() {
        let mut chunks = Chunks::default();
        keep(&mut chunks, 8, [0]);
        chunks.keep(&vec![7; 2 * CHUNK]);
        assert!(chunks.push(0).is_none());
        assert_eq!(chunks.all.first().map(|chunk| chunk.left), Some(1));
    }
}
