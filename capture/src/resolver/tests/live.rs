//! The whole way from the running kernel, against what strace says of the same run. Needs root and strace.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::world::{OFFSET, Seen};
use crate::host::{Clock as HostClock, EnvSelection, HostState, read_mounts};
use crate::resolver::{Clock, Config, NoHost, ProcHost, Resolver, Snapshot};
use crate::syscall::{self, Record, SyscallSource};
use ctrace_skip::skip;
use ctrace_trace::schema::Schema;

/// Ordinary shell work: directories, links, descriptors passed on, files that are not there.
const SCRIPT: &str = r#"
exec </dev/null >/dev/null 2>/dev/null
mkdir -p sub/deeper
echo one > a.txt
cd sub
cat ../a.txt < ../a.txt > out.txt
exec 7< out.txt
cat <&7
exec 7<&-
ln -s ../a.txt link
cat link ./nothing
ln -s deeper far
mkdir far/made
chmod 700 far/../link
rmdir far/../deeper/made
rm far
(cd deeper; pwd -P > ../where; cat ../../a.txt | tr a-z A-Z > ../upper)
cd ..
sh -c 'cd sub/deeper && cat < ../out.txt >> ../../a.txt; rm ../where' &
wait
find . -name '*.txt' -exec cat {} +
"#;

#[test]
fn agrees_with_strace_as_root() {
    let name = "resolver::agrees_with_strace_as_root";
    if Command::new("strace")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return skip(name, "strace is not installed");
    }
    let Some(mut source) = source(name) else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::write(folder.join("script"), SCRIPT).unwrap();
    let log = folder.join("strace.log");
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-s", "0", "-o"])
        .arg(&log)
        .args(["sh", "script"])
        .current_dir(&folder)
        .env_remove("LD_LIBRARY_PATH")
        .spawn()
        .unwrap();
    let records = collect(&mut source, &mut child);
    let resolver = Resolver::new(Config::default(), Snapshot::default(), Box::new(NoHost));
    let events = resolve(resolver, records);
    let lines = calls(&std::fs::read_to_string(&log).unwrap());
    compare(&folder, &lines, &events);
}

/// A shell that was there before, with an open file and in a directory.
const OLDER: &str = "exec 5<five.txt; cd sub; echo ready; read go; read x <&5; : < relative.txt; read end";

/// In the last of its calls that is looked at.
const LAST: &[u8] = b"relative.txt";

/// Longer than anything here takes, even on a busy machine: what takes this long hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn processes_older_than_the_recording_are_known_as_root() {
    let name = "resolver::processes_older_than_the_recording_are_known_as_root";
    for from_snapshot in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("sub")).unwrap();
        std::fs::write(folder.join("five.txt"), "5\n").unwrap();
        std::fs::write(folder.join("sub/relative.txt"), "").unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", OLDER])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        shell.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        let Some(mut source) = source(name) else {
            shell.kill().unwrap();
            shell.wait().unwrap();
            return;
        };
        let state = HostState::read(&HostClock::new(), &EnvSelection::default());
        let resolver = if from_snapshot {
            Resolver::new(Config::default(), Snapshot::new(&state, Vec::new()), Box::new(NoHost))
        } else {
            let host = ProcHost::new(EnvSelection::default());
            Resolver::new(Config::default(), Snapshot::default(), Box::new(host))
        };
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(b"go\n").unwrap();
        // While it waits, the host can still be asked.
        let mut records = Vec::new();
        let started = Instant::now();
        let last = |(_, record): &(u64, Vec<u8>)| record.windows(LAST.len()).any(|bytes| bytes == LAST);
        while !records.iter().any(last) {
            assert!(started.elapsed() < PATIENCE, "the shell does not go on");
            std::thread::sleep(Duration::from_millis(5));
            gather(&mut source, &mut records);
        }
        // What it did before may lie in another ring.
        gather(&mut source, &mut records);
        let events = resolve(resolver, in_order(records));
        drop(stdin);
        shell.wait().unwrap();
        let of_shell = events.get(&shell.id()).expect("events of the shell");
        let path = |p: &str| folder.join(p).to_string_lossy().into_owned();
        let read = of_shell
            .iter()
            .find(|e| e.name == "read" && e.fd_name() == path("five.txt"));
        let image = read.expect("the descriptor is known").image().clone();
        assert_eq!((&image.name[..], image.ppid), (&b"sh"[..], std::process::id()));
        assert_eq!(image.cwd, path("sub").as_bytes());
        assert!(image.argv.starts_with(b"sh\0-c\0exec 5<") && image.exe_ino != 0 && image.start_ts != 0);
        assert!(!image.cgroup.is_empty(), "its cgroup");
        if from_snapshot {
            assert_eq!(
                (&image.user[..], image.parent.as_ref().map(|p| p.pid)),
                (&b"root"[..], Some(image.ppid))
            );
        }
        let opened = format!("{} <- relative.txt", path("sub/relative.txt"));
        assert!(of_shell.iter().any(|e| e.name == "openat" && e.arg("name") == opened));
    }
}

