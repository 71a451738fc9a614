//! What the recorder may use: `--max-cpu`, `--max-disk`, and memory.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{closed, rows};
use crate::run::{Load, PATIENCE, folder, recording};
use ctrace_skip::is_root;

/// Classes of gaps: what is left out for a bound.
const SHED: [i64; 2] = [7, 8];

/// Processor time that a process used so far, all of its threads.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|at| fields[*at].parse::<u64>().expect("a number"))
        .sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn within_its_share_of_a_core_it_leaves_out_the_least_important_as_root() {
    if !is_root("within_its_share_of_a_core_it_leaves_out_the_least_important_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    // What else the host does is not this test's.
    let args = ["--sources", "syscalls", "--scope", "comm=perl", "--max-cpu", "5"];
    let mut running = recording(&case, &args);
    const SCRIPT: &str = "perl -e 'for (1..10) { getppid for 1..300_000; system q(/bin/true), q(marked) }'";
    let loads: Vec<Load> = (0..2).map(|_| Load::shell(SCRIPT)).collect();
    running.until("--max-cpu: left out are reads");
    // What was there before is still to be written.
    thread::sleep(Duration::from_secs(2));
    let (begun, before) = (Instant::now(), cpu_time(running.pid()));
    thread::sleep(Duration::from_secs(20));
    let share = (cpu_time(running.pid()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    drop(loads);
    // A trial costs a fifth of the bound at most, and a second is the least that is looked at.
    assert!(share < 0.12, "{share}\n{}", running.said());
    // A trial in vain is paid for by up to a minute, and the last one may have been just before the end of the load.
    let begun = Instant::now();
    let last = |said: &str| said.rfind("all is recorded again") > said.rfind("left out are");
    while !last(&running.said()) {
        assert!(begun.elapsed() < PATIENCE, "{}", running.said());
        thread::sleep(Duration::from_millis(100));
    }
    running.signal(libc::SIGINT).expect(0);
    let found = closed(&case);
    let shed: Vec<_> = found.losses.iter().filter(|l| SHED.contains(&l.class)).collect();
    assert!(!shed.is_empty() && shed.iter().all(|l| l.reason == "--max-cpu" && l.source == "syscalls"));
    // Two loops of getppid on known CPUs, each left out call counted.
    assert!(shed.iter().all(|l| l.count > 0 && l.cpu >= 0), "{shed:?}");
    let left_out: u64 = shed.iter().map(|l| l.count).sum();
    assert!(left_out > 100_000, "{left_out}");
    let longest = shed.iter().map(|l| l.to_ts - l.from_ts).max().expect("one");
    assert!(longest > 1_000_000_000, "{shed:?}");
    // Programs are recorded all the time; the calls in the window are not.
    let rows = rows(&case);
    let in_shed = |ts: u64| {
        shed.iter()
            .any(|l| l.from_ts + 500_000_000 < ts && ts + 500_000_000 < l.to_ts)
    };
    let count = |kind: &str| rows.iter().filter(|r| r.kind == kind && in_shed(r.ts)).count();
    assert!(count("execve") >= 2, "{} programs", count("execve"));
    assert_eq!(count("getppid"), 0);
}

#[test]
fn a_case_has_no_more_than_it_may_and_its_end_is_for_what_matters_as_root() {
    if !is_root("a_case_has_no_more_than_it_may_and_its_end_is_for_what_matters_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let args = ["--sources", "syscalls", "--max-disk", "4MiB"];
    let running = recording(&case, &args);
    // The end is for processes: there have to be some.
    let load = Load::shell("find /usr /etc /proc -maxdepth 4 2>/dev/null; for i in $(seq 500); do /bin/true; done");
    let ended = running.wait();
    drop(load);
    ended
        .expect(4)
        .saying("the case may have 4194304 bytes")
        .saying("--max-disk: left out are");
    let found = closed(&case);
    let bytes: u64 = found.segments.iter().map(|s| s.bytes).sum();
    assert!(bytes <= 4 << 20 && bytes > 3 << 20, "{bytes}");
    for class in SHED {
        let of = |l: &&ctrace_trace::case::Loss| l.class == class && l.reason == "--max-disk" && l.count > 0;
        assert!(found.losses.iter().any(|l| of(&l)), "{class}: {:?}", found.losses);
    }
    assert!(
        found
            .losses
            .iter()
            .any(|l| l.class == 6 && l.reason == "the case may have 4194304 bytes")
    );
}

#[test]
fn where_old_segments_may_go_a_bounded_case_goes_on_as_root() {
    if !is_root("where_old_segments_may_go_a_bounded_case_goes_on_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let args = ["--sources", "syscalls", "--max-disk", "4MiB", "--keep", "100"];
    let running = recording(&case, &args);
    let load = Load::shell("find /usr /etc /proc -maxdepth 4 2>/dev/null");
    let begun = Instant::now();
    let mut newest = 0;
    while newest < 12 {
        assert!(begun.elapsed() < PATIENCE, "segments do not rotate");
        let list = || fs::read_dir(&case).expect("lists").flatten().collect::<Vec<_>>();
        let files = list();
        let bytes: u64 = files.iter().map(|f| f.metadata().map_or(0, |m| m.len())).sum();
        // Sizes of one moment: where a file has gone since, others may have grown into its room.
        let names = |files: &[fs::DirEntry]| files.iter().map(fs::DirEntry::file_name).collect::<BTreeSet<_>>();
        let all_there = names(&files).is_subset(&names(&list()));
        assert!(!all_there || bytes <= 4 << 20, "{bytes}");
        let number = |name: &str| name.split('.').next().and_then(|n| n.parse().ok());
        let numbers = files.iter().filter_map(|f| number(&f.file_name().to_string_lossy()));
        newest = numbers.max().unwrap_or(0);
        thread::sleep(Duration::from_millis(20));
    }
    drop(load);
    running.signal(libc::SIGINT).expect(0);
    let found = closed(&case);
    // What a loaded host's rings lose is not this test's.
    let of_bound = found
        .losses
        .iter()
        .filter(|l| l.source == "case" || SHED.contains(&l.class));
    assert_eq!(
        (found.segments[0].number > 1, of_bound.count()),
        (true, 0),
        "{:?}",
        found.losses
    );
}

/// KiB that a process has in memory.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|size| size.trim().strip_suffix(" kB"));
    size.and_then(|size| size.parse().ok()).expect("a size")
}

/// What was forgotten so that memory stays bounded.
const FORGOTTEN: i64 = 9;

#[test]
fn descriptors_with_long_paths_are_forgotten_before_they_take_too_much_as_root() {
    if !is_root("descriptors_with_long_paths_are_forgotten_before_they_take_too_much_as_root") {
        return;
    }
    let dir = folder();
    let (case, opened) = (dir.path().join("case"), dir.path().join("opened"));
    let args = ["--sources", "syscalls", "--syscalls", "security"];
    let mut running = recording(&case, &args);
    let before = resident(running.pid());
    // 100,000 of them take 430 MB. Some 5,000 a second: a record of each has its path twice, and one that is lost is not
    // kept.
    let script = format!(
        "ulimit -n 20000; perl -e 'my $to = shift; for (1..14) {{ $to .= q(/) . q(d) x 250; mkdir $to }} \
         my $sh = getppid; sub stay {{ my $of = shift; sleep 1 while getppid == $of; exit }} \
         for my $of (1..10) {{ my $maker = $$; next if fork; \
         for (1..10_000) {{ open my $file, q(>), qq($to/$of.$_) or die; push @all, $file; \
         select undef, undef, undef, .02 if $_ % 10 == 0 }} stay $maker }} \
         stay $sh' {}",
        opened.display()
    );
    fs::create_dir(&opened).expect("a folder");
    let load = Load::shell(&script);
    running.until("descriptors were forgotten");
    thread::sleep(Duration::from_secs(3));
    let after = resident(running.pid());
    drop(load);
    running.signal(libc::SIGINT).expect(0);
    assert!(after < before + 400 * 1024, "{before} and {after} KiB");
    let found = closed(&case);
    let forgotten = found.losses.iter().filter(|l| l.class == FORGOTTEN);
    let descriptors = forgotten.filter(|l| l.source == "descriptors" && l.from_ts < l.to_ts);
    let count: u64 = descriptors.map(|l| l.count).sum();
    assert!(count > 10_000 && found.totals.lost_events() == 0, "{:?}", found.losses);
}

#[test]
fn children_with_a_long_command_line_take_no_memory_for_it_as_root() {
    if !is_root("children_with_a_long_command_line_take_no_memory_for_it_as_root") {
        return;
    }
    let dir = folder();
    let (case, forked) = (dir.path().join("case"), dir.path().join("forked"));
    let running = recording(&case, &["--sources", "syscalls", "--syscalls", "security"]);
    let before = resident(running.pid());
    let line = "x".repeat(60_000);
    let script = format!(
        "perl -e 'for (1..2000) {{ my $pid = fork; if (!$pid) {{ sleep 20; exit }} push @all, $pid }} \
         open my $done, q(>), q({}); sleep 10; kill 9, @all; wait for @all' {line}",
        forked.display()
    );
    let load = Load::shell(&script);
    let begun = Instant::now();
    while !forked.exists() {
        assert!(begun.elapsed() < PATIENCE, "{}", running.said());
        thread::sleep(Duration::from_millis(100));
    }
    // What was told is written by then.
    thread::sleep(Duration::from_secs(2));
    let after = resident(running.pid());
    drop(load);
    running.signal(libc::SIGINT).expect(0);
    // Their command lines alone would be 120 MB.
    assert!(after < before + 48 * 1024, "{before} and {after} KiB");
}
