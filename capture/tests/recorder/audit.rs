//! Rules that are in the kernel while a recording lasts, and being the kernel's audit daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use ctrace_capture::audit::AuditSource;

use crate::case::{Row, closed, rows, until_written};
use crate::run::{RECORDER, folder, output, record, recording, start, until};
use ctrace_skip::{skip, variable};

pub(crate) const AUDIT: [&str; 2] = ["--sources", "audit"];
const CONTROL: u64 = 1 << 30;

/// Every kind of rule. The other users of this kernel are left alone: there is no `-e`, and `-D` has a key.
const RULES: &str = "\
# each kind of list, field and operator

-b 9000
-w /etc/passwd -p wa -k test-file
-w /etc -p wa -k test-folder
-w /no-such-file
-a always,exit -F arch=b64 -S openat,open -S 87 -F exit=-EACCES -F auid>=1000 -F auid!=unset -k test-a -k test-b
-a exit,always -F arch=b64 -S openat -F exit=-EPERM -F auid>=1000 -F auid!=4294967295 -F key=test-errno
-A never,exit -F arch=b32 -S execve -F uid=daemon -F gid=adm -F a1&0x10
-A always,exit -F arch=b64 -S mount,umount2 -F auid>=1000 -k test-first
-a always,exit -F arch=b64 -S execve -C auid!=euid -F euid=0 -F key=test-compare
-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=unset -k test-path
-a always,exit -F dir=/home -F uid=0 -F auid>=1000 -C auid!=obj_uid -k test-owner
-a always,exit -C auid!=obj_uid -F dir=/home -F perm=x
-a always,exclude -F msgtype=CRYPTO_KEY_USER
-a never,filesystem -F fstype=tracefs
-a never,task -F uid=33
-a always,exit -S all -F exe=/usr/bin/vim -F key=test-exe
-a always,exit -F arch=b64 -S connect -F a2=16 -F success=1 -F saddr_fam=2 -k test-net
-a always,exit -F arch=b64 -S socket -F a0=2 -k test-deleted
-a always,exit -F arch=b32 -S adjtimex,settimeofday,stime -k test-compat
-a always,exit -F arch=b64 -S init_module,finit_module,delete_module -F devmajor=8 -F inode=12
-a always,exit -F arch=b64 -F perm=wa -F filetype=dir -F obj_uid=0 -F ppid!=1 -F sessionid=3
-a always,exit -F arch=b64 -S clone -F exit<=-1 -F success=0 -F pers!=0
-a always,exit -F arch=b64 -S bpf -F a0&=0x1
-d always,exit -F arch=b64 -S socket -F a0=2 -k test-deleted
-D -k test-exe
";
/// How many of them are left in the end.
const LEFT: usize = 20;

/// What somebody else may count meanwhile is left out.
fn settings() -> Vec<String> {
    let all = output("auditctl", &["-s"]);
    let counted = ["lost ", "backlog ", "backlog_wait_time_actual "];
    let counted = |line: &&str| counted.iter().any(|name| line.starts_with(name));
    all.lines().filter(|line| !counted(line)).map(str::to_owned).collect()
}

pub(crate) fn listing() -> String {
    output("auditctl", &["-l"])
}

pub(crate) fn setting(name: &str) -> String {
    let prefix = format!("{name} ");
    let found = settings()
        .into_iter()
        .find_map(|s| s.strip_prefix(&prefix).map(str::to_owned));
    found.expect("a setting")
}

/// Deletes [`RULES`] when dropped, so that a test that fails leaves none of them.
struct Undo(PathBuf);

impl Undo {
    fn prepare(dir: &Path) -> Undo {
        let inverse = |line: &str| match line.split_at_checked(3) {
            Some(("-a " | "-A ", rest)) => Some(format!("-d {rest}\n")),
            Some(("-w ", rest)) => Some(format!("-W {rest}\n")),
            _ => None,
        };
        let undo: String = RULES.lines().filter_map(inverse).collect();
        let path = dir.join("undo.rules");
        // Some of them were deleted by the file itself.
        fs::write(&path, format!("-i\n-b {}\n{undo}", setting("backlog_limit"))).expect("room");
        Undo(path)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = Command::new("auditctl").arg("-R").arg(&self.0).output();
    }
}

