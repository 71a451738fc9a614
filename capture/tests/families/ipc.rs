//! Queues, semaphores and signals between processes.

use std::ffi::CStr;

use libc::*;

use crate::compare;
use crate::scene::{ok, sys};

const CALLS: &[&str] = &[
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "semget",
    "semop",
    "semtimedop",
    "semctl",
    "mq_open",
    "mq_timedsend",
    "mq_timedreceive",
    "mq_getsetattr",
    "mq_unlink",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sigaltstack",
    "alarm",
    "futex",
    "set_robust_list",
    "get_robust_list",
];

pub(crate) fn scene() {
    queues();
    semaphores();
    posix_queues();
    signals();
    waiting();
}

fn queues() {
    let queue = ok(sys!(SYS_msgget, IPC_PRIVATE, IPC_CREAT | IPC_EXCL | 0o600));
    let message = [7_u64, u64::from_le_bytes(*b"message\0")];
    ok(sys!(SYS_msgsnd, queue, &message, 8, IPC_NOWAIT));
    let mut room = [0_u64; 4];
    ok(sys!(SYS_msgrcv, queue, &mut room, 24, 7, MSG_NOERROR));
    sys!(SYS_msgrcv, queue, &mut room, 24, -9, IPC_NOWAIT);
    ok(sys!(SYS_msgctl, queue, IPC_RMID, 0));
    for command in [IPC_STAT, IPC_SET, 11, 12, 13, 0x10B, 99] {
        sys!(SYS_msgctl, -1, command, 0);
    }
    sys!(SYS_msgget, 0x7000_1234, 0);
}

fn semaphores() {
    let set = ok(sys!(SYS_semget, IPC_PRIVATE, 2, IPC_CREAT | 0o640));
    ok(sys!(SYS_semctl, set, 1, SETVAL, 5));
    ok(sys!(SYS_semctl, set, 1, GETVAL, 0));
    // Number and change in one word: the second, by -2.
    ok(sys!(SYS_semop, set, &[1_u16, 0xFFFE, 0], 1));
    let no_time = [0_i64; 2];
    sys!(SYS_semtimedop, set, &[0_u16, 0xFFFF, 0], 1, &no_time);
    ok(sys!(SYS_semctl, set, 0, IPC_RMID, 0));
}

fn posix_queues() {
    const NAME: &CStr = c"ctrace-test-queue";
    // Nine messages of 64 bytes.
    let attributes = [0_i64, 9, 64, 0, 0, 0, 0, 0];
    let flags = O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC;
    let queue = sys!(SYS_mq_open, NAME, flags, 0o600, &attributes);
    sys!(SYS_mq_timedsend, queue, b"hello", 5, 3, 0);
    sys!(SYS_mq_timedreceive, queue, &mut [0_u8; 64], 64, &mut [0_u32], 0);
    sys!(SYS_mq_getsetattr, queue, 0, &mut [0_i64; 8]);
    sys!(SYS_mq_unlink, NAME);
    sys!(SYS_mq_unlink, c"ctrace-no-such-queue");
}

fn signals() {
    let mut old = [0_u64; 4];
    // Handler, flags, restorer, mask.
    ok(sys!(SYS_rt_sigaction, SIGUSR2, &[1_u64, 0, 0, 0], &mut old, 8));
    sys!(SYS_rt_sigaction, SIGKILL, &[1_u64, 0, 0, 0], 0, 8);
    let usr1 = [1_u64 << (SIGUSR1 - 1)];
    ok(sys!(SYS_rt_sigprocmask, SIG_BLOCK, &usr1, &mut [0_u64], 8));
    let (pid, tid) = (ok(sys!(SYS_getpid)), ok(sys!(SYS_gettid)));
    // siginfo_t: number, error, code (from a queue).
    let mut info = [0_i32; 32];
    (info[0], info[2]) = (SIGUSR1, -1);
    ok(sys!(SYS_rt_tgsigqueueinfo, pid, tid, SIGUSR1, &info));
    ok(sys!(SYS_rt_sigpending, &mut [0_u64], 8));
    ok(sys!(SYS_rt_sigtimedwait, &usr1, &mut [0_i32; 32], &[0_i64; 2], 8));
    sys!(SYS_rt_sigtimedwait, &usr1, 0, &[0_i64; 2], 8);
    ok(sys!(SYS_sigaltstack, 0, &mut [0_u64; 3]));
    ok(sys!(SYS_alarm, 1000));
    ok(sys!(SYS_alarm, 0));
}

fn waiting() {
    let word = [5_i32];
    sys!(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
    sys!(SYS_futex, &word, FUTEX_WAIT, 6, 0, 0, 0);
    let mut list = [0_u64];
    let mut len = [0_u64];
    ok(sys!(SYS_get_robust_list, 0, &mut list, &mut len));
    ok(sys!(SYS_set_robust_list, list[0], len[0]));
}

#[test]
fn ipc_as_root() {
    compare::scene("families::ipc", "ipc", CALLS);
}
