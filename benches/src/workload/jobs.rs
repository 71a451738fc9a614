//! The programs of the workload, system call by system call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;

use super::world::{Chance, Dir, tree};
use super::{Recorded, specs};

const AT_FDCWD: i64 = -100;
const ENOENT: i64 = -2;
const CPUS: u64 = 4;
const START: u64 = 1_750_000_000_000_000_000;

/// Runs programs on every CPU until there are so many events.
pub(super) fn run(events: usize) -> Recorded {
    let mut chance = Chance::new(7);
    let dirs = tree(4_000, &mut chance);
    let mut recorded = Recorded::new(specs::schema());
    let share = events / CPUS as usize;
    for cpu in 0..CPUS {
        let mut stream = Stream::new(cpu, &dirs, recorded);
        let end = (cpu as usize + 1) * share;
        while stream.out.len() < end {
            stream.job();
        }
        recorded = stream.out;
    }
    recorded
}

/// What one CPU runs.
struct Stream<'a> {
    cpu: u16,
    now: u64,
    chance: Chance,
    dirs: &'a [Dir],
    out: Recorded,
    next_id: u64,
    next_pid: u32,
    shell: Arc<ProcessImage>,
    at_dir: usize,
}

/// A process that runs.
struct Process {
    image: Arc<ProcessImage>,
    fds: BTreeMap<i32, Arc<FdEntry>>,
    break_at: i64,
    map_at: i64,
}

/// What an event says beside who and when.
#[derive(Default)]
struct Call<'a> {
    ret: Option<i64>,
    fd_num: Option<i32>,
    args: &'a [Arg<'a>],
}

impl<'a> Stream<'a> {
    fn new(cpu: u64, dirs: &'a [Dir], out: Recorded) -> Stream<'a> {
        let container = (cpu >= 2).then(|| {
            Arc::new(Container {
                id: format!("{:064x}", 0xC0FF_EE00_1234_5678u64.wrapping_mul(cpu + 1)),
                engine: "docker".into(),
                name: format!("web-{cpu}"),
                image: "registry.example/web:1.2".into(),
                ..Container::default()
            })
        });
        let mut stream = Stream {
            cpu: cpu as u16,
            now: START + cpu * 77,
            chance: Chance::new(100 + cpu),
            dirs,
            out,
            next_id: (cpu + 1) << 40,
            next_pid: 1000 + 20_000 * cpu as u32,
            shell: Arc::default(),
            at_dir: cpu as usize * dirs.len() / CPUS as usize,
        };
        let init = stream.image("systemd", "/usr/lib/systemd/systemd", &["/sbin/init"], None, None);
        let above = if container.is_some() { "containerd-shim" } else { "sshd" };
        let above = stream.image(above, &format!("/usr/bin/{above}"), &[above, "-D"], Some(init), None);
        stream.shell = stream.image("bash", "/usr/bin/bash", &["bash", "-l"], Some(above), container);
        stream
    }

    fn image(
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
            argv: argv.join("\0").into_bytes(),
            env: b"LD_LIBRARY_PATH=".to_vec(),
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

    fn emit(&mut self, process: &Process, kind: u16, call: Call<'_>) {
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
            fd_num: call.fd_num,
            fd,
            args: call.args,
            data: &[],
        });
    }

