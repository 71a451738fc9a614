//! Types of kernel structures by which the verifier lets programs load members, instead of asking a helper for each.

use crate::Pod;

/// Ids of structures in the host's BTF. 0 where the verifier cannot be told that something is one: it then sees a constant,
/// and removes the code that relies on it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types {
    /// [`TASK`], which the current task is known to be by [`CURRENT_TASK`].
    pub task: u32,
    /// [`WORD`], which anything is said to be by [`CAST`].
    pub word: u32,
}

impl Types {
    /// Nothing is of a type.
    pub const NONE: Self = Self { task: 0, word: 0 };
}

/// The structure that a task is.
pub const TASK: &str = "task_struct";
/// A structure that begins with a number of 64 bits, on every kernel: as such, members of all others are loaded.
pub const WORD: &str = "timespec64";

/// The helper that gives the current task with its type (Linux 5.11 and later).
pub const CURRENT_TASK: &str = "bpf_get_current_task_btf";

/// The kernel function that gives an address a type (Linux 6.2 and later).
pub const CAST: &str = "bpf_rdonly_cast";

/// In the object a call of the helper with this number, which no kernel has, stands where [`CAST`] is called: a kernel's own
/// functions are called by their ids in its BTF, so that user space puts the call there.
pub const CAST_PLACE: u32 = 0x7fff_ff00;

/// `call CAST_PLACE` (include/uapi/linux/bpf.h, `struct bpf_insn`, little-endian).
pub const CALL_PLACE: u64 = 0x85 | (CAST_PLACE as u64) << 32;

/// The instruction that calls a kernel function of this id (`BPF_PSEUDO_KFUNC_CALL`).
pub const fn call_of(function: u32) -> u64 {
    0x2085 | (function as u64) << 32
}

/// `r0 = r1`: what stands there where nothing is cast, in code that is never reached.
pub const NO_CALL: u64 = 0x10bf;

// SAFETY: a C struct of u32 only.
unsafe impl Pod for Types {}
