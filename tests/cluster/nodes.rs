//! A scheduler and executors, each a process of its own: this test program, run again as a node.

use std::collections::BTreeSet;
use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a node is, for the process that becomes it: `scheduler PORT`, `executor SCHEDULER PORT PORT FOLDER`.
const ROLE: &str = "CTRACE_TEST_NODE";

/// Longer than a node needs to start, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Tasks that an executor runs at once.
const VCORES: usize = 2;

/// Not a test: what the processes of a cluster run.
#[test]
#[ignore = "a node of a cluster, which the tests here start"]
fn node() {
    let Ok(role) = env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(5, ' ').collect();
    let port = |text: &str| text.parse().expect("a port");
    let ended = match words.as_slice() {
        ["scheduler", at] => ctrace_node::scheduler(port(at)),
        ["executor", scheduler, a, b, folder] => {
            ctrace_node::executor(port(scheduler), [port(a), port(b)], VCORES, Path::new(folder))
        }
        other => panic!("{other:?}"),
    };
    ended.expect("a node runs until it is killed");
}

/// A process that is killed when it is not needed any more.
pub(crate) struct Node(Child);

impl Node {
    fn start(role: &str, environment: &[(&str, String)]) -> Node {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["--exact", "nodes::node", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).envs(environment.iter().map(|(k, v)| (k, v)));
        // Standard error is that of the tests: why a node refuses stands nowhere else.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Node(command.spawn().expect("a node starts"))
    }

    /// Whether the process ended by itself: its port was taken by another.
    fn ended(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_some()
    }

    /// Kills it at once, as a machine that loses its power.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("a child");
        self.0.wait().expect("a child");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A cluster on loopback.
pub(crate) struct Nodes {
    pub(crate) scheduler: Node,
    pub(crate) executors: Vec<Node>,
    port: u16,
    /// What stages hand to each other.
    _folder: TempDir,
}

impl Nodes {
    /// Starts a scheduler and so many executors, and waits until all of them listen.
    pub(crate) fn start(executors: usize, environment: &[(&str, String)]) -> Nodes {
        let folder = tempfile::tempdir().expect("a folder");
        let (scheduler, port) = listening(|[port, _]| Node::start(&format!("scheduler {port}"), environment));
        let executor = |number: usize| {
            let work = folder.path().join(number.to_string());
            std::fs::create_dir(&work).expect("a folder");
            let role = |[a, b]: [u16; 2]| format!("executor {port} {a} {b} {}", work.display());
            listening(|ports| Node::start(&role(ports), environment)).0
        };
        Nodes {
            executors: (0..executors).map(executor).collect(),
            scheduler,
            port,
            _folder: folder,
        }
    }

    /// Processor time that the executors used so far.
    pub(crate) fn worked(&self) -> u64 {
        self.executors.iter().map(|node| cpu_ticks(node.0.id())).sum()
    }

    /// Waits until the executors are at work on what was asked after a time: idle ones use less.
    pub(crate) fn until_busy(&self, before: u64) {
        const TICKS: u64 = 200;
        let deadline = Instant::now() + PATIENCE;
        while self.worked() < before + TICKS {
            assert!(Instant::now() < deadline, "nobody takes up work");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `--cluster` takes.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Starts a node on free ports until it listens on the first of them. Another process may take a port in between.
fn listening(start: impl Fn([u16; 2]) -> Node) -> (Node, u16) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let ports = free_ports();
        let mut node = start(ports);
        while !node.ended() && Instant::now() < deadline {
            if TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]))).is_ok() {
                return (node, ports[0]);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
    panic!("no node listens");
}

/// Two ports that nobody listens on.
fn free_ports() -> [u16; 2] {
    [(); 2].map(|()| free_port())
}

/// A port that nobody listens on, and no test of this program will: two that are given the same one would both find that
/// somebody listens, and one of them not the process that it started.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        if GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

/// Processor time that a process used so far, in the kernel's ticks.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let after = stat.rsplit_once(')').expect("a name").1;
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
