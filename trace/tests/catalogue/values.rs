//! What fields say about the scene. Expected texts follow Falco's sources for the same calls.

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, FieldArg};
use ctrace_trace::render;

use crate::scene::{EVENTS, Scene};

/// `evt.arg.flags` and `proc.aname[2]` as rules write them.
fn parse(text: &str) -> (&str, FieldArg) {
    if let Some((name, key)) = text.strip_suffix(']').and_then(|t| t.split_once('[')) {
        let arg = key
            .parse()
            .map_or_else(|_| FieldArg::Key(key.to_owned()), FieldArg::Index);
        return (name, arg);
    }
    for name in ["evt.arg", "evt.rawarg"] {
        if let Some(key) = text.strip_prefix(name).and_then(|t| t.strip_prefix('.')) {
            return (name, FieldArg::Key(key.to_owned()));
        }
    }
    (text, FieldArg::None)
}

fn check(cases: &[(&str, &str, &str)]) {
    let scene = Scene::new();
    let block = scene.decode(Need::ALL);
    for (event, text, expected) in cases {
        let row = EVENTS.iter().position(|e| e == event).expect(event);
        let (name, arg) = parse(text);
        let field = catalogue::find(name).expect(name);
        let value = field.of(block.event(row), &arg).to_string();
        assert_eq!(value, *expected, "{text} of {event}");
    }
}

#[test]
fn events() {
    check(&[
        ("open", "evt.num", "100"),
        ("open", "evt.time", "23:59:59.000000001"),
        ("open", "evt.time.s", "23:59:59"),
        ("open", "evt.time.iso8601", "2024-02-29T23:59:59.000000001Z"),
        ("open", "evt.datetime", "2024-02-29 23:59:59.000000001"),
        ("open", "evt.type", "openat"),
        ("open", "evt.dir", "<"),
        ("open", "evt.cpu", "3"),
        ("open", "evt.res", "SUCCESS"),
        ("open", "evt.rawres", "3"),
        ("open", "evt.failed", "false"),
        ("open", "evt.category", "file"),
        ("open", "evt.is_open_read", "true"),
        ("open", "evt.is_open_write", "false"),
        ("open", "evt.is_open_create", "false"),
        ("relative open", "evt.is_open_write", "true"),
        ("relative open", "evt.is_open_create", "true"),
        ("relative open", "evt.is_open_exec", "false"),
        ("open fails", "evt.res", "ENOENT"),
        ("open fails", "evt.rawres", "-2"),
        ("open fails", "evt.failed", "true"),
        ("open fails", "evt.is_open_create", "false"),
        ("read", "evt.buflen", "5"),
        ("read", "evt.buffer", "root\n"),
        ("read", "evt.arg[data]", "root."),
        ("read", "evt.io_dir", "read"),
        ("read", "evt.category", "file"),
        ("read", "evt.latency", "1203456789"),
        ("read", "evt.latency.s", "1"),
        ("read", "evt.latency.ns", "203456789"),
        ("read", "evt.latency.human", "1.20s"),
        ("open", "evt.latency", "<NA>"),
        ("open", "evt.latency.human", "<NA>"),
        ("datagram", "evt.category", "net"),
        ("datagram", "evt.io_dir", "write"),
        ("connect", "evt.res", "EINPROGRESS"),
        ("docker", "evt.res", "<NA>"),
        ("docker", "evt.source", "docker"),
        ("docker", "syscall.type", "<NA>"),
    ]);
}

