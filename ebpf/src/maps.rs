//! The maps, and the read-only globals that user space sets before loading.

use aya_ebpf::{
    cty::c_void,
    helpers::generated as helper,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use ctrace_wire::{
    counters::{ASK_BYTES, Counters, FULL_PART},
    cpu_ring::CpuRing,
    env::Names,
    known::{self, MARKS},
    offsets::Offsets,
    scope::{PAGE, PIDS, Scope},
    section::File,
    spec::{ASKED_WORDS, Asked, COMPAT_SPECS, IO_OPCODES, Lane, SPEC_COUNT, SyscallSpec, TABLE_SIZE},
    types::Types,
};

use crate::scratch::{ExecScratch, Scratch};

// BPF_RB_NO_WAKEUP: user space polls on a timer. A wake-up per record costs more than the record.
const NO_WAKEUP: u64 = 1;
// BPF_RB_FORCE_WAKEUP: what a started program leaves behind may be gone soon, and so is the room of a ring.
const WAKEUP: u64 = 2;
// BPF_RB_AVAIL_DATA and BPF_RB_RING_SIZE of bpf_ringbuf_query.
const UNREAD: u64 = 0;
const RING_SIZE: u64 = 1;

#[map]
static PRIO: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
#[map]
static BULK: RingBuf = RingBuf::with_byte_size(64 << 20, 0);
/// The ring of each CPU. User space maps it and sets the size.
#[map]
static CPU_RINGS: Array<CpuRing> = Array::with_max_entries(1, MMAPABLE);
/// Wakes who waits for programs that are started. A ring of its own: a wait for one that has records ends at once.
#[map]
static BELL: RingBuf = RingBuf::with_byte_size(4 << 10, 0);
/// Wakes who has to make room in the rings.
#[map]
static FULL: RingBuf = RingBuf::with_byte_size(4 << 10, 0);
/// Marks of executed files. User space maps and writes it.
#[map]
static KNOWN: Array<u64> = Array::with_max_entries(MARKS, MMAPABLE);
#[map]
static SPECS: Array<SyscallSpec> = Array::with_max_entries(TABLE_SIZE, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);
// One entry per CPU and per kind of program (user space sets the size). Not a per-CPU array, whose entries
// may not exceed 32 KiB.
#[map]
static SCRATCH: Array<Scratch> = Array::with_max_entries(SCRATCH_KINDS, 0);
// One entry per CPU.
#[map]
static EXEC_SCRATCH: Array<ExecScratch> = Array::with_max_entries(1, 0);

/// Bytes of processes by their ids. User space maps it, and makes it larger than one page where there is a scope.
#[map]
static PROCESSES: Array<[u8; PAGE as usize]> = Array::with_max_entries(1, MMAPABLE);
/// Names of cgroups on their way up, one buffer for each of [`NameFor`].
#[map]
static NAMES: PerCpuArray<Name> = PerCpuArray::with_max_entries(2, 0);

/// Requests of io_uring that stay, by what their results say of them. Those that had none for long give way.
#[map]
static MULTISHOTS: LruHashMap<RequestName, usize> = LruHashMap::with_max_entries(8192, 0);

/// A ring, and what its program named a request.
pub type RequestName = [u64; 2];

/// A name that the kernel keeps of a cgroup: at most NAME_MAX bytes and a NUL, in words.
pub type Name = [u64; 32];

// include/uapi/linux/bpf.h: BPF_F_MMAPABLE
const MMAPABLE: u32 = 1 << 10;

/// Scratch entries that each CPU has; must match the user side.
const SCRATCH_KINDS: u32 = ctrace_wire::spec::SCRATCH_PER_CPU;

/// Host offsets.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::MISSING;
/// Types that the verifier can be told.
#[unsafe(no_mangle)]
pub static TYPES: Types = Types::NONE;
/// The recorder's own process, whose syscalls are left out.
#[unsafe(no_mangle)]
pub static SELF_TGID: u32 = 0;
/// Of which numbers something is asked for. The one global that user space writes while calls are recorded: alone in its
/// section, and not among the specs since nothing has to be looked up for it.
#[unsafe(no_mangle)]
static mut ASKED: Asked = [u64::MAX; ASKED_WORDS];
/// How many CPUs have a ring of their own.
#[unsafe(no_mangle)]
pub static CPU_RING_COUNT: u32 = 0;
/// How many bytes of a data buffer to keep.
#[unsafe(no_mangle)]
pub static SNAPLEN: u32 = 0;
/// Whose syscalls are recorded.
#[unsafe(no_mangle)]
pub static SCOPE: Scope = Scope::EVERYONE;
/// Variables that are looked for in long environments.
#[unsafe(no_mangle)]
pub static ENV_NAMES: Names = Names::NONE;
/// What to record of each opcode of io_uring.
#[unsafe(no_mangle)]
pub static IO_OPS: [u8; IO_OPCODES] = [0; IO_OPCODES];

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
    Cgroup = 2,
    IoUring = 3,
}

pub fn scratch(cpu: u32, owner: ScratchFor) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(cpu * SCRATCH_KINDS + owner as u32)
}

/// The buffer of the program that sees execs, which begins as others do and has more room.
pub fn exec_scratch(cpu: u32) -> Option<*mut Scratch> {
    Some(EXEC_SCRATCH.get_ptr_mut(cpu)?.cast())
}

/// Who reads names of cgroups. The programs may interrupt each other on one CPU.
#[derive(Clone, Copy)]
pub enum NameFor {
    Fork = 0,
    Attach = 1,
}

