//! What a recording survives: being killed, a full disk, more events than it can take.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ctrace_trace::case::{Loss, verify};
use ctrace_trace::segment::{ProblemKind, Segment};

use crate::artifacts::{artifacts, of, sha256sum};
use crate::bounds::cpu_time;
use crate::case::{Row, closed, cut_off, each_block, open, rows, two_starts, unnamed, until_segment, until_written};
use crate::run::{Load, folder, output, own, record, recording};
use ctrace_skip::{is_root, skip};

/// What a recorder that is killed may lose: the block that is being built, and what waits for its place in the order of
/// time.
const MAY_BE_LOST: Duration = Duration::from_secs(1);

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

#[test]
fn killed_it_loses_a_second_as_root() {
    if !is_root("killed_it_loses_a_second_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls"]);
    let _load = Load::shell("cat /etc/hostname");
    thread::sleep(Duration::from_secs(3));
    let killed = now();
    let ended = running.signal(libc::SIGKILL);
    assert_eq!(ended.status.code(), None);
    assert!(case.join("000001.ctrace.open").exists());
    let found = cut_off(&case);
    let (_, last) = found.totals.ts.expect("events");
    let lost = killed.saturating_sub(Duration::from_nanos(last));
    assert!(lost <= MAY_BE_LOST, "lost {lost:?}");
    let rows = rows(&case);
    assert_eq!(rows.len() as u64, found.totals.events);
    assert!(
        rows.iter()
            .any(|r| r.kind == "openat" && r.arg("name") == "/etc/hostname")
    );
}

#[test]
fn a_case_that_was_cut_off_is_gone_on_with_as_root() {
    if !is_root("a_case_that_was_cut_off_is_gone_on_with_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let own = own();
    let args = ["--sources", "syscalls", "--scope", &own];
    let running = recording(&case, &args);
    output("cat", &["/etc/hostname"]);
    until_written(&case, "the end of a process", |rows| {
        rows.iter().any(|r| r.kind == "procexit" && r.name == "cat")
    });
    running.signal(libc::SIGKILL);
    let (open_segment, events) = (case.join("000001.ctrace.open"), rows(&case).len());
    let before = sha256sum(&open_segment);
    record(&case, &[&args[..], &["--", "cat", "/etc/passwd"]].concat())
        .expect(2)
        .saying("not empty");
    record(
        &case,
        &[&args[..], &["--continue", "--", "cat", "/etc/passwd"]].concat(),
    )
    .expect(0);
    assert_eq!(sha256sum(&open_segment), before, "what was there stays as it was");
    let gone_on = open(&case);
    let of_new: Vec<_> = gone_on.problems().iter().filter(|p| p.path != open_segment).collect();
    assert!(of_new.is_empty(), "{of_new:?}");
    assert_eq!(gone_on.segments().len(), 2);
    let [first, second] = gone_on.segments() else {
        panic!("two segments")
    };
    let about = |segment: &Segment| (segment.header().about.case_id, segment.header().about.first_seq);
    assert_eq!(about(first).0, about(second).0);
    assert_eq!(about(second).1, events as u64, "numbers of events go on");
    assert!(rows(&case)[events..].iter().any(|r| r.arg("name") == "/etc/passwd"));
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir(at).expect("own folder");
        let option = format!("size={size},mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "tmpfs"])
            .arg(at)
            .status();
        mounted.is_ok_and(|s| s.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Work that fills a small disk within seconds.
const MUCH: &str = "find /usr /etc /proc -maxdepth 4 2>/dev/null";

#[test]
fn a_full_disk_ends_the_recording_and_leaves_it_whole_as_root() {
    let name = "a_full_disk_ends_the_recording_and_leaves_it_whole_as_root";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), "3m") else {
        return skip(name, "cannot mount a tmpfs");
    };
    let case = disk.0.join("case");
    let running = recording(&case, &["--sources", "syscalls", "--rotate-size", "1MiB"]);
    let load = Load::shell(MUCH);
    let ended = running.wait();
    drop(load);
    ended
        .expect(4)
        .saying("No space left on device")
        .saying("there is no more room")
        .saying("case: ");
    let found = closed(&case);
    assert!(found.segments.len() >= 2, "{:?}", found.segments);
    let rows = rows(&case);
    assert_eq!(rows.len() as u64, found.totals.events);
    assert!(found.totals.events > 1000);
    let stop = rows.iter().find(|r| r.kind == "capture_stop").expect("its end");
    assert_eq!(stop.arg("reason"), "disk full");
    let lost = unwritten(&found.losses);
    ended.saying(&format!("{lost} lost"));
    assert!(lost > 0);
}

/// How many events the case says that could not be written.
fn unwritten(losses: &[Loss]) -> u64 {
    let unwritten = losses.iter().filter(|l| l.source == "case" && l.class == 6);
    unwritten.map(|l| l.count).sum()
}

/// Fills a disk to the last page.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("ballast");
    let mut file = std::fs::File::create(&path).expect("creates");
    while file.write_all(&[1; 4096]).is_ok() {}
    path
}

#[test]
fn killed_on_a_full_disk_it_has_said_what_is_missing_as_root() {
    let name = "killed_on_a_full_disk_it_has_said_what_is_missing_as_root";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), "8m") else {
        return skip(name, "cannot mount a tmpfs");
    };
    let case = disk.0.join("case");
    let mut running = recording(&case, &["--sources", "syscalls", "--keep", "9"]);
    let load = Load::shell(MUCH);
    fill(&disk.0);
    running.until("case: ");
    thread::sleep(Duration::from_secs(2));
    running.signal(libc::SIGKILL);
    drop(load);
    let found = cut_off(&case);
    assert!(unwritten(&found.losses) > 0, "{:?}", found.losses);
}

