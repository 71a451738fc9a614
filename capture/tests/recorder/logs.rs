//! What containers write: a recording has the lines that `docker logs --timestamps` shows, whoever keeps them.

use std::path::Path;
use std::process::Command;

use crate::case::{Row, closed, rows, until_written};
use crate::docker::{Engine, IMAGE, engine};
use crate::run::{Running, folder, recording, until};

fn record(engine: &Engine, case: &Path, more: &[&str]) -> Running {
    let args = ["--docker-host", &engine.host, "--sources"];
    recording(case, &[&args[..], more].concat())
}

/// The rows of a container's log.
fn lines<'a>(rows: &'a [Row], id: &str) -> Vec<&'a Row> {
    let of_it = |r: &&Row| r.kind == "container_log" && r.container.as_deref() == Some(id);
    rows.iter().filter(of_it).collect()
}

/// A recorded stream as `docker logs --timestamps` shows it.
fn shown(rows: &[&Row], stream: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows.iter().filter(|r| r.arg("stream") == stream) {
        let (seconds, ns) = (row.ts / 1_000_000_000, row.ts % 1_000_000_000);
        let date = Command::new("date")
            .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%S"])
            .output()
            .expect("date");
        let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
        out.extend_from_slice(format!("{date}.{ns:09}Z {}", row.arg("message")).as_bytes());
        if row.arg("partial") != "1" {
            out.push(b'\n');
        }
    }
    out
}

