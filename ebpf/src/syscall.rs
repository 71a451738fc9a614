//! Syscalls: one record when a call returns, one more at entry for the few that ask for it.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::pt_regs;
use ctrace_wire::{
    record::{
        FLAG_COMPAT, FLAG_EMPTY_NAME, FLAG_UNSEEN, FLAG_UNTRUE, Header, KIND_SYSCALL, KIND_SYSCALL_ENTER, MAX_ARGS,
        Syscall,
    },
    section,
    spec::{
        ALL_FDS, BASE, BROUGHT, CAPTURE_NONE, CAPTURE_RIGHTS, CLOSED, COPY, CREDENTIALS, DIRECTORY, ENTER, FILE, Lane,
        NOT_LEFT_OUT, PAIR, PRIORITY, RESULT, ROOT, SELECTED, SOCKET, SOCKETCALL, SyscallSpec,
    },
};

use crate::{
    capture, cpu_ring, credentials, file,
    lifecycle::user_registers,
    maps::{self, ScratchFor},
    read::{self, Current, Typed, embedded, is_zero, member, offset, pointer},
    scope,
    scratch::Writer,
    socket, socketcall,
};

// arch/x86/include/asm/thread_info.h: the task is in a 32-bit syscall (also by int 0x80 from 64-bit code).
const TS_COMPAT: u32 = 2;

// arch/x86/entry/syscalls: syscall_64.tbl and syscall_32.tbl
const RT_SIGRETURN: i32 = 15;
const RT_SIGRETURN_32: i32 = 173;
/// The calls by which programs start: all but `execve` of the 64-bit table.
const EXECVEAT: u32 = 322;
const EXECVE_32: u32 = 11;
const EXECVEAT_32: u32 = 358;
const NEWFSTATAT: i32 = 262;
const STATX: i32 = 332;
const FCNTL: i32 = 72;
const FCNTL_32: i32 = 55;
const FCNTL64_32: i32 = 221;
/// What the kernel answers to numbers that it does not have.
const ENOSYS: i64 = -38;
/// What it answers where a descriptor was not open.
const EBADF: i64 = -9;

// include/uapi/linux/fcntl.h
const AT_EMPTY_PATH: u64 = 0x1000;
const F_DUPFD: u32 = 0;
const F_DUPFD_CLOEXEC: u32 = 1030;

/// [Notes](Writer::noted): the path to describe, what it is the path of, and the file behind the call's descriptor.
const PATH: usize = 0;
const PATH_KIND: usize = 1;
const BEHIND: usize = 2;

/// Who makes a call, with the flags of its record.
#[derive(Clone, Copy)]
struct Who {
    current: Current,
    flags: u8,
}

pub fn on_exit(regs: *const pt_regs, ret: i64) {
    // SAFETY: the verifier knows the tracepoint's first argument as a pointer to pt_regs.
    let mut nr = unsafe { (*regs).orig_rax } as i32;
    // First of all: what nobody asked for has to cost as little as can be, and to ask for the task takes as long as all this.
    if !maps::is_asked(nr as u32) {
        return;
    }
    let native = maps::spec(nr as u32, false);
    let mut words = MaybeUninit::uninit();
    let mut compat = None;
    let task = Typed::current_task();
    if in_compat_call(task) {
        nr = compat_call(regs, nr, &mut words);
        // SAFETY: compat_call writes all of it.
        compat = Some(unsafe { words.assume_init_ref() });
    }
    let is_compat = compat.is_some();
    let told = told_as(nr, ret, is_compat);
    let spec = if is_compat || told != nr {
        maps::spec(told as u32, is_compat)
    } else {
        native
    };
    if let Some(spec) = spec
        && spec.flags & SELECTED == 0
    {
        if spec.left_out != NOT_LEFT_OUT {
            count_left_out(spec.left_out);
        }
        return;
    }
    let current = Current::of(task);
    let flags = scope::flags(current.tgid);
    if flags & FLAG_UNSEEN != 0 || current.tgid == maps::load(&maps::SELF_TGID) {
        return;
    }
    if let Some(spec) = spec
        && spec.fd == BROUGHT
        && !is_brought(ret, regs, compat)
    {
        return;
    }
    let mut who = Who { current, flags };
    if compat.is_some() {
        who.flags |= FLAG_COMPAT;
    }
    let (lane, count) = match spec {
        Some(spec) if is_by_descriptor(nr, regs, compat) => {
            who.flags |= FLAG_EMPTY_NAME;
            (lane(spec), spec.args)
        }
        Some(spec) if has_sections(spec) && is_described(spec, (nr, ret), regs, compat, &mut who) => {
            return with_sections(ScratchFor::Syscall, who, regs, (nr, ret), spec, compat);
        }
        Some(spec) => (lane(spec), spec.args),
        None => (Lane::Bulk, MAX_ARGS as u8),
    };
    plain(who, regs, (nr, ret), lane, count, compat);
}

