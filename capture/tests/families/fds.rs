//! Descriptors of what is no file.

use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};

const CALLS: &[&str] = &[
    "pipe",
    "pipe2",
    "eventfd",
    "eventfd2",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "inotify_init",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "memfd_create",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "userfaultfd",
    "fanotify_init",
    "fanotify_mark",
    "memfd_secret",
];

pub(crate) fn scene() {
    let mut made = Vec::new();
    let mut pair = [0_i32; 2];
    ok(sys!(SYS_pipe, &mut pair));
    made.extend(pair.map(i64::from));
    ok(sys!(SYS_pipe2, &mut pair, O_CLOEXEC | O_NONBLOCK));
    made.extend(pair.map(i64::from));
    sys!(SYS_pipe2, &mut pair, 1);
    sys!(SYS_pipe, 8);
    made.push(ok(sys!(SYS_eventfd, 7)));
    made.push(ok(sys!(SYS_eventfd2, 0, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)));
    let poll = ok(sys!(SYS_epoll_create1, EPOLL_CLOEXEC));
    made.extend([ok(sys!(SYS_epoll_create, 10)), poll]);
    ok(sys!(SYS_epoll_ctl, poll, EPOLL_CTL_ADD, pair[0], &[0_u64; 2]));
    ok(sys!(SYS_epoll_ctl, poll, EPOLL_CTL_MOD, pair[0], &[0_u64; 2]));
    sys!(SYS_epoll_ctl, poll, EPOLL_CTL_ADD, pair[0], &[0_u64; 2]);
    let mut events = [0_u64; 8];
    ok(sys!(SYS_epoll_wait, poll, &mut events, 4, 0));
    ok(sys!(SYS_epoll_pwait, poll, &mut events, 2, 0, 0, 8));
    let mask = [1_u64 << (SIGUSR1 - 1)];
    let signals = ok(sys!(SYS_signalfd4, -1, &mask, 8, SFD_CLOEXEC | SFD_NONBLOCK));
    made.extend([ok(sys!(SYS_signalfd, -1, &mask, 8)), signals]);
    ok(sys!(SYS_signalfd4, signals, &mask, 8, 0));
    let timer = ok(sys!(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    made.push(timer);
    ok(sys!(SYS_timerfd_settime, timer, 0, &[0_u64, 0, 100, 0], 0));
    sys!(
        SYS_timerfd_settime,
        timer,
        TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
        &[0_u64; 4],
        0
    );
    sys!(SYS_timerfd_create, 99, 0);
    ok(sys!(SYS_timerfd_gettime, timer, &mut [0_u64; 4]));
    watches(&mut made);
    memory(&mut made);
    processes(&mut made);
    let fault = sys!(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    made.extend(Some(fault).filter(|fd| *fd >= 0));
    for fd in &made {
        sys!(SYS_fcntl, *fd, F_GETFL);
        let copy = ok(sys!(SYS_dup, *fd));
        sys!(SYS_fstat, copy, &mut [0_u64; 18]);
        sys!(SYS_close, copy);
    }
    for fd in made {
        ok(sys!(SYS_close, fd));
    }
}

const UFFD_USER_MODE_ONLY: i32 = 1;

fn watches(made: &mut Vec<i64>) {
    made.push(ok(sys!(SYS_inotify_init)));
    let watch = ok(sys!(SYS_inotify_init1, IN_CLOEXEC | IN_NONBLOCK));
    made.push(watch);
    let wd = ok(sys!(SYS_inotify_add_watch, watch, c".", IN_CREATE | IN_DELETE));
    sys!(SYS_inotify_add_watch, watch, c"missing", IN_OPEN);
    sys!(SYS_inotify_add_watch, watch, c"missing", 0xF700_EFFF_u32);
    ok(sys!(SYS_inotify_rm_watch, watch, wd));
    sys!(SYS_fanotify_init, 0x1FF4, O_RDONLY);
    let all = sys!(SYS_fanotify_init, FAN_CLOEXEC | FAN_CLASS_NOTIF, O_RDONLY | O_LARGEFILE);
    if all >= 0 {
        made.push(all);
        sys!(SYS_fanotify_mark, all, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, c".");
        sys!(SYS_fanotify_mark, all, 0x6EF, 0x5807_DFFF_i64, AT_FDCWD, c".");
        sys!(
            SYS_fanotify_mark,
            all,
            FAN_MARK_MOUNT | FAN_MARK_FLUSH,
            0,
            AT_FDCWD,
            c"."
        );
    }
}

fn memory(made: &mut Vec<i64>) {
    made.push(ok(sys!(
        SYS_memfd_create,
        c"in memory",
        MFD_CLOEXEC | MFD_ALLOW_SEALING
    )));
    made.push(ok(sys!(SYS_memfd_create, c"", 0)));
    sys!(SYS_memfd_create, 0, 0);
    sys!(SYS_memfd_create, c"x", 0x4000_0000);
    made.extend(Some(sys!(SYS_memfd_secret, O_CLOEXEC)).filter(|fd| *fd >= 0));
}

fn processes(made: &mut Vec<i64>) {
    let child = fork(|| {
        sys!(SYS_pause);
    });
    let handle = ok(sys!(SYS_pidfd_open, child, 0));
    made.push(handle);
    sys!(SYS_pidfd_open, 0, 0);
    sys!(SYS_pidfd_open, 0, PIDFD_NONBLOCK);
    made.push(ok(sys!(SYS_pidfd_getfd, handle, 1, 0)));
    ok(sys!(SYS_pidfd_send_signal, handle, SIGKILL, 0, 0));
    wait(child);
}

#[test]
fn fds_as_root() {
    compare::scene("families::fds", "fds", CALLS);
}