/// What auditctl lists when it has loaded a file. Its rules are deleted again.
fn listed_by_auditctl(dir: &Path, file: &Path, case: &Path) -> String {
    let undo = Undo::prepare(dir);
    output("auditctl", &["-R", text(file)]);
    let listed = listing();
    // To the kernel they are the same rules: it refuses them a second time, and the host's stay.
    let again = dir.join("again.rules");
    let once = |line: &&str| !line.starts_with("-A") && !line.starts_with("-d") && !line.contains("test-deleted");
    let rules: Vec<&str> = RULES
        .lines()
        .filter(once)
        .filter(|line| !line.contains("test-exe"))
        .collect();
    fs::write(&again, rules.join("\n")).expect("room");
    let during = case.with_extension("again");
    let args = [&AUDIT[..], &["--audit-rules", text(&again)]].concat();
    let running = recording(&during, &args);
    let twice = listing();
    running.signal(libc::SIGTERM).expect(0);
    let after = listing();
    drop(undo);
    assert_eq!((&twice, &after), (&listed, &listed));
    listed
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("plain characters")
}

/// Opens a file under the login uid that is audited.
fn opened_by(auid: &str, path: &Path) -> u32 {
    let mut command = Command::new("/bin/cat");
    let uid = auid.to_owned();
    command.arg(path);
    // SAFETY: between fork and exec only a file is written; the string was made before.
    unsafe { command.pre_exec(move || fs::write("/proc/self/loginuid", &uid)) };
    let mut child = command.spawn().expect("cat runs");
    assert!(child.wait().expect("it ends").success());
    child.id()
}

/// Whether it is the audit event of a process that a rule with this key asked for.
fn asked_for(row: &Row, key: &str, pid: u32) -> bool {
    row.kind == "audit" && row.arg("key") == key && row.arg("pid") == pid.to_string()
}

