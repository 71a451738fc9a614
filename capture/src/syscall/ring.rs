//! A ring of records, as the kernel fills it (`kernel/bpf/ringbuf.c`).
//!
//! Read by code of our own for three things: the processors that record look at how far the ring was read each time,
//! and fetch that anew whenever it was written, so that it is written once for many records; what other processors have just
//! written is fetched ahead; and how far the ring was filled tells without a question to the kernel whether all was read.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya::maps::MapData;
use ctrace_wire::cpu_ring::{CPU_RING_BYTES, CpuRing, HEAD};

use super::mapping::Mapping;
use super::refusal::OpenError;
use crate::ahead::{LINE, fetch_lines};

/// Bits of the word before each record, which has its length too.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// How much is read before the kernel side is told, at most.
const BATCH: usize = 128 << 10;
/// So many bytes of records are handed over at once, or a few more.
const STRETCH: usize = 4 << 10;
/// How far ahead is fetched at least, so that a stretch comes while the last one is looked at; and how much of it together.
const AHEAD: usize = STRETCH;
const FETCHED: usize = 512;

/// Takes the records of a ring.
pub(super) trait Take {
    /// A record that was not given up, which begins so far in the stretch that is handed over next: at a multiple of eight.
    fn record(&mut self, at: usize, record: &[u8]);

    /// Some records as they lie there, each behind its head. Says whether more are wanted.
    fn stretch(&mut self, bytes: &[u8]) -> bool;
}

/// How long a record is of which this is the first word of the head.
fn len(word: u32) -> usize {
    (word & !(BUSY | DISCARDED)) as usize
}

/// How much room it has with its head.
fn room(word: u32) -> usize {
    (HEAD + len(word)).next_multiple_of(8)
}

/// One ring and how far it was read.
pub(super) struct Ring {
    /// How far the ring was filled, records that are not finished included, and up to where those lie that may be looked at.
    begun: NonNull<AtomicUsize>,
    finished: NonNull<AtomicUsize>,
    /// How far the kernel side knows that it was read.
    told: NonNull<AtomicUsize>,
    bytes: NonNull<u8>,
    /// A power of two.
    size: usize,
    /// How much is mapped behind the end as it is at the beginning, so that a stretch goes on there.
    again: usize,
    read: usize,
    memory: Arc<Memory>,
}

/// What the pointers of a ring point to. The map is loaded with programs after it was mapped.
struct Memory {
    _mappings: Vec<Mapping>,
    map: MapData,
}

