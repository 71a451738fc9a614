//! Which syscall does the same as a request of io_uring.

/// By opcode (include/uapi/linux/io_uring.h).
const CALLS: [(u32, i64); 38] = [
    (1, libc::SYS_readv),
    (2, libc::SYS_writev),
    (3, libc::SYS_fsync),
    (4, libc::SYS_read),
    (5, libc::SYS_write),
    (9, libc::SYS_sendmsg),
    (10, libc::SYS_recvmsg),
    (13, libc::SYS_accept4),
    (16, libc::SYS_connect),
    (17, libc::SYS_fallocate),
    (18, libc::SYS_openat),
    (19, libc::SYS_close),
    (21, libc::SYS_statx),
    (22, libc::SYS_read),
    (23, libc::SYS_write),
    (26, libc::SYS_sendto),
    (27, libc::SYS_recvfrom),
    (28, libc::SYS_openat2),
    (34, libc::SYS_shutdown),
    (35, libc::SYS_renameat2),
    (36, libc::SYS_unlinkat),
    (37, libc::SYS_mkdirat),
    (38, libc::SYS_symlinkat),
    (39, libc::SYS_linkat),
    (41, libc::SYS_fsetxattr),
    (42, libc::SYS_setxattr),
    (43, libc::SYS_fgetxattr),
    (44, libc::SYS_getxattr),
    (45, libc::SYS_socket),
    (47, libc::SYS_sendto),
    (48, libc::SYS_sendmsg),
    (49, libc::SYS_read),
    (55, libc::SYS_ftruncate),
    (56, libc::SYS_bind),
    (57, libc::SYS_listen),
    (60, libc::SYS_readv),
    (61, libc::SYS_writev),
    (62, libc::SYS_pipe2),
];

/// Opcodes whose arguments are not recorded.
const BARE: [u32; 1] = [3];

/// `IORING_OP_FIXED_FD_INSTALL`: one of the ring's own files gets a descriptor. No syscall does that.
pub(crate) const INSTALL: u32 = 54;

/// The number of the syscall that does what an opcode asks for.
pub fn call_of(opcode: u32) -> Option<u32> {
    let found = CALLS.iter().find(|(known, _)| *known == opcode);
    found.and_then(|(_, nr)| u32::try_from(*nr).ok())
}

/// The same where the record has the arguments that the syscall would have.
pub(crate) fn complete_call_of(opcode: u32) -> Option<u32> {
    call_of(opcode).filter(|_| !BARE.contains(&opcode))
}
