//! A small recording with one of everything that fields look at.

use std::sync::Arc;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockBuilder, Compressor, Decoder, EncodedBlock, Need};
use ctrace_trace::container::{Container, Mount};
use ctrace_trace::event::{Arg, Event, EventType, Origin, OriginFile};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::{ProcessImage, exe_flag};
use ctrace_trace::schema::Schema;

/// 2024-02-29 23:59:59.000000001 UTC.
pub(crate) const TS: u64 = 1_709_251_199_000_000_001;
/// How long a read took.
const LATENCY: u64 = 1_203_456_789;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The events by name, in the order of their rows.
pub(crate) const EVENTS: [&str; 26] = [
    "open",
    "open fails",
    "relative open",
    "read",
    "connect",
    "connect fails",
    "accept",
    "datagram",
    "exec",
    "clone",
    "rename",
    "link",
    "symlink fails",
    "chmod",
    "setuid",
    "ptrace",
    "host unlink",
    "docker",
    "audit",
    "gap",
    "log",
    "k8s",
    "alert",
    "artifact",
    "exec fails",
    "exec fails untold",
];

pub(crate) struct Scene {
    pub(crate) schema: Arc<Schema>,
    pub(crate) block: EncodedBlock,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let schema = Schema::current();
        let mut builder = BlockBuilder::new(schema.clone());
        let world = World::new();
        for name in EVENTS {
            world.event(name).push(&schema, &mut builder);
        }
        let block = builder
            .finish(100, [0; 32], &mut Compressor::default())
            .expect("the block is small");
        Scene { schema, block }
    }

    pub(crate) fn decode(&self, need: Need) -> Decoded {
        let mut out = Decoded::default();
        out.host.push_str("shop-1");
        Decoder::new()
            .decode(&self.block.head, &self.block.body, &self.schema, need, &mut out)
            .expect("just coded");
        out
    }
}

struct World {
    shell: Arc<ProcessImage>,
    runc: Arc<ProcessImage>,
    only_container: Arc<ProcessImage>,
    file: Arc<FdEntry>,
    notes: Arc<FdEntry>,
    stream: Arc<FdEntry>,
    server: Arc<FdEntry>,
    datagram: Arc<FdEntry>,
}

/// An event with its arguments by name; those not named have no value.
struct Owned<'w> {
    kind: EventType,
    image: Option<&'w Arc<ProcessImage>>,
    ret: Option<i64>,
    fd: Option<(i32, Option<&'w Arc<FdEntry>>)>,
    args: Vec<(&'static str, Arg<'static>)>,
    data: &'static [u8],
}

impl Owned<'_> {
    fn push(&self, schema: &Schema, builder: &mut BlockBuilder) {
        let spec = schema.get(self.kind).expect("declared");
        for (name, _) in &self.args {
            assert!(spec.param(name).is_some(), "{} has no {name}", spec.name);
        }
        let named = |name: &str| self.args.iter().find(|(n, _)| *n == name);
        let value = |name: &str| named(name).map_or(Arg::None, |(_, v)| *v);
        let args: Vec<Arg<'_>> = spec.params.iter().map(|p| value(&p.name)).collect();
        let event = Event {
            ts: TS + builder.len() as u64,
            kind: self.kind,
            cpu: 3,
            tid: self.image.map_or(0, |i| if i.pid == 0 { 0 } else { i.pid + 1 }),
            image: self.image,
            ret: self.ret,
            // As if the beginnings of reads had been recorded.
            latency: (spec.name == "read").then_some(LATENCY),
            fd_num: self.fd.map(|(n, _)| n),
            fd: self.fd.and_then(|(_, entry)| entry),
            args: &args,
            data: self.data,
        };
        let file = Arc::new(OriginFile {
            id: 1,
            name: b"audit.log".to_vec(),
        });
        // As if what is audit's had been imported.
        let origin = (self.kind == EventType::AUDIT).then_some(Origin {
            file: &file,
            offset: 4096,
            line: 17,
        });
        builder.push_from(&event, origin).expect("the block has room");
    }
}