// SAFETY: the memory lives as long as the ring, and is used through atomics, or when the kernel side has written it.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps a ring of the kernel's.
    pub(super) fn map(map: MapData) -> Result<Self, OpenError> {
        let size = map.info().map_err(|e| OpenError::Load(e.to_string()))?.max_entries() as usize;
        if !size.is_power_of_two() {
            return Err(OpenError::Load(format!("a ring of {size} bytes")));
        }
        // SAFETY: no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let fd = map.fd().as_fd();
        let both = libc::PROT_READ | libc::PROT_WRITE;
        // A page with how far the ring was read.
        let consumer = Mapping::new(fd, page, both, 0).map_err(OpenError::Map)?;
        // A page with how far it was filled, then its bytes, twice, so that no record is in two parts.
        let producer = Mapping::new(fd, page + 2 * size, libc::PROT_READ, page).map_err(OpenError::Map)?;
        let begun = producer.address().cast();
        Ok(Self {
            begun,
            finished: begun,
            told: consumer.address().cast(),
            // SAFETY: they follow the first page of the mapping.
            bytes: unsafe { producer.address().add(page) },
            size,
            again: size,
            read: 0,
            memory: Arc::new(Memory {
                _mappings: vec![consumer, producer],
                map,
            }),
        }
        .resumed())
    }

    /// Maps the rings that the first so many processors have of their own.
    pub(super) fn map_of_cpus(map: MapData, cpus: usize) -> Result<Vec<Self>, OpenError> {
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let all = Mapping::new(map.fd().as_fd(), cpus * size_of::<CpuRing>(), both, 0).map_err(OpenError::Map)?;
        let first = all.address();
        let memory = Arc::new(Memory {
            _mappings: vec![all],
            map,
        });
        let ring = |cpu: usize| {
            // SAFETY: so many are mapped one behind the other, and these are the parts of one.
            let part = |offset: usize| unsafe { first.add(cpu * size_of::<CpuRing>() + offset) };
            Self {
                begun: part(offset_of!(CpuRing, begun)).cast(),
                finished: part(offset_of!(CpuRing, finished)).cast(),
                told: part(offset_of!(CpuRing, read)).cast(),
                bytes: part(offset_of!(CpuRing, bytes)),
                size: CPU_RING_BYTES,
                again: 0,
                read: 0,
                memory: Arc::clone(&memory),
            }
            .resumed()
        };
        Ok((0..cpus).map(ring).collect())
    }

    /// From where it was read.
    fn resumed(mut self) -> Self {
        self.read = self.told().load(Ordering::Acquire);
        self
    }

    /// How far it was filled, records that are not finished included.
    pub(super) fn filled(&self) -> usize {
        // SAFETY: a number in the memory, which lives as long as self; the kernel writes it as a whole.
        unsafe { self.begun.as_ref() }.load(Ordering::Acquire)
    }

    /// Up to where records may be looked at, of which those say themselves whether they are finished that lie in a ring of the
    /// kernel's.
    fn readable(&self) -> usize {
        // SAFETY: as above.
        unsafe { self.finished.as_ref() }.load(Ordering::Acquire)
    }

    /// How far it was read.
    pub(super) fn position(&self) -> usize {
        self.read
    }

    /// Passes over all that is there.
    pub(super) fn skip(&mut self) {
        let filled = self.filled();
        if self.read != filled {
            self.tell(filled);
        }
    }

    /// Hands over the records that are there, stretch by stretch, until one is not finished or no more are wanted.
    pub(super) fn read(&mut self, taker: &mut impl Take) {
        let batch = BATCH.min(self.size / 8);
        let mut at = self.read;
        let (mut filled, mut fetched) = (at, 0);
        loop {
            if at == filled {
                filled = self.readable();
            }
            let there = filled.wrapping_sub(at).min(self.size);
            let place = self.place(at);
            let until = self.size - place + self.again;
            // SAFETY: a place is one of the mapping at a multiple of eight, where a head begins; no more than all bytes follow
            // it, and they are mapped twice for as long as self lives. What lies before the end of a finished record is not
            // written by the kernel until it is told that it was read, which takes `&mut self`.
            let (len, goes_on) =
                unsafe { read_stretch(self.bytes.as_ptr().add(place), there, until, &mut fetched, taker) };
            at += len;
            if !goes_on {
                break;
            }
            if at - self.read >= batch {
                self.tell(at);
            }
        }
        if at != self.read {
            self.tell(at);
        }
    }

    /// Where among the bytes a position is: at a multiple of eight, so that a word fits in.
    fn place(&self, at: usize) -> usize {
        at & (self.size - 1) & !(HEAD - 1)
    }

    fn told(&self) -> &AtomicUsize {
        // SAFETY: as above; the kernel reads it as a whole.
        unsafe { self.told.as_ref() }
    }

    /// Tells the kernel side how far was read: it may fill that again.
    fn tell(&mut self, read: usize) {
        self.read = read;
        self.told().store(read, Ordering::Release);
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.memory.map.fd().as_fd().as_raw_fd()
    }
}

