//! System calls as the workload's programs make them: one method each, and what every program does when it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;

use super::Recorded;
use super::world::{Chance, Dir};

pub(super) const AT_FDCWD: i64 = -100;
pub(super) const CPUS: u64 = 4;
pub(super) const START: u64 = 1_750_000_000_000_000_000;
const ENOENT: i64 = -2;

/// What one CPU runs.
pub(super) struct Stream<'a> {
    pub(super) cpu: u16,
    pub(super) now: u64,
    pub(super) chance: Chance,
    pub(super) dirs: &'a [Dir],
    pub(super) out: Recorded,
    pub(super) next_id: u64,
    pub(super) next_pid: u32,
    pub(super) shell: Arc<ProcessImage>,
    pub(super) at_dir: usize,
}

/// A process that runs.
pub(super) struct Process {
    pub(super) image: Arc<ProcessImage>,
    pub(super) fds: BTreeMap<i32, Arc<FdEntry>>,
    pub(super) break_at: i64,
    pub(super) map_at: i64,
}

/// What an event says beside who and when.
#[derive(Default)]
pub(super) struct Call<'a> {
    pub(super) ret: Option<i64>,
    pub(super) fd_num: Option<i32>,
    pub(super) args: &'a [Arg<'a>],
}

impl<'a> Stream<'a> {
    pub(super) fn image(
        &mut self,
        name: &str,
        exe: &str,
        argv: &[&str],
        parent: Option<Arc<ProcessImage>>,
        container: Option<Arc<Container>>,
    ) -> Arc<ProcessImage> {
        self.next_pid += 1 + self.chance.below(3) as u32;
        self.next_id += 1;
        let cgroup = match &container {
            Some(c) => format!("/system.slice/docker-{}.scope", c.id),
            None => "/user.slice/user-1000.slice/session-4.scope".to_owned(),
        };
        Arc::new(ProcessImage {
            id: self.next_id,
            pid: self.next_pid,
            vpid: self.next_pid % 5000,
            ppid: parent.as_ref().map_or(0, |p| p.pid),
            sid: parent.as_ref().map_or(1, |p| p.sid.max(1)),
            pgid: self.next_pid,
            tty: 34816,
            start_ts: self.now,
            exec_ts: self.now + 240_000,
            name: name.into(),
            exe_path: exe.into(),
            argv: argv.join("\0").into_bytes().into(),
            env: b"LD_LIBRARY_PATH=".to_vec().into(),
            cwd: b"/root/build".to_vec(),
            cgroup: cgroup.into_bytes(),
            loginuid: 1000,
            user: b"root".to_vec(),
            group: b"root".to_vec(),
            login_user: b"analyst".to_vec(),
            cap_permitted: 0x1FF_FFFF_FFFF,
            cap_effective: 0x1FF_FFFF_FFFF,
            exe_ino: 1_572_864 + exe.len() as u64 * 17,
            exe_ctime: START - 86_400_000_000_000,
            exe_mtime: START - 8_640_000_000_000_000,
            container,
            parent,
            ..ProcessImage::default()
        })
    }

    pub(super) fn emit(&mut self, process: &Process, kind: u16, call: Call<'_>) {
        self.now += self.chance.duration();
        if self.chance.once_in(20_000) {
            self.cpu = (self.cpu + 1) % CPUS as u16;
        }
        let fd = call.fd_num.and_then(|n| process.fds.get(&n));
        self.out.push(&Event {
            ts: self.now,
            kind: EventType(kind),
            cpu: self.cpu,
            tid: process.image.pid,
            image: Some(&process.image),
            ret: call.ret,
            latency: None,
            fd_num: call.fd_num,
            fd,
            args: call.args,
            data: &[],
        });
    }

    /// A call with numbers only.
    pub(super) fn plain(&mut self, p: &Process, kind: u16, ret: i64, args: &[i64]) {
        let args: Vec<Arg<'_>> = args.iter().map(|v| Arg::Num(*v)).collect();
        self.emit(
            p,
            kind,
            Call {
                ret: Some(ret),
                fd_num: None,
                args: &args,
            },
        );
    }

    /// A call on a descriptor, which is its first argument.
    pub(super) fn on_fd(&mut self, p: &Process, kind: u16, fd: i32, ret: i64, args: &[i64]) {
        let mut all = vec![Arg::Num(i64::from(fd))];
        all.extend(args.iter().map(|v| Arg::Num(*v)));
        self.emit(
            p,
            kind,
            Call {
                ret: Some(ret),
                fd_num: Some(fd),
                args: &all,
            },
        );
    }

