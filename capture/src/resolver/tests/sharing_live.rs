//! Processes that share directories and descriptors on the running kernel, against what its `/proc` says of them at that
//! moment. Needs root.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Instant;

use super::live::{PATIENCE, gather, in_order, resolve, source};
use crate::resolver::{Config, NoHost, Resolver, Snapshot};

const SHARES_FS: i32 = libc::CLONE_FS | libc::SIGCHLD;
const SHARES_FILES: i32 = libc::CLONE_FILES | libc::SIGCHLD;
const NAME_MAX: usize = 200;
const TRUTHS_MAX: usize = 64;
/// A descriptor that a shell has words for.
const COPY: i32 = 9;

/// What the kernel says that a thread has: its working directory, or what is behind a descriptor.
#[repr(C)]
struct Truth {
    tid: i32,
    fd: i32,
    len: usize,
    name: [u8; NAME_MAX],
}

/// In memory that all processes of the test have.
#[repr(C)]
struct Page {
    step: AtomicI32,
    count: AtomicUsize,
    truths: [Truth; TRUTHS_MAX],
}

/// One of the processes and threads, which act in turns.
#[derive(Clone, Copy)]
struct Actor<'a> {
    page: *mut Page,
    folders: &'a [CString; 3],
    files: &'a [CString; 3],
}

impl Actor<'_> {
    fn steps(&self) -> &AtomicI32 {
        // SAFETY: the mapping is never taken away.
        unsafe { &(*self.page).step }
    }

    fn done(&self, step: i32) {
        self.steps().store(step, Ordering::SeqCst);
    }

    fn await_step(&self, step: i32) {
        while self.steps().load(Ordering::SeqCst) < step {
            // SAFETY: no preconditions.
            unsafe { libc::sched_yield() };
        }
    }

    fn chdir(&self, at: usize) {
        // SAFETY: a string that ends with a NUL.
        assert_eq!(unsafe { libc::chdir(self.folders[at].as_ptr()) }, 0);
    }

    fn open(&self, at: usize) -> i32 {
        // SAFETY: as above.
        unsafe { libc::open(self.files[at].as_ptr(), libc::O_RDONLY) }
    }

    fn close(&self, fd: i32) {
        // SAFETY: the descriptors are this test's own.
        unsafe { libc::close(fd) };
    }

    fn unshare(&self, flags: i32) {
        // SAFETY: no preconditions.
        assert_eq!(unsafe { libc::unshare(flags) }, 0);
    }

    /// Notes what the kernel says, then makes a call whose event shows what the resolver knows.
    fn check_cwd(&self) {
        self.note(-1, c"/proc/thread-self/cwd");
        // SAFETY: a string that ends with a NUL.
        unsafe { libc::access(c"marker".as_ptr(), libc::F_OK) };
    }

    fn check_fd(&self, fd: i32) {
        let link = CString::new(format!("/proc/thread-self/fd/{fd}")).unwrap();
        self.note(fd, &link);
        // SAFETY: no preconditions.
        unsafe { libc::fsync(fd) };
    }

    fn note(&self, fd: i32, link: &CStr) {
        // SAFETY: one acts at a time, each place is taken once, and the length is that of the room.
        unsafe {
            let at = (*self.page).count.fetch_add(1, Ordering::SeqCst);
            assert!(at < TRUTHS_MAX);
            let truth = &raw mut (*self.page).truths[at];
            (*truth).tid = libc::syscall(libc::SYS_gettid) as i32;
            (*truth).fd = fd;
            let len = libc::readlink(link.as_ptr(), (&raw mut (*truth).name).cast(), NAME_MAX);
            (*truth).len = usize::try_from(len).unwrap_or(0);
        }
    }

    /// Runs a child that shares what the flags say, beside what `meanwhile` does, and waits for its end.
    fn with_child(&self, flags: i32, child: impl FnOnce(), meanwhile: impl FnOnce()) {
        self.done(0);
        // SAFETY: without CLONE_VM it is like a fork.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as i32;
        assert!(pid >= 0);
        if pid == 0 {
            child();
            // SAFETY: no preconditions.
            unsafe { libc::_exit(0) };
        }
        meanwhile();
        let mut status = 0;
        // SAFETY: status is a valid int.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0, "a child failed");
    }

    /// Runs a thread that shares memory only, until it says that it is done.
    fn with_lonely_thread(&self) {
        extern "C" fn run(actor: *mut libc::c_void) -> i32 {
            // SAFETY: the maker waits for the thread's last step, and has this until then.
            let actor = unsafe { &*actor.cast::<Actor<'_>>() };
            actor.await_step(1);
            actor.chdir(2);
            let fd = actor.open(2);
            actor.check_cwd();
            actor.check_fd(fd);
            actor.done(2);
            actor.await_step(3);
            actor.check_cwd();
            actor.check_fd(fd);
            actor.done(4);
            // SAFETY: ends this thread alone.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
            0
        }
        self.done(0);
        let flags = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        let stack = vec![0u8; 256 << 10].leak().as_mut_ptr_range().end;
        let this: *const Actor<'_> = self;
        // SAFETY: the stack is the thread's for ever, and grows down from an aligned end.
        let tid = unsafe { libc::clone(run, stack.cast(), flags, this.cast_mut().cast()) };
        assert!(tid > 0);
        self.done(1);
        self.await_step(2);
        self.check_cwd();
        let fd = self.open(0);
        self.check_fd(fd);
        self.chdir(1);
        self.done(3);
        self.await_step(4);
        self.check_cwd();
        self.check_fd(fd);
    }

    /// All that happens.
    fn play(&self) {
        self.with_child(
            SHARES_FS,
            || {
                self.chdir(0);
                self.check_cwd();
                self.done(1);
                self.await_step(2);
                self.check_cwd();
                self.unshare(libc::CLONE_FS);
                self.chdir(2);
                self.check_cwd();
                self.done(3);
            },
            || {
                self.await_step(1);
                self.check_cwd();
                self.chdir(1);
                self.done(2);
                self.await_step(3);
                self.check_cwd();
            },
        );
        self.check_cwd();
        let fd = self.open(0);
        self.with_child(
            SHARES_FILES,
            || {
                self.close(fd);
                assert_eq!(self.open(1), fd);
                self.check_fd(fd);
                self.chdir(0);
                self.check_cwd();
                self.done(1);
                self.await_step(2);
                self.check_fd(fd);
                self.check_fd(COPY);
                // SAFETY: closes nothing that is open.
                unsafe { libc::syscall(libc::SYS_close_range, 400, 500, libc::CLOSE_RANGE_UNSHARE) };
                self.close(fd);
                assert_eq!(self.open(0), fd);
                self.check_fd(fd);
                self.done(3);
            },
            || {
                self.await_step(1);
                self.check_cwd();
                self.check_fd(fd);
                self.close(fd);
                assert_eq!(self.open(2), fd);
                // SAFETY: no preconditions.
                unsafe { libc::dup2(fd, COPY) };
                self.done(2);
                self.await_step(3);
                self.check_fd(fd);
            },
        );
        self.check_fd(fd);
        self.with_child(
            SHARES_FS | SHARES_FILES,
            || {
                let script = CString::new(format!("cd {}; exec 9<&-", self.folders[0].to_string_lossy())).unwrap();
                let args = [c"sh".as_ptr(), c"-c".as_ptr(), script.as_ptr(), std::ptr::null()];
                // SAFETY: strings that end with a NUL, and a list that ends.
                unsafe { libc::execv(c"/bin/sh".as_ptr(), args.as_ptr()) };
            },
            || {},
        );
        self.check_cwd();
        self.check_fd(COPY);
        self.with_lonely_thread();
    }
}