fn container() -> Arc<Container> {
    Arc::new(Container {
        id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".to_owned(),
        engine: "docker".to_owned(),
        name: "web-1".to_owned(),
        image: "registry:5000/shop/web:1.2@sha256:77af".to_owned(),
        image_id: "sha256:c0ffee".to_owned(),
        labels: vec![
            ("app".to_owned(), "shop".to_owned()),
            ("io.kubernetes.pod.name".to_owned(), "web-6f9".to_owned()),
            ("io.kubernetes.pod.namespace".to_owned(), "prod".to_owned()),
        ],
        privileged: Some(false),
        mounts: vec![Mount {
            source: "/srv/data".to_owned(),
            dest: "/data".to_owned(),
            mode: "ro".to_owned(),
            rw: false,
            propagation: "rprivate".to_owned(),
        }],
        ip: "172.17.0.2".to_owned(),
        started_ts: TS - 60 * SECOND,
        ..Container::default()
    })
}

fn file(id: u64, name: &str, raw: &str) -> Arc<FdEntry> {
    Arc::new(FdEntry {
        id,
        kind: FdKind::File,
        name: name.into(),
        name_raw: raw.into(),
        open_flags: 0,
        dev: 0x803,
        ino: 4711,
        socket: None,
    })
}

fn socket(id: u64, protocol: u8, role: Role, local: &str, remote: &str) -> Arc<FdEntry> {
    Arc::new(FdEntry {
        id,
        kind: FdKind::Ipv4,
        name: vec![],
        name_raw: vec![],
        open_flags: 0,
        dev: 0,
        ino: 0,
        socket: Some(Socket {
            protocol,
            role,
            local: local.parse().expect("an address"),
            remote: remote.parse().expect("an address"),
        }),
    })
}

impl World {
    fn new() -> World {
        let runc = Arc::new(ProcessImage {
            id: 1,
            pid: 900,
            ppid: 1,
            vpid: 900,
            sid: 900,
            pgid: 900,
            start_ts: TS - 100 * SECOND,
            name: b"runc".to_vec(),
            exe_path: b"/usr/bin/runc".to_vec(),
            argv: b"runc\0init\0".to_vec().into(),
            loginuid: u32::MAX,
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            ..ProcessImage::default()
        });
        let shell = Arc::new(ProcessImage {
            id: 2,
            pid: 4711,
            ppid: 900,
            vpid: 7,
            sid: 4711,
            pgid: 4711,
            tty: 34816,
            start_ts: TS - 2 * SECOND,
            exec_ts: TS - SECOND,
            name: b"bash".to_vec(),
            exe_path: b"/bin/bash".to_vec(),
            argv: b"/bin/bash\0-c\0cat /etc/shadow\0".to_vec().into(),
            env: b"LD_PRELOAD=/x.so\0HOME=/\0".to_vec().into(),
            cwd: b"/tmp".to_vec(),
            uid: 1000,
            euid: 1000,
            gid: 1000,
            egid: 1000,
            loginuid: 1000,
            login_user: b"ann".to_vec(),
            cap_effective: 0b10_0001,
            exe_ino: 99,
            exe_ctime: TS - 3 * SECOND,
            exe_flags: exe_flag::UPPER_LAYER | exe_flag::WRITABLE,
            container: Some(container()),
            parent: Some(runc.clone()),
            ..ProcessImage::default()
        });
        let only_container = Arc::new(ProcessImage {
            id: 3,
            container: Some(container()),
            ..ProcessImage::default()
        });
        World {
            shell,
            runc,
            only_container,
            file: file(1, "/etc/passwd", ""),
            notes: file(2, "/tmp/notes", "notes"),
            stream: socket(3, 6, Role::Client, "172.17.0.2:40000", "1.2.3.4:80"),
            server: socket(4, 6, Role::Server, "172.17.0.2:8080", "9.8.7.6:5000"),
            datagram: socket(5, 17, Role::Unknown, "0.0.0.0:5353", "0.0.0.0:0"),
        }
    }

