//! Tasks that come and go.

use aya_ebpf::helpers::generated as helper;
use ctrace_wire::{
    offsets::MISSING,
    record::{Exit, FLAG_COMPAT, Fork, KIND_EXIT, KIND_FORK, NO_CALL, SHARED_FILES, SHARED_FS},
    spec::{Lane, SELECTED},
};

use crate::{
    maps,
    read::{self, Current, member, offset, own_pid, pointer},
    scope, syscall,
};

pub fn on_fork(child: usize) {
    let (child_vtid, child_pid_ns) = own_pid(pointer!(child, task_thread_pid));
    let (child_vpid, _) = own_pid(pointer!(pointer!(child, task_group_leader), task_thread_pid));
    let cgroup = pointer!(pointer!(child, task_cgroups), css_set_dfl_cgrp);
    let current = Current::get();
    let tgid = member!(child, task_tgid, u32::MAX);
    let flags = scope::flags(current.tgid);
    if tgid != current.tgid {
        scope::on_fork(current.tgid, tgid, cgroup);
    }
    let shared = shared(child, tgid == current.tgid);
    maps::submit_fixed::<Fork>(Lane::Priority, |fork| {
        let mut header = read::header(KIND_FORK, flags, current, read::cpu());
        header.len = size_of::<Fork>() as u32;
        // SAFETY: fork is a reserved ring entry.
        unsafe {
            (*fork).child_tgid = tgid;
            (*fork).child_tid = member!(child, task_pid, u32::MAX);
            (*fork).child_start = member!(child, task_start, u64::MAX);
            (*fork).child_cgroup = member!(pointer!(cgroup, cgroup_kn), kernfs_node_id, header.cgroup);
            (*fork).child_vtid = child_vtid;
            (*fork).child_vpid = child_vpid;
            (*fork).child_ppid = member!(pointer!(child, task_real_parent), task_tgid, u32::MAX);
            (*fork).child_pid_ns = child_pid_ns;
            (*fork).shared = shared;
            (*fork).reserved = 0;
            (*fork).comm = member!(child, task_comm, [0; 16]);
            (*fork).header = header;
        }
    });
}

/// What a child has in common with the task that makes it, as `SHARED_*` bits.
#[inline(always)]
fn shared(child: usize, is_thread: bool) -> u32 {
    let task = read::current_task();
    let has_one = |of_child: usize, own: usize| match of_child {
        // It has none, or that is not known: threads commonly have one, processes each their own.
        0 => is_thread,
        _ => of_child == own,
    };
    let mut shared = 0;
    if has_one(pointer!(child, task_fs), pointer!(task, task_fs)) {
        shared |= SHARED_FS;
    }
    if has_one(pointer!(child, task_files), pointer!(task, task_files)) {
        shared |= SHARED_FILES;
    }
    // Those of the kernel share all with each other, and make no calls.
    if !is_thread && shared != 0 && pointer!(child, task_mm) == 0 {
        return 0;
    }
    shared
}

// arch/x86/entry/syscalls: exit and exit_group of both tables.
const EXIT: [u32; 2] = [60, 231];
const EXIT_32: [u32; 2] = [1, 252];
// arch/x86/include/asm/page_64_types.h, without KASAN.
const STACK_SIZE: usize = 16384;
// arch/x86/include/asm/thread_info.h: TOP_OF_KERNEL_STACK_PADDING, without and with FRED.
const STACK_PADDINGS: [usize; 2] = [0, 16];
// arch/x86/include/asm/segment.h: code segments of user space.
const USER_CS: u16 = 0x33;
const USER32_CS: u16 = 0x23;

pub fn on_exit(task: usize) {
    let signal = pointer!(task, task_signal);
    let exit_code: u32 = member!(task, task_exit_code, u32::MAX);
    let current = Current::get();
    let compat = syscall::in_compat_call(current.task);
    let regs = user_registers(task);
    let (call, status) = own_end(regs, exit_code, compat);
    let flags = scope::flags(current.tgid);
    maps::submit_fixed::<Exit>(Lane::Priority, |exit| {
        let mut header = read::header(KIND_EXIT, flags, current, read::cpu());
        header.len = size_of::<Exit>() as u32;
        // SAFETY: exit is a reserved ring entry.
        unsafe {
            (*exit).header = header;
            if compat && call != NO_CALL {
                (*exit).header.flags |= FLAG_COMPAT;
            }
            (*exit).exit_code = exit_code;
            // do_exit counts the thread out of signal->live before the tracepoint.
            (*exit).threads_left = member!(signal, signal_live, u32::MAX);
            (*exit).group_exit_code = member!(signal, signal_group_exit_code, 0);
            (*exit).call = call;
            (*exit).status = status;
            (*exit).reserved = 0;
            (*exit).start = member!(task, task_start, u64::MAX);
            helper::bpf_get_current_comm((&raw mut (*exit).comm).cast(), 16);
        }
    });
}

/// The call by which the thread ended itself and what it was given. It never returns, so that this is the place to
/// record it.
#[inline(always)]
fn own_end(regs: usize, exit_code: u32, compat: bool) -> (u32, i32) {
    let call = member!(regs, regs_orig_ax, u64::MAX) as u32;
    let ends = if compat { EXIT_32 } else { EXIT };
    // A signal may have ended it in any call, also in one of these, where seccomp refused it.
    if exit_code & 0x7f != 0 || (call != ends[0] && call != ends[1]) {
        return (NO_CALL, 0);
    }
    match maps::spec(call, compat) {
        Some(spec) if spec.flags & SELECTED != 0 => {}
        _ => return (NO_CALL, 0),
    }
    let status = if compat {
        member!(regs, regs_bx, 0u64)
    } else {
        member!(regs, regs_di, 0u64)
    };
    (call, status as i32)
}

/// The registers with which a task entered the kernel, at the top of its stack; 0 where they are not found.
#[inline(always)]
pub fn user_registers(task: usize) -> usize {
    let stack = pointer!(task, task_stack);
    let size = offset!(regs_size);
    if stack == 0 || size == MISSING || offset!(regs_cs) == MISSING {
        return 0;
    }
    for padding in STACK_PADDINGS {
        let regs = stack + STACK_SIZE - padding - size as usize;
        let cs = member!(regs, regs_cs, 0u16);
        if cs == USER_CS || cs == USER32_CS {
            return regs;
        }
    }
    0
}
