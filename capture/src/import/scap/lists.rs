//! The lists at the beginning of a capture: the machine, its processes, what they have open, users.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::{ProcessImage, exe_flag};
use ctrace_trace::segment::Host;
use ctrace_trace::snapshot::{Group, User};

use super::cursor::Cursor;
use super::flags::Flags;

/// A list has no more entries: threads, descriptors of a process, users. A small file can decompress to very long ones.
const MAX_ENTRIES: usize = 1 << 18;

/// A thread of the process list.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) tid: u32,
    /// Thread id of the parent.
    pub(super) parent_tid: u32,
    /// `id`, `ppid`, `parent`, `container` and names of users are not set.
    pub(super) image: ProcessImage,
    /// `name=path`, NUL-separated.
    pub(super) cgroups: Vec<u8>,
}

/// The host of the machine block: its fields are those of a C structure of a 64-bit machine.
pub(super) fn machine(body: &[u8], big: bool) -> Option<(Host, u64)> {
    let mut c = Cursor::new(body, big);
    let cpus = c.u32()?;
    c.take(4 + 8 + 8)?;
    let name = c.take(128)?;
    let name = name.split(|b| *b == 0).next().unwrap_or_default();
    let host = Host {
        name: String::from_utf8_lossy(name).into_owned(),
        cpus,
        ..Host::default()
    };
    Some((host, c.u64().unwrap_or(0)))
}

/// Version of a process list, by its block's type.
pub(super) fn process_version(block: u32) -> Option<u8> {
    Some(match block {
        0x202 | 0x8000_ABCD => 1,
        0x207 | 0x8013_ABCD => 2,
        0x209 | 0x8014_ABCD => 3,
        0x210..=0x215 => (block - 0x210) as u8 + 4,
        _ => return None,
    })
}

/// Processes of a block; the answer is false where it is damaged, with those before.
pub(super) fn processes(body: &[u8], version: u8, big: bool, out: &mut Vec<Listed>) -> bool {
    let mut c = Cursor::new(body, big);
    while c.left() >= 4 {
        let entry = if version >= 9 {
            sized(&mut c, big).and_then(|mut part| process(&mut part, version))
        } else {
            process(&mut c, version)
        };
        match entry {
            Some(entry) if out.len() < MAX_ENTRIES => out.push(entry),
            _ => return false,
        }
    }
    true
}

/// A part with its own length, which counts itself, before it.
fn sized<'a>(c: &mut Cursor<'a>, big: bool) -> Option<Cursor<'a>> {
    let len = c.u32()?.checked_sub(4)?;
    Some(Cursor::new(c.take(len as usize)?, big))
}

fn process(c: &mut Cursor<'_>, version: u8) -> Option<Listed> {
    let mut image = ProcessImage {
        loginuid: u32::MAX,
        ..ProcessImage::default()
    };
    let tid = c.pid()?;
    image.pid = c.pid()?;
    let parent_tid = c.pid()?;
    if version >= 6 {
        image.sid = c.pid()?;
    }
    if version >= 8 {
        // The process group as the process's own namespace numbers it.
        image.pgid = c.pid()?;
    }
    image.name = c.text()?.to_vec();
    let exe = c.text()?;
    if version >= 7 {
        image.exe_path = c.text()?.to_vec();
    }
    image.argv = argv(exe, c.text()?).into();
    image.cwd = directory(c.text()?);
    c.u64()?;
    let _flags = c.u32()?;
    (image.uid, image.gid) = (c.u32()?, c.u32()?);
    (image.euid, image.egid) = (image.uid, image.gid);
    if version >= 2 {
        c.take(3 * 4 + 2 * 8)?;
    }
    if version >= 3 {
        image.env = c.text()?.to_vec().into();
    }
    image.vpid = image.pid;
    let mut cgroups = Vec::new();
    if version >= 4 {
        c.u64()?;
        image.vpid = c.pid()?;
        cgroups = c.text()?.to_vec();
    }
    if version >= 5 {
        c.text()?;
    }
    if version >= 9 {
        later(c, &mut image);
    }
    Some(Listed {
        tid,
        parent_tid,
        image,
        cgroups,
    })
}

/// What was added later: as much of it as is there. Where no more than 29 bytes are left the two fields that were put
/// in the middle in libs 0.10 are not there.
fn later(c: &mut Cursor<'_>, image: &mut ProcessImage) -> Option<()> {
    if c.left() > 29 {
        c.u64()?;
        image.tty = c.u32()?;
    }
    image.loginuid = c.u32()?;
    let mut flag = |c: &mut Cursor<'_>, bit| c.u8().map(|set| image.exe_flags |= if set == 0 { 0 } else { bit });
    flag(c, exe_flag::WRITABLE)?;
    image.cap_inheritable = c.u64()?;
    image.cap_permitted = c.u64()?;
    image.cap_effective = c.u64()?;
    let mut flag = |c: &mut Cursor<'_>, bit| c.u8().map(|set| image.exe_flags |= if set == 0 { 0 } else { bit });
    flag(c, exe_flag::UPPER_LAYER)?;
    image.exe_ino = c.u64()?;
    image.exe_ctime = c.u64()?;
    image.exe_mtime = c.u64()?;
    let mut flag = |c: &mut Cursor<'_>, bit| c.u8().map(|set| image.exe_flags |= if set == 0 { 0 } else { bit });
    flag(c, exe_flag::MEMFD)?;
    flag(c, exe_flag::LOWER_LAYER)?;
    image.pgid = c.pid()?;
    Some(())
}

/// The arguments with the first, which the format keeps apart.
pub(super) fn argv(exe: &[u8], args: &[u8]) -> Vec<u8> {
    let args = args.strip_suffix(b"\0").unwrap_or(args);
    let mut argv = exe.to_vec();
    if !args.is_empty() {
        argv.push(0);
        argv.extend_from_slice(args);
    }
    argv
}

