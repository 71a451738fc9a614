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
