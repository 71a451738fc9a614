//! Who knows sysdig, aureport, docker logs: the same answers, and the commands that the documentation promises.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ctrace_skip::{is_root, shared, skip, variable};
use serde_json::Value;

use crate::cases::sample;
use crate::run::{ctrace, folder, project};

fn import(file: &Path, case: &Path) {
    ctrace([
        OsStr::new("import"),
        file.as_os_str(),
        OsStr::new("-o"),
        case.as_os_str(),
    ]);
    assert!(case.exists(), "{}", file.display());
}

fn lines(case: &Path, args: &[&str]) -> Vec<String> {
    let command = [OsStr::new("read"), case.as_os_str()];
    let ran = ctrace(command.into_iter().chain(args.iter().map(OsStr::new))).code(0);
    ran.out.lines().map(str::to_owned).collect()
}

/// What a program of the old kind prints; nothing where it is not there.
fn other(program: &str, args: &[&OsStr]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let out = Command::new(program)
        .args(args)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Fields that both know, alone or with a width.
const FIELDS: [&str; 16] = [
    "%evt.outputtime",
    "%evt.time.s",
    "%evt.datetime",
    "%evt.cpu",
    "%10proc.name",
    "%proc.exe",
    "%proc.pid",
    "%proc.vpid",
    "%user.name",
    "%user.uid",
    "%fd.cip",
    "%evt.arg.name",
    "%evt.is_io_read",
    "%evt.res",
    "%evt.rawres",
    "%thread.tid",
];

#[test]
fn formats_print_what_sysdig_prints() {
    let name = "formats_print_what_sysdig_prints";
    let mut compared = 0;
    for capture in [
        "falco_cat_write",
        "falco_connect_localhost",
        "libs_curl_google",
        "libs_sample",
    ] {
        let Some(path) = shared(name, &format!("data/scap/{capture}.scap")) else {
            return;
        };
        let format = format!("*{}|%evt.type", FIELDS.join("|"));
        let args = [
            "-r".as_ref(),
            path.as_os_str(),
            "-p".as_ref(),
            format.as_ref(),
            "evt.dir=<".as_ref(),
        ];
        let Some(theirs) = other("sysdig", &args) else {
            return skip(name, "sysdig is not installed");
        };
        let folder = folder();
        let case = folder.path().join("case");
        import(&path, &case);
        // What has no end of a call, and a call of which sysdig's table has no name.
        let others = "not evt.type in (imported, import_raw, exit, exit_group, switch, procexit, fadvise64)";
        let ours = lines(&case, &["-p", &format, others]);
        let theirs: Vec<&str> = theirs.lines().filter(|l| !l.ends_with("|<unknown>")).collect();
        assert_eq!(ours, theirs, "{capture}");
        compared += ours.len();
    }
    assert!(compared > 600, "{compared}");
}

/// A log of audit events, without those whose records come apart: aureport counts them twice.
fn audit_log(name: &str, folder: &Path) -> Option<PathBuf> {
    let log = fs::read_to_string(shared(name, "data/audit/audit-scoped.log")?).expect("a log");
    let apart = [":3035)", ":3867)"];
    let kept = log.lines().filter(|l| !apart.iter().any(|a| l.contains(a)));
    let text: String = kept.flat_map(|l| [l, "\n"]).collect();
    let path = folder.join("audit.log");
    fs::write(&path, text).expect("written");
    Some(path)
}

/// Numbers of the events that a query of ausearch finds.
fn ausearch(log: &Path, query: &str) -> Option<BTreeSet<u64>> {
    let begin = ["-if".as_ref(), log.as_os_str(), "--raw".as_ref()];
    let args: Vec<&OsStr> = begin.into_iter().chain(query.split(' ').map(OsStr::new)).collect();
    let text = other("ausearch", &args)?;
    let serial = |line: &str| {
        line.split_once("msg=audit(")?
            .1
            .split_once(')')?
            .0
            .split_once(':')?
            .1
            .parse()
            .ok()
    };
    Some(text.lines().filter_map(serial).collect())
}

#[test]
fn options_find_what_ausearch_finds() {
    let name = "options_find_what_ausearch_finds";
    let folder = folder();
    let Some(log) = audit_log(name, folder.path()) else {
        return;
    };
    let case = folder.path().join("case");
    import(&log, &case);
    let mut found = 0;
    for (query, args) in [
        ("-m USER_CMD", &["--audit-type", "USER_CMD"][..]),
        (
            "-m USER_CMD,USER_AUTH,ANOM_ABEND",
            &["--audit-type=USER_CMD,USER_AUTH", "--audit-type=ANOM_ABEND"],
        ),
        ("-m ALL", &["--audit-type=ALL"]),
        ("-a 3177", &["--audit-event=3177"]),
        ("-k docker-daemon", &["--key=docker-daemon"]),
        ("-p 18345", &["--pid=18345"]),
        ("-ul 1000", &["--loginuid=1000"]),
        ("-ul -1", &["--loginuid=-1"]),
        ("-ul 4294967295", &["--loginuid=4294967295"]),
        ("-ul -1", &["--loginuid=unset"]),
        ("-ue 65534", &["--user=65534"]),
        ("-ui 65534", &["user.ruid=65534"]),
        (
            "-ua 65534",
            &["user.uid=65534 or user.ruid=65534 or user.loginuid=65534"],
        ),
        ("-f /srv/lab-renamed", &["--file=/srv/lab-renamed"]),
        // Neither where it is an argument nor where it is a word of a message.
        ("-f shadow", &["--file=shadow"]),
        ("-f /srv/lab/host", &["--file=/srv/lab/host"]),
        ("-f .so", &["--file=.so"]),
        ("-sv no", &["--success=no"]),
        ("-sv yes", &["--success=yes"]),
        ("-sc connect", &["audit.syscall=connect"]),
        ("-x /usr/bin/sudo", &["audit.exe contains /usr/bin/sudo"]),
        ("-tm ssh", &["audit.field[terminal] contains ssh"]),
        ("-e -13", &["audit.field[exit]=-13"]),
        ("-hn 203.0.113.9", &["audit.field[addr]=203.0.113.9"]),
        (
            "-sv no -k net -ul 1000",
            &["--success=no", "--key=net", "--loginuid=1000"],
        ),
        (
            "-ts 11/20/26 23:21:20 -te 11/20/26 23:21:21",
            &["--since=11/20/26 23:21:20", "--until=11/20/26 23:21:21.999"],
        ),
    ] {
        let Some(theirs) = ausearch(&log, query) else {
            return skip(name, "ausearch is not installed");
        };
        let shown = lines(&case, &[&["-p", "%audit.serial"], args].concat());
        let ours: BTreeSet<u64> = shown.iter().filter_map(|l| l.parse().ok()).collect();
        assert!(!ours.is_empty(), "{query}");
        assert_eq!(ours, theirs, "{query}");
        found += ours.len();
    }
    assert!(found > 3000, "{found}");
}

/// `--user` and the real user know of a process what its earlier records said: nothing that `ausearch` finds is missing,
/// and what is more does not say otherwise itself.
#[test]
fn users_are_those_of_ausearch_and_what_is_known_of_them() {
    let name = "users_are_those_of_ausearch_and_what_is_known_of_them";
    let folder = folder();
    let Some(log) = audit_log(name, folder.path()) else {
        return;
    };
    let case = folder.path().join("case");
    import(&log, &case);
    let events = |filter: &str, format: &str| lines(&case, &["-p", format, filter]);
    let serials = |filter: &str| -> BTreeSet<u64> {
        let shown = events(filter, "%audit.serial");
        shown.iter().filter_map(|l| l.parse().ok()).collect()
    };
    for (query, filter, without) in [
        ("-ue 0", "user.uid=0", " euid="),
        ("-ui 0", "user.ruid=0", " uid="),
        ("-ua 0", "user.uid=0 or user.ruid=0 or user.loginuid=0", " euid="),
        (
            "-ua 1000",
            "user.uid=1000 or user.ruid=1000 or user.loginuid=1000",
            " euid=",
        ),
    ] {
        let Some(theirs) = ausearch(&log, query) else {
            return skip(name, "ausearch is not installed");
        };
        let ours = serials(filter);
        let missing: Vec<&u64> = theirs.difference(&ours).collect();
        assert!(
            missing.is_empty() && theirs.len() > 100,
            "{query}: {missing:?} of {}",
            theirs.len()
        );
        // What ausearch does not find has no such field, or one before it that it takes for it (`auid=1000 uid=0`).
        let says_so = serials(&format!("({filter}) and audit.raw contains '{without}'"));
        let more: Vec<&u64> = says_so.difference(&theirs).collect();
        let misread = serials("audit.type in (SECCOMP, ANOM_ABEND)");
        assert!(more.iter().all(|n| misread.contains(n)), "{query}: {more:?}");
    }
}

/// The rows of a summary of aureport: how often, and what.
fn aureport(log: &Path, args: &[&str]) -> Option<BTreeMap<String, u64>> {
    let begin = ["-if".as_ref(), log.as_os_str()];
    let args: Vec<&OsStr> = begin.into_iter().chain(args.iter().map(OsStr::new)).collect();
    let text = other("aureport", &args)?;
    let row = |line: &str| {
        let (count, what) = line.split_once("  ")?;
        Some((what.to_owned(), count.parse().ok()?))
    };
    Some(text.lines().filter_map(row).collect())
}

fn summary(case: &Path, table: &str) -> Vec<Value> {
    let table_arg = format!("--audit={table}");
    let args = ["--json", "--limit=0", &table_arg];
    let command = [OsStr::new("summary"), case.as_os_str()];
    let object = ctrace(command.into_iter().chain(args.iter().map(OsStr::new)))
        .code(0)
        .object();
    object[format!("audit_{table}")].as_array().expect("rows").clone()
}

/// The same of a table: numbers are added up where rows tell more than aureport's.
fn counted(rows: &[Value], count: &str, what: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let name = match &row[what] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        *counts.entry(name).or_default() += row[count].as_u64().expect("a number");
    }
    counts
}

