//! What a record says of a file that was opened, turned into what is behind the descriptor.
//!
//! Programs open the same libraries and settings again and again. The record that says for the third time the same gets the
//! same entry, without making paths, hashing them, and comparing what was just written, for which the processor waits.

use std::sync::Arc;

use ctrace_trace::event::Event;
use ctrace_trace::fd::FdEntry;
use ctrace_wire::record::Header;
use ctrace_wire::section::{self, FILE_PSEUDO};

use super::action::Flags;
use super::call::{Call, Scratch};
use super::clock::Clock;
use super::files::{file_kind, stat_device};
use super::plan::Plan;
use super::state::State;
use super::syscalls::{Shown, emit};
use crate::syscall::Section;

/// Longer names take the long way: what is kept stays bounded.
const MAX_NAME: usize = 1024;

/// What a record says of a file that was opened, as far as a descriptor shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    /// The name that the caller gave.
    asked: &'a [u8],
    /// The kernel's path, as the record has it.
    components: Section<'a>,
    ino: u64,
    dev: u32,
    mode: u32,
    flags: u32,
    open_flags: u32,
}

impl<'a> Opening<'a> {
    /// What a call says; `None` where something of it is missing.
    #[inline]
    fn of(call: &Call<'a>, plan: &Plan, flags: Flags) -> Option<Opening<'a>> {
        let [path] = plan.paths[..] else { return None };
        let (mut asked, mut components, mut identity) = (None, None, None);
        for section in call.sections() {
            match section.kind {
                section::STRING if section.arg == path.arg && !section.fault => asked = Some(section.data),
                section::FILE => identity = section.file().map(|f| (f.ino, f.dev, f.mode, f.flags)),
                section::FILE_PATH if !section.truncated => components = Some(section),
                _ => {}
            }
        }
        let (ino, dev, mode, flags_of_file) = identity?;
        Some(Opening {
            asked: asked.filter(|name| name.len() <= MAX_NAME)?,
            components: components.filter(|path| path.data.len() <= MAX_NAME)?,
            ino,
            dev,
            mode,
            flags: flags_of_file,
            open_flags: call.flags(flags),
        })
    }

    /// Files that are opened one after another mostly have numbers near each other: so have their fingerprints.
    fn print(&self) -> u64 {
        let lens = self.asked.len() ^ self.components.data.len() << 12;
        let way = u64::from(self.open_flags) ^ u64::from(self.dev) << 32;
        let place = self.ino.wrapping_add(way.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
        let mark = (self.ino ^ (lens as u64) << 40 ^ way).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        place & u64::from(u32::MAX) | mark & !u64::from(u32::MAX)
    }

    /// Writes what is behind the descriptor over an entry; `false` where the kernel has no path.
    fn write(&self, id: u64, to: &mut FdEntry) -> bool {
        kernel_path(&self.components, self.flags, &mut to.name);
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
}

/// An opening and what became of it.
#[derive(Debug)]
pub(super) struct Known {
    /// What was asked for, and the kernel's path behind it.
    names: Box<[u8]>,
    mode: u32,
    flags: u32,
    dev: u32,
    entry: Arc<FdEntry>,
}

impl Known {
    fn new(opening: &Opening<'_>, entry: Arc<FdEntry>) -> Known {
        Known {
            names: [opening.asked, opening.components.data].concat().into(),
            mode: opening.mode,
            flags: opening.flags,
            dev: opening.dev,
            entry,
        }
    }

    fn says(&self, opening: &Opening<'_>) -> bool {
        (self.mode, self.flags, self.dev) == (opening.mode, opening.flags, opening.dev)
            && (self.entry.ino, self.entry.open_flags) == (opening.ino, opening.open_flags)
            && self.names.split_at_checked(opening.asked.len()) == Some((opening.asked, opening.components.data))
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

impl State {
    /// Puts a file behind its new descriptor and hands out the event, where the record has all that it takes; `false`
    /// where all is still to be done.
    pub(super) fn opened(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        flags: Flags,
        (header, clock): (&Header, &Clock),
        scratch: &Scratch,
        sink: &mut impl FnMut(&Event<'_>),
    ) -> bool {
        let Some(fd) = call.new_fd() else { return false };
        let Some(opening) = Opening::of(call, plan, flags) else {
            return false;
        };
        let Some(entry) = self.entry_of(&opening) else {
            return false;
        };
        if let Some(dirfd) = plan.paths.first().and_then(|p| p.dirfd)
            && opening.asked.first() != Some(&b'/')
            && call.fd(dirfd) != libc::AT_FDCWD
        {
            // Later calls may start from there too, when it may be another one.
            self.ask_for_fd(call.pid, call.ts, call.fd(dirfd), call.ret);
        }
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return false;
        };
        if !process.fds.insert(fd, entry, call.cloexec(flags)) {
            return false;
        }
        let shown = Shown::Opened(opening.asked);
        emit(Some(process), call, plan, header, clock, scratch, shown, sink);
        true
    }

    fn entry_of(&mut self, opening: &Opening<'_>) -> Option<Arc<FdEntry>> {
        let print = opening.print();
        if let Some(known) = self.openings.get(print)
            && known.says(opening)
        {
            return Some(known.entry.clone());
        }
        let (mut entry, id) = (self.closed.take(), self.fd_id());
        if !opening.write(id, Arc::get_mut(&mut entry)?) {
            self.closed.keep(entry);
            return None;
        }
        self.openings.offer(print, || Known::new(opening, entry.clone()));
        Some(entry)
    }
}
