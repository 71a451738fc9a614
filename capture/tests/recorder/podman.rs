//! Containers of a Podman of the test's own, through the service that speaks Docker's API.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use ctrace_trace::case::Case;
use ctrace_trace::container::Container;

use crate::case::{Row, closed, each_block, open, rows, until_written};
use crate::docker::{happened_while_away, told};
use crate::run::{folder, output, project, recording};
use ctrace_skip::{is_root, skip};

const IMAGE: &str = "ctrace-lab/busybox";

/// A private Podman; stopped when dropped.
struct Podman {
    dir: PathBuf,
    host: String,
}

impl Podman {
    fn up(test: &str, dir: PathBuf) -> Option<Podman> {
        Podman::of_user(test, dir, "")
    }

    /// One that a user runs without privileges.
    fn of_user(test: &str, dir: PathBuf, user: &str) -> Option<Podman> {
        if !is_root(test) {
            return None;
        }
        let mut up = Command::new(script());
        let out = up
            .arg("up")
            .arg(&dir)
            .env("CTRACE_LAB_USER", user)
            .output()
            .expect("bash");
        let host = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        let podman = Podman { dir, host };
        let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        if !out.status.success() {
            skip(test, &said);
            return None;
        }
        let ran = Command::new(podman.dir.join("podman"))
            .args(["run", "--rm", IMAGE, "true"])
            .output()
            .expect("podman");
        if !ran.status.success() {
            skip(
                test,
                &format!(
                    "podman runs no containers here: {}",
                    String::from_utf8_lossy(&ran.stderr)
                ),
            );
            return None;
        }
        Some(podman)
    }

    fn run(&self, args: &[&str]) -> String {
        output(self.dir.join("podman").to_str().expect("UTF-8"), args)
    }

    /// Ends the service; containers go on.
    fn stop(&self) {
        let pid = fs::read_to_string(self.dir.join("pid")).expect("it runs");
        output("kill", &[pid.trim()]);
        let _ = fs::remove_file(self.dir.join("podman.sock"));
    }

    /// Starts the service again.
    fn start(&self) {
        let mut service = Command::new(self.dir.join("podman"))
            .args(["system", "service", "--time", "0", &self.host])
            .spawn()
            .expect("podman");
        fs::write(self.dir.join("pid"), service.id().to_string()).expect("room");
        // It ends with the test.
        thread::spawn(move || service.wait());
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("down").arg(&self.dir).status();
    }
}

fn script() -> PathBuf {
    project().join("tests/lab/podman")
}

fn find<'a>(case: &'a Case, id: &str) -> &'a Container {
    let mut known = case.late_facts(1).containers();
    known
        .find(|c| c.id == id)
        .unwrap_or_else(|| panic!("no container {id}"))
}

fn of<'a>(rows: &'a [Row], id: &'a str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |r| r.container.as_deref() == Some(id))
}

#[test]
fn containers_of_podman_are_named_and_their_logs_recorded_as_root() {
    let dir = folder();
    let test = "containers_of_podman_are_named_and_their_logs_recorded_as_root";
    let Some(podman) = Podman::up(test, dir.path().join("podman")) else {
        return;
    };
    let before = podman.run(&["run", "-d", "--name", "before", IMAGE, "sleep", "1000"]);
    let case = dir.path().join("case");
    let args = [
        "--sources",
        "syscalls,docker,container-logs",
        "--docker-host",
        &podman.host,
    ];
    let running = recording(&case, &args);
    let long = podman.run(&[
        "run",
        "-d",
        "--name",
        "long",
        "--label",
        "tier=web",
        "--read-only",
        IMAGE,
        "sh",
        "-c",
        "cat /bin/sh >/dev/null; echo said; echo wrong >&2; sleep 2",
    ]);
    // So short that nobody can ask for it while it lives.
    let short = podman.run(&["run", "-d", "--name", "short", IMAGE, "true"]);
    podman.run(&["wait", "long"]);
    podman.run(&["rm", "-f", "-t", "0", "before"]);
    until_written(&case, "the ends of all three, and what was said", |rows| {
        let told = |id: &str, action: &str| of(rows, id).any(|r| r.kind == "docker" && r.arg("action") == action);
        let lines = of(rows, &long).filter(|r| r.kind == "container_log").count();
        told(&long, "die") && told(&short, "die") && told(&before, "remove") && lines >= 2
    });
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    let (rows, opened) = (rows(&case), open(&case));
    for (id, name) in [(&before, "before"), (&long, "long"), (&short, "short")] {
        let found = find(&opened, id);
        assert_eq!(
            (found.engine.as_str(), found.name.as_str()),
            ("podman", name),
            "{found:?}"
        );
        assert_eq!(found.image, format!("localhost/{IMAGE}:latest"));
    }
    // What runs at the beginning is in the first state of the host, with its name.
    let state = opened.segments()[0].snapshot().expect("readable").expect("a snapshot");
    assert!(state.containers.iter().any(|c| c.id == before && c.name == "before"));
    assert!(
        state
            .processes
            .iter()
            .any(|p| p.container == before && p.name == b"sleep")
    );
    let container = find(&opened, &long);
    assert_eq!(container.labels, [("tier".to_owned(), "web".to_owned())]);
    assert_eq!((container.privileged, container.read_only), (Some(false), Some(true)));
    assert!(container.started_ts > container.created_ts && container.created_ts > 0);
    assert_eq!(
        container.image_id.trim_start_matches("sha256:"),
        podman.run(&["inspect", "-f", "{{.Image}}", "long"])
    );
    // Calls from within: the entrypoint's own exec is the container's already.
    assert!(of(&rows, &long).any(|r| r.kind == "execve" && r.name == "sh"));
    assert!(of(&rows, &short).any(|r| r.kind == "execve" && r.name == "true"));
    for (id, wanted) in [(&long, &["create", "start", "die"][..]), (&before, &["die", "remove"])] {
        let told = |action: &str| of(&rows, id).any(|r| r.kind == "docker" && r.arg("action") == action);
        assert!(wanted.iter().all(|action| told(action)), "{wanted:?}");
    }
    let logged = of(&rows, &long).filter(|r| r.kind == "container_log");
    let lines: Vec<(&str, &str)> = logged.map(|r| (r.arg("stream"), r.arg("message"))).collect();
    assert_eq!(lines, [("stdout", "said"), ("stderr", "wrong")]);
}

