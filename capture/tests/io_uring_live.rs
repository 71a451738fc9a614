//! Requests of io_uring on the running kernel: what no syscall shows is recorded as the syscalls that do the same. Needs
//! root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    ffi::CString,
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::Path,
    time::Duration,
};

use ctrace_capture::{
    host::EnvSelection,
    resolver::{Clock, Config as ResolverConfig, ProcHost, Resolver, Snapshot},
    syscall::{Config, Missing, OpenError, Record, SyscallSource},
};
use ctrace_skip::{is_root, skip};
use ctrace_trace::{
    event::{Arg, Event},
    schema::Schema,
};
use ctrace_wire::spec::{IO_OPCODES, SELECTED, SyscallSpec};
use io_uring::{IoUring, Probe, opcode, squeue, types};

/// By which tests say that they were not run.
const NAME: &str = "io_uring_live";

/// An event as the test looks at it.
#[derive(Debug)]
struct Seen {
    pid: u32,
    kind: String,
    ret: Option<i64>,
    fd_num: Option<i32>,
    fd: String,
    args: Vec<(String, String)>,
}

impl Seen {
    fn of(event: &Event<'_>) -> Seen {
        let schema = Schema::current();
        let spec = schema.get(event.kind).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let args = spec.params.iter().zip(event.args).map(|(param, arg)| {
            let value = match arg {
                Arg::None => String::new(),
                Arg::Num(number) => number.to_string(),
                Arg::Str(bytes) => text(bytes),
                Arg::Path { resolved, .. } => text(resolved),
            };
            (param.name.clone(), value)
        });
        Seen {
            pid: event.image.map_or(0, |image| image.pid),
            kind: spec.name.clone(),
            ret: event.ret,
            fd_num: event.fd_num,
            fd: event.fd.map_or_else(String::new, |fd| match fd.socket {
                Some(socket) => socket.remote.to_string(),
                None => text(&fd.name),
            }),
            args: args.collect(),
        }
    }

    fn arg(&self, name: &str) -> &str {
        self.args
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }
}

