//! Making, naming, removing and owning files.

use libc::*;

use crate::compare;
use crate::scene::{ok, sys};

const CALLS: &[&str] = &[
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "mknod",
    "mknodat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "truncate",
    "ftruncate",
    "fallocate",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "umask",
    "flock",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "getxattr",
    "fgetxattr",
    "listxattr",
    "removexattr",
];

pub(crate) fn scene() {
    ok(sys!(SYS_umask, 0o27));
    ok(sys!(SYS_mkdir, c"d", 0o777));
    let dir = ok(sys!(SYS_open, c"d", O_RDONLY | O_DIRECTORY));
    making(dir);
    owning(dir);
    times(dir);
    attributes();
    removing(dir);
}

fn making(dir: i64) {
    let file = ok(sys!(SYS_creat, c"f", 0o666));
    sys!(SYS_close, file);
    ok(sys!(SYS_mkdirat, dir, c"sub", 0o1700));
    ok(sys!(SYS_mkdirat, AT_FDCWD, c"./d/../e", 0o700));
    sys!(SYS_mkdir, c"d", 0o700);
    sys!(SYS_mkdir, c"/nowhere/x", 0o700);
    ok(sys!(SYS_link, c"f", c"d/hard"));
    ok(sys!(SYS_linkat, dir, c"hard", AT_FDCWD, c"hard2", 0));
    ok(sys!(SYS_symlink, c"../f", c"d/soft"));
    ok(sys!(SYS_symlinkat, c"/anywhere at all", dir, c"soft2"));
    ok(sys!(SYS_linkat, dir, c"soft", dir, c"followed", AT_SYMLINK_FOLLOW));
    ok(sys!(SYS_mknod, c"fifo", S_IFIFO | 0o644, 0));
    ok(sys!(SYS_mknodat, dir, c"regular", S_IFREG | 0o600, 0));
    sys!(SYS_mknod, c"null", S_IFCHR | 0o666, 0x103);
    ok(sys!(SYS_rename, c"fifo", c"d/fifo"));
    ok(sys!(SYS_renameat, dir, c"fifo", AT_FDCWD, c"fifo"));
    ok(sys!(SYS_renameat2, AT_FDCWD, c"fifo", dir, c"fifo", RENAME_NOREPLACE));
    sys!(SYS_renameat2, AT_FDCWD, c"f", dir, c"hard", RENAME_NOREPLACE);
    ok(sys!(SYS_renameat2, AT_FDCWD, c"f", dir, c"sub", RENAME_EXCHANGE));
    ok(sys!(SYS_renameat2, AT_FDCWD, c"f", dir, c"sub", RENAME_EXCHANGE));
    sys!(SYS_rename, c"missing", c"elsewhere");
    sys!(SYS_rename, 0, c"elsewhere");
}

fn owning(dir: i64) {
    let fd = ok(sys!(SYS_open, c"f", O_RDWR));
    ok(sys!(SYS_chmod, c"f", 0o4711));
    ok(sys!(SYS_fchmod, fd, 0o600));
    ok(sys!(SYS_fchmodat, dir, c"sub", 0o755));
    ok(sys!(SYS_chown, c"f", 1000, 1001));
    ok(sys!(SYS_chown, c"f", -1, 0));
    ok(sys!(SYS_lchown, c"d/soft2", 7, -1));
    ok(sys!(SYS_fchown, fd, 0, 0));
    ok(sys!(SYS_fchownat, dir, c"soft2", 8, 9, AT_SYMLINK_NOFOLLOW));
    ok(sys!(SYS_fchownat, dir, c"", 0, 0, AT_EMPTY_PATH));
    sys!(SYS_chown, c"missing", 1, 1);
    ok(sys!(SYS_truncate, c"f", 100));
    sys!(SYS_truncate, c"f", -1);
    ok(sys!(SYS_ftruncate, fd, 5_000_000_000_i64));
    ok(sys!(SYS_ftruncate, fd, 0));
    sys!(SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 4096, 8192);
    sys!(SYS_fallocate, fd, 0x7F, 4096, 8192);
    ok(sys!(SYS_flock, fd, LOCK_EX | LOCK_NB));
    ok(sys!(SYS_flock, fd, LOCK_UN));
}

fn times(dir: i64) {
    ok(sys!(SYS_utime, c"f", &[1_i64, 2]));
    ok(sys!(SYS_utimes, c"f", 0));
    ok(sys!(SYS_futimesat, dir, c"hard", 0));
    ok(sys!(SYS_utimensat, dir, c"soft2", 0, AT_SYMLINK_NOFOLLOW));
    // Without a path it is the descriptor itself.
    ok(sys!(SYS_utimensat, dir, 0, 0, 0));
}

fn attributes() {
    let fd = ok(sys!(SYS_open, c"f", O_RDWR));
    sys!(SYS_setxattr, c"f", c"user.one", b"1", 1, XATTR_CREATE);
    sys!(SYS_lsetxattr, c"d/soft", c"user.two", b"22", 2, 0);
    sys!(SYS_fsetxattr, fd, c"user.three", b"333", 3, XATTR_REPLACE);
    sys!(SYS_getxattr, c"f", c"user.one", &mut [0_u8; 10], 10);
    sys!(SYS_fgetxattr, fd, c"user.one", &mut [0_u8; 10], 10);
    sys!(SYS_listxattr, c"f", &mut [0_u8; 100], 100);
    sys!(SYS_removexattr, c"f", c"user.one");
}

fn removing(dir: i64) {
    ok(sys!(SYS_unlink, c"hard2"));
    sys!(SYS_unlink, c"d");
    sys!(SYS_unlink, c"missing");
    ok(sys!(SYS_unlinkat, dir, c"hard", 0));
    ok(sys!(SYS_unlinkat, dir, c"sub", AT_REMOVEDIR));
    sys!(SYS_unlinkat, dir, c"sub", AT_REMOVEDIR);
    ok(sys!(SYS_rmdir, c"e"));
    sys!(SYS_rmdir, c"d");
    // Deeper than its directory is, and back.
    ok(sys!(SYS_chdir, c"d"));
    sys!(SYS_unlink, c"../../../../../../../../nowhere/x");
    ok(sys!(SYS_unlink, c"../f"));
}

#[test]
fn names_as_root() {
    let Some(compared) = compare::scene("families::names", "names", CALLS) else {
        return;
    };
    let folder = compared.traced.folder.to_str().unwrap();
    let (_, exchange) = compared
        .calls("renameat2")
        .into_iter()
        .find(|(c, _)| c.text.contains("EXCHANGE"))
        .unwrap();
    assert_eq!(exchange.path("oldpath").unwrap().0, format!("{folder}/f").as_bytes());
    assert_eq!(
        exchange.path("newpath").unwrap(),
        (format!("{folder}/d/sub").as_bytes(), &b"sub"[..])
    );
    assert_eq!(exchange.texts["flags"], "RENAME_EXCHANGE");
    let (_, mknod) = compared.calls("mknod").into_iter().next().unwrap();
    assert_eq!(mknod.texts["mode"].split('|').next_back(), Some("S_IFIFO"));
}