    pub(super) fn open(&mut self, p: &mut Process, path: &str, raw: &str, dirfd: i64, flags: i64, ino: u64) -> i32 {
        let dir = flags & 0x10000 != 0;
        self.next_id += 1;
        let num = (3..).find(|n| !p.fds.contains_key(n)).unwrap_or(3);
        let entry = FdEntry {
            id: self.next_id,
            kind: if dir { FdKind::Directory } else { FdKind::File },
            name: path.into(),
            name_raw: if raw == path { Vec::new() } else { raw.into() },
            open_flags: flags as u32,
            dev: 0x801,
            ino,
            socket: None,
        };
        p.fds.insert(num, Arc::new(entry));
        let path = Arg::Path {
            resolved: path.as_bytes(),
            raw: raw.as_bytes(),
        };
        let args = [
            Arg::Num(dirfd),
            path,
            Arg::Num(flags),
            Arg::Num(0),
            Arg::Num(0x801),
            Arg::Num(ino as i64),
        ];
        self.emit(
            p,
            257,
            Call {
                ret: Some(num.into()),
                fd_num: Some(num),
                args: &args,
            },
        );
        num
    }

    pub(super) fn open_missing(&mut self, p: &Process, path: &str) {
        let path = Arg::Path {
            resolved: path.as_bytes(),
            raw: path.as_bytes(),
        };
        let args = [
            Arg::Num(AT_FDCWD),
            path,
            Arg::Num(0x80000),
            Arg::Num(0),
            Arg::None,
            Arg::None,
        ];
        self.emit(
            p,
            257,
            Call {
                ret: Some(ENOENT),
                fd_num: None,
                args: &args,
            },
        );
    }

    pub(super) fn stat(&mut self, p: &Process, path: &str, raw: &str, dirfd: i64, ret: i64) {
        let path = Arg::Path {
            resolved: path.as_bytes(),
            raw: raw.as_bytes(),
        };
        self.emit(
            p,
            262,
            Call {
                ret: Some(ret),
                fd_num: None,
                args: &[Arg::Num(dirfd), path, Arg::Num(0x100)],
            },
        );
    }

    pub(super) fn close(&mut self, p: &mut Process, fd: i32) {
        self.on_fd(p, 3, fd, 0, &[]);
        p.fds.remove(&fd);
    }

    pub(super) fn map(&mut self, p: &mut Process, fd: i32, len: i64, prot: i64, offset: i64) {
        p.map_at -= (len + 0xFFF) & !0xFFF;
        let flags = if fd < 0 { 0x22 } else { 0x802 };
        let args = [0, len, prot, flags, i64::from(fd), offset].map(Arg::Num);
        let fd_num = (fd >= 0).then_some(fd);
        self.emit(
            p,
            9,
            Call {
                ret: Some(p.map_at),
                fd_num,
                args: &args,
            },
        );
    }

    /// Fork and exec as the shell does, then the dynamic loader.
    pub(super) fn exec(&mut self, by: &mut Process, name: &str, exe: &str, argv: &[&str], libs: &[&str]) -> Process {
        let parent = by.image.clone();
        let forked = self.image(
            std::str::from_utf8(&parent.name).unwrap_or("sh"),
            std::str::from_utf8(&parent.exe_path).unwrap_or("/bin/sh"),
            &["bash"],
            Some(parent.clone()),
            parent.container.clone(),
        );
        self.plain(by, 56, forked.pid.into(), &[0x1200011]);
        let mut p = Process {
            image: forked.clone(),
            fds: by.fds.clone(),
            break_at: 0x5555_5555_0000 + ((self.chance.next() as i64) & 0xFFF_FFFF_F000),
            map_at: 0x7F00_0000_0000 + ((self.chance.next() as i64) & 0xFF_FFFF_F000),
        };
        for sig in [2, 3, 15, 20] {
            self.plain(&p, 13, 0, &[sig]);
        }
        let mut image = (*self.image(name, exe, argv, Some(parent.clone()), parent.container.clone())).clone();
        (image.pid, image.vpid, image.start_ts) = (forked.pid, forked.vpid, forked.start_ts);
        p.image = Arc::new(image);
        let path = Arg::Path {
            resolved: exe.as_bytes(),
            raw: exe.as_bytes(),
        };
        self.emit(
            &p,
            59,
            Call {
                ret: Some(0),
                fd_num: None,
                args: &[path],
            },
        );
        self.load(&mut p, libs);
        p
    }

