//! A small recorded world: processes with and without containers, files, sockets, odd bytes, several blocks.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;

use ctrace_trace::case::{Case, CaseConfig, CaseWriter, Opening, Rotation};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::{EventSpec, ParamKind, Schema};
use ctrace_trace::segment::{CaseId, ClockReading, Host};
use ctrace_trace::snapshot::{HostSnapshot, ProcessState};

/// 2026-11-20 23:59:50 UTC: the recording runs into the next day.
pub(crate) const START: u64 = 1_795_219_190_000_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Blocks of the whole case: one for every two seconds.
pub(crate) const BLOCKS: u64 = 12;
/// Events of a block, the special ones aside.
pub(crate) const PER_BLOCK: u64 = 400;

/// A generator of numbers that are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.roll(items.len())]
    }
}

const TEXTS: [&[u8]; 6] = [
    b"plain",
    b"it's",
    b"100%_sure",
    b"two\nlines",
    b"\xff\xfe raw",
    "ünïcode".as_bytes(),
];
const PATHS: [&[u8]; 6] = [
    b"/etc/passwd",
    b"/etc/shadow",
    b"/tmp/x y",
    b"/var/log/syslog",
    b"/usr/lib/libc.so.6",
    b"/tmp/\xc3\x28",
];

pub(crate) struct World {
    per_block: u64,
    late_rows: bool,
    images: Vec<Arc<ProcessImage>>,
    fds: Vec<Arc<FdEntry>>,
}

fn container(id: char, name: &str, image: &str) -> Arc<Container> {
    Arc::new(Container {
        id: std::iter::repeat_n(id, 64).collect(),
        engine: "docker".to_owned(),
        name: name.to_owned(),
        image: image.to_owned(),
        ..Container::default()
    })
}

impl World {
    pub(crate) fn new() -> World {
        let image = |pid: u32, name: &str, argv: &str, parent: Option<&Arc<ProcessImage>>| ProcessImage {
            id: u64::from(pid),
            pid,
            ppid: parent.map_or(0, |p| p.pid),
            vpid: pid % 100,
            sid: 1,
            start_ts: START - u64::from(1000 - pid) * SECOND,
            exec_ts: START - u64::from(1000 - pid) * SECOND + 5,
            name: name.as_bytes().to_vec(),
            exe_path: format!("/usr/bin/{name}").into_bytes(),
            argv: argv.replace(' ', "\0").into_bytes().into(),
            cwd: b"/".to_vec(),
            user: b"root".to_vec(),
            loginuid: u32::MAX,
            parent: parent.cloned(),
            ..ProcessImage::default()
        };
        let init = Arc::new(image(1, "systemd", "/sbin/init", None));
        let shell = Arc::new(image(200, "bash", "bash -l", Some(&init)));
        let user = ProcessImage {
            euid: 1000,
            uid: 1000,
            loginuid: 1000,
            user: b"ada".to_vec(),
            ..image(300, "cat", "cat /etc/passwd", Some(&shell))
        };
        let web = container('a', "web-1", "nginx:1.25");
        // Its name is told only by an event of the engine, later.
        let job = container('b', "", "");
        let nginx = ProcessImage {
            container: Some(web),
            ..image(400, "nginx", "nginx -g daemon", Some(&init))
        };
        let sh = ProcessImage {
            container: Some(job),
            ..image(500, "sh", "sh -c it's", Some(&init))
        };
        let odd = ProcessImage {
            name: b"odd\xff%".to_vec(),
            user: Vec::new(),
            ..image(600, "odd", "", Some(&shell))
        };
        let images = vec![
            init,
            shell,
            Arc::new(user),
            Arc::new(nginx),
            Arc::new(sh),
            Arc::new(odd),
        ];
        World {
            per_block: PER_BLOCK,
            late_rows: false,
            images,
            fds: fds(),
        }
    }

    /// The same with other numbers of events.
    pub(crate) fn with_blocks_of(self, per_block: u64) -> World {
        World { per_block, ..self }
    }

    /// The same with rows that were recorded after later ones.
    pub(crate) fn with_late_rows(self) -> World {
        World {
            late_rows: true,
            ..self
        }
    }