fn open() -> Option<SyscallSource> {
    if !is_root(NAME) {
        return None;
    }
    if let Err(error) = IoUring::new(2) {
        skip(NAME, &format!("this kernel refuses io_uring: {error}"));
        return None;
    }
    let config = Config {
        // Not one of the syscalls that do the same.
        specs: vec![SyscallSpec::UNSELECTED; 512],
        io_opcodes: [SELECTED; IO_OPCODES],
        ..Config::default()
    };
    let source = match SyscallSource::open(&config) {
        Ok(source) => source,
        Err(error @ (OpenError::NoBtf(_) | OpenError::NoPrivilege(_) | OpenError::KernelTooOld { .. })) => {
            skip(NAME, &error.to_string());
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let is_ring = |missing: &&Missing| matches!(missing, Missing::Program { name, .. } if name.starts_with("io_uring"));
    if let Some(missing) = source.missing().iter().find(is_ring) {
        skip(NAME, &missing.to_string());
        return None;
    }
    Some(source)
}

/// What a child does, recorded and resolved.
fn record(child: impl FnOnce()) -> Option<Vec<Seen>> {
    let mut source = open()?;
    // SAFETY: the child does what the test gives it and leaves by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        child();
        // SAFETY: no preconditions.
        unsafe { libc::_exit(0) };
    }
    let (mut records, mut status) = (Vec::new(), 0);
    let mut take =
        |source: &mut SyscallSource| source.poll_bytes(&mut |header, bytes| records.push((header.ts, bytes.to_vec())));
    // SAFETY: status is a valid int.
    while unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == 0 {
        take(&mut source);
        std::thread::sleep(Duration::from_millis(1));
    }
    source.detach();
    while take(&mut source) > 0 || source.pending().unwrap() > 0 {}
    assert_eq!((source.malformed(), status), (0, 0));
    records.sort_by_key(|(ts, _)| *ts);
    let host = ProcHost::new(EnvSelection::default());
    let mut resolver = Resolver::new(ResolverConfig::default(), Snapshot::default(), Box::new(host));
    let mut seen = Vec::new();
    for (_, bytes) in &records {
        let record = Record::parse(bytes).unwrap();
        resolver.record(&record, &Clock { offset_ns: 0 }, &mut |event| {
            seen.push(Seen::of(event))
        });
    }
    seen.retain(|event| event.pid == pid as u32 && event.kind != "procexit");
    Some(seen)
}

/// Submits one request and waits for its end.
fn ask(ring: &mut IoUring, entry: squeue::Entry) -> i32 {
    // SAFETY: what the entry points to lives until the completion below.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    ring.completion().next().unwrap().result()
}

fn c(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

#[test]
fn needs_root_requests_are_recorded_as_the_syscalls_that_do_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    fs::write(root.join("secret"), "twelve bytes").unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    std::os::unix::fs::symlink(root.join("secret"), root.join("link")).unwrap();
    let child_root = root.clone();
    let Some(seen) = record(move || {
        std::env::set_current_dir(child_root.join("sub")).unwrap();
        let mut ring = IoUring::new(8).unwrap();
        let at = types::Fd(libc::AT_FDCWD);
        let (link, made, moved) = (
            c(Path::new("../link")),
            c(&child_root.join("made")),
            c(&child_root.join("moved")),
        );
        let fd = ask(&mut ring, opcode::OpenAt::new(at, link.as_ptr()).build().user_data(7));
        let mut buffer = [0u8; 64];
        let read = opcode::Read::new(types::Fd(fd), buffer.as_mut_ptr(), 64).build();
        assert_eq!(ask(&mut ring, read), 12);
        ask(&mut ring, opcode::Close::new(types::Fd(fd)).build());
        let create = opcode::OpenAt::new(at, made.as_ptr())
            .flags(libc::O_CREAT | libc::O_WRONLY)
            .mode(0o640);
        let fd = ask(&mut ring, create.build().flags(squeue::Flags::ASYNC));
        let write = opcode::Write::new(types::Fd(fd), b"word".as_ptr(), 4).build();
        assert_eq!(ask(&mut ring, write), 4);
        assert_eq!(
            ask(
                &mut ring,
                opcode::RenameAt::new(at, made.as_ptr(), at, moved.as_ptr()).build()
            ),
            0
        );
        assert_eq!(ask(&mut ring, opcode::UnlinkAt::new(at, moved.as_ptr()).build()), 0);
        let none = c(&child_root.join("none"));
        assert_eq!(
            ask(&mut ring, opcode::UnlinkAt::new(at, none.as_ptr()).build()),
            -libc::ENOENT
        );
        // SAFETY: no preconditions.
        let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
        // SAFETY: all zeros is a valid sockaddr_in.
        let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        to.sin_family = libc::AF_INET as u16;
        to.sin_port = port.to_be();
        to.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
        let connect = opcode::Connect::new(types::Fd(socket), (&raw const to).cast(), 16).build();
        assert_eq!(ask(&mut ring, connect), 0);
        assert_eq!(ask(&mut ring, opcode::Nop::new().build().user_data(99)), 0);
    }) else {
        return;
    };
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let find = |kind: &str, is: &dyn Fn(&Seen) -> bool| {
        seen.iter()
            .find(|event| event.kind == kind && is(event))
            .unwrap_or_else(|| panic!("no {kind} in {seen:#?}"))
    };
    // The kernel's word: not the link, and not relative.
    let opened = find("openat", &|event| event.arg("name") == path("secret"));
    assert!(opened.ret.unwrap() > 2);
    assert_eq!(opened.fd, path("secret"));
    let read = find("read", &|event| event.fd == path("secret"));
    assert_eq!((read.ret, read.arg("size")), (Some(12), "64"));
    assert_eq!(find("close", &|event| event.fd == path("secret")).ret, Some(0));
    let made = find("openat", &|event| event.arg("name") == path("made"));
    assert_eq!(made.arg("mode"), 0o640.to_string());
    assert_eq!(find("write", &|event| event.fd == path("made")).ret, Some(4));
    let renamed = find("renameat2", &|_| true);
    assert_eq!(
        (renamed.arg("oldpath"), renamed.arg("newpath")),
        (&*path("made"), &*path("moved"))
    );
    assert_eq!(
        find("unlinkat", &|event| event.ret == Some(0)).arg("name"),
        path("moved")
    );
    assert_eq!(
        find("unlinkat", &|event| event.ret == Some(-2)).arg("name"),
        path("none")
    );
    let connected = find("connect", &|event| event.ret == Some(0));
    assert_eq!(connected.arg("addr"), format!("127.0.0.1:{port}"));
    assert_eq!(connected.fd, format!("127.0.0.1:{port}"));
    // Each of them was a request, and one that no syscall does is there as well.
    let requests: Vec<(&str, Option<i64>)> = seen
        .iter()
        .filter(|event| event.kind == "io_uring_req")
        .map(|event| (event.arg("opcode"), event.ret.map(i64::signum)))
        .collect();
    let expected = [18, 22, 19, 18, 23, 35, 36, 36, 16, 0].map(|opcode: i32| opcode.to_string());
    assert_eq!(requests.iter().map(|(opcode, _)| *opcode).collect::<Vec<_>>(), expected);
    assert_eq!(requests[7].1, Some(-1));
    assert!(find("io_uring_req", &|event| event.arg("user_data") == "7").arg("opcode") == "18");
    assert!(
        seen.iter().all(|event| event.kind != "getpid"),
        "no syscalls were asked for"
    );
}

/// Whether the running kernel takes such requests.
fn takes(code: u8) -> bool {
    let mut probe = Probe::new();
    let takes = IoUring::new(2).is_ok_and(|ring| ring.submitter().register_probe(&mut probe).is_ok());
    if takes && !probe.is_supported(code) {
        skip(NAME, &format!("this kernel has no request {code} of io_uring"));
        return false;
    }
    true
}

/// An address of this host.
fn local(port: u16) -> libc::sockaddr_in {
    // SAFETY: all zeros is a valid sockaddr_in.
    let mut to: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    to.sin_family = libc::AF_INET as u16;
    to.sin_port = port.to_be();
    to.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
    to
}

fn message(name: &mut libc::sockaddr_in, data: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeros is a valid msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut *name).cast();
    message.msg_namelen = 16;
    message.msg_iov = data;
    message.msg_iovlen = 1;
    message
}

