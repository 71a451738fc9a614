//! The maps, and the read-only globals that user space sets before loading.

use aya_ebpf::{
    cty::c_void,
    helpers::generated as helper,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use ctrace_wire::{
    counters::Counters,
    offsets::Offsets,
    spec::{COMPAT_SPECS, Lane, SPEC_COUNT, SyscallSpec, TABLE_SIZE},
};

use crate::scratch::Scratch;

// BPF_RB_NO_WAKEUP: user space polls on a timer. A wake-up per record costs more than the record.
const NO_WAKEUP: u64 = 1;

#[map]
static PRIO: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
#[map]
static BULK: RingBuf = RingBuf::with_byte_size(64 << 20, 0);
#[map]
static SPECS: Array<SyscallSpec> = Array::with_max_entries(TABLE_SIZE, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);
// One entry per CPU and per kind of program (user space sets the size). Not a per-CPU array, whose entries
// may not exceed 32 KiB.
#[map]
static SCRATCH: Array<Scratch> = Array::with_max_entries(SCRATCH_KINDS, 0);

/// Scratch entries that each CPU has; must match the user side.
const SCRATCH_KINDS: u32 = ctrace_wire::spec::SCRATCH_PER_CPU;

/// Host offsets.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::MISSING;
/// The recorder's own process, whose syscalls are left out.
#[unsafe(no_mangle)]
pub static SELF_TGID: u32 = 0;
/// How many bytes of a data buffer to keep.
#[unsafe(no_mangle)]
pub static SNAPLEN: u32 = 0;

/// Reads a global that user space sets: volatile, or the compiler would fold the value it was built with.
#[inline(always)]
pub fn load<T: Copy>(global: &'static T) -> T {
    // SAFETY: a reference is aligned and initialised.
    unsafe { core::ptr::read_volatile(global) }
}

/// Who uses a scratch buffer. Programs of different kinds may interrupt each other on one CPU.
#[derive(Clone, Copy)]
pub enum ScratchFor {
    Syscall = 0,
    Enter = 1,
    Exec = 2,
    Cgroup = 3,
}

pub fn scratch(cpu: u32, owner: ScratchFor) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(cpu * SCRATCH_KINDS + owner as u32)
}

pub fn spec(nr: u32, compat: bool) -> Option<&'static SyscallSpec> {
    if nr >= SPEC_COUNT {
        return None;
    }
    SPECS.get(if compat { nr + COMPAT_SPECS } else { nr })
}

pub fn count(lane: Lane, stored: bool) {
    let Some(counters) = COUNTERS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the map holds one Counters per CPU, and nothing else on this CPU touches it meanwhile.
    unsafe {
        let slot = if stored {
            &raw mut (*counters).submitted
        } else {
            &raw mut (*counters).lost
        };
        match lane {
            Lane::Priority => (*slot)[0] += 1,
            Lane::Bulk => (*slot)[1] += 1,
        }
    }
}

fn ring(lane: Lane) -> &'static RingBuf {
    match lane {
        Lane::Priority => &PRIO,
        Lane::Bulk => &BULK,
    }
}

/// Hands a record of fixed size to a lane, filled in place.
#[inline(always)]
pub fn submit_fixed<T: 'static>(lane: Lane, fill: impl FnOnce(*mut T)) {
    match ring(lane).reserve::<T>(0) {
        Some(mut entry) => {
            fill(entry.as_mut_ptr());
            entry.submit(NO_WAKEUP);
            count(lane, true);
        }
        None => count(lane, false),
    }
}

/// Hands `len` bytes to a lane.
#[inline(always)]
pub fn submit_bytes(lane: Lane, data: *const u8, len: u64) {
    let ring: *const RingBuf = ring(lane);
    // SAFETY: RingBuf is a transparent map definition; the verifier checks data and len against the scratch map.
    let ret =
        unsafe { helper::bpf_ringbuf_output(ring.cast_mut().cast(), data.cast_mut().cast::<c_void>(), len, NO_WAKEUP) };
    count(lane, ret == 0);
}