    /// Writes the case.
    pub(crate) fn write(&self, dir: &Path) -> Case {
        let mut config = CaseConfig::new(CaseId(*b"query tests case"), Schema::current());
        config.host = Host {
            name: "lab host".to_owned(),
            ..Host::default()
        };
        config.rotation = Rotation {
            every_ns: Some(9 * SECOND),
            ..Rotation::default()
        };
        let known: Vec<ProcessState> = self
            .images
            .iter()
            .map(|i| ProcessState::new(i, 1, Vec::new()))
            .collect();
        let idle = ProcessState {
            pid: 77,
            ppid: 1,
            start_ts: START - 5000 * SECOND,
            name: b"idle".to_vec(),
            ..ProcessState::default()
        };
        let opener = move || Opening {
            clock: ClockReading {
                realtime_ns: START,
                ..ClockReading::default()
            },
            state: Some(HostSnapshot {
                processes: known.iter().cloned().chain([idle.clone()]).collect(),
                ..HostSnapshot::default()
            }),
        };
        let mut writer = CaseWriter::create(dir, config, Box::new(opener)).expect("the case is created");
        for block in 0..BLOCKS {
            self.block(&mut writer, block);
        }
        writer.finish().expect("the case is finished");
        Case::open(dir).expect("the case opens")
    }

    fn block(&self, writer: &mut CaseWriter, block: u64) {
        let mut dice = Dice::new(block + 1);
        let schema = Schema::current();
        let names: &[&str] = match block {
            3 | 4 => &["read", "write", "close"],
            6 => &["connect", "accept4"],
            _ => &["openat", "read", "write", "close", "execve", "unlinkat", "kill"],
        };
        for i in 0..self.per_block {
            let late = if self.late_rows && i % 10 == 7 {
                SECOND / 1000
            } else {
                0
            };
            let ts = START + block * 2 * SECOND + i * 1000 - late.min(block * SECOND);
            let name = *dice.pick(names);
            let spec = schema.by_name(name).next().expect("a declared event type");
            // Containers act in some blocks only.
            let image = match dice.roll(7) {
                6 => None,
                5 if block != 5 => self.images.get(3),
                4 if block != 8 => self.images.get(1),
                n => self.images.get([0, 1, 2, 5, 4, 3][n]),
            };
            self.event(writer, spec, ts, image, &mut dice);
        }
        let last = START + block * 2 * SECOND + SECOND / 2;
        match block {
            5 => docker(writer, last),
            7 => gap(writer, last),
            9 => audit(writer, last),
            10 => exit(writer, last, &self.images[2]),
            _ => {}
        }
    }

    fn event(
        &self,
        writer: &mut CaseWriter,
        spec: &EventSpec,
        ts: u64,
        image: Option<&Arc<ProcessImage>>,
        dice: &mut Dice,
    ) {
        let args: Vec<Arg<'_>> = spec.params.iter().map(|p| arg(p.kind, dice)).collect();
        let ret = spec.has_ret.then(|| [0, 3, -2, -13, 4096][dice.roll(5)]);
        let fd = (spec.has_fd() && dice.roll(4) != 0).then(|| dice.pick(&self.fds));
        let event = Event {
            ts,
            kind: spec.id,
            cpu: dice.roll(4) as u16,
            tid: image.map_or(0, |i| i.pid + dice.roll(2) as u32),
            image,
            ret,
            latency: None,
            fd_num: fd.map(|_| dice.roll(20) as i32),
            fd,
            args: &args,
            data: b"",
        };
        writer.push(&event).expect("the event is taken");
    }
}

fn arg(kind: ParamKind, dice: &mut Dice) -> Arg<'static> {
    if dice.roll(8) == 0 {
        return Arg::None;
    }
    match kind {
        ParamKind::Str => Arg::Str(dice.pick::<&[u8]>(&TEXTS)),
        ParamKind::Path => {
            let resolved: &[u8] = dice.pick::<&[u8]>(&PATHS);
            Arg::Path {
                resolved,
                raw: if dice.roll(2) == 0 { resolved } else { b"relative" },
            }
        }
        ParamKind::SockAddr => Arg::Str(b"10.0.0.7:443"),
        _ => Arg::Num(dice.roll(300) as i64 - 20),
    }
}