/// Copies are what there is room for beside the recording, which goes before them.
#[test]
fn copies_leave_the_recording_its_room_as_root() {
    let name = "copies_leave_the_recording_its_room_as_root";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), "72m") else {
        return skip(name, "cannot mount a tmpfs");
    };
    let case = disk.0.join("case");
    let program = |name: &str, size: u64| {
        let path = dir.path().join(name);
        std::fs::copy("/bin/sleep", &path).expect("a program");
        let file = std::fs::File::options().append(true).open(&path).expect("ours");
        file.set_len(size).expect("ours");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (small, large) = (program("small", 1 << 20), program("large", 20 << 20));
    let scope = format!("pid={}", std::process::id());
    let running = recording(&case, &["--sources", "syscalls", "--scope", &scope, "--collect"]);
    let nameless = "exec 3<$0; rm $0; /proc/self/fd/3 4";
    output("sh", &["-c", nameless, &small]);
    output("sh", &["-c", nameless, &large]);
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    let found = artifacts(&case);
    let (small, large) = (of(&found, &small), of(&found, &large));
    assert_eq!(
        sha256sum(&case.join(small.arg("copy"))),
        small.arg("sha256"),
        "{small:?}"
    );
    let told = (large.arg("sha256").len(), large.arg("copy"), large.arg("copy_reason"));
    assert_eq!(
        told,
        (64, "", "the disk of the case has too little room left"),
        "{large:?}"
    );
    let copies = open(&case).copies();
    assert_eq!((copies.count, copies.bytes, copies.problems), (1, 1 << 20, Vec::new()));
}

#[test]
fn a_case_that_is_removed_is_begun_again_and_says_so_as_root() {
    if !is_root("a_case_that_is_removed_is_begun_again_and_says_so_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let own = own();
    let mut running = recording(&case, &["--sources", "syscalls", "--scope", &own]);
    let load = Load::shell(MUCH);
    until_written(&case, "a first block", |rows| !rows.is_empty());
    std::fs::remove_dir_all(&case).expect("removes");
    running.until("case: ");
    until_written(&case, "what is missing", |rows| rows.iter().any(|r| r.kind == "gap"));
    drop(load);
    let ended = running.signal(libc::SIGINT);
    ended.expect(4);
    // The first segment is missing, and that is all that is wrong.
    let found = verify(&open(&case));
    let problems: Vec<_> = found.problems.iter().map(|p| p.kind).collect();
    assert_eq!(problems, [ProblemKind::ChainBroken], "{:?}", found.problems);
    assert!(found.segments.iter().all(|s| s.closed));
    let lost = unwritten(&found.losses);
    ended.saying(&format!("{lost} lost"));
    assert!(lost > 0 && found.totals.events > 0);
    assert!(
        found.losses.iter().any(|l| l.reason.contains("removed")),
        "{:?}",
        found.losses
    );
}

#[test]
fn with_room_again_it_goes_on_and_says_what_is_missing_as_root() {
    let name = "with_room_again_it_goes_on_and_says_what_is_missing_as_root";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), "64m") else {
        return skip(name, "cannot mount a tmpfs");
    };
    let case = disk.0.join("case");
    let mut running = recording(&case, &["--sources", "syscalls", "--keep", "9"]);
    let load = Load::shell(MUCH);
    let ballast = fill(&disk.0);
    running.until("case: ");
    thread::sleep(Duration::from_secs(2));
    std::fs::remove_file(ballast).expect("removes");
    let again = now();
    thread::sleep(Duration::from_secs(2));
    drop(load);
    // The recording is whole, but not complete.
    let ended = running.signal(libc::SIGINT);
    ended.expect(4);
    let found = closed(&case);
    let lost = unwritten(&found.losses);
    ended.saying(&format!("{lost} lost"));
    assert!(lost > 0);
    let seconds_later = again + Duration::from_secs(1);
    let newest = found.losses.iter().map(|l| l.to_ts).max().expect("a loss");
    assert!(u128::from(newest) < seconds_later.as_nanos(), "{:?}", found.losses);
    let rows = rows(&case);
    assert!(
        rows.iter()
            .any(|r| u128::from(r.ts) > seconds_later.as_nanos() && r.kind == "openat")
    );
}