#[test]
fn a_container_that_is_named_is_in_the_first_state_of_the_host_as_root() {
    let dir = folder();
    let test = "a_container_that_is_named_is_in_the_first_state_of_the_host_as_root";
    let Some(podman) = Podman::up(test, dir.path().join("podman")) else {
        return;
    };
    let wanted = podman.run(&["run", "-d", "--name", "wanted", IMAGE, "sleep", "1000"]);
    let other = podman.run(&["run", "-d", "--name", "other", IMAGE, "sleep", "1000"]);
    let case = dir.path().join("case");
    let args = [
        "--sources",
        "syscalls,docker",
        "--scope",
        "container=wanted",
        "--docker-host",
        &podman.host,
    ];
    recording(&case, &args).signal(libc::SIGINT).expect(0);
    let opened = open(&case);
    let state = opened.segments()[0].snapshot().expect("readable").expect("a snapshot");
    let of: Vec<&str> = state.processes.iter().map(|p| p.container.as_str()).collect();
    assert!(of.contains(&wanted.as_str()) && !of.contains(&other.as_str()), "{of:?}");
    assert_eq!(
        state.containers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["wanted"]
    );
}

#[test]
fn each_engine_is_a_source_of_its_own_as_root() {
    let dir = folder();
    let test = "each_engine_is_a_source_of_its_own_as_root";
    let Some(first) = Podman::up(test, dir.path().join("first")) else {
        return;
    };
    let Some(second) = Podman::up(test, dir.path().join("second")) else {
        return;
    };
    let case = dir.path().join("case");
    let hosts = ["--docker-host", &first.host, "--docker-host", &second.host];
    let absent = ["--docker-host", "unix:///nowhere/podman.sock"];
    let mut running = recording(&case, &[&["--sources", "docker"], &hosts[..], &absent].concat());
    running.until("not recorded: docker: Docker engine at /nowhere/podman.sock");
    let ids: Vec<String> = [(&first, "one"), (&second, "two")]
        .map(|(podman, name)| podman.run(&["run", "-d", "--name", name, IMAGE, "sleep", "1"]))
        .to_vec();
    until_written(&case, "an event of each", |rows| {
        ids.iter()
            .all(|id| of(rows, id).any(|r| r.kind == "docker" && r.arg("action") == "die"))
    });
    running.signal(libc::SIGINT).expect(0);
    let opened = open(&case);
    for (id, name) in ids.iter().zip(["one", "two"]) {
        assert_eq!(find(&opened, id).name, name);
    }
}

