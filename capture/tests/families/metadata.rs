//! Looking at files and directories.

use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};

const CALLS: &[&str] = &[
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "name_to_handle_at",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents",
    "getdents64",
    "getcwd",
    "chdir",
    "fchdir",
    "chroot",
];

pub(crate) fn scene() {
    ok(sys!(SYS_mkdir, c"d", 0o755));
    ok(sys!(SYS_symlink, c"/etc/passwd", c"d/link"));
    let dir = ok(sys!(SYS_open, c"d", O_RDONLY | O_DIRECTORY));
    let mut out = [0_u64; 64];
    ok(sys!(SYS_stat, c"d/link", &mut out));
    sys!(SYS_stat, c"missing", &mut out);
    sys!(SYS_stat, 0, &mut out);
    ok(sys!(SYS_lstat, c"./d/link", &mut out));
    ok(sys!(SYS_fstat, dir, &mut out));
    sys!(SYS_fstat, 777, &mut out);
    ok(sys!(SYS_newfstatat, dir, c"link", &mut out, AT_SYMLINK_NOFOLLOW));
    ok(sys!(SYS_newfstatat, dir, c"", &mut out, AT_EMPTY_PATH));
    // The flag alone is not what makes it one that has no name.
    ok(sys!(
        SYS_newfstatat,
        dir,
        c"link",
        &mut out,
        AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW
    ));
    sys!(SYS_newfstatat, dir, c"", &mut out, 0);
    sys!(SYS_newfstatat, 777, c"", &mut out, AT_EMPTY_PATH);
    sys!(SYS_newfstatat, dir, 8, &mut out, AT_EMPTY_PATH);
    ok(sys!(SYS_newfstatat, AT_FDCWD, c"d", &mut out, 0));
    ok(sys!(
        SYS_statx,
        dir,
        c"",
        AT_EMPTY_PATH | AT_STATX_FORCE_SYNC,
        STATX_MODE,
        &mut out
    ));
    ok(sys!(
        SYS_statx,
        dir,
        c"link",
        AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
        STATX_BASIC_STATS,
        &mut out
    ));
    ok(sys!(SYS_statx, AT_FDCWD, c"/proc/self/exe", 0, STATX_INO, &mut out));
    sys!(SYS_statx, AT_FDCWD, c"missing", 0, 0x3FFF, &mut out);
    sys!(
        SYS_name_to_handle_at,
        AT_FDCWD,
        c"d",
        0,
        0,
        AT_SYMLINK_FOLLOW | AT_EMPTY_PATH
    );
    ok(sys!(SYS_statfs, c"/proc", &mut out));
    ok(sys!(SYS_fstatfs, dir, &mut out));
    ok(sys!(SYS_access, c"d", R_OK | X_OK));
    ok(sys!(SYS_access, c"d", F_OK));
    sys!(SYS_access, c"d/nothing", W_OK);
    ok(sys!(SYS_faccessat, dir, c"link", R_OK));
    ok(sys!(
        SYS_faccessat2,
        dir,
        c"link",
        R_OK | W_OK,
        AT_EACCESS | AT_SYMLINK_NOFOLLOW
    ));
    sys!(SYS_faccessat2, 777, c"link", F_OK, 0);
    let mut text = [0_u8; 4096];
    ok(sys!(SYS_readlink, c"d/link", &mut text, 4096));
    ok(sys!(SYS_readlinkat, dir, c"link", &mut text, 4));
    sys!(SYS_readlink, c"d", &mut text, 4096);
    sys!(SYS_getdents64, dir, &mut text, 4096);
    sys!(SYS_getdents, dir, &mut text, 4096);
    directories(dir);
}

fn directories(dir: i64) {
    let mut text = [0_u8; 4096];
    ok(sys!(SYS_getcwd, &mut text, 4096));
    ok(sys!(SYS_chdir, c"d"));
    sys!(SYS_chdir, c"nowhere");
    ok(sys!(SYS_getcwd, &mut text, 4096));
    ok(sys!(SYS_access, c"link", F_OK));
    ok(sys!(SYS_chdir, c".."));
    ok(sys!(SYS_access, c"d/link", F_OK));
    ok(sys!(SYS_fchdir, dir));
    sys!(SYS_fchdir, 777);
    ok(sys!(SYS_access, c"link", F_OK));
    let child = fork(|| {
        ok(sys!(SYS_chdir, c"/usr/lib/../share"));
        ok(sys!(SYS_access, c".", F_OK));
    });
    wait(child);
    ok(sys!(SYS_access, c"link", F_OK));
    ok(sys!(SYS_chdir, c".."));
    let child = fork(|| {
        ok(sys!(SYS_mkdir, c"d/jail", 0o755));
        ok(sys!(SYS_chroot, c"d"));
        ok(sys!(SYS_chdir, c"/jail"));
        sys!(SYS_access, c"/etc/passwd", F_OK);
        sys!(SYS_access, c"../../../link", F_OK);
        sys!(SYS_open, c"/jail", O_RDONLY);
    });
    wait(child);
}

#[test]
fn metadata_as_root() {
    compare::scene("families::metadata", "metadata", CALLS);
}
