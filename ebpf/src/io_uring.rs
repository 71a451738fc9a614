//! Requests of io_uring, which do what syscalls do without being any: recorded as they are submitted, when the kernel has
//! copied their paths, and once more with their result when they are completed.

use ctrace_wire::{
    record::{FLAG_UNSEEN, Header, IO_FIXED_FILE, IoComplete, IoSubmit, KIND_IO_COMPLETE, KIND_IO_SUBMIT},
    section,
    spec::{IO_OPCODES, Lane, PRIORITY, SELECTED},
};

use crate::{
    file,
    maps::{self, ScratchFor},
    read::{self, embedded, member, offset, pointer},
    scope,
    scratch::Writer,
    socket,
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
const SOCKET: u32 = 45;
const BIND: u32 = 56;
const LISTEN: u32 = 57;

// IOSQE_FIXED_FILE and its neighbours: the lowest byte of a request's flags is the caller's.
const CALLERS_FLAGS: u32 = 0xff;

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
    let ids = read::current_ids();
    let flags = scope::flags(ids.tgid);
    if asked & SELECTED == 0 || flags & FLAG_UNSEEN != 0 || ids.tgid == maps::load(&maps::SELF_TGID) {
        return None;
    }
    let cpu = read::cpu();
    let (writer, record) = Writer::start::<T>(maps::scratch(cpu, ScratchFor::IoUring)?);
    // SAFETY: record points into the scratch map, and every record opens with a header.
    unsafe { *record.cast::<Header>() = read::header(kind, flags, ids, cpu) };
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
        if opcode >= OPENAT && opcode != READ && opcode != WRITE {
            names(writer, record, request, opcode);
        }
        on_file(writer, record, request, opcode);
    }
    writer.submit(lane);
}

/// Requests with paths, and those without a file.
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

/// Requests that work on a file.
#[inline(never)]
unsafe fn on_file(writer: Writer, record: *mut IoSubmit, request: usize, opcode: u32) {
    // SAFETY: see on_submit.
    let args = unsafe { &mut (*record).args };
    match opcode {
        READ | WRITE | READV | WRITEV | READ_FIXED | WRITE_FIXED => {
            args[1] = member!(request, io_rw_addr, 0u64);
            args[2] = u64::from(member!(request, io_rw_len, 0u32));
        }
        SEND | RECV | SENDMSG | RECVMSG => {
            args[1] = member!(request, io_msg_buf, 0u64);
            args[2] = u64::from(member!(request, io_msg_len, 0u32));
            args[3] = u64::from(member!(request, io_msg_flags, 0u32));
        }
        CONNECT => {
            args[1] = member!(request, io_connect_addr, 0u64);
            args[2] = u64::from(member!(request, io_connect_addr_len, 0u32));
            if args[1] != 0 {
                writer.bytes::<{ section::SOCKADDR_MAX as u32 }>(section::SOCKADDR, 1, args[1], args[2], true);
            }
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
        // Others are told by user space, which knows whether they work on a file.
        _ if opcode >= OPENAT => return,
        _ => {}
    }
    let fd = member!(request, io_fd, -1i32);
    args[0] = fd as u64;
    // SAFETY: see on_submit.
    unsafe { (*record).fd = fd };
}

/// The result of a completion as it is shown to the program.
#[inline(always)]
pub fn result_in_ring(entry: usize) -> i32 {
    member!(entry, io_cqe_res, 0i32)
}

pub fn on_complete(request: usize, res: i32) {
    // Further results of one request, and messages between rings, are of no request.
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
        (*record).res = i64::from(res);
    }
    describe(writer, request, opcode, res);
    writer.submit(lane);
}

/// The kernel's own view of what the request was about: the file or socket that it made, or that has no descriptor.
#[inline(never)]
fn describe(writer: Writer, request: usize, opcode: u32, res: i32) {
    let (mut object, mut is_socket) = (0, false);
    match opcode {
        OPENAT | OPENAT2 if res >= 0 => object = file::behind_fd(read::current_task(), res as u64),
        ACCEPT | SOCKET if res >= 0 => {
            object = file::behind_fd(read::current_task(), res as u64);
            is_socket = true;
        }
        CONNECT | BIND | LISTEN => {
            object = pointer!(request, io_file);
            is_socket = true;
        }
        _ if member!(request, io_flags, 0u32) & IO_FIXED_FILE != 0 => object = pointer!(request, io_file),
        _ => {}
    }
    if object == 0 {
        return;
    }
    if is_socket {
        socket::describe(writer, object);
    } else {
        file::describe(writer, object);
    }
}
