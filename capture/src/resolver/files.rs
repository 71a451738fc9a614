//! What calls do to descriptors that are no sockets: opening, duplicating, closing.

use std::sync::Arc;

use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_wire::section::{self, FILE_PSEUDO, TABLE_SHARED, dev_major, dev_minor};

use super::action::Flags;
use super::call::{Call, Scratch};
use super::plan::Plan;
use super::process::Process;
use super::sockets;
use super::spare::set;
use super::state::State;
use crate::artifact::Identity;
use crate::host::anonymous;
use crate::syscall::UNREACHABLE;

const CLOSE_RANGE_UNSHARE: u32 = 2;
const CLOSE_RANGE_CLOEXEC: u32 = 4;
const EBADF: i64 = -9;
/// Commands of `bpf` (linux/bpf.h) whose result is a descriptor: MAP_CREATE, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID,
/// MAP_GET_FD_BY_ID, RAW_TRACEPOINT_OPEN, BTF_LOAD, BTF_GET_FD_BY_ID, LINK_CREATE, LINK_GET_FD_BY_ID, ENABLE_STATS,
/// ITER_CREATE, TOKEN_CREATE.
const BPF_GIVES_FD: [u32; 13] = [0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 32, 33, 36];

/// An entry that says no more than its kind and name.
pub(super) fn named(kind: FdKind, name: &[u8]) -> FdEntry {
    FdEntry {
        id: 0,
        kind,
        name: name.to_vec(),
        name_raw: Vec::new(),
        open_flags: 0,
        dev: 0,
        ino: 0,
        socket: None,
    }
}

/// Writes over an entry what says no more than a kind and a name; its id stays.
pub(super) fn write_named(entry: &mut FdEntry, kind: FdKind, name: &[u8]) {
    set(&mut entry.name, name);
    entry.name_raw.clear();
    entry.kind = kind;
    (entry.open_flags, entry.dev, entry.ino, entry.socket) = (0, 0, 0, None);
}

/// A device number of the kernel in the form of `st_dev` (`new_encode_dev` in linux/kdev_t.h).
pub(super) fn stat_device(dev: u32) -> u64 {
    let (major, minor) = (dev_major(dev), dev_minor(dev));
    u64::from(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// Nanoseconds of a file's time; 0 where the host does not give it.
pub(super) fn nanoseconds(seconds: i64, nanoseconds: u32) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    if nanoseconds == u32::MAX {
        return 0;
    }
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(nanoseconds & section::FRACTION))
}

/// Which file a record is about; zeros for what the host does not give.
pub(crate) fn file_identity(file: &section::File) -> Identity {
    let known = |number: u64| if number == u64::MAX { 0 } else { number };
    Identity {
        dev: if file.dev == u32::MAX { 0 } else { stat_device(file.dev) },
        ino: known(file.ino),
        ctime: nanoseconds(file.ctime_s, file.ctime_ns),
        mtime: nanoseconds(file.mtime_s, file.mtime_ns),
    }
}

impl State {
    /// A file was opened, and [`State::opened`] lacks something of it. The kernel's path of it counts where it was
    /// captured: it is free of symbolic links and of what another thread wrote over the caller's string. What was asked
    /// for stays beside it.
    pub(super) fn open(&mut self, call: &Call<'_>, plan: &Plan, flags: Flags, scratch: &Scratch) {
        let Some(fd) = call.new_fd() else {
            return;
        };
        let file = call.section(section::FILE).and_then(|s| s.file());
        let told = scratch.paths.first().filter(|_| !plan.paths.is_empty());
        let name = match told {
            _ if !scratch.kernel.is_empty() => &scratch.kernel,
            Some(told) if !told.is_empty() => &told[..],
            // By its handle: the kernel has the file and none of the directories that lead to it.
            None if file.is_some() => UNREACHABLE,
            _ => return self.opaque(call, call.cloexec(flags), scratch),
        };
        let open_flags = call.flags(flags);
        let asked = plan.paths.first().and_then(|p| call.text(p.arg));
        let raw = asked.filter(|raw| *raw != name).unwrap_or_default();
        let entry = self.entry(FdEntry {
            id: 0,
            kind: file_kind(file.map(|f| (f.mode, f.flags)), name, open_flags),
            name: name.to_vec(),
            name_raw: raw.to_vec(),
            open_flags,
            dev: file.map_or(0, |f| stat_device(f.dev)),
            ino: file.map_or(0, |f| f.ino),
            socket: None,
        });
        self.put_fd(call.pid, call.ts, fd, entry, call.cloexec(flags));
    }