#[test]
fn containers_of_a_user_without_cgroups_are_named_as_root() {
    let dir = folder();
    let test = "containers_of_a_user_without_cgroups_are_named_as_root";
    let Some(podman) = without_cgroups(test, dir.path()) else {
        return;
    };
    let before = podman.run(&["run", "-d", "--name", "before", IMAGE, "sleep", "1000"]);
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls,docker", "--docker-host", &podman.host]);
    let script = "while [ ! -e /tmp/go ]; do sleep 0.1; done; cat /bin/sh >/dev/null";
    let long = podman.run(&["run", "-d", "--name", "long", IMAGE, "sh", "-c", script]);
    until_written(&case, "that it runs", |rows| {
        of(rows, &long).any(|r| r.kind == "docker" && r.arg("action") == "start")
    });
    // The engine was asked meanwhile.
    thread::sleep(Duration::from_secs(2));
    podman.run(&["exec", "long", "touch", "/tmp/go"]);
    podman.run(&["wait", "long"]);
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    let (rows, opened) = (rows(&case), open(&case));
    for (id, name) in [(&before, "before"), (&long, "long")] {
        assert_eq!(find(&opened, id).name, name);
    }
    assert!(of(&rows, &long).any(|r| r.name == "cat" && r.kind == "openat"));
    assert!(of(&rows, &long).any(|r| r.name == "cat" && r.kind == "procexit"));
    // The engine's own processes are the host's.
    let engines = rows
        .iter()
        .filter(|r| r.container.is_some() && (r.name == "podman" || r.name == "conmon"));
    assert_eq!(engines.count(), 0);
}

/// Waits until a file is there, and reads another then.
const WAITS: &str = "while [ ! -e /tmp/go ]; do sleep 0.1; done; cat /bin/sh >/dev/null; sleep 1000";

/// A Podman of a user who may make no cgroups, and nothing else.
fn without_cgroups(test: &str, dir: &Path) -> Option<Podman> {
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir, all).expect("its own");
    let podman = Podman::of_user(test, dir.join("podman"), "nobody")?;
    let id = podman.run(&["run", "-d", "--name", "probe", IMAGE, "sleep", "1000"]);
    let pid = podman.run(&["inspect", "-f", "{{.State.Pid}}", "probe"]);
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    podman.run(&["rm", "-f", "-t", "0", "probe"]);
    if cgroups.contains(&id) {
        skip(test, "users may make cgroups here");
        return None;
    }
    Some(podman)
}

/// Engine, name and image of a container, as its events have them.
fn in_events(case: &Case, id: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each_block(case, |block| {
        let containers = block.events().filter_map(|e| e.image()?.container());
        let of_it = containers.filter(|c| c.id == id);
        found.extend(of_it.map(|c| format!("{} {} {}", c.engine, c.name, c.image)));
    });
    found
}

/// What the first state of the host says of the programs of a container.
fn programs_at_first(case: &Case, id: &str) -> Vec<String> {
    let state = case.segments()[0].snapshot().expect("readable").expect("a snapshot");
    assert!(state.containers.iter().any(|c| c.id == id), "{id}");
    let of_it = state.processes.iter().filter(|p| p.container == id);
    of_it.map(|p| String::from_utf8_lossy(&p.name).into_owned()).collect()
}

#[test]
fn containers_of_a_user_are_named_where_no_engine_answers_as_root() {
    let dir = folder();
    let test = "containers_of_a_user_are_named_where_no_engine_answers_as_root";
    let Some(podman) = without_cgroups(test, dir.path()) else {
        return;
    };
    podman.stop();
    let before = podman.run(&["run", "-d", "--name", "before", IMAGE, "sh", "-c", WAITS]);
    let removed = podman.run(&["run", "-d", "--rm", "--name", "removed", IMAGE, "sleep", "1000"]);
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls"]);
    podman.run(&["exec", "before", "touch", "/tmp/go"]);
    let short = podman.run(&["run", "-d", "--name", "short", IMAGE, "true"]);
    podman.run(&["wait", "short"]);
    podman.run(&["exec", "removed", "ls", "/"]);
    until_written(&case, "what each of them ran", |rows| {
        let ended = |id: &str, program: &str| of(rows, id).any(|r| r.kind == "procexit" && r.name == program);
        ended(&before, "cat") && ended(&short, "true") && ended(&removed, "ls")
    });
    podman.run(&["rm", "-f", "-t", "0", "before", "removed"]);
    running.signal(libc::SIGINT).expect(0);
    let (rows, opened) = (rows(&case), open(&case));
    for (id, name) in [(&before, "before"), (&removed, "removed"), (&short, "short")] {
        let wanted = format!("podman {name} localhost/{IMAGE}:latest");
        assert_eq!(in_events(&opened, id), BTreeSet::from([wanted]));
    }
    assert!(programs_at_first(&opened, &before).contains(&"sh".to_owned()));
    assert_eq!(programs_at_first(&opened, &removed), ["sleep"]);
    // All that they did is the container's, from the first event on.
    let inside: BTreeSet<u32> = [&before, &removed, &short]
        .iter()
        .flat_map(|id| of(&rows, id).map(|r| r.pid))
        .collect();
    let outside =
        |r: &&Row| r.container.is_none() && inside.contains(&r.pid) && ["cat", "true", "ls"].contains(&r.name.as_str());
    assert_eq!(rows.iter().find(outside).map(|r| &r.kind), None);
    // Podman's own processes are the host's.
    let engines = |r: &&Row| r.container.is_some() && (r.name == "podman" || r.name == "conmon");
    assert_eq!(rows.iter().find(engines).map(|r| &r.name), None);
}

