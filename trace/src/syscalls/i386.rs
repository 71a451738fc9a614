//! i386 numbers (`arch/x86/entry/syscalls/syscall_32.tbl`): calls of 32-bit programs and of `int 0x80`.
//!
//! Most borrow the row of the x86_64 syscall of the same name. Rows of their own have those whose arguments differ: a
//! 64-bit offset takes two registers there, and some calls take a structure or multiplex others.

use std::sync::LazyLock;

use super::Payload::{In, Out, Vector};
use super::Pointer::Nothing;
use super::{Syscall, named};

super::declare! {
    22 umount File Priority _: name Path 0;
    82 select Wait Bulk _;
    90 mmap Memory Bulk _;
    102 socketcall Net Hot _: call Uint 0;
    117 ipc Ipc Hot _: call Uint 0, first Int 1;
    140 llseek File Bulk 0: fd Fd 0, whence Whence 4;
    180 pread IoRead Bulk 0: fd Fd 0, size Size 2 => Nothing, In(1);
    181 pwrite IoWrite Bulk 0: fd Fd 0, size Size 2 => Nothing, Out(1, 2);
    192 mmap2 Memory Bulk 4: addr Addr 0, length Size 1, prot Prot 2, flags MmapFlags 3, fd Fd 4, pgoffset Uint 5;
    193 truncate64 File Hot _: path Path 0;
    194 ftruncate64 File Bulk 0: fd Fd 0;
    225 readahead IoRead Bulk 0: fd Fd 0;
    250 fadvise64 File Bulk 0: fd Fd 0, advice Fadvise 4;
    253 lookup_dcookie File Bulk _;
    272 fadvise64_64 File Bulk 0: fd Fd 0, advice Fadvise 5;
    314 sync_file_range IoWrite Bulk 0: fd Fd 0, flags SyncFileRange 5;
    324 fallocate File Hot 0: fd Fd 0, mode FallocateMode 1;
    333 preadv IoRead Bulk 0: fd Fd 0, count Uint 2 => Nothing, Vector(1, 2);
    334 pwritev IoWrite Bulk 0: fd Fd 0, count Uint 2 => Nothing, Vector(1, 2);
    339 fanotify_mark File Hot 0: fd Fd 0, flags FanotifyMark 1, mask FanotifyMask 2, dirfd Fd 4, path Path 5;
    378 preadv2 IoRead Bulk 0: fd Fd 0, count Uint 2, flags ReadWrite 5 => Nothing, Vector(1, 2);
    379 pwritev2 IoWrite Bulk 0: fd Fd 0, count Uint 2, flags ReadWrite 5 => Nothing, Vector(1, 2);
}

/// Runs of the kernel's names: the first number, then one name per number.
const RUNS: &[(u16, &str)] = &[
    (
        0,
        "restart_syscall exit fork read write open close waitpid creat link unlink execve chdir time mknod chmod \
         lchown break oldstat lseek getpid mount umount setuid getuid stime ptrace alarm oldfstat pause utime stty \
         gtty access nice ftime sync kill rename mkdir rmdir dup pipe times prof brk setgid getgid signal geteuid \
         getegid acct umount2 lock ioctl fcntl mpx setpgid ulimit oldolduname umask chroot ustat dup2 getppid getpgrp \
         setsid sigaction sgetmask ssetmask setreuid setregid sigsuspend sigpending sethostname setrlimit getrlimit \
         getrusage gettimeofday settimeofday getgroups setgroups select symlink oldlstat readlink uselib swapon \
         reboot readdir mmap munmap truncate ftruncate fchmod fchown getpriority setpriority profil statfs fstatfs \
         ioperm socketcall syslog setitimer getitimer stat lstat fstat olduname iopl vhangup idle vm86old wait4 \
         swapoff sysinfo ipc fsync sigreturn clone setdomainname uname modify_ldt adjtimex mprotect sigprocmask \
         create_module init_module delete_module get_kernel_syms quotactl getpgid fchdir bdflush sysfs personality \
         afs_syscall setfsuid setfsgid _llseek getdents _newselect flock msync readv writev getsid fdatasync _sysctl \
         mlock munlock mlockall munlockall sched_setparam sched_getparam sched_setscheduler sched_getscheduler \
         sched_yield sched_get_priority_max sched_get_priority_min sched_rr_get_interval nanosleep mremap setresuid \
         getresuid vm86 query_module poll nfsservctl setresgid getresgid prctl rt_sigreturn rt_sigaction \
         rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend pread64 pwrite64 chown getcwd \
         capget capset sigaltstack sendfile getpmsg putpmsg vfork ugetrlimit mmap2 truncate64 ftruncate64 stat64 \
         lstat64 fstat64 lchown32 getuid32 getgid32 geteuid32 getegid32 setreuid32 setregid32 getgroups32 setgroups32 \
         fchown32 setresuid32 getresuid32 setresgid32 getresgid32 chown32 setuid32 setgid32 setfsuid32 setfsgid32 \
         pivot_root mincore madvise getdents64 fcntl64",
    ),
    (
        224,
        "gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr \
         removexattr lremovexattr fremovexattr tkill sendfile64 futex sched_setaffinity sched_getaffinity \
         set_thread_area get_thread_area io_setup io_destroy io_getevents io_submit io_cancel fadvise64",
    ),
    (
        252,
        "exit_group lookup_dcookie epoll_create epoll_ctl epoll_wait remap_file_pages set_tid_address timer_create \
         timer_settime timer_gettime timer_getoverrun timer_delete clock_settime clock_gettime clock_getres \
         clock_nanosleep statfs64 fstatfs64 tgkill utimes fadvise64_64 vserver mbind get_mempolicy set_mempolicy \
         mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr kexec_load waitid",
    ),
    (
        286,
        "add_key request_key keyctl ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch \
         migrate_pages openat mkdirat mknodat fchownat futimesat fstatat64 unlinkat renameat linkat symlinkat \
         readlinkat fchmodat faccessat pselect6 ppoll unshare set_robust_list get_robust_list splice sync_file_range \
         tee vmsplice move_pages getcpu epoll_pwait utimensat signalfd timerfd_create eventfd fallocate \
         timerfd_settime timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev \
         rt_tgsigqueueinfo perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at \
         open_by_handle_at clock_adjtime syncfs sendmmsg setns process_vm_readv process_vm_writev kcmp finit_module \
         sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat socket socketpair bind \
         connect listen accept4 getsockopt setsockopt getsockname getpeername sendto sendmsg recvfrom recvmsg \
         shutdown userfaultfd membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free \
         statx arch_prctl io_pgetevents rseq",
    ),
    (
        393,
        "semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl clock_gettime64 clock_settime64 \
         clock_adjtime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64 timer_settime64 timerfd_gettime64 \
         timerfd_settime64 utimensat_time64 pselect6_time64 ppoll_time64",
    ),
    (
        416,
        "io_pgetevents_time64 recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64 \
         rt_sigtimedwait_time64 futex_time64 sched_rr_get_interval_time64 pidfd_send_signal io_uring_setup \
         io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 \
         close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd \
         landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv \
         set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount \
         listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat \
         removexattrat open_tree_attr file_getattr file_setattr listns rseq_slice_yield",
    ),
];

