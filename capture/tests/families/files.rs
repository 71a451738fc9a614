//! Opening, duplicating and closing descriptors of files.

use ctrace_trace::fd::FdKind;
use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};
use crate::seen::Value;

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "close",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "close_range",
    "name_to_handle_at",
    "open_by_handle_at",
];

pub(crate) fn scene() {
    opening();
    directories();
    structures();
    numbers();
    sharing();
}

fn opening() {
    let made = ok(sys!(SYS_creat, c"plain", 0o640));
    ok(sys!(SYS_write, made, b"content", 7));
    sys!(SYS_close, made);
    ok(sys!(SYS_open, c"./plain", O_RDWR | O_APPEND));
    ok(sys!(
        SYS_open,
        c"plain",
        O_RDONLY | O_NONBLOCK | O_NOATIME | O_SYNC | O_CLOEXEC
    ));
    ok(sys!(SYS_open, c"plain", O_PATH));
    sys!(SYS_open, c"plain", O_WRONLY | O_CREAT | O_EXCL, 0o600);
    ok(sys!(SYS_open, c"plain", O_RDWR | O_CREAT | O_TRUNC, 0o4755));
    sys!(SYS_open, c"missing", O_RDONLY);
    sys!(SYS_open, c"", O_RDONLY);
    sys!(SYS_open, 0, O_RDONLY);
    sys!(SYS_open, 8, O_RDONLY);
    ok(sys!(SYS_symlink, c"plain", c"link"));
    ok(sys!(SYS_open, c"link", O_RDONLY));
    sys!(SYS_open, c"link", O_RDONLY | O_NOFOLLOW);
    ok(sys!(SYS_open, c"/etc/../etc//passwd", O_RDONLY));
    ok(sys!(SYS_open, c"/dev/null", O_WRONLY));
    ok(sys!(SYS_open, c"/proc/self/stat", O_RDONLY));
    let odd = c"od\"d \n\\ \xc3\xa9 <name>";
    ok(sys!(SYS_creat, odd, 0o600));
    ok(sys!(SYS_open, odd, O_RDONLY));
    let long = std::ffi::CString::new("./".repeat(1500) + "plain").unwrap();
    ok(sys!(SYS_open, &*long, O_RDONLY));
    let gone = ok(sys!(SYS_open, c"gone", O_RDWR | O_CREAT, 0o600));
    ok(sys!(SYS_unlink, c"gone"));
    sys!(SYS_fsync, gone);
}

fn directories() {
    ok(sys!(SYS_mkdir, c"dir", 0o755));
    let dir = ok(sys!(SYS_openat, AT_FDCWD, c"dir", O_RDONLY | O_DIRECTORY));
    let inner = ok(sys!(SYS_openat, dir, c"inner", O_WRONLY | O_CREAT | O_EXCL, 0o600));
    sys!(SYS_openat, dir, c"inner", O_WRONLY | O_CREAT | O_EXCL, 0o600);
    ok(sys!(SYS_openat, dir, c"../plain", O_RDONLY));
    ok(sys!(SYS_openat, dir, c"/etc/hostname", O_RDONLY));
    sys!(SYS_openat, inner, c"x", O_RDONLY);
    sys!(SYS_openat, 999, c"x", O_RDONLY);
    sys!(SYS_openat, 999, c"/missing", O_RDONLY);
    sys!(SYS_openat, dir, c"", O_RDONLY);
    sys!(SYS_openat, AT_FDCWD, c".", O_RDWR | O_TMPFILE, 0o600);
    // The kernel looks at the lower half of a descriptor, and of flags.
    ok(sys!(SYS_openat, dir | 7 << 32, c"inner", O_RDONLY));
    ok(sys!(
        SYS_openat,
        0xFFFF_FF9C_u32,
        c"plain",
        i64::from(O_RDONLY) | 1 << 40
    ));
}

fn structures() {
    let dir = ok(sys!(SYS_open, c"dir", O_PATH));
    ok(sys!(SYS_openat2, dir, c"inner", &[O_RDONLY as u64, 0, 0], 24));
    sys!(
        SYS_openat2,
        dir,
        c"../plain",
        &[O_RDONLY as u64, 0, RESOLVE_BENEATH],
        24
    );
    sys!(
        SYS_openat2,
        AT_FDCWD,
        c"link",
        &[O_RDONLY as u64, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV],
        24
    );
    let how = [(O_CREAT | O_RDWR | O_CLOEXEC) as u64, 0o620, RESOLVE_IN_ROOT];
    ok(sys!(SYS_openat2, dir, c"/second", &how, 24));
    sys!(SYS_openat2, dir, c"inner", 0, 24);
    let (mut handle, mut mount) = ([0_u32; 34], [0_i32]);
    handle[0] = 128;
    if sys!(SYS_name_to_handle_at, AT_FDCWD, c"plain", &mut handle, &mut mount, 0) == 0 {
        sys!(SYS_open_by_handle_at, dir, &handle, O_RDONLY);
    }
    sys!(SYS_name_to_handle_at, dir, c"", &mut handle, &mut mount, AT_EMPTY_PATH);
}

