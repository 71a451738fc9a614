//! A record under construction: a buffer in map memory that sections are appended to.
//!
//! The write position lives in map memory too and is accessed as volatile: the verifier forgets its value at
//! every load, so that loops which append converge instead of being unrolled into a million states.

use core::mem::offset_of;

use aya_ebpf::{cty::c_void, helpers::generated as helper};
use ctrace_wire::{
    record::{FLAG_SECTIONS_DROPPED, Header},
    section::{ARG_FAULT, ARG_TRUNCATED, ARGV_MAX, ENV_MAX, FULL_LEN_UNKNOWN, STRING_MAX, Section},
    spec::Lane,
};

use crate::{cpu_ring, maps, read::is_zero};

/// Notes about a record.
const NOTES: usize = 3;
/// Where a section may start; a power of two.
const CAPACITY: usize = 1 << 15;
/// Room behind the last start for the largest section.
const SLACK: usize = STRING_MAX + 64;
/// The same of execs, whose environment and command line come last. No more is given to all, since there are buffers
/// for every possible CPU.
const EXEC_CAPACITY: usize = 1 << 17;
const EXEC_SLACK: usize = ARGV_MAX + 65;
const _: () = assert!(ENV_MAX <= ARGV_MAX && CAPACITY + ENV_MAX + SECTION_HEADER < EXEC_CAPACITY);
/// Longest record.
const MAX: usize = CAPACITY + SLACK;
/// Longest record of an exec.
const EXEC_MAX: usize = EXEC_CAPACITY + EXEC_SLACK;
const SECTION_HEADER: usize = 8;

/// The beginning of a dentry or mount.
pub type Node = [u64; 6];

/// Map value: a write position and the bytes of the record.
#[repr(C)]
pub struct Scratch {
    position: u32,
    /// Where a section made of parts has got to.
    part: u32,
    /// See [`Writer::noted`].
    notes: [u64; NOTES],
    /// See [`Writer::nodes`].
    nodes: [Node; 2],
    data: [u8; CAPACITY + SLACK],
}

/// The same with room for an environment and a command line.
#[repr(C)]
pub struct ExecScratch {
    scratch: Scratch,
    more: [u8; EXEC_MAX - MAX],
}

const _: () = assert!(size_of::<ExecScratch>() == offset_of!(Scratch, data) + EXEC_MAX);

/// Appends to the record in a scratch buffer.
#[derive(Clone, Copy)]
pub struct Writer(*mut Scratch);

impl Writer {
    /// Starts a record of fixed part `T` and gives access to it.
    ///
    /// `scratch` must come from the map of scratch buffers.
    #[inline(always)]
    pub fn start<T>(scratch: *mut Scratch) -> (Self, *mut T) {
        let writer = Self(scratch);
        writer.set_position(size_of::<T>());
        // SAFETY: data lies within the map value.
        (writer, unsafe { (&raw mut (*scratch).data).cast() })
    }

    /// Hands the record to a lane.
    #[inline(always)]
    pub fn submit(self, lane: Lane) {
        let (data, len) = self.finish::<MAX>();
        maps::submit_bytes(lane, data, len);
    }

    /// Hands the record of a call that returns to a lane.
    #[inline(always)]
    pub fn submit_call(self, lane: Lane, cpu: u32) {
        let (data, len) = self.finish::<MAX>();
        cpu_ring::submit_bytes(lane, cpu, data, len);
    }

    /// Hands the record of an exec to a lane.
    #[inline(always)]
    pub fn submit_exec(self, lane: Lane) {
        let (data, len) = self.finish::<EXEC_MAX>();
        maps::submit_bytes(lane, data, len);
    }

    /// The bytes of the record, and how many.
    #[inline(always)]
    fn finish<const BOUND: usize>(self) -> (*const u8, u64) {
        let mut len = self.position();
        if len > BOUND {
            len = BOUND;
        }
        // SAFETY: every record opens with a header, and data lies within the map value.
        let data = unsafe {
            let data = (&raw mut (*self.0).data).cast::<u8>();
            (*data.cast::<Header>()).len = len as u32;
            data
        };
        (data, len as u64)
    }

    /// A note about the record that does not become part of it. In memory like the positions: a register that holds one of
    /// two values has the verifier go through everything that follows twice.
    #[inline(always)]
    pub fn noted<const AT: usize>(self) -> u64 {
        const { assert!(AT < NOTES) };
        // SAFETY: within the map value.
        unsafe { (&raw const (*self.0).notes).cast::<u64>().add(AT).read_volatile() }
    }

    /// Notes it.
    #[inline(always)]
    pub fn note<const AT: usize>(self, value: u64) {
        const { assert!(AT < NOTES) };
        // SAFETY: within the map value.
        unsafe { (&raw mut (*self.0).notes).cast::<u64>().add(AT).write_volatile(value) }
    }

    /// Rooms for the dentry and the mount that a path has got to. In memory, so that the verifier knows nothing of them.
    #[inline(always)]
    pub fn nodes(self) -> [*mut u8; 2] {
        // SAFETY: within the map value.
        unsafe {
            let nodes = (&raw mut (*self.0).nodes).cast::<Node>();
            [nodes.cast(), nodes.add(1).cast()]
        }
    }

