//! Time, turns on the processor, limits.

use libc::*;

use crate::compare;
use crate::scene::{ok, sys};

const CALLS: &[&str] = &[
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_getparam",
    "sched_setparam",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_rr_get_interval",
    "sched_yield",
    "getpriority",
    "setpriority",
    "ioprio_get",
    "ioprio_set",
    "getrlimit",
    "setrlimit",
    "getrusage",
    "times",
    "getcpu",
    "time",
    "gettimeofday",
    "clock_gettime",
    "clock_getres",
    "clock_settime",
    "clock_nanosleep",
    "nanosleep",
    "getitimer",
    "setitimer",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "sysinfo",
    "arch_prctl",
    "set_tid_address",
    "getpgrp",
    "iopl",
    "ioperm",
    "process_madvise",
    "process_vm_writev",
    "pkey_free",
    "pkey_mprotect",
    "kexec_load",
];

pub(crate) fn scene() {
    scheduling();
    limits();
    time();
    timers();
    others();
}

fn scheduling() {
    ok(sys!(SYS_sched_getscheduler, 0));
    ok(sys!(SYS_sched_getparam, 0, &mut [0_i32]));
    ok(sys!(SYS_sched_setscheduler, 0, SCHED_BATCH, &[0_i32]));
    ok(sys!(SYS_sched_setparam, 0, &[0_i32]));
    sys!(SYS_sched_setparam, 0x3FFF_FFFF, &[0_i32]);
    let mut cpus = [0_u64; 128];
    let len = ok(sys!(SYS_sched_getaffinity, 0, 1024, &mut cpus));
    ok(sys!(SYS_sched_setaffinity, 0, len, &cpus));
    ok(sys!(SYS_sched_get_priority_max, SCHED_FIFO));
    for policy in [SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, 4, 99] {
        sys!(SYS_sched_get_priority_max, policy);
    }
    ok(sys!(SYS_sched_get_priority_min, SCHED_RR));
    ok(sys!(SYS_sched_rr_get_interval, 0, &mut [0_i64; 2]));
    ok(sys!(SYS_sched_yield));
    ok(sys!(SYS_getcpu, &mut [0_u32], &mut [0_u32], 0));
}

fn limits() {
    ok(sys!(SYS_getpriority, PRIO_PROCESS, 0));
    ok(sys!(SYS_setpriority, PRIO_PROCESS, 0, 5));
    sys!(SYS_setpriority, 77, 0, 5);
    sys!(SYS_getpriority, PRIO_PGRP, 0x3FFF_FFFF);
    sys!(SYS_getpriority, PRIO_USER, 0x3FFF_FFFF);
    ok(sys!(SYS_ioprio_get, 1, 0));
    sys!(SYS_ioprio_get, 9, 0);
    // Best effort, the fourth level; real time and idle, of nobody.
    ok(sys!(SYS_ioprio_set, 1, 0, 0x4004));
    sys!(SYS_ioprio_set, 2, 0x3FFF_FFFF, 0x2000);
    sys!(SYS_ioprio_set, 3, 0x3FFF_FFFF, 0x6007);
    let mut limit = [0_u64; 2];
    ok(sys!(SYS_getrlimit, RLIMIT_CORE, &mut limit));
    ok(sys!(SYS_setrlimit, RLIMIT_CORE, &limit));
    for who in [RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD] {
        ok(sys!(SYS_getrusage, who, &mut [0_u64; 18]));
    }
    sys!(SYS_getrusage, -2, 0);
    ok(sys!(SYS_times, &mut [0_u64; 4]));
}

fn time() {
    ok(sys!(SYS_time, 0));
    ok(sys!(SYS_gettimeofday, &mut [0_i64; 2], 0));
    ok(sys!(SYS_clock_gettime, CLOCK_BOOTTIME, &mut [0_i64; 2]));
    // The last are no clock, and that of this process by another number.
    for clock in (0..12).chain([99, -6]) {
        sys!(SYS_clock_getres, clock, &mut [0_i64; 2]);
    }
    // A clock that cannot be set.
    sys!(SYS_clock_settime, CLOCK_MONOTONIC, &[1_i64, 0]);
    let short = [0_i64, 1000];
    ok(sys!(SYS_nanosleep, &short, 0));
    ok(sys!(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &short, 0));
    ok(sys!(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, &short, 0));
}

fn timers() {
    ok(sys!(
        SYS_setitimer,
        ITIMER_VIRTUAL,
        &[0_i64, 0, 1000, 0],
        &mut [0_i64; 4]
    ));
    ok(sys!(SYS_getitimer, ITIMER_VIRTUAL, &mut [0_i64; 4]));
    ok(sys!(SYS_setitimer, ITIMER_VIRTUAL, &[0_i64; 4], 0));
    ok(sys!(SYS_getitimer, ITIMER_REAL, &mut [0_i64; 4]));
    ok(sys!(SYS_getitimer, ITIMER_PROF, &mut [0_i64; 4]));
    // struct sigevent: value, signal, how (none).
    let mut event = [0_i32; 16];
    event[3] = SIGEV_NONE;
    let mut timer = [0_i32];
    ok(sys!(SYS_timer_create, CLOCK_MONOTONIC, &event, &mut timer));
    let timer = timer[0];
    ok(sys!(SYS_timer_settime, timer, 0, &[0_i64, 0, 1000, 0], &mut [0_i64; 4]));
    ok(sys!(SYS_timer_settime, timer, TIMER_ABSTIME, &[0_i64; 4], 0));
    ok(sys!(SYS_timer_gettime, timer, &mut [0_i64; 4]));
    ok(sys!(SYS_timer_getoverrun, timer));
    ok(sys!(SYS_timer_delete, timer));
    sys!(SYS_timer_delete, 4242);
}

fn others() {
    const ARCH_GET_FS: i32 = 0x1003;
    ok(sys!(SYS_sysinfo, &mut [0_u64; 16]));
    ok(sys!(SYS_arch_prctl, ARCH_GET_FS, &mut [0_u64]));
    for code in [0x1001, 0x1011, 0x1022, 0x2001, 4242] {
        // Addresses that cannot be, and questions without a place for the answer.
        sys!(SYS_arch_prctl, code, -1_i64);
    }
    ok(sys!(SYS_set_tid_address, 0));
    ok(sys!(SYS_getpgrp));
    sys!(SYS_iopl, 9);
    sys!(SYS_ioperm, 70_000, 1, 1);
    sys!(SYS_process_madvise, -1, 0, 0, 0, 0);
    sys!(SYS_process_vm_writev, 0x3FFF_FFFF, 0, 0, 0, 0, 0);
    sys!(SYS_pkey_free, 15);
    sys!(SYS_pkey_mprotect, 1, 4096, PROT_READ, 15);
    // More segments than there may be.
    sys!(SYS_kexec_load, 0, 1000, 0, 0x003E_0000);
    sys!(SYS_kexec_load, 0, 1000, 0, 0x0003_0003);
}

#[test]
fn tasks_as_root() {
    compare::scene("families::tasks", "tasks", CALLS);
}
