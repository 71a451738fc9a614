//! A cluster that is not there, and one that goes away: one message, and an end.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ctrace_query::{Options, QueryError, Session};

use crate::fleet::Fleet;
use crate::nodes::Nodes;
use crate::run::{command, ctrace};

/// Takes minutes: every event with every other.
const LONG: &str = "SELECT count(*) FROM events a, events b, events c WHERE a.seq + b.seq + c.seq = 7 AND a.fd_name LIKE '%' || b.fd_name || '%'";

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

fn started(nodes: &Nodes, fleet: &Fleet) -> Child {
    let mut command = command(["query", "--cluster", &nodes.address(), fleet.arg(), LONG]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let before = nodes.worked();
    let child = command.spawn().expect("the program starts");
    nodes.until_busy(before);
    child
}

/// Waits for the end, which must come; gives the code and what was told.
fn end(mut child: Child) -> (Option<i32>, String) {
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("a child");
            panic!("the program does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stderr, .. } = child.wait_with_output().expect("a child");
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn nobody_listens() {
    let fleet = Fleet::new();
    // One that nobody is given.
    let address = "127.0.0.1:1".to_owned();
    let told = ctrace(["query", "--cluster", &address, fleet.arg(), "SELECT 1"])
        .code(4)
        .nothing();
    assert_eq!(
        told,
        format!("ctrace: cluster {address}: Connection refused (os error 111)\n")
    );
    let told = ctrace(["query", "--cluster", "nohost.invalid:1", fleet.arg(), "SELECT 1"])
        .code(4)
        .nothing();
    assert!(
        told.starts_with("ctrace: cluster nohost.invalid:1: ") && told.lines().count() == 1,
        "{told}"
    );
    for wrong in ["localhost", "http://localhost:1", ":1"] {
        ctrace(["query", "--cluster", wrong, fleet.arg(), "SELECT 1"])
            .code(2)
            .nothing();
    }
}

#[test]
fn something_else_listens() {
    let fleet = Fleet::new();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    let told = ctrace(["query", "--cluster", &address, fleet.arg(), "SELECT 1"])
        .code(4)
        .nothing();
    assert_eq!(told, format!("ctrace: cluster {address}: no answer within 15 s\n"));
}

#[test]
fn a_scheduler_that_dies_ends_the_statement() {
    let (fleet, mut nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let running = started(&nodes, &fleet);
    nodes.scheduler.kill();
    let (code, told) = end(running);
    assert_eq!(code, Some(4), "{told}");
    let address = nodes.address();
    let begins = format!("ctrace: cluster {address}: went away while the statement ran: ");
    assert!(told.starts_with(&begins) && told.lines().count() == 1, "{told}");
}

#[test]
fn executors_that_die_end_the_statement() {
    let (fleet, mut nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let running = started(&nodes, &fleet);
    nodes.executors.iter_mut().for_each(|e| e.kill());
    let (code, told) = end(running);
    assert_eq!(code, Some(4), "{told}");
    let begins = format!("ctrace: cluster {}: ", nodes.address());
    assert!(told.starts_with(&begins) && told.lines().count() == 1, "{told}");
}

#[test]
fn a_cluster_without_executors() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(0, &[]));
    let address = nodes.address();
    let told = ctrace([
        "query",
        "--cluster",
        &address,
        fleet.arg(),
        "SELECT count(*) FROM events",
    ])
    .code(4)
    .nothing();
    let why = "no executor took up work within 60 s: there is none, or all are busy";
    assert_eq!(told, format!("ctrace: cluster {address}: {why}\n"));
}

#[test]
fn a_cancelled_statement_ends() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let options = Options {
        cluster: Some(nodes.address().parse().expect("an address")),
        ..Options::default()
    };
    let session = Session::folder(fleet.path(), &options).expect("a session");
    let cancel = session.canceller();
    let before = nodes.worked();
    thread::scope(|scope| {
        let canceller = scope.spawn(|| {
            nodes.until_busy(before);
            let cancelled = Instant::now();
            cancel.cancel();
            cancelled
        });
        assert!(matches!(session.batches(LONG), Err(QueryError::Cancelled)));
        let took = canceller.join().expect("cancels").elapsed();
        assert!(took < PATIENCE / 4, "{took:?}");
    });
}

#[test]
fn ctrl_c_ends_a_statement_at_once() {
    let (fleet, nodes) = (Fleet::new(), Nodes::start(1, &[]));
    let running = started(&nodes, &fleet);
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -INT {}", running.id())])
        .status();
    assert!(kill.expect("a shell").success());
    // The scheduler is told. When its executors are free again is theirs to say: a join in the middle of a batch of
    // Ballista's goes on to its end.
    let (code, told) = end(running);
    assert_eq!((code, told.as_str()), (Some(130), "ctrace: cancelled\n"));
}

#[test]
fn one_executor_of_two_may_die() {
    let (fleet, mut nodes) = (Fleet::new(), Nodes::start(2, &[]));
    let address = nodes.address();
    let count = "SELECT host, count(*) FROM events GROUP BY host ORDER BY host";
    let ask = || ctrace(["query", "--format", "csv", "--cluster", &address, fleet.arg(), count]);
    let before = ask().code(0).silent();
    nodes.executors[0].kill();
    let after = ask().code(0).silent();
    assert_eq!(after, before);
}
