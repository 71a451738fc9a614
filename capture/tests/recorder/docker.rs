//! Containers of a dockerd of the test's own, which may be stopped. `CTRACE_TEST_DOCKER` says that the machine can run
//! one; the daemon behind it belongs to all tests and is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use crate::artifacts::{artifacts, of, sha256sum};
use crate::case::{Row, closed, each_block, open, rows, until_written};
use crate::run::{Running, folder, output, project, recording, until};
use ctrace_skip::variable;

pub(crate) const IMAGE: &str = "ctrace-lab/busybox";

/// A private dockerd; stopped when dropped.
pub(crate) struct Engine {
    dir: PathBuf,
    pub(crate) host: String,
}

impl Engine {
    fn up(dir: PathBuf) -> Engine {
        let script = project().join("tests/lab/dockerd");
        let out = Command::new(script).arg("up").arg(&dir).output().expect("bash");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let host = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        Engine { dir, host }
    }

    /// Busybox alone is enough, and quick to make.
    pub(crate) fn with_image(self) -> Engine {
        let script = "set -e; d=$(mktemp -d); mkdir $d/bin; cp $(command -v busybox) $d/bin/busybox; \
                      for a in sh cat sleep true; do ln -s busybox $d/bin/$a; done; \
                      tar -C $d -c . | docker -H $1 import - $2; rm -r $d";
        output("sh", &["-c", script, "sh", &self.host, IMAGE]);
        self
    }

    pub(crate) fn docker(&self, args: &[&str]) -> String {
        output("docker", &[&["-H", &self.host], args].concat())
    }

    /// Ends the daemon, by its pid.
    fn stop(&self) {
        let pid = fs::read_to_string(self.dir.join("dockerd.pid")).expect("it runs");
        output("kill", &[pid.trim()]);
        until("dockerd stops", || !self.dir.join("dockerd.pid").exists());
    }
}

impl Engine {
    /// Ends the daemon and starts it as it was, with all that it keeps: `up` begins anew.
    pub(crate) fn restart(&self) {
        let words = self.command();
        self.stop();
        self.start(&words);
    }

    /// The command line of the daemon.
    fn command(&self) -> Vec<u8> {
        let pid = fs::read_to_string(self.dir.join("dockerd.pid")).expect("it runs");
        fs::read(format!("/proc/{}/cmdline", pid.trim())).expect("it runs")
    }

