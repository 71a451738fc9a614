//! Rows: address space.

super::declare! {
    9 mmap Memory Bulk 4: addr Addr 0, length Size 1, prot Prot 2, flags MmapFlags 3, fd Fd 4, offset Uint 5;
    10 mprotect Memory Bulk _: addr Addr 0, length Size 1, prot Prot 2;
    11 munmap Memory Bulk _: addr Addr 0, length Size 1;
    12 brk Memory Bulk _: addr Addr 0;
    25 mremap Memory Bulk _: addr Addr 0, old_len Size 1, new_len Size 2, flags Mremap 3, new_addr Addr 4;
    26 msync Memory Bulk _: addr Addr 0, len Size 1, flags Msync 2;
    27 mincore Memory Bulk _: addr Addr 0, len Size 1;
    28 madvise Memory Bulk _: addr Addr 0, len Size 1, advice Madvise 2;
    149 mlock Memory Bulk _: addr Addr 0, len Size 1;
    325 mlock2 Memory Bulk _: addr Addr 0, len Size 1, flags Mlock2 2;
    150 munlock Memory Bulk _: addr Addr 0, len Size 1;
    151 mlockall Memory Hot _: flags MlockAll 0;
    152 munlockall Memory Hot _;
    216 remap_file_pages Memory Bulk _: addr Addr 0, len Size 1, prot Prot 2, pgoff Uint 3, flags MmapFlags 4;
    329 pkey_mprotect Memory Hot _: addr Addr 0, length Size 1, prot Prot 2, pkey Int 3;
    330 pkey_alloc Memory Bulk _: flags Uint 0, rights PkeyRights 1;
    331 pkey_free Memory Bulk _: pkey Int 0;
    237 mbind Memory Bulk _: addr Addr 0, len Size 1, mode MemoryPolicy 2, maxnode Uint 4, flags MemoryPolicyMove 5;
    238 set_mempolicy Memory Bulk _: mode MemoryPolicy 0, maxnode Uint 2;
    239 get_mempolicy Memory Bulk _: maxnode Uint 2, addr Addr 3, flags MemoryPolicyGet 4;
    450 set_mempolicy_home_node Memory Bulk _: addr Addr 0, len Size 1, home_node Uint 2, flags Uint 3;
    256 migrate_pages Memory Bulk _: pid Pid 0, maxnode Uint 1;
    279 move_pages Memory Bulk _: pid Pid 0, count Uint 1, flags MemoryPolicyMove 5;
    324 membarrier Memory Bulk _: cmd Membarrier 0, flags MembarrierFlags 1, cpu_id Int 2;
    440 process_madvise Process Hot _: pidfd Fd 0, vlen Uint 2, advice Madvise 3, flags U32 4;
    448 process_mrelease Process Hot _: pidfd Fd 0, flags U32 1;
    453 map_shadow_stack Memory Bulk _: addr Addr 0, size Size 1, flags ShadowStack 2;
    462 mseal Memory Bulk _: addr Addr 0, len Size 1, flags Uint 2;
    310 process_vm_readv Process Priority _: pid Pid 0, liovcnt Uint 2, riovcnt Uint 4, flags Uint 5;
    311 process_vm_writev Process Priority _: pid Pid 0, liovcnt Uint 2, riovcnt Uint 4, flags Uint 5;
    323 userfaultfd File Hot ret: flags UserFault 0;

    29 shmget Ipc Hot _: key Int 0, size Size 1, shmflg IpcFlags 2;
    30 shmat Ipc Hot _: shmid Int 0, addr Addr 1, shmflg ShmAttach 2;
    31 shmctl Ipc Hot _: shmid Int 0, cmd ShmCmd 1;
    67 shmdt Ipc Hot _: addr Addr 0;
}