    /// A descriptor of an object without a file was made.
    pub(super) fn anonymous(&mut self, call: &Call<'_>, kind: FdKind, name: &[u8], cloexec: bool, scratch: &Scratch) {
        let Some(fd) = call.new_fd() else {
            return;
        };
        if is_another(call, kind, scratch) {
            return self.describe_anew(call, fd, scratch);
        }
        let entry = self.entry(named(kind, name));
        self.put_fd(call.pid, call.ts, fd, entry, cloexec);
    }

    /// `memfd_create`: the flags are MFD_CLOEXEC = 1 and others.
    pub(super) fn memfd(&mut self, call: &Call<'_>, scratch: &Scratch) {
        let name = match described(call, scratch) {
            Some(told) if told.kind == FdKind::Memfd => told.name,
            _ => [b"memfd:", call.text(0).unwrap_or_default()].concat(),
        };
        self.anonymous(call, FdKind::Memfd, &name, call.arg32(1) & 1 != 0, scratch);
    }

    /// A descriptor was made of something that the arguments do not tell: it is what the kernel says, or asked for at
    /// its first use.
    pub(super) fn opaque(&mut self, call: &Call<'_>, cloexec: bool, scratch: &Scratch) {
        let Some(fd) = call.new_fd() else {
            return;
        };
        if let Some(entry) = described(call, scratch).or_else(|| sockets::described(call)) {
            let entry = self.entry(entry);
            self.put_fd(call.pid, call.ts, fd, entry, cloexec);
        } else {
            self.forget_fd(call, fd);
        }
    }

    /// One of the files of an io_uring got a descriptor.
    pub(super) fn install(&mut self, call: &Call<'_>, file: Option<&Arc<FdEntry>>) {
        // IORING_FIXED_FD_NO_CLOEXEC (linux/io_uring.h) makes the kernel leave it out of its own flags.
        let cloexec = call.arg32(1) & libc::O_CLOEXEC as u32 != 0;
        match (call.new_fd(), file) {
            (Some(fd), Some(file)) => self.put_fd(call.pid, call.ts, fd, file.clone(), cloexec),
            (Some(fd), None) => self.forget_fd(call, fd),
            (None, _) => {}
        }
    }

    /// Puts behind a descriptor what the kernel says of it, and nothing where it says nothing.
    pub(super) fn describe(&mut self, call: &Call<'_>, fd: i32, scratch: &Scratch) {
        if let Some(entry) = described(call, scratch).or_else(|| sockets::described(call)) {
            let entry = self.entry(entry);
            self.put_fd(call.pid, call.ts, fd, entry, false);
        } else {
            self.forget_fd(call, fd);
        }
    }

    /// The same of one that the table may have rightly: then it says more than the kernel, and stays.
    #[cold]
    pub(super) fn describe_anew(&mut self, call: &Call<'_>, fd: i32, scratch: &Scratch) {
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        let is_same = |known: &FdEntry, now: &FdEntry| {
            let of = |entry: &FdEntry| (entry.kind, entry.dev, entry.ino);
            of(known) == of(now) && known.ino != 0 && known.name == now.name
        };
        let known = process.fds.get(fd);
        if !known.is_some_and(|known| described(call, scratch).is_some_and(|now| is_same(known, &now))) {
            self.describe(call, fd, scratch);
        }
    }

    /// `bpf`: maps, programs, links and type information are descriptors; other commands give numbers.
    pub(super) fn bpf(&mut self, call: &Call<'_>, scratch: &Scratch) {
        if !BPF_GIVES_FD.contains(&call.arg32(0)) {
            return;
        }
        match described(call, scratch) {
            Some(_) => self.opaque(call, true, scratch),
            None => self.anonymous(call, FdKind::Bpf, b"anon_inode:bpf", true, scratch),
        }
    }

    pub(super) fn close_range(&mut self, call: &Call<'_>) {
        if !call.succeeded() {
            return;
        }
        let open = call.section(section::OPEN_FDS);
        let is_shared = open.is_some_and(|open| open.arg & TABLE_SHARED != 0);
        if call.arg32(2) & CLOSE_RANGE_UNSHARE != 0 && !is_shared {
            self.unshare_files(call.pid, call.tid, call.ts);
        }
        if let Some(process) = self.table.at(call.pid, call.ts) {
            let (first, last) = (call.arg32(0), call.arg32(1));
            if call.arg32(2) & CLOSE_RANGE_CLOEXEC != 0 {
                process.fds.cloexec_range(first, last);
            } else {
                process
                    .fds
                    .remove_range(first, last, open.map_or(&[], |open| open.data));
            }
        }
    }

    /// Two descriptors now refer to one object.
    pub(super) fn dup(&mut self, call: &Call<'_>, cloexec: bool) {
        if !call.succeeded() {
            return;
        }
        self.ask_for_fd(call, call.fd(0));
        if let Some(process) = self.table.at(call.pid, call.ts)
            && !duplicate(call, process, cloexec)
        {
            self.stats.fds_refused += 1;
        }
    }

