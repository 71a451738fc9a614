//! What is recorded and what is not, as it was asked for.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::case::{closed, open, rows};
use crate::run::{folder, record, recording};
use ctrace_skip::is_root;

#[test]
fn only_the_syscalls_that_were_asked_for_as_root() {
    if !is_root("only_the_syscalls_that_were_asked_for_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let script = "cd /etc; exec 5</etc/hostname; cat <&5; cat passwd >/dev/null";
    let args = [
        "--sources",
        "syscalls",
        "--syscalls",
        "openat,read",
        "--",
        "sh",
        "-c",
        script,
    ];
    record(&case, &args).expect(0);
    closed(&case);
    let rows = rows(&case);
    let kinds: BTreeSet<&str> = rows.iter().map(|r| r.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["capture_start", "capture_stop", "openat", "procexit", "read"].into()
    );
    // Calls that were not asked for are seen all the same where paths and descriptors depend on them.
    assert!(
        rows.iter()
            .any(|r| r.name == "cat" && r.kind == "openat" && r.arg("name") == "/etc/passwd")
    );
    assert!(
        rows.iter()
            .any(|r| r.name == "cat" && r.kind == "read" && r.fd == "/etc/hostname")
    );
    assert_eq!(open(&case).segments()[0].header().about.capture.syscalls, "openat,read");
}

#[test]
fn a_name_that_was_written_to_comm_is_told_as_root() {
    if !is_root("a_name_that_was_written_to_comm_is_told_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let script = "printf innocent > /proc/$$/comm; /bin/true; :";
    record(
        &case,
        &[
            "--sources",
            "syscalls",
            "--syscalls",
            "security",
            "--",
            "sh",
            "-c",
            script,
        ],
    )
    .expect(0);
    closed(&case);
    let rows = rows(&case);
    let names = |kind| -> Vec<&str> {
        rows.iter()
            .filter(|r| r.kind == kind)
            .map(|r| r.name.as_str())
            .collect()
    };
    for kind in ["exit_group", "procexit"] {
        assert!(names(kind).contains(&"innocent"), "{kind}: {:?}", names(kind));
    }
}

#[test]
fn descriptors_are_named_where_opening_is_not_recorded_as_root() {
    if !is_root("descriptors_are_named_where_opening_is_not_recorded_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).expect("own folder");
    for name in ["one", "two", "inner/three"] {
        std::fs::write(dir.path().join(name), "").expect("own folder");
    }
    // The second file gets the number of the first; the third is named by its folder's descriptor.
    let script = "cd \"$1\"; perl -e 'for (qw(one two)) { open $f, q(<), $_; chmod 0600, $f; close $f }'; rm -r inner";
    let mut args = vec!["--sources", "syscalls", "--syscalls", "fchmod,unlinkat"];
    args.extend([
        "--",
        "sh",
        "-ec",
        script,
        "sh",
        dir.path().to_str().expect("plain characters"),
    ]);
    record(&case, &args).expect(0);
    let rows = rows(&case);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let changed = rows.iter().filter(|r| r.name == "perl" && r.kind == "fchmod");
    let fds: Vec<&str> = changed.map(|r| &*r.fd).collect();
    assert_eq!(fds, [path("one"), path("two")]);
    let removed = rows
        .iter()
        .filter(|r| r.name == "rm" && r.kind == "unlinkat" && r.ret == Some(0));
    let names: Vec<&str> = removed.map(|r| r.arg("name")).collect();
    assert_eq!(names, [path("inner/three"), path("inner")]);
    assert!(rows.iter().all(|r| !r.kind.starts_with("open") && r.kind != "close"));
}

#[test]
fn the_first_bytes_of_buffers_as_root() {
    if !is_root("the_first_bytes_of_buffers_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let file = dir.path().join("text");
    std::fs::write(&file, "twelve bytes and some more").expect("own folder");
    let path = file.to_str().expect("plain characters");
    let args = ["--sources", "syscalls", "--snaplen", "12", "--", "cat", path];
    record(&case, &args).expect(0);
    let rows = rows(&case);
    for kind in ["read", "write"] {
        let of_cat = rows.iter().filter(|r| r.name == "cat" && r.kind == kind);
        let data: Vec<_> = of_cat
            .map(|r| &r.data[..])
            .filter(|d| d.starts_with(b"twelve"))
            .collect();
        assert_eq!(data, [b"twelve bytes"], "{kind}");
    }
    assert_eq!(open(&case).segments()[0].header().about.capture.snaplen, 12);
}

#[test]
fn data_of_some_kinds_of_descriptors_only_as_root() {
    if !is_root("data_of_some_kinds_of_descriptors_only_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let file = dir.path().join("text");
    std::fs::write(&file, "from a file\n").expect("own folder");
    let script = format!("cat {} | cat >/dev/null", file.display());
    let args = [
        "--sources",
        "syscalls",
        "--snaplen",
        "64:pipes",
        "--",
        "sh",
        "-c",
        &script,
    ];
    record(&case, &args).expect(0);
    let rows = rows(&case);
    let kept: BTreeSet<(&str, &str)> = rows
        .iter()
        .filter(|r| r.name == "cat" && r.data.starts_with(b"from a file"))
        .map(|r| (r.kind.as_str(), if r.fd.ends_with("text") { "file" } else { &*r.fd }))
        .collect();
    // Read from the file: nothing; written to the pipe and read from it: kept.
    assert!(kept.iter().all(|(_, fd)| *fd != "file"), "{kept:?}");
    let kinds: Vec<&str> = kept.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["read", "write"], "{kept:?}");
}

#[test]
fn what_rules_look_at_is_recorded_unless_asked_otherwise_as_root() {
    if !is_root("what_rules_look_at_is_recorded_unless_asked_otherwise_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let status = Command::new(crate::run::RECORDER)
        .args(["--sources", "syscalls", "-o"])
        .arg(&case)
        .args(["--", "cat", "/etc/hostname"])
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("runs").success());
    let rows = rows(&case);
    let has = |kind: &str| rows.iter().any(|r| r.name == "cat" && r.kind == kind);
    assert!(has("execve") && has("openat") && has("close") && !has("read") && !has("fstat"));
    assert_eq!(open(&case).segments()[0].header().about.capture.syscalls, "security");
}

#[test]
fn a_recording_of_containers_holds_nothing_of_the_host_as_root() {
    if !is_root("a_recording_of_containers_holds_nothing_of_the_host_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let args = [
        "--sources",
        "syscalls",
        "--scope",
        "containers",
        "--",
        "cat",
        "/etc/hostname",
    ];
    record(&case, &args).expect(0);
    let case = open(&case);
    let segment = &case.segments()[0];
    assert_eq!(segment.header().about.capture.scope, "containers");
    let state = segment.snapshot().expect("readable").expect("a snapshot");
    assert!(
        state.processes.iter().all(|p| !p.container.is_empty()),
        "{:?}",
        state.processes
    );
    assert!(state.mounts.is_empty() && state.listening.is_empty());
    let mut outside = 0;
    crate::case::each_block(&case, |block| {
        let images = block.events().filter_map(|e| e.image());
        outside += images.filter(|i| i.container().is_none()).count();
    });
    assert_eq!(outside, 0);
}

#[test]
fn a_recording_of_one_process_holds_it_and_its_descendants_as_root() {
    if !is_root("a_recording_of_one_process_holds_it_and_its_descendants_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let mut shell = Command::new("sh")
        .args([
            "-c",
            "read go; cat /etc/hostname >/dev/null; sh -c 'ls / >/dev/null; true'",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("runs");
    let scope = format!("pid={}", shell.id());
    let args = ["--sources", "syscalls", "--syscalls", "all", "--scope", &scope];
    let running = recording(&case, &args);
    drop(shell.stdin.take());
    assert!(shell.wait().expect("its own child").success());
    // Another family, which is not recorded.
    assert!(
        Command::new("cat")
            .arg("/etc/passwd")
            .stdout(Stdio::null())
            .status()
            .expect("runs")
            .success()
    );
    running.signal(libc::SIGTERM).expect(0);
    closed(&case);
    let rows = rows(&case);
    let family: BTreeSet<u32> = rows.iter().map(|r| r.pid).filter(|pid| *pid != 0).collect();
    assert!(family.contains(&shell.id()) && family.len() == 4, "{family:?}");
    let names: BTreeSet<&str> = rows.iter().map(|r| r.name.as_str()).filter(|n| !n.is_empty()).collect();
    assert_eq!(names, ["cat", "ls", "sh"].into());
    let opened = |path: &str| rows.iter().any(|r| r.kind == "openat" && r.arg("name") == path);
    assert!(opened("/etc/hostname") && !opened("/etc/passwd"));
    for kind in ["execve", "exit_group", "procexit"] {
        let count = rows.iter().filter(|r| r.kind == kind && r.ret != Some(-2)).count();
        assert_eq!(count, if kind == "execve" { 3 } else { 4 }, "{kind}");
    }
    assert_eq!(open(&case).segments()[0].header().about.capture.scope, scope);
}

#[test]
fn the_environment_that_was_asked_for_as_root() {
    if !is_root("the_environment_that_was_asked_for_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let script = "A_MARK=1 B_SECRET=2 LD_PRELOAD= LD_LIBRARY_PATH=/nowhere cat /etc/hostname";
    let args = [
        "--sources",
        "syscalls",
        "--env",
        "A_MARK,C_MARK",
        "--",
        "sh",
        "-c",
        script,
    ];
    record(&case, &args).expect(0);
    let mut found = std::collections::BTreeSet::new();
    crate::case::each_block(&open(&case), |block| {
        let images = block.events().filter_map(|e| e.image());
        let cats = images.filter(|i| i.str(i.entry.name) == b"cat");
        let texts = cats.map(|i| String::from_utf8_lossy(i.str(i.entry.env)).into_owned());
        found.extend(texts.filter(|env| env.contains("A_MARK")));
    });
    let env = found.pop_first().expect("the program's environment");
    let mut variables: Vec<&str> = env.split('\0').collect();
    variables.sort_unstable();
    assert_eq!(variables, ["A_MARK=1", "LD_LIBRARY_PATH=/nowhere", "LD_PRELOAD="]);
}