/// Waits until nobody is the kernel's audit daemon; reports where somebody stays it.
fn nobody_is_daemon(test: &str) -> bool {
    for _ in 0..100 {
        if setting("pid") == "0" {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    skip(test, "an audit daemon runs");
    false
}

fn capabilities(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    u64::from_str_radix(effective.expect("a line").trim(), 16).expect("hexadecimal")
}

#[test]
fn rules_are_those_that_auditctl_loads_and_are_undone_as_root() {
    let test = "rules_are_those_that_auditctl_loads_and_are_undone_as_root";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let dir = folder();
    let (file, case) = (dir.path().join("test.rules"), dir.path().join("case"));
    let _undo = Undo::prepare(dir.path());
    let (watched, key) = (dir.path().join("watched"), "test-watched");
    fs::write(&watched, "").expect("room");
    // A rule of the host that is not the last one: it has to come back where it was.
    let of_host = format!("-d always,exit -F arch=b64 -S connect -S bind -F auid={auid} -k ctrace-lab");
    let watch = format!("-w {} -p r -k {key}", watched.display());
    fs::write(&file, RULES).expect("room");
    let (before, before_settings) = (listing(), settings());
    let theirs = listed_by_auditctl(dir.path(), &file, &case);
    assert_eq!(theirs.lines().count(), before.lines().count() + LEFT);
    assert_eq!((listing(), settings()), (before.clone(), before_settings.clone()));

    let args = [&AUDIT[..], &["--audit-rules", text(&file)]].concat();
    let running = recording(&case, &args);
    assert_eq!(listing(), theirs);
    let mut source = AuditSource::open().expect("auditing is on");
    let ours = source.rules().expect("root may ask").join(
        "
",
    );
    // auditctl shows a number that it does not take back.
    assert_eq!(ours.replace("filetype=dir", "filetype=16384"), theirs);
    assert_eq!(setting("backlog_limit"), "9000");
    running.signal(libc::SIGTERM).expect(0);
    assert_eq!((listing(), settings()), (before.clone(), before_settings.clone()));
    closed(&case);

    fs::write(&file, format!("{RULES}{of_host}\n{watch}\n")).expect("room");
    let case = dir.path().join("another");
    let running = recording(&case, &[&AUDIT[..], &["--audit-rules", text(&file)]].concat());
    assert!(!listing().contains(&format!("connect,bind -F auid={auid}")));
    let pid = opened_by(&auid, &watched);
    until_written(&case, "the event of the file that was read", |rows| {
        rows.iter().any(|row| asked_for(row, key, pid))
    });
    assert_eq!(capabilities(running.pid()) & CONTROL, CONTROL);
    running.signal(libc::SIGINT).expect(0);
    assert_eq!((listing(), settings()), (before, before_settings));
    closed(&case);
    let rows = rows(&case);
    assert_eq!(rows.iter().filter(|row| asked_for(row, key, pid)).count(), 1);
}

#[test]
fn rules_are_undone_when_the_recording_fails_as_root() {
    let test = "rules_are_undone_when_the_recording_fails_as_root";
    if variable(test, "CTRACE_TEST_AUID").is_none() {
        return;
    }
    let dir = folder();
    let (file, case) = (dir.path().join("test.rules"), dir.path().join("case"));
    fs::write(&file, RULES).expect("room");
    let before = (listing(), settings());
    let _undo = Undo::prepare(dir.path());
    let args = [&AUDIT[..], &["--audit-rules", text(&file), "--"]].concat();
    // It may be run, and what would run it is not there.
    let command = dir.path().join("command");
    fs::write(&command, "#!/nowhere/at-all\n").expect("room");
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).expect("ours");
    let ended = record(&case, &[&args[..], &[text(&command)]].concat());
    ended.expect(4).saying("command: No such file or directory");
    assert_eq!((listing(), settings()), before);
    record(&case, &[&args[..], &["true"]].concat())
        .expect(2)
        .saying("the folder is not empty");
    assert_eq!((listing(), settings()), before);
    // The kernel knows better than the parser; what was loaded before is undone at once, and the rest goes on.
    fs::write(&file, "-w /etc/passwd -p wa\n-a always,exit -F auid&1\n").expect("room");
    let case = dir.path().join("without");
    let args = [&AUDIT[..], &["--audit-rules", text(&file), "--", "auditctl", "-l"]].concat();
    record(&case, &args)
        .expect(0)
        .saying("not recorded: audit rules: ")
        .saying("test.rules:2: the kernel refuses this rule");
    assert_eq!((listing(), settings()), before);
    closed(&case);
    let missing = |row: &Row| row.kind == "source_lost" && row.arg("source") == "audit rules";
    assert!(rows(&case).iter().any(missing));
}

#[test]
fn there_is_one_daemon_and_auto_listens_beside_it_as_root() {
    let test = "there_is_one_daemon_and_auto_listens_beside_it_as_root";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let dir = folder();
    if !nobody_is_daemon(test) {
        return;
    }
    // Without a word it is auto.
    let modes: [&[&str]; 3] = [&["--audit-mode", "unicast"], &["--audit-mode", "auto"], &[]];
    for (n, mode) in modes.into_iter().enumerate() {
        let case = |name: &str| dir.path().join(format!("{name}-{n}"));
        let of_mode = |mode| [&AUDIT[..], &["--audit-mode", mode]].concat();
        let first = recording(&case("first"), &[&AUDIT[..], mode].concat());
        assert_eq!(setting("pid"), first.pid().to_string());
        // Once it has given up what it can: the thread that listens says good-bye.
        until("it cannot control auditing any more", || {
            capabilities(first.pid()) & CONTROL == 0
        });
        let taken = format!("process {} is the audit daemon already", first.pid());
        record(&case("second"), &of_mode("unicast")).expect(4).saying(&taken);
        let beside = recording(
            &case("beside"),
            &[&AUDIT[..], mode.get(2..).unwrap_or_default()].concat(),
        );
        let pids: Vec<u32> = (0..20).map(|_| opened_by(&auid, Path::new("/dev/null"))).collect();
        for name in ["first", "beside"] {
            until_written(&case(name), "an event of each process", |rows| {
                let is_there = |pid: &u32| rows.iter().any(|row| asked_for(row, "ctrace-lab", *pid));
                pids.iter().all(is_there)
            });
        }
        beside.signal(libc::SIGTERM).expect(0).saying(", 0 lost");
        first.signal(libc::SIGTERM).expect(0).saying(", 0 lost");
        assert_eq!(setting("pid"), "0");
        for name in ["first", "beside"] {
            closed(&case(name));
            let rows = rows(&case(name));
            for pid in &pids {
                let execs = rows.iter().filter(|r| asked_for(r, "ctrace-lab", *pid));
                assert_eq!(execs.count(), 1, "{name}: {pid}");
            }
        }
    }
}

/// What the kernel throws away because nobody reads is in the case, and what comes afterwards is recorded again.
#[test]
fn what_a_stopped_recorder_misses_is_a_gap_as_root() {
    let test = "what_a_stopped_recorder_misses_is_a_gap_as_root";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let dir = folder();
    let (file, case) = (dir.path().join("test.rules"), dir.path().join("case"));
    let rule = format!("-a always,exit -F arch=b64 -S getppid -F auid={auid} -k test-overrun\n");
    fs::write(&file, rule).expect("room");
    let args = [&AUDIT[..], &["--audit-mode", "multicast", "--audit-rules", text(&file)]].concat();
    let running = recording(&case, &args);
    let signal = |signal| {
        let pid = i32::try_from(running.pid()).expect("a pid");
        // SAFETY: the pid is that of a child that was not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    };
    signal(libc::SIGSTOP);
    // Three records each, of which the socket holds some thirty thousand.
    let mut command = Command::new("perl");
    let uid = auid.clone();
    command.args(["-e", "getppid for 1..40_000"]);
    // SAFETY: between fork and exec only a file is written; the string was made before.
    unsafe { command.pre_exec(move || fs::write("/proc/self/loginuid", &uid)) };
    assert!(command.status().expect("perl runs").success());
    signal(libc::SIGCONT);
    // Until it has caught up what is executed is thrown away too, and a busy machine takes its time.
    let mut after = Vec::new();
    let is_back = |rows: &[Row], after: &[u32]| {
        let is_there = |pid: &u32| rows.iter().any(|row| asked_for(row, "ctrace-lab", *pid));
        after.iter().any(is_there)
    };
    until_written(&case, "what came afterwards", |rows| {
        let back = is_back(rows, &after);
        if !back {
            after.push(opened_by(&auid, Path::new("/dev/null")));
        }
        back
    });
    let ended = running.signal(libc::SIGINT);
    ended.expect(0);
    closed(&case);
    let rows = rows(&case);
    let gaps = rows
        .iter()
        .filter(|row| row.kind == "gap" && row.arg("source") == "audit");
    let number = |row: &Row, name: &str| row.arg(name).parse::<u64>().expect("a number");
    let lost: u64 = gaps.clone().map(|gap| number(gap, "count")).sum();
    assert!(lost > 1000, "{lost} records");
    ended.saying(&format!("{lost} lost"));
    assert!(gaps.clone().all(|gap| number(gap, "from") < number(gap, "to")));
    assert!(rows.iter().any(|row| asked_for(row, "test-overrun", row.pid)));
    assert!(is_back(&rows, &after), "what came afterwards");
}

/// How many events tell of a change of the configuration with these words.
pub(crate) fn changes(rows: &[Row], words: &[&str]) -> usize {
    let is_it = |row: &&Row| {
        let is_change = row.kind == "audit" && row.arg("types").contains("CONFIG_CHANGE");
        is_change && words.iter().all(|word| row.arg("raw").contains(word))
    };
    rows.iter().filter(is_it).count()
}

#[test]
fn rules_that_somebody_changes_are_events_as_root() {
    let test = "rules_that_somebody_changes_are_events_as_root";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let dir = folder();
    let case = dir.path().join("case");
    let running = recording(&case, &AUDIT);
    let key = format!("test-changed-{}", std::process::id());
    let of_auid = format!("auid={auid}");
    let rule = [
        "always,exit",
        "-F",
        "arch=b64",
        "-S",
        "acct",
        "-F",
        &of_auid,
        "-k",
        &key,
    ];
    output("auditctl", &[&["-a"][..], &rule].concat());
    let listed = listing();
    output("auditctl", &[&["-d"][..], &rule].concat());
    let of_key = format!("key=\"{key}\"");
    let changed = |rows: &[Row], op| changes(rows, &[op, &of_key, "list=4 res=1"]);
    until_written(&case, "that the rule was deleted", |rows| {
        changed(rows, "op=remove_rule ") > 0
    });
    running.signal(libc::SIGINT).expect(0);
    closed(&case);
    assert!(listed.contains(&key) && !listing().contains(&key));
    let rows = rows(&case);
    assert_eq!(
        (changed(&rows, "op=add_rule "), changed(&rows, "op=remove_rule ")),
        (1, 1)
    );
}

#[test]
fn wrong_rules_are_exit_code_2() {
    let dir = folder();
    let (file, case) = (dir.path().join("test.rules"), dir.path().join("case"));
    fs::write(&file, "-w /etc/passwd\n-e 2\n-a always,exit -S opneat\n").expect("room");
    let mut command = Command::new(RECORDER);
    command.arg("-o").arg(&case).arg("--audit-rules").arg(&file);
    let ended = start(command).wait();
    ended
        .expect(2)
        .saying("test.rules:2: -e 2")
        .saying("test.rules:3: ")
        .saying("opneat");
    assert!(!case.exists());
}
