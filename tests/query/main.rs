//! `ctrace query` and `ctrace export` as a user runs them, over the bundled sample.

mod prompt;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn ctrace() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ctrace"))
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/attack/case")
}

fn run(args: &[&str], input: &str) -> Output {
    let mut child = ctrace()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ctrace starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("input is taken");
    child.wait_with_output().expect("ctrace ends")
}

fn query(data: &Path, sql: &str, format: &str) -> String {
    let out = run(&["query", &data.to_string_lossy(), sql, "--format", format], "");
    assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// Exit code and what is said on stderr.
fn failure(args: &[&str]) -> (Option<i32>, String) {
    let out = run(args, "");
    assert!(out.stdout.is_empty(), "{}", String::from_utf8_lossy(&out.stdout));
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn results_come_in_three_formats() {
    let sql = "SELECT name, image FROM containers WHERE name = 'web-1'";
    let table = " name  | image\n-------+----------------------\n web-1 | ctrace-lab/hosttools\n(1 row)\n";
    assert_eq!(query(&sample(), sql, "table"), table);
    assert_eq!(query(&sample(), sql, "csv"), "name,image\nweb-1,ctrace-lab/hosttools\n");
    let json = "{\"name\":\"web-1\",\"image\":\"ctrace-lab/hosttools\"}\n";
    assert_eq!(query(&sample(), sql, "ndjson"), json);
}

#[test]
fn the_attack_is_found() {
    let secret = "SELECT DISTINCT proc_name, container_name FROM events
                  WHERE evt_type = 'openat' AND fd_name = '/etc/shadow' AND container_id <> 'host'";
    assert_eq!(query(&sample(), secret, "csv"), "proc_name,container_name\ncat,web-1\n");
    let dropped = "SELECT c.cmdline, p.name FROM processes c JOIN processes p ON p.process_key = c.parent_key
                   WHERE c.exe_path LIKE '/tmp/%'";
    assert_eq!(
        query(&sample(), dropped, "csv"),
        "cmdline,name\n.x -N -w 2 drop-zone 4444,sh\n"
    );
}

#[test]
fn every_investigation_runs_over_case_and_export() {
    /// What the sample has no example of.
    const NOTHING: [&str; 14] = [
        "beaconing",
        "bulk-removals",
        "container-escapes",
        "deleted-binaries-running",
        "encoded-commands",
        "failed-logins",
        "kernel-modules",
        "log-clearing",
        "long-command-lines",
        "losses",
        "persistence",
        "port-scans",
        "privilege-gains",
        "reverse-shells",
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export = folder.path().join("export");
    let done = run(
        &["export", &sample().to_string_lossy(), "-o", &export.to_string_lossy()],
        "",
    );
    assert!(done.status.success());
    let listed = run(&["query", "--list"], "");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let names: Vec<&str> = listed.lines().filter_map(|l| l.strip_prefix('@')).collect();
    assert!(names.len() >= 25, "{names:?}");
    for name in names {
        let call = format!("@{name}");
        let rows = query(&sample(), &call, "csv");
        assert_eq!(query(&export, &call, "csv"), rows, "{name}");
        let empty = rows.lines().count() < 2;
        assert!(
            !empty || NOTHING.contains(&name) || name == "process-tree",
            "{name} finds nothing"
        );
        assert!(empty || !NOTHING.contains(&name), "{name} finds something: {rows}");
    }
    let case = sample().to_string_lossy().into_owned();
    let tree = query(
        &sample(),
        "SELECT pid FROM processes WHERE name = 'containerd-shim' OR ppid IS NOT NULL LIMIT 1",
        "csv",
    );
    let pid = format!("pid={}", tree.lines().nth(1).expect("a process"));
    let out = run(
        &["query", &case, "@process-tree", "--param", &pid, "--format", "csv"],
        "",
    );
    assert!(String::from_utf8_lossy(&out.stdout).lines().count() > 1);
    let (code, message) = failure(&["query", &case, "@process-tree", "--param", "pid=x"]);
    assert_eq!(
        (code, message.as_str()),
        (Some(2), "ctrace: @process-tree: `pid` is a number, not `x`\n")
    );
    let (code, message) = failure(&["query", &case, "@rare-executable"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("@rare-executables"), "{message}");
}

#[test]
fn alerts_and_the_schema() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/attack/rules.yaml");
    let expected = fs::read_to_string(rules.with_file_name("expected.jsonl")).expect("the alerts");
    let sql = format!(
        "SELECT count(*), count(DISTINCT e.proc_name) > 1 FROM alerts('{}') a JOIN events e USING (seq)",
        rules.display()
    );
    let answer = query(&sample(), &sql, "csv");
    let line = format!("{},true", expected.lines().count());
    assert_eq!(answer.lines().nth(1), Some(line.as_str()));
    let case = sample().to_string_lossy().into_owned();
    let (code, message) = failure(&["query", &case, "SELECT * FROM alerts('/no/such/rules.yaml')"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("/no/such/rules.yaml"), "{message}");
    let out = run(&["query", &case, "--schema"], "");
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    for part in [
        "proc_cmdline",
        "Name of the recorded host.",
        "cidr_contains(network, address)",
        "alerts(rules",
    ] {
        assert!(text.contains(part), "{part}");
    }
    let out = run(&["query", &case, "--schema", "gaps"], "");
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    assert!(text.contains("from_ts") && !text.contains("proc_name"), "{text}");
}

#[test]
fn statements_come_from_a_file_or_standard_input() {
    let text = "-- two; of them\nSELECT 1 AS a;\nSELECT ';' AS b\n";
    let case = sample();
    let case = case.to_string_lossy();
    let piped = run(&["query", &case, "--format", "csv"], text);
    assert_eq!(String::from_utf8_lossy(&piped.stdout), "a\n1\nb\n;\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("statements.sql");
    fs::write(&file, text).expect("written");
    let from_file = run(&["query", &case, "--format", "csv", "-f", &file.to_string_lossy()], "");
    assert_eq!(from_file.stdout, piped.stdout);
}

#[test]
fn failures_have_their_codes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (case, empty) = (sample(), folder.path().to_string_lossy().into_owned());
    let case = case.to_string_lossy();
    let (code, message) = failure(&["query", &case, "SELECT nme FROM processes"]);
    assert_eq!(
        (code, message.as_str()),
        (
            Some(2),
            "ctrace: no column `nme`; did you mean `name`? (line 1, column 8)\n    SELECT nme FROM processes\n           ^\n"
        )
    );
    for (statement, name) in [
        ("DELETE FROM events", "DELETE"),
        ("INSERT INTO events SELECT * FROM events", "INSERT"),
        ("COPY events TO 'x.csv'", "COPY"),
    ] {
        let told = format!("ctrace: {name}: cases and exports are only read\n");
        assert_eq!(failure(&["query", &case, statement]), (Some(2), told));
    }
    let (code, message) = failure(&["query", &case, "SELECT regexp_like(evt_type, '(') FROM events"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.starts_with("ctrace: regex parse error"), "{message}");
    let dropped = failure(&["query", &case, "DROP TABLE events"]);
    let told = "ctrace: DROP TABLE: cases and exports are only read\n";
    assert_eq!(dropped, (Some(2), told.to_owned()));
    assert_eq!(failure(&["query", &empty, "SELECT 1"]).0, Some(2));
    assert_eq!(failure(&["query", "/no/such/case", "SELECT 1"]).0, Some(4));
    fs::write(folder.path().join("mine"), "").expect("written");
    assert_eq!(failure(&["export", &case, "-o", &empty]).0, Some(2));
}

#[test]
fn damage_is_told_and_what_is_whole_is_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("000001.ctrace");
    let mut bytes = fs::read(sample().join("000001.ctrace")).expect("the sample");
    // Whatever a statement reads, some of it is there.
    let (from, to) = (bytes.len() / 4, bytes.len() / 4 * 3);
    bytes[from..to].fill(0xa5);
    fs::write(&copy, bytes).expect("written");
    let path = folder.path().to_string_lossy().into_owned();
    let out = run(
        &[
            "query",
            &path,
            "SELECT count(*) FROM (SELECT DISTINCT proc_name, fd_name, evt_args FROM events)",
        ],
        "",
    );
    assert_eq!(out.status.code(), Some(3), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stderr).contains("000001.ctrace"));
}

#[test]
fn an_export_answers_like_its_case() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let export = folder.path().join("export");
    let out = run(
        &["export", &sample().to_string_lossy(), "-o", &export.to_string_lossy()],
        "",
    );
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stdout.is_empty());
    for sql in [
        "SELECT * FROM events ORDER BY seq",
        "SELECT * FROM processes ORDER BY process_key",
        "SELECT * FROM containers ORDER BY full_id",
        "SELECT * FROM docker_events ORDER BY seq",
        "SELECT * FROM audit ORDER BY seq",
        "SELECT * FROM gaps ORDER BY seq",
        "SELECT * FROM users ORDER BY uid",
        "SELECT * FROM snapshots ORDER BY segment",
        "SELECT * FROM segments ORDER BY segment",
        "SELECT * FROM files ORDER BY path, process_key, first_ts",
        "SELECT * FROM connections ORDER BY connection, process_key, first_ts, is_server",
        // Names of users come from snapshots, which exports do not have.
        "SELECT seq, ts, serial, type, record, host, date FROM audit_records ORDER BY seq, record",
    ] {
        assert_eq!(query(&export, sql, "ndjson"), query(&sample(), sql, "ndjson"), "{sql}");
    }
}

#[test]
fn several_are_one_and_results_go_into_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (case, export) = (sample().to_string_lossy().into_owned(), path("export"));
    assert!(run(&["export", &case, "-o", &export], "").status.success());
    let one: u64 = query(&sample(), "SELECT count(*) FROM events", "csv")
        .lines()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    let both = run(
        &[
            "query",
            &case,
            &export,
            "SELECT count(*) FROM events",
            "--format",
            "csv",
        ],
        "",
    );
    assert_eq!(
        String::from_utf8_lossy(&both.stdout),
        format!("count(*)\n{}\n", 2 * one)
    );
    let file = path("tables/found/one.parquet");
    fs::create_dir_all(path("tables/found")).expect("a folder");
    let out = run(
        &["query", &case, "@docker-commands", "--format", "parquet", "-o", &file],
        "",
    );
    assert!(out.status.success() && out.stdout.is_empty());
    let rows = query(Path::new(&path("tables")), "SELECT count(*) FROM found", "csv");
    assert_eq!(rows, query(&sample(), "SELECT count(*) FROM docker_events", "csv"));
    assert_eq!(failure(&["query", &case, "SELECT 1", "--format", "arrow"]).0, Some(2));
    assert_eq!(failure(&["query", &case, "SELECT 1; SELECT 2", "-o", &file]).0, Some(2));
    assert_eq!(failure(&["query", &case, "SELECT 1", "--param", "a=b"]).0, Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = ctrace()
        .args([
            "query",
            &sample().to_string_lossy(),
            "SELECT * FROM events",
            "--format",
            "ndjson",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ctrace starts");
    let mut first = [0; 100];
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_exact(&mut first)
        .expect("output");
    let out = child.wait_with_output().expect("ctrace ends");
    assert_eq!(
        (out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()),
        (Some(0), "")
    );
}