#[test]
fn arguments() {
    check(&[
        (
            "open",
            "evt.args",
            "fd=3(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=/etc/passwd flags=524288(O_RDONLY|O_CLOEXEC) mode=0644 \
             dev=803 ino=4711",
        ),
        (
            "open fails",
            "evt.args",
            "fd=-2(ENOENT) dirfd=-100(AT_FDCWD) name=/etc/none flags=65(O_CREAT|O_WRONLY) mode=0644",
        ),
        ("open", "evt.arg.fd", "<f>/etc/passwd"),
        ("open", "evt.arg[0]", "<f>/etc/passwd"),
        ("open", "evt.arg.flags", "O_RDONLY|O_CLOEXEC"),
        ("open", "evt.rawarg.flags", "524288"),
        ("open", "evt.arg.nothing", "<NA>"),
        ("open fails", "evt.arg.fd", "ENOENT"),
        ("open fails", "evt.rawarg.fd", "-2"),
        ("relative open", "evt.arg.name", "/tmp/notes"),
        ("relative open", "evt.rawarg.name", "notes"),
        ("read", "evt.args", "res=5 data=root. fd=3(<f>/etc/passwd) size=4096"),
        (
            "connect",
            "evt.args",
            "res=-115(EINPROGRESS) tuple=172.17.0.2:40000->1.2.3.4:80 fd=5(<4>172.17.0.2:40000->1.2.3.4:80) \
             addr=1.2.3.4:80",
        ),
        (
            "connect fails",
            "evt.args",
            "res=-111(ECONNREFUSED) fd=5 addr=1.2.3.4:81",
        ),
        ("connect", "evt.arg.addr", "1.2.3.4:80"),
        ("connect", "evt.arg.res", "EINPROGRESS"),
        ("accept", "evt.arg.fd", "<4>9.8.7.6:5000->172.17.0.2:8080"),
        ("exec", "evt.arg.exe", "/bin/bash"),
        ("exec", "evt.arg.args", "-c.cat /etc/shadow."),
        ("exec", "evt.arg.flags", "EXE_WRITABLE|EXE_UPPER_LAYER"),
        ("exec", "evt.arg.loginuid", "ann"),
        ("exec", "evt.arg.filename", "/bin/bash"),
        ("exec fails", "evt.arg.exe", "su"),
        ("exec fails", "evt.arg.args", "-.root....."),
        ("exec fails", "evt.rawarg.args", "-\0root\n\0..."),
        ("exec fails", "evt.arg[1]", "su"),
        ("exec fails", "proc.args", "-c cat /etc/shadow"),
        ("exec fails untold", "evt.arg.exe", "<NA>"),
        ("exec fails untold", "evt.arg.args", "<NA>"),
        ("clone", "evt.arg.flags", "CLONE_NEWNS|CLONE_NEWPID"),
        ("clone", "evt.arg.res", "4712"),
        (
            "chmod",
            "evt.arg.mode",
            "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID",
        ),
        (
            "chmod",
            "evt.args",
            "res=0 filename=/x mode=04755(S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID)",
        ),
        ("setuid", "evt.args", "res=-1(EPERM) uid=0"),
        (
            "ptrace",
            "evt.args",
            "res=0 request=16(PTRACE_ATTACH) pid=1 addr=ABC data=0",
        ),
        ("ptrace", "evt.arg.request", "PTRACE_ATTACH"),
        (
            "docker",
            "evt.args",
            "type=container action=exec_create: sh exit_code=1",
        ),
        ("symlink fails", "evt.arg.target", "/etc/shadow"),
        ("rename", "evt.abspath", "/a"),
        ("rename", "evt.abspath[dst]", "/b"),
    ]);
}

#[test]
fn paths() {
    check(&[
        ("open", "fs.path.name", "/etc/passwd"),
        ("open fails", "fs.path.name", "/etc/none"),
        ("relative open", "fs.path.nameraw", "notes"),
        ("rename", "fs.path.name", "<NA>"),
        ("rename", "fs.path.source", "/a"),
        ("rename", "fs.path.target", "/b"),
        ("link", "fs.path.source", "/b"),
        ("link", "fs.path.target", "/a"),
        ("symlink fails", "fs.path.target", "<NA>"),
        ("exec", "fs.path.name", "<NA>"),
        ("chmod", "fs.path.name", "/x"),
    ]);
}