#[test]
fn a_directory_behind_a_link_is_where_it_lies_as_root() {
    let name = "resolver::a_directory_behind_a_link_is_where_it_lies_as_root";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    if crate::host::real_path(None, b"/", u64::MAX).is_none() {
        return skip(name, "needs Linux 5.12");
    }
    std::fs::create_dir_all(folder.join("far/away")).unwrap();
    std::os::unix::fs::symlink("far/away", folder.join("link")).unwrap();
    let Some(mut source) = source(name) else { return };
    let mut child = Command::new("perl")
        .args(["-e", "chdir 'link'; open F, 'one'; chdir '..'; open F, 'two'"])
        .current_dir(&folder)
        .spawn()
        .unwrap();
    let records = collect(&mut source, &mut child);
    let host = ProcHost::new(EnvSelection::default());
    let resolver = Resolver::new(Config::default(), Snapshot::default(), Box::new(host));
    let events = resolve(resolver, records);
    let asked = |raw: &str| {
        let seen = events[&child.id()].iter().filter(|e| e.name == "openat");
        let names = seen.filter_map(|e| e.arg("name").split_once(" <- "));
        let mut found = names.filter(|(_, r)| *r == raw).map(|(path, _)| path.to_owned());
        found.next().unwrap_or_default()
    };
    let path = |p: &str| folder.join(p).to_string_lossy().into_owned();
    assert_eq!((asked("one"), asked("two")), (path("far/away/one"), path("far/two")));
}

#[test]
fn a_new_cgroup_is_a_new_container_as_root() {
    let name = "resolver::a_new_cgroup_is_a_new_container_as_root";
    let Some(mut source) = source(name) else { return };
    let id = format!("{:064x}", std::process::id());
    let mounts = read_mounts(std::process::id());
    let Some(mount) = mounts.iter().find(|m| m.fs_type == b"cgroup2") else {
        return skip(name, "cgroup v2 is not mounted");
    };
    let cgroup = format!("{}/docker-{id}.scope", String::from_utf8_lossy(&mount.target));
    if let Err(error) = std::fs::create_dir(&cgroup) {
        return skip(name, &format!("{cgroup}: {error}"));
    }
    let resolver = Resolver::new(Config::default(), Snapshot::default(), Box::new(NoHost));
    // It enters by itself; the program that it then becomes is in there from the start.
    let enter = format!("echo $$ > {cgroup}/cgroup.procs; exec cat /dev/null");
    let mut child = Command::new("sh").args(["-c", &enter]).spawn().unwrap();
    let records = collect(&mut source, &mut child);
    std::fs::remove_dir(&cgroup).unwrap();
    let events = resolve(resolver, records);
    let of_child = &events[&child.id()];
    let execs: Vec<_> = of_child
        .iter()
        .filter(|e| e.name == "execve" && e.ret == Some(0))
        .collect();
    let container = |e: &Seen| e.image().container.as_ref().map(|c| (c.id.clone(), c.engine.clone()));
    assert_eq!(execs.len(), 2);
    assert_eq!(container(execs[0]), None);
    assert_eq!(container(execs[1]), Some((id, "docker".to_owned())));
    assert_eq!(execs[1].image().name, b"cat");
    let exit = of_child.iter().find(|e| e.name == "procexit").unwrap();
    assert!(container(exit).is_some());
}

