//! Makes records byte by byte, feeds them to a resolver and keeps what comes out.

use std::collections::HashMap;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;
use ctrace_wire::record::{self, Cgroup, Exec, Exit, Fork, Header, Syscall};
use ctrace_wire::section;

use crate::resolver::{Clock, Config, Host, NoHost, Resolver, Snapshot, SnapshotFd, SnapshotProcess};
use crate::syscall::Record;

/// UTC minus boot clock in these tests.
pub(super) const OFFSET: i64 = 1_000_000_000_000;
/// The cgroup that records carry unless they say otherwise.
pub(super) const CGROUP: u64 = 100;

/// An event as a test looks at it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) ts: u64,
    pub(super) kind: EventType,
    pub(super) name: String,
    pub(super) tid: u32,
    pub(super) ret: Option<i64>,
    pub(super) image: Option<Arc<ProcessImage>>,
    pub(super) fd_num: Option<i32>,
    pub(super) fd: Option<Arc<FdEntry>>,
    pub(super) args: HashMap<String, String>,
}

impl Seen {
    pub(super) fn of(event: &Event<'_>) -> Seen {
        let schema = Schema::current();
        let spec = schema.get(event.kind).expect("a declared event type");
        assert_eq!(spec.params.len(), event.args.len(), "arguments of {}", spec.name);
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let args = spec.params.iter().zip(event.args).map(|(param, arg)| {
            let value = match arg {
                Arg::None => "-".to_owned(),
                Arg::Num(n) => n.to_string(),
                Arg::Str(s) => text(s),
                Arg::Path { resolved, raw } => format!("{} <- {}", text(resolved), text(raw)),
            };
            (param.name.clone(), value)
        });
        Seen {
            ts: event.ts,
            kind: event.kind,
            name: spec.name.clone(),
            tid: event.tid,
            ret: event.ret,
            image: event.image.cloned(),
            fd_num: event.fd_num,
            fd: event.fd.cloned(),
            args: args.collect(),
        }
    }

    #[track_caller]
    pub(super) fn image(&self) -> &ProcessImage {
        self.image.as_deref().expect("an image")
    }

    #[track_caller]
    pub(super) fn arg(&self, name: &str) -> &str {
        self.args.get(name).expect("a parameter of that name")
    }

    /// Name of what is behind the descriptor; `?` where that is unknown.
    pub(super) fn fd_name(&self) -> String {
        self.fd
            .as_ref()
            .map_or("?".to_owned(), |fd| String::from_utf8_lossy(&fd.name).into_owned())
    }
}

/// A resolver, a clock that ticks with every record, and the events so far.
pub(super) struct World {
    pub(super) resolver: Resolver,
    pub(super) now: u64,
    pub(super) events: Vec<Seen>,
    pub(super) cgroup: u64,
    pub(super) pid_ns: u32,
    /// The id that the next children have in that namespace; their own unless it is told.
    pub(super) vpid: Option<u32>,
    /// What the next children share with their parents.
    pub(super) shared: u32,
    /// The descriptors that the next programs start with, where records say that.
    pub(super) open_fds: Vec<u8>,
}

impl World {
    /// A host with `init` (1) and a shell (10) in `/home/u`, which has 0, 1 and 2 open.
    pub(super) fn new() -> World {
        World::with(Config::default(), Box::new(NoHost))
    }

    pub(super) fn with(config: Config, host: Box<dyn Host>) -> World {
        let snapshot = Snapshot {
            processes: vec![process(10, 1, "sh", "/home/u"), process(1, 0, "init", "/")],
            cgroups: vec![(CGROUP, b"/user.slice".to_vec())],
            users: [(0, b"root".to_vec()), (1000, b"u".to_vec())].into(),
            groups: [(0, b"root".to_vec())].into(),
            ..Snapshot::default()
        };
        World {
            resolver: Resolver::new(config, snapshot, host),
            now: 1_000_000,
            events: Vec::new(),
            cgroup: CGROUP,
            pid_ns: 1,
            vpid: None,
            shared: 0,
            open_fds: Vec::new(),
        }
    }