    pub(super) fn pipe(&mut self, call: &Call<'_>, cloexec: bool) {
        let entry = self.entry(named(FdKind::Pipe, b"pipe"));
        self.pair(call, &entry, cloexec);
    }

    /// Puts one object behind the two descriptors that the kernel wrote.
    pub(super) fn pair(&mut self, call: &Call<'_>, entry: &Arc<FdEntry>, cloexec: bool) {
        for fd in call.pair().filter(|_| call.succeeded()).into_iter().flatten() {
            self.put_fd(call.pid, call.ts, fd, entry.clone(), cloexec);
        }
    }
}

/// A descriptor is free again, also where `close` reports an error of writing back. Hands out what was behind it.
#[inline(always)]
pub(super) fn close(call: &Call<'_>, process: &mut Process) -> Option<Arc<FdEntry>> {
    if call.ret == EBADF {
        return None;
    }
    process.fds.remove(call.fd(0))
}

/// `fcntl`: makes a descriptor, or sets whether `exec` closes one. `false` where there was no room for another.
#[inline(always)]
pub(super) fn fcntl(call: &Call<'_>, process: &mut Process) -> bool {
    if !call.succeeded() {
        return true;
    }
    match call.arg32(1) as i32 {
        libc::F_DUPFD => return duplicate(call, process, false),
        libc::F_DUPFD_CLOEXEC => return duplicate(call, process, true),
        libc::F_SETFD => {
            let cloexec = call.arg32(2) & libc::FD_CLOEXEC as u32 != 0;
            process.fds.set_cloexec(call.fd(0), cloexec);
        }
        _ => {}
    }
    true
}

/// Two descriptors now refer to one object; `false` where there was no room for another.
#[inline]
fn duplicate(call: &Call<'_>, process: &mut Process, cloexec: bool) -> bool {
    let new = call.new_fd();
    new.is_none_or(|new| process.fds.duplicate(call.fd(0), new, cloexec))
}

/// Whether the kernel says that a new descriptor is not of the kind that its call makes. What it has no kind of its own
/// for it may name otherwise than others do.
fn is_another(call: &Call<'_>, kind: FdKind, scratch: &Scratch) -> bool {
    let file = call.section(section::FILE).and_then(|s| s.file());
    let is_socket = file.is_some_and(|file| file.mode & libc::S_IFMT == libc::S_IFSOCK);
    let told = described(call, scratch).map_or(FdKind::Unknown, |told| told.kind);
    is_socket || told != kind && told != FdKind::Unknown
}

/// What the kernel says of the file behind a new descriptor. Sockets have more to tell than that.
pub(super) fn described(call: &Call<'_>, scratch: &Scratch) -> Option<FdEntry> {
    let file = call.section(section::FILE)?.file()?;
    // Pipes have no names but this one.
    let is_pipe = file.flags & FILE_PSEUDO != 0 && file.mode & libc::S_IFMT == libc::S_IFIFO;
    if scratch.kernel.is_empty() && !is_pipe || file.mode & libc::S_IFMT == libc::S_IFSOCK {
        return None;
    }
    let mut entry = named(
        file_kind(Some((file.mode, file.flags)), &scratch.kernel, 0),
        &scratch.kernel,
    );
    (entry.dev, entry.ino) = (stat_device(file.dev), file.ino);
    match entry.kind {
        _ if file.flags & FILE_PSEUDO == 0 => {}
        FdKind::Pipe => entry.name = b"pipe".to_vec(),
        FdKind::File => {
            entry.name.splice(..0, *b"anon_inode:");
            entry.kind = anonymous(&entry.name);
        }
        _ => {}
    }
    Some(entry)
}

/// The kind of a file by its mode and `FILE_*` bits, or by the way it was opened.
#[inline]
pub(super) fn file_kind(file: Option<(u32, u32)>, name: &[u8], open_flags: u32) -> FdKind {
    let Some((mode, flags)) = file else {
        let directory = open_flags & libc::O_DIRECTORY as u32 != 0;
        let temporary = open_flags & libc::O_TMPFILE as u32 == libc::O_TMPFILE as u32;
        return if directory && !temporary {
            FdKind::Directory
        } else {
            FdKind::File
        };
    };
    match mode & libc::S_IFMT {
        libc::S_IFDIR => FdKind::Directory,
        libc::S_IFIFO => FdKind::Pipe,
        libc::S_IFSOCK => FdKind::Unix,
        _ if flags & FILE_PSEUDO != 0 && name.starts_with(b"memfd:") => FdKind::Memfd,
        _ => FdKind::File,
    }
}