    /// Where the next section begins.
    #[inline(always)]
    pub fn position(self) -> usize {
        // SAFETY: within the map value.
        unsafe { core::ptr::read_volatile(&raw const (*self.0).position) as usize }
    }

    /// Has the next section begin at `position`, a multiple of eight.
    #[inline(always)]
    pub fn set_position(self, position: usize) {
        // SAFETY: within the map value.
        unsafe { core::ptr::write_volatile(&raw mut (*self.0).position, position as u32) }
    }

    /// Address of byte `position`; the mask tells the verifier that it lies within the buffer.
    #[inline(always)]
    fn address(self, position: usize) -> *mut u8 {
        self.address_below::<CAPACITY>(position)
    }

    #[inline(always)]
    fn address_below<const BOUND: usize>(self, position: usize) -> *mut u8 {
        // SAFETY: a bound is the capacity of the buffer, and the mask keeps the index below it.
        unsafe { (&raw mut (*self.0).data).cast::<u8>().add(position & (BOUND - 1)) }
    }

    #[inline(always)]
    fn mark_dropped(self) {
        // SAFETY: every record opens with a header.
        unsafe { (*(&raw mut (*self.0).data).cast::<Header>()).flags |= FLAG_SECTIONS_DROPPED }
    }

    /// Start of a new section, if there is room.
    #[inline(always)]
    fn open(self) -> Option<usize> {
        self.open_below::<CAPACITY>()
    }

    #[inline(always)]
    fn open_below<const BOUND: usize>(self) -> Option<usize> {
        let position = self.position();
        if position >= BOUND - SECTION_HEADER {
            self.mark_dropped();
            return None;
        }
        Some(position)
    }

    /// Writes the header of the section that starts at `start` and moves behind it.
    #[inline(always)]
    fn close(self, start: usize, kind: u8, arg: u8, len: usize, full_len: u32) {
        self.close_below::<CAPACITY>(start, kind, arg, len, full_len);
    }

    #[inline(always)]
    fn close_below<const BOUND: usize>(self, start: usize, kind: u8, arg: u8, len: usize, full_len: u32) {
        let header = u64::from(kind) | u64::from(arg) << 8 | ((len as u64) & 0xffff) << 16 | u64::from(full_len) << 32;
        // SAFETY: address bounds the index, and eight bytes fit behind it.
        unsafe { self.address_below::<BOUND>(start & !7).cast::<u64>().write(header) };
        self.set_position((start + SECTION_HEADER + len + 7) & !7);
    }

    /// Appends a NUL-terminated string of user or kernel memory, at most `MAX` bytes with its NUL.
    #[inline(always)]
    pub fn string<const MAX: u32>(self, kind: u8, arg: u8, address: u64, user: bool) {
        let Some(start) = self.open() else { return };
        let read = self.read_string::<MAX>(start + SECTION_HEADER, address, user);
        if read <= 0 {
            self.close(start, kind, arg | ARG_FAULT, 0, FULL_LEN_UNKNOWN);
        } else if read >= i64::from(MAX) {
            self.close(start, kind, arg | ARG_TRUNCATED, MAX as usize - 1, FULL_LEN_UNKNOWN);
        } else {
            self.close(start, kind, arg, read as usize - 1, read as u32 - 1);
        }
    }

    /// Reads a string: its length with its NUL, below 0 where it cannot be read.
    #[inline(always)]
    fn read_string<const MAX: u32>(self, position: usize, address: u64, user: bool) -> i64 {
        let to = self.address(position).cast::<c_void>();
        // SAFETY: MAX is at most the slack behind the highest address.
        unsafe {
            if user {
                let read = helper::bpf_probe_read_user_str(to, MAX, address as *const c_void);
                // Of an empty string Linux 5.10 leaves out the NUL.
                read + is_zero(read as u64) as i64
            } else {
                helper::bpf_probe_read_kernel_str(to, MAX, address as *const c_void)
            }
        }
    }

    /// Appends `len` bytes of user or kernel memory, at most `MAX`.
    #[inline(always)]
    pub fn bytes<const MAX: u32>(self, kind: u8, arg: u8, address: u64, len: u64, user: bool) {
        self.bytes_up_to::<MAX>(kind, arg, address, len, u64::from(MAX), user);
    }

    /// Appends `len` bytes of user memory, at most `MAX`, to the record of an exec; behind them such sections only.
    #[inline(always)]
    pub fn large<const MAX: u32>(self, kind: u8, address: u64, len: u64) {
        self.bytes_below::<EXEC_CAPACITY, MAX>(kind, 0, address, len, u64::from(MAX), true);
    }

    /// Appends `len` bytes of user or kernel memory, at most `limit` and at most `MAX`.
    #[inline(always)]
    pub fn bytes_up_to<const MAX: u32>(self, kind: u8, arg: u8, address: u64, len: u64, limit: u64, user: bool) {
        self.bytes_below::<CAPACITY, MAX>(kind, arg, address, len, limit, user);
    }

