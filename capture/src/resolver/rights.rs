//! Descriptors that came with a message (`SCM_RIGHTS`).

use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_wire::section::{self, FILE_PSEUDO, File};

use super::call::{Call, Scratch};
use super::files::{described, file_identity, file_kind, named, stat_device};
use super::snapshot::SnapshotFd;
use super::state::State;

impl State {
    /// Puts behind the descriptors that came with a message what the kernel says is there.
    pub(super) fn received(&mut self, call: &Call<'_>, scratch: &Scratch) {
        let Some(rights) = call.section(section::RIGHTS) else {
            return;
        };
        let cloexec = call.arg32(2) & libc::MSG_CMSG_CLOEXEC as u32 != 0;
        let mut files = call.sections().filter_map(|section| section.file());
        // The one path is that of the first.
        let mut first = described(call, scratch);
        for fd in rights.integers() {
            let file = files.next();
            let entry = first
                .take()
                .or_else(|| file.map(|file| self.named_by_host(call, fd, &file)));
            match entry {
                Some(entry) => {
                    let entry = self.entry(entry);
                    self.put_fd(call.pid, call.ts, fd, entry, cloexec);
                }
                None => self.forget_fd(call, fd),
            }
        }
    }

    /// A file as the host names it. What the host says is as of now, and may be of another that the number was given since:
    /// then the file has no name.
    fn named_by_host(&mut self, call: &Call<'_>, fd: i32, file: &File) -> FdEntry {
        let may_ask = self.may_ask_for_received(call.ts);
        let said = may_ask.then(|| self.host_says(call, fd)).flatten();
        let said = said.filter(|said| is_about(said, file));
        said.map_or_else(|| nameless(file), |said| said.entry)
    }
}

/// Whether what the host says is about a file, which had its number then: all objects without a file share one, and what is
/// made later may get the number of what is gone.
fn is_about(said: &SnapshotFd, file: &File) -> bool {
    let entry = &said.entry;
    let is_same = entry.ino == file.ino && (entry.dev == stat_device(file.dev) || entry.dev == 0);
    // The clock of a file system ticks some hundred times in a second: at the same time it may have been made later.
    let was_there = file.flags & FILE_PSEUDO != 0 || said.born_ns < file_identity(file).ctime || said.born_ns == 0;
    is_same && was_there && !entry.name.starts_with(b"anon_inode:")
}

/// A file of which only the kernel's word is known. Of what has none that does not tell what it is, nor of which family a
/// socket is.
fn nameless(file: &File) -> FdEntry {
    let is_pseudo = file.flags & FILE_PSEUDO != 0;
    let mut entry = match file_kind(Some((file.mode, file.flags)), b"", 0) {
        FdKind::Pipe if is_pseudo => named(FdKind::Pipe, b"pipe"),
        _ if is_pseudo => named(FdKind::Unknown, b""),
        kind => named(kind, b""),
    };
    (entry.dev, entry.ino) = (stat_device(file.dev), file.ino);
    entry
}
