//! Reading, writing and moving data.

use libc::*;

use crate::compare;
use crate::scene::{ok, sys};

const CALLS: &[&str] = &[
    "read",
    "write",
    "pread",
    "pwrite",
    "readv",
    "writev",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "lseek",
    "sendfile",
    "copy_file_range",
    "splice",
    "tee",
    "vmsplice",
    "fsync",
    "fdatasync",
    "ioctl",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "readahead",
    "fadvise64",
    "sync_file_range",
    "syncfs",
];

pub(crate) fn scene() {
    let a = ok(sys!(SYS_open, c"a", O_RDWR | O_CREAT, 0o600));
    let b = ok(sys!(SYS_open, c"b", O_RDWR | O_CREAT, 0o600));
    let mut text = [0_u8; 4096];
    ok(sys!(SYS_write, a, b"twelve bytes", 12));
    ok(sys!(SYS_pwrite64, a, b"far", 3, 100_000));
    ok(sys!(SYS_lseek, a, -3, SEEK_END));
    ok(sys!(SYS_lseek, a, 0, SEEK_SET));
    sys!(SYS_lseek, a, -1, SEEK_SET);
    ok(sys!(SYS_lseek, a, 5_000_000_000_i64, SEEK_SET));
    ok(sys!(SYS_lseek, a, 0, SEEK_HOLE));
    ok(sys!(SYS_lseek, a, 0, SEEK_SET));
    ok(sys!(SYS_read, a, &mut text, 5));
    ok(sys!(SYS_pread64, a, &mut text, 4096, 6));
    sys!(SYS_read, a, 8, 5);
    sys!(SYS_read, 666, &mut text, 5);
    sys!(SYS_read, -1, &mut text, 5);
    sys!(SYS_write, a, 0, 0);
    vectors(a);
    moving(a, b);
    for call in [SYS_fsync, SYS_fdatasync, SYS_syncfs] {
        ok(sys!(call, a));
    }
    sys!(SYS_readahead, a, 0, 4096);
    sys!(SYS_fadvise64, a, 0, 4096, POSIX_FADV_DONTNEED);
    sys!(SYS_sync_file_range, a, 0, 4096, SYNC_FILE_RANGE_WRITE);
    sys!(SYS_sync_file_range, a, 0, 4096, 7);
    waiting(a);
}

fn vectors(a: i64) {
    let mut text = [0_u8; 64];
    let vector = [text.as_mut_ptr() as u64, 3, text.as_mut_ptr() as u64, 4];
    ok(sys!(SYS_readv, a, &vector, 2));
    ok(sys!(SYS_writev, a, &vector, 2));
    ok(sys!(SYS_preadv, a, &vector, 2, 1));
    ok(sys!(SYS_pwritev, a, &vector, 1, 2));
    ok(sys!(SYS_preadv2, a, &vector, 2, 1, 0, RWF_HIPRI));
    ok(sys!(SYS_pwritev2, a, &vector, 2, -1, -1, RWF_DSYNC));
    sys!(SYS_preadv2, a, &vector, 2, 1, 0, RWF_SYNC | RWF_NOWAIT | RWF_APPEND);
}

fn moving(a: i64, b: i64) {
    let mut pair = [0_i32; 2];
    ok(sys!(SYS_lseek, a, 0, SEEK_SET));
    ok(sys!(SYS_sendfile, b, a, 0, 6));
    ok(sys!(SYS_copy_file_range, a, 0, b, 0, 6, 0));
    ok(sys!(SYS_pipe, &mut pair));
    ok(sys!(SYS_splice, a, 0, pair[1], 0, 5, SPLICE_F_MOVE | SPLICE_F_MORE));
    let mut second = [0_i32; 2];
    ok(sys!(SYS_pipe2, &mut second, O_NONBLOCK));
    ok(sys!(SYS_tee, pair[0], second[1], 5, SPLICE_F_NONBLOCK));
    ok(sys!(SYS_splice, pair[0], 0, b, 0, 5, 0));
    let vector = [b"four".as_ptr() as u64, 4];
    ok(sys!(SYS_vmsplice, second[1], &vector, 1, SPLICE_F_GIFT));
    ok(sys!(SYS_write, pair[1], b"x", 1));
    ok(sys!(SYS_read, pair[0], &mut [0_u8; 9], 9));
    ok(sys!(SYS_ioctl, pair[0], FIONREAD, &mut [0_i32]));
    sys!(SYS_ioctl, a, TCGETS, &mut [0_u8; 64]);
}

fn waiting(a: i64) {
    let mut polled = [a as u64];
    ok(sys!(SYS_poll, &mut polled, 1, 0));
    ok(sys!(SYS_ppoll, &mut polled, 1, &[0_u64, 0], 0, 8));
    ok(sys!(SYS_select, 0, 0, 0, 0, &mut [0_u64, 0]));
    ok(sys!(SYS_pselect6, 0, 0, 0, 0, &[0_u64, 0], 0));
}

#[test]
fn io_as_root() {
    compare::scene("families::io", "io", CALLS);
}