#[test]
fn needs_root_requests_tell_whom_they_speak_to() {
    if !takes(opcode::SendMsgZc::CODE) {
        return;
    }
    let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (port, server) = (sink.local_addr().unwrap().port(), sink.as_raw_fd());
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (fd, mut to) = (types::Fd(udp.as_raw_fd()), local(port));
        let address: *const libc::sockaddr = (&raw const to).cast();
        let send = opcode::Send::new(fd, b"x".as_ptr(), 1);
        assert_eq!(ask(&mut ring, send.dest_addr(address).dest_addr_len(16).build()), 1);
        let mut data = libc::iovec {
            iov_base: b"xy".as_ptr().cast_mut().cast(),
            iov_len: 2,
        };
        let sent = message(&mut to, &mut data);
        assert_eq!(ask(&mut ring, opcode::SendMsg::new(fd, &raw const sent).build()), 2);
        let mut buffer = [0u8; 8];
        let mut data = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: 8,
        };
        let mut from = local(0);
        let mut got = message(&mut from, &mut data);
        let receive = opcode::RecvMsg::new(types::Fd(server), &raw mut got);
        assert_eq!(ask(&mut ring, receive.build()), 1);
        for entry in [
            opcode::SendZc::new(fd, b"xyz".as_ptr(), 3)
                .dest_addr(address)
                .dest_addr_len(16)
                .build(),
            opcode::SendMsgZc::new(fd, &raw const sent).build(),
        ] {
            assert!(ask(&mut ring, entry) > 0);
            // That the kernel needs the memory no more.
            while ring.completion().next().is_none() {
                ring.submit_and_wait(1).unwrap();
            }
        }
    }) else {
        return;
    };
    let to = format!("127.0.0.1:{port}");
    let sent: Vec<(&str, Option<i64>)> = seen
        .iter()
        .filter(|event| event.kind.starts_with("send") && event.arg("addr") == to && event.fd == to)
        .map(|event| (event.kind.as_str(), event.ret))
        .collect();
    let expected = [("sendto", 1), ("sendmsg", 2), ("sendto", 3), ("sendmsg", 2)];
    assert_eq!(sent, expected.map(|(kind, ret)| (kind, Some(ret))), "{seen:#?}");
    let got = seen.iter().find(|event| event.kind == "recvmsg").unwrap();
    assert!(
        got.arg("addr").starts_with("127.0.0.1:") && got.fd == got.arg("addr"),
        "{got:#?}"
    );
}