    #[inline(always)]
    fn bytes_below<const BOUND: usize, const MAX: u32>(
        self,
        kind: u8,
        arg: u8,
        address: u64,
        len: u64,
        limit: u64,
        user: bool,
    ) {
        let Some(start) = self.open_below::<BOUND>() else {
            return;
        };
        let full = if len >= u64::from(FULL_LEN_UNKNOWN) {
            FULL_LEN_UNKNOWN
        } else {
            len as u32
        };
        let mut kept = if len > limit { limit } else { len };
        // Last, so that the verifier sees a constant bound.
        if kept > u64::from(MAX) {
            kept = u64::from(MAX);
        }
        let to = self.address_below::<BOUND>(start + SECTION_HEADER).cast::<c_void>();
        // SAFETY: MAX is at most the slack behind the highest address.
        let ret = unsafe {
            if user {
                helper::bpf_probe_read_user(to, kept as u32, address as *const c_void)
            } else {
                helper::bpf_probe_read_kernel(to, kept as u32, address as *const c_void)
            }
        };
        if ret != 0 {
            self.close_below::<BOUND>(start, kind, arg | ARG_FAULT, 0, full);
        } else {
            let arg = if len > kept { arg | ARG_TRUNCATED } else { arg };
            self.close_below::<BOUND>(start, kind, arg, kept as usize, full);
        }
    }

    /// Appends a structure that `fill` writes in place. Its bytes are undefined before.
    #[inline(always)]
    pub fn structure<T>(self, kind: u8, fill: impl FnOnce(*mut T)) {
        let Some(start) = self.open() else { return };
        // The section header keeps T aligned to eight bytes.
        fill(self.address((start + SECTION_HEADER) & !7).cast());
        self.close(start, kind, 0, size_of::<T>(), size_of::<T>() as u32);
    }

    /// The header of the section that begins at `start`, if one does; other bytes otherwise.
    #[inline(always)]
    pub fn section_at(self, start: usize) -> *const Section {
        self.address(start & !7).cast_const().cast()
    }

    /// The structure of the section that begins at `start`, if it is one; other bytes of the record otherwise.
    #[inline(always)]
    pub fn structure_at<T>(self, start: usize) -> *const T {
        self.address((start + SECTION_HEADER) & !7).cast_const().cast()
    }

    /// Begins a section made of strings.
    #[inline(always)]
    pub fn strings_begin(self) -> Option<usize> {
        let start = self.open()?;
        self.set_part(start + SECTION_HEADER);
        Some(start)
    }

    /// Adds one string, its NUL included; false when it cannot be read or `limit` bytes are full.
    #[inline(always)]
    pub fn strings_add<const MAX: u32>(self, start: usize, limit: usize, address: u64, user: bool) -> bool {
        let Some(read) = self.strings_read::<MAX>(start, limit, address, user) else {
            return false;
        };
        self.strings_keep(read);
        true
    }

    /// Reads one string to where the next one of the section goes: its length with its NUL, at most `MAX`. It is not part
    /// of the section unless it is [kept](Self::strings_keep).
    #[inline(always)]
    pub fn strings_read<const MAX: u32>(self, start: usize, limit: usize, address: u64, user: bool) -> Option<u64> {
        let part = self.part();
        if part >= start + SECTION_HEADER + limit || part >= CAPACITY {
            return None;
        }
        let read = self.read_string::<MAX>(part, address, user);
        if read <= 0 || read > i64::from(MAX) {
            return None;
        }
        Some(read as u64)
    }

    /// The first eight bytes of the string that was read last. What is behind its NUL means nothing.
    #[inline(always)]
    pub fn strings_word(self) -> u64 {
        let part = self.part();
        // Aligned loads: of eight single bytes the verifier would follow each.
        let words = self.address(part & !7).cast::<u64>();
        // SAFETY: address bounds the index, and sixteen bytes fit behind it.
        let (low, high) = unsafe { (words.read(), words.add(1).read()) };
        let bits = (part & 7) as u32 * 8;
        // A shift by 64 bits is none: where the string is aligned nothing is wanted of the second word.
        low >> bits | (high << 1) << (63 - bits)
    }

    /// Keeps the string that was read last.
    #[inline(always)]
    pub fn strings_keep(self, read: u64) {
        self.set_part(self.part() + read as usize);
    }

    /// Ends the section; `whole` says that nothing is missing.
    #[inline(always)]
    pub fn strings_end(self, start: usize, kind: u8, arg: u8, whole: bool) {
        let len = self.part().wrapping_sub(start + SECTION_HEADER) & 0xffff;
        let (arg, full) = if whole {
            (arg, len as u32)
        } else {
            (arg | ARG_TRUNCATED, FULL_LEN_UNKNOWN)
        };
        self.close(start, kind, arg, len, full);
    }

    #[inline(always)]
    fn part(self) -> usize {
        // SAFETY: within the map value.
        unsafe { core::ptr::read_volatile(&raw const (*self.0).part) as usize }
    }

    #[inline(always)]
    fn set_part(self, part: usize) {
        // SAFETY: within the map value.
        unsafe { core::ptr::write_volatile(&raw mut (*self.0).part, part as u32) }
    }
}
