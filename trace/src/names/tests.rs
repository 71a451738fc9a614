use super::*;

/// What libs prints for the same kernel values (`driver/flags_table.c`).
#[test]
fn prints_as_falco() {
    for (set, value, expect) in [
        (NameSet::Open, 0, "O_RDONLY"),
        (NameSet::Open, 0o2000000, "O_RDONLY|O_CLOEXEC"),
        (NameSet::Open, 0o1101, "O_TRUNC|O_CREAT|O_WRONLY"),
        (NameSet::Open, 0o102, "O_CREAT|O_RDWR"),
        (NameSet::SocketFamily, 1, "AF_LOCAL|AF_UNIX"),
        (NameSet::SocketFamily, 2, "AF_INET"),
        (NameSet::Access, 0, "F_OK"),
        (NameSet::Access, 5, "R_OK|X_OK"),
        (NameSet::MmapProt, 0, "PROT_NONE"),
        (NameSet::MmapProt, 5, "PROT_READ|PROT_EXEC"),
        (NameSet::Futex, 128, "FUTEX_PRIVATE_FLAG|FUTEX_WAIT"),
        (NameSet::Futex, 129, "FUTEX_PRIVATE_FLAG|FUTEX_WAKE"),
        (
            NameSet::ModeBits,
            0o4755,
            "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID",
        ),
        (
            NameSet::ModeBits,
            0o20666,
            "S_IWOTH|S_IROTH|S_IWGRP|S_IRGRP|S_IWUSR|S_IRUSR|S_IFCHR",
        ),
        (NameSet::Clone, 0x11, ""),
        (NameSet::Clone, 0x2002_0000, "CLONE_NEWNS|CLONE_NEWPID"),
        (NameSet::Ptrace, 16, "PTRACE_ATTACH"),
        (NameSet::Fcntl, 99_999, ""),
    ] {
        assert_eq!(render(set, value), expect, "{set:?} {value}");
    }
}

#[test]
fn names_errors_and_signals() {
    assert_eq!(errno(2), Some("ENOENT"));
    assert_eq!(errno(115), Some("EINPROGRESS"));
    assert_eq!(errno(0), None);
    assert_eq!(errno(-2), None);
    assert_eq!(errno(41), None);
    assert_eq!(errno(i64::MIN), None);
    assert_eq!(signal(9), Some("SIGKILL"));
    assert_eq!(signal(0), None);
    assert_eq!(capabilities(0b10_0001), "CAP_CHOWN CAP_KILL");
    assert_eq!(
        (capability("CAP_KILL"), capability("KILL"), capability("CAP_")),
        (Some(5), Some(5), None)
    );
    assert_eq!(capabilities(0), "");
}

#[test]
fn nothing_is_lost() {
    assert_eq!(flags(NameSet::Open, 0o2000000), "O_RDONLY|O_CLOEXEC");
    assert_eq!(
        flags(NameSet::Clone, 0x1200011),
        "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|0x11"
    );
    assert_eq!(flags(NameSet::Rename, 0), "");
    assert_eq!(flags(NameSet::At, 0x1000_0000), "0x10000000");
    assert_eq!(flags(NameSet::SwapOn, 0x8005), "SWAP_FLAG_PREFER|0x5");
    assert_eq!(
        flags(NameSet::SocketType, 0o2004001),
        "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"
    );
    assert_eq!(value(NameSet::SocketFamily, 10), Some("AF_INET6"));
    assert_eq!(value(NameSet::Ptrace, -1), None);
}

/// Of two names for one value the first wins in [`value`], and errors are found by bisection.
#[test]
fn tables_are_in_order() {
    assert!(errno::ERRNO.is_sorted_by_key(|n| n.value));
    assert_eq!(errno(516), Some("ERESTART_RESTARTBLOCK"));
}

/// The number of a name in a set.
fn number(set: NameSet, name: &str) -> Option<u64> {
    table(set).iter().find(|n| n.name == name).map(|n| n.value)
}

/// Compares sets with the constants of these names that the C library has.
macro_rules! compare {
    ($($set:ident: $($name:ident),+;)+) => {
        $($(assert_eq!(number(NameSet::$set, stringify!($name)), Some(u64::from(libc::$name as u32)));)+)+
    };
}