#[test]
fn needs_root_what_has_no_descriptor_is_told_too_and_what_gets_one() {
    if !takes(opcode::FixedFdInstall::CODE) || !takes(opcode::Ftruncate::CODE) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    fs::write(root.join("secret"), "content").unwrap();
    let (path, listener) = (
        root.join("secret"),
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
    );
    let port = listener.local_addr().unwrap().port();
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        ring.submitter().register_files(&[-1, -1]).unwrap();
        let slot = |at| Some(types::DestinationSlot::try_from_slot_target(at).unwrap());
        let socket = opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).file_index(slot(0));
        assert_eq!(ask(&mut ring, socket.build()), 0);
        let to = local(port);
        let connect = opcode::Connect::new(types::Fixed(0), (&raw const to).cast(), 16).build();
        assert_eq!(ask(&mut ring, connect), 0);
        assert_eq!(
            ask(&mut ring, opcode::Send::new(types::Fixed(0), b"x".as_ptr(), 1).build()),
            1
        );
        let installed = ask(&mut ring, opcode::FixedFdInstall::new(types::Fixed(0), 0).build());
        assert!(installed > 2);
        assert_eq!(
            ask(
                &mut ring,
                opcode::Write::new(types::Fd(installed), b"xy".as_ptr(), 2).build()
            ),
            2
        );
        let name = c(&path);
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(libc::O_RDWR);
        assert_eq!(ask(&mut ring, open.file_index(slot(1)).build()), 0);
        let installed = ask(&mut ring, opcode::FixedFdInstall::new(types::Fixed(1), 0).build());
        assert_eq!(
            ask(&mut ring, opcode::Ftruncate::new(types::Fd(installed), 3).build()),
            0
        );
        let attribute = opcode::SetXattr::new(c"user.mark".as_ptr(), b"v".as_ptr().cast(), name.as_ptr(), 1);
        ask(&mut ring, attribute.build());
        assert_eq!(ask(&mut ring, opcode::Close::new(types::Fixed(1)).build()), 0);
        let mut ends = [-1; 2];
        // Since Linux 6.16.
        if ask(&mut ring, opcode::Pipe::new(ends.as_mut_ptr()).build()) == 0 {
            ask(
                &mut ring,
                opcode::Write::new(types::Fd(ends[1]), b"xyz".as_ptr(), 3).build(),
            );
        }
    }) else {
        return;
    };
    let (to, path) = (format!("127.0.0.1:{port}"), root.join("secret"));
    let path = path.to_str().unwrap();
    let find = |kind: &str, ret: i64| {
        seen.iter()
            .find(|event| event.kind == kind && event.ret == Some(ret))
            .unwrap_or_else(|| panic!("no {kind} in {seen:#?}"))
    };
    assert_eq!(
        (find("connect", 0).fd.as_str(), find("connect", 0).arg("addr")),
        (&*to, &*to)
    );
    assert_eq!(find("sendto", 1).fd, to);
    assert_eq!(find("write", 2).fd, to, "by its new descriptor");
    assert_eq!(
        (find("openat", 0).fd.as_str(), find("openat", 0).arg("name")),
        (path, path)
    );
    let truncated = find("ftruncate", 0);
    assert_eq!((truncated.fd.as_str(), truncated.arg("length")), (path, "3"));
    let marked = seen.iter().find(|event| event.kind == "setxattr").unwrap();
    assert_eq!(
        (marked.arg("path"), marked.arg("name"), marked.arg("size")),
        (path, "user.mark", "1")
    );
    let installs = seen
        .iter()
        .filter(|event| event.arg("opcode") == "54")
        .map(|event| &*event.fd);
    assert_eq!(installs.collect::<Vec<_>>(), [&*to, path]);
    let closed = find("close", 0);
    assert_eq!((closed.fd_num, closed.arg("fd")), (None, "-1"), "not standard input");
    if let Some(pipe) = seen.iter().find(|event| event.kind == "pipe2" && event.ret == Some(0)) {
        assert_ne!(pipe.arg("fd1"), pipe.arg("fd2"));
        assert_eq!(find("write", 3).fd, "pipe");
    }
}

#[test]
fn needs_root_files_of_the_ring_itself_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::canonicalize(dir.path()).unwrap().join("registered");
    fs::write(&file, "content").unwrap();
    let name = file.clone();
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        let file = fs::File::open(&name).unwrap();
        ring.submitter().register_files(&[file.as_raw_fd()]).unwrap();
        let mut buffer = [0u8; 64];
        let read = opcode::Read::new(types::Fixed(0), buffer.as_mut_ptr(), 64).build();
        assert_eq!(ask(&mut ring, read), 7);
    }) else {
        return;
    };
    let [request, read] = &seen[..] else {
        panic!("a request, and what it does: {seen:#?}")
    };
    assert_eq!((request.kind.as_str(), request.ret), ("io_uring_req", Some(7)));
    assert_eq!((read.kind.as_str(), read.ret), ("read", Some(7)));
    assert_eq!((read.fd_num, request.fd_num), (None, None), "it has no descriptor");
    assert_eq!((&*request.fd, &*read.fd), (file.to_str().unwrap(), &*request.fd));
}

