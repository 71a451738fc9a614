//! Types of kernel structures by which the verifier lets programs load members, instead of asking a helper for each.

use crate::Pod;

macro_rules! types {
    ($($(#[doc = $doc:literal])* $name:ident: $structure:literal,)*) => {
        /// Ids of structures in the host's BTF. 0 where the host has no such structure, or the verifier cannot be told what
        /// is one: it then sees a constant, and removes the code that relies on it.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Types {
            $(
                #[doc = concat!("`struct ", $structure, "`.")]
                $(#[doc = $doc])*
                pub $name: u32,
            )*
        }

        impl Types {
            /// Nothing is of a type.
            pub const NONE: Self = Self { $($name: 0,)* };

            /// Name of each structure, in declaration order.
            pub const NAMES: &'static [&'static str] = &[$($structure),*];

            /// Fills each from `find`, which is given the structure's name.
            pub fn resolve(mut find: impl FnMut(&'static str) -> Option<u32>) -> Self {
                Self { $($name: find($structure).unwrap_or(0),)* }
            }

            /// The same without that structure.
            pub fn without(self, structure: &str) -> Self {
                Self { $($name: if structure == $structure { 0 } else { self.$name },)* }
            }
        }
    };
}

types! {
    /// The current one has its type by [`CURRENT_TASK`], which came before casts.
    task: "task_struct",
    /// Begins with a number of 64 bits: for entries of arrays of such, also of pointers.
    word: "timespec64",
    file: "file",
    inode: "inode",
    super_block: "super_block",
    path: "path",
    dentry: "dentry",
    mount: "mount",
    mnt_namespace: "mnt_namespace",
}

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