#[test]
fn numbers_are_the_c_librarys() {
    /// `SUBCMDSHIFT` (`linux/quota.h`).
    const QUOTA_TYPE_BITS: u32 = 8;
    compare! {
        AcceptFlags: SOCK_NONBLOCK, SOCK_CLOEXEC;
        Clock: CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
            CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM,
            CLOCK_TAI;
        Itimer: ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF;
        Personality: UNAME26, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT,
            READ_IMPLIES_EXEC, ADDR_LIMIT_32BIT, SHORT_INODE, WHOLE_SECONDS, STICKY_TIMEOUTS, ADDR_LIMIT_3GB;
        PidfdOpen: PIDFD_NONBLOCK;
        PriorityWho: PRIO_PROCESS, PRIO_PGRP, PRIO_USER;
        Rusage: RUSAGE_SELF, RUSAGE_THREAD, RUSAGE_CHILDREN;
        SchedPolicy: SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_RESET_ON_FORK;
        StatxMask: STATX_TYPE, STATX_MODE, STATX_NLINK, STATX_UID, STATX_GID, STATX_ATIME, STATX_MTIME, STATX_CTIME,
            STATX_INO, STATX_SIZE, STATX_BLOCKS, STATX_BTIME, STATX_MNT_ID, STATX_DIOALIGN;
        TimerFlags: TIMER_ABSTIME;
        TimerfdFlags: TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET;
        Wait: WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT, __WNOTHREAD, __WALL, __WCLONE;
        WaitId: P_ALL, P_PID, P_PGID, P_PIDFD;
        Fadvise: POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL, POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED,
            POSIX_FADV_NOREUSE;
        InotifyMask: IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MOVED_FROM,
            IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED,
            IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_CREATE, IN_MASK_ADD, IN_ISDIR, IN_ONESHOT;
        KexecFile: KEXEC_FILE_UNLOAD, KEXEC_FILE_ON_CRASH, KEXEC_FILE_NO_INITRAMFS;
        KexecLoad: KEXEC_ON_CRASH, KEXEC_PRESERVE_CONTEXT;
        MessageQueue: IPC_NOWAIT, MSG_NOERROR, MSG_EXCEPT, MSG_COPY;
        Mremap: MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP;
        PidfdSignal: PIDFD_SIGNAL_THREAD, PIDFD_SIGNAL_THREAD_GROUP, PIDFD_SIGNAL_PROCESS_GROUP;
        ShmAttach: SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC;
        SignalMask: SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK;
        FallocateMode: FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE,
            FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE;
        FanotifyInit: FAN_CLASS_NOTIF, FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT, FAN_CLOEXEC, FAN_NONBLOCK,
            FAN_UNLIMITED_QUEUE, FAN_UNLIMITED_MARKS, FAN_ENABLE_AUDIT, FAN_REPORT_PIDFD, FAN_REPORT_TID,
            FAN_REPORT_FID, FAN_REPORT_DIR_FID, FAN_REPORT_NAME, FAN_REPORT_TARGET_FID;
        FanotifyMark: FAN_MARK_ADD, FAN_MARK_REMOVE, FAN_MARK_DONT_FOLLOW, FAN_MARK_ONLYDIR,
            FAN_MARK_IGNORED_MASK, FAN_MARK_IGNORED_SURV_MODIFY, FAN_MARK_FLUSH, FAN_MARK_EVICTABLE,
            FAN_MARK_IGNORE, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM;
        FanotifyMask: FAN_ACCESS, FAN_MODIFY, FAN_ATTRIB, FAN_CLOSE_WRITE, FAN_CLOSE_NOWRITE, FAN_OPEN,
            FAN_MOVED_FROM, FAN_MOVED_TO, FAN_CREATE, FAN_DELETE, FAN_DELETE_SELF, FAN_MOVE_SELF, FAN_OPEN_EXEC,
            FAN_Q_OVERFLOW, FAN_FS_ERROR, FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM,
            FAN_EVENT_ON_CHILD, FAN_RENAME, FAN_ONDIR;
        FsMount: FSMOUNT_CLOEXEC;
        FsOpen: FSOPEN_CLOEXEC;
        FsPick: FSPICK_CLOEXEC, FSPICK_SYMLINK_NOFOLLOW, FSPICK_NO_AUTOMOUNT, FSPICK_EMPTY_PATH;
        Futex2: FUTEX2_SIZE_U8, FUTEX2_SIZE_U16, FUTEX2_SIZE_U32, FUTEX2_SIZE_U64, FUTEX2_NUMA, FUTEX2_PRIVATE;
        Membarrier: MEMBARRIER_CMD_QUERY, MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED,
            MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
            MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ;
        MemoryPolicy: MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_F_STATIC_NODES,
            MPOL_F_RELATIVE_NODES, MPOL_F_NUMA_BALANCING;
        Mlock2: MLOCK_ONFAULT;
        MountAttr: MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC,
            MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_IDMAP,
            MOUNT_ATTR_NOSYMFOLLOW;
        MoveMount: MOVE_MOUNT_F_SYMLINKS, MOVE_MOUNT_F_AUTOMOUNTS, MOVE_MOUNT_F_EMPTY_PATH,
            MOVE_MOUNT_T_SYMLINKS, MOVE_MOUNT_T_AUTOMOUNTS, MOVE_MOUNT_T_EMPTY_PATH, MOVE_MOUNT_SET_GROUP,
            MOVE_MOUNT_BENEATH;
        Msync: MS_ASYNC, MS_INVALIDATE, MS_SYNC;
        OpenTree: OPEN_TREE_CLONE, OPEN_TREE_NAMESPACE, OPEN_TREE_CLOEXEC, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT,
            AT_EMPTY_PATH, AT_RECURSIVE;
        ReadWrite: RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND, RWF_ATOMIC,
            RWF_DONTCACHE;
        Reboot: LINUX_REBOOT_CMD_RESTART, LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_CAD_ON,
            LINUX_REBOOT_CMD_CAD_OFF, LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_RESTART2,
            LINUX_REBOOT_CMD_SW_SUSPEND, LINUX_REBOOT_CMD_KEXEC;
        RebootMagic: LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_MAGIC2A, LINUX_REBOOT_MAGIC2B,
            LINUX_REBOOT_MAGIC2C;
        SeccompFlags: SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
            SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        SyncFileRange: SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE, SYNC_FILE_RANGE_WAIT_AFTER;
    }
    for (name, command) in [
        ("Q_SYNC", libc::Q_SYNC),
        ("Q_QUOTAON", libc::Q_QUOTAON),
        ("Q_QUOTAOFF", libc::Q_QUOTAOFF),
        ("Q_GETFMT", libc::Q_GETFMT),
        ("Q_GETINFO", libc::Q_GETINFO),
        ("Q_SETINFO", libc::Q_SETINFO),
        ("Q_GETQUOTA", libc::Q_GETQUOTA),
        ("Q_SETQUOTA", libc::Q_SETQUOTA),
    ] {
        let cmd = (command as u32) << QUOTA_TYPE_BITS;
        assert_eq!(number(NameSet::QuotaCmd, name), Some(u64::from(cmd)), "{name}");
    }
}

