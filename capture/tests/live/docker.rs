//! The Docker source against a real engine.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ctrace_capture::docker::{DockerEvent, DockerFollower, DockerMessage, DockerSource, Endpoint};
use ctrace_trace::container::Container;

use crate::skip::variable;

const IMAGE: &str = "ctrace-lab/busybox";

fn docker(host: &str, args: &[&str]) -> String {
    let output = Command::new("docker").args(["-H", host]).args(args).output().expect("docker runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
}

fn follow(host: &str, since_ns: u64) -> DockerFollower {
    let endpoint = Endpoint::parse(host).expect("valid host");
    let source = DockerSource::open(endpoint).expect("engine answers");
    assert_eq!(source.info().engine, "docker");
    assert!(!source.info().version.is_empty() && !source.info().raw.is_empty());
    source.follow(since_ns).expect("threads start")
}

/// Collects messages until one satisfies `last`.
fn until(follower: &DockerFollower, last: impl Fn(&DockerMessage) -> bool) -> Vec<DockerMessage> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut all = Vec::new();
    loop {
        match follower.messages().recv_timeout(Duration::from_millis(100)) {
            Ok(message) => all.push(message),
            Err(RecvTimeoutError::Timeout) => assert!(Instant::now() < deadline, "never came; got {all:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the source ended"),
        }
        if all.last().is_some_and(&last) {
            return all;
        }
    }
}

fn events(messages: &[DockerMessage]) -> Vec<&DockerEvent> {
    let event = |m| match m {
        &DockerMessage::Event(ref e) => Some(e.as_ref()),
        _ => None,
    };
    messages.iter().filter_map(event).collect()
}

fn containers<'a>(messages: &'a [DockerMessage], id: &str) -> Vec<&'a Arc<Container>> {
    let container = |m| match m {
        &DockerMessage::Container(ref c) if c.id == id => Some(c),
        _ => None,
    };
    messages.iter().filter_map(container).collect()
}

fn is_event(message: &DockerMessage, action: &str, name: &str) -> bool {
    matches!(message, DockerMessage::Event(e) if e.action == action && e.name == name)
}

/// Removes a container however the test ends.
struct Removed<'a>(&'a str, &'a str);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["-H", self.0, "rm", "-f", self.1]).output();
    }
}

#[test]
fn live_events_agree_with_docker_events_and_containers_with_inspect() {
    let test = "live_events_agree_with_docker_events_and_containers_with_inspect";
    let Some(host) = variable(test, "CTRACE_TEST_DOCKER") else { return };
    let name = format!("ctrace-agree-{}", std::process::id());
    let since = now_ns();
    let follower = follow(&host, since);
    let _removed = Removed(&host, &name);
    let run = ["run", "-d", "--name", &name, "--label", "tier=web", "--read-only", "--pid", "host"];
    let rest = ["--cap-add", "NET_ADMIN", "-v", "/etc:/hostetc:ro", IMAGE, "sleep", "1000"];
    let id = docker(&host, &[&run[..], &rest[..]].concat());
    docker(&host, &["exec", &name, "sh", "-c", "exit 3"]);
}
