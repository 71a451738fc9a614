//! Address space.

use libc::*;

use crate::compare;
use crate::scene::{ok, sys};

const CALLS: &[&str] = &[
    "mmap",
    "mprotect",
    "munmap",
    "mremap",
    "brk",
    "madvise",
    "msync",
    "mincore",
    "mlock",
    "mlock2",
    "munlock",
    "mlockall",
    "munlockall",
    "shmget",
    "shmat",
    "shmdt",
    "shmctl",
    "pkey_alloc",
    "membarrier",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    "move_pages",
];

pub(crate) fn scene() {
    let file = ok(sys!(SYS_open, c"mapped", O_RDWR | O_CREAT, 0o600));
    ok(sys!(SYS_ftruncate, file, 8192));
    let shared = ok(sys!(SYS_mmap, 0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ok(sys!(
        SYS_mmap,
        0,
        4096,
        PROT_READ | PROT_EXEC,
        MAP_PRIVATE | MAP_DENYWRITE,
        file,
        4096
    ));
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    let own = ok(sys!(SYS_mmap, 0, 65536, PROT_NONE, flags, -1, 0));
    ok(sys!(
        SYS_mmap,
        own,
        4096,
        PROT_READ,
        flags | MAP_FIXED | MAP_POPULATE,
        -1,
        0
    ));
    sys!(SYS_mmap, own, 4096, PROT_READ, flags | MAP_FIXED_NOREPLACE, -1, 0);
    sys!(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, 777, 0);
    sys!(SYS_mmap, 0, 0, PROT_READ, flags, -1, 0);
    ok(sys!(SYS_mprotect, own, 8192, PROT_READ | PROT_WRITE | PROT_EXEC));
    sys!(SYS_mprotect, own + 1, 4096, PROT_READ);
    sys!(SYS_mprotect, 0, 4096, PROT_GROWSDOWN);
    ok(sys!(SYS_madvise, own, 4096, MADV_DONTNEED));
    sys!(SYS_madvise, own, 4096, 4242);
    ok(sys!(SYS_msync, shared, 8192, MS_SYNC));
    ok(sys!(SYS_msync, shared, 8192, MS_ASYNC | MS_INVALIDATE));
    sys!(SYS_mincore, shared, 8192, &mut [0_u8; 2]);
    sys!(SYS_mlock, own, 4096);
    sys!(SYS_mlock2, own, 4096, 1);
    sys!(SYS_munlock, own, 4096);
    sys!(SYS_mlockall, MCL_FUTURE | MCL_ONFAULT);
    ok(sys!(SYS_munlockall));
    sys!(SYS_mbind, own, 4096, 0, 0, 0, 0);
    sys!(SYS_mbind, own, 4096, MPOL_BIND | MPOL_F_STATIC_NODES, 0, 0, 7);
    sys!(SYS_set_mempolicy, MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, 0, 0);
    sys!(SYS_get_mempolicy, 0, 0, 0, 0, 7);
    sys!(SYS_move_pages, 0, 0, 0, 0, 0, 6);
    let moved = ok(sys!(SYS_mremap, shared, 8192, 16384, MREMAP_MAYMOVE));
    ok(sys!(SYS_mremap, moved, 16384, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, own));
    sys!(SYS_mremap, 1, 0, 0, MREMAP_DONTUNMAP, 0);
    ok(sys!(SYS_munmap, own, 65536));
    sys!(SYS_munmap, 1, 4096);
    let end = ok(sys!(SYS_brk, 0));
    sys!(SYS_brk, end);
    let segment = ok(sys!(SYS_shmget, IPC_PRIVATE, 4096, IPC_CREAT | 0o600));
    let at = ok(sys!(SYS_shmat, segment, 0, SHM_RDONLY));
    sys!(SYS_shmat, -1, 0, SHM_RND | SHM_REMAP | SHM_EXEC);
    ok(sys!(SYS_shmdt, at));
    ok(sys!(SYS_shmctl, segment, IPC_RMID, 0));
    sys!(SYS_pkey_alloc, 0, 0);
    sys!(SYS_pkey_alloc, 1, 3);
    for command in [IPC_STAT, IPC_SET, 11, 12, 13, 14, 15, 0x10D, 99] {
        sys!(SYS_shmctl, -1, command, 0);
    }
    sys!(SYS_membarrier, 0, 0, 0);
    sys!(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 1, 0);
}

#[test]
fn memory_as_root() {
    compare::scene("families::memory", "memory", CALLS);
}
