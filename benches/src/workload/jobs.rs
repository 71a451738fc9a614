//! The programs of the workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::Arg;
use ctrace_trace::fd::{FdEntry, FdKind, Role};

use super::calls::{AT_FDCWD, CPUS, Call, Process, START, Stream};
use super::world::{Chance, Dir, tree};
use super::{Recorded, specs};

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
}
