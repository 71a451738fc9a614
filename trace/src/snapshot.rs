//! The state of the host when a segment was begun: what the events of the segment start from.

use bincode::{Decode, Encode};

use crate::container::Container;
use crate::fd::{FdEntry, FdKind, Socket};
use crate::process::{Namespaces, ProcessImage};
use crate::segment::packed;

/// The state of a host at one moment. Lists are sorted by their first field, so that equal states give equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct HostSnapshot {
    /// When it was taken, nanoseconds since the Unix epoch.
    pub taken_ts: u64,
    /// Running processes.
    pub processes: Vec<ProcessState>,
    /// Sockets that listen, of the host's network namespace.
    pub listening: Vec<Socket>,
    /// Mounts of the host's mount namespace, in mount order.
    pub mounts: Vec<MountState>,
    /// Users.
    pub users: Vec<User>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Containers that the engine knows, running or not.
    pub containers: Vec<Container>,
    /// Loaded kernel modules.
    pub modules: Vec<Module>,
    /// The audit subsystem, where it could be asked.
    pub audit: Option<AuditState>,
    /// The Docker engine, where it could be asked.
    pub docker: Option<DockerState>,
    /// The kernel's command line.
    pub kernel_command_line: Vec<u8>,
    /// The clock source (`/sys/devices/system/clocksource/clocksource0/current_clocksource`).
    pub clock_source: String,
    /// What could not be read or was left out, with the reason.
    pub incomplete: Vec<(String, String)>,
    /// Additions by number, ignored where unknown.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// The extension that holds [`HostSnapshot::units`].
const UNITS: u16 = 1;

impl HostSnapshot {
    /// The units of the host's systemd, by name; `None` where there is none or it could not be asked.
    pub fn units(&self) -> Option<Vec<Unit>> {
        let (_, bytes) = self.extensions.iter().find(|(number, _)| *number == UNITS)?;
        packed::decode(bytes).ok()
    }

    /// Puts in the units, by name.
    pub fn set_units(&mut self, units: &Vec<Unit>) {
        self.extensions.retain(|(number, _)| *number != UNITS);
        // More than a reader takes is left out as a whole.
        if let Ok(bytes) = packed::encode(units) {
            self.extensions.push((UNITS, bytes));
            self.extensions.sort();
        }
    }
}

/// A unit of systemd. States are its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Unit {
    /// Name (`ssh.service`).
    pub name: String,
    /// What it says it is.
    pub description: String,
    /// Whether its file was read: `loaded`, `not-found`, `masked`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
    /// What that means for its kind of unit: `running`, `exited`, `mounted`, …
    pub sub: String,
    /// When it was last activated, nanoseconds since the Unix epoch; 0 for never.
    pub active_enter_ts: u64,
    /// When it was last deactivated, nanoseconds since the Unix epoch; 0 for never.
    pub inactive_enter_ts: u64,
}

/// A running process: a [`ProcessImage`] by value, with what it has open.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
#[expect(missing_docs, reason = "the same fields as ProcessImage")]
pub struct ProcessState {
    pub pid: u32,
    pub ppid: u32,
    pub vpid: u32,
    pub sid: u32,
    pub pgid: u32,
    pub tty: u32,
    pub start_ts: u64,
    pub exec_ts: u64,
    pub name: Vec<u8>,
    pub exe_path: Vec<u8>,
    pub argv: Vec<u8>,
    pub env: Vec<u8>,
    pub cwd: Vec<u8>,
    pub cgroup: Vec<u8>,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
    pub loginuid: u32,
    pub user: Vec<u8>,
    pub group: Vec<u8>,
    pub login_user: Vec<u8>,
    pub cap_permitted: u64,
    pub cap_effective: u64,
    pub cap_inheritable: u64,
    pub exe_ino: u64,
    pub exe_ctime: u64,
    pub exe_mtime: u64,
    pub exe_flags: u8,
    pub namespaces: Namespaces,
    /// Full id of its container; empty on the host.
    pub container: String,
    /// How many threads it has; 0 when unknown.
    pub threads: u32,
    /// Open descriptors, by number.
    pub fds: Vec<FdState>,
}

