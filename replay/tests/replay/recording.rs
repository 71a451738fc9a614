//! A small recording: sshd starts a shell on the host, a container runs a shell that reads a secret, runs a dropped
//! binary and connects out.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ctrace_trace::case::{Case, CaseConfig, CaseWriter, Opening};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::{CaseId, ClockReading};

/// Time of the first event: 2023-11-14T22:13:20Z.
pub(crate) const START: u64 = 1_700_000_000_000_000_000;

pub(crate) struct Recording {
    writer: CaseWriter,
    now: u64,
    ids: u64,
}

impl Recording {
    pub(crate) fn new(dir: &Path) -> Recording {
        let mut config = CaseConfig::new(CaseId([7; 16]), Schema::current());
        config.host.name = "node-1".to_owned();
        let opener = || Opening {
            clock: ClockReading {
                realtime_ns: START,
                ..ClockReading::default()
            },
            state: None,
        };
        let writer = CaseWriter::create(dir, config, Box::new(opener)).expect("creates a case");
        Recording {
            writer,
            now: START,
            ids: 0,
        }
    }

    pub(crate) fn image(
        &mut self,
        name: &str,
        exe: &str,
        args: &[&str],
        parent: Option<&Arc<ProcessImage>>,
        container: Option<&Arc<Container>>,
    ) -> Arc<ProcessImage> {
        self.ids += 1;
        Arc::new(ProcessImage {
            id: self.ids,
            pid: 100 + self.ids as u32,
            ppid: parent.map_or(0, |p| p.pid),
            name: name.into(),
            exe_path: exe.into(),
            argv: args.join("\0").into_bytes().into(),
            user: b"root".to_vec(),
            start_ts: START,
            container: container.cloned(),
            parent: parent.cloned(),
            ..ProcessImage::default()
        })
    }

    pub(crate) fn push(
        &mut self,
        kind: &str,
        image: &Arc<ProcessImage>,
        args: &[(&str, Arg<'_>)],
        ret: i64,
        fd: Option<(i32, &Arc<FdEntry>)>,
    ) {
        let schema = Schema::current();
        let spec = schema.by_name(kind).next().expect("a known event type");
        let mut values = vec![Arg::None; spec.params.len()];
        for (name, value) in args {
            values[spec.param(name).expect("a parameter of the event type")] = *value;
        }
        self.now += 1_000;
        let event = Event {
            ts: self.now,
            kind: spec.id,
            cpu: 0,
            tid: image.pid,
            image: Some(image),
            ret: spec.has_ret.then_some(ret),
            latency: None,
            fd_num: fd.map(|f| f.0),
            fd: fd.map(|f| f.1),
            args: &values,
            data: &[],
        };
        self.writer.push(&event).expect("pushes");
    }

    /// Lets time pass before the next event.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += seconds * 1_000_000_000;
    }

    pub(crate) fn open(&mut self, image: &Arc<ProcessImage>, path: &str) {
        self.ids += 1;
        let file = FdEntry {
            id: self.ids,
            kind: FdKind::File,
            name: path.into(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: None,
        };
        let name = Arg::Path {
            resolved: path.as_bytes(),
            raw: path.as_bytes(),
        };
        self.push(
            "openat",
            image,
            &[("name", name), ("flags", Arg::Num(0))],
            3,
            Some((3, &Arc::new(file))),
        );
    }

    pub(crate) fn connect(&mut self, image: &Arc<ProcessImage>, remote: &str) {
        self.ids += 1;
        let remote: SocketAddr = remote.parse().expect("an address");
        let socket = Socket {
            protocol: 6,
            role: Role::Client,
            local: SocketAddr::from(([10, 0, 0, 2], 40_000)),
            remote,
        };
        let entry = FdEntry {
            id: self.ids,
            kind: FdKind::Ipv4,
            name: Vec::new(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: Some(socket),
        };
        self.push("connect", image, &[], 0, Some((4, &Arc::new(entry))));
    }

    pub(crate) fn exec(&mut self, image: &Arc<ProcessImage>) {
        self.push("execve", image, &[], 0, None);
    }

    pub(crate) fn finish(self, dir: &Path) -> Case {
        self.writer.finish().expect("finishes");
        Case::open(dir).expect("opens")
    }
}

/// The recording that most tests use, the attack `times` times over.
pub(crate) fn attack(dir: &Path, times: usize) -> Case {
    let mut r = Recording::new(dir);
    let web = Arc::new(Container {
        id: "0123456789abcdef".repeat(4),
        engine: "docker".into(),
        name: "web-1".into(),
        image: "registry.local/web:1.2".into(),
        ..Container::default()
    });
    let sshd = r.image("sshd", "/usr/sbin/sshd", &["sshd"], None, None);
    let bash = r.image("bash", "/usr/bin/bash", &["-bash"], Some(&sshd), None);
    let sh = r.image("sh", "/bin/sh", &["sh", "-c", "cat \"x\""], None, Some(&web));
    let cat = r.image("cat", "/bin/cat", &["cat", "/etc/shadow"], Some(&sh), Some(&web));
    let miner = r.image("x", "/tmp/x", &["/tmp/x"], Some(&sh), Some(&web));
    for i in 0..times {
        r.exec(&bash);
        r.open(&bash, "/etc/passwd");
        r.open(&bash, "/etc/shadow");
        r.exec(&cat);
        r.open(&cat, "/etc/shadow");
        r.open(&cat, &format!("/var/lib/data/{i}"));
        r.exec(&miner);
        r.connect(&miner, "203.0.113.7:443");
        r.connect(&bash, "127.0.0.1:22");
        r.push("procexit", &miner, &[("status", Arg::Num(0))], 0, None);
    }
    r.finish(dir)
}
