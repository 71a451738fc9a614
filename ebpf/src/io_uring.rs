//! Requests of io_uring, which do what syscalls do without being any: recorded as they are submitted, when the kernel has
//! copied their paths, and once more with each result: most have one when they are completed.

use ctrace_wire::{
    offsets::MISSING,
    record::{
        FLAG_UNSEEN, FLAG_UNTRUE, Header, IO_FIXED_FILE, IO_MULTISHOT, IoComplete, IoSubmit, KIND_IO_COMPLETE,
        KIND_IO_SUBMIT,
    },
    section,
    spec::{IO_OPCODES, Lane, PRIORITY, SELECTED},
};

use crate::{
    capture, file,
    maps::{self, ScratchFor},
    read::{self, Current, Typed, embedded, is_zero, member, offset, pointer},
    scope,
    scratch::Writer,
    socket, syscall,
};

// include/uapi/linux/io_uring.h: enum io_uring_op
const READV: u32 = 1;
const WRITEV: u32 = 2;
const READ_FIXED: u32 = 4;
const WRITE_FIXED: u32 = 5;
const SENDMSG: u32 = 9;
const RECVMSG: u32 = 10;
const ACCEPT: u32 = 13;
const CONNECT: u32 = 16;
const FALLOCATE: u32 = 17;
const OPENAT: u32 = 18;
const CLOSE: u32 = 19;
const STATX: u32 = 21;
const READ: u32 = 22;
const WRITE: u32 = 23;
const SEND: u32 = 26;
const RECV: u32 = 27;
const OPENAT2: u32 = 28;
const SHUTDOWN: u32 = 34;
const RENAMEAT: u32 = 35;
const UNLINKAT: u32 = 36;
const MKDIRAT: u32 = 37;
const SYMLINKAT: u32 = 38;
const LINKAT: u32 = 39;
const FSETXATTR: u32 = 41;
const SETXATTR: u32 = 42;
const FGETXATTR: u32 = 43;
const GETXATTR: u32 = 44;
const SOCKET: u32 = 45;
const SEND_ZC: u32 = 47;
const SENDMSG_ZC: u32 = 48;
const READ_MULTISHOT: u32 = 49;
const FIXED_FD_INSTALL: u32 = 54;
const FTRUNCATE: u32 = 55;
const BIND: u32 = 56;
const LISTEN: u32 = 57;
const READV_FIXED: u32 = 60;
const WRITEV_FIXED: u32 = 61;
const PIPE: u32 = 62;

/// Requests that the kernel looks up one file for (io_uring/opdef.c, `needs_file`), a bit for each opcode.
const WORKS_ON_FILE: u64 = {
    // POLL_ADD, SYNC_FILE_RANGE, FADVISE, SPLICE, TEE, MSG_RING, URING_CMD, RECV_ZC and EPOLL_WAIT are told by it alone.
    #[rustfmt::skip]
    let opcodes = [
        READV, WRITEV, 3, READ_FIXED, WRITE_FIXED, 6, 8, SENDMSG, RECVMSG, ACCEPT, CONNECT, FALLOCATE, READ, WRITE, 24,
        SEND, RECV, 30, 33, SHUTDOWN, 40, FSETXATTR, FGETXATTR, 46, SEND_ZC, SENDMSG_ZC, READ_MULTISHOT,
        FIXED_FD_INSTALL, FTRUNCATE, BIND, LISTEN, 58, 59, READV_FIXED, WRITEV_FIXED,
    ];
    let (mut bits, mut at) = (0, 0);
    while at < opcodes.len() {
        bits |= 1 << opcodes[at];
        at += 1;
    }
    bits
};
const _: () = assert!(IO_OPCODES == u64::BITS as usize);

// include/uapi/linux/limits.h, its NUL included
const XATTR_NAME_MAX: u32 = 256;

// IOSQE_FIXED_FILE and its neighbours: the lowest byte of a request's flags is the caller's.
const CALLERS_FLAGS: u32 = 0xff;

// IORING_CQE_F_MORE
const MORE: u32 = 1 << 1;

/// A result as the program gets it (include/uapi/linux/io_uring.h: struct io_uring_cqe).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Completion {
    pub user_data: u64,
    pub res: i32,
    pub flags: u32,
}