#[test]
fn what_processes_share_is_what_proc_says_as_root() {
    let Some(mut source) = source("resolver::what_processes_share_is_what_proc_says_as_root") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let folders = ["a", "b", "c"].map(|name| folder.join(name));
    let files = ["1", "2", "3"].map(|name| folder.join(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    files.iter().for_each(|file| std::fs::write(file, "").unwrap());
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a new mapping.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        libc::mmap(std::ptr::null_mut(), size_of::<Page>(), access, kind, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    let page: *mut Page = page.cast();
    let actor = Actor {
        page,
        folders: &folders.each_ref().map(|path| text(path)),
        files: &files.each_ref().map(|path| text(path)),
    };
    // SAFETY: the child makes only calls of its own, and leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| actor.play()));
        // SAFETY: no preconditions.
        unsafe { libc::_exit(i32::from(played.is_err())) };
    }
    let (mut records, mut status, started) = (Vec::new(), 0, Instant::now());
    // SAFETY: status is a valid int.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        gather(&mut source, &mut records);
        assert!(started.elapsed() < PATIENCE, "the processes do not end");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    source.detach();
    while gather(&mut source, &mut records) > 0 {}
    assert_eq!(status, 0);
    let resolver = Resolver::new(Config::default(), Snapshot::default(), Box::new(NoHost));
    let events = resolve(resolver, in_order(records));
    let mut told = events.iter().flat_map(|(tid, events)| {
        let said = events.iter().filter_map(|event| match &event.name[..] {
            "access" => Some((-1, event.arg("name").strip_suffix("/marker <- marker")?.to_owned())),
            "fsync" => Some((event.fd_num?, event.fd_name())),
            _ => None,
        });
        said.map(|(fd, name)| (*tid as i32, fd, name))
    });
    let told: Vec<_> = told.by_ref().collect();
    // SAFETY: no other process is left that could write there.
    let page = unsafe { &*page };
    let count = page.count.load(Ordering::SeqCst);
    let truths = page.truths[..count].iter();
    let mut truths: Vec<_> = truths
        .map(|t| (t.tid, t.fd, String::from_utf8_lossy(&t.name[..t.len]).into_owned()))
        .collect();
    truths.sort_by_key(|(tid, ..)| *tid);
    assert_eq!((told, truths.len()), (truths, 25));
}