/// What strace prints for the same numbers.
#[test]
fn prints_as_strace() {
    for (set, value, expect) in [
        (
            NameSet::OpenTree,
            0x8_9901,
            "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_SYMLINK_NOFOLLOW|AT_NO_AUTOMOUNT|AT_EMPTY_PATH|AT_RECURSIVE",
        ),
        (
            NameSet::MoveMount,
            0x104,
            "MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_SET_GROUP",
        ),
        (NameSet::MountAttr, 0x21, "MOUNT_ATTR_RDONLY|MOUNT_ATTR_STRICTATIME"),
        (NameSet::FanotifyInit, 0, "FAN_CLASS_NOTIF"),
        (NameSet::FanotifyInit, 9, "FAN_CLASS_PRE_CONTENT|FAN_CLOEXEC"),
        (NameSet::FanotifyMark, 0x101, "FAN_MARK_ADD|FAN_MARK_FILESYSTEM"),
        (NameSet::FanotifyMask, 0x4000_0021, "FAN_ACCESS|FAN_OPEN|FAN_ONDIR"),
        (NameSet::FallocateMode, 3, "FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE"),
        (NameSet::FallocateMode, 0, ""),
        (NameSet::PerfEvent, 9, "PERF_FLAG_FD_NO_GROUP|PERF_FLAG_FD_CLOEXEC"),
        (NameSet::SwapOn, 0x1_8005, "SWAP_FLAG_PREFER|SWAP_FLAG_DISCARD"),
        (NameSet::MemoryPolicy, 0, "MPOL_DEFAULT"),
        (NameSet::MemoryPolicy, 0x8003, "MPOL_INTERLEAVE|MPOL_F_STATIC_NODES"),
        (NameSet::MemoryPolicy, 99, ""),
        (NameSet::MemoryPolicyMove, 6, "MPOL_MF_MOVE|MPOL_MF_MOVE_ALL"),
        (NameSet::Membarrier, 0, "MEMBARRIER_CMD_QUERY"),
        (NameSet::Membarrier, 3, ""),
        (NameSet::LandlockRule, 1, "LANDLOCK_RULE_PATH_BENEATH"),
        (NameSet::LandlockCreate, 1, "LANDLOCK_CREATE_RULESET_VERSION"),
        (NameSet::Reboot, 0xCDEF_0123, "LINUX_REBOOT_CMD_HALT"),
        (NameSet::Reboot, 0, "LINUX_REBOOT_CMD_CAD_OFF"),
        (NameSet::RebootMagic, 0xFEE1_DEAD, "LINUX_REBOOT_MAGIC1"),
        (NameSet::Personality, 0, "PER_LINUX"),
        (
            NameSet::Personality,
            0x14_0008,
            "PER_LINUX32|ADDR_NO_RANDOMIZE|MMAP_PAGE_ZERO",
        ),
        // This asks for the personality.
        (NameSet::Personality, 0xFFFF_FFFF, ""),
        (NameSet::IoPriority, 0x4004, "IOPRIO_CLASS_BE"),
        (
            NameSet::IoPriority,
            0x2008,
            "IOPRIO_CLASS_RT|IOPRIO_HINT_DEV_DURATION_LIMIT_1",
        ),
        (NameSet::SchedPolicy, 0, "SCHED_OTHER"),
        (NameSet::SchedPolicy, 0x4000_0001, "SCHED_FIFO|SCHED_RESET_ON_FORK"),
        (NameSet::SchedPolicy, 0xFFFF_FFFF, "SCHED_RESET_ON_FORK"),
        (NameSet::Keyring, -2, "KEY_SPEC_PROCESS_KEYRING"),
        (NameSet::Keyring, 0x1234_5678, ""),
        (NameSet::Clock, 0xFFFF_FFFA, ""),
        (NameSet::ShmCmd, 0x10D, "IPC_64|SHM_STAT"),
        (NameSet::MsgCmd, 11, "MSG_STAT"),
        (NameSet::SemCmd, 11, "GETPID"),
        (NameSet::HandleAt, 0x200, "AT_HANDLE_FID"),
    ] {
        assert_eq!(render(set, value), expect, "{set:?} {value:#x}");
    }
}