/// The running kernel, with all that the recorder asks of it, about this program and its children: what a busy host does
/// besides would fill the rings. `None` where it may not be recorded.
pub(super) fn source(name: &str) -> Option<SyscallSource> {
    let config = syscall::Config {
        specs: crate::specs::table(&Schema::current(), &crate::SyscallSet::all(), false),
        scope: Some(syscall::Scope {
            pids: vec![std::process::id()],
            ..syscall::Scope::default()
        }),
        ..syscall::Config::default()
    };
    SyscallSource::open(&config)
        .map_err(|error| skip(name, &error.to_string()))
        .ok()
}

/// All records until the child has ended, in order of time.
pub(super) fn collect(source: &mut SyscallSource, child: &mut Child) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let started = Instant::now();
    let mut ended = false;
    loop {
        let got = gather(source, &mut records);
        if ended && got == 0 {
            return in_order(records);
        }
        ended = ended || child.try_wait().unwrap().is_some();
        if ended {
            source.detach();
        }
        assert!(started.elapsed() < PATIENCE, "the script does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn gather(source: &mut SyscallSource, records: &mut Vec<(u64, Vec<u8>)>) -> usize {
    source.poll_bytes(&mut |header, bytes| records.push((header.ts, bytes.to_vec())))
}

pub(super) fn in_order(mut records: Vec<(u64, Vec<u8>)>) -> Vec<Vec<u8>> {
    records.sort_by_key(|(ts, _)| *ts);
    records.into_iter().map(|(_, bytes)| bytes).collect()
}

pub(super) fn resolve(mut resolver: Resolver, records: Vec<Vec<u8>>) -> BTreeMap<u32, Vec<Seen>> {
    let mut events: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    let mut last = 0;
    for bytes in records {
        let record = Record::parse(&bytes).expect("a record");
        resolver.record(&record, &Clock { offset_ns: OFFSET }, &mut |event| {
            let seen = Seen::of(event);
            assert!(seen.ts >= last, "time runs back");
            last = seen.ts;
            events.entry(event.tid).or_default().push(seen);
        });
    }
    events
}

/// A call as strace prints it.
#[derive(Debug)]
struct Line {
    pid: u32,
    name: String,
    /// What stands between the parentheses.
    args: String,
    ret: i64,
    /// The annotation of the result.
    ret_path: Option<String>,
}

/// Finished calls in the order of their end.
fn calls(log: &str) -> Vec<Line> {
    let mut unfinished: BTreeMap<u32, String> = BTreeMap::new();
    let mut out = Vec::new();
    for line in log.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let (pid, rest) = (pid.parse().unwrap(), rest.trim_start());
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, begin.trim_end().to_owned());
            continue;
        }
        let whole = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, end) = resumed.split_once(" resumed>").unwrap();
                format!("{}{end}", unfinished.remove(&pid).unwrap_or_default())
            }
            None => rest.to_owned(),
        };
        out.extend(parse(pid, &whole));
    }
    out
}