    /// Starts the daemon by its command line and waits until it answers.
    fn start(&self, command: &[u8]) {
        let words: Vec<_> = command.split(|b| *b == 0).filter(|w| !w.is_empty()).collect();
        let log = fs::File::options().append(true).open(self.dir.join("dockerd.log"));
        let mut daemon = Command::new(OsStr::from_bytes(words[0]))
            .args(words[1..].iter().map(|w| OsStr::from_bytes(w)))
            .stderr(log.expect("its log"))
            .spawn()
            .expect("dockerd");
        // It ends when it is told to, perhaps after the test.
        thread::spawn(move || daemon.wait());
        until("dockerd answers", || {
            let answer = Command::new("docker").args(["-H", &self.host, "version"]).output();
            answer.expect("docker").status.success()
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let script = project().join("tests/lab/dockerd");
        let _ = Command::new(script).arg("down").arg(&self.dir).status();
    }
}

pub(crate) fn engine(test: &str, dir: &tempfile::TempDir) -> Option<Engine> {
    variable(test, "CTRACE_TEST_DOCKER")?;
    Some(Engine::up(dir.path().join("lab")))
}

fn record_scope(engine: &Engine, dir: &tempfile::TempDir, scope: &str) -> (PathBuf, Running) {
    let case = dir.path().join(scope.replace('=', "-"));
    let args = [
        "--sources",
        "syscalls,docker",
        "--docker-host",
        &engine.host,
        "--scope",
        scope,
    ];
    let running = recording(&case, &args);
    (case, running)
}

/// Records what happens in an engine's containers, and collects files.
pub(crate) fn collecting(engine: &Engine, case: &Path) -> Running {
    let args = [
        "--sources",
        "syscalls,docker",
        "--docker-host",
        &engine.host,
        "--collect",
    ];
    recording(case, &args)
}

#[test]
fn a_scope_of_containers_keeps_theirs_and_nothing_else_as_root() {
    let dir = folder();
    let Some(engine) = engine("a_scope_of_containers_keeps_theirs_and_nothing_else_as_root", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let (all, all_running) = record_scope(&engine, &dir, "containers");
    let (one, one_running) = record_scope(&engine, &dir, "container=web-1");
    let (host, host_running) = record_scope(&engine, &dir, "host");
    for name in ["web-1", "db-1"] {
        engine.docker(&[
            "run", "--rm", "--pull", "never", "--name", name, IMAGE, "cat", "/bin/sh",
        ]);
    }
    for (case, containers) in [(&all, 2), (&one, 1), (&host, 2)] {
        until_written(case, "the end of each container", |rows| {
            let gone = |r: &&Row| r.kind == "docker" && r.arg("action") == "destroy";
            rows.iter().filter(gone).count() >= containers
        });
    }
    for running in [all_running, host_running] {
        running.signal(libc::SIGTERM).expect(0);
    }
    let one_ended = one_running.signal(libc::SIGTERM);
    one_ended.expect(0).saying("container=web-1: no such container runs");
    let of_host = rows(&host);
    for (case, names) in [(&all, &["db-1", "web-1"][..]), (&one, &["web-1"])] {
        closed(case);
        let opened = open(case);
        let late = opened.late_facts(1);
        let mut seen = BTreeMap::new();
        let mut hosts = BTreeSet::new();
        each_block(&opened, |block| {
            let mut block = block.clone();
            late.resolve(&mut block);
            for event in block.events().filter(|e| e.kind().is_some_and(|k| k.is_syscall())) {
                let image = event.image().expect("a process");
                let container = image.container().expect("a container");
                // Another daemon of this machine may have containers too, which nobody names.
                if !container.name.is_empty() {
                    seen.insert(container.name.clone(), container.id.clone());
                }
            }
            for index in 0..u32::try_from(block.dict.images.len()).expect("few") {
                let image = block.dict.image(index).expect("in range");
                if image.container().is_none() {
                    assert_eq!(image.str(image.entry.argv), b"", "arguments of a process of the host");
                    assert!(image.parent().is_none());
                    hosts.insert(String::from_utf8_lossy(image.str(image.entry.name)).into_owned());
                }
            }
        });
        assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), names, "{case:?}");
        assert!(
            hosts
                .iter()
                .all(|name| name.starts_with("runc") || name.starts_with("containerd")),
            "{hosts:?}"
        );
        let rows = rows(case);
        for id in seen.values() {
            let of_cat = rows
                .iter()
                .filter(|r| r.name == "cat" && r.container.as_ref() == Some(id));
            assert_eq!(of_cat.filter(|r| r.kind == "execve").count(), 1);
            // From its first call to its last one: the same as a recording of everyone has.
            let calls = |rows: &[Row]| {
                let of_cat = rows
                    .iter()
                    .filter(|r| r.name == "cat" && r.container.as_ref() == Some(id));
                // Digests are told when they are known.
                let of_cat = of_cat.filter(|r| r.kind != "artifact");
                of_cat.map(|r| (r.kind.clone(), r.ret)).collect::<Vec<_>>()
            };
            assert!(calls(&rows).len() > 10);
            assert_eq!(calls(&rows), calls(&of_host));
        }
        assert!(
            rows.iter().any(|r| r.kind == "docker"),
            "the engine's events are there whatever the scope"
        );
    }
}

/// What says that an engine was away, and for how long: where it was lost and found again, and the gap between.
fn away(rows: &[Row]) -> (u64, u64) {
    let of_docker = |kind: &str| {
        let found = rows.iter().filter(|r| r.kind == kind && r.arg("source") == "docker");
        let found: Vec<&Row> = found.filter(|r| !r.arg("detail").starts_with("container ")).collect();
        let [one] = found[..] else { panic!("{kind}: {found:?}") };
        one
    };
    let (lost, found, gap) = (of_docker("source_lost"), of_docker("source_found"), of_docker("gap"));
    let time = |name: &str| gap.arg(name).parse::<u64>().expect("a time");
    assert!(lost.ts < found.ts);
    assert_eq!((time("from"), time("to")), (lost.ts, found.ts));
    (lost.ts, found.ts)
}

/// When the engine told that something was done to a container.
pub(crate) fn told(rows: &[Row], id: &str, action: &str) -> Vec<u64> {
    let of_it = |r: &&Row| r.kind == "docker" && r.container.as_deref() == Some(id) && r.arg("action") == action;
    rows.iter().filter(of_it).map(|r| r.ts).collect()
}

/// Checks that what an engine did while it was away is told once, at its own time: a container that ran and one that still
/// runs.
pub(crate) fn happened_while_away(rows: &[Row], ran: &str, runs: &str) {
    let (lost, found) = away(rows);
    for (id, actions) in [(ran, &["create", "start", "die"][..]), (runs, &["create", "start"])] {
        for action in actions {
            let at = told(rows, id, action);
            assert!(
                matches!(at[..], [at] if lost < at && at < found),
                "{action}: {lost} {at:?} {found}"
            );
        }
    }
}

#[test]
fn a_daemon_that_goes_and_comes_is_recorded_as_root() {
    let dir = folder();
    let Some(engine) = engine("a_daemon_that_goes_and_comes_is_recorded_as_root", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let run = |name: &str, command: &[&str]| {
        let fixed = ["run", "-d", "--pull", "never", "--name", name, IMAGE];
        engine.docker(&[&fixed[..], command].concat())
    };
    let before = run("before", &["sleep", "1000"]);
    let (case, running) = record_scope(&engine, &dir, "host");
    let (pid, daemon) = (running.pid().to_string(), engine.command());
    engine.stop();
    until_written(&case, "that the engine is gone", |rows| {
        rows.iter().any(|r| r.kind == "source_lost")
    });
    // What the source did not see happen.
    output("kill", &["-STOP", &pid]);
    engine.start(&daemon);
    let short = run("short", &["true"]);
    let long = run("long", &["sleep", "1000"]);
    engine.docker(&["wait", "short"]);
    output("kill", &["-CONT", &pid]);
    let silent = format!("container {before} ended while the engine was away");
    let ended = |rows: &[Row]| {
        let is_told = rows.iter().any(|r| r.arg("detail") == silent);
        (told(rows, &before, "die").len(), usize::from(is_told))
    };
    // The source asks again after at most five seconds.
    until_written(&case, "what happened meanwhile", |rows| {
        ended(rows) != (0, 0) && told(rows, &short, "die").len() + told(rows, &long, "start").len() == 2
    });
    let ended_so = running.signal(libc::SIGTERM);
    ended_so
        .expect(0)
        .saying("docker is gone: ")
        .saying("docker is there again: ");
    closed(&case);
    let rows = rows(&case);
    happened_while_away(&rows, &short, &long);
    assert!(matches!(ended(&rows), (1, 0) | (0, 1)), "{:?}", ended(&rows));
    let opened = open(&case);
    let late = opened.late_facts(1);
    for (id, name) in [(&before, "before"), (&short, "short"), (&long, "long")] {
        let named = late.containers().find(|c| c.id == *id).map(|c| c.name.as_str());
        assert_eq!(named, Some(name));
    }
    // Syscalls went on meanwhile, and are the containers'.
    let of_short = |r: &&Row| r.container.as_ref() == Some(&short) && r.kind == "execve" && r.name == "true";
    assert_eq!(rows.iter().filter(of_short).count(), 1);
}

/// What a container was not made with: put there later, and executed.
#[test]
fn files_of_a_containers_upper_layer_are_collected_as_root() {
    let dir = folder();
    let Some(engine) = engine("files_of_a_containers_upper_layer_are_collected_as_root", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let case = dir.path().join("case");
    let running = collecting(&engine, &case);
    // It is read as long as its process is there: busybox is what its name says.
    let script = "mkdir /evil; cat /bin/busybox /etc/passwd >/evil/sleep; chmod +x /evil/sleep; \
                  sleep 2; /evil/sleep 10; cat /evil/sleep";
    let out = Command::new("docker")
        .args([
            "-H",
            &engine.host,
            "run",
            "--rm",
            "--pull",
            "never",
            IMAGE,
            "sh",
            "-c",
            script,
        ])
        .output()
        .expect("docker");
    until_written(&case, "the digest of /evil/sleep", |rows| {
        rows.iter()
            .any(|r| r.kind == "artifact" && r.arg("path") == "/evil/sleep")
    });
    running.signal(libc::SIGTERM).expect(0);
    let evil = dir.path().join("evil");
    fs::write(&evil, &out.stdout).expect("room");
    assert!(out.stdout.len() > 100_000, "{}", String::from_utf8_lossy(&out.stderr));
    let found = artifacts(&case);
    let row = of(&found, "/evil/sleep");
    assert_eq!((row.arg("sha256"), row.arg("reason")), (sha256sum(&evil).as_str(), ""));
    assert!(row.container.is_some(), "{row:?}");
    assert_eq!(sha256sum(&case.join(row.arg("copy"))), row.arg("sha256"));
    // The image's own file is known, and stays where it is.
    let own = found
        .iter()
        .find(|row| row.arg("path") == "/bin/busybox" && row.container.is_some());
    let own = own.unwrap_or_else(|| panic!("{found:?}"));
    let busybox = output("sh", &["-c", "command -v busybox"]);
    assert_eq!(own.arg("sha256"), sha256sum(std::path::Path::new(&busybox)), "{own:?}");
    assert_eq!((own.arg("copy"), own.arg("copy_reason")), ("", ""));
    closed(&case);
}
