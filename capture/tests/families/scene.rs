//! Making system calls exactly as they are written, in a process that only does that.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Every scene, in the order in which they run.
pub(crate) const SCENES: &[(&str, fn())] = &[
    ("files", crate::files::scene),
    ("names", crate::names::scene),
    ("metadata", crate::metadata::scene),
    ("io", crate::io::scene),
    ("sockets", crate::sockets::scene),
    ("fds", crate::fds::scene),
    ("process", crate::process::scene),
    ("credentials", crate::credentials::scene),
    ("kernel", crate::kernel::scene),
    ("memory", crate::memory::scene),
    ("ipc", crate::ipc::scene),
    ("tasks", crate::tasks::scene),
    ("odd", crate::odd::scene),
    ("socketcall", crate::socketcall::scene),
];

/// The variable that names the scene, and the test that plays it.
pub(crate) const VARIABLE: &str = "ctrace_scene";

/// What the recording starts under strace: plays a scene in a child of its own, which has one thread whatever the test
/// harness does. By itself it does nothing.
#[test]
fn ctrace_scene() {
    let Ok(wanted) = std::env::var(VARIABLE) else {
        return;
    };
    let (_, scene) = SCENES.iter().find(|(name, _)| *name == wanted).expect("a scene");
    let child = fork(scene);
    assert_eq!(wait(child), 0, "the scene ended in order");
}

/// Something that goes into a register.
pub(crate) trait Arg {
    fn register(self) -> i64;
}

macro_rules! registers {
    ($($number:ty),+) => {
        $(impl Arg for $number {
            fn register(self) -> i64 {
                self as i64
            }
        })+
    };
}
registers!(i32, u32, i64, u64, usize);

impl Arg for &CStr {
    fn register(self) -> i64 {
        self.as_ptr() as i64
    }
}

impl<T> Arg for &[T] {
    fn register(self) -> i64 {
        self.as_ptr() as i64
    }
}

impl<T, const N: usize> Arg for &[T; N] {
    fn register(self) -> i64 {
        self.as_ptr() as i64
    }
}

impl<T, const N: usize> Arg for &mut [T; N] {
    fn register(self) -> i64 {
        self.as_mut_ptr() as i64
    }
}

/// `sys!(SYS_open, c"/x", libc::O_RDWR)`: makes the call and gives its result, the error negative.
macro_rules! sys {
    ($number:expr $(, $arg:expr)* $(,)?) => {
        $crate::scene::call($number, &[$($crate::scene::Arg::register($arg)),*])
    };
}
pub(crate) use sys;

/// Makes a call; arguments that are not given are zero. The result is the kernel's.
pub(crate) fn call(number: libc::c_long, args: &[i64]) -> i64 {
    let arg = |at: usize| args.get(at).copied().unwrap_or(0);
    // SAFETY: scenes give the kernel pointers to memory that outlives the call and is large enough for what the kernel
    // writes, or pointers that it refuses; what a call does to the process ends with the process.
    let ret = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if ret == -1 {
        // SAFETY: the C library's own error number.
        return -i64::from(unsafe { *libc::__errno_location() });
    }
    ret
}

/// The result of a call that must succeed.
#[track_caller]
pub(crate) fn ok(ret: i64) -> i64 {
    assert!(ret >= 0, "{}", std::io::Error::from_raw_os_error(-ret as i32));
    ret
}

/// Runs a closure in a new process, which ends with 0, or with 101 where it panicked.
#[track_caller]
pub(crate) fn fork<R>(child: impl FnOnce() -> R) -> i64 {
    let pid = ok(sys!(libc::SYS_fork));
    if pid == 0 {
        leave(child);
    }
    pid
}

/// Runs a closure and ends the process.
pub(crate) fn leave<R>(child: impl FnOnce() -> R) -> ! {
    let code = if catch_unwind(AssertUnwindSafe(child)).is_ok() {
        0
    } else {
        101
    };
    sys!(libc::SYS_exit_group, code);
    unreachable!("exit_group returned");
}

/// Waits for a child and gives its status.
pub(crate) fn wait(pid: i64) -> i32 {
    let mut status = [0_i32];
    ok(sys!(libc::SYS_wait4, pid, &mut status, 0, 0));
    status[0]
}