#[test]
fn on_a_full_disk_the_oldest_segments_make_room_where_that_is_allowed_as_root() {
    let name = "on_a_full_disk_the_oldest_segments_make_room_where_that_is_allowed_as_root";
    if !is_root(name) {
        return;
    }
    let dir = folder();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), "4m") else {
        return skip(name, "cannot mount a tmpfs");
    };
    let case = disk.0.join("case");
    let own = own();
    let args = [
        "--sources",
        "syscalls",
        "--scope",
        &own,
        "--rotate-size",
        "1MiB",
        "--keep",
        "100",
    ];
    let running = recording(&case, &args);
    let load = Load::shell(MUCH);
    until_segment(&case, 8);
    drop(load);
    running.signal(libc::SIGINT).expect(0).saying(", 0 lost");
    let numbers: Vec<_> = closed(&case).segments.iter().map(|s| s.number).collect();
    assert!(
        numbers[0] > 1 && numbers.windows(2).all(|w| w[1] == w[0] + 1),
        "{numbers:?}"
    );
}

#[test]
fn segments_rotate_by_size_and_each_is_readable_alone_as_root() {
    if !is_root("segments_rotate_by_size_and_each_is_readable_alone_as_root") {
        return;
    }
    rotates(&["--rotate-size", "1MiB", "--keep", "2"], 5);
}

#[test]
fn segments_rotate_by_time_and_each_is_readable_alone_as_root() {
    if !is_root("segments_rotate_by_time_and_each_is_readable_alone_as_root") {
        return;
    }
    rotates(&["--rotate-every", "1s", "--keep", "2"], 4);
}

/// Records until a segment of this number is begun; then two are left, each complete in itself. A recording with losses
/// is made anew: where forks are missing, names may be.
fn rotates(args: &[&str], until: u32) {
    for _ in 0..3 {
        if rotated(args, until) {
            return;
        }
    }
    panic!("records were lost in each of three recordings");
}

/// Whether a recording without losses was found to be complete in each segment.
fn rotated(args: &[&str], until: u32) -> bool {
    let dir = folder();
    let case = dir.path().join("case");
    let own = own();
    let running = recording(&case, &[&["--sources", "syscalls", "--scope", &own], args].concat());
    let load = Load::shell(MUCH);
    until_segment(&case, until);
    drop(load);
    running.signal(libc::SIGINT).expect(0);
    let found = closed(&case);
    if !found.totals.lost.is_empty() {
        return false;
    }
    assert_eq!(found.segments.len(), 2, "{:?}", found.segments);
    assert!(found.segments[0].number >= until - 1);
    for segment in &found.segments {
        let alone = open(&segment.path);
        assert_eq!(alone.problems(), []);
        let state = alone.segments()[0].snapshot().expect("readable").expect("a snapshot");
        let own = std::process::id();
        assert!(
            state.processes.iter().any(|p| p.pid == own),
            "this process is in the state of the host"
        );
        let mut events = 0;
        each_block(&alone, |block| events += block.len);
        assert_eq!(events as u64, segment.events);
        assert_eq!(unnamed(&alone), Vec::<String>::new());
    }
    assert_eq!(two_starts(&open(&case)), Vec::<String>::new());
    true
}

