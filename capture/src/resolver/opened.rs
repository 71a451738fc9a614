//! What a record says of a file that was opened, turned into what is behind the descriptor.
//!
//! Programs open the same libraries and settings again and again. The record that says for the third time the same gets the
//! same entry, without making paths, hashing them, and comparing what was just written, for which the processor waits.

use std::sync::Arc;

use ctrace_trace::event::{Arg, Event};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::scan;
use ctrace_wire::record::Header;
use ctrace_wire::section::{self, FILE_PSEUDO};

use super::action::Action;
use super::bare;
use super::budget::{Budget, weight_of_entry};
use super::call::{Call, Scratch, open_mode};
use super::clock::Clock;
use super::closed::Closed;
use super::files::{file_kind, stat_device};
use super::lately::Lately;
use super::plan::Plan;
use super::seen::Seen;
use super::state::State;
use super::syscalls::{Shown, emit};
use crate::syscall::{Section, UNREACHABLE};

/// Longer names take the long way: what is kept stays bounded.
const MAX_NAME: usize = 1024;

/// What a record says of a file that was opened, as far as a descriptor shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    /// The name that the caller gave.
    asked: &'a [u8],
    /// The descriptor of the directory from which the name leads on.
    from: Option<i32>,
    /// The components of the kernel's path, all of them.
    components: &'a [u8],
    ino: u64,
    dev: u32,
    mode: u32,
    flags: u32,
    open_flags: u32,
}

impl<'a> Opening<'a> {
    /// What a call says; `None` where something of it is missing.
    ///
    /// Inlined, since it would be returned in other parts than it is read in, for which the processor waits.
    #[inline(always)]
    fn of(call: &Call<'a>, plan: &Plan) -> Option<Opening<'a>> {
        let (Action::Open(flags), [path]) = (plan.action, &plan.paths[..]) else {
            return None;
        };
        let (mut asked, mut components, mut identity) = (None, None, None);
        for section in call.sections() {
            match section.kind {
                section::STRING if section.arg == path.arg && !section.fault => asked = Some(section.data),
                section::FILE => identity = section.file().map(|f| (f.ino, f.dev, f.mode, f.flags)),
                section::FILE_PATH if !section.truncated && !section.detached => components = Some(section.data),
                _ => {}
            }
        }
        let (ino, dev, mode, flags_of_file) = identity?;
        let asked = asked.filter(|name| name.len() <= MAX_NAME)?;
        let from = path.dirfd.filter(|_| asked.first() != Some(&b'/'));
        Some(Opening {
            asked,
            // The working directory is none.
            from: from.map(|at| call.fd(at)).filter(|fd| *fd >= 0),
            components: components.filter(|path| path.len() <= MAX_NAME)?,
            ino,
            dev,
            mode,
            flags: flags_of_file,
            open_flags: call.flags(flags),
        })
    }

    fn closes_on_exec(&self) -> bool {
        self.open_flags & libc::O_CLOEXEC as u32 != 0
    }

    /// Files that are opened one after another mostly have numbers near each other: so have their fingerprints.
    fn print(&self) -> u64 {
        let lens = self.asked.len() ^ self.components.len() << 12;
        let way = u64::from(self.open_flags) ^ u64::from(self.dev) << 32;
        let place = self.ino.wrapping_add(way.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
        let mark = (self.ino ^ (lens as u64) << 40 ^ way).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        place & u64::from(u32::MAX) | mark & !u64::from(u32::MAX)
    }

    /// Writes what is behind the descriptor over an entry; `false` where the kernel has no path.
    #[inline(always)]
    fn write(&self, id: u64, directories: &mut Seen, to: &mut FdEntry) -> bool {
        self.path_into(directories, &mut to.name);
        if to.name.is_empty() {
            return false;
        }
        to.name_raw.clear();
        if *self.asked != *to.name {
            to.name_raw.extend_from_slice(self.asked);
        }
        to.id = id;
        to.kind = file_kind(Some((self.mode, self.flags)), &to.name, self.open_flags);
        to.open_flags = self.open_flags;
        to.dev = stat_device(self.dev);
        to.ino = self.ino;
        to.socket = None;
        true
    }

    /// Replaces `to` by the kernel's path: mostly that of a directory of which another file was opened shortly before, and
    /// a name.
    #[inline]
    fn path_into(&self, directories: &mut Seen, to: &mut Vec<u8>) {
        let Some((directory, name)) = self.in_directory(directories) else {
            return kernel_path(&path(self.components), self.flags, to);
        };
        to.clear();
        to.reserve(directory.len() + name.len());
        to.extend_from_slice(directory);
        to.extend_from_slice(name);
    }

    /// The directory of the file, with a slash behind it, and its name there; `None` where the components do not say so.
    #[inline]
    fn in_directory<'d>(&self, directories: &'d mut Seen) -> Option<(&'d [u8], &'a [u8])> {
        let (name, above) = first_of(self.components).filter(|_| self.flags & FILE_PSEUDO == 0)?;
        let directory = directories.of(above, false, |known, to| directory(above, known, to))?;
        Some((directory, name))
    }
}

/// The first of some components, which is not empty and has others or a NUL behind it, and those.
#[inline]
fn first_of(components: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = scan::first(0, components).filter(|end| *end > 0)?;
    Some((components.get(..end)?, components.get(end + 1..)?))
}

/// Replaces `to` by the path that components make, with a slash behind it: mostly that of a directory which is known, and
/// a name.
fn directory(components: &[u8], known: &Seen, to: &mut Vec<u8>) {
    let parent = first_of(components).and_then(|(name, above)| Some((known.get(above, false)?, name)));
    if let Some((above, name)) = parent {
        to.clear();
        to.extend_from_slice(above);
        to.extend_from_slice(name);
    } else {
        path(components).path_into(false, to);
    }
    if to != b"/" {
        to.push(b'/');
    }
}

/// Files that were opened and closed lately.
#[derive(Debug)]
pub(super) struct Files {
    opened: Lately<Known>,
    pub(super) closed: Closed,
    /// Their directories, with the slash behind them.
    directories: Seen,
    /// What all entries take.
    pub(super) bytes: Budget,
}

impl Files {
    pub(super) fn new(bytes: Budget) -> Files {
        Files {
            opened: Lately::default(),
            closed: Closed::default(),
            directories: Seen::default(),
            bytes,
        }
    }

