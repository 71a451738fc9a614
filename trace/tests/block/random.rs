//! Random schemas and events, the same in every run: all parameter kinds, absent values, hostile strings, times that
//! jump, many CPUs.

use std::net::SocketAddr;
use std::sync::Arc;

use ctrace_trace::block::{BlockBuilder, Compressor, EncodedBlock};
use ctrace_trace::container::{Container, Mount};
use ctrace_trace::event::{Arg, Event, EventType, Origin, OriginFile, Source};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::{Namespaces, ProcessImage};
use ctrace_trace::schema::{EventSpec, FdUse, NameSet, Param, ParamKind, Schema};

/// A deterministic source of chance (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Small and large numbers, and the edges of ranges.
    fn number(&mut self) -> i64 {
        match self.below(6) {
            0 => *self.pick(&[0, 1, -1, i64::MAX, i64::MIN + 1, 0xFFFF_FFFF, -2, 127, 128]),
            1 => self.next() as i64 | 1,
            _ => self.next() as i64 >> (20 + self.below(43)),
        }
    }

    /// Bytes as a hostile program may choose them.
    fn bytes(&mut self) -> Vec<u8> {
        match self.below(8) {
            0 => Vec::new(),
            1 => b"\0\xff\xfe\n\x1b[2J/".to_vec(),
            2 => (0..self.below(300)).map(|_| self.next() as u8).collect(),
            3 => vec![b'a'; self.below(70)],
            _ => format!("/dir{}/sub/file{}", self.below(4), self.below(60)).into_bytes(),
        }
    }
}

const KINDS: [ParamKind; 16] = [
    ParamKind::Int,
    ParamKind::Uint,
    ParamKind::Flags(NameSet::Open),
    ParamKind::Enum(NameSet::Whence),
    ParamKind::Mode,
    ParamKind::Fd,
    ParamKind::Pid,
    ParamKind::Uid,
    ParamKind::Gid,
    ParamKind::Signal,
    ParamKind::Addr,
    ParamKind::Size,
    ParamKind::Str,
    ParamKind::Path,
    ParamKind::SockAddr,
    ParamKind::Addr,
];

/// So many event types with random parameters, numbered 3, 6, 9 …
pub(crate) fn schema(types: usize, chance: &mut Chance) -> Arc<Schema> {
    let spec = |i: usize, chance: &mut Chance| EventSpec {
        id: EventType(i as u16 * 3 + 3),
        name: format!("type{i}"),
        source: *chance.pick(&Source::ALL),
        hot: chance.below(2) == 0,
        fd: *chance.pick(&[FdUse::None, FdUse::Ret, FdUse::Arg(0)]),
        has_ret: chance.below(4) > 0,
        params: (0..chance.below(8))
            .map(|p| Param {
                name: format!("p{p}"),
                kind: *chance.pick(&KINDS),
                arg: None,
            })
            .collect(),
    };
    Arc::new(Schema::new((0..types).map(|i| spec(i, chance)).collect()))
}

/// What events refer to.
pub(crate) struct World {
    pub(crate) images: Vec<Arc<ProcessImage>>,
    pub(crate) fds: Vec<Arc<FdEntry>>,
    /// Files that events were imported from.
    files: Vec<Arc<OriginFile>>,
}

impl World {
    pub(crate) fn new(chance: &mut Chance) -> World {
        let containers: Vec<Arc<Container>> = (0..4).map(|i| Arc::new(container(i, chance))).collect();
        let mut images: Vec<Arc<ProcessImage>> = Vec::new();
        for id in 0..60 {
            let parent = (id > 0 && chance.below(5) > 0).then(|| chance.pick(&images).clone());
            let container = (chance.below(3) == 0).then(|| chance.pick(&containers).clone());
            images.push(Arc::new(image(id + 100, parent, container, chance)));
        }
        // The same content behind another pointer.
        let twin = Arc::new((*containers[0]).clone());
        images.push(Arc::new(image(999, None, Some(twin), chance)));
        let fds = (0..80).map(|id| Arc::new(fd(id + 1, chance))).collect();
        let file = |id, chance: &mut Chance| OriginFile {
            id,
            name: chance.bytes(),
        };
        let files = (1..5).map(|id| Arc::new(file(id, chance))).collect();
        World { images, fds, files }
    }
}