pub fn name(owner: NameFor) -> Option<*mut Name> {
    NAMES.get_ptr_mut(owner as u32)
}

/// The byte of a process; none where the table has no room for it because nobody asked for one.
#[inline(always)]
pub fn process(tgid: u32) -> Option<*mut u8> {
    let page = PROCESSES.get_ptr_mut((tgid / PAGE) & (PIDS / PAGE - 1))?;
    // SAFETY: the mask keeps the index within the page.
    Some(unsafe { page.cast::<u8>().add((tgid & (PAGE - 1)) as usize) })
}

/// Whether something is asked for of a number, by either table.
#[inline(always)]
pub fn is_asked(nr: u32) -> bool {
    if nr >= SPEC_COUNT {
        return true;
    }
    // SAFETY: bounded; user space writes it.
    let word = unsafe { (&raw const ASKED).cast::<u64>().add(nr as usize / 64).read_volatile() };
    word >> (nr % 64) & 1 != 0
}

pub fn spec(nr: u32, compat: bool) -> Option<&'static SyscallSpec> {
    if nr >= SPEC_COUNT {
        return None;
    }
    SPECS.get(if compat { nr + COMPAT_SPECS } else { nr })
}

/// Keeps a request that stays. Of two with one name the last is meant.
#[inline(always)]
pub fn keep_multishot(name: RequestName, request: usize) {
    // Without room it has no results but the last.
    let _ = MULTISHOTS.insert(name, request, 0);
}

/// The request of a name that stays; 0 where there is none.
#[inline(always)]
pub fn multishot(name: RequestName) -> usize {
    // SAFETY: one number, which may be of an entry that was given to another meanwhile.
    MULTISHOTS
        .get_ptr(name)
        .map_or(0, |request| unsafe { request.read_volatile() })
}

/// Forgets a request that ended.
#[inline(always)]
pub fn forget_multishot(name: RequestName) {
    let _ = MULTISHOTS.remove(name);
}

/// Counts a record of so many bytes, and looks once in a while at how full its ring is.
#[inline(always)]
fn count(lane: Lane, len: u64, stored: bool) {
    let Some(counters) = COUNTERS.get_ptr_mut(0) else {
        return;
    };
    let at = match lane {
        Lane::Priority => 0,
        Lane::Bulk => 1,
    };
    // SAFETY: the map holds one Counters per CPU, and nothing else on this CPU touches it meanwhile.
    unsafe {
        if !stored {
            (*counters).lost[at] += 1;
            return;
        }
        (*counters).submitted[at] += 1;
        let unasked = (*counters).unasked[at] + len;
        (*counters).unasked[at] = unasked;
        if unasked < ASK_BYTES {
            return;
        }
        (*counters).unasked[at] = 0;
    }
    wake_if_full(at as u32);
}

/// Wakes who empties the rings where one fills, unless that was done since they were emptied last.
// Not inlined: rare, and many places count.
#[inline(never)]
fn wake_if_full(lane: u32) {
    let ring = if lane == 0 { &PRIO } else { &BULK };
    if ring.query(UNREAD) * FULL_PART >= ring.query(RING_SIZE) {
        wake_to_empty();
    }
}

/// Wakes who empties the rings, unless that was done since they were emptied last.
#[inline(never)]
pub fn wake_to_empty() {
    if FULL.query(UNREAD) == 0 {
        wake(&FULL);
    }
}

/// Counts a record that was stored in the ring of a CPU.
#[inline(always)]
pub fn count_in_cpu_ring() {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: as above.
        unsafe { (*counters).submitted[1] += 1 };
    }
}

/// The ring of a CPU, if it has one.
#[inline(always)]
pub fn cpu_ring(cpu: u32) -> Option<*mut CpuRing> {
    if load(&CPU_RING_COUNT) == 0 {
        return None;
    }
    CPU_RINGS.get_ptr_mut(cpu)
}

/// Counts a call that is left out.
#[inline(always)]
pub fn count_left_out(kind: u8) {
    let Some(counters) = COUNTERS.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: as above.
    unsafe {
        match kind {
            1 => (*counters).left_out[0] += 1,
            2 => (*counters).left_out[1] += 1,
            _ => {}
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
            count(lane, size_of::<T>() as u64, true);
        }
        None => count(lane, 0, false),
    }
}

/// Hands `len` bytes to a lane.
#[inline(always)]
pub fn submit_bytes(lane: Lane, data: *const u8, len: u64) {
    let ring: *const RingBuf = ring(lane);
    // SAFETY: RingBuf is a transparent map definition; the verifier checks data and len against the scratch map.
    let ret =
        unsafe { helper::bpf_ringbuf_output(ring.cast_mut().cast(), data.cast_mut().cast::<c_void>(), len, NO_WAKEUP) };
    count(lane, len, ret == 0);
}

/// What is left of an executed file's mark when that of the file that user space knows is taken away: 0 where it is this one.
#[inline(always)]
pub fn unknown(file: &File) -> u64 {
    let mark = known::mark(file);
    // SAFETY: the entry is one number, which user space writes as a whole.
    KNOWN
        .get_ptr(known::place(mark))
        .map_or(mark, |known| unsafe { known.read_volatile() } ^ mark)
}

/// Tells that a program was started of which user space wants to know soon.
#[inline(always)]
pub fn ring_bell() {
    wake(&BELL);
}

/// Wakes who waits. Where there is no room it was done, and who waits is awake.
#[inline(always)]
fn wake(bell: &'static RingBuf) {
    if let Some(mut entry) = bell.reserve::<u64>(0) {
        entry.write(0);
        entry.submit(WAKEUP);
    }
}