#[test]
fn summaries_count_what_aureport_counts() {
    let name = "summaries_count_what_aureport_counts";
    let folder = folder();
    let Some(log) = audit_log(name, folder.path()) else {
        return;
    };
    let case = folder.path().join("case");
    import(&log, &case);
    for (table, count, what, report) in [
        ("logins", "records", "account", &["--login"][..]),
        ("authentications", "records", "account", &["--auth"]),
        ("users", "events", "auid", &["--user"]),
        ("hosts", "events", "address", &["--host"]),
        ("terminals", "events", "terminal", &["--terminal"]),
        ("executables", "events", "executable", &["--executable"]),
        ("commands", "events", "command", &["--comm"]),
        ("processes", "events", "pid", &["--pid"]),
        ("syscalls", "events", "syscall", &["--syscall", "-i"]),
        ("files", "records", "path", &["--file"]),
        ("keys", "events", "key", &["--key"]),
        ("anomalies", "records", "type", &["--anomaly", "-i"]),
        ("responses", "records", "type", &["--response", "-i"]),
        ("config", "records", "type", &["--config", "-i"]),
        ("accounts", "records", "type", &["--mods", "-i"]),
        ("mac", "records", "type", &["--mac", "-i"]),
        ("integrity", "records", "type", &["--integrity", "-i"]),
        ("crypto", "records", "type", &["--crypto", "-i"]),
        ("virt", "records", "type", &["--virt", "-i"]),
    ] {
        let Some(mut theirs) = aureport(&log, &[report, &["--summary"]].concat()) else {
            return skip(name, "aureport is not installed");
        };
        let mut ours = counted(&summary(&case, table), count, what);
        if table == "syscalls" {
            // Two calls that seccomp stopped: their records have the number, and auditd wrote beside it that it is unknown.
            assert_eq!(theirs.remove("unknown-syscall(-1)"), Some(2));
            theirs.insert("getppid".to_owned(), 2);
        }
        if table == "files" {
            // Names that are escaped, and those that aureport puts behind the working directory.
            let plain = |path: &String| {
                path.starts_with('/')
                    && !path.contains("/./")
                    && path.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
            };
            theirs.retain(|path, _| plain(path));
            ours.retain(|path, _| plain(path));
            assert!(ours.len() > 100);
        }
        assert_eq!(ours, theirs, "{table}");
    }
}

