//! Descriptors that came with a message (`SCM_RIGHTS`).

use ctrace_trace::fd::{FdEntry, FdKind};
use ctrace_wire::section::{self, File};

use super::call::{Call, Scratch};
use super::files::{described, file_kind, named, stat_device};
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
        let dev = stat_device(file.dev);
        // Objects without a file of their own have one inode for all.
        let is_one = file.mode & libc::S_IFMT != 0;
        let is_it = |said: &FdEntry| is_one && said.ino == file.ino && (said.dev == dev || said.dev == 0);
        let said = self.host_says(call, fd).map(|said| said.entry);
        said.filter(is_it).unwrap_or_else(|| {
            // Of a socket the family is not told, nor what those objects are.
            let kind = match file.mode & libc::S_IFMT {
                libc::S_IFSOCK | 0 => FdKind::Unknown,
                _ => file_kind(Some((file.mode, file.flags)), b"", 0),
            };
            let mut entry = named(kind, b"");
            (entry.dev, entry.ino) = (dev, file.ino);
            entry
        })
    }
}