/// Whether a request stays and has many results, as far as the kernel's flag for it is known.
#[inline(always)]
fn is_multishot(request: usize) -> bool {
    let bit = offset!(io_multishot_bit);
    bit != MISSING && member!(request, io_flags, 0u64) >> (bit & 63) & 1 != 0
}

#[inline(always)]
fn name_of(request: usize) -> maps::RequestName {
    [pointer!(request, io_ring) as u64, member!(request, io_user_data, 0u64)]
}

#[inline(always)]
fn opcode(request: usize) -> u32 {
    u32::from(member!(request, io_opcode, u8::MAX))
}

/// What is to be recorded of an opcode.
#[inline(always)]
fn asked(opcode: u32) -> u8 {
    if opcode as usize >= IO_OPCODES {
        return 0;
    }
    // SAFETY: bounded above; volatile as in `maps::load`.
    unsafe {
        (&raw const maps::IO_OPS)
            .cast::<u8>()
            .add(opcode as usize)
            .read_volatile()
    }
}

#[inline(always)]
fn lane(asked: u8) -> Lane {
    if asked & PRIORITY != 0 {
        Lane::Priority
    } else {
        Lane::Bulk
    }
}

/// A record under construction about a request.
struct Begun<T> {
    writer: Writer,
    record: *mut T,
    opcode: u32,
    lane: Lane,
}

/// Begins a record with its header; none where it is not to be recorded.
#[inline(always)]
fn begin<T>(request: usize, kind: u8) -> Option<Begun<T>> {
    let opcode = opcode(request);
    let asked = asked(opcode);
    let current = Current::get();
    let flags = scope::flags(current.tgid);
    if asked & SELECTED == 0 || flags & FLAG_UNSEEN != 0 || current.tgid == maps::load(&maps::SELF_TGID) {
        return None;
    }
    let cpu = read::cpu();
    let (writer, record) = Writer::start::<T>(maps::scratch(cpu, ScratchFor::IoUring)?);
    // SAFETY: record points into the scratch map, and every record opens with a header.
    unsafe { *record.cast::<Header>() = read::header(kind, flags, current, cpu) };
    Some(Begun {
        writer,
        record,
        opcode,
        lane: lane(asked),
    })
}

pub fn on_submit(request: usize) {
    let Some(begun) = begin::<IoSubmit>(request, KIND_IO_SUBMIT) else {
        return;
    };
    let Begun {
        writer,
        record,
        opcode,
        lane,
    } = begun;
    // SAFETY: record points into the scratch map, as it does for the functions below.
    unsafe {
        (*record).request = request as u64;
        (*record).user_data = member!(request, io_user_data, 0u64);
        (*record).opcode = opcode;
        (*record).flags = member!(request, io_flags, 0u32) & CALLERS_FLAGS;
        (*record).fd = -1;
        (*record).slot = 0;
        (*record).args = [0; 6];
        if WORKS_ON_FILE >> opcode & 1 != 0 {
            on_file(writer, record, request, opcode);
        } else {
            names(writer, record, request, opcode);
        }
        if is_multishot(request) {
            (*record).flags |= IO_MULTISHOT;
            maps::keep_multishot(name_of(request), request);
        }
    }
    writer.submit(lane);
}

