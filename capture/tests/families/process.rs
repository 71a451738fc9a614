//! Process life: made, named, moved between sessions and namespaces, traced, ended.

use std::arch::asm;
use std::ffi::CString;

use libc::*;

use crate::compare;
use crate::scene::{fork, leave, ok, sys, wait};
use crate::seen::Value;

/// `CLONE_CLEAR_SIGHAND` (linux/sched.h), which does not fit the C library's type.
const CLEAR_SIGHAND: u64 = 0x1_0000_0000;

const CALLS: &[&str] = &[
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "wait4",
    "waitid",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "prctl",
    "setsid",
    "setpgid",
    "getpgid",
    "getsid",
    "ptrace",
    "setns",
    "unshare",
    "seccomp",
    "getpid",
    "getppid",
    "gettid",
    "personality",
    "prlimit",
];

pub(crate) fn scene() {
    making();
    executing();
    signals();
    names();
    sessions();
    namespaces();
    control();
}

fn making() {
    wait(fork(|| sys!(SYS_getppid)));
    // The stack pointer 0 means: the same.
    let child = ok(sys!(
        SYS_clone,
        i64::from(SIGCHLD | CLONE_PTRACE) | i64::from(CLONE_IO as u32),
        0,
        0,
        0,
        0
    ));
    if child == 0 {
        leave(|| ());
    }
    wait(child);
    let child = ok(sys!(SYS_clone, SIGCHLD | CLONE_VFORK, 0, 0, 0, 0));
    if child == 0 {
        sys!(SYS_exit, 9);
    }
    wait(child);
    let arguments = [CLEAR_SIGHAND, 0, 0, 0, SIGCHLD as u64, 0, 0, 0];
    let child = ok(sys!(SYS_clone3, &arguments, 64));
    if child == 0 {
        leave(|| sys!(SYS_getppid));
    }
    wait(child);
    sys!(SYS_clone3, &arguments, 1);
    wait(vfork());
    // A grandchild whose parent is its maker's.
    let parent = sys!(SYS_getpid);
    let child = fork(|| {
        let sibling = ok(sys!(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
        if sibling == 0 {
            leave(|| assert_eq!(sys!(SYS_getppid), parent));
        }
    });
    wait(child);
    wait(-1);
    let thread = std::thread::spawn(|| {
        sys!(SYS_gettid);
        sys!(SYS_getpid);
        wait(fork(|| sys!(SYS_getppid)));
    });
    thread.join().unwrap();
}

/// The child must not touch the stack that it shares with its parent.
fn vfork() -> i64 {
    let child: i64;
    // SAFETY: between the two calls the child uses registers only, and it does not come back.
    unsafe {
        asm!(
            "syscall", "test rax, rax", "jnz 2f", "mov edi, 5", "mov eax, {exit}", "syscall", "ud2", "2:",
            exit = const SYS_exit_group,
            inlateout("rax") SYS_vfork => child, out("rcx") _, out("r11") _, out("rdi") _,
        );
    }
    ok(child)
}

fn executing() {
    let argv = [
        c"true".as_ptr(),
        c"one argument".as_ptr(),
        c"".as_ptr(),
        std::ptr::null(),
    ];
    let env = [c"A=b".as_ptr(), std::ptr::null()];
    wait(fork(|| sys!(SYS_execve, c"/bin/true", &argv, &env)));
    wait(fork(|| {
        let file = ok(sys!(SYS_open, c"/bin/true", O_RDONLY | O_CLOEXEC));
        sys!(SYS_execveat, file, c"", &argv, &env, AT_EMPTY_PATH);
    }));
    wait(fork(|| {
        ok(sys!(SYS_chdir, c"/usr"));
        sys!(SYS_execve, c"bin/true", &argv, &env);
    }));
    wait(fork(|| {
        let dir = ok(sys!(SYS_open, c"/usr/bin", O_PATH));
        sys!(SYS_execveat, dir, c"true", &argv, &env, 0);
    }));
    let script = ok(sys!(SYS_open, c"script", O_WRONLY | O_CREAT, 0o755));
    ok(sys!(SYS_write, script, b"#!/bin/sh\nexit 3\n", 17));
    sys!(SYS_close, script);
    wait(fork(|| sys!(SYS_execve, c"./script", &argv, &env)));
    ok(sys!(SYS_symlink, c"/bin/true", c"a long name of a program"));
    wait(fork(|| sys!(SYS_execve, c"a long name of a program", &argv, &env)));
    wait(fork(|| {
        let script = ok(sys!(SYS_open, c"script", O_RDONLY));
        sys!(SYS_execveat, script, c"", &argv, &env, AT_EMPTY_PATH);
    }));
    // The name that the kernel makes of a descriptor.
    wait(fork(|| {
        let program = ok(sys!(SYS_open, c"/bin/true", O_RDONLY));
        assert_eq!(program, 3);
        sys!(SYS_execve, c"/dev/fd/3", &argv, &env);
    }));
    refused(&argv, &env);
    sys!(SYS_execve, c"missing", &argv, &env);
    sys!(SYS_execve, c"/etc/passwd", &argv, &env);
    sys!(SYS_execve, c"", &argv, &env);
    sys!(SYS_execve, 0, &argv, &env);
    sys!(SYS_execveat, 777, c"x", &argv, &env, 0);
    sys!(
        SYS_execveat,
        AT_FDCWD,
        c"script",
        &argv,
        &env,
        AT_SYMLINK_NOFOLLOW | 0x4000_0000
    );
}

/// Arguments of programs that do not start.
fn refused(argv: &[*const c_char; 4], env: &[*const c_char; 2]) {
    let long = vec![b'x'; 5000];
    let long = CString::new(long).unwrap();
    sys!(
        SYS_execve,
        c"missing",
        &[argv[0], long.as_ptr(), argv[1], std::ptr::null()],
        env
    );
    let mut many = [argv[0]; 201];
    many[200] = std::ptr::null();
    sys!(SYS_execve, c"missing", &many, env);
    sys!(SYS_execve, c"missing", &[std::ptr::null::<c_char>()], env);
    sys!(SYS_execve, c"missing", 0, env);
    sys!(SYS_execve, c"missing", 1, env);
    sys!(SYS_execveat, AT_FDCWD, c"missing", argv, env, 0);
}

fn signals() {
    for signal in [SIGTERM, SIGKILL] {
        let child = fork(|| sys!(SYS_pause));
        ok(sys!(SYS_kill, child, signal));
        wait(child);
    }
    let me = sys!(SYS_getpid);
    ok(sys!(SYS_kill, me, 0));
    sys!(SYS_kill, 0x3FFF_FFFF, SIGHUP);
    ok(sys!(SYS_tkill, me, 0));
    ok(sys!(SYS_tgkill, me, me, 0));
    sys!(SYS_tgkill, me, 0x3FFF_FFFF, SIGUSR1);
    sys!(SYS_rt_sigqueueinfo, 0x3FFF_FFFF, SIGUSR1, &[0_u64; 16]);
    wait(fork(|| sys!(SYS_tkill, sys!(SYS_gettid), SIGABRT)));
    let child = fork(|| ());
    ok(sys!(SYS_waitid, P_PID, child, &mut [0_u64; 16], WEXITED | WNOWAIT, 0));
    wait(child);
    sys!(SYS_wait4, -1, 0, WNOHANG | WUNTRACED, 0);
    sys!(SYS_wait4, -1, 0, WNOHANG | __WALL | __WNOTHREAD | __WCLONE, 0);
    for kind in [P_ALL, P_PGID, P_PIDFD, 9] {
        sys!(SYS_waitid, kind, 0x3FFF_FFFF, 0, WEXITED | WNOHANG, 0);
    }
}

fn names() {
    wait(fork(|| {
        ok(sys!(SYS_prctl, PR_SET_NAME, c"a new name"));
        ok(sys!(SYS_prctl, PR_GET_NAME, &mut [0_u8; 16]));
        sys!(SYS_getpid);
        ok(sys!(SYS_prctl, PR_SET_NAME, c"longer than fifteen bytes"));
        wait(fork(|| sys!(SYS_getpid)));
        ok(sys!(SYS_prctl, PR_SET_DUMPABLE, 0));
        ok(sys!(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        ok(sys!(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL));
        sys!(SYS_prctl, 424_242, 1, 2, 3, 4);
    }));
}

fn sessions() {
    wait(fork(|| {
        ok(sys!(SYS_setsid));
        sys!(SYS_setsid);
        let child = fork(|| {
            ok(sys!(SYS_setpgid, 0, 0));
            ok(sys!(SYS_getpgid, 0));
            ok(sys!(SYS_getsid, 0));
        });
        wait(child);
        let child = fork(|| sys!(SYS_pause));
        ok(sys!(SYS_setpgid, child, child));
        sys!(SYS_setpgid, 1, 1);
        ok(sys!(SYS_kill, -child, SIGKILL));
        wait(child);
    }));
}

fn namespaces() {
    wait(fork(|| {
        ok(sys!(SYS_unshare, CLONE_NEWUTS | CLONE_NEWIPC));
        ok(sys!(SYS_unshare, CLONE_FS | CLONE_FILES));
        sys!(SYS_unshare, 4);
        let fd = ok(sys!(SYS_open, c"/proc/self/ns/uts", O_RDONLY));
        ok(sys!(SYS_setns, fd, CLONE_NEWUTS));
        sys!(SYS_setns, fd, CLONE_NEWNET);
        sys!(SYS_setns, 777, 0);
        ok(sys!(SYS_unshare, CLONE_NEWPID));
        wait(fork(|| sys!(SYS_getpid)));
    }));
    wait(fork(|| {
        ok(sys!(SYS_unshare, CLONE_NEWNS | CLONE_NEWNET));
        sys!(SYS_open, c"script", O_RDONLY);
    }));
    wait(fork(|| {
        ok(sys!(SYS_unshare, CLONE_NEWUSER));
        sys!(SYS_setuid, 5);
    }));
}

fn control() {
    // The first is already traced; the second is nobody's.
    sys!(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
    sys!(SYS_ptrace, PTRACE_ATTACH, 0x3FFF_FFFF, 0, 0);
    sys!(SYS_ptrace, PTRACE_PEEKDATA, 0x3FFF_FFFF, 0x1000, 0x2000);
    sys!(SYS_ptrace, PTRACE_SEIZE, 0x3FFF_FFFF, 0, 0);
    sys!(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &[SECCOMP_RET_ERRNO]);
    sys!(SYS_seccomp, 9, 0, 0);
    sys!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0x3F, 0);
    sys!(SYS_personality, -1);
    wait(fork(|| {
        ok(sys!(SYS_personality, 0x8 | ADDR_NO_RANDOMIZE | MMAP_PAGE_ZERO));
        ok(sys!(SYS_personality, 0x0FFE_0000));
        for kind in 0..=0x11 {
            ok(sys!(SYS_personality, kind));
        }
    }));
    ok(sys!(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &mut [0_u64; 2]));
}

#[test]
fn process_as_root() {
    let Some(compared) = compare::scene("families::process", "process", CALLS) else {
        return;
    };
    let (_, program) = compared
        .calls("execve")
        .into_iter()
        .find(|(c, _)| c.text.contains("one argument"))
        .unwrap();
    assert_eq!(program.image.argv, b"true\0one argument\0");
    let (_, script) = compared
        .calls("execve")
        .into_iter()
        .find(|(c, _)| c.text.contains("./script"))
        .unwrap();
    let of_descriptor = compared.calls("execveat").into_iter();
    let paths = of_descriptor
        .filter(|(c, _)| c.succeeded())
        .map(|(_, s)| s.path("filename").unwrap());
    let scripts = paths.filter(|(path, raw)| path.ends_with(b"/script") && raw.starts_with(b"/dev/fd/"));
    assert_eq!(scripts.count(), 1);
    let cut = compared
        .calls("execve")
        .into_iter()
        .filter_map(|(_, s)| match s.args.get("args") {
            Some(Value::Str(args)) if memchr::memmem::find(args, b"...").is_some() => Some(args.len()),
            _ => None,
        });
    // 4,095 bytes of one, and 127 of 199.
    assert_eq!(cut.collect::<Vec<_>>(), [4095 + 4 + 13, 127 * 5 + 3]);
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(
        (&script.image.exe[..], &script.image.name[..]),
        (shell.to_str().unwrap().as_bytes(), &b"script"[..])
    );
    // A session and a group are those of the process that began them.
    let (_, begun) = compared
        .calls("setsid")
        .into_iter()
        .find(|(c, _)| c.succeeded())
        .unwrap();
    assert_eq!((begun.image.sid, begun.image.pgid), (begun.image.pid, begun.image.pid));
    for (call, seen) in compared.calls("getpgid").into_iter().chain(compared.calls("getsid")) {
        let is = if call.name == "getsid" {
            seen.image.sid
        } else {
            seen.image.pgid
        };
        assert_eq!(seen.ret, Some(i64::from(is)), "{}", call.text);
    }
}