fn container(i: u64, chance: &mut Chance) -> Container {
    let text = |chance: &mut Chance| String::from_utf8_lossy(&chance.bytes()).into_owned();
    Container {
        id: format!("{:064x}", u128::from(chance.next()) << 64 | u128::from(i)),
        engine: "docker".into(),
        name: text(chance),
        labels: (0..chance.below(3)).map(|_| (text(chance), text(chance))).collect(),
        privileged: *chance.pick(&[None, Some(false), Some(true)]),
        mounts: (0..chance.below(3))
            .map(|_| Mount {
                source: text(chance),
                ..Mount::default()
            })
            .collect(),
        created_ts: chance.next(),
        ..Container::default()
    }
}

fn image(
    id: u64,
    parent: Option<Arc<ProcessImage>>,
    container: Option<Arc<Container>>,
    c: &mut Chance,
) -> ProcessImage {
    let pid = *c.pick(&[7, 8, 9, u32::MAX]);
    ProcessImage {
        id,
        pid,
        ppid: parent.as_ref().map_or(0, |p| p.pid),
        vpid: c.below(3) as u32,
        sid: c.next() as u32,
        pgid: pid,
        tty: c.below(2) as u32,
        start_ts: *c.pick(&[0, 1 << 60, u64::MAX]),
        exec_ts: c.next(),
        name: c.bytes(),
        exe_path: c.bytes(),
        argv: c.bytes().into(),
        env: c.bytes().into(),
        cwd: c.bytes(),
        cgroup: c.bytes(),
        uid: 0,
        euid: *c.pick(&[0, 1000, u32::MAX]),
        gid: 5,
        egid: c.next() as u32,
        loginuid: u32::MAX,
        user: c.bytes(),
        group: c.bytes(),
        login_user: Vec::new(),
        cap_permitted: c.next(),
        cap_effective: u64::MAX,
        cap_inheritable: 0,
        exe_ino: c.next(),
        exe_ctime: c.next(),
        exe_mtime: 0,
        exe_flags: c.next() as u8,
        namespaces: Namespaces {
            mnt: u32::MAX,
            pid: 1,
            net: c.next() as u32,
            user: 0,
        },
        container,
        parent,
    }
}

fn fd(id: u64, c: &mut Chance) -> FdEntry {
    let addresses: [SocketAddr; 5] = [
        "1.2.3.4:80".parse().expect("an address"),
        "0.0.0.0:0".parse().expect("an address"),
        "[::1]:65535".parse().expect("an address"),
        "[fe80::1%7]:22".parse().expect("an address"),
        "[::]:0".parse().expect("an address"),
    ];
    let name = c.bytes();
    let name_raw = match c.below(4) {
        0 => name.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec(),
        1 => name[name.len() / 2..].to_vec(),
        2 => c.bytes(),
        _ => Vec::new(),
    };
    FdEntry {
        id,
        kind: FdKind::from_u8(c.below(19) as u8),
        name,
        name_raw,
        open_flags: c.next() as u32,
        dev: c.below(3) as u64,
        ino: *c.pick(&[0, 5, u64::MAX, 1 << 40]),
        socket: (c.below(3) == 0).then(|| Socket {
            protocol: c.next() as u8,
            role: *c.pick(&[Role::Unknown, Role::Client, Role::Server]),
            local: *c.pick(&addresses),
            remote: *c.pick(&addresses),
        }),
    }
}

/// An argument that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) enum OwnedArg {
    None,
    Num(i64),
    Str(Vec<u8>),
    Path(Vec<u8>, Vec<u8>),
}

impl OwnedArg {
    pub(crate) fn borrow(&self) -> Arg<'_> {
        match self {
            OwnedArg::None => Arg::None,
            OwnedArg::Num(v) => Arg::Num(*v),
            OwnedArg::Str(s) => Arg::Str(s),
            OwnedArg::Path(resolved, raw) => Arg::Path { resolved, raw },
        }
    }
}

/// An event that owns its parts.
#[derive(Clone, Debug)]
pub(crate) struct OwnedEvent {
    pub(crate) ts: u64,
    pub(crate) kind: EventType,
    pub(crate) cpu: u16,
    pub(crate) tid: u32,
    pub(crate) image: Option<Arc<ProcessImage>>,
    pub(crate) ret: Option<i64>,
    pub(crate) latency: Option<u64>,
    pub(crate) fd_num: Option<i32>,
    pub(crate) fd: Option<Arc<FdEntry>>,
    pub(crate) args: Vec<OwnedArg>,
    pub(crate) data: Vec<u8>,
    /// File, offset and line.
    pub(crate) origin: Option<(Arc<OriginFile>, u64, u64)>,
}

