//! From the running host to answers: record with the real kernel, Docker and audit, then ask with every subcommand.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use ctrace_trace::escape;

use crate::run::{Ran, command, ctrace, file, folder, project, run};
use ctrace_skip::{is_root, variable};

/// A program that is called like this must not reach a terminal as it is.
const EVIL: &[u8] = b"\x1b[31mevil\n\xe2\x80\xaex";

fn about(case: &Path, subcommand: &str, args: &[&str]) -> Ran {
    let first = [OsStr::new(subcommand), case.as_os_str()];
    ctrace(first.into_iter().chain(args.iter().map(OsStr::new)))
}

/// Copies a program, by a process of its own: a child that another test is just starting would hold this process's
/// descriptor of the copy, and a file that is open for writing is not executed.
fn program(from: &str, to: &Path) {
    let copied = Command::new("cp").arg("--").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

/// Records while a shell script runs, which must succeed. Both are preferred to what else the machine does: they would wait
/// for their turn.
fn record(case: &Path, options: &[&str], script: &str, args: &[&OsStr]) -> Ran {
    let mut command = Command::new("nice");
    command
        .args(["-n", "-15", crate::run::CTRACE, "record", "-o"])
        .arg(case)
        .args(options)
        .args(["--", "sh", "-ec", script, "sh"])
        .args(args);
    run(command).code(0)
}

#[test]
fn live_a_command_is_recorded_and_every_subcommand_answers_needs_root() {
    if !is_root("live_a_command_is_recorded_and_every_subcommand_answers_needs_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let evil = folder.path().join(OsStr::from_bytes(EVIL));
    program("/bin/true", &evil);
    // Its own files, since other processes of the host are recorded too.
    let secret = file(folder.path(), "secret", "x");
    let secret = secret.to_str().expect("UTF-8");
    let script = "cat $2 >/dev/null; echo said; \"$1\"; cat $2.none 2>/dev/null || :";
    let ran = record(
        &case,
        &["--sources", "syscalls"],
        script,
        &[evil.as_os_str(), OsStr::new(secret)],
    );
    assert_eq!(ran.out, "said\n", "stdout is the command's");
    assert!(
        ran.err.contains("ctrace: recording syscalls") && ran.err.contains(" 0 lost"),
        "{}",
        ran.err
    );

    let info = about(&case, "info", &["--types", "999"]).code(0).silent();
    assert!(
        info.contains("execve") && info.contains("closed") && info.contains("losses     none"),
        "{info}"
    );

    let read = |filter: &str| about(&case, "read", &["-p", "%proc.name %proc.pname %fs.path.name", filter]).code(0);
    let opened = read(&format!("proc.name=cat and evt.type=openat and fd.name={secret}"));
    assert_eq!(opened.silent(), format!("cat sh {secret}\n"));
    let failed = read(&format!(
        "evt.type=openat and fs.path.name={secret}.none and evt.failed=true"
    ));
    assert_eq!(failed.silent(), format!("cat sh {secret}.none\n"));

    let all = about(&case, "read", &[]).code(0).silent();
    let bad = |c: char| c != '\n' && (c.is_control() || escape::misleads(c));
    assert_eq!(all.chars().find(|c| bad(*c)), None);
    assert!(all.contains(&escape::bytes(EVIL)));
    let json = about(&case, "read", &["--json", "evt.type=execve and evt.failed=false"])
        .code(0)
        .objects();
    let name = String::from_utf8_lossy(EVIL);
    assert!(
        json.iter()
            .any(|o| o["proc.exepath"].as_str().is_some_and(|p| p.ends_with(&*name))),
        "{json:?}"
    );

    let rule = format!(
        "- rule: secret read\n  desc: d\n  condition: evt.type = openat and fd.name = {secret}\n  \
         output: '%proc.name by %proc.pname'\n  priority: NOTICE\n"
    );
    let rules = file(folder.path(), "rules.yaml", rule);
    let alerts = about(&case, "replay", &["-q", "--rules", rules.to_str().expect("UTF-8")])
        .code(1)
        .silent();
    assert!(
        alerts.lines().count() == 1 && alerts.ends_with(": Notice cat by sh\n"),
        "{alerts}"
    );

    let sql = format!("SELECT DISTINCT proc_name, proc_pname FROM events WHERE fd_name = '{secret}'");
    let rows = about(&case, "query", &["--format=csv", &sql]).code(0).silent();
    assert_eq!(rows, "proc_name,proc_pname\ncat,sh\n");
}

#[test]
fn live_digests_of_programs_answer_sql_and_rules_needs_root() {
    if !is_root("live_digests_of_programs_answer_sql_and_rules_needs_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let program = folder.path().join("program");
    self::program("/bin/sleep", &program);
    let said = Command::new("sha256sum")
        .arg(&program)
        .output()
        .expect("sha256sum")
        .stdout;
    let sha256 = String::from_utf8_lossy(&said[..64]).into_owned();
    // Its times tell it apart only when it is a second old. It runs twice and is told of once.
    let run = "sleep 1.5; exec 3<$1; $1 4; rm $1; /proc/self/fd/3 4";
    // Of this command alone: whatever else the host, or another test, runs from files that are gone would be copied too.
    let shell = folder.path().join("digests");
    std::os::unix::fs::symlink("/bin/sh", &shell).expect("a link");
    record(
        &case,
        &["--sources", "syscalls", "--collect", "--scope", "comm=digests"],
        "exec \"$1\" -ec \"$2\" digests \"$3\"",
        &[shell.as_os_str(), OsStr::new(run), program.as_os_str()],
    );

    let path = program.to_str().expect("UTF-8");
    let sql = format!("SELECT exe_sha256 FROM processes WHERE exe_path = '{path}' AND exec_ts IS NOT NULL");
    let rows = about(&case, "query", &["--format=csv", &sql]).code(0).silent();
    assert_eq!(rows, format!("exe_sha256\n{sha256}\n{sha256}\n"));
    let sql = format!("SELECT DISTINCT sha256, proc_name FROM artifacts WHERE path = '{path}' AND copy IS NOT NULL");
    let rows = about(&case, "query", &["--format=csv", &sql]).code(0).silent();
    assert_eq!(rows, format!("sha256,proc_name\n{sha256},3\n"));
    let given = format!("sha256={sha256}");
    let known = about(&case, "query", &["@known-files", "--param", &given, "--format=csv"]);
    assert!(
        known
            .code(0)
            .silent()
            .lines()
            .skip(1)
            .all(|row| row.starts_with(&sha256))
    );

    let rule = format!(
        "- rule: known file\n  desc: d\n  condition: evt.type = artifact and artifact.sha256 in ({sha256}) and proc.name = program\n  \
         output: '%artifact.path by %proc.pname'\n  priority: NOTICE\n"
    );
    let rules = file(folder.path(), "rules.yaml", rule);
    let replay = ["-q", "--rules", rules.to_str().expect("UTF-8")];
    let alerts = about(&case, "replay", &replay).code(1).silent();
    assert!(
        alerts.lines().count() == 1 && alerts.ends_with(&format!(": Notice {path} by digests\n")),
        "{alerts}"
    );

    let info = about(&case, "info", &["--json"]).code(0).object();
    assert_eq!(info["artifacts"]["copies"], 1);
    let told = about(&case, "info", &[]).code(0).silent();
    assert!(told.contains(" with SHA-256, 1 copies with "), "{told}");
    // A certificate covers the events, and what is wrong with the copies is told beside it.
    let certificate = folder.path().join("certificate");
    let certificate = certificate.to_str().expect("UTF-8");
    let made = about(
        &case,
        "replay",
        &[&replay[..], &["--certificate", certificate]].concat(),
    );
    made.code(1).silent();
    let check = ["--certificate", certificate, "--rules", replay[2]];
    about(&case, "verify", &check).code(0).silent();
    let copy = case.join("artifacts/sha256").join(&sha256[..2]).join(&sha256);
    fs::write(&copy, "something else").expect("ours");
    let told = about(&case, "verify", &check).code(3);
    assert!(
        told.err.contains(&sha256) && told.err.contains("no longer what was collected"),
        "{told:?}"
    );
}

/// A daemon executed its file before anybody recorded.
#[test]
fn live_programs_that_ran_before_have_digests_needs_root() {
    if !is_root("live_programs_that_ran_before_have_digests_needs_root") {
        return;
    }
    let folder = folder();
    let program = folder.path().join("program");
    self::program("/bin/sleep", &program);
    let said = Command::new("sha256sum").arg(&program).output().expect("sha256sum");
    let sha256 = String::from_utf8_lossy(&said.stdout[..64]).into_owned();
    let mut daemon = Command::new(&program).arg("600").spawn().expect("runs");
    let scope = format!("pid={}", daemon.id());
    let sql = format!(
        "SELECT exe_sha256 FROM processes WHERE exe_path = '{}'",
        program.to_str().expect("UTF-8")
    );
    // It is read without haste: on a busy host that may take longer than a short recording.
    let answered = (1..=6).find_map(|round: u32| {
        let case = folder.path().join(format!("case-{round}"));
        let seconds = (round * 3).to_string();
        record(
            &case,
            &["--sources", "syscalls", "--scope", &scope],
            "sleep $1",
            &[OsStr::new(&seconds)],
        );
        let rows = about(&case, "query", &["--format=csv", &sql]).code(0).silent();
        (rows == format!("exe_sha256\n{sha256}\n")).then_some(())
    });
    daemon.kill().expect("a child");
    daemon.wait().expect("a child");
    assert!(answered.is_some(), "no digest of {scope}");
}

#[test]
fn live_a_duration_ends_a_recording_needs_root() {
    if !is_root("live_a_duration_ends_a_recording_needs_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let mut command = command(["record", "--sources=syscalls", "--duration=1s", "-o"]);
    command.arg(&case);
    run(command).code(0);
    let info = about(&case, "info", &["--json"]).code(0).object();
    assert_eq!(info["segments"][0]["closed"], true);
    assert!(info["events"].as_u64().is_some_and(|n| n > 0));
    // What is there is not recorded over.
    let again = ["record", "--sources=syscalls", "--duration=1s", "-o"].map(OsString::from);
    let told = ctrace(again.into_iter().chain([case.into_os_string()]))
        .code(2)
        .nothing();
    assert!(told.contains("not empty"), "{told}");
}

/// A script that joins the audited login uid and runs a container.
const CONTAINER: &str = "echo $1 >/proc/self/loginuid\n\
    docker -H $2 run --rm --pull never --name $3 ctrace-lab/busybox sh -c 'cat /etc/shadow >/dev/null || :; exit 0'";

#[test]
fn live_three_sources_are_one_order_of_time_needs_root_docker_audit() {
    const TEST: &str = "live_three_sources_are_one_order_of_time_needs_root_docker_audit";
    if !is_root(TEST) {
        return;
    }
    let Some(docker) = variable(TEST, "CTRACE_TEST_DOCKER") else {
        return;
    };
    let Some(auid) = variable(TEST, "CTRACE_TEST_AUID") else {
        return;
    };
    let folder = folder();
    let case = folder.path().join("case");
    let name = format!("ctrace-cli-{}", std::process::id());
    let args = [auid.as_str(), &docker, &name].map(OsStr::new);
    let ran = record(&case, &["--docker-host", &docker], CONTAINER, &args);
    assert!(ran.err.contains("recording syscalls, docker, audit"), "{}", ran.err);

    let format = "%evt.rawtime %evt.num %evt.type %proc.name %evt.source";
    let events = about(&case, "read", &["-p", format]).code(0).silent();
    let lines: Vec<&str> = events.lines().collect();
    let time = |line: &str| {
        line.split(' ')
            .next()
            .and_then(|t| t.parse::<u64>().ok())
            .expect("a time")
    };
    // An audited call that takes long (loading a BPF program) is told when it ends, with the time at which it began. The
    // case counts what stands behind newer events for that, and nothing else does.
    let (mut last, mut behind) = (0, 0);
    for line in &lines {
        if time(line) < last {
            assert!(line.ends_with("audit"), "{line} after {last}");
            behind += 1;
        }
        last = time(line).max(last);
    }
    let info = about(&case, "info", &["--json"]).code(0).object();
    let late = info["late"].as_array().expect("a list").iter();
    assert_eq!(
        late.map(|l| l["count"].as_u64().expect("a number")).sum::<u64>(),
        behind
    );
    assert!(lines.len() > 1000, "{} events", lines.len());
    for source in ["syscall", "docker", "audit"] {
        assert!(events.lines().any(|l| l.ends_with(source)), "{source}");
    }

    // The engine told the name after the container's first system calls: they bear it all the same.
    let mine = format!("container.name={name} and evt.source=syscall");
    let first = about(&case, "read", &["-n", "1", "--json", &mine])
        .code(0)
        .objects()
        .remove(0);
    assert_eq!(first["container.image.repository"], "ctrace-lab/busybox");
    let id = first["container.id"].as_str().expect("an id");
    let nameless = format!("container.id={id} and not container.name={name}");
    assert_eq!(about(&case, "read", &[&nameless]).code(0).silent(), "");
    let theft = format!("{mine} and proc.name=cat and evt.type in (open, openat) and fs.path.name=/etc/shadow");
    assert_eq!(about(&case, "read", &[&theft]).code(0).silent().lines().count(), 1);
    let started = format!("evt.source=docker and docker.action=start and docker.name={name}");
    assert_eq!(about(&case, "read", &[&started]).code(0).silent().lines().count(), 1);
    let audited = format!("evt.source=audit and audit.auid={auid} and audit.key=ctrace-lab");
    assert!(about(&case, "read", &[&audited]).code(0).silent().lines().count() > 1);

    let containers = about(&case, "query", &["--format=csv", "SELECT name FROM containers"])
        .code(0)
        .silent();
    assert!(containers.lines().any(|l| l == name), "{containers}");
    let rules = project("samples/attack/rules.yaml");
    let alerts = about(&case, "replay", &["-q", "--json", "-r", rules.to_str().expect("UTF-8")])
        .code(1)
        .objects();
    let secret = alerts
        .iter()
        .find(|a| a["rule"] == "Secret read in a container")
        .expect("an alert");
    assert_eq!(secret["output_fields"]["container.name"], name);
}

#[test]
fn live_without_any_source_nothing_is_recorded_needs_root() {
    if !is_root("live_without_any_source_nothing_is_recorded_needs_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    let mut command = Command::new(crate::run::CTRACE);
    command
        .args([
            "record",
            "--sources=docker",
            "--docker-host=unix:///no/such.sock",
            "--duration=5s",
            "-o",
        ])
        .arg(&case);
    let told = run(command).code(4).nothing();
    assert!(told.contains("docker") && told.contains("/no/such.sock"), "{told}");
}

#[test]
fn live_alerts_say_how_much_a_bound_left_out_near_them_needs_root() {
    if !is_root("live_alerts_say_how_much_a_bound_left_out_near_them_needs_root") {
        return;
    }
    let folder = folder();
    let case = folder.path().join("case");
    // Calls that cost the recorder more than it may use, until some of them were left out; then a program.
    let mark = format!("marked-{}", std::process::id());
    let perl = "$end = time + 8; while (time < $end) { getppid for 1..50_000 } system q(/bin/true), @ARGV";
    let script = "perl -e \"$1\" \"$2\"";
    let options = [
        "--sources=syscalls",
        "--syscalls=all",
        "--scope=comm=perl",
        "--max-cpu=2",
    ];
    let ran = record(&case, &options, script, &[OsStr::new(perl), OsStr::new(&mark)]);
    assert!(ran.err.contains("--max-cpu: left out are"), "{}", ran.err);
    let text = format!(
        "- {{rule: r, desc: d, condition: evt.type = execve and proc.name = true and proc.args = {mark}, \
         output: '%proc.name', priority: INFO}}\n"
    );
    let rules = file(folder.path(), "r.yaml", text);
    let ran = about(&case, "replay", &["--rules", rules.to_str().expect("UTF-8")]).code(1);
    let line = ran.out.trim_end();
    let (alert, incomplete) = line.split_once(" [incomplete: ").unwrap_or((line, ""));
    assert!(alert.ends_with("true") && line.lines().count() == 1, "{}", ran.out);
    let lost: u64 = incomplete.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(
        lost > 10_000 && incomplete.ends_with("events of syscalls lost near it]"),
        "{line}"
    );
    assert!(ran.err.contains("1 alerts have losses near them"), "{}", ran.err);
    let info = about(&case, "info", &[]).code(0).silent();
    assert!(
        info.contains(" syscalls (shed_bulk: --max-cpu) between ") && !info.contains("uncounted"),
        "{info}"
    );
}
