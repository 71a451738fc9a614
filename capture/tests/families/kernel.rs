//! The kernel itself: programs, modules, mounts, keys, rings. Most calls are refused, which is what they are for here.

use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};

const CALLS: &[&str] = &[
    "bpf",
    "init_module",
    "finit_module",
    "delete_module",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "keyctl",
    "add_key",
    "request_key",
    "perf_event_open",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "kexec_file_load",
    "sethostname",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "reboot",
    "syslog",
    "swapon",
    "swapoff",
    "quotactl",
    "landlock_create_ruleset",
    "process_vm_readv",
    "kcmp",
    "getrandom",
    "uname",
];

const BPF_MAP_CREATE: i32 = 0;
const BPF_PROG_LOAD: i32 = 5;

pub(crate) fn scene() {
    modules();
    programs();
    rings();
    keys();
    wait(fork(mounts));
    wait(fork(new_mounts));
    refused();
}

fn modules() {
    sys!(SYS_init_module, b"no module", 9, c"param=1");
    let fd = ok(sys!(SYS_open, c"/etc/passwd", O_RDONLY | O_CLOEXEC));
    sys!(SYS_finit_module, fd, c"debug=2 x", 3);
    sys!(SYS_finit_module, -1, c"", 0);
    sys!(SYS_delete_module, c"no_such_module", O_NONBLOCK | O_TRUNC);
    sys!(SYS_kexec_file_load, fd, -1, 0, 0, 0x8000_0000_u32);
    sys!(SYS_kexec_file_load, -1, -1, 0, 0, 7);
}

fn programs() {
    // An array of one: type 2, keys of four bytes, values of eight, one entry.
    let map = sys!(SYS_bpf, BPF_MAP_CREATE, &[2_u32, 4, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0], 48);
    sys!(SYS_fcntl, map, F_GETFD);
    sys!(SYS_bpf, BPF_PROG_LOAD, &[0_u64; 16], 128);
    sys!(SYS_bpf, 4242, 0, 0);
    let mut attributes = [0_u8; 128];
    attributes[0] = 1;
    attributes[4] = 128;
    // Software, the CPU clock; counts this process.
    let counter = sys!(SYS_perf_event_open, &attributes, 0, -1, -1, 8);
    sys!(SYS_fcntl, counter, F_GETFD);
    sys!(SYS_perf_event_open, &attributes, 0x3FFF_FFFF, 0, -1, 0);
    sys!(SYS_perf_event_open, &attributes, 0x3FFF_FFFF, 0, -1, 7);
}

fn rings() {
    let mut parameters = [0_u32; 30];
    let ring = sys!(SYS_io_uring_setup, 4, &mut parameters);
    sys!(SYS_fcntl, ring, F_GETFD);
    sys!(SYS_io_uring_enter, ring, 0, 0, 1, 0, 0);
    sys!(SYS_io_uring_register, ring, 4, 0, 0);
    sys!(SYS_io_uring_register, ring, 8, 0, 7);
    parameters = [0; 30];
    parameters[2] = 1 << 3 | 1 << 6;
    parameters[1] = 8;
    sys!(SYS_io_uring_setup, 2, &mut parameters);
    sys!(SYS_io_uring_setup, 4, 8);
}

fn keys() {
    sys!(SYS_keyctl, 0, -3, 0);
    sys!(SYS_keyctl, 1, c"session", 0);
    let key = sys!(SYS_add_key, c"user", c"ctrace test", b"secret", 6, -2);
    sys!(SYS_keyctl, 11, key, &mut [0_u8; 8], 8);
    for keyring in [-1, -2, -3, -4, -5] {
        sys!(SYS_request_key, c"user", c"ctrace no such key", 0, keyring);
    }
    sys!(SYS_keyctl, 3, key);
    sys!(SYS_add_key, c"no_such_type", c"x", 0, 0, 0);
}