#[test]
fn a_container_in_the_hosts_pid_namespace_is_named_from_the_first_event_as_root() {
    let dir = folder();
    let test = "a_container_in_the_hosts_pid_namespace_is_named_from_the_first_event_as_root";
    let Some(podman) = without_cgroups(test, dir.path()) else {
        return;
    };
    let shared = podman.run(&[
        "run", "-d", "--name", "shared", "--pid", "host", IMAGE, "sh", "-c", WAITS,
    ]);
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls,docker", "--docker-host", &podman.host]);
    podman.run(&["exec", "shared", "touch", "/tmp/go"]);
    until_written(&case, "what it ran", |rows| {
        of(rows, &shared).any(|r| r.kind == "procexit" && r.name == "cat")
    });
    running.signal(libc::SIGINT).expect(0);
    let opened = open(&case);
    assert_eq!(find(&opened, &shared).name, "shared");
    assert!(programs_at_first(&opened, &shared).contains(&"sh".to_owned()));
}

#[test]
fn what_happened_while_the_service_was_away_is_caught_up_as_root() {
    let dir = folder();
    let test = "what_happened_while_the_service_was_away_is_caught_up_as_root";
    let Some(podman) = Podman::up(test, dir.path().join("podman")) else {
        return;
    };
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls,docker", "--docker-host", &podman.host]);
    podman.stop();
    until_written(&case, "that the service is gone", |rows| {
        rows.iter().any(|r| r.kind == "source_lost")
    });
    // Podman needs no service to run containers.
    let short = podman.run(&["run", "-d", "--name", "short", IMAGE, "true"]);
    podman.run(&["wait", "short"]);
    let long = podman.run(&["run", "-d", "--name", "long", IMAGE, "sleep", "1000"]);
    podman.start();
    // The source asks again after at most five seconds.
    until_written(&case, "what happened meanwhile", |rows| {
        told(rows, &short, "die").len() + told(rows, &long, "start").len() == 2
    });
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    let (rows, opened) = (rows(&case), open(&case));
    happened_while_away(&rows, &short, &long);
    for (id, name, program) in [(&short, "short", "true"), (&long, "long", "sleep")] {
        assert_eq!(find(&opened, id).name, name);
        assert!(of(&rows, id).any(|r| r.kind == "execve" && r.name == program), "{name}");
    }
}

#[test]
fn containers_with_cgroups_of_version_1_only_are_named_as_root() {
    let dir = folder();
    let test = "containers_with_cgroups_of_version_1_only_are_named_as_root";
    const UNIFIED: &str = "/sys/fs/cgroup/unified";
    if !Path::new("/sys/fs/cgroup/pids").exists() || !Path::new(UNIFIED).exists() {
        return skip(test, "this host has no cgroups of version 1 beside version 2");
    }
    let Some(podman) = Podman::up(test, dir.path().join("podman")) else {
        return;
    };
    // What runs the container sees no hierarchy of version 2.
    let without = |args: &[&str]| {
        let script = format!("umount {UNIFIED} && exec \"$@\"");
        let command = podman.dir.join("podman");
        let fixed = [
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            "sh",
            command.to_str().expect("UTF-8"),
        ];
        output("unshare", &[&fixed[..], args].concat())
    };
    let case = dir.path().join("case");
    let running = recording(&case, &["--sources", "syscalls,docker", "--docker-host", &podman.host]);
    let long = without(&[
        "run",
        "-d",
        "--name",
        "long",
        IMAGE,
        "sh",
        "-c",
        "cat /bin/sh >/dev/null; sleep 1",
    ]);
    let short = without(&["run", "-d", "--name", "short", IMAGE, "true"]);
    until_written(&case, "the end of both", |rows| {
        [&long, &short]
            .iter()
            .all(|id| of(rows, id).any(|r| r.kind == "docker" && r.arg("action") == "die"))
    });
    running.signal(libc::SIGINT).expect(0);
    let rows = rows(&case);
    let opened = open(&case);
    for (id, name, program) in [(&long, "long", "sh"), (&short, "short", "true")] {
        assert_eq!(
            (find(&opened, id).name.as_str(), find(&opened, id).engine.as_str()),
            (name, "podman")
        );
        assert!(of(&rows, id).any(|r| r.kind == "execve" && r.name == program), "{name}");
    }
    // What it forked and what that opened is in the container too.
    assert!(of(&rows, &long).any(|r| r.name == "cat" && r.kind == "openat"));
    assert!(of(&rows, &long).any(|r| r.name == "sleep" && r.kind == "procexit"));
}
