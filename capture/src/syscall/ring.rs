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

/// Bits of the word before each record, which has its length too.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// That word and another, which is of no interest here; records begin at multiples of it.
const HEAD: usize = 8;
/// How much is read before the kernel side is told, at most.
const BATCH: usize = 128 << 10;
/// How far ahead is fetched, and how much the processor fetches at once.
const AHEAD: usize = 1 << 10;
const LINE: usize = 64;

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

    /// Hands over the records that are there, until one is not finished or `each` says that it was the last. Says how
    /// many.
    pub(super) fn read(&mut self, each: &mut impl FnMut(&[u8]) -> bool) -> usize {
        let batch = BATCH.min(self.size / 8);
        let mut count = 0;
        let mut at = self.read;
        let (mut filled, mut fetched) = (at, at);
        loop {
            if at == filled {
                filled = self.filled();
                if at == filled {
                    break;
                }
            }
            fetched = self.fetch(fetched.max(at), filled.min(at + AHEAD));
            let Some((record, room)) = self.record(at, filled) else {
                break;
            };
            let goes_on = match record {
                Some(record) => {
                    count += 1;
                    each(record)
                }
                None => true,
            };
            at += room;
            if at - self.read >= batch {
                self.tell(at);
            }
            if !goes_on {
                break;
            }
        }
        if at != self.read {
            self.tell(at);
        }
        count
    }

    /// The record at a place, `None` for one that was given up, and how much room it has; nothing where it is not finished.
    #[inline]
    fn record(&self, at: usize, filled: usize) -> Option<(Option<&[u8]>, usize)> {
        // SAFETY: within the mapping, which has all bytes twice.
        let head = unsafe { self.bytes().add(self.place(at)) };
        // SAFETY: the kernel writes words at multiples of eight, and so are places.
        let word = unsafe { &*head.cast::<AtomicU32>() }.load(Ordering::Acquire);
        let len = (word & !(BUSY | DISCARDED)) as usize;
        let room = (HEAD + len).next_multiple_of(8);
        if word & BUSY != 0 || room > filled.wrapping_sub(at).min(self.size) {
            return None;
        }
        // SAFETY: no more than all bytes follow a place, and they are mapped twice for as long as self lives. What lies before
        // the end of a finished record is not written by the kernel until it is told that it was read, which takes `&mut self`.
        let record = unsafe { std::slice::from_raw_parts(head.add(HEAD), len) };
        Some(((word & DISCARDED == 0).then_some(record), room))
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

    /// Asks for what lies between, without waiting for it; says up to where.
    #[inline]
    fn fetch(&self, from: usize, to: usize) -> usize {
        let mut at = from;
        while at < to {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a prefetch has no effect but on the cache, and the address lies within the mapping.
            unsafe {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(self.bytes().add(self.place(at)).cast());
            }
            at += LINE;
        }
        at
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
