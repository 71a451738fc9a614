//! The Docker source against a real engine.

use std::collections::BTreeSet;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ctrace_capture::docker::{DockerEvent, DockerFollower, DockerMessage, DockerSource, Endpoint};
use ctrace_trace::container::Container;

use ctrace_skip::variable;

const IMAGE: &str = "ctrace-lab/busybox";

fn docker(host: &str, args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(["-H", host])
        .args(args)
        .output()
        .expect("docker runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_nanos() as u64
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

fn events(messages: &[DockerMessage]) -> Vec<&DockerEvent<'static>> {
    let found = messages.iter().filter_map(|m| match m {
        DockerMessage::Event(e) => Some(e.as_ref()),
        _ => None,
    });
    found.collect()
}

fn containers<'a>(messages: &'a [DockerMessage], id: &str) -> Vec<&'a Arc<Container>> {
    let found = messages.iter().filter_map(|m| match m {
        DockerMessage::Container(c) if c.id == id => Some(c),
        _ => None,
    });
    found.collect()
}

fn is_event(message: &DockerMessage, action: &str, name: &str) -> bool {
    matches!(message, DockerMessage::Event(e) if e.action == action && e.name() == name)
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
    let Some(host) = variable(test, "CTRACE_TEST_DOCKER") else {
        return;
    };
    let name = format!("ctrace-agree-{}", std::process::id());
    let since = now_ns();
    let follower = follow(&host, since);
    let removed = Removed(&host, &name);
    let run = ["run", "-d", "--name", &name, "--label", "tier=web", "--read-only"];
    let rest = [
        "--pid",
        "host",
        "--cap-add",
        "NET_ADMIN",
        "-v",
        "/etc:/hostetc:ro",
        IMAGE,
        "sleep",
        "1000",
    ];
    let id = docker(&host, &[&run[..], &rest[..]].concat());
    docker(&host, &["exec", &name, "true"]);
    docker(&host, &["rename", &name, &format!("{name}-b")]);
    docker(&host, &["rename", &format!("{name}-b"), &name]);
    drop(removed);
    let messages = until(&follower, |m| is_event(m, "destroy", &name));

    let seconds = |ns: u64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    let last = events(&messages).iter().map(|e| e.ts_ns).max().expect("some");
    let (from, to) = (seconds(since), seconds(last + 1));
    let truth = docker(
        &host,
        &["events", "--since", &from, "--until", &to, "--format", "{{json .}}"],
    );
    // Other tests run containers too: an event of theirs may be on its way still.
    let is_ours = |v: &serde_json::Value| {
        let actor = &v["Actor"];
        [&actor["ID"], &actor["Attributes"]["container"]].contains(&&serde_json::Value::from(id.as_str()))
    };
    let truth = truth.lines().map(|l| serde_json::from_str(l).expect("JSON"));
    let truth: Vec<serde_json::Value> = truth.filter(is_ours).collect();
    let key = |v: &serde_json::Value| (v["timeNano"].as_u64(), v["Action"].as_str().map(str::to_owned));
    // Concurrent events may be sent in another order than that of their times, in which the past is listed.
    let ours = events(&messages).into_iter();
    let ours = ours.filter(|e| e.container() == Some(id.as_str()));
    let ours = ours.map(|e| (Some(e.ts_ns), Some(e.action.to_string())));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (ours.collect(), truth.iter().map(key).collect());
    ours.sort_unstable();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    assert!(
        ours.len() >= 9,
        "create, network, start, exec, rename, kill, die, destroy: {ours:?}"
    );

    let known = containers(&messages, &id);
    let last = known.last().expect("inspected");
    assert_eq!(
        (last.name.as_str(), last.image.as_str(), last.engine.as_str()),
        (name.as_str(), IMAGE, "docker")
    );
    assert_eq!(last.labels, [("tier".to_owned(), "web".to_owned())]);
    assert_eq!((last.privileged, last.read_only), (Some(false), Some(true)));
    assert_eq!(last.host_namespaces, [Some(true), Some(false), Some(false)]);
    assert_eq!(last.cap_add, ["CAP_NET_ADMIN"]);
    let mount = &last.mounts[0];
    assert_eq!(
        (mount.source.as_str(), mount.dest.as_str(), mount.rw),
        ("/etc", "/hostetc", false)
    );
    assert!(
        known
            .iter()
            .any(|c| since < c.created_ts && c.created_ts < c.started_ts)
    );
}