/// Every number with the name that Falco prints, ascending.
pub(super) fn names() -> impl Iterator<Item = (u16, &'static str)> {
    static NAMES: LazyLock<Vec<(u16, &'static str)>> = LazyLock::new(|| {
        RUNS.iter()
            .flat_map(|(first, names)| (*first..).zip(names.split_ascii_whitespace()))
            .map(|(nr, name)| (nr, event_name(name)))
            .collect()
    });
    NAMES.iter().copied()
}

/// The kernel's name of a number.
pub(super) fn kernel_name(nr: u16) -> Option<&'static str> {
    RUNS.iter().find_map(|(first, names)| {
        let at = nr.checked_sub(*first)?;
        names.split_ascii_whitespace().nth(at.into())
    })
}

/// Whether users and groups have 16 bits in a call: those that are as wide as elsewhere have names of their own.
pub(super) fn has_short_ids(nr: u16) -> bool {
    let all = || RUNS.iter().flat_map(|(_, names)| names.split_ascii_whitespace());
    kernel_name(nr).is_some_and(|name| all().any(|other| other.strip_suffix("32") == Some(name)))
}

/// The row that describes a number.
pub(super) fn row(nr: u16) -> Option<&'static Syscall> {
    if let Some(own) = TABLE.iter().find(|s| s.nr == nr) {
        return Some(own);
    }
    let (_, name) = names().find(|(n, _)| *n == nr)?;
    match name {
        "stat64" => named("stat"),
        "lstat64" => named("lstat"),
        "fstat64" => named("fstat"),
        "fstatat64" => named("newfstatat"),
        "statfs64" => named("statfs"),
        "fstatfs64" => named("fstatfs"),
        name => named(name),
    }
}

/// Falco's name: the old 16-bit ids and 32-bit times have twins that mean the same as the x86_64 call.
fn event_name(kernel: &'static str) -> &'static str {
    match kernel {
        "_llseek" => "llseek",
        "pread64" => "pread",
        "pwrite64" => "pwrite",
        "prlimit64" => "prlimit",
        "fcntl64" => "fcntl",
        "sendfile64" => "sendfile",
        "ugetrlimit" => "getrlimit",
        "clock_getres_time64" => "clock_getres",
        "clock_gettime64" => "clock_gettime",
        "clock_settime64" => "clock_settime",
        "clock_adjtime64" => "clock_adjtime",
        "timer_gettime64" => "timer_gettime",
        "timer_settime64" => "timer_settime",
        "timerfd_gettime64" => "timerfd_gettime",
        "timerfd_settime64" => "timerfd_settime",
        _ => kernel
            .strip_suffix("_time64")
            .or_else(|| kernel.strip_suffix("32"))
            .unwrap_or(kernel),
    }
}
