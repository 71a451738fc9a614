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

    /// Nothing where the piece is full, or there are more pieces than numbers (16 GiB).
    fn new(chunk: usize, start: usize) -> Option<Place> {
        let unit = Some(start / UNIT).filter(|_| start < CHUNK)?;
        u32::try_from(chunk * Self::UNITS + unit).ok().map(Place)
    }

    /// So far behind in the same piece, and less than a piece is long.
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
    /// Where that begins which is kept next, if a piece has room for it.
    next: Option<Place>,
    /// Records that lie in it.
    noted: usize,
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
    /// Takes a record that begins so far in what is kept next; says where it will lie, or nothing where it was not taken.
    #[inline]
    pub(super) fn push(&mut self, at: usize) -> Option<Place> {
        let next = match self.next {
            Some(next) => next,
            None => self.begin()?,
        };
        if at >= CHUNK {
            return None;
        }
        self.noted += 1;
        Some(next.behind(at))
    }

    /// Keeps bytes in which those records lie that were taken since the last were kept.
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let noted = std::mem::take(&mut self.noted);
        let chunk = self.all.get_mut(self.filling).filter(|_| noted > 0);
        if let Some(chunk) = chunk {
            chunk.left += noted;
            chunk.bytes.extend_from_slice(bytes);
            chunk.bytes.resize(chunk.bytes.len().next_multiple_of(UNIT), 0);
            self.next = Place::new(self.filling, chunk.bytes.len());
        }
    }

    /// Begins another piece; says where it begins.
    #[cold]
    fn begin(&mut self) -> Option<Place> {
        let number = self.free.pop().unwrap_or(self.all.len());
        let next = Place::new(number, 0)?;
        if number == self.all.len() {
            self.all.push(Chunk::default());
        }
        self.all.get_mut(number)?.bytes.reserve(CHUNK + CHUNK / 8);
        (self.filling, self.next) = (number, Some(next));
        self.next
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
            self.next = Place::new(number, 0);
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
        let places = at.map(|at| chunks.push(at).expect("there is room"));
        chunks.keep(&vec![7; len]);
        places
    }

    #[test]
    fn records_lie_where_they_were_kept() {
        let mut chunks = Chunks::default();
        let (first, second) = (chunks.push(8).expect("a place"), chunks.push(16).expect("a place"));
        chunks.keep(b"........first...second..");
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
        assert!(chunks.all.is_empty(), "of none of these is anything taken");
        let [first] = keep(&mut chunks, CHUNK - 8, [0]);
        let [last] = keep(&mut chunks, CHUNK, [CHUNK - 8]);
        let [other] = keep(&mut chunks, 8, [0]);
        assert_eq!((chunks.all.len(), chunks.used()), (2, 2));
        chunks.take(first, 8, |_| ());
        chunks.take(last, 8, |record| assert_eq!(record, [7; 8]));
        assert_eq!((chunks.all.len(), chunks.used()), (2, 1));
        let [third] = keep(&mut chunks, CHUNK, [0]);
        let [fourth] = keep(&mut chunks, CHUNK, [0]);
        assert_eq!((chunks.all.len(), chunks.used()), (2, 2), "the first was free");
        for place in [other, third] {
            chunks.take(place, 8, |_| ());
        }
        assert_eq!(chunks.from(fourth).map(<[u8]>::len), Some(CHUNK));
        chunks.take(fourth, 8, |_| ());
        let [fifth] = keep(&mut chunks, 16, [8]);
        assert_eq!(
            chunks.from(fifth).map(<[u8]>::len),
            Some(8),
            "what is being filled begins anew"
        );
        assert_eq!((chunks.all.len(), chunks.used()), (2, 1));
    }

    #[test]
    fn what_has_no_place_is_not_taken() {
        let mut chunks = Chunks::default();
        assert!(chunks.push(CHUNK).is_none());
        keep(&mut chunks, 8, [0]);
        assert!(chunks.push(CHUNK).is_none());
        chunks.keep(&vec![7; 2 * CHUNK]);
        assert_eq!(
            chunks.all.first().map(|chunk| (chunk.left, chunk.bytes.len())),
            Some((1, 8))
        );
    }
}