/// Standard output and error of `docker logs --timestamps`.
fn truth(engine: &Engine, name: &str, more: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let args = [&["-H", &engine.host, "logs", "--timestamps"][..], more, &[name]].concat();
    let out = Command::new("docker").args(args).output().expect("docker");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    (out.stdout, out.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_same(rows: &[Row], engine: &Engine, name: &str, more: &[&str]) -> usize {
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", name]);
    let ours = lines(rows, &id);
    let (out, err) = truth(engine, name, more);
    for (stream, truth) in [("stdout", text(&out)), ("stderr", text(&err))] {
        let shown = text(&shown(&ours, stream));
        let first = shown.lines().zip(truth.lines()).find(|(a, b)| a != b);
        let counts = (shown.lines().count(), truth.lines().count());
        assert!(
            shown == truth,
            "{name}, {stream}: {counts:?} lines, the first that differs: {first:?}"
        );
    }
    ours.len()
}

/// Waits until the engine shows so many lines.
fn until_said(engine: &Engine, name: &str, lines: usize) {
    until(&format!("{name} says {lines} lines"), || {
        text(&truth(engine, name, &[]).0).lines().count() >= lines
    });
}

fn wait_for_end(engine: &Engine, name: &str) {
    engine.docker(&["wait", name]);
}

#[test]
fn logs_are_those_that_the_engine_shows_as_root() {
    let dir = folder();
    let Some(engine) = engine("logs_are_those_that_the_engine_shows_as_root", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let run = |args: &[&str], script: &str| {
        let before = ["run", "-d", "--pull", "never"];
        engine.docker(&[&before[..], args, &[IMAGE, "sh", "-c", script]].concat())
    };
    // It says the rest when it is told to.
    run(
        &["--name", "older"],
        "trap 'echo after; exit' USR1; echo before; while :; do sleep 0.1; done",
    );
    until_said(&engine, "older", 1);
    let case = dir.path().join("case");
    let running = record(
        &engine,
        &case,
        &["syscalls,docker,container-logs", "--scope", "containers"],
    );
    let both = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; echo; printf 'no end'";
    run(&["--name", "both"], both);
    run(&["--name", "kept-local", "--log-driver", "local"], both);
    // Lines of more than one piece, and one of just a piece.
    let long = "x=0123456789abcdef; while [ ${#x} -lt 16384 ]; do x=$x$x; done; \
                echo $x; echo $x$x; echo short; echo $x$x$x-end; echo last";
    run(&["--name", "long"], long);
    run(&["--name", "long-local", "--log-driver", "local"], long);
    run(&["--name", "terminal", "-t"], long);
    let silent = run(&["--name", "unread", "--log-driver", "none"], "echo lost; sleep 1");
    let brief = engine.docker(&["run", "-d", "--rm", "--pull", "never", IMAGE, "sh", "-c", "echo brief"]);
    engine.docker(&["kill", "-s", "USR1", "older"]);
    let names = [
        "older",
        "both",
        "kept-local",
        "long",
        "long-local",
        "terminal",
        "unread",
    ];
    names.iter().for_each(|name| wait_for_end(&engine, name));
    running.signal(libc::SIGTERM).expect(0);
    closed(&case);
    let rows = rows(&case);
    assert_eq!(
        assert_same(&rows, &engine, "older", &["--tail", "1"]),
        1,
        "what came before is not of the recording"
    );
    for name in ["both", "kept-local"] {
        assert_eq!(assert_same(&rows, &engine, name, &[]), 602, "{name}");
    }
    for name in ["long", "long-local", "terminal"] {
        assert!(assert_same(&rows, &engine, name, &[]) >= 9, "{name}");
    }
    let told = |kind: &str| {
        rows.iter()
            .filter(|r| r.kind == kind && r.arg("source") == "container-logs")
            .collect::<Vec<_>>()
    };
    let lost = told("source_lost");
    assert!(lost.iter().any(|r| r.arg("reason").contains(&silent[..12])), "{lost:?}");
    // Its log may be gone when it is asked for; then that is said.
    let is_told = lost.iter().any(|r| r.arg("reason").contains(&brief[..12]));
    assert!(is_told || lines(&rows, &brief).len() == 1, "{lost:?}");
    assert_eq!(told("gap").len(), lost.len());
    // In order of time with the syscalls that wrote them, but for those that are counted as late.
    let mut newest = 0;
    let behind = rows.iter().filter(|r| {
        newest = newest.max(r.ts);
        r.kind == "container_log" && r.ts < newest
    });
    let counted = told("late")
        .iter()
        .map(|r| r.arg("count").parse::<usize>().expect("a number"))
        .sum::<usize>();
    assert_eq!(behind.count(), counted);
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", "both"]);
    let last = lines(&rows, &id).iter().map(|r| r.ts).max().expect("lines");
    let is_write = |r: &&Row| r.kind == "write" && r.container.as_ref() == Some(&id) && r.ts <= last;
    assert!(
        rows.iter().filter(is_write).count() >= 600,
        "each line was written before"
    );
}

#[test]
fn logs_go_on_where_they_were_when_the_daemon_is_back_as_root() {
    let dir = folder();
    let Some(engine) = engine("logs_go_on_where_they_were_when_the_daemon_is_back_as_root", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let case = dir.path().join("case");
    let running = record(&engine, &case, &["container-logs"]);
    let script = "trap 'echo bye; exit' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let run = [
        "run", "-d", "--pull", "never", "--name", "talker", IMAGE, "sh", "-c", script,
    ];
    engine.docker(&run);
    until_said(&engine, "talker", 30);
    engine.restart();
    let before = truth(&engine, "talker", &[]).0.split(|b| *b == b'\n').count();
    engine.docker(&["start", "talker"]);
    until_said(&engine, "talker", before + 30);
    engine.docker(&["stop", "-t", "30", "talker"]);
    // The source asks again after at most five seconds.
    let id = engine.docker(&["inspect", "-f", "{{.Id}}", "talker"]);
    let all = text(&truth(&engine, "talker", &[]).0).lines().count();
    until_written(&case, "all lines", |rows| lines(rows, &id).len() >= all);
    running.signal(libc::SIGTERM).expect(0);
    closed(&case);
    let rows = rows(&case);
    assert!(assert_same(&rows, &engine, "talker", &[]) > 50);
    let told = |kind: &str| {
        rows.iter()
            .filter(|r| r.kind == kind && r.arg("source") == "container-logs")
            .count()
    };
    assert_eq!((told("source_lost"), told("source_found")), (1, 1));
}