    pub(super) fn header(&mut self, pid: u32, tid: u32) -> Header {
        self.now += 1000;
        Header {
            ts: self.now,
            tgid: pid,
            tid,
            cgroup: self.cgroup,
            cpu: 1,
            ..Header::default()
        }
    }

    /// Feeds a record; the events it made.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.feed_at(bytes, OFFSET)
    }

    /// The same by a clock of another offset.
    pub(super) fn feed_at(&mut self, bytes: &[u8], offset_ns: i64) -> Vec<Seen> {
        let record = Record::parse(bytes).expect("a record");
        let mut seen = Vec::new();
        let clock = Clock { offset_ns };
        self.resolver
            .record(&record, &clock, &mut |event| seen.push(Seen::of(event)));
        assert!(seen.len() <= 2, "a call, and the end of its process");
        self.events.extend(seen.clone());
        seen
    }

    pub(super) fn fork(&mut self, parent: u32, child: u32) {
        let fork = self.fork_record(parent, child);
        self.feed(&fork);
    }

    pub(super) fn fork_record(&mut self, parent: u32, child: u32) -> Vec<u8> {
        self.fork_record_by(parent, parent, child)
    }

    /// The same by another thread than the first.
    pub(super) fn fork_record_by(&mut self, parent: u32, tid: u32, child: u32) -> Vec<u8> {
        let header = self.header(parent, tid);
        bytes(
            record::KIND_FORK,
            &Fork {
                child_tgid: child,
                child_tid: child,
                child_start: header.ts - 1,
                child_cgroup: self.cgroup,
                child_vtid: child,
                child_vpid: self.vpid.unwrap_or(child),
                child_ppid: parent,
                child_pid_ns: self.pid_ns,
                shared: self.shared,
                reserved: 0,
                comm: self.comm(parent, "sh"),
                header,
            },
            &[],
        )
    }

    /// The name that the kernel has of a process; another one where nobody told it.
    fn comm(&self, pid: u32, unknown: &str) -> [u8; 16] {
        let image = self.resolver.image_of(pid).filter(|image| !image.name.is_empty());
        let known = image.map(|image| String::from_utf8_lossy(&image.name).into_owned());
        name16(known.as_deref().unwrap_or(unknown))
    }

    /// The end of a process that wrote itself another name.
    pub(super) fn exit_named(&mut self, pid: u32, name: &str) -> Vec<Seen> {
        let exit = Exit {
            header: self.header(pid, pid),
            start: 1,
            call: record::NO_CALL,
            comm: name16(name),
            ..Exit::default()
        };
        self.feed(&bytes(record::KIND_EXIT, &exit, &[]))
    }

    pub(super) fn thread(&mut self, pid: u32, by: u32, tid: u32) {
        let header = self.header(pid, by);
        let fork = Fork {
            child_tgid: pid,
            child_tid: tid,
            child_start: header.ts - 1,
            child_cgroup: self.cgroup,
            shared: record::SHARED_FS | record::SHARED_FILES,
            header,
            ..Fork::default()
        };
        self.feed(&bytes(record::KIND_FORK, &fork, &[]));
    }

    pub(super) fn exec(&mut self, pid: u32, path: &str, argv: &str) -> Seen {
        let exec = self.exec_record(pid, pid, path, argv);
        self.feed(&exec).remove(0)
    }

    /// The start of a script, which `/bin/sh` interprets.
    pub(super) fn script(&mut self, pid: u32, filename: &str) -> Seen {
        let argv = format!("/bin/sh {filename}");
        let exec = self.start_record((pid, pid), (filename, "/bin/sh"), &argv);
        self.feed(&exec).remove(0)
    }

    pub(super) fn exec_record(&mut self, pid: u32, old_tid: u32, path: &str, argv: &str) -> Vec<u8> {
        self.start_record((pid, old_tid), (path, path), argv)
    }

    /// A program starts by a file name; where that is another one than its path, it is an interpreter.
    fn start_record(&mut self, (pid, old_tid): (u32, u32), (filename, path): (&str, &str), argv: &str) -> Vec<u8> {
        let comm = filename.rsplit('/').next().unwrap_or_default();
        let exec = Exec {
            header: self.header(pid, pid),
            old_tid,
            start: u64::MAX,
            parent_start: u64::MAX,
            ppid: 1,
            loginuid: 1000,
            cap_permitted: 0xff,
            cap_effective: 0xff,
            sid: pid,
            pgid: pid,
            vpid: pid,
            mnt_ns: 1,
            pid_ns: self.pid_ns,
            net_ns: 1,
            user_ns: 0xEFFF_FFFD,
            comm: name16(comm),
            ..Exec::default()
        };
        let file = section::File {
            ino: 77,
            mode: 0o100_755,
            dev: 8 << 20 | 1,
            ctime_s: 5,
            mtime_s: 4,
            ..section::File::default()
        };
        let mut parts = vec![
            part(section::EXEC_FILENAME, 0, filename.as_bytes()),
            part(section::EXEC_ARGV, 0, argv.replace(' ', "\0").as_bytes()),
            part(section::EXEC_ENV, 0, b"HOME=/\0LD_PRELOAD=/x.so\0PATH=/bin\0"),
            part(section::FILE, 0, raw(&file)),
            part(section::FILE_PATH, 0, &components(path)),
            part(section::CWD, 0, &components("/home/u")),
        ];
        if !self.open_fds.is_empty() {
            parts.push(part(section::OPEN_FDS, 0, &self.open_fds));
        }
        if filename != path {
            parts.push(part(section::EXEC_INTERP, 0, path.as_bytes()));
        }
        bytes(record::KIND_EXEC, &exec, &parts)
    }

    /// The last thread of a process ends.
    pub(super) fn exit(&mut self, pid: u32, status: u32) -> Vec<Seen> {
        self.exit_thread(pid, pid, status, 0, 0)
    }

    pub(super) fn exit_thread(&mut self, pid: u32, tid: u32, status: u32, left: u32, group: u32) -> Vec<Seen> {
        let exit = Exit {
            header: self.header(pid, tid),
            exit_code: status,
            threads_left: left,
            group_exit_code: group,
            start: 1,
            call: record::NO_CALL,
            ..Exit::default()
        };
        self.feed(&bytes(record::KIND_EXIT, &exit, &[]))
    }

    /// The last thread of a process ends itself by `exit_group`.
    pub(super) fn leave(&mut self, pid: u32, status: i32) -> Vec<Seen> {
        self.leave_by(pid, pid, status)
    }

    /// The same by another thread than the first.
    pub(super) fn leave_by(&mut self, pid: u32, tid: u32, status: i32) -> Vec<Seen> {
        let exit = Exit {
            header: self.header(pid, tid),
            exit_code: (status as u32 & 0xff) << 8,
            start: 1,
            call: 231,
            status,
            comm: self.comm(pid, "leaver"),
            ..Exit::default()
        };
        self.feed(&bytes(record::KIND_EXIT, &exit, &[]))
    }

    /// A thread ends itself by `exit`, and so many go on.
    pub(super) fn end_thread(&mut self, pid: u32, tid: u32, left: u32) -> Seen {
        let exit = Exit {
            header: self.header(pid, tid),
            threads_left: left,
            start: 1,
            call: 60,
            ..Exit::default()
        };
        self.feed(&bytes(record::KIND_EXIT, &exit, &[])).remove(0)
    }

    pub(super) fn mkdir_cgroup(&mut self, id: u64, path: &str) {
        let header = self.header(1, 1);
        let cgroup = Cgroup {
            header,
            id,
            ..Cgroup::default()
        };
        self.feed(&bytes(
            record::KIND_CGROUP_MKDIR,
            &cgroup,
            &[part(section::CGROUP_PATH, 0, path.as_bytes())],
        ));
    }

    /// A syscall that a process made with its first thread.
    pub(super) fn call(&mut self, pid: u32, name: &str, ret: i64, args: &[i64]) -> CallBuilder<'_> {
        let mut registers = [0; 6];
        for (register, arg) in registers.iter_mut().zip(args) {
            *register = *arg as u64;
        }
        CallBuilder {
            nr: number(name),
            header: self.header(pid, pid),
            world: self,
            ret,
            args: registers,
            parts: Vec::new(),
            kind: record::KIND_SYSCALL + record::MAX_ARGS as u8,
        }
    }

    /// A call without sections.
    pub(super) fn plain(&mut self, pid: u32, name: &str, ret: i64, args: &[i64]) -> Seen {
        self.call(pid, name, ret, args).go()
    }

    /// Opens a file by an absolute path that the kernel confirms.
    pub(super) fn open(&mut self, pid: u32, path: &str, fd: i64, flags: i32) -> Seen {
        self.call(pid, "openat", fd, &[-100, 1, i64::from(flags)])
            .text(1, path)
            .file(path, 5)
            .go()
    }

    pub(super) fn image(&self, pid: u32) -> Arc<ProcessImage> {
        self.resolver.image_of(pid).expect("a known process")
    }

    /// The descriptors of a process, as `number name`.
    pub(super) fn fds(&self, pid: u32) -> Vec<String> {
        let states = self.resolver.snapshot();
        let state = states.iter().find(|s| s.image.pid == pid).expect("a known process");
        let name = |e: &FdEntry| String::from_utf8_lossy(&e.name).into_owned();
        state
            .fds
            .iter()
            .map(|(fd, entry)| format!("{fd} {}", name(entry)))
            .collect()
    }
}