#[test]
fn totals_are_those_of_aureport() {
    let name = "totals_are_those_of_aureport";
    let folder = folder();
    let Some(log) = audit_log(name, folder.path()) else {
        return;
    };
    let Some(text) = other("aureport", &["-if".as_ref(), log.as_os_str()]) else {
        return skip(name, "aureport is not installed");
    };
    let case = folder.path().join("case");
    import(&log, &case);
    let ours = counted(&summary(&case, "totals"), "number", "what");
    for (what, line) in [
        ("changes of configuration", "changes in configuration"),
        ("changes of accounts", "changes to accounts, groups, or roles"),
        ("logins", "logins"),
        ("failed logins", "failed logins"),
        ("authentications", "authentications"),
        ("failed authentications", "failed authentications"),
        ("users", "users"),
        ("terminals", "terminals"),
        ("executables", "executables"),
        ("commands", "commands"),
        ("decisions of security modules", "AVC's"),
        ("mandatory access control", "MAC events"),
        ("failed system calls", "failed syscalls"),
        ("responses to anomalies", "responses to anomaly events"),
        ("cryptography", "crypto events"),
        ("integrity", "integrity events"),
        ("virtual machines", "virt events"),
        ("keys", "keys"),
        ("processes", "process IDs"),
        ("events", "events"),
    ] {
        let begin = format!("Number of {line}: ");
        let number = text
            .lines()
            .find_map(|l| l.strip_prefix(&begin))
            .expect("aureport's line");
        assert_eq!(ours[what].to_string(), number, "{what}");
    }
}