#[test]
fn live_short_lived_and_running_containers_are_named() {
    let test = "live_short_lived_and_running_containers_are_named";
    let Some(host) = variable(test, "CTRACE_TEST_DOCKER") else {
        return;
    };
    let (before, short) = (
        format!("ctrace-before-{}", std::process::id()),
        format!("ctrace-short-{}", std::process::id()),
    );
    let _removed = Removed(&host, &before);
    let id = docker(&host, &["run", "-d", "--name", &before, IMAGE, "sleep", "1000"]);
    let follower = follow(&host, now_ns());
    let at_start = until(&follower, |m| matches!(m, DockerMessage::Container(c) if c.id == id));
    assert_eq!(containers(&at_start, &id)[0].name, before);
    docker(&host, &["run", "--rm", "--name", &short, IMAGE, "true"]);
    until(
        &follower,
        |m| matches!(m, DockerMessage::Container(c) if c.name == short),
    );
}

/// Stands between the source and the engine, so that the engine can go away for the source alone.
struct Proxy {
    listen: PathBuf,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    fn new(listen: &Path) -> Proxy {
        Proxy {
            listen: listen.to_owned(),
            open: Arc::default(),
        }
    }

    fn up(&self, engine: &Path) {
        let _ = std::fs::remove_file(&self.listen);
        let listener = UnixListener::bind(&self.listen).expect("bind");
        let (open, engine) = (self.open.clone(), engine.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&engine).expect("engine");
                let mut open = open.lock().expect("lock");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    open.push(from.try_clone().expect("clone"));
                    let (mut from, mut to) = (from.try_clone().expect("clone"), to.try_clone().expect("clone"));
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
    }

    fn down(&self) {
        std::fs::remove_file(&self.listen).expect("socket");
        for stream in self.open.lock().expect("lock").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn live_events_during_an_outage_are_repeated_once() {
    let test = "live_events_during_an_outage_are_repeated_once";
    let Some(host) = variable(test, "CTRACE_TEST_DOCKER") else {
        return;
    };
    let engine = PathBuf::from(host.trim_start_matches("unix://"));
    let folder = tempfile::tempdir().expect("folder");
    let proxy = Proxy::new(&folder.path().join("docker.sock"));
    proxy.up(&engine);
    let name = |n: u32| format!("ctrace-outage-{n}-{}", std::process::id());
    let run = |n: u32| docker(&host, &["run", "--rm", "--name", &name(n), IMAGE, "true"]);
    let destroyed = |n: u32| move |m: &DockerMessage| is_event(m, "destroy", &name(n));
    let since = now_ns();
    let follower = follow(&format!("unix://{}", proxy.listen.display()), since);
    run(1);
    let mut messages = until(&follower, destroyed(1));
    proxy.down();
    messages.extend(until(&follower, |m| matches!(m, DockerMessage::Lost { .. })));
    run(2);
    proxy.up(&engine);
    messages.extend(until(&follower, |m| matches!(m, DockerMessage::Found { .. })));
    messages.extend(until(&follower, destroyed(2)));
    run(3);
    messages.extend(until(&follower, destroyed(3)));

    let lost = messages
        .iter()
        .filter(|m| matches!(m, DockerMessage::Lost { .. }))
        .count();
    assert_eq!(lost, 1, "one outage is reported once");
    let found = messages.iter().find_map(|m| match m {
        DockerMessage::Found { window, .. } => Some(*window),
        _ => None,
    });
    let second = events(&messages)
        .into_iter()
        .find(|e| e.name() == name(2))
        .expect("repeated");
    let (from, to) = found.expect("found");
    assert!(
        since < from && from < second.ts_ns && second.ts_ns < to,
        "the window holds the outage"
    );
    let raw: Vec<&[u8]> = events(&messages).into_iter().map(|e| e.raw.as_ref()).collect();
    assert_eq!(raw.iter().collect::<BTreeSet<_>>().len(), raw.len(), "no event twice");
    for n in 1..=3 {
        let of = |action: &str| messages.iter().filter(|m| is_event(m, action, &name(n))).count();
        assert_eq!(
            (of("create"), of("start"), of("die"), of("destroy")),
            (1, 1, 1, 1),
            "container {n}"
        );
    }
}