/// A syscall on its way.
pub(super) struct CallBuilder<'w> {
    world: &'w mut World,
    nr: i32,
    header: Header,
    ret: i64,
    args: [u64; 6],
    parts: Vec<Vec<u8>>,
    kind: u8,
}

impl CallBuilder<'_> {
    pub(super) fn by(mut self, tid: u32) -> Self {
        self.header.tid = tid;
        self
    }

    pub(super) fn at(mut self, ts: u64) -> Self {
        self.header.ts = ts;
        self
    }

    pub(super) fn compat(mut self, nr: i32) -> Self {
        self.header.flags |= record::FLAG_COMPAT;
        self.nr = nr;
        self
    }

    pub(super) fn nr(mut self, nr: i32) -> Self {
        self.nr = nr;
        self
    }

    /// Marked by the kernel side as one whose result is made up.
    pub(super) fn untrue(mut self) -> Self {
        self.header.flags |= record::FLAG_UNTRUE;
        self
    }

    /// Marked by the kernel side as one whose name is empty.
    pub(super) fn unnamed(mut self) -> Self {
        self.header.flags |= record::FLAG_EMPTY_NAME;
        self
    }

    pub(super) fn entering(mut self) -> Self {
        self.kind = record::KIND_SYSCALL_ENTER + record::MAX_ARGS as u8;
        self
    }

    pub(super) fn part(mut self, kind: u8, arg: u8, data: &[u8]) -> Self {
        self.parts.push(part(kind, arg, data));
        self
    }

    pub(super) fn text(self, arg: u8, text: &str) -> Self {
        self.part(section::STRING, arg, text.as_bytes())
    }

    pub(super) fn pair(self, arg: u8, pair: [i32; 2]) -> Self {
        let bytes = pair.map(i32::to_ne_bytes).concat();
        self.part(section::I32_PAIR, arg, &bytes)
    }

    /// The kernel's file object of the descriptor.
    pub(super) fn file(self, path: &str, ino: u64) -> Self {
        self.file_of(path, ino, libc::S_IFREG, 0)
    }

    pub(super) fn directory(self, path: &str) -> Self {
        self.file_of(path, 2, libc::S_IFDIR, 0)
    }

    /// The same of one that is mounted nowhere, by its path in its file system.
    /// From where the kernel lets relative names lead on.
    pub(super) fn base(self, path: &str) -> Self {
        self.part(section::FILE_PATH, 0, &components(path))
    }

    pub(super) fn root(self, path: &str) -> Self {
        self.part(section::ROOT, 0, &components(path))
    }

    pub(super) fn detached(self, path: &str, mode: u32) -> Self {
        self.file_of(path, 3, mode, section::ARG_DETACHED)
    }

    /// The caller's working directory when the call returns.
    pub(super) fn cwd(self, path: &str) -> Self {
        self.part(section::CWD, 0, &components(path))
    }

    /// The same of one whose directories the kernel does not know.
    pub(super) fn disconnected(self, ino: u64) -> Self {
        let file = section::File {
            ino,
            mode: libc::S_IFREG,
            flags: section::FILE_PSEUDO,
            ..section::File::default()
        };
        self.part(section::FILE, 0, raw(&file))
            .part(section::FILE_PATH, 0, b"/\0")
    }

    /// The kernel's file object of something without a path, by its one name.
    pub(super) fn pseudo(self, name: &str) -> Self {
        let file = section::File {
            ino: 4,
            flags: section::FILE_PSEUDO,
            ..section::File::default()
        };
        self.part(section::FILE, 0, raw(&file))
            .part(section::FILE_PATH, 0, &[name.as_bytes(), b"\0"].concat())
    }

    fn file_of(self, path: &str, ino: u64, mode: u32, arg: u8) -> Self {
        let file = section::File {
            ino,
            mode,
            dev: 8 << 20 | 1,
            ..section::File::default()
        };
        self.part(section::FILE, 0, raw(&file))
            .part(section::FILE_PATH, arg, &components(path))
    }

    pub(super) fn socket(self, socket: &section::Socket) -> Self {
        self.part(section::SOCKET, 0, raw(socket))
    }

    /// Who the calling thread is when the call returns.
    pub(super) fn credentials(self, credentials: &section::Credentials) -> Self {
        self.part(section::CREDENTIALS, 0, raw(credentials))
    }

    pub(super) fn record(self) -> Vec<u8> {
        let call = Syscall {
            header: self.header,
            nr: self.nr,
            reserved: 0,
            ret: self.ret,
            args: self.args,
        };
        bytes(self.kind, &call, &self.parts)
    }

    pub(super) fn feed(self) -> Vec<Seen> {
        let call = Syscall {
            header: self.header,
            nr: self.nr,
            reserved: 0,
            ret: self.ret,
            args: self.args,
        };
        let bytes = bytes(self.kind, &call, &self.parts);
        self.world.feed(&bytes)
    }

    #[track_caller]
    pub(super) fn go(self) -> Seen {
        self.feed().pop().expect("one event")
    }
}

