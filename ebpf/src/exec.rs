//! Program starts, read from the task after the point of no return and before its first instruction.

use aya_ebpf::helpers::generated as helper;
use ctrace_wire::{
    record::{Exec, FLAG_UNSEEN, KIND_EXEC},
    section::{self, ARGV_MAX, File, STRING_MAX},
    spec::Lane,
};

use crate::{
    environment, file, maps,
    read::{self, Current, embedded, initial_pid, member, offset, own_pid, pointer},
    scope,
    scratch::Writer,
};

// include/linux/pid.h, enum pid_type
const PIDTYPE_PGID: usize = 2;
const PIDTYPE_SID: usize = 3;

/// A [note](Writer::noted): whether what is started was not seen before.
const NEWS: usize = 0;

pub fn on_exec(task: usize, old_tid: u32, binprm: usize) {
    let cpu = read::cpu();
    let Some(scratch) = maps::exec_scratch(cpu) else {
        return;
    };
    let (writer, exec) = Writer::start::<Exec>(scratch);
    let current = Current::get();
    // SAFETY: exec points into the scratch map, as it does for the functions below.
    unsafe {
        helper::bpf_get_current_comm((&raw mut (*exec).comm).cast(), 16);
        scope::on_exec(current.tgid, (&raw const (*exec).comm).cast());
        (*exec).header = read::header(KIND_EXEC, scope::flags(current.tgid), current, cpu);
        (*exec).old_tid = old_tid;
        family(exec, task);
        credentials(exec, task);
        session(exec, task);
        namespaces(exec, task);
    }
    sections(writer, task, binprm);
    // SAFETY: as above.
    let is_unseen = unsafe { (*exec).header.flags } & FLAG_UNSEEN != 0;
    writer.submit_exec(Lane::Priority);
    // What a started program leaves behind may be gone soon.
    if writer.noted::<NEWS>() != 0 && !is_unseen {
        maps::ring_bell();
    }
}

#[inline(always)]
unsafe fn family(exec: *mut Exec, task: usize) {
    let parent = pointer!(task, task_real_parent);
    // SAFETY: see on_exec.
    unsafe {
        (*exec).ppid = member!(parent, task_tgid, u32::MAX);
        (*exec).start = member!(task, task_start, u64::MAX);
        (*exec).parent_start = member!(pointer!(parent, task_group_leader), task_start, u64::MAX);
    }
}

#[inline(always)]
unsafe fn credentials(exec: *mut Exec, task: usize) {
    let cred = pointer!(task, task_cred);
    // SAFETY: see on_exec.
    unsafe {
        (*exec).loginuid = member!(task, task_loginuid, u32::MAX);
        (*exec).sessionid = member!(task, task_sessionid, u32::MAX);
        (*exec).uid = member!(cred, cred_uid, u32::MAX);
        (*exec).gid = member!(cred, cred_gid, u32::MAX);
        (*exec).suid = member!(cred, cred_suid, u32::MAX);
        (*exec).sgid = member!(cred, cred_sgid, u32::MAX);
        (*exec).euid = member!(cred, cred_euid, u32::MAX);
        (*exec).egid = member!(cred, cred_egid, u32::MAX);
        (*exec).cap_permitted = member!(cred, cred_cap_permitted, u64::MAX);
        (*exec).cap_effective = member!(cred, cred_cap_effective, u64::MAX);
        (*exec).cap_inheritable = member!(cred, cred_cap_inheritable, u64::MAX);
        (*exec).user_ns = member!(pointer!(cred, cred_user_ns), user_ns_inum, u32::MAX);
    }
}

#[inline(always)]
unsafe fn session(exec: *mut Exec, task: usize) {
    let signal = pointer!(task, task_signal);
    let pids = embedded(signal, offset!(signal_pids));
    // SAFETY: see on_exec.
    unsafe {
        (*exec).pgid = pid_of_kind(pids, PIDTYPE_PGID);
        (*exec).sid = pid_of_kind(pids, PIDTYPE_SID);
        (*exec).tty = terminal(pointer!(signal, signal_tty));
    }
}