/// Types of records that a report of aureport shows, of a log with one record of every type that both know.
#[test]
fn reports_are_about_the_types_of_aureport() {
    let name = "reports_are_about_the_types_of_aureport";
    let folder = folder();
    let log = folder.path().join("audit.log");
    let types = (1000..3000).filter_map(|n| ctrace_trace::audit::RecordType(n).name());
    // Some that aureport reads in a way of their own, and finds incomplete here.
    let odd = [
        "DAEMON_CONFIG",
        "ANOM_LINK",
        "GRP_CHAUTHTOK",
        "CHUSER_ID",
        "CHGRP_ID",
        "ACCT_LOCK",
        "ACCT_UNLOCK",
    ];
    let record = |(i, kind): (usize, &str)| {
        format!(
            "type={kind} msg=audit(1795216873.{:03}:{}): pid=1 uid=0 auid=0 ses=1 msg='op=test acct=\"root\" \
             exe=\"/bin/x\" hostname=? addr=? terminal=pts/0 res=success'\n",
            i % 1000,
            5000 + i
        )
    };
    let text: String = types.filter(|t| !odd.contains(t)).enumerate().map(record).collect();
    fs::write(&log, text).expect("written");
    let case = folder.path().join("case");
    import(&log, &case);
    let mut found = BTreeSet::new();
    for (table, report) in [
        ("anomalies", "--anomaly"),
        ("responses", "--response"),
        ("accounts", "--mods"),
        ("integrity", "--integrity"),
        ("crypto", "--crypto"),
        ("virt", "--virt"),
    ] {
        let Some(theirs) = aureport(&log, &[report, "--summary", "-i"]) else {
            return skip(name, "aureport is not installed");
        };
        let ours = counted(&summary(&case, table), "records", "type");
        let missing: Vec<&String> = theirs.keys().filter(|t| !ours.contains_key(*t)).collect();
        assert!(missing.is_empty(), "{table}: {missing:?}");
        found.extend(theirs.into_keys());
    }
    assert!(found.len() > 50, "{found:?}");
}

#[test]
fn lines_of_containers_are_whole_and_alone() {
    let folder = folder();
    let case = folder.path().join("case");
    import(&container_log(), &case);
    let shown = lines(&case, &["--logs"]);
    let raw = fs::read_to_string(container_log()).expect("a log");
    let pieces = raw.lines().filter(|l| serde_json::from_str::<Value>(l).is_ok()).count();
    assert!(shown.len() < pieces, "{shown:?}");
    assert_eq!(shown[0], "listening on :80");
    assert_eq!(shown[1], "a long line begins and ends é\\x01");
    let timed = lines(&case, &["--logs", "-t", "--container", "c0ffee"]);
    assert_eq!(timed[1], format!("2026-11-22T22:26:41.000000000Z {}", shown[1]));
    assert_eq!(lines(&case, &["--logs", "--tail=1"]), shown[shown.len() - 1..]);
}

fn container_log() -> PathBuf {
    let id = "c0ffee0123456789abcdef0123456789abcdef0123456789abcdefaabbccddee";
    project(&format!("capture/tests/import/samples/{id}-json.log"))
}