    pub(super) fn load(&mut self, p: &mut Process, libs: &[&str]) {
        self.plain(p, 12, p.break_at, &[0]);
        self.map(p, -1, 8192, 3, 0);
        let preload = Arg::Path {
            resolved: b"/etc/ld.so.preload",
            raw: b"/etc/ld.so.preload",
        };
        self.emit(
            p,
            21,
            Call {
                ret: Some(ENOENT),
                fd_num: None,
                args: &[preload, Arg::Num(4)],
            },
        );
        let cache = self.open(p, "/etc/ld.so.cache", "/etc/ld.so.cache", AT_FDCWD, 0x80000, 787_123);
        self.on_fd(p, 5, cache, 0, &[]);
        self.map(p, cache, 34_567, 1, 0);
        self.close(p, cache);
        for (i, lib) in libs.iter().chain(&["libc.so.6"]).enumerate() {
            let path = format!("/lib/x86_64-linux-gnu/{lib}");
            let fd = self.open(
                p,
                &path,
                &path,
                AT_FDCWD,
                0x80000,
                131_072 + lib.len() as u64 * 11 + i as u64,
            );
            self.on_fd(p, 0, fd, 832, &[832]);
            self.on_fd(p, 17, fd, 784, &[784, 64]);
            self.on_fd(p, 5, fd, 0, &[]);
            self.map(p, fd, 2_105_184, 1, 0);
            for part in 1..4 {
                self.map(p, fd, part * 0x4_1000, if part == 1 { 5 } else { 1 }, part * 0x2_8000);
            }
            self.close(p, fd);
        }
        self.map(p, -1, 12_288, 3, 0);
        self.plain(p, 158, 0, &[0x1002, p.map_at + 0x740]);
        self.plain(p, 218, p.image.pid.into(), &[]);
        self.plain(p, 273, 0, &[]);
        self.plain(p, 334, 0, &[]);
        for k in 0..3 {
            self.plain(p, 10, 0, &[p.map_at + k * 0x20_0000, 16_384 >> k, 1]);
        }
        self.plain(p, 302, 0, &[0, 3]);
        self.plain(p, 11, 0, &[p.map_at + 0x9000, 34_567]);
        self.plain(p, 318, 8, &[8, 1]);
        self.plain(p, 12, p.break_at, &[0]);
        self.plain(p, 12, p.break_at + 0x21000, &[p.break_at + 0x21000]);
    }

    pub(super) fn exit(&mut self, by: &Process, p: Process) {
        self.emit(
            &p,
            231,
            Call {
                ret: None,
                fd_num: None,
                args: &[Arg::Num(0)],
            },
        );
        self.emit(
            &p,
            0x1001,
            Call {
                ret: None,
                fd_num: None,
                args: &[0, 0, 0, 0, 1].map(Arg::Num),
            },
        );
        self.plain(by, 61, p.image.pid.into(), &[-1, 0]);
        self.plain(by, 14, 0, &[2]);
    }

    pub(super) fn transfer(&mut self, p: &Process, kind: u16, fd: i32, n: i64, size: i64) {
        let args = [Arg::Num(fd.into()), Arg::Num(size), Arg::Num(0), Arg::None];
        self.emit(
            p,
            kind,
            Call {
                ret: Some(n),
                fd_num: Some(fd),
                args: &args,
            },
        );
    }

    pub(super) fn socket(&mut self, p: &mut Process, port: u16, role: Role) -> i32 {
        self.next_id += 1;
        let num = (3..).find(|n| !p.fds.contains_key(n)).unwrap_or(3);
        let remote = if port == 0 { [0; 4] } else { [10, 0, 3, 7] };
        let entry = FdEntry {
            id: self.next_id,
            kind: FdKind::Ipv4,
            name: Vec::new(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 8,
            ino: 400_000 + self.next_id % 10_000,
            socket: Some(Socket {
                protocol: 6,
                role,
                local: SocketAddr::from(([172, 17, 0, 2], 8080)),
                remote: SocketAddr::from((remote, port)),
            }),
        };
        p.fds.insert(num, Arc::new(entry));
        num
    }
}
