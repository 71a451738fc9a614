//! Files that were opened lately: programs open the same libraries and settings again and again.
//!
//! What a record says of an opened file is turned into a descriptor entry once. The next record that says the same gets the
//! same entry, without making paths, hashing them, and comparing what was just written, for which the processor waits.

use std::sync::Arc;

use ctrace_trace::fd::FdEntry;
use ctrace_wire::section::{self, File};

use super::action::Flags;
use super::call::Call;
use super::plan::Plan;
use super::state::State;

/// How many are kept; a power of two.
const KEPT: usize = 4096;
/// Longer names are not kept: memory stays bounded.
const MAX_NAME: usize = 1024;

/// What a record says of a file that was opened, as far as a descriptor shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    /// The name that the caller gave.
    asked: &'a [u8],
    /// The kernel's path, as the record has it.
    components: &'a [u8],
    file: File,
    open_flags: u32,
}

impl<'a> Opening<'a> {
    /// What a call says; `None` where something of it is missing.
    pub(super) fn of(call: &Call<'a>, plan: &Plan, flags: Flags) -> Option<Opening<'a>> {
        let [path] = plan.paths[..] else { return None };
        let (mut asked, mut components, mut file) = (None, None, None);
        for section in call.sections() {
            match section.kind {
                section::STRING if section.arg == path.arg && !section.fault => asked = Some(section.data),
                section::FILE => file = section.file(),
                section::FILE_PATH if !section.truncated => components = Some(section.data),
                _ => {}
            }
        }
        Some(Opening {
            asked: asked.filter(|name| name.len() <= MAX_NAME)?,
            components: components.filter(|name| name.len() <= MAX_NAME)?,
            file: file?,
            open_flags: call.flags(flags),
        })
    }

    /// Where it is kept: files have numbers, and few are opened in several ways.
    fn place(&self) -> usize {
        let mixed = (self.file.ino ^ u64::from(self.open_flags) << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % KEPT
    }
}

/// An opening and what became of it.
#[derive(Clone, Debug)]
struct Known {
    asked: Box<[u8]>,
    components: Box<[u8]>,
    mode: u32,
    flags: u32,
    dev: u32,
    entry: Arc<FdEntry>,
}

impl Known {
    fn says(&self, opening: &Opening<'_>) -> bool {
        let file = &opening.file;
        (self.mode, self.flags, self.dev) == (file.mode, file.flags, file.dev)
            && (self.entry.ino, self.entry.open_flags) == (file.ino, opening.open_flags)
            && *self.components == *opening.components
            && *self.asked == *opening.asked
    }
}

/// The files that were opened lately.
#[derive(Debug)]
pub(super) struct Openings {
    kept: Vec<Option<Known>>,
}

impl Default for Openings {
    fn default() -> Openings {
        Openings { kept: vec![None; KEPT] }
    }
}

impl Openings {
    fn get(&self, opening: &Opening<'_>) -> Option<Arc<FdEntry>> {
        let known = self.kept.get(opening.place())?.as_ref()?;
        known.says(opening).then(|| known.entry.clone())
    }

    /// Keeps what became of an opening.
    pub(super) fn keep(&mut self, opening: &Opening<'_>, entry: &Arc<FdEntry>) {
        if let Some(slot) = self.kept.get_mut(opening.place()) {
            *slot = Some(Known {
                asked: opening.asked.into(),
                components: opening.components.into(),
                mode: opening.file.mode,
                flags: opening.file.flags,
                dev: opening.file.dev,
                entry: entry.clone(),
            });
        }
    }
}

impl State {
    /// Puts a file behind its new descriptor where the same was opened lately; `false` where all is still to be done.
    pub(super) fn opened_again(&mut self, call: &Call<'_>, plan: &Plan, flags: Flags) -> bool {
        let Some(fd) = call.new_fd() else { return false };
        let Some(opening) = Opening::of(call, plan, flags) else {
            return false;
        };
        let Some(entry) = self.openings.get(&opening) else {
            return false;
        };
        if let Some(dirfd) = plan.paths.first().and_then(|p| p.dirfd)
            && opening.asked.first() != Some(&b'/')
            && call.fd(dirfd) != libc::AT_FDCWD
        {
            // Later calls may start from there too, when it may be another one.
            self.ask_for_fd(call.pid, call.ts, call.fd(dirfd), call.ret);
        }
        let process = self.table.at(call.pid, call.ts);
        process.is_some_and(|p| p.fds.insert(fd, entry, call.cloexec(flags)))
    }
}
