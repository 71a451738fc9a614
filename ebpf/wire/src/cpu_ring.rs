//! The ring that each processor has of its own, which only its program at the return of syscalls fills: plain stores, where
//! a ring that all share takes a lock and two calls of the kernel, a fifth of what a recorded call costs.

/// Bytes of such a ring; a power of two.
pub const CPU_RING_BYTES: usize = 512 << 10;
/// Room of the longest record that goes there with its head; longer ones are few.
pub const RECORD_ROOM: usize = 4096;
/// Bytes before each record: its length, as a ring of the kernel has it.
pub const HEAD: usize = 8;

/// How far a ring was filled and read, and its bytes. Records begin at multiples of eight, and positions never begin anew.
#[repr(C, align(4096))]
pub struct CpuRing {
    /// How far records were begun, one that is not finished included.
    pub begun: u64,
    /// How far they are finished.
    pub finished: u64,
    apart: [u64; 6],
    /// How far user space has read. On a cache line of its own: the other is written with each record.
    pub read: u64,
    apart_too: [u64; 7],
    /// What begins near the end goes on behind it, so that no record is in two parts.
    pub bytes: [u8; CPU_RING_BYTES + RECORD_ROOM],
}

const _: () = assert!(CPU_RING_BYTES.is_power_of_two() && RECORD_ROOM.is_multiple_of(8));