/// Requests without a file that exists: those with paths, and those that make one.
#[inline(never)]
unsafe fn names(writer: Writer, record: *mut IoSubmit, request: usize, opcode: u32) {
    // SAFETY: see on_submit.
    let args = unsafe { &mut (*record).args };
    match opcode {
        OPENAT | OPENAT2 => {
            let how = embedded(request, offset!(io_open_how));
            args[0] = member!(request, io_open_dfd, 0i32) as u64;
            // SAFETY: see on_submit.
            unsafe { (*record).slot = member!(request, io_open_slot, 0u32) };
            if how != 0 && opcode == OPENAT {
                let [flags, mode]: [u64; 2] = read::kernel(how);
                (args[2], args[3]) = (flags, mode);
            } else if how != 0 {
                writer.bytes::<24>(section::STRUCT, 2, how as u64, 24, false);
            }
            name(writer, 1, pointer!(request, io_open_filename));
        }
        STATX => {
            args[0] = member!(request, io_statx_dfd, 0i32) as u64;
            args[2] = u64::from(member!(request, io_statx_flags, 0u32));
            args[3] = u64::from(member!(request, io_statx_mask, 0u32));
            name(writer, 1, pointer!(request, io_statx_filename));
        }
        UNLINKAT => {
            args[0] = member!(request, io_unlink_dfd, 0i32) as u64;
            args[2] = u64::from(member!(request, io_unlink_flags, 0u32));
            name(writer, 1, pointer!(request, io_unlink_filename));
        }
        MKDIRAT => {
            args[0] = member!(request, io_mkdir_dfd, 0i32) as u64;
            args[2] = u64::from(member!(request, io_mkdir_mode, 0u16));
            name(writer, 1, pointer!(request, io_mkdir_filename));
        }
        RENAMEAT => {
            args[0] = member!(request, io_rename_old_dfd, 0i32) as u64;
            args[2] = member!(request, io_rename_new_dfd, 0i32) as u64;
            args[4] = u64::from(member!(request, io_rename_flags, 0u32));
            name(writer, 1, pointer!(request, io_rename_oldpath));
            name(writer, 3, pointer!(request, io_rename_newpath));
        }
        SYMLINKAT => {
            args[1] = member!(request, io_link_new_dfd, 0i32) as u64;
            name(writer, 0, pointer!(request, io_link_oldpath));
            name(writer, 2, pointer!(request, io_link_newpath));
        }
        LINKAT => {
            args[0] = member!(request, io_link_old_dfd, 0i32) as u64;
            args[2] = member!(request, io_link_new_dfd, 0i32) as u64;
            args[4] = u64::from(member!(request, io_link_flags, 0u32));
            name(writer, 1, pointer!(request, io_link_oldpath));
            name(writer, 3, pointer!(request, io_link_newpath));
        }
        CLOSE => {
            args[0] = member!(request, io_close_fd, 0i32) as u64;
            // SAFETY: see on_submit.
            unsafe {
                (*record).fd = args[0] as i32;
                (*record).slot = member!(request, io_close_slot, 0u32);
            }
        }
        SOCKET => {
            args[0] = member!(request, io_socket_domain, 0i32) as u64;
            args[1] = member!(request, io_socket_type, 0i32) as u64;
            args[2] = member!(request, io_socket_protocol, 0i32) as u64;
            // SAFETY: see on_submit.
            unsafe { (*record).slot = member!(request, io_socket_slot, 0u32) };
        }
        PIPE => {
            args[0] = member!(request, io_pipe_fds, 0u64);
            args[1] = u64::from(member!(request, io_pipe_flags, 0u32));
            // SAFETY: see on_submit.
            unsafe { (*record).slot = member!(request, io_pipe_slot, 0u32) };
        }
        SETXATTR | GETXATTR => {
            name(writer, 0, pointer!(request, io_xattr_filename));
            attribute(writer, args, request);
        }
        _ => {}
    }
}

/// A path that the kernel has copied from the caller.
#[inline(never)]
fn name(writer: Writer, arg: u8, filename: usize) {
    let address = pointer!(filename, filename_name);
    if address != 0 {
        writer.string::<{ section::STRING_MAX as u32 }>(section::STRING, arg, address as u64, false);
    }
}

/// An extended attribute, whose name the kernel has copied.
#[inline(never)]
fn attribute(writer: Writer, args: &mut [u64; 6], request: usize) {
    let name = pointer!(request, io_xattr_name);
    if name != 0 {
        writer.string::<XATTR_NAME_MAX>(section::STRING, 1, name as u64, false);
    }
    args[3] = member!(request, io_xattr_size, 0u64);
    args[4] = u64::from(member!(request, io_xattr_flags, 0u32));
}