/// A process for a start snapshot.
pub(super) fn process(pid: u32, ppid: u32, name: &str, cwd: &str) -> SnapshotProcess {
    let fds = (0..3).map(|fd| SnapshotFd {
        fd,
        entry: crate::resolver::files::named(ctrace_trace::fd::FdKind::File, b"/dev/pts/0"),
        cloexec: false,
        born_ns: 0,
    });
    SnapshotProcess {
        image: ProcessImage {
            pid,
            ppid,
            vpid: pid,
            name: name.as_bytes().to_vec(),
            cwd: cwd.as_bytes().to_vec(),
            cgroup: b"/user.slice".to_vec(),
            cap_permitted: 0xff,
            cap_effective: 0xff,
            ..ProcessImage::default()
        },
        cgroup: CGROUP,
        threads: 1,
        fds: fds.collect(),
        ..SnapshotProcess::default()
    }
}

fn number(name: &str) -> i32 {
    let schema = Schema::current();
    let spec = schema.by_name(name).find(|s| !s.id.is_compat());
    i32::from(spec.unwrap_or_else(|| panic!("no syscall {name}")).id.0)
}

fn name16(name: &str) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    out
}

/// A path as the kernel programs write it: components from the leaf to the root.
fn components(path: &str) -> Vec<u8> {
    let names = path.split('/').rev().filter(|c| !c.is_empty());
    names.flat_map(|c| [c.as_bytes(), b"\0"].concat()).collect()
}

fn part(kind: u8, arg: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, arg];
    out.extend((data.len() as u16).to_ne_bytes());
    out.extend((data.len() as u32).to_ne_bytes());
    out.extend(data);
    out.resize(section::padded(out.len()), 0);
    out
}

fn raw<T: ctrace_wire::Pod>(value: &T) -> &[u8] {
    // SAFETY: Pod types have no padding, so that all their bytes are initialised; the slice lives as long as the value.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A whole record: the fixed part with length and kind filled in, then the sections.
pub(super) fn bytes<T: ctrace_wire::Pod>(kind: u8, fixed: &T, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut out = raw(fixed).to_vec();
    out.extend(parts.concat());
    let len = (out.len() as u32).to_ne_bytes();
    out[..4].copy_from_slice(&len);
    out[4] = kind;
    out
}