fn parse(pid: u32, line: &str) -> Option<Line> {
    let (call, result) = line.rsplit_once(" = ")?;
    let (name, args) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let word = result.split([' ', '<']).next()?;
    let annotation = result.split_once('<').and_then(|(_, path)| path.rsplit_once('>'));
    Some(Line {
        pid,
        name: falco_name(name).to_owned(),
        args: args.to_owned(),
        ret: match word.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok()?.cast_signed(),
            None => word.parse().ok()?,
        },
        ret_path: annotation
            .filter(|_| result.starts_with(|c: char| c.is_ascii_digit()))
            .map(|(p, _)| p.to_owned()),
    })
}

fn falco_name(name: &str) -> &str {
    match name {
        "pread64" => "pread",
        "pwrite64" => "pwrite",
        "prlimit64" => "prlimit",
        other => other,
    }
}

/// Names that this test looks at: what has a descriptor, a path, or makes processes.
const COMPARED: &[&str] = &[
    "openat",
    "read",
    "write",
    "close",
    "dup2",
    "dup3",
    "fcntl",
    "newfstatat",
    "fstat",
    "execve",
    "chdir",
    "fchdir",
    "mmap",
    "pread",
    "lseek",
    "ioctl",
    "getdents64",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "unlinkat",
    "rmdir",
    "fchmodat",
    "access",
    "clone",
    "clone3",
    "vfork",
    "fadvise64",
    "faccessat",
    "unlink",
    "readlink",
    "statfs",
    "fstatfs",
    "copy_file_range",
];

#[derive(Debug, Default)]
struct Tally {
    calls: u32,
    descriptors: u32,
    paths: u32,
    directories: u32,
    parents: u32,
    programs: u32,
}

fn compare(folder: &Path, lines: &[Line], events: &BTreeMap<u32, Vec<Seen>>) {
    let mut tally = Tally::default();
    let pids: std::collections::BTreeSet<u32> = lines.iter().map(|l| l.pid).collect();
    // Nothing is known of what the shell was given; from its own first open on, all is.
    let first = lines.first().unwrap().pid;
    for pid in pids {
        let theirs: Vec<&Line> = lines.iter().filter(|l| l.pid == pid && is_compared(l)).collect();
        let ours: Vec<&Seen> = events[&pid].iter().filter(|e| is_ours(e, pid)).collect();
        let mut ours = ours.into_iter();
        // strace begins in the middle: what its own child does before the exec is its own business.
        if pid == first {
            ours.by_ref().find(|e| e.name == "execve").unwrap();
            check_exec(
                folder,
                theirs[0],
                events[&pid].iter().find(|e| e.name == "execve").unwrap(),
            );
        }
        let theirs = theirs.into_iter().skip(usize::from(pid == first));
        for line in theirs {
            let seen = ours.next().unwrap_or_else(|| panic!("no event for {line:?}"));
            check(line, seen, events, &mut tally);
        }
        assert_eq!(
            ours.map(|e| e.name.clone()).collect::<Vec<_>>(),
            Vec::<String>::new(),
            "more events of {pid}"
        );
    }
    println!("{tally:?}");
    let enough = tally.calls > 300 && tally.descriptors > 200 && tally.paths > 50 && tally.directories > 20;
    assert!(
        enough && tally.parents >= 8 && tally.programs >= 8,
        "too little was compared: {tally:?}"
    );
}

fn is_compared(line: &Line) -> bool {
    COMPARED.contains(&line.name.as_str())
}

/// The child's return of the call that made it is in no strace log.
fn is_ours(seen: &Seen, pid: u32) -> bool {
    let born = matches!(seen.name.as_str(), "clone" | "clone3" | "vfork") && seen.ret == Some(0) && seen.tid == pid;
    COMPARED.contains(&seen.name.as_str()) && !born
}