impl OwnedEvent {
    pub(crate) fn push_to(&self, builder: &mut BlockBuilder) {
        let args: Vec<Arg<'_>> = self.args.iter().map(OwnedArg::borrow).collect();
        let event = Event {
            ts: self.ts,
            kind: self.kind,
            cpu: self.cpu,
            tid: self.tid,
            image: self.image.as_ref(),
            ret: self.ret,
            latency: self.latency,
            fd_num: self.fd_num,
            fd: self.fd.as_ref(),
            args: &args,
            data: &self.data,
        };
        let origin = self.origin.as_ref().map(|(file, offset, line)| Origin {
            file,
            offset: *offset,
            line: *line,
        });
        builder.push_from(&event, origin).expect("the event fits its schema");
    }
}

/// So many random events.
pub(crate) fn events(n: usize, schema: &Schema, world: &World, chance: &mut Chance) -> Vec<OwnedEvent> {
    let mut ts = 1_750_000_000_000_000_000;
    (0..n).map(|_| event(schema, world, &mut ts, chance)).collect()
}

fn event(schema: &Schema, world: &World, ts: &mut u64, c: &mut Chance) -> OwnedEvent {
    *ts = match c.below(50) {
        0 => ts.wrapping_sub(c.next() >> 34),
        1 => c.next(),
        2 => ts.wrapping_add(0xFF_FFFF),
        _ => ts.wrapping_add(c.next() >> 44),
    };
    // Few types often and many seldom, as on a host.
    let types = schema.specs().len();
    let many = c.below(4) == 0;
    let spec = &schema.specs()[c.below(if many { types } else { types.min(7) })];
    let fd = (c.below(3) > 0).then(|| c.pick(&world.fds).clone());
    let ret = (c.below(5) > 0).then(|| c.number());
    let args = spec.params.iter().map(|p| arg(p.kind, fd.as_deref(), c)).collect();
    OwnedEvent {
        ts: *ts,
        kind: spec.id,
        cpu: *c.pick(&[0, 1, 2, 255, 256, u16::MAX]),
        tid: c.below(4) as u32,
        image: (c.below(10) > 0).then(|| c.pick(&world.images).clone()),
        ret,
        // Mostly microseconds, and what does not fit is as much as does.
        latency: match c.below(20) {
            0 => Some(c.next() >> 1),
            1 => Some(0),
            2..8 => None,
            _ => Some(c.next() >> 50),
        },
        fd_num: (c.below(4) > 0).then(|| *c.pick(&[0, 1, 3, 17, i32::MIN, i32::MAX, ret.unwrap_or(3) as i32])),
        fd,
        args,
        data: if c.below(6) == 0 { c.bytes() } else { Vec::new() },
        origin: (c.below(4) > 0).then(|| origin(world, *ts, c)),
    }
}

/// Mostly a little behind the one before.
fn origin(world: &World, ts: u64, c: &mut Chance) -> (Arc<OriginFile>, u64, u64) {
    let file = c.pick(&world.files).clone();
    match c.below(20) {
        0 => (file, c.next(), c.next()),
        1 => (file, 0, 0),
        _ => (file, ts >> 22, ts >> 30 & 0xFFFF),
    }
}

fn arg(kind: ParamKind, fd: Option<&FdEntry>, c: &mut Chance) -> OwnedArg {
    if c.below(6) == 0 {
        return OwnedArg::None;
    }
    match kind {
        ParamKind::Str | ParamKind::SockAddr => OwnedArg::Str(c.bytes()),
        ParamKind::Path => path(fd, c),
        ParamKind::Uint if c.below(3) == 0 => OwnedArg::Num(fd.map_or(0, |fd| fd.ino as i64)),
        _ => OwnedArg::Num(c.number()),
    }
}

fn path(fd: Option<&FdEntry>, c: &mut Chance) -> OwnedArg {
    let resolved = match fd {
        Some(fd) if c.below(2) == 0 => fd.name.clone(),
        _ => c.bytes(),
    };
    let raw = match (c.below(5), fd) {
        (0, _) => resolved.clone(),
        (1, _) => resolved[resolved.len() / 3..].to_vec(),
        (2, Some(fd)) => fd.name_raw.clone(),
        (3, _) => resolved.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec(),
        _ => c.bytes(),
    };
    OwnedArg::Path(resolved, raw)
}

/// The events as one block.
pub(crate) fn block(schema: &Arc<Schema>, events: &[OwnedEvent]) -> EncodedBlock {
    let mut builder = BlockBuilder::new(schema.clone());
    events.iter().for_each(|e| e.push_to(&mut builder));
    builder
        .finish(17, [3; 32], &mut Compressor::default())
        .expect("a block encodes")
}
