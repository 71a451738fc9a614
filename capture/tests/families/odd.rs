//! What no table has: unknown numbers, calls through the 32-bit entry, calls that seccomp denies.

use std::arch::asm;

use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};

/// The fourth belongs to the third table of the architecture (x32), which kernels of distributions do not have.
const NUMBERS: [i64; 5] = [999, 5000, 470_000, 0x4000_0000 | 1000, -5];

/// Newer than many a strace and C library.
const SYS_FCHMODAT2: i64 = 452;

const CALLS: &[&str] = &["unknown", "mkdir", "getpid", "open", "openat", "close", "read", "exit"];

pub(crate) fn scene() {
    for number in NUMBERS {
        sys!(number, 1, -2, 0x7FFF_FFFF_FFFF_i64, 4, 5, 6);
    }
    ok(sys!(SYS_mkdir, c"new", 0o700));
    sys!(SYS_FCHMODAT2, AT_FDCWD, c"./new", 0o2750, AT_SYMLINK_NOFOLLOW);
    wait(fork(compat));
    executing();
    wait(fork(denied));
    wait(fork(killed));
}

/// A call through the 32-bit entry of the kernel.
pub(crate) fn int80(number: i64, args: [u32; 6]) -> i64 {
    let ret: i32;
    let [a, b, c, d, e, f] = args;
    // SAFETY: scenes give numbers of calls that do not harm the process. The registers that the compiler keeps for
    // itself are put back.
    unsafe {
        asm!(
            "push rbx", "push rbp", "mov ebx, {a:e}", "mov ebp, {f:e}", "int 0x80", "pop rbp", "pop rbx",
            a = in(reg) a, f = in(reg) f,
            inlateout("eax") number as u32 => ret, in("ecx") b, in("edx") c, in("esi") d, in("edi") e,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    i64::from(ret)
}

fn compat() {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
    let low = ok(sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags, -1, 0));
    let zero = ok(sys!(SYS_open, c"/dev/zero", O_RDONLY));
    let texts = [
        (0, &b"compat\0"[..]),
        (100, b"compat dir\0"),
        (200, b"\x02\0\0\x35\x7f\0\0\x01\0\0\0\0\0\0\0\0"),
        (300, b"missing\0"),
    ];
    for (at, text) in texts {
        // SAFETY: the page was just mapped, and is longer than both.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), (low + at) as *mut u8, text.len()) };
    }
    let (name, dir) = (low as u32, low as u32 + 100);
    int80(20, [0; 6]);
    let fd = ok(int80(5, [name, (O_RDWR | O_CREAT) as u32, 0o640, 0, 0, 0]));
    ok(int80(4, [fd as u32, name, 6, 0, 0, 0]));
    ok(int80(19, [fd as u32, u32::MAX, 2, 0, 0, 0]));
    ok(int80(295, [AT_FDCWD as u32, name, O_RDONLY as u32, 0, 0, 0]));
    // Of 16 bits: the other ones do not count, and all of them mean that it stays.
    ok(int80(182, [name, 0xFFFF, 0x5_0003, 0, 0, 0]));
    ok(int80(23, [0x1_0000, 0, 0, 0, 0, 0]));
    ok(int80(39, [dir, 0o700, 0, 0, 0, 0]));
    ok(int80(12, [dir, 0, 0, 0, 0, 0]));
    int80(33, [name, R_OK as u32, 0, 0, 0, 0]);
    of_two_registers(dir);
    ok(int80(3, [zero as u32, name, 5, 0, 0, 0]));
    ok(int80(6, [fd as u32, 0, 0, 0, 0, 0]));
    int80(6, [777, 0, 0, 0, 0, 0]);
    let socket = ok(int80(359, [AF_INET as u32, SOCK_DGRAM as u32, 0, 0, 0, 0]));
    int80(362, [socket as u32, low as u32 + 200, 16, 0, 0, 0]);
    int80(11, [low as u32 + 300, 0, 0, 0, 0, 0]);
    int80(4321, [1, 2, 3, 4, 5, 6]);
    int80(999, [1, u32::MAX, 3, 4, 5, 6]);
    sigreturn();
    int80(1, [4, 0, 0, 0, 0, 0]);
}

/// Programs that are started by calls of the 32-bit table.
fn executing() {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
    let low = ok(sys!(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, flags, -1, 0)) as u32;
    let (name, argv, none) = (low + 5, low + 100, low + 200);
    // SAFETY: the page was just mapped, and is longer than what it gets.
    unsafe {
        (low as *mut [u8; 10]).write(*b"/bin/true\0");
        (argv as *mut [u32; 2]).write([name, 0]);
    }
    let dir = ok(sys!(SYS_open, c"/bin", O_PATH)) as u32;
    let (execve, execveat) = (11, 358);
    wait(fork(|| int80(execve, [low, argv, none, 0, 0, 0])));
    wait(fork(|| int80(execveat, [AT_FDCWD as u32, low, argv, none, 0, 0])));
    wait(fork(|| {
        int80(execveat, [dir, name, argv, none, AT_SYMLINK_NOFOLLOW as u32, 0])
    }));
    int80(execveat, [dir, low, argv, none, 0x4000_0000, 0]);
}

/// Calls of which a number takes two registers, so that what follows it has another place than of other programs.
fn of_two_registers(dir: u32) {
    const NO_FD: u32 = u32::MAX;
    let advice = POSIX_FADV_DONTNEED as u32;
    int80(378, [NO_FD, 0, 0, 1, 0, RWF_NOWAIT as u32]);
    int80(379, [NO_FD, 0, 0, 1, 0, RWF_DSYNC as u32]);
    int80(250, [NO_FD, 1, 0, 4096, advice, 0]);
    int80(272, [NO_FD, 1, 0, 4096, 0, advice]);
    int80(314, [NO_FD, 1, 0, 4096, 0, SYNC_FILE_RANGE_WRITE]);
    let mask = (FAN_OPEN | FAN_CLOSE_WRITE) as u32;
    int80(339, [NO_FD, FAN_MARK_ADD, mask, 0, AT_FDCWD as u32, dir]);
}

/// Returns from a signal handler that never ran, by the 32-bit entry, to code that goes on as if it was called.
fn sigreturn() {
    const CODE: u32 = 2048;
    const STACK: u32 = 3072;
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
    let prot = PROT_READ | PROT_WRITE | PROT_EXEC;
    let low = ok(sys!(SYS_mmap, 0, 4096, prot, flags, -1, 0)) as u32;
    // struct sigcontext_32 (arch/x86/include/uapi/asm/sigcontext.h), the registers that the process goes on with.
    let mut context = [0_u32; 22];
    let (sp, ax, ip, cs, flags, ss) = (7, 11, 14, 15, 16, 18);
    context[sp] = low + STACK;
    context[ax] = 77;
    context[ip] = low + CODE;
    context[cs] = 0x33;
    context[flags] = 0x202;
    context[ss] = 0x2b;
    // mov rsp, [low + STACK]; ret
    let code = [&[0x48, 0x8b, 0x24, 0x25][..], &(low + STACK).to_ne_bytes(), &[0xc3]].concat();
    let ret: u32;
    // SAFETY: the page was just mapped and holds all three. What the kernel cuts to 32 bits or clears is put back from the
    // stack: the registers that the compiler keeps for itself, and the base of the thread's own data.
    unsafe {
        std::ptr::copy_nonoverlapping(context.as_ptr(), low as *mut u32, context.len());
        std::ptr::copy_nonoverlapping(code.as_ptr(), (low + CODE) as *mut u8, code.len());
        asm!(
            "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15", "push qword ptr fs:[0]",
            "lea rax, [rip + 2f]", "push rax", "mov [rdi + {stack}], rsp", "mov rsp, rdi",
            "mov eax, {sigreturn}", "int 0x80", "ud2",
            "2:", "pop rsi", "push rax", "mov edi, {set_fs}", "mov eax, {arch_prctl}", "syscall", "pop rax",
            "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
            stack = const STACK, sigreturn = const 119, set_fs = const 0x1002, arch_prctl = const SYS_arch_prctl,
            inout("rdi") u64::from(low) => _, out("eax") ret, clobber_abi("C"),
        );
    }
    assert_eq!(ret, 77);
}

/// Refuses one call by a filter, which the kernel asks before the call is made.
fn filter(number: i64, verdict: u32) {
    let load = [0x20_u64, 0];
    let jump = 0x15 | 1 << 24 | (number as u64) << 32;
    let give = |verdict: u32| 0x06 | u64::from(verdict) << 32;
    let program = [load[0], jump, give(verdict), give(SECCOMP_RET_ALLOW)];
    let header = [program.len() as u64, program.as_ptr() as u64];
    ok(sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    ok(sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &header));
}

fn denied() {
    filter(SYS_mkdir, SECCOMP_RET_ERRNO | EPERM as u32);
    sys!(SYS_mkdir, c"denied", 0o700);
    sys!(SYS_rmdir, c"denied");
}

fn killed() {
    filter(SYS_mkdir, SECCOMP_RET_KILL_PROCESS);
    sys!(SYS_mkdir, c"killed", 0o700);
}

#[test]
fn odd_as_root() {
    let Some(compared) = compare::scene("families::odd", "odd", CALLS) else {
        return;
    };
    let unknown: Vec<_> = compared
        .calls("unknown")
        .iter()
        .filter_map(|(_, s)| s.num("nr"))
        .collect();
    for number in NUMBERS {
        assert!(unknown.contains(&number), "{number} in {unknown:?}");
    }
    let folder = compared.traced.folder.to_str().unwrap();
    let (_, newer) = compared.pairs.iter().find(|(_, s)| s.name() == "fchmodat2").unwrap();
    assert_eq!(
        newer.path("filename").unwrap(),
        (format!("{folder}/new").as_bytes(), &b"./new"[..])
    );
    let (_, denied) = compared
        .calls("mkdir")
        .into_iter()
        .find(|(c, _)| c.text.contains("denied"))
        .unwrap();
    assert_eq!(denied.ret, Some(-1));
    assert_eq!(
        denied.path("path").unwrap(),
        (format!("{folder}/denied").as_bytes(), &b"denied"[..])
    );
    let compat: Vec<_> = compared.pairs.iter().filter(|(_, s)| s.spec.id.is_compat()).collect();
    // What a 32-bit program names is recorded as of any other, and marked.
    let marked: Vec<&str> = compat.iter().map(|(_, s)| s.name()).collect();
    let calls = "getpid open write lseek openat chown setuid mkdir chdir access preadv2 pwritev2 fadvise64 fadvise64_64 \
                 sync_file_range fanotify_mark read close close socket connect execve unknown unknown rt_sigreturn exit \
                 execve execveat execveat execveat";
    assert_eq!(marked, calls.split(' ').collect::<Vec<_>>());
    // What started a program is told by the register that it had.
    let execveat = compat.iter().filter(|(_, s)| s.name() == "execveat");
    let told: Vec<_> = execveat.map(|(_, s)| (s.ret, s.num("at_flags"))).collect();
    assert_eq!(
        told,
        [
            (Some(0), Some(0)),
            (Some(0), Some(i64::from(AT_SYMLINK_NOFOLLOW))),
            (Some(-i64::from(EINVAL)), Some(0x4000_0000))
        ]
    );
    let connect = compat.iter().find(|(_, s)| s.name() == "connect").unwrap().1;
    assert_eq!(
        connect.fd.as_ref().unwrap().socket.unwrap().remote.to_string(),
        "127.0.0.1:53"
    );
}