fn numbers() {
    let fd = ok(sys!(SYS_open, c"plain", O_RDWR));
    let copy = ok(sys!(SYS_dup, fd));
    ok(sys!(SYS_dup2, fd, 140));
    ok(sys!(SYS_dup2, 140, 140));
    ok(sys!(SYS_dup3, fd, 141, O_CLOEXEC));
    sys!(SYS_dup3, 141, 141, 0);
    sys!(SYS_dup2, 888, 3);
    sys!(SYS_dup, 888);
    ok(sys!(SYS_fcntl, fd, F_DUPFD, 150));
    ok(sys!(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 150));
    ok(sys!(SYS_fcntl, 150, F_SETFD, FD_CLOEXEC));
    ok(sys!(SYS_fcntl, 150, F_GETFD));
    ok(sys!(SYS_fcntl, 150, F_SETFL, O_APPEND | O_NONBLOCK));
    ok(sys!(SYS_fcntl, 150, F_GETFL));
    sys!(SYS_fcntl, 888, F_GETFL);
    sys!(SYS_fcntl, fd, 4242, 17);
    // Onto one that is open.
    let other = ok(sys!(SYS_open, c"dir/inner", O_RDONLY));
    ok(sys!(SYS_dup2, other, 150));
    sys!(SYS_read, 150, 0, 0);
    ok(sys!(SYS_close, copy));
    sys!(SYS_close, copy);
    sys!(SYS_close, -1);
    ok(sys!(SYS_close_range, 145, 150, 0));
    sys!(SYS_fcntl, 150, F_GETFD);
    sys!(SYS_fcntl, 151, F_GETFD);
    ok(sys!(SYS_close_range, 140, 140, CLOSE_RANGE_CLOEXEC));
    sys!(SYS_close_range, 9, 3, 0);
    ok(sys!(SYS_close_range, 100, u32::MAX, 0));
    sys!(SYS_fcntl, 140, F_GETFD);
}

/// A child has its own numbers; what it was given by them is shared.
fn sharing() {
    let fd = ok(sys!(SYS_open, c"plain", O_RDONLY));
    let child = fork(|| {
        sys!(SYS_read, fd, &mut [0_u8; 4], 4);
        sys!(SYS_close, fd);
        ok(sys!(SYS_open, c"dir/inner", O_RDONLY));
        sys!(SYS_read, fd, &mut [0_u8; 4], 4);
    });
    wait(child);
    sys!(SYS_read, fd, &mut [0_u8; 4], 4);
    // What exec closes, and what it leaves.
    ok(sys!(SYS_dup2, fd, 60));
    ok(sys!(SYS_dup3, fd, 61, O_CLOEXEC));
    let child = fork(|| {
        let argv = [
            c"sh".as_ptr(),
            c"-c".as_ptr(),
            c"cat <&60; exec 62<plain".as_ptr(),
            std::ptr::null(),
        ];
        sys!(SYS_execve, c"/bin/sh", &argv, &[0_u64]);
    });
    wait(child);
}

#[test]
fn files_as_root() {
    let Some(compared) = compare::scene("families::files", "files", CALLS) else {
        return;
    };
    use std::os::unix::fs::MetadataExt;
    let passwd = std::fs::metadata("/etc/passwd").unwrap();
    let (_, opened) = compared
        .calls("open")
        .into_iter()
        .find(|(c, _)| c.text.contains("passwd"))
        .unwrap();
    let fd = opened.fd.as_ref().unwrap();
    assert_eq!(
        (opened.num("dev"), opened.num("ino")),
        (Some(passwd.dev() as i64), Some(passwd.ino() as i64))
    );
    assert_eq!((fd.dev, fd.ino, fd.kind), (passwd.dev(), passwd.ino(), FdKind::File));
    assert_eq!(opened.texts["flags"], "O_RDONLY");
    let folder = compared.traced.folder.to_str().unwrap();
    // The caller's words are kept where the kernel's path is another: a link, a relative path.
    let (_, link) = compared
        .calls("open")
        .into_iter()
        .find(|(c, _)| c.text.contains("\"link\""))
        .unwrap();
    let want = Value::Path {
        resolved: format!("{folder}/plain").into_bytes(),
        raw: b"link".to_vec(),
    };
    assert_eq!(link.args["name"], want);
    assert_eq!(link.fd.as_ref().unwrap().name, format!("{folder}/plain").as_bytes());
    let (_, made) = compared
        .calls("open")
        .into_iter()
        .find(|(c, _)| c.text.contains("O_TRUNC"))
        .unwrap();
    assert_eq!(
        (&*made.texts["flags"], &*made.texts["mode"]),
        ("O_TRUNC|O_CREAT|O_RDWR", "04755")
    );
    assert_eq!(
        made.fd.as_ref().unwrap().open_flags,
        (O_TRUNC | O_CREAT | O_RDWR) as u32
    );
}