    /// What is behind the descriptor of a file that was opened; `None` where the kernel has no path. A new entry gets the
    /// next id.
    #[inline(always)]
    fn entry_of(&mut self, opening: &Opening<'_>, next_id: &mut u64) -> Option<Arc<FdEntry>> {
        let print = opening.print();
        if let Some(known) = self.opened.get(print)
            && known.says(opening)
        {
            return Some(known.entry.clone());
        }
        let mut unshared = self.closed.take();
        let is_written = opening.write(*next_id, &mut self.directories, unshared.get_mut());
        *next_id += 1;
        let entry = unshared.share();
        if !is_written {
            self.closed.keep(entry);
            return None;
        }
        self.bytes.add(weight_of_entry(&entry));
        self.opened.offer(print, || Known::new(opening, entry.clone()));
        Some(entry)
    }
}

/// An opening and what became of it.
#[derive(Debug)]
struct Known {
    /// What was asked for, and the kernel's path behind it.
    names: Box<[u8]>,
    /// How long the first of the two is.
    asked_len: usize,
    mode: u32,
    flags: u32,
    dev: u32,
    entry: Arc<FdEntry>,
}

impl Known {
    fn new(opening: &Opening<'_>, entry: Arc<FdEntry>) -> Known {
        Known {
            names: [opening.asked, opening.components].concat().into(),
            asked_len: opening.asked.len(),
            mode: opening.mode,
            flags: opening.flags,
            dev: opening.dev,
            entry,
        }
    }

    fn says(&self, opening: &Opening<'_>) -> bool {
        (self.mode, self.flags, self.dev) == (opening.mode, opening.flags, opening.dev)
            && (self.entry.ino, self.entry.open_flags) == (opening.ino, opening.open_flags)
            && self.names.split_at_checked(self.asked_len) == Some((opening.asked, opening.components))
    }
}

/// A section of components that are all there.
fn path(components: &[u8]) -> Section<'_> {
    Section {
        kind: section::FILE_PATH,
        arg: 0,
        truncated: false,
        fault: false,
        detached: false,
        full_len: None,
        data: components,
    }
}

/// The kernel's path of a file with these `FILE_*` bits, into `to`; empty where there is none that says more than the caller's.
pub(super) fn kernel_path(path: &Section<'_>, flags: u32, to: &mut Vec<u8>) {
    let pseudo = flags & FILE_PSEUDO != 0;
    path.path_into(pseudo, to);
    if pseudo && to == b"/" {
        // Some objects have a name only as the kernel prints it (`/proc/PID/ns/net`).
        to.clear();
    }
}

/// The same of a file whose path nobody told: `(unreachable)` where the kernel has none, because it was opened by its handle
/// and no directory that leads to it is known.
pub(crate) fn path_of_object(path: &Section<'_>, flags: u32, to: &mut Vec<u8>) {
    kernel_path(path, flags, to);
    if to.is_empty() {
        to.extend_from_slice(UNREACHABLE);
    }
}

/// The name that a file was opened by, where its entry has it: who looks at both sees that they are one.
#[inline]
fn asked_as_in<'a>(entry: &'a FdEntry, asked: &'a [u8]) -> &'a [u8] {
    match (&entry.name_raw[..], asked) {
        (_, []) => asked,
        ([], _) => &entry.name,
        (raw, _) => raw,
    }
}