#[test]
fn processes() {
    check(&[
        ("open", "proc.name", "bash"),
        ("open", "proc.exe", "/bin/bash"),
        ("open", "proc.exepath", "/bin/bash"),
        ("open", "proc.args", "-c cat /etc/shadow"),
        ("open", "proc.args[1]", "cat /etc/shadow"),
        ("open", "proc.cmdline", "bash -c cat /etc/shadow"),
        ("open", "proc.exeline", "/bin/bash -c cat /etc/shadow"),
        ("open", "proc.cmdnargs", "2"),
        ("open", "proc.cmdlenargs", "17"),
        ("open", "proc.env[LD_PRELOAD]", "/x.so"),
        ("open", "proc.pid", "4711"),
        ("open", "proc.vpid", "7"),
        ("open", "proc.ppid", "900"),
        ("open", "proc.pname", "runc"),
        ("open", "proc.pcmdline", "runc init"),
        ("open", "proc.aname", "runc"),
        ("open", "proc.aname[0]", "bash"),
        ("open", "proc.aname[1]", "runc"),
        ("open", "proc.aname[2]", "<NA>"),
        ("open", "proc.sname", "bash"),
        ("open", "proc.tty", "34816"),
        ("open", "proc.duration", "2000000000"),
        ("open", "proc.ppid.duration", "100000000000"),
        ("open", "proc.exe_ino.ctime_duration_proc_start", "1000000000"),
        ("open", "proc.is_exe_upper_layer", "true"),
        ("open", "proc.is_exe_from_memfd", "false"),
        ("open", "proc.is_sid_leader", "true"),
        ("open", "proc.vpgid", "7"),
        ("open", "proc.loginshellid", "4711"),
        ("open", "thread.tid", "4712"),
        ("open", "thread.ismain", "false"),
        ("open", "thread.cap_effective", "CAP_CHOWN CAP_KILL"),
        ("open", "user.uid", "1000"),
        ("open", "user.name", "<NA>"),
        ("open", "user.loginuid", "1000"),
        ("open", "user.loginname", "ann"),
        ("host unlink", "user.name", "root"),
        ("host unlink", "user.loginuid", "-1"),
        ("host unlink", "user.loginname", "<NA>"),
        ("host unlink", "proc.args", "init"),
        ("host unlink", "proc.pname", "<NA>"),
    ]);
}

#[test]
fn open_objects() {
    check(&[
        ("open", "fd.num", "3"),
        ("open", "fd.name", "/etc/passwd"),
        ("open", "fd.type", "file"),
        ("open", "fd.typechar", "f"),
        ("open", "fd.directory", "/etc"),
        ("open", "fd.filename", "passwd"),
        ("open", "fd.dev.major", "8"),
        ("open", "fd.dev.minor", "3"),
        ("open", "fd.ino", "4711"),
        ("open", "fd.containername", "0123456789ab:/etc/passwd"),
        ("open", "fd.containerdirectory", "0123456789ab:/etc"),
        ("open", "fd.sip", "<NA>"),
        ("open", "fd.connected", "<NA>"),
        ("open fails", "fd.num", "-1"),
        ("relative open", "fd.nameraw", "notes"),
        ("connect", "fd.name", "172.17.0.2:40000->1.2.3.4:80"),
        ("connect", "fd.type", "ipv4"),
        ("connect", "fd.cip", "172.17.0.2"),
        ("connect", "fd.sip", "1.2.3.4"),
        ("connect", "fd.lip", "172.17.0.2"),
        ("connect", "fd.rip", "1.2.3.4"),
        ("connect", "fd.sport", "80"),
        ("connect", "fd.rport", "80"),
        ("connect", "fd.cport", "40000"),
        ("connect", "fd.sproto", "80"),
        ("connect", "fd.l4proto", "tcp"),
        ("connect", "fd.sockfamily", "ip"),
        ("connect", "fd.is_server", "false"),
        ("connect", "fd.name_changed", "true"),
        ("connect", "fd.directory", "<NA>"),
        (
            "connect",
            "fd.containername",
            "0123456789ab:172.17.0.2:40000->1.2.3.4:80",
        ),
        ("accept", "fd.sip", "172.17.0.2"),
        ("accept", "fd.rip", "9.8.7.6"),
        ("accept", "fd.is_server", "true"),
        ("accept", "fd.name_changed", "false"),
        ("datagram", "fd.connected", "false"),
        ("datagram", "fd.name_changed", "true"),
        ("datagram", "fd.l4proto", "udp"),
        ("datagram", "fd.rip", "<NA>"),
    ]);
}

