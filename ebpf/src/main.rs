//! The kernel side of ctrace: what runs in the kernel when a syscall returns, a program starts, a task is made
//! or ends, a cgroup comes or goes.
//!
//! Only what Linux 5.8 has is used: raw tracepoints, the ring buffer, safe reads. The offsets of kernel
//! structures come from user space (`ctrace_wire::offsets`), so one object serves every kernel.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod capture;
mod cgroup;
mod cpu_ring;
mod credentials;
mod environment;
mod exec;
mod file;
mod io_uring;
mod lifecycle;
mod maps;
mod read;
mod scope;
mod scratch;
mod socket;
mod socketcall;
mod syscall;

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};

use crate::io_uring::Completion;

/// A syscall returns.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    syscall::on_exit(ctx.arg(0), ctx.arg(1));
    0
}

/// A syscall is entered. Attached only when some syscall asks for it.
#[btf_tracepoint(function = "sys_enter")]
pub fn sys_enter(ctx: BtfTracePointContext) -> i32 {
    syscall::on_enter(ctx.arg(0), ctx.arg(1));
    0
}

/// The current task gets a name, as by each exec.
#[raw_tracepoint(tracepoint = "task_rename")]
pub fn task_rename(_ctx: RawTracePointContext) -> i32 {
    syscall::on_rename();
    0
}

/// A program has been loaded into the current task.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(ctx: RawTracePointContext) -> i32 {
    exec::on_exec(ctx.arg::<usize>(0), ctx.arg::<usize>(1) as u32, ctx.arg::<usize>(2));
    0
}

/// The current task has made another, which does not run yet.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn process_fork(ctx: RawTracePointContext) -> i32 {
    lifecycle::on_fork(ctx.arg::<usize>(1));
    0
}

/// The current task ends.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(ctx: RawTracePointContext) -> i32 {
    lifecycle::on_exit(ctx.arg::<usize>(0));
    0
}

/// A cgroup was made.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: RawTracePointContext) -> i32 {
    cgroup::on_change(
        ctx.arg::<usize>(0),
        ctx.arg::<usize>(1),
        ctrace_wire::record::KIND_CGROUP_MKDIR,
    );
    0
}

/// A cgroup was removed.
#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: RawTracePointContext) -> i32 {
    cgroup::on_change(
        ctx.arg::<usize>(0),
        ctx.arg::<usize>(1),
        ctrace_wire::record::KIND_CGROUP_RMDIR,
    );
    0
}

/// A task is put into a cgroup. Attached only where that can bring it into the scope.
#[raw_tracepoint(tracepoint = "cgroup_attach_task")]
pub fn cgroup_attach(ctx: RawTracePointContext) -> i32 {
    scope::on_attach(ctx.arg::<usize>(0), ctx.arg::<usize>(2));
    0
}

/// A request was submitted to an io_uring: `io_uring_submit_req`, before Linux 6.3 `io_uring_submit_sqe`.
#[raw_tracepoint(tracepoint = "io_uring_submit_req")]
pub fn io_uring_submit(ctx: RawTracePointContext) -> i32 {
    io_uring::on_submit(ctx.arg::<usize>(0));
    0
}

/// A request of an io_uring has a result. The tracepoint gives it in numbers.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub fn io_uring_complete(ctx: RawTracePointContext) -> i32 {
    let result = Completion {
        user_data: ctx.arg::<usize>(2) as u64,
        res: ctx.arg::<usize>(3) as i32,
        flags: ctx.arg::<usize>(4) as u32,
    };
    io_uring::on_complete(ctx.arg::<usize>(0), ctx.arg::<usize>(1), result);
    0
}

/// The same where the tracepoint gives it as it lies in the ring.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub fn io_uring_complete_cqe(ctx: RawTracePointContext) -> i32 {
    let result = read::kernel::<Completion>(ctx.arg::<usize>(2));
    io_uring::on_complete(ctx.arg::<usize>(0), ctx.arg::<usize>(1), result);
    0
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses a program in which this can be reached.
    loop {}
}

// Reading kernel memory is for programs that declare a licence compatible with the kernel's.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
