//! The syscall source on the running kernel, against a child whose calls are known. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    ffi::CString,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, IntoRawFd},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use ctrace_capture::syscall::{Config, OpenError, Record, Scope, Section, SyscallSource, Until, View, Woken};
use ctrace_skip::{is_root, skip};
use ctrace_wire::{
    record::{self, Exec, Exit, Fork, Header, Syscall},
    section,
    spec::{ALL_FDS, CLOSED, COPY, Capture, NO_FD, PAIR, RESULT, SyscallSpec},
};

/// By which tests say that they were not run.
const NAME: &str = "syscall_live";

/// An owned copy of a record, for looking through after the fact.
#[derive(Debug)]
struct Seen<T> {
    fixed: T,
    sections: Vec<(u8, u8, bool, Vec<u8>)>,
    /// Whether something could not be read.
    fault: bool,
    socket: Option<section::Socket>,
    file: Option<section::File>,
    path: Option<String>,
    cwd: Option<String>,
    root: Option<String>,
    credentials: Option<section::Credentials>,
}

impl<T> Seen<T> {
    fn of<F: ?Sized>(view: &View<'_, F>, fixed: T) -> Self {
        let file = view.section(section::FILE).and_then(|section| section.file());
        let pseudo = file.is_some_and(|file| file.flags & section::FILE_PSEUDO != 0);
        let path = |section: Section<'_>, pseudo| {
            let mut path = Vec::new();
            section.path_into(pseudo, &mut path);
            String::from_utf8_lossy(&path).into_owned()
        };
        Self {
            fixed,
            sections: view
                .sections()
                .map(|s| (s.kind, s.arg, s.truncated, s.data.to_vec()))
                .collect(),
            fault: view.sections().any(|s| s.fault),
            socket: view.section(section::SOCKET).and_then(|section| section.socket()),
            file,
            path: view.section(section::FILE_PATH).map(|section| path(section, pseudo)),
            cwd: view.section(section::CWD).map(|section| path(section, false)),
            root: view.section(section::ROOT).map(|section| path(section, false)),
            credentials: view
                .section(section::CREDENTIALS)
                .and_then(|section| section.credentials()),
        }
    }

    fn data(&self, kind: u8) -> Option<&[u8]> {
        self.sections
            .iter()
            .find(|section| section.0 == kind)
            .map(|section| &section.3[..])
    }

    fn string(&self, kind: u8) -> String {
        String::from_utf8_lossy(self.data(kind).unwrap_or_default()).into_owned()
    }
}

fn owned(call: &Syscall<[u64]>) -> Syscall {
    Syscall {
        header: call.header,
        nr: call.nr,
        reserved: 0,
        ret: call.ret,
        args: call.all_args(),
    }
}

#[derive(Debug, Default)]
struct Log {
    syscalls: Vec<Seen<Syscall>>,
    enters: Vec<Seen<Syscall>>,
    execs: Vec<Seen<Exec>>,
    forks: Vec<Fork>,
    exits: Vec<Exit>,
    cgroups: Vec<(u8, u64, u32, String)>,
    headers: Vec<Header>,
}

impl Log {
    fn add(&mut self, record: Record<'_>) {
        self.headers.push(*record.header());
        match record {
            Record::Syscall(view) => self.syscalls.push(Seen::of(&view, owned(view.fixed))),
            Record::SyscallEnter(view) => self.enters.push(Seen::of(&view, owned(view.fixed))),
            Record::Exec(view) => self.execs.push(Seen::of(&view, *view.fixed)),
            Record::Fork(view) => self.forks.push(*view.fixed),
            Record::Exit(view) => self.exits.push(*view.fixed),
            Record::IoSubmit(_) | Record::IoComplete(_) => {}
            Record::CgroupMkdir(view) | Record::CgroupRmdir(view) => {
                let path = view
                    .section(section::CGROUP_PATH)
                    .map(|section| section.data)
                    .unwrap_or_default();
                let path = String::from_utf8_lossy(path).into_owned();
                self.cgroups
                    .push((view.fixed.header.kind, view.fixed.id, view.fixed.hierarchy, path));
            }
        }
    }

    fn calls(&self, tgid: u32, nr: i64) -> impl Iterator<Item = &Seen<Syscall>> {
        self.syscalls
            .iter()
            .filter(move |s| s.fixed.header.tgid == tgid && i64::from(s.fixed.nr) == nr)
    }

    #[track_caller]
    fn call(&self, tgid: u32, nr: i64, what: impl Fn(&Seen<Syscall>) -> bool) -> &Seen<Syscall> {
        self.calls(tgid, nr).find(|call| what(call)).unwrap_or_else(|| {
            panic!(
                "no such call of {nr} by {tgid} among {:#?}",
                self.calls(tgid, nr).collect::<Vec<_>>()
            )
        })
    }

    #[track_caller]
    fn exec(&self, tgid: u32) -> &Seen<Exec> {
        self.execs
            .iter()
            .find(|exec| exec.fixed.header.tgid == tgid)
            .expect("an exec record")
    }
}

fn specs() -> Vec<SyscallSpec> {
    (0..512)
        .map(|nr| {
            let plain = SyscallSpec::PLAIN;
            match nr {
                libc::SYS_openat => plain.with(&[Capture::string(1)]).file(RESULT).args(4),
                libc::SYS_openat2 => plain
                    .with(&[Capture::string(1), Capture::structure(2, 24)])
                    .file(RESULT),
                libc::SYS_execve => plain
                    .with(&[Capture::string(0), Capture::string_array(1)])
                    .priority()
                    .args(3),
                libc::SYS_pipe2 => plain.with(&[Capture::i32_pair(0)]).file(PAIR).args(2),
                libc::SYS_socketpair => plain.with(&[Capture::i32_pair(3)]).file(PAIR),
                libc::SYS_connect => plain.with(&[Capture::sockaddr(1, 2)]).socket(0).priority(),
                libc::SYS_accept4 => plain.with(&[Capture::sockaddr_result(1, 2)]).socket(RESULT).priority(),
                libc::SYS_write => plain.with(&[Capture::buffer(1, RESULT)]).args(3),
                libc::SYS_close => plain.file(CLOSED).socket(CLOSED).args(1),
                libc::SYS_dup2 => plain.file(COPY).socket(COPY).args(2),
                libc::SYS_fcntl => plain.file(COPY).socket(COPY).args(3),
                libc::SYS_close_range => plain.file(ALL_FDS).args(3),
                libc::SYS_eventfd2 => plain.file(RESULT).args(2),
                libc::SYS_socket => plain.socket(RESULT).args(3),
                libc::SYS_unshare => plain.credentials().args(1),
                libc::SYS_renameat2 => plain.with(&[Capture::string(1), Capture::string(3)]),
                libc::SYS_memfd_create => plain.with(&[Capture::string(0)]).file(RESULT),
                libc::SYS_exit_group => plain.enter(),
                libc::SYS_getppid => SyscallSpec::UNSELECTED,
                libc::SYS_chdir => plain.with(&[Capture::string(0)]).directory().args(1),
                libc::SYS_fchdir => plain.directory().args(1),
                libc::SYS_chroot => plain.with(&[Capture::string(0)]).root().args(1),
                libc::SYS_unlink => plain.with(&[Capture::string(0)]).base(NO_FD).args(1),
                libc::SYS_unlinkat => plain.with(&[Capture::string(1)]).base(0).args(3),
                libc::SYS_symlink => plain
                    .with(&[Capture::string(0), Capture::string(1)])
                    .base(NO_FD)
                    .args(2),
                _ => plain,
            }
        })
        .chain((0..512).map(|_| SyscallSpec::PLAIN))
        .collect()
}