/// Falco names the command alone, not whose quota it is about.
#[test]
fn quota_commands_are_falcos() {
    for (value, expect) in [
        (0x8000_0200, "Q_QUOTAON"),
        (0x8000_0702, "Q_GETQUOTA"),
        (0x58_0101, "Q_XQUOTAON"),
        (0x58_0901, "Q_XGETNEXTQUOTA"),
        (2, ""),
    ] {
        assert_eq!(render(NameSet::QuotaCmd, value), expect, "{value:#x}");
    }
}

/// A mark on a mount namespace is none on a mount and a file system.
#[test]
fn fields_have_one_name() {
    assert_eq!(render(NameSet::FanotifyMark, 0x111), "FAN_MARK_ADD|FAN_MARK_MNTNS");
    assert_eq!(render(NameSet::Futex2, 0x82), "FUTEX2_SIZE_U32|FUTEX2_PRIVATE");
}

/// Files have the position of a set: one that moved would give the numbers of older files other names.
#[test]
fn sets_stay_where_they_are() {
    for (set, position) in [
        (NameSet::Open, 0),
        (NameSet::GapClass, 28),
        (NameSet::RingRequestFlags, 52),
        (NameSet::FallocateMode, 53),
        (NameSet::SyncFileRange, 82),
        (NameSet::Fadvise, 83),
        (NameSet::SignalMask, 92),
        (NameSet::AcceptFlags, 93),
        (NameSet::WaitId, 118),
    ] {
        assert_eq!(set as u8, position, "{set:?}");
    }
}

#[test]
fn sets_of_a_newer_version_have_no_names() {
    let config = bincode::config::standard();
    let newer =
        bincode::encode_to_vec([NameSet::WaitId as u32, NameSet::Unknown as u32, 4_000_000_000], config).unwrap();
    let (read, _): ([NameSet; 3], _) = bincode::decode_from_slice(&newer, config).unwrap();
    assert_eq!(read, [NameSet::WaitId, NameSet::Unknown, NameSet::Unknown]);
    assert_eq!(table(NameSet::Unknown), []);
    // Written again it is still none that is known.
    let again = bincode::encode_to_vec(read, config).unwrap();
    let (read, _): ([NameSet; 3], _) = bincode::decode_from_slice(&again, config).unwrap();
    assert_eq!(read[1..], [NameSet::Unknown; 2]);
}