/// Requests that work on a file.
#[inline(never)]
unsafe fn on_file(writer: Writer, record: *mut IoSubmit, request: usize, opcode: u32) {
    // SAFETY: see on_submit.
    let args = unsafe { &mut (*record).args };
    match opcode {
        READ | WRITE | READV | WRITEV | READ_FIXED | WRITE_FIXED | READ_MULTISHOT | READV_FIXED | WRITEV_FIXED => {
            args[1] = member!(request, io_rw_addr, 0u64);
            args[2] = u64::from(member!(request, io_rw_len, 0u32));
        }
        SEND | SEND_ZC | RECV => {
            args[1] = member!(request, io_msg_buf, 0u64);
            args[2] = u64::from(member!(request, io_msg_len, 0u32));
            args[3] = u64::from(member!(request, io_msg_flags, 0u32));
        }
        SENDMSG | SENDMSG_ZC | RECVMSG => {
            args[1] = member!(request, io_msg_buf, 0u64);
            args[2] = u64::from(member!(request, io_msg_flags, 0u32));
        }
        CONNECT => {
            args[1] = member!(request, io_connect_addr, 0u64);
            args[2] = u64::from(member!(request, io_connect_addr_len, 0u32));
            sockaddr(writer, args[1], args[2], true);
        }
        ACCEPT => {
            args[1] = member!(request, io_accept_addr, 0u64);
            args[2] = member!(request, io_accept_addr_len, 0u64);
            args[3] = u64::from(member!(request, io_accept_flags, 0u32));
            // SAFETY: see on_submit.
            unsafe { (*record).slot = member!(request, io_accept_slot, 0u32) };
        }
        SHUTDOWN => args[1] = u64::from(member!(request, io_shutdown_how, 0u32)),
        LISTEN => args[1] = u64::from(member!(request, io_listen_backlog, 0u32)),
        BIND => args[2] = u64::from(member!(request, io_bind_addr_len, 0u32)),
        FALLOCATE => {
            args[1] = u64::from(member!(request, io_sync_mode, 0u32));
            args[2] = member!(request, io_sync_off, 0u64);
            args[3] = member!(request, io_sync_len, 0u64);
        }
        FTRUNCATE => args[1] = member!(request, io_ftrunc_len, 0u64),
        FSETXATTR | FGETXATTR => attribute(writer, args, request),
        FIXED_FD_INSTALL => args[1] = u64::from(member!(request, io_install_flags, 0u32)),
        _ => {}
    }
    if matches!(opcode, SEND | SEND_ZC | SENDMSG | SENDMSG_ZC) {
        destination(writer, request, opcode);
    }
    let fd = member!(request, io_fd, -1i32);
    args[0] = fd as u64;
    // SAFETY: see on_submit.
    unsafe { (*record).fd = fd };
}

/// Where a request sends to, where it says so itself.
#[inline(never)]
fn destination(writer: Writer, request: usize, opcode: u32) {
    let copied = pointer!(request, io_async_data);
    if copied != 0 {
        let len: u32 = member!(copied, io_async_name_len, 0);
        return sockaddr(writer, pointer!(copied, io_async_name) as u64, u64::from(len), false);
    }
    // Older kernels copy it later.
    if opcode == SENDMSG || opcode == SENDMSG_ZC {
        message_address(writer, request);
    } else {
        let len: u16 = member!(request, io_msg_addr_len, 0);
        sockaddr(writer, member!(request, io_msg_addr, 0u64), u64::from(len), true);
    }
}

/// The address in the caller's `struct msghdr`.
#[inline(never)]
fn message_address(writer: Writer, request: usize) {
    let message = member!(request, io_msg_buf, 0u64);
    if let Some((address, len)) = capture::message_name(message, syscall::in_compat_call(Typed::current_task())) {
        sockaddr(writer, address, len, true);
    }
}

#[inline(never)]
fn sockaddr(writer: Writer, address: u64, len: u64, user: bool) {
    // An int in the ABI.
    if address != 0 && len != 0 && len <= i32::MAX as u64 {
        writer.bytes::<{ section::SOCKADDR_MAX as u32 }>(section::SOCKADDR, 1, address, len, user);
    }
}

pub fn on_complete(ring: usize, of: usize, result: Completion) {
    let Completion { user_data, res, flags } = result;
    // Results of a request that goes on come without it, and so do messages between rings, which can look like these.
    let request = match of {
        0 if flags & MORE != 0 => staying([ring as u64, user_data]),
        of => of,
    };
    if request == 0 {
        return;
    }
    let Some(begun) = begin::<IoComplete>(request, KIND_IO_COMPLETE) else {
        return;
    };
    let Begun {
        writer,
        record,
        opcode,
        lane,
    } = begun;
    // SAFETY: record points into the scratch map.
    unsafe {
        (*record).request = request as u64;
        (*record).res = res;
        (*record).more = is_zero(of as u64) as u32;
    }
    if of != 0 && is_multishot(request) {
        maps::forget_multishot(name_of(request));
    }
    // SAFETY: as above.
    unsafe { describe(writer, record, request, opcode) };
    writer.submit(lane);
}

