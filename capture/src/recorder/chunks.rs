//! The bytes of records that wait: in pieces, which are filled again when all that lay in them has left.

/// Bytes of a piece, about: the last record begins before.
const CHUNK: usize = 1 << 20;
/// Records begin at multiples of this.
const UNIT: usize = 8;
/// Empty pieces that are kept to be filled again.
const SPARE: usize = 16;

/// Where a record begins: the number of its piece and, in [`UNIT`]s, how far in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u32);

impl Place {
    const UNITS: usize = CHUNK / UNIT;

    /// Nothing where there are more pieces than numbers: 32 GiB.
    fn new(chunk: usize, start: usize) -> Option<Place> {
        u32::try_from(chunk * Self::UNITS + start / UNIT).ok().map(Place)
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
    /// Takes a record; says where it lies, or nothing where it was not taken.
    #[inline]
    pub(super) fn push(&mut self, record: &[u8]) -> Option<Place> {
        if self
            .all
            .get(self.filling)
            .is_none_or(|chunk| chunk.bytes.len() >= CHUNK)
        {
            self.begin();
        }
        let chunk = self.all.get_mut(self.filling)?;
        let place = Place::new(self.filling, chunk.bytes.len())?;
        chunk.bytes.extend_from_slice(record);
        chunk.left += 1;
        // The kernel side makes none of these.
        if !record.len().is_multiple_of(UNIT) {
            chunk.bytes.resize(chunk.bytes.len().next_multiple_of(UNIT), 0);
        }
        Some(place)
    }

    /// Begins another piece.
    #[cold]
    fn begin(&mut self) {
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