impl ProcessState {
    /// The state of a process with what it has open.
    pub fn new(image: &ProcessImage, threads: u32, fds: Vec<FdState>) -> ProcessState {
        ProcessState {
            pid: image.pid,
            ppid: image.ppid,
            vpid: image.vpid,
            sid: image.sid,
            pgid: image.pgid,
            tty: image.tty,
            start_ts: image.start_ts,
            exec_ts: image.exec_ts,
            name: image.name.clone(),
            exe_path: image.exe_path.clone(),
            argv: image.argv.to_vec(),
            env: image.env.to_vec(),
            cwd: image.cwd.clone(),
            cgroup: image.cgroup.clone(),
            uid: image.uid,
            euid: image.euid,
            gid: image.gid,
            egid: image.egid,
            loginuid: image.loginuid,
            user: image.user.clone(),
            group: image.group.clone(),
            login_user: image.login_user.clone(),
            cap_permitted: image.cap_permitted,
            cap_effective: image.cap_effective,
            cap_inheritable: image.cap_inheritable,
            exe_ino: image.exe_ino,
            exe_ctime: image.exe_ctime,
            exe_mtime: image.exe_mtime,
            exe_flags: image.exe_flags,
            namespaces: image.namespaces,
            container: image.container.as_ref().map_or_else(String::new, |c| c.id.clone()),
            threads,
            fds,
        }
    }
}

/// An open descriptor of a process.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct FdState {
    /// Its number.
    pub num: u32,
    /// Kind of object.
    pub kind: FdKind,
    /// Name as in [`crate::fd::FdEntry::name`].
    pub name: Vec<u8>,
    /// Flags of `open(2)`, or 0.
    pub open_flags: u32,
    /// Device number; 0 when unknown.
    pub dev: u64,
    /// Inode number; 0 when unknown.
    pub ino: u64,
    /// Both ends of an internet socket.
    pub socket: Option<Socket>,
}

impl FdState {
    /// A descriptor and what is behind it.
    pub fn new(num: u32, entry: &FdEntry) -> FdState {
        FdState {
            num,
            kind: entry.kind,
            name: entry.name.clone(),
            open_flags: entry.open_flags,
            dev: entry.dev,
            ino: entry.ino,
            socket: entry.socket,
        }
    }
}

/// One line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct MountState {
    /// Mount id.
    pub id: u32,
    /// Parent's mount id.
    pub parent: u32,
    /// Device, major and minor.
    pub device: (u32, u32),
    /// Root of the mount within its file system.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub target: Vec<u8>,
    /// Mount options.
    pub options: Vec<u8>,
    /// Type of the file system.
    pub fs_type: Vec<u8>,
    /// Mount source.
    pub source: Vec<u8>,
    /// Options of the file system.
    pub fs_options: Vec<u8>,
}

/// A user of the host.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Name.
    pub name: String,
    /// Primary group.
    pub gid: u32,
    /// Home folder.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A group of the host.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Group {
    /// Group id.
    pub gid: u32,
    /// Name.
    pub name: String,
    /// Names of its members.
    pub members: Vec<String>,
}

/// A loaded kernel module.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Module {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Modules that use it.
    pub used_by: Vec<String>,
    /// State (`Live`, `Loading`, `Unloading`) and taint letters, as `/proc/modules` shows them.
    pub state: String,
}

/// The audit subsystem.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct AuditState {
    /// 0 off, 1 on, 2 on and immutable.
    pub enabled: u32,
    /// What the kernel does on failure: 0 nothing, 1 prints, 2 panics.
    pub failure: u32,
    /// The daemon's process id; 0 for none.
    pub pid: u32,
    /// Messages per second; 0 for no limit.
    pub rate_limit: u32,
    /// Length of the queue.
    pub backlog_limit: u32,
    /// Messages waiting.
    pub backlog: u32,
    /// Messages lost since boot.
    pub lost: u32,
    /// Rules in auditctl's syntax, in the kernel's order.
    pub rules: Vec<String>,
}

/// The Docker engine.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct DockerState {
    /// Socket that answered.
    pub endpoint: String,
    /// Engine version.
    pub version: String,
    /// API version.
    pub api_version: String,
    /// The engine's answer to `/info`, JSON.
    pub info: Vec<u8>,
    /// Images: id and repository tags.
    pub images: Vec<(String, Vec<String>)>,
}