/// A working directory without the slash that the format puts behind it.
pub(super) fn directory(path: &[u8]) -> Vec<u8> {
    match path.strip_suffix(b"/") {
        Some(b"") | None => path.to_vec(),
        Some(rest) => rest.to_vec(),
    }
}

/// Descriptors of a block: the thread and what it has open; false where it is damaged, with those before.
pub(super) fn descriptors(
    body: &[u8],
    sizes: bool,
    big: bool,
    flags: &Flags,
    out: &mut Vec<(i32, FdEntry)>,
) -> (u32, bool) {
    let mut c = Cursor::new(body, big);
    let Some(tid) = c.pid() else { return (0, false) };
    while c.left() >= 4 {
        let entry = if sizes {
            sized(&mut c, big).and_then(|mut part| descriptor(&mut part, true, flags))
        } else {
            descriptor(&mut c, false, flags)
        };
        match entry {
            Some(entry) if out.len() < MAX_ENTRIES => out.push(entry),
            _ => return (tid, false),
        }
    }
    (tid, true)
}

fn descriptor(c: &mut Cursor<'_>, sized: bool, flags: &Flags) -> Option<(i32, FdEntry)> {
    let fd = i32::try_from(c.u64()? as i64).ok()?;
    let ino = c.u64()?;
    let number = c.u8()?;
    let mut entry = FdEntry {
        id: 0,
        kind: kind(number),
        name: Vec::new(),
        name_raw: Vec::new(),
        open_flags: 0,
        dev: 0,
        ino,
        socket: None,
    };
    match number {
        3 | 4 => {
            let (local, remote) = (ip(c, number == 4)?, ip(c, number == 4)?);
            let (sport, dport) = (c.u16()?, c.u16()?);
            let protocol = protocol(c.u8()?);
            entry.socket = Some(Socket {
                protocol,
                role: Role::Unknown,
                local: SocketAddr::new(local, sport),
                remote: SocketAddr::new(remote, dport),
            });
        }
        5 | 6 => {
            let local = SocketAddr::new(ip(c, number == 6)?, c.u16()?);
            let protocol = protocol(c.u8()?);
            entry.socket = Some(Socket {
                protocol,
                role: Role::Server,
                local,
                remote: nowhere(local.is_ipv6()),
            });
        }
        8 => {
            c.take(16)?;
            entry.name = c.text()?.to_vec();
        }
        16 => {
            entry.open_flags = flags.open(c.u32()?);
            entry.name = c.text()?.to_vec();
            if sized && c.left() >= 4 {
                entry.dev = u64::from(c.u32()?);
            }
        }
        0 => {}
        1 | 2 | 7 | 9..=15 | 17..=21 => entry.name = c.text()?.to_vec(),
        // Of a later version: its length says where it ends, if it has one.
        _ if !sized => return None,
        _ => {}
    }
    Some((fd, entry))
}

fn kind(number: u8) -> FdKind {
    match number {
        1 | 16 => FdKind::File,
        2 => FdKind::Directory,
        3 | 5 => FdKind::Ipv4,
        4 | 6 => FdKind::Ipv6,
        7 => FdKind::Pipe,
        8 => FdKind::Unix,
        9 => FdKind::Event,
        11 => FdKind::Signal,
        12 => FdKind::EventPoll,
        13 => FdKind::Inotify,
        14 => FdKind::Timer,
        15 => FdKind::Netlink,
        17 => FdKind::Bpf,
        18 => FdKind::UserFault,
        19 => FdKind::IoUring,
        20 => FdKind::Memfd,
        21 => FdKind::Pidfd,
        _ => FdKind::Unknown,
    }
}

/// The protocol number of the internet for the format's own.
fn protocol(number: u8) -> u8 {
    match number {
        2 => 6,
        3 => 17,
        4 => 1,
        5 => 255,
        _ => 0,
    }
}

/// An address; its bytes are in the order of the network whatever the file's is.
pub(super) fn ip(c: &mut Cursor<'_>, v6: bool) -> Option<IpAddr> {
    if v6 {
        let bytes: [u8; 16] = c.take(16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    } else {
        let bytes: [u8; 4] = c.take(4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(bytes)))
    }
}

/// The end that is not connected.
pub(super) fn nowhere(v6: bool) -> SocketAddr {
    let ip = if v6 {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    } else {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    };
    SocketAddr::new(ip, 0)
}

/// Users and groups of a block; false where it is damaged, with those before.
pub(super) fn accounts(body: &[u8], sizes: bool, big: bool, users: &mut Vec<User>, groups: &mut Vec<Group>) -> bool {
    let mut c = Cursor::new(body, big);
    while c.left() >= 4 {
        let done = if sizes {
            sized(&mut c, big).and_then(|mut part| account(&mut part, users, groups))
        } else {
            account(&mut c, users, groups)
        };
        if done.is_none() || users.len().max(groups.len()) > MAX_ENTRIES {
            return false;
        }
    }
    true
}

fn account(c: &mut Cursor<'_>, users: &mut Vec<User>, groups: &mut Vec<Group>) -> Option<()> {
    let text = |c: &mut Cursor<'_>| c.text().map(|t| String::from_utf8_lossy(t).into_owned());
    if c.u8()? == 0 {
        users.push(User {
            uid: c.u32()?,
            gid: c.u32()?,
            name: text(c)?,
            home: text(c)?,
            shell: text(c)?,
        });
    } else {
        groups.push(Group {
            gid: c.u32()?,
            name: text(c)?,
            members: Vec::new(),
        });
    }
    Some(())
}
