//! Whose syscalls the kernel side records, on the running kernel: every call of the processes that were asked for, and
//! none of others. Needs root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    collections::BTreeMap,
    fs,
    io::{PipeReader, PipeWriter, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use ctrace_capture::syscall::{Config, OpenError, Record, Scope, SyscallSource};
use ctrace_skip::{is_root, skip};
use ctrace_wire::{record, spec::SyscallSpec};

/// By which tests say that they were not run.
const NAME: &str = "scope_live";

/// A call that nothing makes by itself.
const CALL: i64 = libc::SYS_getpriority;
// The libc crate has it as an int, which it does not fit into.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const ID: &str = "0d17d63039a6b1e2493284ff1d9cc3947770823aa0fe3b272dc3c808b38bfd2e";

/// The calls that a recording saw, by process; flags as well.
type Counts = BTreeMap<u32, usize>;

#[derive(Default)]
struct Log {
    calls: Counts,
    /// When each was made, and its number; sorted at the end, since they come ring by ring.
    all: BTreeMap<u32, Vec<(u64, i32)>>,
    unmarked: usize,
    execs: BTreeMap<u32, (u8, Vec<u8>)>,
}

struct Recording {
    source: SyscallSource,
    log: Log,
}

impl Recording {
    fn start(scope: Option<Scope>, specs: Vec<SyscallSpec>) -> Option<Recording> {
        if !is_root(NAME) {
            return None;
        }
        let config = Config {
            specs,
            scope,
            ..Config::default()
        };
        match SyscallSource::open(&config) {
            Ok(source) => Some(Recording {
                source,
                log: Log::default(),
            }),
            Err(error @ (OpenError::NoBtf(_) | OpenError::NoPrivilege(_) | OpenError::KernelTooOld { .. })) => {
                skip(NAME, &error.to_string());
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn poll(&mut self) -> usize {
        let log = &mut self.log;
        self.source.poll(&mut |record| match record {
            Record::Syscall(view) => {
                let header = view.fixed.header;
                log.unmarked += usize::from(header.flags & record::FLAG_WANTED == 0);
                log.all.entry(header.tgid).or_default().push((header.ts, view.fixed.nr));
                *log.calls.entry(header.tgid).or_default() += usize::from(i64::from(view.fixed.nr) == CALL);
            }
            Record::Exec(view) => {
                let comm: Vec<u8> = view.fixed.comm.iter().copied().take_while(|byte| *byte != 0).collect();
                let header = view.fixed.header;
                log.execs.insert(header.tgid, (header.flags, comm));
            }
            _ => {}
        })
    }

    fn finish(mut self) -> Log {
        self.source.detach();
        while self.poll() > 0 || self.source.pending().unwrap() > 0 {}
        let lost: u64 = self.source.totals().unwrap().iter().map(|total| total.lost).sum();
        assert_eq!(
            (lost, self.source.skipped(), self.source.malformed()),
            (0, 0, 0),
            "records lost"
        );
        self.log.all.values_mut().for_each(|calls| calls.sort_unstable());
        self.log
    }
}

fn only(nr: i64) -> Vec<SyscallSpec> {
    (0..512)
        .map(|n| {
            if n == nr {
                SyscallSpec::PLAIN
            } else {
                SyscallSpec::UNSELECTED
            }
        })
        .collect()
}

fn calls(count: usize) {
    for _ in 0..count {
        // SAFETY: no preconditions.
        unsafe { libc::syscall(CALL, libc::PRIO_PROCESS, 0) };
    }
}

/// A forked child that waits for a word before it acts.
struct Child {
    pid: u32,
    go: PipeWriter,
}

impl Child {
    fn new(act: impl FnOnce()) -> Child {
        let (mut wait, go) = std::io::pipe().unwrap();
        // SAFETY: the child only does what the test gives it, and leaves by _exit.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            drop(go);
            hear(&mut wait);
            act();
            // SAFETY: no preconditions.
            unsafe { libc::_exit(0) };
        }
        Child { pid: pid as u32, go }
    }

    fn go(&mut self) {
        self.go.write_all(b"g").unwrap();
    }

    fn wait(self) {
        wait(self.pid);
    }
}

fn hear(from: &mut PipeReader) {
    from.read_exact(&mut [0]).unwrap();
}

fn wait(pid: u32) {
    let mut status = 0;
    // SAFETY: status is a valid int.
    unsafe { libc::waitpid(pid as i32, &mut status, 0) };
    assert_eq!(status, 0, "the child ended well");
}

#[test]
fn needs_root_a_process_and_all_that_descend_from_it() {
    let (mut early_pid, mut tell) = std::io::pipe().unwrap();
    let (mut recording_runs, mut say) = std::io::pipe().unwrap();
    let mut family = Child::new(move || {
        // Made before the recording begins; its own child after.
        let mut early = Child::new(|| {
            calls(300);
            run(|| calls(70));
        });
        tell.write_all(&early.pid.to_ne_bytes()).unwrap();
        hear(&mut recording_runs);
        early.go();
        early.wait();
        calls(500);
        run(|| calls(200));
    });
    let mut stranger = Child::new(|| calls(1000));
    family.go();
    let mut early = [0; 4];
    early_pid.read_exact(&mut early).unwrap();
    let scope = Scope {
        pids: vec![family.pid],
        ..Scope::default()
    };
    let Some(recording) = Recording::start(Some(scope), only(CALL)) else {
        return;
    };
    let (family_pid, stranger_pid) = (family.pid, stranger.pid);
    say.write_all(b"g").unwrap();
    stranger.go();
    stranger.wait();
    family.wait();
    let log = recording.finish();
    assert_eq!(log.calls.get(&family_pid), Some(&500));
    assert_eq!(log.calls.get(&u32::from_ne_bytes(early)), Some(&300));
    assert_eq!(log.calls.get(&stranger_pid), None);
    let mut counts: Vec<usize> = log.calls.values().copied().collect();
    counts.sort_unstable();
    assert_eq!(counts, [70, 200, 300, 500], "nobody else");
    assert_eq!(log.unmarked, 0, "all of them are marked as asked for");
}

#[test]
fn needs_root_programs_of_a_name_from_their_first_instruction_to_their_last() {
    // A name of its own: whatever else the host runs may be called cat.
    let dir = tempfile::tempdir().unwrap();
    let name = format!("named-{}", std::process::id());
    let program = dir.path().join(&name);
    // Copied by a process of its own: children that other tests fork would hold this one's descriptor of the copy, and a
    // file that is open for writing is not executed.
    let copied = Command::new("cp").arg("/bin/cat").arg(&program).status().unwrap();
    assert!(copied.success());
    let program = program.display();
    let script =
        format!("set -e; {program} /etc/hostname >/dev/null; {program} /etc/passwd >/dev/null; /bin/ls / >/dev/null");
    let record = |scope| {
        let mut recording = Recording::start(Some(scope), vec![SyscallSpec::PLAIN; 512])?;
        let mut shell = Command::new("/bin/sh").args(["-c", &script]).spawn().unwrap();
        // A busy host fills the rings while the shell waits for its turn.
        let status = loop {
            recording.poll();
            match shell.try_wait().unwrap() {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        assert!(status.success());
        Some(recording.finish())
    };
    let scope = Scope {
        comms: vec![name.clone().into_bytes()],
        ..Scope::default()
    };
    // Everyone of this test: a busy host does more than the rings hold.
    let everyone = Scope {
        pids: vec![std::process::id()],
        ..Scope::default()
    };
    let (Some(everyone), Some(scoped)) = (record(everyone), record(scope)) else {
        return;
    };
    // What a process did before the exec is not of that name.
    let of_named = |log: &Log| {
        let named = log.execs.iter().filter(|(_, (_, comm))| comm == name.as_bytes());
        let calls = named.map(|(pid, _)| {
            let all = &log.all[pid];
            let numbers: Vec<_> = all.iter().map(|(_, nr)| *nr).collect();
            let exec = numbers
                .iter()
                .position(|nr| i64::from(*nr) == libc::SYS_execve)
                .unwrap();
            numbers[exec..].to_vec()
        });
        calls.collect::<Vec<_>>()
    };
    assert_eq!(of_named(&scoped), of_named(&everyone), "the same calls");
    assert_eq!(of_named(&scoped).len(), 2);
    assert_eq!(scoped.all.len(), 2, "nobody else");
    let flags_of = |name: &[u8]| {
        let of_name = scoped.execs.values().filter(|(_, comm)| comm == name);
        of_name.map(|(flags, _)| *flags).collect::<Vec<_>>()
    };
    assert_eq!(flags_of(name.as_bytes()), [record::FLAG_WANTED; 2]);
    assert!(flags_of(b"ls").iter().all(|flags| *flags == record::FLAG_UNSEEN));
}

#[test]
fn needs_root_containers_by_the_name_of_their_cgroup() {
    let Some(tree) = Cgroups::new() else { return };
    let container = tree.make(&format!("docker/{ID}/init.scope"));
    let other = tree.make(&format!("docker/{}", &ID[1..]));
    let scope = Scope {
        containers: true,
        ..Scope::default()
    };
    let mut before = Child::new(|| calls(100));
    tree.enter(&container, before.pid);
    let Some(mut recording) = Recording::start(Some(scope), only(CALL)) else {
        return;
    };
    let mut moved = Child::new(|| {
        calls(200);
        run(|| calls(50));
    });
    let mut elsewhere = Child::new(|| calls(1000));
    tree.enter(&container, moved.pid);
    tree.enter(&other, elsewhere.pid);
    let born = born_into(&container, || calls(400));
    let pids = [before.pid, moved.pid];
    for child in [&mut before, &mut moved, &mut elsewhere] {
        child.go();
    }
    for child in [before, moved, elsewhere] {
        child.wait();
    }
    // Taken back, as user space does with containers that were not asked for.
    let mut judged = Child::new(|| calls(30));
    tree.enter(&container, judged.pid);
    recording.source.judge(judged.pid, ID, false);
    judged.go();
    judged.wait();
    std::thread::sleep(Duration::from_millis(1));
    recording.poll();
    let log = recording.finish();
    assert_eq!(pids.map(|pid| log.calls.get(&pid).copied()), [Some(100), Some(200)]);
    if let Some(born) = born {
        assert_eq!(log.calls.get(&born), Some(&400));
    }
    let mut counts: Vec<usize> = log.calls.values().copied().collect();
    counts.sort_unstable();
    let expected = if born.is_some() {
        &[50, 100, 200, 400][..]
    } else {
        &[50, 100, 200]
    };
    assert_eq!(counts, expected, "nobody else");
}

#[test]
fn needs_root_a_cgroup_and_those_below_it() {
    let Some(tree) = Cgroups::new() else { return };
    let (wanted, below, beside) = (tree.make("wanted"), tree.make("wanted/below"), tree.make("beside"));
    let path = Path::new("/").join(wanted.strip_prefix(&tree.mount).unwrap());
    let scope = Scope {
        cgroups: vec![(
            fs::metadata(&wanted).unwrap().ino(),
            path.to_str().unwrap().as_bytes().to_vec(),
        )],
        ..Scope::default()
    };
    let before = Child::new(|| calls(100));
    tree.enter(&wanted, before.pid);
    let Some(recording) = Recording::start(Some(scope), only(CALL)) else {
        return;
    };
    let (moved, elsewhere) = (Child::new(|| calls(200)), Child::new(|| calls(1000)));
    tree.enter(&below, moved.pid);
    tree.enter(&beside, elsewhere.pid);
    let expected: Counts = [(before.pid, 100), (moved.pid, 200)].into();
    for mut child in [before, moved, elsewhere] {
        child.go();
        child.wait();
    }
    let log = recording.finish();
    assert_eq!(log.calls, expected);
    assert_eq!(log.unmarked, 0);
}

/// Runs a child to its end.
fn run(act: impl FnOnce()) {
    let mut child = Child::new(act);
    child.go();
    child.wait();
}

/// A child that is in a cgroup from the beginning, run to its end; none where the kernel cannot do that.
fn born_into(cgroup: &Path, act: impl FnOnce()) -> Option<u32> {
    use std::os::fd::AsRawFd;
    let folder = fs::File::open(cgroup).unwrap();
    // SAFETY: all zeros is a valid clone_args.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = folder.as_raw_fd() as u64;
    // SAFETY: args is a clone_args of the size that is passed; without CLONE_VM this is a fork.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    if pid == 0 {
        act();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(0) };
    }
    let pid = u32::try_from(pid).ok()?;
    wait(pid);
    Some(pid)
}

/// Cgroups of the version 2 hierarchy that are taken away again.
struct Cgroups {
    mount: PathBuf,
    root: PathBuf,
}

impl Cgroups {
    fn new() -> Option<Cgroups> {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let target = words.nth(1)?;
            (words.next()? == "cgroup2").then(|| PathBuf::from(target))
        });
        let Some(mount) = mount else {
            skip(NAME, "cgroup v2 is not mounted");
            return None;
        };
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = mount.join(format!("ctrace-scope-{}-{number}", std::process::id()));
        match fs::create_dir(&root) {
            Ok(()) => Some(Cgroups { mount, root }),
            Err(error) => {
                skip(NAME, &format!("{}: {error}", root.display()));
                None
            }
        }
    }

    fn make(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn enter(&self, cgroup: &Path, pid: u32) {
        fs::write(cgroup.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        fn remove(path: &Path) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            let _ = fs::remove_dir(path);
        }
        remove(&self.root);
    }
}
