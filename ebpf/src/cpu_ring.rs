//! Handing the record of a call that returns to its lane: what is of the bulk lane goes to the ring of its CPU while that has
//! room, without a lock and without a call of the kernel.

use core::{hint::black_box, mem::MaybeUninit, ptr::null_mut};

use aya_ebpf::{cty::c_void, helpers::generated as helper};
use ctrace_wire::{
    cpu_ring::{CPU_RING_BYTES, CpuRing, HEAD, RECORD_ROOM},
    spec::Lane,
};

use crate::maps;

/// Room in the ring of a CPU, or none. Not an option: of that the compiler would keep parts that were never written, which the
/// verifier of Linux 5.10 refuses to read.
#[derive(Clone, Copy)]
struct Room {
    /// Null where there is none.
    ring: *mut CpuRing,
    begun: u64,
    end: u64,
}

impl Room {
    const NONE: Room = Room {
        ring: null_mut(),
        begun: 0,
        end: 0,
    };

    /// Begins a record of `len` bytes, where there is room for `most`, which may be written over. Only the program at the
    /// return of syscalls may: nothing else that records calls interrupts it on its CPU.
    #[inline(always)]
    fn begin(cpu: u32, len: u64, most: u64) -> Room {
        let Some(ring) = maps::cpu_ring(cpu) else {
            return Room::NONE;
        };
        // SAFETY: within the map's value; volatile, since user space looks at what this writes, and writes what this looks at.
        unsafe {
            let begun = (&raw const (*ring).begun).read_volatile();
            let end = begun + ((HEAD as u64 + len + 7) & !7);
            let read = (&raw const (*ring).read).read_volatile();
            if begun - read > CPU_RING_BYTES as u64 - HEAD as u64 - ((most + 7) & !7) {
                return Room::NONE;
            }
            // How full it is matters once in a while.
            if (begun ^ end) & (CPU_RING_BYTES as u64 / 8) != 0 && end - read > CPU_RING_BYTES as u64 / 4 * 3 {
                maps::wake_to_empty();
            }
            (&raw mut (*ring).begun).write_volatile(end);
            let room = Room { ring, begun, end };
            room.head().write_volatile(len);
            room
        }
    }

    #[inline(always)]
    fn is_none(self) -> bool {
        self.ring.is_null()
    }

    #[inline(always)]
    fn head(self) -> *mut u64 {
        // The mask tells the verifier that a record fits in behind it.
        let at = self.begun as usize & (CPU_RING_BYTES - 1) & !7;
        // SAFETY: within the bytes.
        unsafe { (&raw mut (*self.ring).bytes).cast::<u8>().add(at).cast() }
    }

    #[inline(always)]
    fn record<T>(self) -> *mut T {
        // SAFETY: within the bytes, a record's room behind the last head included.
        unsafe { self.head().cast::<u8>().add(HEAD).cast() }
    }

    /// The record is written. The processors that this is for keep stores in their order, and the box has the compiler do so:
    /// there is no code for a fence.
    #[inline(always)]
    fn finish(self) {
        let end = black_box(self.end);
        // SAFETY: as above.
        unsafe { (&raw mut (*self.ring).finished).write_volatile(end) }
        maps::count_in_cpu_ring();
    }
}

/// Hands a call's record to a lane: the first `len` bytes of what is filled in, which have to be no more than that has.
#[inline(always)]
pub fn submit<T: 'static>(lane: Lane, cpu: u32, len: u64, fill: impl FnOnce(*mut T)) {
    const { assert!(size_of::<T>() + HEAD <= RECORD_ROOM) };
    let mut beside = MaybeUninit::uninit();
    let room = match lane {
        Lane::Bulk => Room::begin(cpu, len, size_of::<T>() as u64),
        Lane::Priority => Room::NONE,
    };
    // Filled at one place: else it would be a function of its own.
    fill(if room.is_none() {
        beside.as_mut_ptr()
    } else {
        room.record()
    });
    if room.is_none() {
        maps::submit_bytes(lane, beside.as_ptr().cast(), len);
    } else {
        room.finish();
    }
}

/// Hands `len` bytes of a call's record to a lane.
#[inline(always)]
pub fn submit_bytes(lane: Lane, cpu: u32, data: *const u8, len: u64) {
    let room = match lane {
        Lane::Bulk if len <= (RECORD_ROOM - HEAD) as u64 => Room::begin(cpu, len, len),
        _ => Room::NONE,
    };
    if room.is_none() {
        maps::submit_bytes(lane, data, len);
    } else {
        // SAFETY: room for so many bytes.
        unsafe { helper::bpf_probe_read_kernel(room.record::<c_void>(), len as u32, data.cast()) };
        room.finish();
    }
}
