//! Open descriptors of a process, from `/proc/PID/fd` and `/proc/PID/fdinfo`.

use std::ffi::CString;

use ctrace_trace::fd::{FdEntry, FdKind};

use super::procfs::{decimal, lines, link, numbers, read};
use super::sockets::Sockets;

/// Most descriptors of one process that are kept.
const MAX_FDS: usize = 65_536;

/// An open descriptor.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFd {
    /// Its number.
    pub fd: i32,
    /// What is behind it; `id` is 0.
    pub entry: FdEntry,
    /// Whether `exec` closes it.
    pub cloexec: bool,
    /// When the file was made; 0 where its file system does not keep that.
    pub born_ns: u64,
}

/// All descriptors of a process in ascending order. None where they may not be read.
pub fn read_fds(pid: u32, sockets: &Sockets) -> Vec<HostFd> {
    let numbers = numbers(format!("/proc/{pid}/fd")).into_iter().take(MAX_FDS);
    let fds = numbers.filter_map(|n| i32::try_from(n).ok());
    fds.filter_map(|fd| read_fd(pid, fd, sockets)).collect()
}

/// One descriptor; `None` when it is not open.
pub fn read_fd(pid: u32, fd: i32, sockets: &Sockets) -> Option<HostFd> {
    let path = format!("/proc/{pid}/fd/{fd}");
    let target = link(&path)?;
    let flags = read_flags(pid, fd);
    let mut entry = entry_of(&target, sockets);
    entry.open_flags = flags & !(libc::O_CLOEXEC as u32);
    let mut born_ns = 0;
    let is_socket = entry.socket.is_some() || target.starts_with(b"socket:");
    if let Some(file) = stat(&path).filter(|_| !is_socket) {
        (entry.dev, entry.ino) = (file.dev, file.ino);
        born_ns = file.born_ns;
        if entry.kind == FdKind::Unknown && target.starts_with(b"/") {
            entry.kind = file.kind;
        }
    }
    Some(HostFd {
        fd,
        entry,
        cloexec: flags & libc::O_CLOEXEC as u32 != 0,
        born_ns,
    })
}

/// The `flags:` line of `fdinfo`: octal, as `open` takes them.
fn read_flags(pid: u32, fd: i32) -> u32 {
    let text = read(format!("/proc/{pid}/fdinfo/{fd}"), 64 * 1024).unwrap_or_default();
    let octal = lines(&text).find_map(|l| l.strip_prefix(b"flags:"));
    let octal = octal.and_then(|o| std::str::from_utf8(o.trim_ascii()).ok());
    octal.and_then(|o| u32::from_str_radix(o, 8).ok()).unwrap_or(0)
}

/// What a link in `/proc/PID/fd` says; a path's kind stays open.
fn entry_of(target: &[u8], sockets: &Sockets) -> FdEntry {
    let mut entry = FdEntry {
        id: 0,
        kind: FdKind::Unknown,
        name: target.to_vec(),
        name_raw: Vec::new(),
        open_flags: 0,
        dev: 0,
        ino: 0,
        socket: None,
    };
    if let Some(inode) = numbered(target, b"socket:[") {
        entry.name.clear();
        entry.ino = inode;
        if let Some(socket) = sockets.get(inode) {
            entry.kind = socket.kind;
            entry.name.clone_from(&socket.name);
            entry.socket = socket.ends;
        }
    } else if numbered(target, b"pipe:[").is_some() {
        (entry.kind, entry.name) = (FdKind::Pipe, b"pipe".to_vec());
    } else if let Some(name) = target.strip_prefix(b"/memfd:") {
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        (entry.kind, entry.name) = (FdKind::Memfd, [b"memfd:", name].concat());
    } else if numbered(target, b"pidfd:[").is_some() {
        // Since 6.9 process descriptors have a file system of their own.
        (entry.kind, entry.name) = (FdKind::Pidfd, b"anon_inode:[pidfd]".to_vec());
    } else {
        entry.kind = anonymous(target);
    }
    entry
}