fn fds() -> Vec<Arc<FdEntry>> {
    let entry = |id: u64, kind, name: &[u8], socket| {
        let (name, name_raw) = (name.to_vec(), Vec::new());
        Arc::new(FdEntry {
            id,
            kind,
            name,
            name_raw,
            open_flags: 0,
            dev: 1,
            ino: id,
            socket,
        })
    };
    let address = |last, port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, last), port));
    let socket = |role, port| {
        Some(Socket {
            protocol: 6,
            role,
            local: address(1, 40000),
            remote: address(7, port),
        })
    };
    let files = PATHS
        .iter()
        .zip(1u64..)
        .map(|(path, id)| entry(id, FdKind::File, path, None));
    let others = [
        entry(20, FdKind::Pipe, b"", None),
        entry(21, FdKind::Ipv4, b"", socket(Role::Client, 443)),
        entry(22, FdKind::Ipv4, b"", socket(Role::Server, 22)),
        entry(23, FdKind::Unix, b"/run/x.sock", None),
    ];
    files.chain(others).collect()
}

fn push(writer: &mut CaseWriter, ts: u64, kind: EventType, image: Option<&Arc<ProcessImage>>, args: &[Arg<'_>]) {
    let event = Event {
        ts,
        kind,
        cpu: 0,
        tid: 0,
        image,
        ret: None,
        latency: None,
        fd_num: None,
        fd: None,
        args,
        data: b"",
    };
    writer.push(&event).expect("the event is taken");
}

/// Arguments of an event type by name; the others are not there.
fn named<'a>(kind: EventType, given: &[(&str, Arg<'a>)]) -> Vec<Arg<'a>> {
    let schema = Schema::current();
    let params = &schema.get(kind).expect("a declared event type").params;
    let arg = |name: &str| given.iter().find(|(n, _)| *n == name).map_or(Arg::None, |(_, a)| *a);
    params.iter().map(|p| arg(&p.name)).collect()
}

fn docker(writer: &mut CaseWriter, ts: u64) {
    let id: String = "b".repeat(64);
    for (action, code) in [("start", Arg::None), ("die", Arg::Num(137))] {
        let args = named(
            EventType::DOCKER,
            &[
                ("type", Arg::Str(b"container")),
                ("action", Arg::Str(action.as_bytes())),
                ("id", Arg::Str(id.as_bytes())),
                ("name", Arg::Str(b"job-7")),
                ("image", Arg::Str(b"busybox")),
                ("exit_code", code),
                ("raw", Arg::Str(b"{\"Type\":\"container\"}")),
            ],
        );
        // Such an image is no process; it only tells which container the event is about.
        let about = ProcessImage {
            id: 9999,
            container: Some(container('b', "", "")),
            ..ProcessImage::default()
        };
        push(writer, ts, EventType::DOCKER, Some(&Arc::new(about)), &args);
    }
}

fn gap(writer: &mut CaseWriter, ts: u64) {
    let args = named(
        EventType::GAP,
        &[
            ("source", Arg::Str(b"syscall")),
            ("class", Arg::Num(0)),
            ("count", Arg::Num(42)),
            ("cpu", Arg::Num(-1)),
            ("from", Arg::Num((ts - SECOND) as i64)),
            ("to", Arg::Num(ts as i64)),
        ],
    );
    push(writer, ts, EventType::GAP, None, &args);
}

fn audit(writer: &mut CaseWriter, ts: u64) {
    let args = named(
        EventType::AUDIT,
        &[
            ("serial", Arg::Num(815)),
            ("types", Arg::Str(b"SYSCALL,PATH")),
            ("key", Arg::Str(b"shadow")),
            ("success", Arg::Str(b"no")),
            ("pid", Arg::Num(300)),
            ("exe", Arg::Str(b"/usr/bin/cat")),
            ("raw", Arg::Str(b"type=SYSCALL \x1b[31m")),
        ],
    );
    push(writer, ts, EventType::AUDIT, None, &args);
}

fn exit(writer: &mut CaseWriter, ts: u64, image: &Arc<ProcessImage>) {
    let args = named(
        EventType::PROCEXIT,
        &[("status", Arg::Num(256)), ("ret", Arg::Num(1)), ("sig", Arg::Num(0))],
    );
    push(writer, ts, EventType::PROCEXIT, Some(image), &args);
}
