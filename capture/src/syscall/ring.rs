//! A ring of records, as the kernel fills it (`kernel/bpf/ringbuf.c`).
//!
//! Read by code of our own for three things: the processors that record look at how far the ring was read each time,
//! and fetch that anew whenever it was written, so that it is written once for many records; what other processors have just
//! written is fetched ahead; and how far the ring was filled tells without a question to the kernel whether all was read.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya::maps::{Map, MapData};

use super::mapping::Mapping;
use super::refusal::OpenError;
use crate::ahead::{LINE, fetch_line};

/// Bits of the word before each record, which has its length too.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// That word and another, which is of no interest here; records begin at multiples of it.
const HEAD: usize = 8;
/// How much is read before the kernel side is told, at most.
const BATCH: usize = 128 << 10;
/// So many bytes of records are handed over at once, or a few more.
const STRETCH: usize = 4 << 10;
/// How far ahead is fetched at least, so that a stretch comes while the last one is looked at; and how much of it together.
const AHEAD: usize = STRETCH;
const FETCHED: usize = 512;

/// Finished records as they lie in a ring, each behind its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a>(&'a [u8]);

impl<'a> Stretch<'a> {
    /// All of them; as many bytes as are a multiple of eight.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The records that were not given up, and where among the bytes they begin: at multiples of eight.
    #[inline]
    pub(super) fn records(self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let mut next = 0;
        std::iter::from_fn(move || {
            loop {
                let (word, rest) = self.0.get(next..)?.split_first_chunk()?;
                let (word, start) = (u32::from_ne_bytes(*word), next + HEAD);
                next += room(word);
                if word & DISCARDED == 0 {
                    return Some((start, rest.get(HEAD - size_of::<u32>()..)?.get(..len(word))?));
                }
            }
        })
    }
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
    /// The page with how far the ring was read.
    consumer: Mapping,
    /// A page with how far it was filled, then its bytes, twice, so that no record is in two parts.
    producer: Mapping,
    page: usize,
    /// A power of two.
    size: usize,
    read: usize,
    map: MapData,
}

impl Ring {
    /// Maps a ring.
    pub(super) fn map(map: Map) -> Result<Self, OpenError> {
        let Map::RingBuf(map) = map else {
            return Err(OpenError::Load("a ring of records is none".to_owned()));
        };
        let size = map.info().map_err(|e| OpenError::Load(e.to_string()))?.max_entries() as usize;
        // SAFETY: no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let fd = map.fd().as_fd();
        let both = libc::PROT_READ | libc::PROT_WRITE;
        let consumer = Mapping::new(fd, page, both, 0).map_err(OpenError::Map)?;
        let producer = Mapping::new(fd, page + 2 * size, libc::PROT_READ, page).map_err(OpenError::Map)?;
        if !size.is_power_of_two() {
            return Err(OpenError::Load(format!("a ring of {size} bytes")));
        }
        let mut ring = Ring {
            consumer,
            producer,
            page,
            size,
            read: 0,
            map,
        };
        ring.read = ring.told().load(Ordering::Acquire);
        Ok(ring)
    }

    /// How far it was filled, records that are not finished included.
    pub(super) fn filled(&self) -> usize {
        // SAFETY: the first page of the mapping, which lives as long as self, begins with that number; the kernel writes it as
        // a whole.
        unsafe { self.producer.address().cast::<AtomicUsize>().as_ref() }.load(Ordering::Acquire)
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

    /// Hands over the records that are there, stretch by stretch, until one is not finished or `each` says that it was the
    /// last.
    pub(super) fn read(&mut self, each: &mut impl FnMut(Stretch<'_>) -> bool) {
        let batch = BATCH.min(self.size / 8);
        let mut at = self.read;
        let (mut filled, mut fetched) = (at, at);
        loop {
            if at == filled {
                filled = self.filled();
            }
            let len = self.finished(at, filled, &mut fetched);
            // SAFETY: no more than all bytes follow a place, and they are mapped twice for as long as self lives. What lies
            // before the end of a finished record is not written by the kernel until it is told that it was read, which
            // takes `&mut self`.
            let bytes = unsafe { std::slice::from_raw_parts(self.bytes().add(self.place(at)), len) };
            let goes_on = len > 0 && each(Stretch(bytes));
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

    /// How many bytes the finished records have that come next: as many records as a stretch takes. Up to `fetched` was
    /// asked for what is there.
    fn finished(&self, at: usize, filled: usize, fetched: &mut usize) -> usize {
        let there = filled.wrapping_sub(at).min(self.size);
        *fetched = at.max(*fetched);
        let mut len = 0;
        while len < STRETCH.min(there) {
            // Seldom and much, or how much it is depends on each record's length, which no processor guesses right.
            while *fetched - at < there.min(len + AHEAD) {
                *fetched = self.fetch(*fetched, at + there);
            }
            // SAFETY: a word of the mapping: the kernel writes them at multiples of eight, and so are places.
            let word = unsafe { &*self.bytes().add(self.place(at + len)).cast::<AtomicU32>() }.load(Ordering::Acquire);
            let room = room(word);
            if word & BUSY != 0 || room > there - len {
                break;
            }
            len += room;
        }
        len
    }

    /// Where the bytes begin.
    fn bytes(&self) -> *const u8 {
        // SAFETY: they follow the first page of the mapping.
        unsafe { self.producer.address().as_ptr().add(self.page) }
    }

    /// Where among the bytes a position is: at a multiple of eight, so that a word fits in.
    fn place(&self, at: usize) -> usize {
        at & (self.size - 1) & !(HEAD - 1)
    }

    /// Asks for what follows a position, without waiting for it; says up to where.
    fn fetch(&self, from: usize, filled: usize) -> usize {
        let to = filled.min(from + FETCHED);
        for at in (from..to).step_by(LINE) {
            fetch_line(self.bytes().wrapping_add(self.place(at)));
        }
        to
    }

    fn told(&self) -> &AtomicUsize {
        // SAFETY: the mapping, which lives as long as self, begins with that number; the kernel reads it as a whole.
        unsafe { self.consumer.address().cast::<AtomicUsize>().as_ref() }
    }

    /// Tells the kernel side how far was read: it may fill that again.
    fn tell(&mut self, read: usize) {
        self.read = read;
        self.told().store(read, Ordering::Release);
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.map.fd().as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_the_records_that_were_not_given_up() {
        let mut bytes = Vec::new();
        for (word, record) in [
            (3, &b"abc"[..]),
            (8 | DISCARDED, b"given up"),
            (0, b""),
            (9, b"ninebytes"),
        ] {
            bytes.extend(u32::to_ne_bytes(word));
            bytes.extend([0xaa; 4]);
            bytes.extend(record);
            bytes.resize(bytes.len().next_multiple_of(8), 0xaa);
        }
        let records = |bytes| Stretch(bytes).records().collect::<Vec<_>>();
        assert_eq!(records(&bytes), [(8, &b"abc"[..]), (40, b""), (48, b"ninebytes")]);
        for len in 0..bytes.len() {
            let cut = records(&bytes[..len]);
            assert_eq!(cut, records(&bytes)[..cut.len()]);
        }
    }
}