/// What docker prints, on both outputs, line by line.
fn docker(host: &str, args: &[&str]) -> Vec<String> {
    let out = Command::new("docker")
        .args(["-H", host])
        .args(args)
        .output()
        .expect("docker starts");
    assert!(
        out.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let text = [out.stdout, out.stderr].map(|t| String::from_utf8(t).expect("UTF-8"));
    let mut lines: Vec<String> = text.iter().flat_map(|t| t.lines()).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn live_filters_and_lines_are_those_of_docker_needs_root_docker() {
    const TEST: &str = "live_filters_and_lines_are_those_of_docker_needs_root_docker";
    let (true, Some(host)) = (is_root(TEST), variable(TEST, "CTRACE_TEST_DOCKER")) else {
        return;
    };
    // Beginnings of names are asked for, which no other test has.
    let name = format!("habits-{}", std::process::id());
    let (first, second) = (format!("{name}-1"), format!("{name}-2"));
    let label = format!("habits={name}");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let since = now().to_string();
    let image = "ctrace-lab/busybox";
    let script = "echo out; echo err >&2; printf part";
    docker(
        &host,
        &[
            "run",
            "--pull=never",
            "--name",
            &first,
            "--label",
            &label,
            image,
            "sh",
            "-c",
            script,
        ],
    );
    docker(&host, &["create", "--pull=never", "--name", &second, image, "true"]);
    docker(&host, &["volume", "create", &name]);
    let shown = docker(&host, &["logs", "-t", &first]);
    let path = docker(&host, &["inspect", "--format", "{{.LogPath}}", &first]);
    let folder = folder();
    let logs = folder.path().join("logs");
    import(Path::new(&path[0]), &logs);
    docker(&host, &["rm", &first, &second]);
    docker(&host, &["volume", "rm", &name]);
    let mut ours = lines(&logs, &["--logs", "-t"]);
    ours.sort();
    assert_eq!(ours.len(), 3);
    assert_eq!(ours, shown);

    let until = (now() + 1).to_string();
    let span = ["events", "--since", &since, "--until", &until];
    let mine = format!("container={name}");
    let filters = [
        vec![mine.clone()],
        vec![format!("container={first}")],
        vec![mine.clone(), format!("image={image}")],
        vec![mine.clone(), "image=ctrace-lab".to_owned()],
        vec![mine.clone(), "event=die".to_owned(), "event=create".to_owned()],
        vec![mine, "type=container".to_owned(), "label=habits".to_owned()],
        vec![format!("label={label}")],
        vec![format!("volume={name}")],
        vec![format!("volume={name}"), "scope=local".to_owned()],
        vec![format!("network={name}")],
    ];
    let asked: Vec<Vec<String>> = filters
        .iter()
        .map(|filter| {
            let filter = filter.iter().flat_map(|f| ["--filter", f]);
            let form = ["--format", "{{.TimeNano}}"];
            docker(&host, &span.into_iter().chain(filter).chain(form).collect::<Vec<_>>())
        })
        .collect();
    let all = docker(&host, &[&span[..], &["--format", "json"]].concat());
    let (dump, case) = (folder.path().join("events.jsonl"), folder.path().join("case"));
    fs::write(&dump, all.join("\n") + "\n").expect("written");
    import(&dump, &case);
    for (filter, theirs) in filters.iter().zip(asked) {
        let filters: Vec<String> = filter.iter().map(|f| format!("--filter={f}")).collect();
        let args: Vec<&str> = ["-p", "%evt.rawtime"]
            .into_iter()
            .chain(filters.iter().map(String::as_str))
            .collect();
        let mut ours = lines(&case, &args);
        ours.sort();
        assert_eq!(ours, theirs, "{filter:?}");
    }
    assert!(lines(&case, &[&format!("--filter=label={label}")]).len() >= 4);
}

/// Words of a command as a shell splits them.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ' ' => words.push(String::new()),
            _ => words.last_mut().expect("one").push(c),
        }
    }
    assert!(quote.is_none(), "{command}");
    words
}

#[test]
fn the_commands_of_the_documentation_answer() {
    let folder = folder();
    let [audit, calls, logs] = ["audit", "calls", "logs"].map(|name| folder.path().join(name));
    import(&project("capture/tests/import/samples/audit.log"), &audit);
    import(&project("capture/tests/import/samples/strace-times.log"), &calls);
    import(&container_log(), &logs);
    let text = fs::read_to_string(project("docs/habits.md")).expect("the page");
    let rows = text
        .lines()
        .filter_map(|l| l.strip_suffix(" |")?.rsplit_once(" | ").map(|(_, right)| right));
    let commands: Vec<&str> = rows
        .filter_map(|cell| cell.strip_prefix("`ctrace ")?.strip_suffix('`'))
        .collect();
    assert!(commands.len() > 60);
    for command in commands {
        let words = words(command).into_iter().map(|word| match word.as_str() {
            "case" => sample().as_os_str().to_owned(),
            "audit" => audit.as_os_str().to_owned(),
            "calls" => calls.as_os_str().to_owned(),
            "logs" => logs.as_os_str().to_owned(),
            _ => word.into(),
        });
        let ran = ctrace(words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}");
        assert!(!ran.out.is_empty(), "{command} shows nothing");
    }
}