/// Opens the source, or says why the test cannot run here.
fn open(config: &Config) -> Option<SyscallSource> {
    if !is_root(NAME) {
        return None;
    }
    match SyscallSource::open(config) {
        Ok(source) => Some(source),
        Err(error @ (OpenError::NoBtf(_) | OpenError::NoPrivilege(_) | OpenError::KernelTooOld { .. })) => {
            skip(NAME, &error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs `child` in a forked process while the source records, and gives its id, status, and what was seen.
fn record(config: Config, child: impl FnOnce() -> i32) -> Option<(u32, i32, Log)> {
    let mut source = open(&config)?;
    // SAFETY: the child only calls what the test gives it and leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = child();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(code) };
    }
    let mut log = Log::default();
    let mut status = 0;
    // SAFETY: status is a valid int.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        source.poll(&mut |record| log.add(record));
        std::thread::sleep(Duration::from_millis(1));
    }
    source.detach();
    every_submitted(&mut source, &mut log);
    assert_eq!((source.malformed(), source.skipped()), (0, 0));
    assert_eq!(
        source.totals().unwrap().iter().map(|total| total.lost).sum::<u64>(),
        0,
        "records lost"
    );
    Some((pid as u32, status, log))
}

/// Reads until all that was submitted has been read. The number may still grow for a moment: a thread that lost its CPU
/// on the way to a program runs that program after it was detached.
fn every_submitted(source: &mut SyscallSource, log: &mut Log) {
    let started = Instant::now();
    loop {
        source.poll(&mut |record| log.add(record));
        let submitted: u64 = source.totals().unwrap().iter().map(|total| total.submitted).sum();
        let read = log.headers.len() as u64;
        if submitted == read {
            // They come ring by ring.
            log.syscalls.sort_by_key(|call| call.fixed.header.ts);
            return;
        }
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(60), "{submitted} submitted, {read} read");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Of this program and its children: what a busy host does besides would fill the rings.
fn config() -> Config {
    Config {
        specs: specs(),
        snaplen: 16,
        scope: Some(Scope {
            pids: vec![std::process::id()],
            ..Scope::default()
        }),
        ..Config::default()
    }
}

/// Copies a file that will be executed, by a process of its own: children that other tests fork would hold this one's
/// descriptor of the copy, and a file that is open for writing is not executed.
fn program(from: &Path, to: &Path) {
    let copied = Command::new("install")
        .args(["-m", "755", "--"])
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

#[test]
fn needs_root_file_calls_have_arguments_strings_results_and_file_objects() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("here.txt"), "content").unwrap();
    let root = dir.path().to_owned();
    let Some((pid, status, log)) = record(config(), move || {
        std::env::set_current_dir(&root).unwrap();
        // SAFETY: the strings outlive the calls, and the descriptors are the child's own.
        unsafe {
            let fd = libc::openat(libc::AT_FDCWD, c("here.txt").as_ptr(), libc::O_RDONLY);
            libc::openat(libc::AT_FDCWD, c("not-here.txt").as_ptr(), libc::O_RDWR);
            libc::openat(libc::AT_FDCWD, 8 as *const libc::c_char, libc::O_RDONLY);
            libc::openat(libc::AT_FDCWD, c(&"x".repeat(5000)).as_ptr(), libc::O_RDONLY);
            let mut fds = [0; 2];
            libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC);
            libc::write(fds[1], c("a longer text than is kept").as_ptr().cast(), 26);
            libc::memfd_create(c("hidden").as_ptr(), 0);
            libc::syscall(
                libc::SYS_renameat2,
                libc::AT_FDCWD,
                c("here.txt").as_ptr(),
                libc::AT_FDCWD,
                c("there.txt").as_ptr(),
                0,
            );
            libc::getppid();
            let how = [libc::O_RDONLY as u64, 0, 0x08];
            libc::syscall(
                libc::SYS_openat2,
                libc::AT_FDCWD,
                c("there.txt").as_ptr(),
                how.as_ptr(),
                24,
            );
            // Whole registers: of a shorter argument that comes on the stack the rest is anything.
            libc::syscall(libc::SYS_close, i64::from(fd), 11_i64, 12_i64, 13_i64, 14_i64, 15_i64);
            libc::syscall(libc::SYS_dup2, 1_i64, 77_i64, 12_i64, 13_i64, 14_i64, 15_i64);
            libc::syscall(libc::SYS_lseek, 77_i64, 0_i64, 12_i64, 13_i64, 14_i64, 15_i64);
        }
        7
    }) else {
        return;
    };
    assert_eq!(libc::WEXITSTATUS(status), 7);

    let meta = fs::metadata(dir.path().join("there.txt")).unwrap();
    let opened = log.call(pid, libc::SYS_openat, |call| call.string(section::STRING) == "here.txt");
    assert!(opened.fixed.ret >= 0);
    for (nr, kept) in [
        (libc::SYS_close, [opened.fixed.ret as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_dup2, [1, 77, 0, 0, 0, 0]),
        (libc::SYS_lseek, [77, 0, 12, 13, 14, 15]),
    ] {
        log.call(pid, nr, |call| call.fixed.args == kept);
    }
    assert_eq!(opened.fixed.args[0] as i32, libc::AT_FDCWD);
    assert_eq!(opened.path.as_deref(), dir.path().join("here.txt").to_str());
    let file = opened.file.unwrap();
    assert_eq!(
        (file.ino, file.mode, file.nlink, file.uid),
        (meta.ino(), meta.mode(), 1, meta.uid())
    );
    assert_eq!(
        (file.mtime_s, i64::from(file.mtime_ns)),
        (meta.mtime(), meta.mtime_nsec())
    );
    let (major, minor) = (section::dev_major(file.dev), section::dev_minor(file.dev));
    assert_eq!((major, minor), (libc::major(meta.dev()), libc::minor(meta.dev())));

    let failed = log.call(pid, libc::SYS_openat, |call| {
        call.string(section::STRING) == "not-here.txt"
    });
    assert_eq!(failed.fixed.ret, -i64::from(libc::ENOENT));
    assert!(failed.file.is_none());

    let fault = log.call(pid, libc::SYS_openat, |call| call.fixed.ret == -i64::from(libc::EFAULT));
    assert_eq!(fault.data(section::STRING), Some(&[][..]));
    let long = log.call(pid, libc::SYS_openat, |call| {
        call.fixed.ret == -i64::from(libc::ENAMETOOLONG)
    });
    assert!(long.sections[0].2, "marked as truncated");
    assert_eq!(long.sections[0].3.len(), section::STRING_MAX - 1);

    let pipe = log.call(pid, libc::SYS_pipe2, |_| true);
    let ends: Vec<i32> = pipe
        .data(section::I32_PAIR)
        .unwrap()
        .chunks(4)
        .map(|b| i32::from_ne_bytes(b.try_into().unwrap()))
        .collect();
    assert!(ends[0] > 2 && ends[1] > ends[0], "{ends:?}");
    let write = log.call(pid, libc::SYS_write, |call| call.fixed.args[0] as i32 == ends[1]);
    assert_eq!(
        (write.fixed.ret, write.string(section::BUFFER).as_str()),
        (26, "a longer text th")
    );
    assert!(write.sections[0].2, "cut at the snap length");

    let memfd = log.call(pid, libc::SYS_memfd_create, |_| true);
    assert_eq!(
        (memfd.string(section::STRING).as_str(), memfd.path.as_deref()),
        ("hidden", Some("memfd:hidden"))
    );
    let file = memfd.file.unwrap();
    assert_eq!(
        file.flags & (section::FILE_PSEUDO | section::FILE_DELETED),
        section::FILE_PSEUDO | section::FILE_DELETED
    );

    let rename = log.call(pid, libc::SYS_renameat2, |_| true);
    let names: Vec<_> = rename
        .sections
        .iter()
        .map(|s| (s.1, String::from_utf8_lossy(&s.3)))
        .collect();
    assert_eq!(names, [(1, "here.txt".into()), (3, "there.txt".into())]);
    let opened = log.call(pid, libc::SYS_openat2, |_| true);
    assert_eq!(
        opened.data(section::STRUCT).map(|how| how[16]),
        Some(0x08),
        "open_how.resolve"
    );
    assert_eq!(opened.path.as_deref(), dir.path().join("there.txt").to_str());

    assert_eq!(log.calls(pid, libc::SYS_getppid).count(), 0, "not selected");
    let leaving = log
        .enters
        .iter()
        .find(|enter| enter.fixed.header.tgid == pid)
        .expect("exit_group at entry");
    assert_eq!(
        (i64::from(leaving.fixed.nr), leaving.fixed.args[0]),
        (libc::SYS_exit_group, 7)
    );
}

#[test]
fn needs_root_processes_are_seen_from_fork_to_exit() {
    let dir = tempfile::tempdir().unwrap();
    let (text, path) = (dir.path().join("text"), dir.path().join("script"));
    fs::write(&text, "#!/bin/sh\nexit 3\n").unwrap();
    program(&text, &path);
    let run = path.clone();
    let before = ctrace_capture::syscall::boot_time_ns();
    let Some((pid, status, log)) = record(config(), move || {
        std::thread::spawn(|| {
            // SAFETY: no preconditions.
            unsafe { libc::gettid() };
        })
        .join()
        .unwrap();
        let argv = [c("nothing"), c("-x")];
        let pointers = [argv[0].as_ptr(), argv[1].as_ptr(), std::ptr::null()];
        // SAFETY: valid strings and a null-terminated array.
        unsafe {
            libc::execve(
                c("/no/such/program").as_ptr(),
                pointers.as_ptr(),
                [std::ptr::null()].as_ptr(),
            )
        };
        std::env::set_current_dir("/usr").unwrap();
        let _ = Command::new(&run)
            .arg("one")
            .arg("two words")
            .env_clear()
            .env("KEY", "value")
            .exec();
        1
    }) else {
        return;
    };
    assert_eq!(libc::WEXITSTATUS(status), 3);

    let me = std::process::id();
    let fork = log
        .forks
        .iter()
        .find(|fork| fork.child_tgid == pid && fork.child_tid == pid)
        .expect("a fork record");
    assert_eq!((fork.header.tgid, fork.child_ppid), (me, me));
    assert!(
        fork.child_start >= before && fork.child_start <= fork.header.ts,
        "{fork:?}, {before}"
    );
    let thread = log.forks.iter().find(|fork| fork.header.tgid == pid).expect("a thread");
    assert_eq!(thread.child_tgid, pid);
    assert_ne!(thread.child_tid, pid);
    let ended = log
        .exits
        .iter()
        .find(|exit| exit.header.tid == thread.child_tid)
        .expect("the thread's end");
    assert_eq!(ended.threads_left, 1);

    let failed = log.call(pid, libc::SYS_execve, |call| call.fixed.ret == -i64::from(libc::ENOENT));
    assert_eq!(failed.string(section::STRING), "/no/such/program");
    assert_eq!(failed.string(section::STRING_ARRAY), "nothing\0-x\0");
    log.call(pid, libc::SYS_execve, |call| call.fixed.ret == 0);

    let exec = log.exec(pid);
    let fixed = exec.fixed;
    assert_eq!(exec.string(section::EXEC_FILENAME), path.to_str().unwrap());
    assert_eq!(exec.string(section::EXEC_INTERP), "/bin/sh");
    assert_eq!(
        exec.string(section::EXEC_ARGV),
        format!("/bin/sh\0{}\0one\0two words\0", path.display())
    );
    assert_eq!(exec.string(section::EXEC_ENV), "KEY=value\0");
    assert_eq!(exec.cwd.as_deref(), Some("/usr"));
    assert_eq!(exec.path.as_deref(), fs::canonicalize("/bin/sh").unwrap().to_str());
    assert_eq!(exec.file.unwrap().ino, fs::metadata("/bin/sh").unwrap().ino());
    assert_eq!((fixed.old_tid, fixed.ppid, fixed.start), (pid, me, fork.child_start));
    same_as_proc(&fixed);
    assert_eq!(&fixed.comm[..7], b"script\0");

    let end = log
        .exits
        .iter()
        .find(|exit| exit.header.tgid == pid && exit.header.tid == pid)
        .expect("an exit record");
    assert_eq!(
        (end.exit_code, end.threads_left, end.start),
        (3 << 8, 0, fork.child_start)
    );
    assert!(end.header.ts > fixed.header.ts && fixed.header.ts > fork.header.ts);
    assert!(
        log.headers
            .iter()
            .all(|header| header.tgid != me || record::arg_count(header.kind, record::KIND_SYSCALL).is_none()),
        "own calls"
    );
}

/// What the child inherited from this process, from this process's /proc.
fn same_as_proc(exec: &Exec) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |key: &str| -> Vec<String> {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(
        line("Uid:")[..3],
        [exec.uid, exec.euid, exec.suid].map(|id| id.to_string())
    );
    assert_eq!(
        line("Gid:")[..3],
        [exec.gid, exec.egid, exec.sgid].map(|id| id.to_string())
    );
    assert_eq!(line("CapPrm:")[0], format!("{:016x}", exec.cap_permitted));
    assert_eq!(line("CapEff:")[0], format!("{:016x}", exec.cap_effective));
    assert_eq!(line("CapInh:")[0], format!("{:016x}", exec.cap_inheritable));
    for (name, inum) in [
        ("mnt", exec.mnt_ns),
        ("pid", exec.pid_ns),
        ("net", exec.net_ns),
        ("user", exec.user_ns),
    ] {
        assert_eq!(
            fs::read_link(format!("/proc/self/ns/{name}"))
                .unwrap()
                .to_str()
                .unwrap(),
            format!("{name}:[{inum}]")
        );
    }
    let number = |file: &str| {
        fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok())
    };
    if let Some(loginuid) = number("/proc/self/loginuid") {
        assert_eq!(exec.loginuid, loginuid);
    }
    if let Some(sessionid) = number("/proc/self/sessionid") {
        assert_eq!(exec.sessionid, sessionid);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!([fields[2], fields[3]], [exec.pgid.to_string(), exec.sid.to_string()]);
    assert_eq!(
        exec.vpid, exec.header.tgid,
        "this test runs in the initial pid namespace"
    );
    assert!(exec.parent_start < exec.start);
    assert_eq!(exec.header.cgroup, own_cgroup(), "cgroup v2 id");
}

fn own_cgroup() -> u64 {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    fs::metadata(format!("{}{path}", cgroup2_mount())).unwrap().ino()
}

fn cgroup2_mount() -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find(|fields| fields[2] == "cgroup2").expect("a cgroup2 mount")[1].to_owned()
}

#[test]
fn needs_root_sockets_are_described_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let unix = dir.path().join("socket");
    let (listen, listen_unix) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UnixListener::bind(&unix).unwrap(),
    );
    let port = listen.local_addr().unwrap().port();
    let path = unix.clone();
    let Some((pid, _, log)) = record(config(), move || {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut accepted, from) = listen.accept().unwrap();
        assert_eq!(from, stream.local_addr().unwrap());
        let _ = TcpStream::connect(("127.0.0.1", 1));
        let stream6 = TcpListener::bind("[::1]:0").and_then(|l| TcpStream::connect(l.local_addr()?));
        drop(UnixStream::connect(&path).unwrap());
        drop((listen_unix, stream));
        let _ = accepted.read(&mut [0]);
        drop(stream6);
        0
    }) else {
        return;
    };

    let connect = |address: &[u8]| {
        log.call(pid, libc::SYS_connect, |call| {
            call.data(section::SOCKADDR) == Some(address)
        })
    };
    let mut wanted = vec![2, 0];
    wanted.extend(port.to_be_bytes());
    wanted.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let connected = connect(&wanted);
    let socket = connected.socket.unwrap();
    assert_eq!(connected.fixed.ret, 0);
    assert_eq!(
        (socket.family, socket.kind, socket.protocol, socket.state),
        (2, 1, 6, 1)
    );
    assert_eq!((&socket.remote[..4], socket.remote_port), (&[127, 0, 0, 1][..], port));
    assert_eq!(&socket.local[..4], &[127, 0, 0, 1]);

    let accepted = log
        .call(pid, libc::SYS_accept4, |call| call.fixed.ret >= 0)
        .socket
        .unwrap();
    assert_eq!(
        (accepted.local_port, accepted.remote_port),
        (socket.remote_port, socket.local_port)
    );
    assert_eq!(
        format!("net:[{}]", accepted.net_ns),
        fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap()
    );

    let refused = log.call(pid, libc::SYS_connect, |call| {
        call.fixed.ret == -i64::from(libc::ECONNREFUSED)
    });
    assert_eq!(
        refused.data(section::SOCKADDR).map(|address| &address[2..8]),
        Some(&[0, 1, 127, 0, 0, 1][..])
    );
    if let Some(v6) = log
        .calls(pid, libc::SYS_connect)
        .find_map(|call| call.socket.filter(|s| s.family == 10))
    {
        assert_eq!(v6.remote.last(), Some(&1));
        assert_eq!(v6.remote[..15], [0; 15]);
    }
    let unix_call = log.call(pid, libc::SYS_connect, |call| {
        call.socket.is_some_and(|s| s.family == 1)
    });
    assert_eq!(
        unix_call.data(section::UNIX_PEER).map(|a| &a[2..]),
        Some(c(unix.to_str().unwrap()).as_bytes_with_nul())
    );
}