fn check(line: &Line, seen: &Seen, events: &BTreeMap<u32, Vec<Seen>>, tally: &mut Tally) {
    let what = format!(
        "{line:?} against {} {:?} = {:?}, {} in {}",
        seen.name,
        seen.args,
        seen.ret,
        seen.fd_name(),
        String::from_utf8_lossy(&seen.image().cwd)
    );
    assert_eq!(seen.name, line.name, "{what}");
    let ret = seen.ret.unwrap();
    assert!(ret == line.ret || line.ret == -1 && ret < 0, "{what}");
    tally.calls += 1;
    match line.name.as_str() {
        "execve" => {
            check_exec(Path::new(""), line, seen);
            tally.programs += u32::from(ret == 0);
        }
        "clone" | "clone3" | "vfork" => {
            let child = events[&(ret as u32)].first().unwrap().image();
            assert_eq!(
                (child.ppid, child.parent.as_ref().unwrap().pid),
                (line.pid, line.pid),
                "{what}"
            );
            tally.parents += 1;
        }
        _ => {}
    }
    if ret < 0 && seen.name == "openat" {
        let (asked, _) = seen.arg("name").split_once(" <- ").unwrap();
        assert_eq!(seen.fd_name(), asked, "{what}");
    } else if let Some(fd) = &seen.fd {
        let theirs = match seen.name.as_str() {
            "openat" | "dup2" | "dup3" => line.ret_path.clone(),
            "mmap" => argument_path(&line.args, 4),
            "copy_file_range" => argument_path(&line.args, 2),
            _ => argument_path(&line.args, 0),
        };
        let theirs = theirs.unwrap_or_else(|| panic!("strace shows no descriptor: {what}"));
        let name = String::from_utf8_lossy(&fd.name);
        assert!(same_object(&theirs, &name), "{what}");
        tally.descriptors += 1;
    }
    if let Some(cwd) = line.args.strip_prefix("AT_FDCWD<").and_then(|a| a.split_once('>')) {
        assert_eq!(String::from_utf8_lossy(&seen.image().cwd), cwd.0, "{what}");
        tally.directories += 1;
    }
    check_path(line, seen, &what, tally);
}

/// The caller's string, and that the absolute path ends in it where it holds no dots.
fn check_path(line: &Line, seen: &Seen, what: &str, tally: &mut Tally) {
    let name = ["name", "path", "filename"]
        .into_iter()
        .find(|n| seen.args.contains_key(*n));
    let Some((resolved, raw)) = name.and_then(|n| seen.arg(n).split_once(" <- ")) else {
        return;
    };
    // `-s 0` leaves strings out but for file names, which strace prints whole.
    assert!(line.args.contains(&format!("\"{raw}\"")), "{what}");
    assert!(
        resolved.starts_with('/') || raw.is_empty() && resolved == "pipe",
        "{what}"
    );
    tally.paths += 1;
}

fn check_exec(folder: &Path, line: &Line, seen: &Seen) {
    let image = seen.image();
    if seen.ret == Some(0) {
        let program = line.args.split('"').nth(1).unwrap();
        let base = |p: &str| p.rsplit('/').next().unwrap().to_owned();
        assert_eq!(String::from_utf8_lossy(&image.name), base(program), "{line:?}");
        let real = Path::new(program).canonicalize().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&image.exe_path),
            real.to_string_lossy(),
            "{line:?}"
        );
        assert!(folder.as_os_str().is_empty() || image.cwd == folder.as_os_str().as_encoded_bytes());
    }
}

/// The annotation of a descriptor argument.
fn argument_path(args: &str, at: usize) -> Option<String> {
    let arg = args.split(", ").nth(at)?;
    let (_, path) = arg.split_once('<')?;
    Some(path.rsplit_once('>')?.0.to_owned())
}

/// strace numbers pipes and marks files that are gone; it shows the terminal's and the null device's numbers behind them.
fn same_object(theirs: &str, ours: &str) -> bool {
    let theirs = theirs.split('<').next().unwrap_or(theirs);
    let theirs = theirs.strip_suffix(" (deleted)").unwrap_or(theirs);
    theirs == ours || theirs.starts_with("pipe:[") && ours == "pipe"
}