fn mounts() {
    ok(sys!(SYS_unshare, CLONE_NEWNS));
    ok(sys!(SYS_mount, c"none", c"/", 0, MS_REC | MS_PRIVATE, 0));
    ok(sys!(SYS_mkdir, c"m", 0o755));
    ok(sys!(
        SYS_mount,
        c"a tmpfs",
        c"m",
        c"tmpfs",
        MS_NOSUID | MS_NOEXEC,
        c"size=1m"
    ));
    let made = ok(sys!(SYS_open, c"m/file", O_WRONLY | O_CREAT, 0o600));
    sys!(SYS_close, made);
    sys!(SYS_mount, c"/nowhere", c"m/nowhere", c"ext4", MS_BIND | MS_RDONLY, 0);
    sys!(SYS_umount2, c"m/nowhere", 0);
    ok(sys!(SYS_mkdir, c"m/old", 0o755));
    let child = fork(|| {
        ok(sys!(SYS_unshare, CLONE_NEWNS));
        ok(sys!(SYS_pivot_root, c"m", c"m/old"));
        ok(sys!(SYS_chdir, c"/"));
        ok(sys!(SYS_open, c"/file", O_RDONLY));
        ok(sys!(SYS_umount2, c"old", MNT_DETACH));
        sys!(SYS_open, c"/etc/passwd", O_RDONLY);
    });
    assert_eq!(wait(child), 0);
    let child = fork(|| {
        ok(sys!(SYS_chroot, c"m"));
        ok(sys!(SYS_chdir, c"/"));
        ok(sys!(SYS_open, c"file", O_RDONLY));
        sys!(SYS_chroot, c"missing");
    });
    assert_eq!(wait(child), 0);
    ok(sys!(SYS_umount2, c"./m", MNT_DETACH | UMOUNT_NOFOLLOW));
}

fn new_mounts() {
    ok(sys!(SYS_unshare, CLONE_NEWNS | CLONE_NEWUTS));
    ok(sys!(SYS_mount, c"none", c"/", 0, MS_REC | MS_PRIVATE, 0));
    ok(sys!(SYS_sethostname, b"elsewhere", 9));
    let context = ok(sys!(SYS_fsopen, c"tmpfs", 1));
    sys!(SYS_fsconfig, context, 1, c"size", c"1m", 0);
    ok(sys!(SYS_fsconfig, context, 6, 0, 0, 0));
    let mount = ok(sys!(SYS_fsmount, context, 1, 2));
    sys!(SYS_fcntl, mount, F_GETFD);
    ok(sys!(SYS_mkdir, c"n", 0o755));
    ok(sys!(SYS_move_mount, mount, c"", AT_FDCWD, c"n", 4));
    let tree = ok(sys!(SYS_open_tree, AT_FDCWD, c"n", 1 | O_CLOEXEC));
    sys!(SYS_fcntl, tree, F_GETFD);
    sys!(SYS_mount_setattr, AT_FDCWD, c"n", 0, &[1_u64, 0, 0, 0], 32);
    sys!(SYS_open_tree, AT_FDCWD, c"missing", 0);
    let looked_at = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_RECURSIVE;
    sys!(SYS_open_tree, AT_FDCWD, c"missing", looked_at | 1);
    sys!(SYS_fsmount, context, 0, 0xAF);
    sys!(SYS_fspick, AT_FDCWD, c"missing", 0xF);
    sys!(SYS_move_mount, AT_FDCWD, c"missing", AT_FDCWD, c"n", 0x133);
}

fn refused() {
    sys!(SYS_reboot, 1, 2, 3, 0);
    sys!(SYS_reboot, 1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0);
    for action in [10, 9, 99] {
        sys!(SYS_syslog, action, 0, 0);
    }
    // Which would read, without a place to put it.
    sys!(SYS_syslog, 3, 0, 0);
    sys!(SYS_swapon, c"/nowhere/swap", 0x7_8005);
    sys!(SYS_swapoff, c"/nowhere/swap");
    sys!(SYS_quotactl, 0x0080_0002_i64 << 8, c"/dev/nowhere", 0, 0);
    sys!(SYS_quotactl, 0x5805 << 8 | 2, c"/dev/nowhere", 0, 0);
    sys!(SYS_landlock_create_ruleset, 0, 0, 1);
    sys!(SYS_process_vm_readv, 0x3FFF_FFFF, 0, 0, 0, 0, 0);
    for kind in 0..9 {
        sys!(SYS_kcmp, sys!(SYS_getpid), 0x3FFF_FFFF, kind, 1, 2);
    }
    ok(sys!(SYS_getrandom, &mut [0_u8; 16], 16, GRND_NONBLOCK));
    ok(sys!(SYS_uname, &mut [0_u8; 390]));
}

#[test]
fn kernel_as_root() {
    compare::scene("families::kernel", "kernel", CALLS);
}
