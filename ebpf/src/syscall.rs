//! Syscalls: one record when a call returns, one more at entry for the few that ask for it.

use aya_ebpf::bindings::pt_regs;
use ctrace_wire::{
    record::{FLAG_COMPAT, FLAG_UNSEEN, Header, KIND_SYSCALL, KIND_SYSCALL_ENTER, MAX_ARGS, Syscall},
    spec::{CAPTURE_NONE, CREDENTIALS, ENTER, FILE, Lane, NOT_LEFT_OUT, PRIORITY, SELECTED, SOCKET, SyscallSpec},
};

use crate::{
    capture, credentials, file,
    maps::{self, ScratchFor},
    read::{self, Ids, member},
    scope,
    scratch::Writer,
    socket,
};

// arch/x86/include/asm/thread_info.h: the task is in a 32-bit syscall (also by int 0x80 from 64-bit code).
const TS_COMPAT: u32 = 2;

// arch/x86/entry/syscalls/syscall_64.tbl
const RT_SIGRETURN: i32 = 15;
/// What the kernel answers to numbers that it does not have.
const ENOSYS: i64 = -38;

/// Who makes a call, with the flags of its record.
#[derive(Clone, Copy)]
struct Who {
    ids: Ids,
    flags: u8,
}

pub fn on_exit(regs: *const pt_regs, ret: i64) {
    // SAFETY: the verifier knows the tracepoint's first argument as a pointer to pt_regs.
    let nr = unsafe { (*regs).orig_rax } as i32;
    let compat = in_compat_call();
    let spec = maps::spec(told_as(nr, ret, compat) as u32, compat);
    // First of all: what nobody asked for has to cost as little as can be.
    if let Some(spec) = spec
        && spec.flags & SELECTED == 0
    {
        if spec.left_out != NOT_LEFT_OUT {
            count_left_out(spec.left_out);
        }
        return;
    }
    let ids = read::current_ids();
    let flags = scope::flags(ids.tgid);
    if flags & FLAG_UNSEEN != 0 || ids.tgid == maps::load(&maps::SELF_TGID) {
        return;
    }
    let who = Who { ids, flags };
    match spec {
        Some(spec) if has_sections(spec) => {
            with_sections(ScratchFor::Syscall, who, regs, (nr, ret), spec, compat);
        }
        Some(spec) => plain(who, regs, (nr, ret), lane(spec), spec.args, compat),
        None => plain(who, regs, (nr, ret), Lane::Bulk, MAX_ARGS as u8, compat),
    }
}

/// The number of the call that a record with this number and result is taken for. A return from a signal handler replaces
/// the registers, so that no number is left: where nobody asked for these, as mostly, a record would be made in vain.
#[inline(always)]
fn told_as(nr: i32, ret: i64, compat: bool) -> i32 {
    if nr == -1 && ret != ENOSYS && !compat {
        RT_SIGRETURN
    } else {
        nr
    }
}

/// A call that was asked for is left out: counted where it would have been recorded.
#[inline(never)]
fn count_left_out(kind: u8) {
    let ids = read::current_ids();
    if scope::flags(ids.tgid) & FLAG_UNSEEN == 0 && ids.tgid != maps::load(&maps::SELF_TGID) {
        maps::count_left_out(kind);
    }
}

pub fn on_enter(regs: *const pt_regs, nr: i64) {
    let Some(spec) = maps::spec(nr as u32, false) else {
        return;
    };
    if spec.flags & ENTER == 0 {
        return;
    }
    let ids = read::current_ids();
    let flags = scope::flags(ids.tgid);
    if flags & FLAG_UNSEEN != 0 || ids.tgid == maps::load(&maps::SELF_TGID) || in_compat_call() {
        return;
    }
    let who = Who { ids, flags };
    with_sections(ScratchFor::Enter, who, regs, (nr as i32, 0), spec, false);
}

/// Whether the current task is in a call of the 32-bit table.
pub fn in_compat_call() -> bool {
    member!(read::current_task(), task_status, 0u32) & TS_COMPAT != 0
}

fn has_sections(spec: &SyscallSpec) -> bool {
    spec.captures[0].kind != CAPTURE_NONE || spec.flags & (FILE | SOCKET | CREDENTIALS) != 0
}

fn lane(spec: &SyscallSpec) -> Lane {
    if spec.flags & PRIORITY != 0 {
        Lane::Priority
    } else {
        Lane::Bulk
    }
}