#[test]
fn needs_root_long_command_lines_are_marked_and_cgroups_are_seen() {
    let Some((pid, _, log)) = record(config(), || {
        let cgroup = format!("{}/ctrace-test-{}", cgroup2_mount(), std::process::id());
        fs::create_dir(&cgroup).unwrap();
        let ino = fs::metadata(&cgroup).unwrap().ino();
        fs::remove_dir(&cgroup).unwrap();
        let _ = Command::new("/bin/true")
            .args((0..8000).map(|_| "argument"))
            .env("INO", ino.to_string())
            .exec();
        1
    }) else {
        return;
    };
    let exec = log.exec(pid);
    let (_, _, truncated, argv) = exec.sections.iter().find(|s| s.0 == section::EXEC_ARGV).unwrap();
    assert!(truncated);
    assert_eq!(argv.len(), section::ARGV_MAX);
    assert!(argv.starts_with(b"/bin/true\0argument\0argument\0"));

    let name = format!("/ctrace-test-{pid}");
    let seen: Vec<_> = log
        .cgroups
        .iter()
        .filter(|cgroup| cgroup.3 == name)
        .map(|c| (c.0, c.1, c.2))
        .collect();
    let environment = exec.string(section::EXEC_ENV);
    if let Some(ino) = environment.split('\0').find_map(|entry| entry.strip_prefix("INO=")) {
        let ino: u64 = ino.parse().unwrap();
        assert_eq!(
            seen,
            [(record::KIND_CGROUP_MKDIR, ino, 0), (record::KIND_CGROUP_RMDIR, ino, 0)]
        );
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn needs_root_a_command_line_of_64_kib_lacks_its_last_nul_only() {
    let Some((pid, _, log)) = record(config(), || {
        // Two bytes each, its own name included.
        let _ = Command::new("/bin/true").arg0("t").args((1..32768).map(|_| "a")).exec();
        1
    }) else {
        return;
    };
    let argv = log.exec(pid).data(section::EXEC_ARGV).unwrap();
    assert_eq!(
        (argv.len(), argv.first(), argv.last()),
        (65_535, Some(&b't'), Some(&b'a'))
    );
}

#[test]
fn needs_root_variables_are_found_in_long_environments() {
    let names = ["LD_LIBRARY_PATH", "CHOSEN", "X", "CUT"];
    let config = Config {
        env: names.map(|name| name.as_bytes().to_vec()).to_vec(),
        ..config()
    };
    let environment = |more: &[(&'static str, String)]| {
        let padding = (0..200).map(|i| (format!("PADDING{i}"), "p".repeat(i)));
        let padding = padding.chain([
            ("HUGE".to_owned(), "X=not;".repeat(15_000)),
            ("CHOSENS".to_owned(), "no".to_owned()),
        ]);
        let own = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        padding.chain(own).collect::<Vec<_>>()
    };
    let own = [
        ("X", "1".to_owned()),
        ("CHOSEN", "yes".to_owned()),
        ("LD_LIBRARY_PATH", "/nowhere".to_owned()),
        ("EMPTY", String::new()),
    ];
    let whole = environment(&own);
    let cut = environment(&[("CUT", "c".repeat(5000))]);
    let Some((pid, _, log)) = record(config, || {
        // SAFETY: the child of a test that has no other threads execs at once.
        let child = unsafe { libc::fork() };
        let environment = if child == 0 { cut.clone() } else { whole.clone() };
        if child > 0 {
            // SAFETY: the status is not asked for.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
        let _ = Command::new("/bin/true").env_clear().envs(environment).exec();
        1
    }) else {
        return;
    };
    let variables = |pid: u32| {
        let exec = log.exec(pid);
        let (_, _, truncated, environment) = exec.sections.iter().find(|s| s.0 == section::EXEC_ENV).unwrap();
        let text = String::from_utf8_lossy(environment).into_owned();
        let mut variables: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        variables.sort();
        (*truncated, variables)
    };
    let (truncated, found) = variables(pid);
    assert_eq!(found, ["CHOSEN=yes", "LD_LIBRARY_PATH=/nowhere", "X=1"]);
    assert!(!truncated);

    let child = log.forks.iter().find(|fork| fork.header.tgid == pid).expect("a child");
    let (truncated, found) = variables(child.child_tgid);
    assert_eq!(found, [format!("CUT={}", "c".repeat(4091))]);
    assert!(truncated, "a value that is longer than what is read at once is marked");
}

#[test]
fn needs_root_a_full_ring_counts_what_it_loses() {
    let mut source = match open(&Config {
        bulk_ring_bytes: 1 << 16,
        self_tgid: 0,
        ..config()
    }) {
        Some(source) => source,
        None => return,
    };
    for _ in 0..5000 {
        // SAFETY: no preconditions.
        unsafe { libc::syscall(libc::SYS_getuid) };
    }
    source.detach();
    let mut read = 0;
    let started = Instant::now();
    // A thread that was interrupted in a program ends it whenever it runs again.
    let lost = loop {
        while source.poll(&mut |_| read += 1) > 0 {}
        let totals = source.totals().unwrap();
        let (submitted, lost): (u64, u64) = totals
            .iter()
            .fold((0, 0), |sum, t| (sum.0 + t.submitted, sum.1 + t.lost));
        if submitted == read {
            break lost;
        }
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{submitted} submitted, {read} read"
        );
    };
    assert!(lost >= 5000 - (1 << 16) / 104, "{lost} lost, {read} read");
    assert!(lost + read >= 5000);
}

#[test]
fn needs_root_what_a_cpu_has_no_room_for_is_complete_and_in_order() {
    // Several times as much as the ring of one CPU takes, in records of all lengths.
    const CALLS: i64 = 30_000;
    let calls = || {
        // SAFETY: of no process but this, and a set of the right size.
        unsafe {
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut one);
            assert_eq!(libc::sched_setaffinity(0, size_of_val(&one), &raw const one), 0);
        }
        let name = c(&"x".repeat(5000));
        for i in 0..CALLS {
            // SAFETY: the end of a string that lives on.
            unsafe {
                libc::lseek(-1, i, 0);
                if i % 50 == 0 {
                    let name = &name.as_bytes_with_nul()[(i % 5000) as usize..];
                    libc::openat(-1, name.as_ptr().cast(), 0);
                }
            }
        }
        0
    };
    let check = |log: &Log, pid| {
        let seeks = log.calls(pid, libc::SYS_lseek).map(|call| call.fixed.args[1] as i64);
        assert!(seeks.eq(0..CALLS));
        let opens = log.calls(pid, libc::SYS_openat);
        let lengths = opens.map(|call| call.string(section::STRING).len() as i64);
        // No path has more than 4095 bytes.
        let expected = (0..CALLS).step_by(50).map(|i| (5000 - i % 5000).min(4095));
        assert!(lengths.eq(expected));
    };
    // Read as it comes.
    let Some((pid, _, log)) = record(config(), calls) else {
        return;
    };
    check(&log, pid);
    // And when all is there.
    let Some(mut source) = open(&config()) else { return };
    // SAFETY: as in `record`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = calls();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: status is a valid int.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    source.detach();
    let mut log = Log::default();
    every_submitted(&mut source, &mut log);
    check(&log, pid as u32);
    let lost: u64 = source.totals().unwrap().iter().map(|total| total.lost).sum();
    assert_eq!((status, lost), (0, 0));
}

/// A shell that runs what it is told, each time until that has ended.
struct Runner {
    shell: Child,
    told: ChildStdin,
    ended: std::io::Lines<BufReader<ChildStdout>>,
}

impl Runner {
    fn start() -> Runner {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "while read program; do $program; echo ended; done"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Runner {
            told: shell.stdin.take().unwrap(),
            ended: BufReader::new(shell.stdout.take().unwrap()).lines(),
            shell,
        }
    }

    fn run(&mut self, program: &Path) {
        writeln!(self.told, "{}", program.display()).unwrap();
        assert_eq!(self.ended.next().unwrap().unwrap(), "ended");
    }

    fn end(mut self) {
        drop(self.told);
        assert!(self.shell.wait().unwrap().success());
    }
}

/// Ends a wait where a program is started.
const PROGRAM: Until<'static> = Until {
    program: true,
    other: None,
};

#[test]
fn needs_root_a_ring_that_fills_ends_a_wait() {
    // Their records fill three quarters of the ring.
    const CALLS: usize = 16_000;
    // A file for each round, and none of them ever found.
    let script =
        format!("read go; i=0; while [ $i -lt {CALLS} ]; do i=$((i+1)); test -e /nowhere/$i; done; echo; read go");
    let mut shell = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = shell.stdin.take().unwrap();
    let mut ended = BufReader::new(shell.stdout.take().unwrap()).lines();
    let scope = Scope {
        pids: vec![shell.id()],
        ..Scope::default()
    };
    let Some(mut source) = open(&Config {
        scope: Some(scope),
        bulk_ring_bytes: 2 << 20,
        specs: vec![SyscallSpec::PLAIN; 512],
        ..config()
    }) else {
        drop(told);
        shell.wait().unwrap();
        return;
    };
    let nothing = Until::default();
    assert_eq!(source.wait(Duration::ZERO, &nothing), Woken::Time);
    writeln!(told).unwrap();
    // More is still to come than it takes.
    let mut taken = 0;
    while taken < CALLS / 2 {
        assert_eq!(source.wait(Duration::from_secs(60), &nothing), Woken::Full);
        taken += source.poll(&mut |_| ());
    }
    assert!(ended.next().unwrap().is_ok());
    source.poll(&mut |_| ());
    assert_eq!(source.wait(Duration::ZERO, &nothing), Woken::Time);
    let lost: u64 = source.totals().unwrap().iter().map(|total| total.lost).sum();
    assert_eq!(lost, 0);
    drop(told);
    shell.wait().unwrap();
}

#[test]
fn needs_root_only_a_file_that_is_not_known_ends_a_wait() {
    let mut runner = Runner::start();
    // What other tests run must not be seen here.
    let scope = Scope {
        pids: vec![runner.shell.id()],
        ..Scope::default()
    };
    let Some(mut source) = open(&Config {
        scope: Some(scope),
        ..config()
    }) else {
        return runner.end();
    };
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    program(Path::new("/bin/true"), &first);
    program(Path::new("/bin/true"), &second);
    let known = source.take_known().expect("it was not taken");
    assert!(source.take_known().is_none());
    let polled = |source: &mut SyscallSource| {
        let mut files = Vec::new();
        source.poll(&mut |polled| {
            if let Record::Exec(view) = polled
                && view.fixed.header.flags & record::FLAG_UNSEEN == 0
            {
                files.extend(view.section(section::FILE).and_then(|section| section.file()));
            }
        });
        files
    };

    runner.run(&first);
    assert_eq!(
        source.wait(Duration::from_secs(60), &PROGRAM),
        Woken::Program,
        "of no file anything is known at first"
    );
    let files = polled(&mut source);
    assert_eq!(files.len(), 1);
    assert_eq!(
        source.wait(Duration::ZERO, &PROGRAM),
        Woken::Time,
        "what is polled is no news"
    );
    known.add(&files[0]);
    // Recorders of other tests look at what runs, too. The kernel marks that in the times of the file.
    fs::metadata(&first).unwrap();
    runner.run(&first);
    assert_eq!(source.wait(Duration::ZERO, &PROGRAM), Woken::Time);
    let again = polled(&mut source);
    assert_eq!(again.len(), 1, "it is recorded as always");
    assert_eq!(again[0].ino, files[0].ino);
    runner.run(&second);
    assert_eq!(
        source.wait(Duration::from_secs(60), &PROGRAM),
        Woken::Program,
        "another file of the same contents"
    );
    polled(&mut source);

    // Its inode changes: it may be another program now.
    let changed = || {
        fs::metadata(&first)
            .map(|about| (about.ctime(), about.ctime_nsec()))
            .unwrap()
    };
    let before = changed();
    while changed() == before {
        fs::set_permissions(&first, fs::Permissions::from_mode(0o700)).unwrap();
    }
    runner.run(&first);
    assert_eq!(source.wait(Duration::from_secs(60), &PROGRAM), Woken::Program);
    runner.end();
}

#[test]
fn needs_root_a_storm_of_short_processes_is_complete() {
    const LOOPS: usize = 300;
    const WORKERS: usize = 4;
    let script = format!("i=0; while [ $i -lt {LOOPS} ]; do /bin/cat /etc/passwd >/dev/null; i=$((i+1)); done");
    let Some((_, status, log)) = record(config(), move || {
        let shells = (0..WORKERS).map(|_| Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap());
        let shells: Vec<_> = shells.collect();
        i32::from(!shells.into_iter().all(|mut shell| shell.wait().unwrap().success()))
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let wanted = LOOPS * WORKERS;
    // Programs are recorded of the whole host; another one's are marked.
    let own = log
        .execs
        .iter()
        .filter(|e| e.fixed.header.flags & record::FLAG_UNSEEN == 0);
    let execs: Vec<_> = own
        .filter(|e| e.string(section::EXEC_ARGV) == "/bin/cat\0/etc/passwd\0")
        .collect();
    assert_eq!(execs.len(), wanted);
    for exec in &execs {
        let pid = exec.fixed.header.tgid;
        let opened = log.call(pid, libc::SYS_openat, |call| {
            call.string(section::STRING) == "/etc/passwd"
        });
        assert_eq!(opened.path.as_deref(), Some("/etc/passwd"));
        assert!(
            log.forks
                .iter()
                .any(|fork| fork.child_tid == pid && fork.child_start == exec.fixed.start)
        );
        assert!(
            log.exits
                .iter()
                .any(|exit| exit.header.tid == pid && exit.exit_code == 0)
        );
        log.call(pid, libc::SYS_execve, |call| call.fixed.ret == 0);
    }
}

#[test]
fn needs_root_exec_from_a_thread_names_the_thread() {
    let Some((pid, _, log)) = record(config(), || {
        let _ = std::thread::spawn(|| Command::new("/bin/true").exec()).join();
        1
    }) else {
        return;
    };
    let thread = log.forks.iter().find(|fork| fork.header.tgid == pid).expect("a thread");
    let exec = log.exec(pid);
    assert_eq!((exec.fixed.header.tid, exec.fixed.old_tid), (pid, thread.child_tid));
}

#[test]
fn needs_root_a_program_in_memory_is_told_from_one_on_disk() {
    let Some((pid, _, log)) = record(config(), || {
        let program = fs::read("/bin/true").unwrap();
        // SAFETY: valid strings and null-terminated arrays; the descriptor is the child's own.
        unsafe {
            let fd = libc::memfd_create(c("payload").as_ptr(), libc::MFD_CLOEXEC);
            libc::write(fd, program.as_ptr().cast(), program.len());
            let argv = c("innocent");
            libc::fexecve(
                fd,
                [argv.as_ptr(), std::ptr::null()].as_ptr(),
                [std::ptr::null()].as_ptr(),
            );
        }
        1
    }) else {
        return;
    };
    let exec = log.exec(pid);
    assert_eq!(exec.path.as_deref(), Some("memfd:payload"));
    let in_memory = section::FILE_PSEUDO | section::FILE_DELETED;
    assert_eq!(exec.file.unwrap().flags & in_memory, in_memory);
    assert_eq!(exec.string(section::EXEC_ARGV), "innocent\0");
}

#[test]
fn needs_root_a_deleted_program_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("gone");
    self::program(Path::new("/bin/true"), &program);
    let Some((pid, _, log)) = record(config(), move || {
        // SAFETY: as above.
        unsafe {
            let fd = libc::open(c(program.to_str().unwrap()).as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            libc::unlink(c(program.to_str().unwrap()).as_ptr());
            let argv = c("gone");
            libc::fexecve(
                fd,
                [argv.as_ptr(), std::ptr::null()].as_ptr(),
                [std::ptr::null()].as_ptr(),
            );
        }
        1
    }) else {
        return;
    };
    let exec = log.exec(pid);
    assert_eq!(exec.path.as_deref(), dir.path().join("gone").to_str());
    let gone = section::FILE_UNHASHED | section::FILE_DELETED;
    assert_eq!(exec.file.unwrap().flags & (gone | section::FILE_PSEUDO), gone);
}

#[test]
fn needs_root_what_is_mounted_nowhere_is_not_taken_for_what_has_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (root, below, mounted) = (place(""), place("a"), place("n"));
    let Some((pid, status, log)) = record(config(), || {
        let ok = |ret: i64| {
            assert!(ret >= 0, "{}", std::io::Error::last_os_error());
            ret as i32
        };
        let (tmpfs, none, program) = (
            c("tmpfs"),
            std::ptr::null::<libc::c_char>(),
            fs::read("/bin/true").unwrap(),
        );
        let (root, below, mounted) = (c(&root), c(&below), c(&mounted));
        let opens = |fd: i32, name: &str, flags: i32| {
            // SAFETY: the string outlives the call.
            ok(unsafe { libc::openat(fd, c(name).as_ptr(), flags, 0o700) }.into())
        };
        // SAFETY: valid strings and null-terminated arrays; the descriptors are the child's own.
        unsafe {
            ok(libc::unshare(libc::CLONE_NEWNS).into());
            let private = libc::MS_REC | libc::MS_PRIVATE;
            ok(libc::mount(tmpfs.as_ptr(), c("/").as_ptr(), none, private, std::ptr::null()).into());
            ok(libc::mount(tmpfs.as_ptr(), root.as_ptr(), tmpfs.as_ptr(), 0, std::ptr::null()).into());
            ok(libc::mkdir(below.as_ptr(), 0o700).into());
            ok(libc::mkdir(mounted.as_ptr(), 0o700).into());
            let clone = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
            let tree = ok(libc::syscall(
                libc::SYS_open_tree,
                libc::AT_FDCWD,
                below.as_ptr(),
                clone,
            ));
            let copy = opens(tree, "p", libc::O_CREAT | libc::O_WRONLY);
            assert_eq!(
                libc::write(copy, program.as_ptr().cast(), program.len()),
                program.len() as isize
            );
            libc::close(copy);
            let made = ok(libc::syscall(libc::SYS_fsopen, tmpfs.as_ptr(), 1));
            ok(libc::syscall(libc::SYS_fsconfig, made, 6, none, none, 0));
            let mount = ok(libc::syscall(libc::SYS_fsmount, made, 1, 0));
            opens(mount, "x", libc::O_CREAT);
            opens(mount, ".", 0);
            let at = libc::AT_FDCWD;
            ok(libc::syscall(
                libc::SYS_move_mount,
                mount,
                c("").as_ptr(),
                at,
                mounted.as_ptr(),
                4,
            ));
            opens(mount, "x", 0);
            ok(libc::umount2(mounted.as_ptr(), libc::MNT_DETACH).into());
            opens(mount, "x", 0);
            ok(libc::fchdir(tree).into());
            let argv = c("p");
            libc::execve(
                c("./p").as_ptr(),
                [argv.as_ptr(), std::ptr::null()].as_ptr(),
                [std::ptr::null()].as_ptr(),
            );
        }
        1
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let paths = log.calls(pid, libc::SYS_openat).filter(|call| call.fixed.ret >= 0);
    let paths: Vec<&str> = paths.filter_map(|call| call.path.as_deref()).collect();
    let wanted = [
        "(unreachable)/a/p",
        "(unreachable)/x",
        "(unreachable)/",
        &place("n/x"),
        "(unreachable)/x",
    ];
    let from = paths.iter().position(|path| *path == wanted[0]);
    let seen = from.and_then(|from| paths.get(from..from + wanted.len()));
    assert_eq!(seen, Some(&wanted[..]), "{paths:?}");
    let exec = log.exec(pid);
    assert_eq!(exec.path.as_deref(), Some("(unreachable)/a/p"));
    assert_eq!(exec.cwd.as_deref(), Some("(unreachable)/a"));
}

#[test]
fn needs_root_a_container_is_seen_from_inside_and_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().to_owned();
    let Some((pid, status, log)) = record(config(), move || {
        // SAFETY: the child is alone in its process; strings outlive the calls.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID) != 0 {
                return 77;
            }
            let none = std::ptr::null();
            libc::mount(
                none,
                c("/").as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                none.cast(),
            );
            // Overlay does not go on top of overlay: a file system of its own.
            let tmpfs = c("tmpfs");
            libc::mount(
                tmpfs.as_ptr(),
                c(base.to_str().unwrap()).as_ptr(),
                tmpfs.as_ptr(),
                0,
                none.cast(),
            );
            for name in ["lower", "upper", "work", "merged"] {
                fs::create_dir(base.join(name)).unwrap();
            }
            fs::copy("/bin/true", base.join("lower/shipped")).unwrap();
            let merged = base.join("merged");
            let options = ["lower", "upper", "work"]
                .map(|name| format!("{name}dir={}", base.join(name).display()))
                .join(",");
            let overlay = c("overlay");
            let target = c(merged.to_str().unwrap());
            let options = c(&options);
            if libc::mount(
                overlay.as_ptr(),
                target.as_ptr(),
                overlay.as_ptr(),
                0,
                options.as_ptr().cast(),
            ) != 0
            {
                return 77;
            }
            fs::copy("/bin/true", merged.join("dropped")).unwrap();
        }
        // The namespace ends with its first process, so one shell runs both.
        let shell = Command::new("/bin/sh")
            .args(["-c", "./shipped; ./dropped; exit 5"])
            .current_dir(base.join("merged"))
            .status();
        shell.unwrap().code().unwrap()
    }) else {
        return;
    };
    if libc::WEXITSTATUS(status) == 77 {
        return skip(NAME, "namespaces or overlayfs are refused here");
    }
    let exec = |name: &str| {
        let path = dir.path().join("merged").join(name);
        log.execs
            .iter()
            .find(|exec| exec.path.as_deref() == path.to_str())
            .expect("an exec below the mount point")
    };
    let (shipped, dropped) = (exec("shipped"), exec("dropped"));
    let layer = section::FILE_OVERLAY | section::FILE_UPPER | section::FILE_UPPER_UNKNOWN;
    assert_eq!(shipped.file.unwrap().flags & layer, section::FILE_OVERLAY);
    assert_eq!(
        dropped.file.unwrap().flags & layer,
        section::FILE_OVERLAY | section::FILE_UPPER
    );
    assert_eq!(libc::WEXITSTATUS(status), 5);
    let shell = log.execs.iter().find(|exec| exec.fixed.ppid == pid).expect("the shell");
    assert_eq!((shell.fixed.vpid, shipped.fixed.vpid, dropped.fixed.vpid), (1, 2, 3));
    assert_eq!(shipped.fixed.ppid, shell.fixed.header.tgid);
    assert_eq!(shell.cwd.as_deref(), dir.path().join("merged").to_str());
    let outside = |name| {
        fs::read_link(format!("/proc/self/ns/{name}"))
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    assert_ne!(format!("pid:[{}]", shipped.fixed.pid_ns), outside("pid"));
    assert_ne!(format!("mnt:[{}]", shipped.fixed.mnt_ns), outside("mnt"));
    assert_eq!(format!("net:[{}]", shipped.fixed.net_ns), outside("net"));
    let fork = log
        .forks
        .iter()
        .find(|fork| fork.child_tgid == shipped.fixed.header.tgid)
        .expect("its fork");
    assert_eq!(
        (fork.child_vpid, fork.child_vtid, fork.child_pid_ns),
        (2, 2, shipped.fixed.pid_ns)
    );
}

#[test]
fn needs_root_a_return_from_a_signal_has_no_number() {
    extern "C" fn handler(_: libc::c_int) {
        // SAFETY: async-signal-safe, no preconditions.
        unsafe { libc::getgid() };
    }
    let Some((pid, status, log)) = record(config(), || {
        // SAFETY: the handler only makes a system call.
        unsafe {
            libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t);
            libc::raise(libc::SIGUSR1);
        }
        9
    }) else {
        return;
    };
    assert_eq!(libc::WEXITSTATUS(status), 9);
    let numbers: Vec<i64> = log
        .syscalls
        .iter()
        .filter(|s| s.fixed.header.tgid == pid)
        .map(|s| i64::from(s.fixed.nr))
        .collect();
    let handled = numbers
        .iter()
        .position(|nr| *nr == libc::SYS_getgid)
        .expect("the handler ran");
    assert_eq!(numbers[handled + 1], -1, "{numbers:?}");
    assert_eq!(numbers.iter().filter(|nr| **nr == -1).count(), 1);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_a_32_bit_call_is_flagged() {
    let Some((pid, status, log)) = record(config(), || {
        // getpid is 20 in the i386 table, writev in the other.
        let result: u32;
        // SAFETY: the call takes no arguments and touches no memory; rbx and rbp are preserved.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("eax") 20u32 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        i32::from(result != std::process::id())
    }) else {
        return;
    };
    if libc::WIFSIGNALED(status) {
        return skip(NAME, "this kernel has no 32-bit calls");
    }
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let call = log.call(pid, 20, |call| call.fixed.header.flags & record::FLAG_COMPAT != 0);
    assert_eq!(call.fixed.ret, i64::from(pid));
    assert_eq!(
        log.syscalls
            .iter()
            .filter(|s| s.fixed.header.tgid == pid && s.fixed.header.flags & record::FLAG_COMPAT != 0)
            .count(),
        1
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_a_socketcall_is_the_call_that_it_makes() {
    const CONNECT: usize = 362;
    let mut specs = vec![SyscallSpec::UNSELECTED; 1024];
    specs[512 + CONNECT] = SyscallSpec::PLAIN.with(&[Capture::sockaddr(1, 2)]).socket(0).priority();
    let address = b"\x02\0\0\x35\x7f\0\0\x01\0\0\0\0\0\0\0\0";
    let Some((pid, status, log)) = record(Config { specs, ..config() }, || {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: the page is this one's own, and holds the address and the words. rbx is put back.
        unsafe {
            let low = libc::mmap(
                std::ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                -1,
                0,
            );
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
            let low = low.cast::<u32>();
            low.cast::<[u8; 16]>().add(1).write(*address);
            let mut result = 0;
            // The address cannot be read; it is no call; nobody asked for this one (`listen`); this one was asked for.
            for (call, words) in [(3, 8), (99, low as u32), (4, low as u32), (3, low as u32)] {
                low.cast::<[u32; 4]>()
                    .write([socket as u32, low as u32 + 16, 16, 0x5555]);
                std::arch::asm!(
                    "push rbx", "mov ebx, {call:e}", "int 0x80", "pop rbx", call = in(reg) call,
                    inlateout("eax") 102 => result, in("ecx") words,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                );
            }
            result
        }
    }) else {
        return;
    };
    if libc::WIFSIGNALED(status) {
        return skip(NAME, "this kernel has no 32-bit calls");
    }
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let seen: Vec<_> = log.syscalls.iter().filter(|s| s.fixed.header.tgid == pid).collect();
    let [connect] = seen[..] else {
        panic!("{seen:#?}");
    };
    assert_eq!((connect.fixed.nr as usize, connect.fixed.ret), (CONNECT, 0));
    assert_eq!(connect.fixed.header.flags & record::FLAG_COMPAT, record::FLAG_COMPAT);
    assert_eq!(connect.fixed.args[2..], [16, 0, 0, 0], "more words than it has");
    assert_eq!(connect.data(section::SOCKADDR), Some(&address[..]));
    assert_eq!(connect.socket.unwrap().remote_port, 53);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_a_number_is_asked_for_in_one_table_or_the_other() {
    // Of the 64-bit table `writev` and `getppid`, of the other `getpid` and `iopl`.
    const FIRST: i64 = libc::SYS_writev;
    const SECOND: i64 = libc::SYS_getppid;
    let mut specs = vec![SyscallSpec::UNSELECTED; 1024];
    specs[512 + FIRST as usize] = SyscallSpec::PLAIN;
    specs[SECOND as usize] = SyscallSpec::PLAIN;
    let child = || {
        for number in [FIRST, SECOND, libc::SYS_getuid] {
            // SAFETY: arguments with which none does anything.
            unsafe { libc::syscall(number, -1, 0, 0) };
            int80(number as i32, [u32::MAX, 0, 0, 0, 0]);
        }
        0
    };
    let Some((pid, status, log)) = record(Config { specs, ..config() }, child) else {
        return;
    };
    if libc::WIFSIGNALED(status) {
        return skip(NAME, "this kernel has no 32-bit calls");
    }
    let seen = log.syscalls.iter().map(|call| &call.fixed);
    let seen: Vec<_> = seen
        .filter(|call| call.header.tgid == pid)
        .map(|call| (i64::from(call.nr), call.header.flags & record::FLAG_COMPAT))
        .collect();
    assert_eq!(seen, [(FIRST, record::FLAG_COMPAT), (SECOND, 0)]);
}

#[test]
fn needs_root_what_is_asked_for_later_is_recorded_from_then_on() {
    let nothing = vec![SyscallSpec::UNSELECTED; 1024];
    let asks = |nr: i64| {
        let mut specs = nothing.clone();
        specs[nr as usize] = SyscallSpec::PLAIN;
        specs
    };
    let Some(mut source) = open(&Config {
        specs: nothing.clone(),
        self_tgid: 0,
        ..config()
    }) else {
        return;
    };
    for specs in [
        asks(libc::SYS_getppid),
        asks(libc::SYS_pause),
        nothing.clone(),
        asks(libc::SYS_getpid),
    ] {
        source.select(&specs).unwrap();
        // SAFETY: no preconditions.
        unsafe {
            libc::syscall(libc::SYS_getppid);
            libc::syscall(libc::SYS_getpid);
        }
    }
    source.detach();
    let mut log = Log::default();
    every_submitted(&mut source, &mut log);
    // SAFETY: no preconditions.
    let own = unsafe { libc::gettid() } as u32;
    let seen = log.syscalls.iter().filter(|call| call.fixed.header.tid == own);
    let seen: Vec<_> = seen.map(|call| i64::from(call.fixed.nr)).collect();
    assert_eq!(seen, [libc::SYS_getppid, libc::SYS_getpid]);
}

/// A call through the 32-bit entry of the kernel.
#[cfg(target_arch = "x86_64")]
fn int80(number: i32, args: [u32; 5]) -> i32 {
    let result;
    let [a, b, c, d, e] = args;
    // SAFETY: tests give what lies in pages of theirs. rbx is put back.
    unsafe {
        std::arch::asm!(
            "push rbx", "mov ebx, {a:e}", "int 0x80", "pop rbx", a = in(reg) a,
            inlateout("eax") number => result, in("ecx") b, in("edx") c, in("esi") d, in("edi") e,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

/// Sends descriptors, with a message of one byte.
fn pass(socket: i32, fds: [i32; 2]) {
    let mut vector = libc::iovec {
        iov_base: c"x".as_ptr().cast_mut().cast(),
        iov_len: 1,
    };
    // SAFETY: all that the message names lives until it is sent.
    unsafe {
        let mut control = [0_u64; 3];
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
        (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        ((*head).cmsg_level, (*head).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        (*head).cmsg_len = libc::CMSG_LEN(8) as usize;
        libc::CMSG_DATA(head).cast::<[i32; 2]>().write_unaligned(fds);
        assert_eq!(libc::sendmsg(socket, &raw const message, 0), 1);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_descriptors_that_come_with_a_message_are_described() {
    const RECVMSG: usize = 372;
    let mut specs = vec![SyscallSpec::UNSELECTED; 1024];
    let spec = SyscallSpec::PLAIN.with(&[Capture::rights(1)]).args(3).brought();
    (specs[libc::SYS_recvmsg as usize], specs[512 + RECVMSG]) = (spec, spec);
    let dir = tempfile::tempdir().unwrap();
    let places = ["one", "two"].map(|name| dir.path().join(name));
    places.iter().for_each(|place| fs::write(place, "").unwrap());
    let Some((pid, status, log)) = record(Config { specs, ..config() }, || {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let mut pair = [0; 2];
        // SAFETY: the page is this one's own, and longer than what is put there: the message for words of 32 bits at its
        // start, the control data and the vector behind it.
        unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
            let low = libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0).cast::<u8>();
            let at = |offset: u32| low as u32 + offset;
            let (message, vector) = (low.cast::<[u32; 7]>(), low.add(0x100).cast::<[u32; 2]>());
            vector.write([at(0x200), 1]);
            // Without anything beside the data it is not recorded.
            for passes in [false, true] {
                match passes {
                    true => pass(pair[0], places.each_ref().map(|place| opened(place))),
                    false => assert_eq!(libc::write(pair[0], c"x".as_ptr().cast(), 1), 1),
                }
                message.write([0, 0, at(0x100), 1, at(0x300), 64, 0]);
                let received = int80(RECVMSG as i32, [pair[1] as u32, at(0), 0, 0, 0]);
                assert_eq!(received, 1);
                match passes {
                    true => pass(pair[0], places.each_ref().map(|place| opened(place))),
                    false => assert_eq!(libc::write(pair[0], c"x".as_ptr().cast(), 1), 1),
                }
                let (mut wide, mut byte) = ([0_u64; 7], 0_u8);
                let (vector, mut control) = ([&raw mut byte as u64, 1], [0_u64; 8]);
                wide[2..6].copy_from_slice(&[vector.as_ptr() as u64, 1, control.as_mut_ptr() as u64, 64]);
                assert_eq!(libc::recvmsg(pair[1], wide.as_mut_ptr().cast(), 0), 1);
            }
        }
        0
    }) else {
        return;
    };
    if libc::WIFSIGNALED(status) {
        return skip(NAME, "this kernel has no 32-bit calls");
    }
    assert_eq!(status, 0);
    let seen: Vec<_> = log.syscalls.iter().filter(|s| s.fixed.header.tgid == pid).collect();
    let numbers: Vec<_> = seen.iter().map(|call| call.fixed.nr as usize).collect();
    assert_eq!(numbers, [RECVMSG, libc::SYS_recvmsg as usize]);
    for call in seen {
        let fds = call.data(section::RIGHTS).unwrap();
        let fds: Vec<_> = fds
            .chunks(4)
            .map(|fd| i32::from_ne_bytes(fd.try_into().unwrap()))
            .collect();
        // The free numbers in their order; what other tests had open when this one forked lies between.
        assert!(fds.len() == 2 && fds[0] > 2 && fds[1] > fds[0], "{fds:?}");
        let inodes = places.each_ref().map(|place| fs::metadata(place).unwrap().ino());
        let files = call.sections.iter().filter(|section| section.0 == section::FILE);
        let seen: Vec<_> = files
            .map(|file| u64::from_ne_bytes(file.3[..8].try_into().unwrap()))
            .collect();
        assert_eq!(seen, inodes);
        assert_eq!(call.path.as_deref(), places[0].to_str());
    }
}

/// The end of a page that 32 bits can address, behind which nothing can be read: first texts, then their addresses, then none.
#[cfg(target_arch = "x86_64")]
fn low_strings(texts: &[&std::ffi::CStr]) -> (Vec<u32>, u32) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: both pages are this one's own, and longer than what tests put there.
    unsafe {
        let low = libc::mmap(std::ptr::null_mut(), 8192, prot, flags, -1, 0).cast::<u8>();
        assert_eq!(libc::mprotect(low.add(4096).cast(), 4096, libc::PROT_NONE), 0);
        let mut at = low;
        let mut addresses = Vec::new();
        for text in texts {
            let bytes = text.to_bytes_with_nul();
            at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            addresses.push(at as u32);
            at = at.add(bytes.len());
        }
        let array = low.add(4096).cast::<u32>().sub(texts.len() + 1);
        array.copy_from_nonoverlapping(addresses.as_ptr(), texts.len());
        (addresses, array as u32)
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_arguments_of_a_failed_32_bit_exec_are_read() {
    const EXECVE: usize = 11;
    const EXECVEAT: usize = 358;
    let mut specs = specs();
    specs[512 + EXECVE] = SyscallSpec::PLAIN.with(&[Capture::string(0), Capture::string_array(1)]);
    specs[512 + EXECVEAT] = SyscallSpec::PLAIN.with(&[Capture::string(1), Capture::string_array(2)]);
    let Some((pid, status, log)) = record(Config { specs, ..config() }, || {
        let (texts, argv) = low_strings(&[c"/no/such/program", c"-x", c"", c"third"]);
        let path = texts[0];
        int80(EXECVE as i32, [path, argv, 0, 0, 0]);
        int80(EXECVEAT as i32, [libc::AT_FDCWD as u32, path, argv, 0, 0x100]);
        // What lies behind these pointers is no text, and there is no such page.
        int80(EXECVE as i32, [path, path, 0, 0, 0]);
        int80(EXECVE as i32, [path, 8, 0, 0, 0]);
        0
    }) else {
        return;
    };
    if libc::WIFSIGNALED(status) {
        return skip(NAME, "this kernel has no 32-bit calls");
    }
    let failed: Vec<_> = log
        .syscalls
        .iter()
        .filter(|s| s.fixed.header.tgid == pid && s.data(section::STRING_ARRAY).is_some())
        .collect();
    let [execve, execveat, no_texts, nowhere] = failed[..] else {
        panic!("{failed:#?}");
    };
    for (call, nr) in [(execve, EXECVE), (execveat, EXECVEAT)] {
        assert_eq!(call.fixed.nr as usize, nr);
        assert_eq!(call.fixed.ret, -i64::from(libc::ENOENT));
        assert_eq!(call.string(section::STRING), "/no/such/program");
        let array = call.sections.iter().find(|s| s.0 == section::STRING_ARRAY).unwrap();
        assert_eq!(array.3, b"/no/such/program\0-x\0\0third\0");
        assert!(!array.2, "whole");
    }
    for call in [no_texts, nowhere] {
        let array = call.sections.iter().find(|s| s.0 == section::STRING_ARRAY).unwrap();
        assert!(array.2 && array.3.is_empty(), "{array:?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn needs_root_an_exec_by_another_call_tells_which() {
    const EXECVEAT: i64 = 358;
    // Each in a process of its own, in this order; the thread that executes need not be the first.
    let at = libc::AT_FDCWD;
    let Some((pid, status, log)) = record(config(), || {
        let child = |exec: &dyn Fn() -> i64| {
            // SAFETY: the child makes system calls and ends.
            unsafe {
                let pid = libc::fork();
                if pid == 0 {
                    exec();
                    libc::_exit(99);
                }
                let mut status = 0;
                libc::waitpid(pid, &mut status, 0);
                status
            }
        };
        let (argv, env) = ([c"true".as_ptr(), std::ptr::null()], [std::ptr::null::<libc::c_char>()]);
        let path = c"/bin/true".as_ptr() as i64;
        // SAFETY: all are strings, and arrays of them.
        let native =
            |number: i64, args: [i64; 5]| unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
        let (argv, env) = (argv.as_ptr() as i64, env.as_ptr() as i64);
        let (texts, low) = low_strings(&[c"/bin/true"]);
        let mut statuses = vec![
            child(&|| native(libc::SYS_execve, [path, argv, env, 0, 0])),
            child(&|| native(libc::SYS_execveat, [i64::from(at), path, argv, env, 0])),
            child(&|| {
                let by_thread = || native(libc::SYS_execveat, [77, path, argv, env, 0]);
                std::thread::scope(|scope| scope.spawn(by_thread).join().unwrap())
            }),
        ];
        statuses.push(child(&|| int80(11, [texts[0], low, 0, 0, 0]).into()));
        statuses.push(child(&|| {
            int80(EXECVEAT as i32, [at as u32, texts[0], low, 0, 0x100]).into()
        }));
        // Those of the 32-bit table may not be there.
        let is_there = statuses.iter().rposition(|status| *status == 0);
        is_there.map_or(0, |last| last as i32 + 1)
    }) else {
        return;
    };
    let programs = libc::WEXITSTATUS(status) as usize;
    assert!(matches!(programs, 3 | 5), "{programs}");
    let execs: Vec<_> = log.execs.iter().filter(|exec| exec.fixed.ppid == pid).collect();
    assert_eq!(execs.len(), programs);
    let compat = record::FLAG_COMPAT;
    let at = at as u32;
    let expected = [
        None,
        Some((libc::SYS_execveat, 0, at, 0)),
        Some((libc::SYS_execveat, 0, 77, 0)),
        Some((11, compat, 0, 0)),
        Some((EXECVEAT, compat, at, 0x100)),
    ];
    for (exec, expected) in execs.into_iter().zip(expected) {
        let header = exec.fixed.header;
        let begun = log.enters.iter().filter(|call| call.fixed.header.tgid == header.tgid);
        // `exit_group` of the program itself is among them.
        let begun: Vec<_> = begun.filter(|call| call.fixed.header.ts < header.ts).collect();
        assert_eq!(begun.len(), usize::from(expected.is_some()), "{begun:#?}");
        let Some((nr, flags, dirfd, at_flags)) = expected else {
            continue;
        };
        let call = &begun[0].fixed;
        assert_eq!((i64::from(call.nr), call.header.flags & compat), (nr, flags));
        assert_eq!(call.header.tid, header.tgid, "the only thread that is left");
        if nr != 11 {
            assert_eq!((call.args[0] as u32, call.args[4]), (dirfd, at_flags));
        }
    }
}

/// A path on a page of a file that nobody has touched.
fn untouched(path: &[u8]) -> *const libc::c_char {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(path).unwrap();
    let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
    // SAFETY: a new mapping, which stays.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, file.as_raw_fd(), 0) };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

/// Has the kernel answer a call with an error, or with success where that is 0, before it looks at what the call is given.
fn deny(number: i64, result: i32) {
    deny_of(number, None, result);
}

/// The same only where its first argument is this one.
fn deny_of(number: i64, first: Option<u32>, result: i32) {
    let instruction = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    // struct seccomp_data: the number, and from 16 on the arguments.
    let (load, differs, give) = (0x20, 0x15, 0x06);
    let mut filter = vec![
        instruction(load, 0, 0),
        instruction(differs, if first.is_some() { 3 } else { 1 }, number as u32),
    ];
    if let Some(first) = first {
        filter.extend([instruction(load, 0, 16), instruction(differs, 1, first)]);
    }
    filter.extend([
        instruction(give, 0, libc::SECCOMP_RET_ERRNO | result as u32),
        instruction(give, 0, libc::SECCOMP_RET_ALLOW),
    ]);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is there as long as the kernel copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::syscall(libc::SYS_seccomp, 1, 0, &program), 0);
    }
}

#[test]
fn needs_root_a_directory_is_where_the_kernel_has_the_caller() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    fs::create_dir(place("real")).unwrap();
    fs::create_dir(place("fake")).unwrap();
    std::os::unix::fs::symlink(place("real"), place("link")).unwrap();
    let Some((pid, status, log)) = record(config(), || {
        let enters = |name: &Path| {
            // SAFETY: the string outlives the call.
            assert_eq!(unsafe { libc::chdir(c(name.to_str().unwrap()).as_ptr()) }, 0);
        };
        let fake = fs::File::open(place("fake")).unwrap();
        enters(&place("link"));
        enters(Path::new(&format!("/proc/self/fd/{}", fake.as_raw_fd())));
        enters(&place("real"));
        deny(libc::SYS_chdir, 0);
        enters(&place("fake"));
        // SAFETY: a descriptor of this process.
        assert_eq!(unsafe { libc::fchdir(fake.as_raw_fd()) }, 0);
        0
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let calls = log.calls(pid, libc::SYS_chdir).chain(log.calls(pid, libc::SYS_fchdir));
    let seen: Vec<_> = calls.map(|call| call.cwd.clone().unwrap()).collect();
    let wanted = ["real", "fake", "real", "real", "fake"].map(|name| place(name).to_str().unwrap().to_owned());
    assert_eq!(seen, wanted);
}

/// Closes what other tests had open when this process was forked: the numbers from three on are free then.
fn free_descriptors() {
    // SAFETY: they are copies, which nothing of this process uses.
    assert_eq!(unsafe { libc::close_range(3, libc::c_uint::MAX, 0) }, 0);
}

/// A descriptor of a file, which stays open.
fn opened(path: &Path) -> i32 {
    fs::File::open(path).unwrap().into_raw_fd()
}

#[test]
fn needs_root_descriptors_are_as_the_kernel_has_them_also_where_a_filter_answered() {
    const CLOSES: i64 = libc::SYS_close;
    const DUPLICATES: i64 = libc::SYS_dup2;
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    for name in ["zero", "innocent", "secret"] {
        fs::write(place(name), name).unwrap();
    }
    let Some((pid, status, log)) = record(config(), || {
        free_descriptors();
        // SAFETY: descriptors of this process, which has one thread.
        unsafe {
            let zero = opened(&place("zero"));
            libc::dup2(zero, 0);
            let [innocent, secret] = ["innocent", "secret"].map(|name| opened(&place(name)));
            assert_eq!(libc::dup2(innocent, 100), 100);
            assert_eq!(libc::fcntl(innocent, libc::F_DUPFD, 200), 200);
            libc::fcntl(innocent, libc::F_GETFD);
            assert_eq!(libc::close(100), 0);
            assert_eq!(libc::close(100), -1);
            // The filter lies of all that is done to this one, and of what is made.
            assert_eq!(libc::dup2(secret, 777), 777);
            deny_of(CLOSES, Some(777), 0);
            deny_of(DUPLICATES, Some(777), 0);
            deny_of(libc::SYS_fcntl, Some(777), 0);
            for made in [libc::SYS_eventfd2, libc::SYS_socket] {
                deny_of(made, None, 0);
            }
            let mut pair = [0; 2];
            assert_eq!(libc::pipe2(pair.as_mut_ptr(), 0), 0);
            assert_eq!(
                libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()),
                0
            );
            for call in [libc::SYS_pipe2, libc::SYS_socketpair] {
                deny_of(call, None, 0);
            }
            pair = [innocent, secret];
            assert_eq!(libc::pipe2(pair.as_mut_ptr(), 0), 0);
            assert_eq!(
                libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()),
                0
            );
            assert_eq!(libc::close(777), 0);
            assert_eq!(libc::close(200), 0);
            assert_eq!(libc::dup2(777, 300), 0);
            assert_eq!(libc::dup2(secret, 300), 300);
            assert_eq!(libc::fcntl(777, libc::F_DUPFD, 0), 0);
            assert_eq!(libc::fcntl(777, libc::F_GETFD), 0);
            assert_eq!(libc::eventfd(0, 0), 0);
            assert_eq!(libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0), 0);
            deny_of(libc::SYS_close_range, Some(4), 0);
            assert_eq!(libc::close_range(4, 5000, 0), 0);
            assert_eq!(libc::close_range(300, 5000, 0), 0);
            0
        }
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let is_untrue = |call: &Seen<Syscall>| call.fixed.header.flags & record::FLAG_UNTRUE != 0;
    let told = |nr: i64, first: u64, ret: i64| {
        let calls = log
            .calls(pid, nr)
            .filter(|c| c.fixed.ret == ret && c.fixed.args[0] == first);
        let told = calls.map(|call| {
            let name = call.path.as_deref().and_then(|path| path.rsplit('/').next());
            (is_untrue(call), name.unwrap_or("-").to_owned())
        });
        told.collect::<Vec<_>>()
    };
    let of = |untrue: bool, name: &str| vec![(untrue, name.to_owned())];
    assert_eq!(told(CLOSES, 100, 0), of(false, "-"));
    assert_eq!(told(CLOSES, 100, -9), of(false, "-"));
    assert_eq!(told(CLOSES, 200, 0), of(false, "-"));
    assert_eq!(told(CLOSES, 777, 0), of(true, "secret"));
    assert_eq!(told(DUPLICATES, 777, 0), of(true, "zero"));
    let others = log.calls(pid, DUPLICATES).filter(|call| call.fixed.args[0] != 777);
    assert_eq!(others.filter(|call| is_untrue(call) || call.path.is_some()).count(), 0);
    let second = |call: &&Seen<Syscall>| call.fixed.args[0] == 777 && call.fixed.args[1] == libc::F_DUPFD as u64;
    let made_up: Vec<_> = log.calls(pid, libc::SYS_fcntl).filter(|call| is_untrue(call)).collect();
    assert!(made_up.iter().all(second) && made_up.len() == 1, "{made_up:?}");
    assert_eq!(told(libc::SYS_eventfd2, 0, 0), of(false, "zero"));
    assert_eq!(told(libc::SYS_socket, libc::AF_UNIX as u64, 0), of(true, "-"));
    for nr in [libc::SYS_pipe2, libc::SYS_socketpair] {
        assert_eq!(log.calls(pid, nr).map(is_untrue).collect::<Vec<_>>(), [false, true]);
    }
    let open = |first: u64| {
        let call = log.call(pid, libc::SYS_close_range, |call| call.fixed.args[0] == first);
        let bits = call.data(section::OPEN_FDS).unwrap();
        [0, 300, 777].map(|fd: usize| bits[fd / 8] >> (fd % 8) & 1)
    };
    assert_eq!([open(4), open(300)], [[1, 1, 1], [1, 0, 0]]);
}

#[test]
fn needs_root_a_program_starts_with_what_the_kernel_left_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let Some((pid, _, log)) = record(config(), || {
        free_descriptors();
        // SAFETY: descriptors of this process; the strings outlive the call.
        unsafe {
            let fd = opened(&file);
            assert_eq!(libc::dup2(fd, 40), 40);
            assert_eq!(libc::dup3(fd, 41, libc::O_CLOEXEC), 41);
            libc::ioctl(40, libc::FIOCLEX);
            libc::ioctl(41, libc::FIONCLEX);
            let argv = [c"true".as_ptr(), std::ptr::null()];
            libc::execv(c"/bin/true".as_ptr(), argv.as_ptr());
        }
        1
    }) else {
        return;
    };
    let exec = log.exec(pid);
    let bits = exec.data(section::OPEN_FDS).unwrap();
    assert_eq!([40, 41].map(|fd: usize| bits[fd / 8] >> (fd % 8) & 1), [0, 1]);
    let shared = exec
        .sections
        .iter()
        .find(|(kind, ..)| *kind == section::OPEN_FDS)
        .unwrap()
        .1;
    assert_eq!(shared, 0);
}

#[test]
fn needs_root_what_is_not_left_stays_shared() {
    let Some((pid, status, log)) = record(config(), || {
        let (kinds, end) = (
            libc::CLONE_FILES | libc::CLONE_FS,
            std::sync::Arc::new(std::sync::Barrier::new(2)),
        );
        let other = std::thread::spawn({
            let end = end.clone();
            move || end.wait()
        });
        let leave = |kinds| {
            // SAFETY: no preconditions.
            assert_eq!(unsafe { libc::unshare(kinds) }, 0);
        };
        leave(libc::CLONE_SYSVSEM);
        leave(libc::CLONE_FS);
        leave(kinds);
        deny(libc::SYS_unshare, 0);
        leave(kinds);
        end.wait();
        drop(other);
        0
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let calls = log.calls(pid, libc::SYS_unshare);
    let shared: Vec<_> = calls.map(|call| call.credentials.unwrap().shared).collect();
    let (fs, files) = (record::SHARED_FS, record::SHARED_FILES);
    assert_eq!(shared, [fs | files, files, 0, 0]);
}

#[test]
fn needs_root_names_are_told_with_the_directory_from_which_they_lead_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let place = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(place("a/sub")).unwrap();
    for name in ["cwd", "fd", "whole"] {
        fs::write(place(&format!("a/sub/{name}")), "").unwrap();
    }
    let Some((pid, status, log)) = record(config(), || {
        std::env::set_current_dir(place("a/sub")).unwrap();
        let sub = fs::File::open(".").unwrap();
        fs::rename(place("a"), place("b")).unwrap();
        let unlink = |name: &str| {
            let name = c(name);
            // SAFETY: the string outlives the call.
            unsafe { libc::unlink(name.as_ptr()) }
        };
        let unlinkat = |fd: i32, name: &str| {
            let name = c(name);
            // SAFETY: the string outlives the call.
            unsafe { libc::unlinkat(fd, name.as_ptr(), 0) }
        };
        std::env::set_current_dir("/usr").unwrap();
        assert_eq!(
            (unlinkat(sub.as_raw_fd(), "fd"), unlinkat(libc::AT_FDCWD, "none")),
            (0, -1)
        );
        // SAFETY: a descriptor of this process.
        assert_eq!(unsafe { libc::fchdir(sub.as_raw_fd()) }, 0);
        assert_eq!((unlink("cwd"), unlink(&place("b/sub/whole"))), (0, 0));
        std::os::unix::fs::symlink("/", "link").unwrap();
        assert_eq!(unlinkat(libc::AT_FDCWD, "link"), 0);
        let enter = |root: &str| {
            let root = c(root);
            // SAFETY: the string outlives the call.
            assert_eq!(unsafe { libc::chroot(root.as_ptr()) }, 0);
        };
        enter(".");
        deny(libc::SYS_chroot, 0);
        enter("/none");
        0
    }) else {
        return;
    };
    assert_eq!(status, 0);
    let sub = Some(place("b/sub"));
    let told = |nr| -> Vec<_> {
        log.calls(pid, nr)
            .map(|call| (call.path.clone(), call.cwd.clone()))
            .collect()
    };
    let at_cwd = (None, sub.clone());
    assert_eq!(told(libc::SYS_unlink), [at_cwd.clone(), (None, None)]);
    assert_eq!(
        told(libc::SYS_unlinkat),
        [(sub.clone(), None), (None, None), at_cwd.clone()]
    );
    assert_eq!(told(libc::SYS_symlink), [at_cwd]);
    let roots: Vec<_> = log.calls(pid, libc::SYS_chroot).map(|call| call.root.clone()).collect();
    assert_eq!(roots, [sub.clone(), sub]);
}

#[test]
fn needs_root_a_string_that_is_not_in_memory_is_marked() {
    let Some((pid, status, log)) = record(config(), || {
        let [refused, denied, read] = [&b"/refused\0"[..], b"/denied\0", b"/missing\0"].map(untouched);
        let open = |path: *const libc::c_char, flags: libc::c_int| {
            // SAFETY: all are strings.
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags) };
        };
        open(read, libc::O_RDONLY);
        open(c"".as_ptr(), libc::O_RDONLY);
        // Flags that cannot be are found before the path is read.
        open(refused, libc::O_TMPFILE);
        deny(libc::SYS_openat, libc::EPERM);
        open(denied, libc::O_RDONLY);
        0
    }) else {
        return;
    };
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let failed = |errno: i32| log.call(pid, libc::SYS_openat, |call| call.fixed.ret == -i64::from(errno));
    let missing = log.call(pid, libc::SYS_openat, |call| call.string(section::STRING) == "/missing");
    assert!(!missing.fault, "{missing:?}");
    let empty = log.call(pid, libc::SYS_openat, |call| {
        call.fixed.ret == -i64::from(libc::ENOENT) && call.string(section::STRING).is_empty()
    });
    assert!(!empty.fault && empty.data(section::STRING).is_some(), "{empty:?}");
    for unread in [failed(libc::EINVAL), failed(libc::EPERM)] {
        assert!(unread.fault && unread.string(section::STRING).is_empty(), "{unread:?}");
    }
}

/// Instructions of one program that the verifier may walk through. They are what the recorder waits for at its start: about a
/// microsecond each. Of the kernels that are tested 6.1 walks furthest, through 119,429 of the program at `exec`.
const VERIFIED_MAX: u32 = 120_000;

#[test]
fn needs_root_the_verifier_is_soon_through_with_each_program() {
    let scope = Scope {
        containers: true,
        cgroups: vec![(1, b"/".to_vec())],
        comms: vec![b"sh".to_vec()],
        ..Scope::default()
    };
    let mut everything = Config {
        env: vec![b"LD_PRELOAD".to_vec(), b"LD_LIBRARY_PATH".to_vec()],
        scope: Some(scope),
        ..config()
    };
    everything.io_opcodes.fill(1);
    let Some(source) = open(&everything) else {
        return;
    };
    let costs = source.program_costs();
    assert!(costs.iter().any(|cost| cost.name == "process_exec"), "{costs:?}");
    for cost in costs {
        match cost.verified_instructions {
            Some(verified) => {
                println!("verified {}: {verified} instructions", cost.name);
                assert!(verified > 0 && verified <= VERIFIED_MAX, "{cost:?}");
            }
            None => skip(NAME, "this kernel does not tell what it verified"),
        }
    }
}
