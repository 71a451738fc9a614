//! Tasks that come and go.

use aya_ebpf::helpers::generated as helper;
use ctrace_wire::{
    record::{Exit, Fork, KIND_EXIT, KIND_FORK},
    spec::Lane,
};

use crate::{
    maps,
    read::{self, member, own_pid, pointer},
};

pub fn on_fork(child: usize) {
    let (child_vtid, child_pid_ns) = own_pid(pointer!(child, task_thread_pid));
    let (child_vpid, _) = own_pid(pointer!(pointer!(child, task_group_leader), task_thread_pid));
    let cgroup = pointer!(pointer!(child, task_cgroups), css_set_dfl_cgrp);
    maps::submit_fixed::<Fork>(Lane::Priority, |fork| {
        let mut header = read::header(KIND_FORK, read::current_ids(), read::cpu());
        header.len = size_of::<Fork>() as u32;
        // SAFETY: fork is a reserved ring entry.
        unsafe {
            (*fork).child_tgid = member!(child, task_tgid, u32::MAX);
            (*fork).child_tid = member!(child, task_pid, u32::MAX);
            (*fork).child_start = member!(child, task_start, u64::MAX);
            (*fork).child_cgroup = member!(pointer!(cgroup, cgroup_kn), kernfs_node_id, header.cgroup);
            (*fork).child_vtid = child_vtid;
            (*fork).child_vpid = child_vpid;
            (*fork).child_ppid = member!(pointer!(child, task_real_parent), task_tgid, u32::MAX);
            (*fork).child_pid_ns = child_pid_ns;
            (*fork).comm = member!(child, task_comm, [0; 16]);
            (*fork).header = header;
        }
    });
}

pub fn on_exit(task: usize) {
    let signal = pointer!(task, task_signal);
    maps::submit_fixed::<Exit>(Lane::Priority, |exit| {
        let mut header = read::header(KIND_EXIT, read::current_ids(), read::cpu());
        header.len = size_of::<Exit>() as u32;
        // SAFETY: exit is a reserved ring entry.
        unsafe {
            (*exit).header = header;
            (*exit).exit_code = member!(task, task_exit_code, u32::MAX);
            // do_exit counts the thread out of signal->live before the tracepoint.
            (*exit).threads_left = member!(signal, signal_live, u32::MAX);
            (*exit).group_exit_code = member!(signal, signal_group_exit_code, 0);
            (*exit).reserved = 0;
            (*exit).start = member!(task, task_start, u64::MAX);
            helper::bpf_get_current_comm((&raw mut (*exit).comm).cast(), 16);
        }
    });
}
