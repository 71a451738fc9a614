//! Every event names its process, however short its life and whenever it began.

use std::thread;
use std::time::Duration;

use crate::case::{closed, open, rows, unnamed};
use crate::run::{Load, folder, own, record, recording, until};
use ctrace_skip::is_root;

/// Processes that fork and end all the time, most of them without an exec.
const STORM: &str = "(:) & (:; (:)) & (exec true) & { :; (true; :) | (:); }; wait";

#[test]
fn in_a_storm_of_processes_from_the_first_event_to_the_last_as_root() {
    if !is_root("in_a_storm_of_processes_from_the_first_event_to_the_last_as_root") {
        return;
    }
    let dir = folder();
    let rounds = dir.path().join("rounds");
    let storm = format!("{STORM}; echo >>{}", rounds.display());
    let _storm: Vec<Load> = (0..6).map(|_| Load::shell(&storm)).collect();
    let stormed = || std::fs::metadata(&rounds).map_or(0, |rounds| rounds.len());
    for round in 0..4 {
        let case = dir.path().join(format!("case{round}"));
        let args = ["--sources", "syscalls", "--syscalls", "all", "--scope", &own()];
        let running = recording(&case, &args);
        thread::sleep(Duration::from_millis(400));
        // Each time around is ten processes; on a busy machine it may take longer than that.
        let before = stormed();
        until("the storm goes on", || stormed() >= before + 20);
        running.signal(libc::SIGINT).expect(0).saying(", 0 lost");
        closed(&case);
        let rows = rows(&case);
        let forked = rows.iter().filter(|r| r.kind == "procexit" && r.name == "sh").count();
        assert!(forked > 50, "the storm was recorded: {forked}");
        assert_eq!(unnamed(&open(&case)), Vec::<String>::new(), "round {round}");
    }
}

/// Says to this program that it is to be [`racing_threads`].
const RACE: &str = "CTRACE_TEST_RACE";
const RACES: usize = 300;

/// Not a test but what the next one records: processes whose four threads end themselves at the same moment.
#[test]
#[ignore = "runs within another test"]
fn racing_threads() {
    if std::env::var_os(RACE).is_none() {
        return;
    }
    for _ in 0..RACES {
        // SAFETY: this program has a single thread that runs; the child only makes threads and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let barrier = std::sync::Arc::new(std::sync::Barrier::new(4));
            for _ in 0..3 {
                let barrier = barrier.clone();
                thread::spawn(move || {
                    barrier.wait();
                    leave();
                });
            }
            barrier.wait();
            leave();
        }
        assert!(child > 0);
        // SAFETY: the status is not asked for.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
}

/// Ends this thread only.
fn leave() {
    // SAFETY: the thread holds nothing that others wait for.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

#[test]
fn of_threads_that_end_with_their_process_as_root() {
    if !is_root("of_threads_that_end_with_their_process_as_root") {
        return;
    }
    let dir = folder();
    let case = dir.path().join("case");
    let me = std::env::current_exe().expect("this program");
    let me = me.to_str().expect("an ordinary path");
    let script = format!("{RACE}=1 {me} --ignored --exact names::racing_threads --test-threads 1");
    let own = own();
    let of_own = ["--sources", "syscalls", "--syscalls", "all", "--scope", &own];
    let args = [&of_own[..], &["--", "sh", "-c", &script]].concat();
    record(&case, &args).expect(0).saying(", 0 lost");
    let rows = rows(&case);
    let exits = rows.iter().filter(|r| r.kind == "exit").count();
    assert!(exits >= 4 * RACES, "{exits}");
    assert_eq!(unnamed(&open(&case)), Vec::<String>::new());
}
