//! Whose syscalls are recorded, as the user names them.

use std::fmt;
use std::str::FromStr;

use ctrace_wire::scope::LIST_MAX;

use crate::host::CgroupTree;
use crate::syscall;

/// A part of the host's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Host,
    /// Those in containers.
    Containers,
    /// Those of one container: its name, or at least twelve digits of its id.
    Container(String),
    /// Those in a cgroup of the version 2 hierarchy, and below: its path, absolute from the hierarchy's root.
    Cgroup(String),
    /// One process and all that descend from it.
    Pid(u32),
    /// Those of a name, and all that descend from them.
    Comm(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Host => f.write_str("host"),
            Scope::Containers => f.write_str("containers"),
            Scope::Container(which) => write!(f, "container={which}"),
            Scope::Cgroup(path) => write!(f, "cgroup={path}"),
            Scope::Pid(pid) => write!(f, "pid={pid}"),
            Scope::Comm(name) => write!(f, "comm={name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(s: &str) -> Result<Scope, String> {
        match (s, s.split_once('=')) {
            ("host", _) => Ok(Scope::Host),
            ("containers", _) => Ok(Scope::Containers),
            (_, Some(("container", which))) if !which.is_empty() => Ok(Scope::Container(which.to_owned())),
            (_, Some(("cgroup", path))) => cgroup_path(path).map(Scope::Cgroup),
            (_, Some(("pid", pid))) => match pid.parse() {
                Ok(pid) if pid > 0 => Ok(Scope::Pid(pid)),
                _ => Err("pid= takes the id of a process".to_owned()),
            },
            (_, Some(("comm", name))) if (1..=15).contains(&name.len()) => Ok(Scope::Comm(name.to_owned())),
            (_, Some(("comm", _))) => {
                Err("comm= takes a name of at most 15 bytes, as /proc/PID/comm shows it".to_owned())
            }
            _ => Err("must be host, containers, container=ID-or-name, cgroup=PATH, pid=N or comm=NAME".to_owned()),
        }
    }
}

/// Also takes the path of the folder where the hierarchy usually is.
fn cgroup_path(path: &str) -> Result<String, String> {
    let inside = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .iter()
        .find_map(|mount| path.strip_prefix(mount));
    let path = inside.unwrap_or(path).trim_end_matches('/');
    if path.starts_with('/') {
        Ok(path.to_owned())
    } else {
        Err("cgroup= takes a path such as /system.slice/ssh.service; all of them are the scope host".to_owned())
    }
}

/// What the kernel side is told; `None` where everyone is recorded.
///
/// # Errors
/// Where what a scope names does not exist, or there are too many.
pub(crate) fn in_kernel(scopes: &[Scope]) -> Result<Option<syscall::Scope>, String> {
    let mut told = syscall::Scope::default();
    for scope in scopes {
        match scope {
            Scope::Host => return Ok(None),
            // The kernel side knows no names: it records all containers until it is told otherwise.
            Scope::Containers | Scope::Container(_) => told.containers = true,
            Scope::Cgroup(path) => told.cgroups.push((cgroup_id(path)?, path.clone().into_bytes())),
            Scope::Pid(pid) if std::path::Path::new(&format!("/proc/{pid}")).exists() => told.pids.push(*pid),
            Scope::Pid(pid) => return Err(format!("--scope pid={pid}: there is no such process")),
            Scope::Comm(name) => told.comms.push(name.clone().into_bytes()),
        }
    }
    if told.cgroups.len() > LIST_MAX || told.comms.len() > LIST_MAX {
        return Err(format!("--scope takes at most {LIST_MAX} cgroups and {LIST_MAX} names"));
    }
    Ok(Some(told))
}

fn cgroup_id(path: &str) -> Result<u64, String> {
    match CgroupTree::read().id(path.as_bytes()) {
        0 => Err(format!(
            "--scope cgroup={path}: the version 2 hierarchy has no such cgroup"
        )),
        id => Ok(id),
    }
}

/// All scopes of a recording as text, as a case keeps it.
pub(crate) fn text(scopes: &[Scope]) -> String {
    let parts: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in [
            "host",
            "containers",
            "container=web-1",
            "cgroup=/a/b",
            "pid=7",
            "comm=nginx",
        ] {
            assert_eq!(text.parse::<Scope>().expect(text).to_string(), text);
        }
        let same = Scope::Cgroup("/a".to_owned());
        for path in [
            "cgroup=/sys/fs/cgroup/a/",
            "cgroup=/sys/fs/cgroup/unified/a",
            "cgroup=/a/",
        ] {
            assert_eq!(path.parse(), Ok(same.clone()), "{path}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "web",
            "container=",
            "pid=0",
            "pid=x",
            "comm=",
            "comm=0123456789abcdef",
            "cgroup=a",
            "cgroup=/",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_host_in_the_list_is_everyone() {
        let scopes = [Scope::Comm("sh".to_owned()), Scope::Host];
        assert_eq!(in_kernel(&scopes), Ok(None));
        let named = in_kernel(&scopes[..1]).expect("valid").expect("not everyone");
        assert_eq!(named.comms, [b"sh".to_vec()]);
        assert!(in_kernel(&[Scope::Pid(u32::MAX)]).is_err());
    }
}