#[test]
fn what_does_not_fit_is_counted_exactly_as_root() {
    if !is_root("what_does_not_fit_is_counted_exactly_as_root") {
        return;
    }
    const EACH: u64 = 1_000_000;
    let dir = folder();
    let case = dir.path().join("case");
    // A name that nothing else on the machine has: another perl would be counted too.
    let name = format!("many{}", std::process::id());
    let program = dir.path().join(&name);
    std::os::unix::fs::symlink("/usr/bin/perl", &program).expect("links");
    let program = program.display();
    let script = format!("for i in 1 2 3 4 5 6; do {program} -e 'getppid for 1..{EACH}' & done; wait");
    let scope = format!("comm={name}");
    let args = [
        "--sources",
        "syscalls",
        "--scope",
        &scope,
        "--buffer",
        "1MiB",
        "--",
        "sh",
        "-c",
        &script,
    ];
    let ended = record(&case, &args);
    ended.expect(0).saying("events were lost");
    let found = closed(&case);
    let (losses, problems) = open(&case).losses();
    assert_eq!(problems, []);
    assert_eq!(losses, found.losses);
    let lost: u64 = losses.iter().map(|l| l.count).sum();
    ended.saying(&format!(", {lost} lost"));
    assert!(lost > 0, "the buffer was large enough after all");
    for loss in &losses {
        assert!(
            loss.source == "syscalls" && loss.class == 0 && loss.cpu >= 0 && loss.from_ts < loss.to_ts,
            "{loss:?}"
        );
    }
    assert_eq!(found.totals.lost.values().sum::<u64>(), lost);
    // Everything that was made is either recorded or counted; of the rest of the host little is lost beside it.
    let recorded = rows(&case)
        .iter()
        .filter(|r| r.kind == "getppid" && r.name == name)
        .count() as u64;
    let made = 6 * EACH;
    assert!(recorded + lost >= made, "{recorded} + {lost} < {made}");
    assert!(
        recorded + lost <= made + made / 20,
        "{recorded} + {lost} is far more than {made}"
    );
}

#[test]
fn what_was_opened_during_a_loss_is_not_taken_for_what_was_open_before_as_root() {
    if !is_root("what_was_opened_during_a_loss_is_not_taken_for_what_was_open_before_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let below = dir.path().join("below");
    std::fs::create_dir(&below).expect("room");
    let [before, after] = ["before", "after"].map(|name| dir.path().join(name));
    for file in [&before, &after] {
        std::fs::write(file, "text\n").expect("room");
    }
    let [before, after, below] = [&before, &after, &below].map(|path| path.to_str().expect("text"));
    let running = recording(&case, &["--sources", "syscalls", "--scope", &own(), "--buffer", "1MiB"]);
    let recorder = i32::try_from(running.pid()).expect("a pid");
    let signal = |signal| {
        // SAFETY: the pid is that of a child that was not waited for.
        assert_eq!(unsafe { libc::kill(recorder, signal) }, 0);
    };
    let script = format!(
        "exec 3<{before}; echo; read go; exec 3<{after}; cd {below}; echo; read go; \
         read line <&3; test -e name; sleep 0; echo; read go"
    );
    // On one CPU with what fills the rings: that of another has room where the one that all share is full.
    // SAFETY: no preconditions.
    let cpu = unsafe { libc::sched_getcpu() }.to_string();
    let mut child = Command::new("taskset")
        .args(["-c", &cpu, "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh runs");
    let pid = child.id();
    let (mut told, mut tells) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut answered = || tells.read_exact(&mut [0]).expect("it answers");
    let mut go = || told.write_all(b"\n").expect("it reads");
    answered();
    signal(libc::SIGSTOP);
    output("taskset", &["-c", &cpu, "perl", "-e", "getppid for 1..200000"]);
    go();
    answered();
    signal(libc::SIGCONT);
    until_written(&case, "the loss", |rows| rows.iter().any(|r| r.kind == "gap"));
    go();
    answered();
    // It must live until it was asked what it has open: that is before what it did next is written.
    until_written(&case, "what it did next", |rows| {
        let sleep = |r: &Row| r.kind == "procexit" && r.name == "sleep" && r.ppid == pid;
        rows.iter().any(sleep)
    });
    go();
    child.wait().expect("sh ends");
    running.signal(libc::SIGINT).expect(0);
    let ends = open(&case).losses().0.iter().map(|loss| loss.to_ts).max();
    let rows = rows(&case);
    let of_child = |row: &&Row| row.pid == pid;
    let opens = |row: &Row| row.kind == "openat" && row.arg("name") == after;
    assert!(!rows.iter().filter(of_child).any(opens), "nothing was lost after all");
    let later: Vec<_> = rows.iter().filter(of_child).filter(|r| Some(r.ts) > ends).collect();
    assert!(later.iter().all(|r| r.fd != before), "{later:?}");
    assert!(later.iter().any(|r| r.fd == after), "{later:?}");
    let name = format!("{below}/name");
    assert!(later.iter().any(|r| r.arg("path") == name), "{later:?}");
}

#[test]
fn starting_is_quick_as_root() {
    if !is_root("starting_is_quick_as_root") {
        return;
    }
    let dir = folder();
    let running = recording(&dir.path().join("case"), &["--sources", "syscalls"]);
    // Its own work: how long it waits for its turn is the machine's.
    let took = cpu_time(running.pid());
    running.signal(libc::SIGTERM).expect(0);
    // The target is 0.5 s on a quiet machine, which one that runs tests is not.
    assert!(took < Duration::from_secs(3), "{took:?}");
    let _ = output("true", &[]);
}