    fn by_shell(&self, nr: u32, ret: i64, args: &[(&'static str, Arg<'static>)]) -> Owned<'_> {
        Owned {
            kind: EventType::syscall(nr),
            image: Some(&self.shell),
            ret: Some(ret),
            fd: None,
            args: args.to_vec(),
            data: b"",
        }
    }

    fn other(&self, kind: EventType, args: &[(&'static str, Arg<'static>)]) -> Owned<'_> {
        Owned {
            kind,
            image: None,
            ret: None,
            fd: None,
            args: args.to_vec(),
            data: b"",
        }
    }

    fn open(&self, ret: i64, path: (&'static str, &'static str), flags: i64) -> Owned<'_> {
        let path = Arg::Path {
            resolved: path.0.as_bytes(),
            raw: path.1.as_bytes(),
        };
        let args = [
            ("dirfd", Arg::Num(-100)),
            ("name", path),
            ("flags", Arg::Num(flags)),
            ("mode", Arg::Num(0o644)),
        ];
        self.by_shell(257, ret, &args)
    }

    fn event(&self, name: &str) -> Owned<'_> {
        match name {
            "open" => {
                let mut open = self.open(3, ("/etc/passwd", "/etc/passwd"), 0o2000000);
                open.fd = Some((3, Some(&self.file)));
                open.args.extend([("dev", Arg::Num(0x803)), ("ino", Arg::Num(4711))]);
                open
            }
            "open fails" => self.open(-2, ("/etc/none", "/etc/none"), 0o101),
            "relative open" => Owned {
                fd: Some((4, Some(&self.notes))),
                ..self.open(4, ("/tmp/notes", "notes"), 0o1101)
            },
            "read" => Owned {
                fd: Some((3, Some(&self.file))),
                data: b"root\n",
                ..self.by_shell(0, 5, &[("fd", Arg::Num(3)), ("size", Arg::Num(4096))])
            },
            "connect" => Owned {
                fd: Some((5, Some(&self.stream))),
                ..self.by_shell(42, -115, &[("fd", Arg::Num(5)), ("addr", Arg::Str(b"1.2.3.4:80"))])
            },
            "connect fails" => Owned {
                fd: Some((5, None)),
                ..self.by_shell(42, -111, &[("fd", Arg::Num(5)), ("addr", Arg::Str(b"1.2.3.4:81"))])
            },
            "accept" => Owned {
                fd: Some((6, Some(&self.server))),
                ..self.by_shell(288, 6, &[("sockfd", Arg::Num(4)), ("flags", Arg::Num(0))])
            },
            "datagram" => Owned {
                fd: Some((7, Some(&self.datagram))),
                ..self.by_shell(44, 9, &[("fd", Arg::Num(7)), ("addr", Arg::Str(b"8.8.8.8:53"))])
            },
            other => self.event_without_object(other),
        }
    }

    fn event_without_object(&self, name: &str) -> Owned<'_> {
        const fn path(resolved: &'static [u8]) -> Arg<'static> {
            Arg::Path {
                resolved,
                raw: resolved,
            }
        }
        match name {
            "exec" => self.by_shell(59, 0, &[("filename", path(b"/bin/bash"))]),
            "exec fails" => self.by_shell(
                59,
                -13,
                &[
                    ("filename", path(b"/bin/su")),
                    ("exe", Arg::Str(b"su")),
                    ("args", Arg::Str(b"-\0root\n\0...")),
                ],
            ),
            // What the caller gave could not be read.
            "exec fails untold" => self.by_shell(59, -2, &[("filename", path(b"/bin/none"))]),
            "clone" => self.by_shell(56, 4712, &[("flags", Arg::Num(0x2002_0011))]),
            "rename" => self.by_shell(82, 0, &[("oldpath", path(b"/a")), ("newpath", path(b"/b"))]),
            "link" => self.by_shell(86, 0, &[("oldpath", path(b"/a")), ("newpath", path(b"/b"))]),
            "symlink fails" => self.by_shell(
                88,
                -17,
                &[("target", Arg::Str(b"/etc/shadow")), ("linkpath", path(b"/l"))],
            ),
            "chmod" => self.by_shell(90, 0, &[("filename", path(b"/x")), ("mode", Arg::Num(0o4755))]),
            "setuid" => self.by_shell(105, -1, &[("uid", Arg::Num(0))]),
            "ptrace" => self.by_shell(
                101,
                0,
                &[
                    ("request", Arg::Num(16)),
                    ("pid", Arg::Num(1)),
                    ("addr", Arg::Num(0xABC)),
                    ("data", Arg::Num(0)),
                ],
            ),
            "host unlink" => Owned {
                image: Some(&self.runc),
                ..self.by_shell(87, 0, &[("path", path(b"/run/x"))])
            },
            other => self.event_of_another_source(other),
        }
    }

    fn event_of_another_source(&self, name: &str) -> Owned<'_> {
        match name {
            "docker" => Owned {
                image: Some(&self.only_container),
                ..self.other(
                    EventType::DOCKER,
                    &[
                        ("type", Arg::Str(b"container")),
                        ("action", Arg::Str(b"exec_create: sh")),
                        ("exit_code", Arg::Num(1)),
                        ("raw", Arg::Str(DOCKER_EVENT)),
                    ],
                )
            },
            "audit" => self.other(
                EventType::AUDIT,
                &[
                    ("serial", Arg::Num(42)),
                    ("types", Arg::Str(b"SYSCALL,PATH")),
                    ("key", Arg::Str(b"etc,passwd")),
                    (
                        "raw",
                        Arg::Str(b"type=SYSCALL msg=audit(1.2:42): comm=\"a b\" a0=ff\ntype=PATH item=0"),
                    ),
                ],
            ),
            "gap" => self.other(
                EventType::GAP,
                &[
                    ("source", Arg::Str(b"syscall")),
                    ("class", Arg::Num(1)),
                    ("count", Arg::Num(12)),
                    ("from", Arg::Num(5)),
                    ("to", Arg::Num(6)),
                ],
            ),
            "log" => Owned {
                image: Some(&self.only_container),
                ..self.other(
                    EventType::CONTAINER_LOG,
                    &[
                        ("stream", Arg::Str(b"stderr")),
                        ("message", Arg::Str(b"panic")),
                        ("partial", Arg::Num(1)),
                        ("attrs", Arg::Str(b"{\"tag\":\"web\"}")),
                    ],
                )
            },
            "k8s" => self.other(
                EventType::K8S_AUDIT,
                &[
                    ("raw", Arg::Str(K8S_EVENT)),
                    ("audit_id", Arg::Str(b"55a8")),
                    ("stage", Arg::Str(b"ResponseComplete")),
                    ("verb", Arg::Str(b"create")),
                    ("user", Arg::Str(b"ann")),
                    ("resource", Arg::Str(b"pods")),
                    ("namespace", Arg::Str(b"shop")),
                    ("name", Arg::Str(b"web")),
                    ("code", Arg::Str(b"201")),
                ],
            ),
            "alert" => self.other(
                EventType::LOG,
                &[
                    ("format", Arg::Str(b"falco")),
                    ("type", Arg::Str(b"Shell")),
                    ("severity", Arg::Str(b"Warning")),
                    ("message", Arg::Str(b"a shell")),
                    (
                        "raw",
                        Arg::Str(br#"{"name":"x","output_fields":{"proc.name":"sh","n":7}}"#),
                    ),
                ],
            ),
            "artifact" => Owned {
                image: Some(&self.runc),
                ..self.other(
                    EventType::ARTIFACT,
                    &[
                        ("kind", Arg::Str(b"executable")),
                        ("path", Arg::Str(b"memfd:x")),
                        ("dev", Arg::Num(1)),
                        ("ino", Arg::Num(77)),
                        ("ctime", Arg::Num(8)),
                        ("mtime", Arg::Num(9)),
                        ("size", Arg::Num(43_888)),
                        ("sha256", Arg::Str(b"a7937b64")),
                        ("reason", Arg::Str(b"memory")),
                        ("copy", Arg::Str(b"artifacts/sha256/a7/a7937b64")),
                        ("copy_reason", Arg::Str(b"too large")),
                        ("id", Arg::Num(5)),
                    ],
                )
            },
            other => panic!("{other}"),
        }
    }
}

const DOCKER_EVENT: &[u8] = br#"{"status":"exec_create: sh","id":"c1","from":"web","scope":"local","Actor":{"Attributes":{
"execID":"e1","n":2,"com.docker.stack.namespace":"s","com.docker.swarm.task":"t","com.docker.swarm.task.id":"1",
"com.docker.swarm.task.name":"t.1","com.docker.swarm.service.name":"v","com.docker.swarm.node.id":"n1","state.new":"ready",
"state.old":"down"}}}"#;

/// A request with something to say for every field.
const K8S_EVENT: &[u8] = include_bytes!("k8s-audit.json");