/// The next result of a ring's requests.
fn next(ring: &mut IoUring) -> i32 {
    loop {
        if let Some(entry) = ring.completion().next() {
            return entry.result();
        }
        ring.submit_and_wait(1).unwrap();
    }
}

fn push(ring: &mut IoUring, entry: squeue::Entry) {
    // SAFETY: what the entry points to lives as long as the request.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit().unwrap();
}

#[test]
fn needs_root_each_connection_that_one_request_accepts_is_told() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (port, own) = (listener.local_addr().unwrap().port(), listener.as_raw_fd());
    // What connects, so that its ends are known: each is gone before the next one gets its number.
    let ports: Vec<UdpSocket> = (0..3)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let ports: Vec<u16> = ports.iter().map(|free| free.local_addr().unwrap().port()).collect();
    let from = ports.clone();
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        let (mut others, mut clients) = (IoUring::new(8).unwrap(), Vec::new());
        push(
            &mut ring,
            opcode::AcceptMulti::new(types::Fd(own)).build().user_data(77),
        );
        for port_of_client in from {
            clients.push(connected(port_of_client, port));
            let fd = next(&mut ring);
            assert!(fd > 2, "{fd}");
            let write = opcode::Write::new(types::Fd(fd), b"hello".as_ptr(), 5);
            assert_eq!(ask(&mut others, write.build()), 5);
            assert_eq!(ask(&mut others, opcode::Close::new(types::Fd(fd)).build()), 0);
        }
        // The last result, which ends it.
        push(&mut ring, opcode::AsyncCancel::new(77).build());
        let mut last = [next(&mut ring), next(&mut ring)];
        last.sort_unstable();
        assert_eq!(last, [-libc::ECANCELED, 0]);
    }) else {
        return;
    };
    let ends: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let of = |kind: &str| -> Vec<&Seen> { seen.iter().filter(|event| event.kind == kind).collect() };
    let accepted = of("accept4");
    let (made, ended) = accepted.split_at(accepted.len() - 1);
    assert_eq!(ended[0].ret, Some(-i64::from(libc::ECANCELED)));
    let told = |events: &[&Seen]| events.iter().map(|event| event.fd.clone()).collect::<Vec<_>>();
    assert_eq!(told(made), ends, "{seen:#?}");
    assert!(made.iter().all(|event| event.ret == event.fd_num.map(i64::from)));
    assert!(accepted.iter().all(|event| event.arg("sockfd") == own.to_string()));
    // What is done with each is told with its own ends, though all have one number.
    assert_eq!(told(&of("write")), ends);
    assert_eq!(told(&of("close")), ends);
    let requests = seen.iter().filter(|event| event.arg("user_data") == "77");
    let results: Vec<_> = requests.map(|event| (event.arg("opcode"), event.ret)).collect();
    let expected: Vec<_> = accepted.iter().map(|event| ("13", event.ret)).collect();
    assert_eq!(results, expected, "a request event of each");
}

/// A socket that is connected from one port of this host to another.
fn connected(from: u16, to: u16) -> OwnedFd {
    // SAFETY: no preconditions.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    // SAFETY: just made.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let (own, peer) = (local(from), local(to));
    // SAFETY: both addresses are whole.
    let made = unsafe {
        libc::bind(fd, (&raw const own).cast(), 16) == 0 && libc::connect(fd, (&raw const peer).cast(), 16) == 0
    };
    assert!(made);
    socket
}