impl State {
    /// Meets the process of a call that opens a file, puts that behind its new descriptor and hands out the event, where
    /// the record has all that it takes; `false` where all but the meeting is still to be done.
    #[inline(always)]
    pub(super) fn opened(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        header: &Header,
        clock: &Clock,
        scratch: &Scratch,
        sink: &mut impl FnMut(&Event<'_>),
    ) -> bool {
        if self.files.bytes.is_spent() {
            self.forget_descriptors();
        }
        let mut process = match self.table.living_at(call.pid, call.ts) {
            Some(process) if process.cgroup == header.cgroup && !process.shares => process,
            _ => {
                self.meet(header);
                match self.table.at(call.pid, call.ts) {
                    Some(process) => process,
                    None => return false,
                }
            }
        };
        let (Some(fd), Some(opening)) = (call.new_fd(), Opening::of(call, plan)) else {
            return false;
        };
        // Later calls may start from there too, when it may be another one.
        if let Some(from) = opening.from
            && process.fds.get(from).is_none()
        {
            self.ask_for_fd(call, from);
            process = match self.table.at(call.pid, call.ts) {
                Some(process) => process,
                None => return false,
            };
        }
        let Some(entry) = self.files.entry_of(&opening, &mut self.next_fd) else {
            return false;
        };
        if !process.fds.insert(fd, entry, opening.closes_on_exec()) {
            return false;
        }
        let (Some(opens), Some(entry)) = (&plan.opens, process.fds.get(fd)) else {
            let shown = Shown::Opened(opening.asked);
            emit(Some(process), call, plan, header, clock, scratch, shown, sink);
            return true;
        };
        let args = [
            opens.dirfd.map_or(Arg::None, |at| Arg::Num(i64::from(call.fd(at)))),
            Arg::Path {
                resolved: &entry.name,
                raw: asked_as_in(entry, opening.asked),
            },
            Arg::Num(i64::from(call.arg32(opens.flags))),
            open_mode(call, opens.mode, opens.flags),
            Arg::Num(entry.dev as i64),
            Arg::Num(entry.ino as i64),
        ];
        let args = if opens.dirfd.is_some() { &args[..] } else { &args[1..] };
        sink(&Event {
            ret: Some(call.ret),
            fd_num: Some(fd),
            fd: Some(entry),
            ..bare(header, plan.kind, clock, Some(process.image_of(call.tid)), args)
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use ctrace_trace::fd::FdKind;

    use super::*;
    use crate::resolver::files::named;

    fn opening<'a>(asked: &'a [u8], components: &'a [u8]) -> Opening<'a> {
        Opening {
            asked,
            from: None,
            components,
            ino: 7,
            dev: 1,
            mode: libc::S_IFREG,
            flags: 0,
            open_flags: 0,
        }
    }

    #[test]
    fn names_that_are_cut_otherwise_are_others() {
        let one = opening(b"/x", b"passwd\0etc\0");
        let entry = FdEntry {
            ino: one.ino,
            ..named(FdKind::File, b"/etc/passwd")
        };
        let known = Known::new(&one, Arc::new(entry));
        assert!(known.says(&one));
        // Another link to the same file, and the program's own one to that.
        assert!(!known.says(&opening(b"/xpass", b"wd\0etc\0")));
        assert!(!known.says(&opening(b"", b"/xpasswd\0etc\0")));
    }

    #[test]
    fn a_path_in_a_known_directory_is_the_path_of_its_components() {
        let all: [&[u8]; 18] = [
            b"passwd\0etc\0",
            b"shadow\0etc\0",
            b"shadow\0etc",
            b"x\0",
            b"x",
            b"",
            b"\0",
            b"x\0\0",
            b"\0x\0etc\0",
            b"x\0\0a\0",
            b"a-long-name-of-a-file\0a\0b\0c\0",
            b"y\0a\0b\0c\0",
            b"y\0d\0a\0b\0c\0",
            b"y\0e\0d\0a\0b\0c\0",
            b"y\0e\0\0",
            b"y\0\0",
            b"y\0d\0e\0\0",
            b"y\0d\0e",
        ];
        let (mut directories, mut found, mut made) = (Seen::default(), b"/of/another".to_vec(), Vec::new());
        for data in all.into_iter().chain(all) {
            for flags in [0, FILE_PSEUDO] {
                let opening = Opening {
                    asked: b"",
                    from: None,
                    components: data,
                    ino: 1,
                    dev: 1,
                    mode: 0,
                    flags,
                    open_flags: 0,
                };
                kernel_path(&path(data), flags, &mut made);
                opening.path_into(&mut directories, &mut found);
                assert_eq!(found, made, "{:?}", data.escape_ascii().to_string());
            }
        }
    }
}