/// The kind of an object that has no path, by its link.
pub(crate) fn anonymous(target: &[u8]) -> FdKind {
    match target {
        b"anon_inode:[eventfd]" => FdKind::Event,
        b"anon_inode:[signalfd]" => FdKind::Signal,
        b"anon_inode:[eventpoll]" => FdKind::EventPoll,
        b"anon_inode:inotify" => FdKind::Inotify,
        b"anon_inode:[timerfd]" => FdKind::Timer,
        b"anon_inode:[userfaultfd]" => FdKind::UserFault,
        b"anon_inode:[io_uring]" => FdKind::IoUring,
        b"anon_inode:[pidfd]" => FdKind::Pidfd,
        _ if target.starts_with(b"anon_inode:bpf") => FdKind::Bpf,
        _ => FdKind::Unknown,
    }
}

fn numbered(target: &[u8], prefix: &[u8]) -> Option<u64> {
    decimal(target.strip_prefix(prefix)?.strip_suffix(b"]")?)
}

/// What is taken of a file's status.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileStatus {
    pub(super) kind: FdKind,
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) links: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) ctime_ns: u64,
    pub(super) mtime_ns: u64,
    /// When it was made; 0 where its file system does not keep that.
    pub(super) born_ns: u64,
}

/// The status of the file behind a link of /proc, as far as the kernel has it: a server that does not answer (NFS, FUSE)
/// must not hold up a snapshot.
pub(super) fn stat(path: &str) -> Option<FileStatus> {
    let path = CString::new(path).ok()?;
    // SAFETY: all zeros is a valid statx.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    // SAFETY: path is a C string and found a statx; both live through the call.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS | libc::STATX_BTIME,
            &raw mut found,
        )
    };
    let mode = u32::from(found.stx_mode);
    let time = |t: libc::statx_timestamp| {
        let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(t.tv_nsec))
    };
    (result == 0).then(|| FileStatus {
        kind: match mode & libc::S_IFMT {
            libc::S_IFDIR => FdKind::Directory,
            libc::S_IFIFO => FdKind::Pipe,
            _ => FdKind::File,
        },
        dev: libc::makedev(found.stx_dev_major, found.stx_dev_minor),
        ino: found.stx_ino,
        links: found.stx_nlink,
        mode,
        uid: found.stx_uid,
        ctime_ns: time(found.stx_ctime),
        mtime_ns: time(found.stx_mtime),
        born_ns: if found.stx_mask & libc::STATX_BTIME == 0 {
            0
        } else {
            time(found.stx_btime)
        },
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn own(fd: &impl AsRawFd) -> HostFd {
        read_fd(std::process::id(), fd.as_raw_fd(), &Sockets::default()).expect("open")
    }

    #[test]
    fn files_folders_and_pipes() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let found = own(file.as_file());
        let truth = file.as_file().metadata().expect("status");
        assert_eq!(found.entry.kind, FdKind::File);
        assert_eq!(found.entry.name, file.path().as_os_str().as_encoded_bytes());
        assert_eq!((found.entry.dev, found.entry.ino), (truth.dev(), truth.ino()));
        assert_eq!((found.cloexec, found.entry.open_flags & 3), (true, libc::O_RDWR as u32));
        assert_eq!(own(&File::open("/etc").expect("folder")).entry.kind, FdKind::Directory);
        let (reader, _writer) = std::io::pipe().expect("pipe");
        let pipe = own(&reader).entry;
        assert_eq!((pipe.kind, pipe.name.as_slice()), (FdKind::Pipe, &b"pipe"[..]));
        assert!(read_fd(std::process::id(), 999_999, &Sockets::default()).is_none());
    }

    #[test]
    fn objects_without_a_file() {
        let entry = |target: &[u8]| entry_of(target, &Sockets::default());
        assert_eq!(entry(b"anon_inode:[eventpoll]").kind, FdKind::EventPoll);
        assert_eq!(entry(b"anon_inode:bpf-prog").kind, FdKind::Bpf);
        assert_eq!(entry(b"/memfd:a b (deleted)").name, b"memfd:a b");
        assert_eq!(entry(b"pidfd:[123]").kind, FdKind::Pidfd);
        let socket = entry(b"socket:[77]");
        assert_eq!(
            (socket.kind, socket.ino, socket.name.as_slice()),
            (FdKind::Unknown, 77, &b""[..])
        );
    }
}