/// A record of registers alone. What is reserved in a ring has a size that is known when the program is loaded, so there are
/// some sizes to choose from.
#[inline(always)]
fn plain(who: Who, regs: *const pt_regs, result: (i32, i64), lane: Lane, count: u8, compat: bool) {
    // SAFETY: regs as in on_exit.
    unsafe {
        match count {
            0 | 1 if !compat => submit(who, result, lane, || [(*regs).rdi]),
            2 | 3 if !compat => submit(who, result, lane, || [(*regs).rdi, (*regs).rsi, (*regs).rdx]),
            _ => {
                let flags = who.flags | if compat { FLAG_COMPAT } else { 0 };
                submit(Who { flags, ..who }, result, lane, || match compat {
                    true => compat_args(regs),
                    false => args(regs),
                });
            }
        }
    }
}

#[inline(always)]
fn submit<const ARGS: usize>(who: Who, result: (i32, i64), lane: Lane, args: impl FnOnce() -> [u64; ARGS]) {
    maps::submit_fixed::<Syscall<[u64; ARGS]>>(lane, |record| {
        let mut header = read::header(KIND_SYSCALL + ARGS as u8, who.flags, who.ids, read::cpu());
        header.len = size_of::<Syscall<[u64; ARGS]>>() as u32;
        // SAFETY: record is a reserved ring entry of this type.
        unsafe { fill(record, header, result, args()) };
    });
}

#[inline(always)]
fn with_sections(
    owner: ScratchFor,
    who: Who,
    regs: *const pt_regs,
    (nr, ret): (i32, i64),
    spec: &SyscallSpec,
    compat: bool,
) {
    let cpu = read::cpu();
    let Some(scratch) = maps::scratch(cpu, owner) else {
        return;
    };
    let (writer, record) = Writer::start::<Syscall>(scratch);
    let exit = matches!(owner, ScratchFor::Syscall);
    let kind = if exit { KIND_SYSCALL } else { KIND_SYSCALL_ENTER };
    let mut header = read::header(kind + spec.args, who.flags, who.ids, cpu);
    // SAFETY: record points into the scratch map; regs as in on_exit.
    unsafe {
        if compat {
            header.flags |= FLAG_COMPAT;
            fill(record, header, (nr, ret), compat_args(regs));
        } else {
            fill(record, header, (nr, ret), args(regs));
        }
    }
    // What is captured is found by arguments that the record keeps: the others are written over.
    writer.set_position(size_of::<Syscall<[u64; 0]>>() + usize::from(spec.args) * size_of::<u64>());
    capture::all(writer, record, spec);
    if exit && spec.flags & (FILE | SOCKET) != 0 {
        describe_fd(writer, record, spec);
    }
    if exit && spec.flags & CREDENTIALS != 0 {
        credentials::describe(writer, read::current_task());
    }
    writer.submit(lane(spec));
}

#[inline(always)]
fn describe_fd(writer: Writer, record: *const Syscall, spec: &SyscallSpec) {
    let Some(fd) = capture::value(record, spec.fd) else {
        return;
    };
    let file = file::behind_fd(read::current_task(), fd);
    if file == 0 {
        return;
    }
    if spec.flags & FILE != 0 {
        file::describe(writer, file);
    }
    if spec.flags & SOCKET != 0 {
        socket::describe(writer, file);
    }
}

#[inline(always)]
unsafe fn fill<const ARGS: usize>(
    record: *mut Syscall<[u64; ARGS]>,
    header: Header,
    (nr, ret): (i32, i64),
    args: [u64; ARGS],
) {
    // SAFETY: the caller gives a writable record.
    unsafe {
        (*record).header = header;
        (*record).nr = nr;
        (*record).reserved = 0;
        (*record).ret = ret;
        (*record).args = args;
    }
}

// The registers of the syscall ABI (x86-64 psABI A.2.1; entry_64_compat.S for 32-bit calls).
#[inline(always)]
unsafe fn args(regs: *const pt_regs) -> [u64; 6] {
    // SAFETY: the caller gives the tracepoint's registers.
    unsafe {
        [
            (*regs).rdi,
            (*regs).rsi,
            (*regs).rdx,
            (*regs).r10,
            (*regs).r8,
            (*regs).r9,
        ]
    }
}

#[inline(always)]
unsafe fn compat_args(regs: *const pt_regs) -> [u64; 6] {
    // SAFETY: the caller gives the tracepoint's registers.
    let all = unsafe {
        [
            (*regs).rbx,
            (*regs).rcx,
            (*regs).rdx,
            (*regs).rsi,
            (*regs).rdi,
            (*regs).rbp,
        ]
    };
    [
        all[0] as u32 as u64,
        all[1] as u32 as u64,
        all[2] as u32 as u64,
        all[3] as u32 as u64,
        all[4] as u32 as u64,
        all[5] as u32 as u64,
    ]
}