#[inline(always)]
fn pid_of_kind(pids: usize, kind: usize) -> u32 {
    if pids == 0 {
        u32::MAX
    } else {
        initial_pid(read::kernel(pids + kind * 8))
    }
}

#[inline(always)]
fn terminal(tty: usize) -> u32 {
    if tty == 0 {
        return 0;
    }
    let driver = pointer!(tty, tty_driver);
    let major: u32 = member!(driver, tty_driver_major, 0);
    let minor: u32 = member!(driver, tty_driver_minor, 0) + member!(tty, tty_index, 0);
    major << 20 | (minor & 0xf_ffff)
}

#[inline(always)]
unsafe fn namespaces(exec: *mut Exec, task: usize) {
    let nsproxy = pointer!(task, task_nsproxy);
    let (vpid, pid_ns) = own_pid(pointer!(task, task_thread_pid));
    // SAFETY: see on_exec.
    unsafe {
        (*exec).vpid = vpid;
        (*exec).pid_ns = pid_ns;
        (*exec).mnt_ns = member!(pointer!(nsproxy, nsproxy_mnt_ns), mnt_ns_inum, u32::MAX);
        (*exec).net_ns = member!(pointer!(nsproxy, nsproxy_net_ns), net_inum, u32::MAX);
    }
}

/// Appends all sections, and notes in the buffer whether the executed file is news to user space. Of a script only its
/// interpreter is seen.
#[inline(always)]
fn sections(writer: Writer, task: usize, binprm: usize) {
    let filename = pointer!(binprm, binprm_filename);
    let interp = pointer!(binprm, binprm_interp);
    if filename != 0 {
        writer.string::<{ STRING_MAX as u32 }>(section::EXEC_FILENAME, 0, filename as u64, false);
    }
    let is_script = interp != 0 && interp != filename;
    if is_script {
        writer.string::<{ STRING_MAX as u32 }>(section::EXEC_INTERP, 0, interp as u64, false);
    }
    legacy_cgroup(writer, task);
    let mm = pointer!(task, task_mm);
    let file = pointer!(mm, mm_exe_file);
    writer.note::<NEWS>(1);
    if file != 0 {
        let at = writer.position();
        file::describe(writer, file);
        // SAFETY: within the scratch map, which has room for one behind every place where a section may begin.
        let unknown = maps::unknown(unsafe { &*writer.structure_at::<File>(at) });
        writer.note::<NEWS>(u64::from(is_script) | unknown);
    }
    file::path(writer, embedded(pointer!(task, task_fs), offset!(fs_pwd)), section::CWD);
    file::all_open(writer, task);
    // Last, since they may be large: see the capacity of scratch buffers.
    let (start, end): (u64, u64) = (member!(mm, mm_env_start, 0), member!(mm, mm_env_end, 0));
    environment::append(writer, start, end);
    let (start, end): (u64, u64) = (member!(mm, mm_arg_start, 0), member!(mm, mm_arg_end, 0));
    if end > start {
        writer.large::<{ ARGV_MAX as u32 }>(section::EXEC_ARGV, start, end - start);
    }
}

/// The task's cgroup in a hierarchy of version 1, where there is one: there containers have cgroups that those of version 2
/// may not show.
#[inline(always)]
fn legacy_cgroup(writer: Writer, task: usize) {
    let state = pointer!(pointer!(task, task_cgroups), css_set_subsys);
    let mut node = pointer!(pointer!(state, css_cgroup), cgroup_kn);
    for level in 0..section::CGROUP_NAMES {
        let parent = pointer!(node, kernfs_node_parent);
        // The root has no name.
        if parent == 0 {
            break;
        }
        let name = pointer!(node, kernfs_node_name);
        writer.string::<{ section::CGROUP_NAME_MAX as u32 }>(section::CGROUP_NAME, level, name as u64, false);
        node = parent;
    }
}
