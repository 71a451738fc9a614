//! Events of a recorded case, as owned values.

use std::collections::BTreeMap;
use std::path::Path;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{EventView, FdView, ImageView};
use ctrace_trace::case::Case;
use ctrace_trace::event::{Arg, EventType};
use ctrace_trace::fd::{FdKind, Socket};
use ctrace_trace::render;
use ctrace_trace::schema::EventSpec;
use ctrace_trace::segment::BlockReader;

/// One recorded event.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) ts: u64,
    pub(crate) tid: u32,
    pub(crate) spec: EventSpec,
    pub(crate) ret: Option<i64>,
    pub(crate) fd_num: Option<i64>,
    pub(crate) fd: Option<SeenFd>,
    /// By parameter; those without a value are left out.
    pub(crate) args: BTreeMap<String, Value>,
    /// The same as text.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) image: SeenImage,
    /// `evt.args`, for messages.
    pub(crate) line: String,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Num(i64),
    Str(Vec<u8>),
    Path { resolved: Vec<u8>, raw: Vec<u8> },
}

/// What a descriptor refers to.
#[derive(Clone, Debug)]
pub(crate) struct SeenFd {
    pub(crate) kind: FdKind,
    pub(crate) name: Vec<u8>,
    pub(crate) open_flags: u32,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) socket: Option<Socket>,
}

/// Who acted.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenImage {
    pub(crate) pid: u32,
    pub(crate) ppid: u32,
    pub(crate) parent: u32,
    pub(crate) sid: u32,
    pub(crate) pgid: u32,
    pub(crate) ids: [u32; 4],
    pub(crate) caps: [u64; 3],
    pub(crate) name: Vec<u8>,
    pub(crate) exe: Vec<u8>,
    pub(crate) argv: Vec<u8>,
    pub(crate) cwd: Vec<u8>,
}

impl Seen {
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(crate) fn num(&self, name: &str) -> Option<i64> {
        match self.args.get(name) {
            Some(Value::Num(v)) => Some(*v),
            _ => None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<(&[u8], &[u8])> {
        match self.args.get(name) {
            Some(Value::Path { resolved, raw }) => Some((resolved, raw)),
            _ => None,
        }
    }

    fn of(event: EventView<'_>) -> Seen {
        let spec = event.spec().expect("a type").clone();
        let (mut args, mut texts) = (BTreeMap::new(), BTreeMap::new());
        for (slot, param) in spec.params.iter().enumerate() {
            let value = match event.arg(slot) {
                Arg::None => continue,
                Arg::Num(v) => Value::Num(v),
                Arg::Str(s) => Value::Str(s.to_vec()),
                Arg::Path { resolved, raw } => Value::Path {
                    resolved: resolved.to_vec(),
                    raw: raw.to_vec(),
                },
            };
            args.insert(param.name.clone(), value);
            let text = render::arg(event, slot).unwrap_or_default();
            texts.insert(param.name.clone(), String::from_utf8_lossy(&text).into_owned());
        }
        Seen {
            ts: event.ts(),
            tid: event.context().map_or(0, |c| c.tid),
            ret: event.ret(),
            fd_num: event.fd_num(),
            fd: event.fd().map(SeenFd::of),
            args,
            texts,
            image: event.image().map(SeenImage::of).unwrap_or_default(),
            line: format!("{} {}", spec.name, String::from_utf8_lossy(&render::args(event))),
            spec,
        }
    }
}

impl SeenFd {
    fn of(fd: FdView<'_>) -> SeenFd {
        SeenFd {
            kind: fd.entry.kind,
            name: fd.path().to_vec(),
            open_flags: fd.entry.open_flags,
            dev: fd.entry.dev,
            ino: fd.entry.ino,
            socket: fd.entry.socket.as_deref().cloned(),
        }
    }
}

impl SeenImage {
    fn of(image: ImageView<'_>) -> SeenImage {
        let e = image.entry;
        SeenImage {
            pid: e.pid,
            ppid: e.ppid,
            parent: image.parent().map_or(0, |p| p.entry.pid),
            sid: e.sid,
            pgid: e.pgid,
            ids: [e.uid, e.euid, e.gid, e.egid],
            caps: [e.cap_permitted, e.cap_effective, e.cap_inheritable],
            name: image.str(e.name).to_vec(),
            exe: image.str(e.exe_path).to_vec(),
            argv: image.str(e.argv).to_vec(),
            cwd: image.str(e.cwd).to_vec(),
        }
    }
}

/// The syscalls and ends of processes in a case, by thread, in order of time.
pub(crate) fn read(path: &Path) -> BTreeMap<u32, Vec<Seen>> {
    let case = Case::open(path).expect("a case");
    assert!(case.problems().is_empty(), "{:?}", case.problems());
    let mut reader = BlockReader::new();
    let mut events: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    for block in case.blocks() {
        for event in reader.read(block, Need::ALL).expect("a whole block").events() {
            let kind = event.kind().expect("a type");
            assert_ne!(kind, EventType::GAP, "the recorder lost events: {:?}", Seen::of(event));
            if kind.is_syscall() || kind == EventType::PROCEXIT {
                let seen = Seen::of(event);
                events.entry(seen.tid).or_default().push(seen);
            }
        }
    }
    for thread in events.values_mut() {
        thread.sort_by_key(|e| e.ts);
    }
    events
}