    /// A call with numbers only.
    fn plain(&mut self, p: &Process, kind: u16, ret: i64, args: &[i64]) {
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
    fn on_fd(&mut self, p: &Process, kind: u16, fd: i32, ret: i64, args: &[i64]) {
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

    fn open(&mut self, p: &mut Process, path: &str, raw: &str, dirfd: i64, flags: i64, ino: u64) -> i32 {
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

    fn open_missing(&mut self, p: &Process, path: &str) {
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

    fn stat(&mut self, p: &Process, path: &str, raw: &str, dirfd: i64, ret: i64) {
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

    fn close(&mut self, p: &mut Process, fd: i32) {
        self.on_fd(p, 3, fd, 0, &[]);
        p.fds.remove(&fd);
    }

    fn map(&mut self, p: &mut Process, fd: i32, len: i64, prot: i64, offset: i64) {
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
    fn exec(&mut self, by: &mut Process, name: &str, exe: &str, argv: &[&str], libs: &[&str]) -> Process {
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

    fn load(&mut self, p: &mut Process, libs: &[&str]) {
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

    fn exit(&mut self, by: &Process, p: Process) {
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

    fn shell(&mut self) -> Process {
        let mut fds = BTreeMap::new();
        let tty = Arc::new(FdEntry {
            id: self.shell.id,
            kind: FdKind::File,
            name: b"/dev/pts/0".to_vec(),
            name_raw: Vec::new(),
            open_flags: 2,
            dev: 0x19,
            ino: 3,
            socket: None,
        });
        (0..3).for_each(|n| {
            fds.insert(n, tty.clone());
        });
        Process {
            image: self.shell.clone(),
            fds,
            break_at: 0,
            map_at: 0,
        }
    }

    fn job(&mut self) {
        let mut shell = self.shell();
        match self.chance.below(20) {
            0..5 => self.find(&mut shell),
            5..9 => self.tar(&mut shell),
            9..14 => self.grep(&mut shell),
            14..18 => self.compile(&mut shell),
            _ => self.serve(&mut shell),
        }
    }

    fn dir(&mut self) -> &'a Dir {
        self.at_dir = (self.at_dir + 1) % self.dirs.len();
        &self.dirs[self.at_dir]
    }

    fn find(&mut self, shell: &mut Process) {
        let mut p = self.exec(
            shell,
            "find",
            "/usr/bin/find",
            &["find", "/usr", "-newer", "x"],
            &["libselinux.so.1"],
        );
        for _ in 0..60 {
            let dir = self.dir();
            let leaf = dir.path.rsplit('/').next().unwrap_or_default();
            let fd = self.open(&mut p, &dir.path, leaf, 5, 0xB0900 | 0x10000, dir.ino);
            self.on_fd(&p, 5, fd, 0, &[]);
            self.on_fd(&p, 72, fd, 0, &[2, 1]);
            self.on_fd(&p, 217, fd, 24 * dir.files.len() as i64 + 48, &[]);
            for file in &dir.files {
                self.stat(&p, &format!("{}/{}", dir.path, file.name), &file.name, fd.into(), 0);
            }
            self.on_fd(&p, 217, fd, 0, &[]);
            self.close(&mut p, fd);
            if self.chance.once_in(8) {
                self.on_fd(&p, 1, 1, 4096, &[4096]);
            }
        }
        self.exit(shell, p);
    }

    fn tar(&mut self, shell: &mut Process) {
        let mut p = self.exec(
            shell,
            "tar",
            "/usr/bin/tar",
            &["tar", "cf", "/tmp/a.tar", "."],
            &["libacl.so.1", "libselinux.so.1"],
        );
        let out = self.open(&mut p, "/tmp/a.tar", "/tmp/a.tar", AT_FDCWD, 0o1102, 99);
        for _ in 0..40 {
            let dir = self.dir();
            let dirfd = self.open(&mut p, &dir.path, &dir.path, AT_FDCWD, 0x90800 | 0x10000, dir.ino);
            self.on_fd(&p, 217, dirfd, 24 * dir.files.len() as i64 + 48, &[]);
            for file in &dir.files {
                let path = format!("{}/{}", dir.path, file.name);
                self.stat(&p, &path, &file.name, dirfd.into(), 0);
                let fd = self.open(&mut p, &path, &file.name, dirfd.into(), 0x80900, file.ino);
                self.on_fd(&p, 5, fd, 0, &[]);
                let mut left = file.size as i64;
                while left > 0 {
                    let n = left.min(10_240);
                    self.on_fd(&p, 0, fd, n, &[10_240.min(left)]);
                    left -= n;
                    self.on_fd(&p, 1, out, 10_240, &[10_240]);
                }
                self.on_fd(&p, 5, fd, 0, &[]);
                self.close(&mut p, fd);
            }
            self.close(&mut p, dirfd);
        }
        self.close(&mut p, out);
        self.exit(shell, p);
    }

    fn grep(&mut self, shell: &mut Process) {
        let mut p = self.exec(
            shell,
            "grep",
            "/usr/bin/grep",
            &["grep", "-r", "password", "/usr"],
            &["libpcre2-8.so.0"],
        );
        for _ in 0..50 {
            let dir = self.dir();
            let dirfd = self.open(&mut p, &dir.path, &dir.path, AT_FDCWD, 0x90800 | 0x10000, dir.ino);
            self.on_fd(&p, 217, dirfd, 24 * dir.files.len() as i64 + 48, &[]);
            self.on_fd(&p, 217, dirfd, 0, &[]);
            self.close(&mut p, dirfd);
            for file in &dir.files {
                let path = format!("{}/{}", dir.path, file.name);
                let fd = self.open(&mut p, &path, &path, AT_FDCWD, 0x20100, file.ino);
                self.on_fd(&p, 5, fd, 0, &[]);
                self.on_fd(&p, 16, fd, -25, &[0x5401, p.map_at + 0x120]);
                let mut at = 0;
                while at < file.size as i64 {
                    let n = (file.size as i64 - at).min(98_304);
                    self.on_fd(&p, 0, fd, n, &[98_304]);
                    at += n;
                }
                self.on_fd(&p, 0, fd, 0, &[98_304]);
                if self.chance.once_in(3) {
                    self.on_fd(&p, 8, fd, at, &[0, 1]);
                }
                self.close(&mut p, fd);
            }
        }
        self.exit(shell, p);
    }

    fn compile(&mut self, shell: &mut Process) {
        let mut make = self.exec(shell, "make", "/usr/bin/make", &["make", "-j4"], &["libguile-3.0.so.1"]);
        for unit in 0..6 {
            let source = format!("unit{unit}.c");
            let temp = format!("/tmp/cc{:06x}.s", self.chance.below(1 << 24));
            let mut gcc = self.exec(&mut make, "gcc", "/usr/bin/gcc-12", &["gcc", "-O2", "-c", &source], &[]);
            let cc1 = "/usr/libexec/gcc/x86_64-linux-gnu/12/cc1";
            let argv = ["cc1", "-quiet", "-O2", &source, "-o", &temp];
            let mut p = self.exec(
                &mut gcc,
                "cc1",
                cc1,
                &argv,
                &["libisl.so.23", "libmpc.so.3", "libz.so.1"],
            );
            for _ in 0..30 {
                self.include(&mut p);
            }
            let ino = 500 + self.chance.below(64);
            let out = self.open(&mut p, &temp, &temp, AT_FDCWD, 0o1101, ino);
            for _ in 0..12 {
                self.on_fd(&p, 1, out, 4096, &[4096]);
                self.plain(&p, 12, p.break_at, &[p.break_at]);
                p.break_at += 0x21000;
            }
            self.close(&mut p, out);
            self.exit(&gcc, p);
            let temp_arg = Arg::Path {
                resolved: temp.as_bytes(),
                raw: temp.as_bytes(),
            };
            self.emit(
                &gcc,
                87,
                Call {
                    ret: Some(0),
                    fd_num: None,
                    args: &[temp_arg],
                },
            );
            self.exit(&make, gcc);
        }
        self.exit(shell, make);
    }

    /// Looks for a header in the directories of the search path.
    fn include(&mut self, p: &mut Process) {
        let dir = &self.dirs[self.chance.below(300) as usize * 5];
        let Some(file) = dir.files.get(self.chance.below(6) as usize) else {
            return;
        };
        for place in [
            "/root/build",
            "/usr/lib/gcc/x86_64-linux-gnu/12/include",
            "/usr/local/include",
        ] {
            self.open_missing(p, &format!("{place}/{}", file.name));
        }
        let path = format!("{}/{}", dir.path, file.name);
        let fd = self.open(p, &path, &path, AT_FDCWD, 0x100, file.ino);
        self.on_fd(p, 5, fd, 0, &[]);
        self.on_fd(p, 0, fd, file.size as i64, &[file.size as i64]);
        self.on_fd(p, 0, fd, 0, &[4096]);
        self.close(p, fd);
    }

    fn serve(&mut self, shell: &mut Process) {
        let mut p = self.exec(
            shell,
            "web",
            "/srv/web",
            &["/srv/web", "--port", "8080"],
            &["libssl.so.3"],
        );
        let listener = self.socket(&mut p, 0, Role::Server);
        for _ in 0..300 {
            self.on_fd(&p, 232, listener, 1, &[64, -1]);
            let port = 32_768 + self.chance.below(28_000) as u16;
            let fd = self.socket(&mut p, port, Role::Server);
            let peer = format!("10.0.3.7:{port}");
            let args = [Arg::Num(listener.into()), Arg::Str(peer.as_bytes()), Arg::Num(0x800)];
            self.emit(
                &p,
                288,
                Call {
                    ret: Some(fd.into()),
                    fd_num: Some(fd),
                    args: &args,
                },
            );
            for _ in 0..1 + self.chance.below(3) {
                let n = 200 + self.chance.below(300) as i64;
                self.transfer(&p, 45, fd, n, 4096);
                let n = 800 + self.chance.below(3000) as i64;
                self.transfer(&p, 44, fd, n, n);
                self.plain(&p, 202, 0, &[p.map_at + 0x30, 129, 1]);
            }
            self.close(&mut p, fd);
        }
        self.exit(shell, p);
    }

    fn transfer(&mut self, p: &Process, kind: u16, fd: i32, n: i64, size: i64) {
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

    fn socket(&mut self, p: &mut Process, port: u16, role: Role) -> i32 {
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