#[test]
fn containers() {
    check(&[
        ("open", "container.id", "0123456789ab"),
        ("open", "container.name", "web-1"),
        ("open", "container.type", "docker"),
        ("open", "container.image", "registry:5000/shop/web:1.2@sha256:77af"),
        ("open", "container.image.repository", "registry:5000/shop/web"),
        ("open", "container.image.tag", "1.2"),
        ("open", "container.image.digest", "sha256:77af"),
        ("open", "container.privileged", "false"),
        ("open", "container.mounts", "/srv/data:/data:ro:false:rprivate"),
        ("open", "container.mount.dest[/srv/*]", "/data"),
        ("open", "container.mount.source[0]", "/srv/data"),
        ("open", "container.label[app]", "shop"),
        ("open", "container.duration", "60000000000"),
        ("open", "k8s.pod.name", "web-6f9"),
        ("open", "k8s.ns.name", "prod"),
        ("host unlink", "container.id", "host"),
        ("host unlink", "container.name", "host"),
        ("host unlink", "container.image", "<NA>"),
        ("docker", "container.name", "web-1"),
        ("docker", "proc.name", "<NA>"),
        ("docker", "user.name", "<NA>"),
        ("docker", "proc.pid", "<NA>"),
        ("audit", "container.id", "<NA>"),
    ]);
}

#[test]
fn other_sources() {
    check(&[
        ("docker", "docker.type", "container"),
        ("docker", "docker.action", "exec_create: sh"),
        ("docker", "docker.exit_code", "1"),
        ("docker", "docker.attributes[execID]", "e1"),
        ("docker", "docker.attributes[n]", "2"),
        ("docker", "docker.attributes[x]", "<NA>"),
        ("open", "docker.type", "<NA>"),
        ("audit", "audit.serial", "42"),
        ("audit", "audit.type", "SYSCALL PATH"),
        ("audit", "audit.key", "etc passwd"),
        ("audit", "audit.field[comm]", "a b"),
        ("audit", "audit.field[a0]", "ff"),
        ("audit", "audit.field[item]", "0"),
        ("audit", "audit.field[none]", "<NA>"),
        ("gap", "capture.source", "syscall"),
        ("gap", "capture.class", "priority"),
        ("gap", "capture.lost", "12"),
        ("artifact", "artifact.kind", "executable"),
        ("artifact", "artifact.sha256", "a7937b64"),
        ("artifact", "artifact.size", "43888"),
        ("artifact", "artifact.ino", "77"),
        ("artifact", "artifact.copy", "artifacts/sha256/a7/a7937b64"),
        ("log", "artifact.sha256", "<NA>"),
        ("log", "log.stream", "stderr"),
        ("log", "log.message", "panic"),
        ("log", "log.partial", "true"),
        ("log", "log.attrs", "{\"tag\":\"web\"}"),
        ("k8s", "ka.verb", "create"),
        ("k8s", "ka.user.groups", "devs"),
        ("k8s", "ka.req.role.rules.verbs", "get"),
        ("k8s", "ka.req.pod.containers.eff_run_as_user", "5"),
        ("k8s", "ka.response.reason", "Forbidden"),
        ("log", "ka.verb", "<NA>"),
        ("alert", "log.type", "Shell"),
        ("alert", "log.message", "a shell"),
        ("alert", "evt.source", "log"),
        ("log", "container.name", "web-1"),
    ]);
}

#[test]
fn arguments_of_an_exec_are_told_once() {
    let scene = Scene::new();
    let block = scene.decode(Need::ALL);
    for (event, begin) in [
        ("exec", "res=0 exe=/bin/bash args=-c.cat /etc/shadow. tid="),
        ("exec fails", "res=-13(EACCES) exe=su args=-.root..... tid="),
        ("exec fails untold", "res=-2(ENOENT) tid="),
    ] {
        let row = EVENTS.iter().position(|e| *e == event).expect(event);
        let args = catalogue::find("evt.args").expect("a field");
        let args = args.of(block.event(row), &FieldArg::None).to_string();
        assert!(args.starts_with(begin), "{args}");
        assert_eq!(args.matches(" exe=").count(), usize::from(event != "exec fails untold"));
        let spec = block.event(row).spec().expect("declared").clone();
        let mut whole = Vec::new();
        render::Shape::of(&spec).write_args(block.event(row), &mut whole);
        assert_eq!(String::from_utf8_lossy(&whole), args);
    }
}