#[test]
fn needs_root_each_message_that_one_request_receives_is_told() {
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut buffers = [0u8; 4 * 256];
        let provide = opcode::ProvideBuffers::new(buffers.as_mut_ptr(), 256, 4, 1, 0).build();
        assert!(ask(&mut ring, provide) >= 0);
        let receive = opcode::RecvMulti::new(types::Fd(one.as_raw_fd()), 1);
        push(&mut ring, receive.build().user_data(5));
        for message in [&b"x"[..], b"xy", b"xyz"] {
            other.send(message).unwrap();
            assert_eq!(usize::try_from(next(&mut ring)).unwrap(), message.len());
        }
        push(&mut ring, opcode::PollAdd::new(types::Fd(other.as_raw_fd()), 4).build());
        assert_eq!(next(&mut ring), 4, "another request, of which one result comes");
        push(&mut ring, opcode::AsyncCancel::new(5).build());
        let mut last = [next(&mut ring), next(&mut ring)];
        last.sort_unstable();
        assert_eq!(last, [-libc::ECANCELED, 0]);
    }) else {
        return;
    };
    let received = seen.iter().filter(|event| event.kind == "recvfrom");
    let received: Vec<_> = received.map(|event| event.ret.unwrap()).collect();
    assert_eq!(received, [1, 2, 3, -i64::from(libc::ECANCELED)], "{seen:#?}");
    let requests = seen.iter().filter(|event| event.arg("opcode") == "27");
    let requests: Vec<_> = requests.map(|event| event.ret.unwrap()).collect();
    assert_eq!(requests, received);
}

#[test]
fn needs_root_a_message_between_rings_makes_no_connection_of_a_file() {
    // Since then messages have flags.
    if !takes(opcode::SendMsgZc::CODE) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = fs::canonicalize(dir.path()).unwrap().join("secret");
    fs::write(&file, "content").unwrap();
    let (name, listener) = (file.clone(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        let mut other = IoUring::new(8).unwrap();
        let accept = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()));
        push(&mut ring, accept.build().user_data(9));
        let at = types::Fd(libc::AT_FDCWD);
        let name = c(&name);
        let fd = ask(&mut other, opcode::OpenAt::new(at, name.as_ptr()).build());
        let to = types::Fd(ring.as_raw_fd());
        // IORING_CQE_F_MORE, as if the request had accepted a connection. Before Linux 6.3 it cannot say so.
        let message = opcode::MsgRingData::new(to, fd, 9, Some(2)).build();
        if ask(&mut other, message) == 0 {
            assert_eq!(next(&mut ring), fd);
        }
        let mut buffer = [0u8; 64];
        let read = opcode::Read::new(types::Fd(fd), buffer.as_mut_ptr(), 64).build();
        assert_eq!(ask(&mut other, read), 7);
    }) else {
        return;
    };
    let read = seen.iter().find(|event| event.kind == "read").unwrap();
    assert_eq!(read.fd, file.to_str().unwrap(), "{seen:#?}");
}

#[test]
fn needs_root_relative_names_of_requests_start_where_the_kernel_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/gone"), "").unwrap();
    let child_root = root.clone();
    let Some(seen) = record(move || {
        let mut ring = IoUring::new(8).unwrap();
        ring.submitter().register_files(&[-1]).unwrap();
        let at = types::Fd(libc::AT_FDCWD);
        // No syscalls are recorded, so that nothing but the requests tells of these.
        std::env::set_current_dir(child_root.join("sub")).unwrap();
        let slot = types::DestinationSlot::try_from_slot_target(0).unwrap();
        let open = opcode::OpenAt::new(at, c"gone".as_ptr()).file_index(Some(slot));
        assert_eq!(ask(&mut ring, open.build()), 0);
        std::env::set_current_dir("/").unwrap();
        let moved = child_root.join("moved");
        fs::rename(child_root.join("sub"), &moved).unwrap();
        std::env::set_current_dir(&moved).unwrap();
        assert_eq!(ask(&mut ring, opcode::UnlinkAt::new(at, c"gone".as_ptr()).build()), 0);
        std::env::set_current_dir("/").unwrap();
        let directory = fs::File::open(&moved).unwrap();
        let behind = types::Fd(directory.as_raw_fd());
        assert_eq!(
            ask(&mut ring, opcode::MkDirAt::new(behind, c"made".as_ptr()).build()),
            0
        );
        // What is behind the descriptor means nothing where the name is absolute.
        let other = c(&child_root.join("other"));
        let file = fs::File::create(moved.join("file")).unwrap();
        let make = opcode::MkDirAt::new(types::Fd(file.as_raw_fd()), other.as_ptr());
        assert_eq!(ask(&mut ring, make.build()), 0);
    }) else {
        return;
    };
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let named = |kind: &str, arg: &str| -> Vec<String> {
        let events = seen.iter().filter(|event| event.kind == kind);
        events.map(|event| event.arg(arg).to_owned()).collect()
    };
    assert_eq!(named("openat", "name"), [path("sub/gone")], "{seen:#?}");
    assert_eq!(named("unlinkat", "name"), [path("moved/gone")]);
    assert_eq!(named("mkdirat", "path"), [path("moved/made"), path("other")]);
}