/// The number of the call that a record with this number and result is taken for. A return from a signal handler replaces
/// the registers, so that no number is left: where nobody asked for these, as mostly, a record would be made in vain.
#[inline(always)]
fn told_as(nr: i32, ret: i64, compat: bool) -> i32 {
    if nr != -1 || ret == ENOSYS {
        nr
    } else if compat {
        RT_SIGRETURN_32
    } else {
        RT_SIGRETURN
    }
}

/// A call that was asked for is left out: counted where it would have been recorded.
#[inline(never)]
fn count_left_out(kind: u8) {
    let current = Current::get();
    if scope::flags(current.tgid) & FLAG_UNSEEN == 0 && current.tgid != maps::load(&maps::SELF_TGID) {
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
    let current = Current::get();
    let flags = scope::flags(current.tgid);
    if flags & FLAG_UNSEEN != 0 || current.tgid == maps::load(&maps::SELF_TGID) || in_compat_call(current.task) {
        return;
    }
    let who = Who { current, flags };
    with_sections(ScratchFor::Enter, who, regs, (nr as i32, 0), spec, None);
}

/// The current task gets a name. An exec gives it one when nothing can refuse the program any more, and just before the
/// kernel makes of its call an `execve` of the program's own table without arguments (fs/exec.c, `begin_new_exec`;
/// arch/x86/kernel/process_64.c, `set_personality_64bit`). What is not the usual one is therefore told here.
pub fn on_rename() {
    let address = user_registers(read::current_task());
    let nr = member!(address, regs_orig_ax, u64::MAX) as u32;
    if nr != EXECVEAT && nr != EXECVE_32 && nr != EXECVEAT_32 {
        return;
    }
    let current = Current::get();
    let compat = in_compat_call(current.task);
    if compat == (nr == EXECVEAT) {
        return;
    }
    let flags = scope::flags(current.tgid) | if compat { FLAG_COMPAT } else { 0 };
    let regs: pt_regs = read::kernel(address);
    let mut header = read::header(KIND_SYSCALL_ENTER + MAX_ARGS as u8, flags, current, read::cpu());
    header.len = size_of::<Syscall>() as u32;
    // SAFETY: record is a reserved ring entry of this type; a copy of the registers.
    maps::submit_fixed::<Syscall>(Lane::Priority, |record| unsafe {
        let registers = if compat {
            compat_registers(&raw const regs).map(u64::from)
        } else {
            args(&raw const regs)
        };
        fill(record, header, (nr as i32, 0), registers);
    });
}

/// Whether the current task is in a call of the 32-bit table.
#[inline(always)]
pub fn in_compat_call(task: Typed) -> bool {
    // Each call of the host asks this, also those that nobody wants.
    task.load::<u32>(offset!(task_status)) & TS_COMPAT != 0
}

fn has_sections(spec: &SyscallSpec) -> bool {
    spec.captures[0].kind != CAPTURE_NONE || spec.flags & (FILE | SOCKET | CREDENTIALS | DIRECTORY | BASE) != 0
}

/// Whether a call that looks at a file has no name for it but a descriptor: mostly the C library's `fstat`, which is frequent.
#[inline(always)]
fn is_by_descriptor(nr: i32, regs: *const pt_regs, compat: Option<&Words>) -> bool {
    // SAFETY: regs as in on_exit.
    let (name, flags) = unsafe {
        match nr {
            NEWFSTATAT => ((*regs).rsi, (*regs).r10),
            STATX => ((*regs).rsi, (*regs).rdx),
            _ => return false,
        }
    };
    compat.is_none() && flags & AT_EMPTY_PATH != 0 && is_empty(name)
}

/// Whether there is an empty string at an address of the program's.
// Not inlined: with a stack as small as this the kernel has it on the task's own, where it soon sees that what it copies there
// may lie there.
#[inline(never)]
fn is_empty(name: u64) -> bool {
    read::user_string::<2>(name) == 1
}

/// Whether what a spec asks for is described: what a call closed or made only where that is not so, of which the record is
/// marked then.
#[inline(always)]
fn is_described(
    spec: &SyscallSpec,
    (nr, ret): (i32, i64),
    regs: *const pt_regs,
    compat: Option<&Words>,
    who: &mut Who,
) -> bool {
    if spec.fd != CLOSED && spec.fd != COPY {
        return true;
    }
    // SAFETY: regs as in on_exit.
    let (first, second) = match compat {
        Some(words) => (words[0], words[1]),
        None => unsafe { ((*regs).rdi as u32, (*regs).rsi as u32) },
    };
    let told = match spec.fd {
        CLOSED => ret == EBADF || is_closed(who.current.task, first),
        _ if ret < 0 => true,
        _ if matches!((nr, compat.is_some()), (FCNTL, false) | (FCNTL_32 | FCNTL64_32, true)) => {
            second != F_DUPFD && second != F_DUPFD_CLOEXEC || are_same(who.current.task, first, ret as u32)
        }
        _ => are_same(who.current.task, first, ret as u32),
    };
    if !told {
        who.flags |= FLAG_UNTRUE;
    }
    !told
}

/// Whether something came with the message of a `recvmsg` beside its data.
#[inline(never)]
fn is_brought(ret: i64, regs: *const pt_regs, compat: Option<&Words>) -> bool {
    let (message, word) = match compat {
        Some(words) => (u64::from(words[1]), 4),
        // SAFETY: regs as in on_exit.
        None => (unsafe { (*regs).rsi }, 8),
    };
    ret >= 0 && capture::control(message, word).is_some()
}

/// Whether a call that says so closed a descriptor. It did, and the number is free, where nobody could answer it instead of
/// the kernel, and nobody else opens something meanwhile: then the kernel is not asked, since closing is frequent.
#[inline(always)]
fn is_closed(task: Typed, fd: u32) -> bool {
    let answered = task.load::<u32>(offset!(task_seccomp)) | task.load::<u32>(offset!(task_ptrace));
    answered == 0 && !file::is_own_table_shared(task) || is_free(task, fd)
}

/// Whether a number is no descriptor.
// Not inlined: seldom asked.
#[inline(never)]
fn is_free(task: Typed, fd: u32) -> bool {
    file::behind_fd(task, u64::from(fd)) == 0
}

/// Whether two descriptors refer to one file object.
#[inline(never)]
fn are_same(task: Typed, one: u32, other: u32) -> bool {
    file::behind_fd(task, u64::from(one)) == file::behind_fd(task, u64::from(other))
}

fn lane(spec: &SyscallSpec) -> Lane {
    if spec.flags & PRIORITY != 0 {
        Lane::Priority
    } else {
        Lane::Bulk
    }
}

/// A record of registers alone.
#[inline(always)]
fn plain(who: Who, regs: *const pt_regs, result: (i32, i64), lane: Lane, count: u8, compat: Option<&Words>) {
    let count = match compat {
        Some(_) => MAX_ARGS,
        None => usize::from(count).min(MAX_ARGS),
    };
    let len = size_of::<Syscall<[u64; 0]>>() + count * size_of::<u64>();
    let cpu = read::cpu();
    cpu_ring::submit::<Syscall>(lane, cpu, len as u64, |record| {
        let mut header = read::header(KIND_SYSCALL + count as u8, who.flags, who.current, cpu);
        header.len = len as u32;
        // SAFETY: the caller gives room for all registers, of which the record has the first; regs as in on_exit.
        unsafe { fill(record, header, result, registers(regs, compat)) };
    });
}

/// What a call was given.
#[inline(always)]
unsafe fn registers(regs: *const pt_regs, compat: Option<&Words>) -> [u64; MAX_ARGS] {
    match compat {
        Some(words) => compat_args(words),
        // SAFETY: the caller gives the task's registers.
        None => unsafe { args(regs) },
    }
}

#[inline(always)]
fn with_sections(
    owner: ScratchFor,
    who: Who,
    regs: *const pt_regs,
    (nr, ret): (i32, i64),
    spec: &SyscallSpec,
    compat: Option<&Words>,
) {
    let cpu = read::cpu();
    let Some(scratch) = maps::scratch(cpu, owner) else {
        return;
    };
    let (writer, record) = Writer::start::<Syscall>(scratch);
    let exit = matches!(owner, ScratchFor::Syscall);
    let kind = if exit { KIND_SYSCALL } else { KIND_SYSCALL_ENTER };
    let header = read::header(kind + spec.args, who.flags, who.current, cpu);
    // SAFETY: record points into the scratch map; regs as in on_exit.
    unsafe { fill(record, header, (nr, ret), registers(regs, compat)) };
    // What is captured is found by arguments that the record keeps: the others are written over.
    writer.set_position(size_of::<Syscall<[u64; 0]>>() + usize::from(spec.args) * size_of::<u64>());
    capture::all(writer, record, spec);
    if exit {
        describe(writer, record, spec, who.current.task);
    }
    if exit && spec.flags & CREDENTIALS != 0 {
        credentials::describe(writer, read::current_task());
    }
    if exit {
        writer.submit_call(lane(spec), cpu);
    } else {
        writer.submit(lane(spec));
    }
}

/// Whether a call succeeded that has a relative name, as far as can be seen at once: of two strings the second may be one.
#[inline(always)]
fn names_from_base(record: *const Syscall, spec: &SyscallSpec) -> bool {
    // SAFETY: record lies in the scratch map, which goes on behind it. What was captured first follows the registers.
    unsafe {
        let first = first_section(spec) + size_of::<section::Section>();
        (*record).ret >= 0
            && (spec.captures[1].kind != CAPTURE_NONE || record.cast::<u8>().add(first).read_volatile() != b'/')
    }
}

/// Appends what the kernel says of the file or the socket behind the call's descriptor, or of the caller's directories.
#[inline(always)]
fn describe(writer: Writer, record: *mut Syscall, spec: &SyscallSpec, task: Typed) {
    writer.note::<PATH>(0);
    writer.note::<PATH_KIND>(u64::from(section::FILE_PATH));
    writer.note::<BEHIND>(0);
    if spec.captures[0].kind == CAPTURE_RIGHTS {
        received(writer, first_section(spec), task);
    }
    let is_base = spec.flags & BASE != 0 && names_from_base(record, spec);
    if spec.flags & (FILE | SOCKET) != 0 || is_base {
        let file = behind(record, spec, task);
        writer.note::<BEHIND>(file as u64);
        if file != 0 && spec.flags & FILE != 0 {
            file::identity(writer, file);
        }
        if file != 0 && (spec.flags & FILE != 0 || is_base) {
            writer.note::<PATH>(embedded(file, offset!(file_path)) as u64);
        }
    }
    if spec.flags & DIRECTORY != 0 || is_base && writer.noted::<BEHIND>() == 0 {
        let is_root = spec.fd == ROOT;
        let (at, kind) = if is_root {
            (offset!(fs_root), section::ROOT)
        } else {
            (offset!(fs_pwd), section::CWD)
        };
        writer.note::<PATH>(embedded(pointer!(read::current_task(), task_fs), at) as u64);
        writer.note::<PATH_KIND>(u64::from(kind));
    }
    // In one place for all, and by notes: the verifier follows the way up from each that it is asked at, and for each
    // value that it knows.
    let path = writer.noted::<PATH>() as usize;
    if path != 0 {
        file::path(writer, path, writer.noted::<PATH_KIND>() as u8);
    }
    let file = writer.noted::<BEHIND>() as usize;
    if file != 0 && spec.flags & SOCKET != 0 {
        let before = writer.position();
        socket::describe(writer, file);
        if socket::are_known() {
            // The result of a call that makes a socket may be none.
            let makes_socket = is_zero(u64::from(spec.fd ^ RESULT)) & is_zero(u64::from(spec.flags & FILE));
            mark_untrue(record, makes_socket & is_zero((writer.position() ^ before) as u64));
        }
    }
    match spec.fd {
        ALL_FDS => file::all_open(writer, read::current_task()),
        PAIR => {
            // SAFETY: within the scratch map.
            let [one, other] = unsafe { *writer.structure_at::<[u32; 2]>(first_section(spec)) };
            mark_untrue(record, is_no_pair(task, one, other));
        }
        _ => {}
    }
}

/// Where the sections of a call's record begin.
#[inline(always)]
fn first_section(spec: &SyscallSpec) -> usize {
    size_of::<Syscall<[u64; 0]>>() + usize::from(spec.args & 7) * size_of::<u64>()
}

/// Appends the identities of the files behind the descriptors whose numbers the section at `first` has; notes where the
/// path of the first is.
#[inline(never)]
fn received(writer: Writer, first: usize, task: Typed) {
    // SAFETY: within the map value. Behind the record's end is what another one left.
    let is_there = writer.position() > first && unsafe { (*writer.section_at(first)).kind } == section::RIGHTS;
    if !is_there {
        return;
    }
    // SAFETY: as above; the numbers fit behind the header.
    let (count, fds) = unsafe {
        let count = usize::from((*writer.section_at(first)).len) / size_of::<u32>();
        (count, &*writer.structure_at::<[u32; section::RIGHTS_MAX]>(first))
    };
    for (at, fd) in fds.iter().enumerate() {
        let file = if at < count {
            file::behind_fd(task, u64::from(*fd))
        } else {
            0
        };
        if file == 0 {
            break;
        }
        file::identity(writer, file);
        if at == 0 {
            writer.note::<PATH>(embedded(file, offset!(file_path)) as u64);
        }
    }
}

/// 0 where two descriptors are the ends of a pipe or of a pair of sockets, or that cannot be known; 1 otherwise.
#[inline(never)]
fn is_no_pair(task: Typed, one: u32, other: u32) -> u64 {
    let files = [one, other].map(|fd| file::behind_fd(task, u64::from(fd)));
    let is_pair = !file::are_known() || file::is_pipe(files) || socket::is_pair(files);
    u64::from(!is_pair)
}

/// The file object behind the descriptor that a spec names; 0 when there is none, of which the record of a call that
/// should have made one is marked.
#[inline(always)]
fn behind(record: *mut Syscall, spec: &SyscallSpec, task: Typed) -> usize {
    let at = match spec.fd {
        CLOSED => 0,
        COPY => RESULT,
        fd => fd,
    };
    let Some(fd) = capture::value(record, at) else {
        return 0;
    };
    let file = file::behind_fd(task, fd);
    if file::are_known() {
        mark_untrue(record, is_zero(u64::from(at ^ RESULT)) & is_zero(file as u64));
    }
    file
}

/// Marks a record where `whether` is 1. Computed, not decided, so that the verifier has no second way to follow.
#[inline(always)]
fn mark_untrue(record: *mut Syscall, whether: u64) {
    // SAFETY: record lies in the scratch map.
    unsafe { (*record).header.flags |= FLAG_UNTRUE * whether as u8 };
}

#[inline(always)]
unsafe fn fill(record: *mut Syscall, header: Header, (nr, ret): (i32, i64), args: [u64; MAX_ARGS]) {
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
    // SAFETY: the caller gives the task's registers.
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
unsafe fn compat_registers(regs: *const pt_regs) -> Words {
    // SAFETY: the caller gives the task's registers.
    unsafe {
        [
            (*regs).rbx as u32,
            (*regs).rcx as u32,
            (*regs).rdx as u32,
            (*regs).rsi as u32,
            (*regs).rdi as u32,
            (*regs).rbp as u32,
        ]
    }
}

/// The arguments of a 32-bit call, the first first.
type Words = [u32; 6];

/// Finds out what call of the 32-bit table the task is in: its number and arguments, which are not those of the registers
/// where it is a `socketcall`.
// Not inlined: calls that are none of that table, nearly all, go past it, and need no registers for it.
#[inline(never)]
fn compat_call(regs: *const pt_regs, nr: i32, words: &mut MaybeUninit<Words>) -> i32 {
    // SAFETY: regs as in on_exit.
    let registers = unsafe { compat_registers(regs) };
    if nr == SOCKETCALL as i32
        && let Some((made, arguments)) = socketcall::unfold(registers)
    {
        words.write(arguments);
        return made;
    }
    words.write(registers);
    nr
}

/// The same as a record has them.
#[inline(always)]
fn compat_args(words: &Words) -> [u64; 6] {
    // SAFETY: a reference. Volatile, or the compiler would keep them in registers from where they are found.
    unsafe { core::ptr::read_volatile(words) }.map(u64::from)
}
