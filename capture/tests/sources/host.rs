//! The host's state against what `ps` and the container engine say.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ctrace_capture::host::{Clock, EnvSelection, HostProcess, HostState, Names, container_of};
use ctrace_capture::resolver::Snapshot;
use ctrace_trace::fd::FdKind;
use ctrace_trace::process::exe_flag;

use ctrace_skip::{skip, variable};

fn snapshot() -> HostState {
    HostState::read(&Clock::new(), &EnvSelection::new([&b"CTRACE_MARK"[..]]))
}

fn find(state: &HostState, pid: u32) -> &HostProcess {
    state
        .processes
        .iter()
        .find(|p| p.image.pid == pid)
        .expect("a living process is in the snapshot")
}

/// A child that is ended with the test.
struct Child(std::process::Child);

impl Child {
    fn start(command: &mut Command) -> Child {
        Child(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("starts"),
        )
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One line of `ps`: the numbers, the name and the command line.
fn ps() -> BTreeMap<u32, (Vec<u32>, String, String)> {
    let columns = "pid=,ppid=,pgid=,sid=,ruid=,euid=,rgid=,egid=,nlwp=,comm:15=,args=";
    let output = Command::new("ps")
        .args(["-e", "-ww", "-o", columns])
        .output()
        .expect("ps runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let mut rest = line.trim_start();
        let mut numbers = Vec::new();
        for _ in 0..9 {
            let (word, after) = rest.split_once(' ').expect("columns");
            numbers.push(word.parse().expect("a number"));
            rest = after.trim_start();
        }
        let (comm, args) = rest.split_at_checked(16).expect("columns");
        (numbers[0], (numbers, comm.trim_end().to_owned(), args.to_owned()))
    };
    text.lines().map(line).collect()
}

#[test]
fn processes_are_those_of_ps() {
    if Command::new("ps").arg("--version").output().is_err() {
        return skip("processes_are_those_of_ps", "ps is not installed");
    }
    let child = Child::start(Command::new("sleep").arg("1000"));
    // Threads come and go between two answers of `ps`, so one snapshot alone may differ for good reasons.
    let differences: Vec<String> = (0..5).map_while(|_| differs_from_ps(child.0.id()).err()).collect();
    assert!(differences.len() < 5, "{differences:#?}");
}

/// Takes a snapshot between two answers of `ps` and compares the processes that are the same in both.
fn differs_from_ps(child: u32) -> Result<(), String> {
    let (before, state, after) = (ps(), snapshot(), ps());
    let mut compared = 0;
    for (pid, theirs) in before.iter().filter(|(pid, theirs)| after.get(pid) == Some(theirs)) {
        let process = find(&state, *pid);
        let image = &process.image;
        let mut threads = process.threads.len() as u32;
        if *pid == std::process::id() {
            // Threads of its own read what there is, while there are many processes.
            threads = threads.min(theirs.0[8]);
        }
        let ours = [
            image.pid, image.ppid, image.pgid, image.sid, image.uid, image.euid, image.gid, image.egid, threads,
        ];
        let (numbers, comm, args) = theirs;
        let name = String::from_utf8_lossy(&image.name);
        // What a kernel worker works at is no part of its name.
        let same_name = *comm == name || comm.starts_with("kworker/") && comm.starts_with(&*name);
        let argv = String::from_utf8_lossy(&image.argv).replace('\0', " ");
        let comparable = args.is_ascii() && !argv.is_empty() && !argv.contains('\n');
        if ours != numbers.as_slice() || !same_name || comparable && argv.trim_end() != args.trim_end() {
            return Err(format!("{ours:?} {name} {argv} is for ps {theirs:?}"));
        }
        compared += 1;
    }
    if compared > 5 && before.contains_key(&child) {
        Ok(())
    } else {
        Err(format!("{compared} processes compared"))
    }
}

#[test]
fn a_process_with_all_that_belongs_to_it() {
    let folder = tempfile::tempdir().expect("folder");
    let exe = folder.path().join("a program");
    // Copied by another program: a file that is open for writing, here or in a child that another test just forked,
    // cannot be executed.
    assert!(
        Command::new("cp")
            .arg("/bin/sleep")
            .arg(&exe)
            .status()
            .expect("cp runs")
            .success()
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut command = Command::new(&exe);
    command
        .arg("1000")
        .env("CTRACE_MARK", "x y")
        .env("CTRACE_OTHER", "1")
        .env("LD_PRELOAD", "")
        .current_dir("/etc");
    // cargo sets it for its tests.
    let child = Child::start(command.env_remove("LD_LIBRARY_PATH"));
    std::fs::remove_file(&exe).expect("remove");
    let state = snapshot();
    let me = find(&state, std::process::id());
    let it = find(&state, child.0.id());
    assert_eq!(it.image.exe_path, exe.as_os_str().as_encoded_bytes());
    assert_ne!(it.image.exe_flags & exe_flag::DELETED, 0);
    assert_eq!((it.image.cwd.as_slice(), it.image.ppid), (&b"/etc"[..], me.image.pid));
    let mut env: Vec<&[u8]> = it.image.env.split(|b| *b == 0).collect();
    env.sort_unstable();
    assert_eq!(env, [&b"CTRACE_MARK=x y"[..], b"LD_PRELOAD="]);
    assert!(it.image.start_ts >= me.image.start_ts && it.image.start_ts <= state.taken_ts);
    assert_eq!(it.image.namespaces, me.image.namespaces);
    let stdin = it.fds.iter().find(|f| f.fd == 0).expect("open");
    assert_eq!(
        (stdin.entry.kind, stdin.entry.name.as_slice()),
        (FdKind::File, &b"/dev/null"[..])
    );
    let port = listener.local_addr().expect("bound").port();
    let ours = |f: &&ctrace_capture::host::HostFd| f.entry.socket.is_some_and(|s| s.local.port() == port);
    let socket = me.fds.iter().find(ours).expect("the listening socket");
    assert_eq!((socket.entry.kind, socket.cloexec), (FdKind::Ipv4, true));
    assert!(state.listening.iter().any(|s| s.local.port() == port));
    let mut boot = String::new();
    let mut file = std::fs::File::open("/proc/sys/kernel/random/boot_id").expect("there");
    file.read_to_string(&mut boot).expect("text");
    assert_eq!(state.facts.boot_id, boot.trim());
    assert!(state.mounts.iter().any(|m| m.target == b"/") && !state.names.users.is_empty());
}

/// Processor time of this thread so far: what others do meanwhile does not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the time.
    let told = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(told, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn reading_the_whole_host_is_quick() {
    let best = (0..5).map(|_| {
        let began = cpu_time();
        let state = snapshot();
        (
            cpu_time() - began,
            state.processes.len(),
            state.processes.iter().map(|p| p.fds.len()).sum::<usize>(),
        )
    });
    let (took, processes, fds) = best.min().expect("five");
    eprintln!("{processes} processes, {fds} descriptors in {took:?}");
    // 0.25 ms a process: some hundreds in 100 ms.
    let allowed = 250 * processes as u128 + 20 * fds as u128 + 50_000;
    assert!(
        took.as_micros() < allowed,
        "{processes} processes, {fds} descriptors in {took:?}"
    );
}

#[test]
fn live_a_containers_process_leads_to_its_container() {
    let test = "live_a_containers_process_leads_to_its_container";
    let Some(host) = variable(test, "CTRACE_TEST_DOCKER") else {
        return;
    };
    let docker = |args: &[&str]| {
        let output = Command::new("docker")
            .args(["-H", &host])
            .args(args)
            .output()
            .expect("docker runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let id = docker(&[
        "run",
        "-d",
        "--rm",
        "-u",
        "33",
        "-w",
        "/tmp",
        "ctrace-lab/busybox",
        "sleep",
        "1000",
    ]);
    let pid: u32 = docker(&["inspect", "-f", "{{.State.Pid}}", &id])
        .parse()
        .expect("a number");
    // The engine says that it started before the runtime has become the program.
    let begun = Instant::now();
    while std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs") != "sleep\n" {
        assert!(begun.elapsed() < Duration::from_secs(300), "the program does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    let state = snapshot();
    let names = Names::read(&PathBuf::from(format!("/proc/{pid}/root")));
    docker(&["rm", "-f", &id]);
    let (process, me) = (find(&state, pid), find(&state, std::process::id()));
    let image = &process.image;
    assert_eq!(container_of(&image.cgroup), Some(("docker", id.as_str())));
    assert_eq!((image.vpid, image.euid, image.cwd.as_slice()), (1, 33, &b"/tmp"[..]));
    assert_eq!(names.user(image.euid), b"www-data");
    assert_eq!(
        (&image.argv[..], image.exe_path.as_slice()),
        (&b"sleep\x001000"[..], &b"/usr/bin/busybox"[..])
    );
    let (inner, outer) = (image.namespaces, me.image.namespaces);
    assert!(inner.pid != outer.pid && inner.mnt != outer.mnt && inner.net != outer.net && inner.user == outer.user);
    if process.cgroup_id != 0 {
        assert_eq!(state.cgroups.path(process.cgroup_id), Some(image.cgroup.as_slice()));
    } else {
        skip(
            test,
            "the container has no cgroup of version 2; its id was not compared",
        );
    }
}

#[test]
fn the_state_reaches_resolver_and_segment_whole() {
    let state = snapshot();
    let (start, kept) = (
        Snapshot::new(&state, Vec::new()),
        state.for_segment(Vec::new(), None, Err("not asked".to_owned())),
    );
    assert_eq!(
        (start.processes.len(), kept.processes.len()),
        (state.processes.len(), state.processes.len())
    );
    let fds = |p: &HostProcess| p.fds.len();
    let all: usize = state.processes.iter().map(fds).sum();
    assert_eq!(start.processes.iter().map(|p| p.fds.len()).sum::<usize>(), all);
    assert_eq!(kept.processes.iter().map(|p| p.fds.len()).sum::<usize>(), all);
    assert!(kept.processes.is_sorted_by_key(|p| p.pid) && kept.users.is_sorted_by_key(|u| u.uid));
    assert_eq!(start.users.get(&0).map(Vec::as_slice), Some(&b"root"[..]));
    assert_eq!(
        (kept.mounts.len(), kept.modules.len()),
        (state.mounts.len(), state.modules.len())
    );
}