/// Hands over one stretch of what is there; says how long it is, and whether more may follow. Up to `fetched` was asked for
/// what is there, from the stretch's beginning on. No record begins at `until` or behind it: there the ring begins anew.
///
/// # Safety
/// So many bytes must be there, the first of them at a multiple of eight. What lies before the end of a record that is
/// finished does not change meanwhile.
#[inline]
unsafe fn read_stretch(
    start: *const u8,
    there: usize,
    until: usize,
    fetched: &mut usize,
    taker: &mut impl Take,
) -> (usize, bool) {
    let mut len = 0;
    while len < STRETCH.min(there).min(until) {
        // Seldom and much, or how much it is depends on each record's length, which no processor guesses right.
        while *fetched < there.min(len + AHEAD) {
            fetch_lines::<{ FETCHED / LINE }>(start.wrapping_add(*fetched));
            *fetched += FETCHED;
        }
        // SAFETY: a word that is there: the kernel writes them at multiples of eight, of which `len` is one.
        let word = unsafe { &*start.add(len).cast::<AtomicU32>() }.load(Ordering::Acquire);
        let room = room(word);
        if word & BUSY != 0 || room > there - len {
            break;
        }
        if word & DISCARDED == 0 {
            // SAFETY: a record that is there with all its room, and finished.
            let record = unsafe { std::slice::from_raw_parts(start.add(len + HEAD), self::len(word)) };
            taker.record(len + HEAD, record);
        }
        len += room;
    }
    *fetched = fetched.saturating_sub(len);
    // SAFETY: all these were looked at.
    let bytes = unsafe { std::slice::from_raw_parts(start, len) };
    (len, len > 0 && taker.stretch(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was handed over.
    #[derive(Default)]
    struct Taken {
        records: Vec<(usize, Vec<u8>)>,
        stretches: Vec<Vec<u8>>,
    }

    impl Take for Taken {
        fn record(&mut self, at: usize, record: &[u8]) {
            self.records.push((at, record.to_vec()));
        }

        fn stretch(&mut self, bytes: &[u8]) -> bool {
            self.stretches.push(bytes.to_vec());
            true
        }
    }

    /// Reads a stretch of so many of these bytes.
    fn read(ring: &[u64], there: usize) -> (Taken, usize) {
        assert!(there <= size_of_val(ring));
        let mut taken = Taken::default();
        // SAFETY: they are there, and nobody changes them.
        let (len, goes_on) = unsafe { read_stretch(ring.as_ptr().cast(), there, usize::MAX, &mut 0, &mut taken) };
        assert_eq!(goes_on, len > 0);
        (taken, len)
    }

    /// Bytes as they lie in a ring.
    fn ring(records: &[(u32, &[u8])]) -> Vec<u64> {
        let mut bytes = Vec::new();
        for (word, record) in records {
            bytes.extend(word.to_ne_bytes());
            bytes.extend([0xaa; 4]);
            bytes.extend(*record);
            bytes.resize(bytes.len().next_multiple_of(8), 0xaa);
        }
        let (words, _) = bytes.as_chunks();
        words.iter().copied().map(u64::from_ne_bytes).collect()
    }

    #[test]
    fn a_stretch_has_the_records_that_were_not_given_up() {
        let ring = ring(&[(3, b"abc"), (8 | DISCARDED, b"given up"), (0, b""), (9, b"ninebytes")]);
        let (all, len) = read(&ring, size_of_val(&*ring));
        assert_eq!(len, size_of_val(&*ring));
        assert_eq!(all.stretches.concat().len(), len);
        let expected = [(8, &b"abc"[..]), (40, b""), (48, b"ninebytes")];
        assert!(all.records.iter().map(|(at, record)| (*at, &record[..])).eq(expected));
        for there in (0..len).step_by(8) {
            let (cut, shorter) = read(&ring, there);
            assert!(shorter <= there && all.records.starts_with(&cut.records));
            assert_eq!(cut.stretches.len(), usize::from(shorter > 0));
        }
    }

    #[test]
    fn no_record_begins_behind_the_end_of_a_ring() {
        let ring = ring(&[(3, b"abc"), (8, b"over the"), (3, b"end")]);
        let there = size_of_val(&*ring);
        // The second goes on behind it, and what follows that is not of this stretch.
        for (until, taken) in [(8, 1), (16, 1), (24, 2), (32, 2), (40, 3), (usize::MAX, 3)] {
            let mut all = Taken::default();
            // SAFETY: as in `read`.
            let (len, _) = unsafe { read_stretch(ring.as_ptr().cast(), there, until, &mut 0, &mut all) };
            assert_eq!((len, all.records.len()), (16 * taken, taken), "until {until}");
        }
    }

    #[test]
    fn a_record_that_is_not_finished_ends_a_stretch() {
        let ring = ring(&[(3, b"abc"), (8 | BUSY, b"........"), (3, b"def")]);
        let (taken, len) = read(&ring, size_of_val(&*ring));
        assert_eq!((taken.records, len), (vec![(8, b"abc".to_vec())], 16));
    }

    #[test]
    fn many_records_are_several_stretches() {
        let record = [7; 100];
        let ring = ring(&[(100, &record[..]); 50]);
        let (taken, len) = read(&ring, size_of_val(&*ring));
        assert!((STRETCH..STRETCH + 112).contains(&len));
        assert_eq!(taken.records.len(), len / 112);
    }
}