/// The request of this name, where it is still the one that was submitted.
#[inline(always)]
fn staying(name: maps::RequestName) -> usize {
    let request = maps::multishot(name);
    if request != 0 && name_of(request) == name {
        request
    } else {
        0
    }
}

/// The kernel's own view of what the request was about: the file or socket that it made, or that it worked on where that
/// has no descriptor or other ends than before; or the directory from which its names lead on. The record is marked where
/// there is no socket though the result says so.
#[inline(never)]
unsafe fn describe(writer: Writer, record: *mut IoComplete, request: usize, opcode: u32) {
    // SAFETY: see on_complete.
    let res = unsafe { (&raw const (*record).res).read_volatile() };
    let (mut object, mut is_socket) = (0, false);
    match opcode {
        OPENAT | OPENAT2 if res >= 0 && member!(request, io_open_slot, 0u32) == 0 => object = behind(res),
        ACCEPT | SOCKET if res >= 0 && made_slot(request, opcode) == 0 => {
            object = behind(res);
            is_socket = !socket::are_known() || socket::is_one(object);
            if !is_socket {
                // SAFETY: as above.
                unsafe { (*record).header.flags |= FLAG_UNTRUE };
            }
        }
        CONNECT | BIND | LISTEN | SHUTDOWN | SEND | SEND_ZC | SENDMSG | SENDMSG_ZC | RECV | RECVMSG => {
            object = pointer!(request, io_file);
            is_socket = true;
        }
        PIPE if res >= 0 && member!(request, io_pipe_slot, 0u32) == 0 => {
            writer.bytes::<8>(section::I32_PAIR, 0, member!(request, io_pipe_fds, 0u64), 8, true);
        }
        _ if member!(request, io_flags, 0u32) & IO_FIXED_FILE != 0 => object = pointer!(request, io_file),
        _ => {}
    }
    // Of many messages each has its address among what was received.
    if opcode == RECVMSG && res >= 0 && !is_multishot(request) {
        message_address(writer, request);
    }
    let mut path = if is_socket {
        0
    } else {
        embedded(object, offset!(file_path))
    };
    let mut kind = section::FILE_PATH;
    if path != 0 {
        file::identity(writer, object);
    } else if res >= 0
        && let Some(dirfd) = base(request, opcode)
    {
        path = embedded(behind(dirfd), offset!(file_path));
        if path == 0 {
            path = embedded(pointer!(read::current_task(), task_fs), offset!(fs_pwd));
            kind = section::CWD;
        }
    }
    // In one place for all: the verifier follows the way up from each that it is asked at.
    if path != 0 {
        file::path(writer, path, kind);
    }
    if object != 0 {
        socket::describe(writer, object);
    }
}

/// The descriptor of the directory from which relative names of a request lead on, where it has names and makes no
/// descriptor; that of no file stands for the working directory.
#[inline(never)]
fn base(request: usize, opcode: u32) -> Option<i32> {
    const AT_FDCWD: i32 = -100;
    Some(match opcode {
        UNLINKAT => member!(request, io_unlink_dfd, AT_FDCWD),
        MKDIRAT => member!(request, io_mkdir_dfd, AT_FDCWD),
        RENAMEAT => member!(request, io_rename_old_dfd, AT_FDCWD),
        SYMLINKAT => member!(request, io_link_new_dfd, AT_FDCWD),
        LINKAT => member!(request, io_link_old_dfd, AT_FDCWD),
        SETXATTR => AT_FDCWD,
        OPENAT | OPENAT2 if member!(request, io_open_slot, 0u32) != 0 => AT_FDCWD,
        _ => return None,
    })
}

/// Where among the ring's own files a new socket goes, from 1.
#[inline(always)]
fn made_slot(request: usize, opcode: u32) -> u32 {
    if opcode == ACCEPT {
        member!(request, io_accept_slot, 0u32)
    } else {
        member!(request, io_socket_slot, 0u32)
    }
}

/// The file behind a descriptor of the caller's.
#[inline(never)]
fn behind(fd: i32) -> usize {
    file::behind_fd(Typed::current_task(), fd as u64)
}
