//! The audit source against the running kernel. `CTRACE_TEST_AUID` is a login uid whose processes are audited
//! (tests/lab/audit).

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use ctrace_capture::audit::{AuditEvent, AuditFollower, AuditMessage, AuditSource, Loss, RecordType};

use ctrace_skip::variable;

/// Runs a program under the audited login uid.
fn audited(auid: &str, program: &str, args: &[&str]) -> u32 {
    let mut command = Command::new(program);
    let uid = auid.to_owned();
    command.args(args);
    // SAFETY: between fork and exec only a file is written; the string was made before.
    unsafe { command.pre_exec(move || std::fs::write("/proc/self/loginuid", &uid)) };
    let mut child = command.spawn().expect("runs");
    let _ = child.wait().expect("ends");
    child.id()
}

/// Waits until the kernel has sent all that waits to be sent: on a busy machine its thread has to wait for its turn.
fn sent() {
    let begun = Instant::now();
    loop {
        let said = Command::new("auditctl")
            .arg("-s")
            .output()
            .expect("auditctl runs")
            .stdout;
        if String::from_utf8_lossy(&said).lines().any(|line| line == "backlog 0") {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "the kernel's queue stays full"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    // The last one was taken from the queue, and may be on its way.
    std::thread::sleep(Duration::from_millis(200));
}

/// Stops the source and returns all it had to say.
fn all(follower: &AuditFollower) -> Vec<AuditMessage> {
    sent();
    let mut messages = Vec::new();
    let until = Instant::now() + Duration::from_secs(5);
    while let Ok(message) = follower.messages().recv_timeout(Duration::from_millis(300))
        && Instant::now() < until
    {
        messages.push(message);
    }
    follower.stop();
    messages.extend(follower.messages().iter());
    messages
}

fn events(messages: &[AuditMessage]) -> impl Iterator<Item = &AuditEvent> {
    messages.iter().filter_map(|m| match m {
        AuditMessage::Event(e) => Some(e.as_ref()),
        _ => None,
    })
}

#[test]
fn live_each_audited_exec_is_one_event_with_all_its_records() {
    let test = "live_each_audited_exec_is_one_event_with_all_its_records";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let source = AuditSource::open().expect("auditing is on");
    assert!(source.status().is_some_and(|s| s.enabled >= 1 && s.backlog_limit > 0));
    let follower = source.follow().expect("starts");
    let pids: Vec<u32> = (0..50)
        .map(|n| audited(&auid, "/bin/true", &[&format!("a b {n}"), "second"]))
        .collect();
    let messages = all(&follower);
    assert!(
        !messages
            .iter()
            .any(|m| matches!(m, AuditMessage::Malformed { .. } | AuditMessage::Lost { .. }))
    );
    for (n, pid) in pids.iter().enumerate() {
        let of_pid = |e: &&AuditEvent| e.pid == Some(*pid) && e.types.contains(&RecordType::EXECVE);
        let found: Vec<&AuditEvent> = events(&messages).filter(of_pid).collect();
        assert_eq!(found.len(), 1, "execve of {pid}");
        let event = found[0];
        assert_eq!(
            event.exec_args(),
            [b"/bin/true".to_vec(), format!("a b {n}").into(), b"second".to_vec()]
        );
        for name in ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"] {
            assert!(
                event.type_names().iter().any(|n| n == name),
                "{name} in {:?}",
                event.types
            );
        }
        assert_eq!(
            (event.success, event.exe.as_slice()),
            (Some(true), &b"/usr/bin/true"[..])
        );
        assert_eq!(event.auid.map(|n| n.to_string()), Some(auid.clone()));
        assert_eq!(event.keys, [b"ctrace-lab".to_vec()]);
        let syscall = event.syscall.as_ref().expect("syscall");
        assert_eq!((syscall.arch, syscall.number), (0xc000_003e, 59));
        assert_eq!(event.records().count(), event.types.len(), "raw holds every record");
    }
}

#[test]
fn live_what_a_slow_reader_misses_is_counted() {
    let test = "live_what_a_slow_reader_misses_is_counted";
    let Some(auid) = variable(test, "CTRACE_TEST_AUID") else {
        return;
    };
    let source = AuditSource::open_with_buffer(4096).expect("auditing is on");
    let pids: Vec<u32> = (0..50).map(|_| audited(&auid, "/bin/true", &[])).collect();
    sent();
    let follower = source.follow().expect("starts");
    let messages = all(&follower);
    let lost: u64 = messages
        .iter()
        .map(|m| match m {
            AuditMessage::Gap {
                loss: Loss::Reader,
                records,
                from_ns,
                to_ns,
            } => {
                assert!(from_ns < to_ns);
                *records
            }
            _ => 0,
        })
        .sum();
    let seen = events(&messages)
        .filter(|e| e.pid.is_some_and(|p| pids.contains(&p)))
        .count();
    assert!(
        seen < 50 && lost > 50 - seen as u64,
        "{seen} events seen, {lost} records lost"
    );
}
