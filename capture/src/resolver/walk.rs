//! The way to a file that is named and not opened: of such a call the kernel says no more than what the caller wrote.
//!
//! What is told is free of links, as with opened files. Where the last part is a link, the call says whether it is about that
//! or about what it leads to.
//!
//! Two know the links. Records tell which were made, and what became of them: that is what was there when the call was
//! made, also where a caller makes a link, goes through it and removes it at once. For all others the host is asked. It shows
//! what is there when the record is looked at, up to a second later; links that are newer than the call do not count.
//! Where neither knows, `..` is taken by its letters, and a link for a directory. The links of `/proc` that lead to what a
//! process has are followed by what is known of the process (`magic.rs`).

use std::ops::Range;

use super::call::Call;
use super::links::View;
use super::magic::{Target, may_be_magic};
use super::paths::PATH_LIMIT;
use super::process::Process;
use super::state::State;
use crate::syscall::UNREACHABLE;

/// Most links on one way (`MAXSYMLINKS` of the kernel).
const MAX_LINKS: usize = 40;
/// The register of `renameat2` with the flag `RENAME_EXCHANGE`.
const RENAME_FLAGS: u8 = 4;

/// What relative names of a caller start from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Base {
    WorkingDirectory,
    Descriptor(i32),
}

/// How a caller names a file.
pub(super) struct Name<'a> {
    pub(super) raw: &'a [u8],
    pub(super) base: Base,
    /// Whether the call is about what the last part leads to where that is a link.
    pub(super) is_followed: bool,
    /// Whether `..` took back a part of it, which may have been a link.
    pub(super) is_cut: bool,
}

/// Who names a file.
struct Caller<'a> {
    call: &'a Call<'a>,
    view: View,
    /// The directory of its `chroot`; empty for none.
    root: Vec<u8>,
    /// What its relative names start from.
    base: Vec<u8>,
}

impl<'a> Caller<'a> {
    fn new(call: &'a Call<'a>, process: &Process, base: &[u8]) -> Caller<'a> {
        Caller {
            call,
            view: View::of(process, call.tid),
            root: process.root_of(call.tid).to_vec(),
            base: base.to_vec(),
        }
    }
}

/// How far a walk has come.
struct Place {
    path: Vec<u8>,
    /// So many bytes of it are free of links.
    sure: usize,
}

impl Place {
    fn at(path: &[u8]) -> Place {
        let path = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        Place { sure: path.len(), path }
    }

    /// Where a name leads on from.
    fn before(name: &[u8], caller: &Caller<'_>) -> Place {
        Place::at(if name.first() == Some(&b'/') {
            &caller.root
        } else {
            &caller.base
        })
    }

    fn enter(&mut self, name: &[u8]) {
        self.path.push(b'/');
        self.path.extend_from_slice(name);
    }

    /// Goes up, but not out of a root.
    fn leave(&mut self, root: &[u8]) {
        let floor = if self.path.starts_with(root) { root.len() } else { 0 };
        let floor = match self.path.starts_with(UNREACHABLE) {
            true => floor.max(UNREACHABLE.len()),
            false => floor,
        };
        let end = memchr::memrchr(b'/', &self.path).unwrap_or(0);
        self.path.truncate(end.max(floor));
        self.sure = self.sure.min(self.path.len());
    }

    fn finish(mut self) -> Vec<u8> {
        if self.path.is_empty() || self.path == UNREACHABLE {
            self.path.push(b'/');
        }
        self.path
    }
}

/// The next part of a name, between slashes.
fn next_part(name: &[u8], from: usize) -> Option<Range<usize>> {
    let begin = from + name.get(from..)?.iter().position(|b| *b != b'/')?;
    let len = memchr::memchr(b'/', name.get(begin..)?);
    Some(begin..len.map_or(name.len(), |len| begin + len))
}

impl State {
    /// Replaces a path, which was made of the letters of a name, by that of the file which the name really means.
    #[cold]
    #[inline(never)]
    pub(super) fn straighten(&mut self, call: &Call<'_>, name: &Name<'_>, path: &mut Vec<u8>) {
        let Some(process) = self.table.at(call.pid, call.ts) else {
            return;
        };
        let base = match name.base {
            Base::Descriptor(fd) => process.fds.get(fd).map_or(&[][..], |entry| &entry.name),
            Base::WorkingDirectory => &process.image_of(call.tid).cwd,
        };
        let view = View::of(process, call.tid);
        let is_magic = may_be_magic(process.root_of(call.tid), path);
        let is_straight = || !is_magic && self.links.is_straight(view, path, name.is_followed, call.ts);
        if path.first() != Some(&b'/') || !name.is_cut && is_straight() {
            return;
        }
        let caller = Caller::new(call, process, base);
        // What leads nowhere else is told as it was named: `/proc/self/comm`.
        let leads = |straight: &Vec<u8>| !is_magic || !may_be_magic(&caller.root, straight);
        if let Some(straight) = self.walk(&caller, name.raw, name.is_followed).filter(leads) {
            *path = straight;
        }
    }

    /// The directory that a caller entered by a name.
    pub(super) fn entered(&mut self, call: &Call<'_>, raw: &[u8]) -> Option<Vec<u8>> {
        let process = self.table.at(call.pid, call.ts)?;
        let cwd = &process.image_of(call.tid).cwd;
        if raw.first() != Some(&b'/') && cwd.first() != Some(&b'/') {
            return None;
        }
        let caller = Caller::new(call, process, cwd);
        self.walk(&caller, raw, true)
    }

    /// Goes the way of a name as the kernel does, from one part to the next. `None` where it is too long.
    fn walk(&mut self, caller: &Caller<'_>, raw: &[u8], follows_last: bool) -> Option<Vec<u8>> {
        let mut place = Place::before(raw, caller);
        let (mut rest, mut from, mut links) = (raw.to_vec(), 0, 0);
        while let Some(part) = next_part(&rest, from) {
            from = part.end;
            let name = rest.get(part)?;
            match name {
                b"." => continue,
                b".." => {
                    self.settle(caller, &mut place);
                    place.leave(&caller.root);
                    continue;
                }
                name => place.enter(name),
            }
            let is_last = next_part(&rest, from).is_none();
            let is_followed = !is_last || follows_last;
            let target = is_followed.then(|| self.target(caller, &place.path)).flatten();
            if let Some(target) = target {
                links += 1;
                match target {
                    Target::Name(name) => {
                        match name.first() {
                            Some(b'/') => place = Place::before(&name, caller),
                            _ => place.leave(b""),
                        }
                        rest = [&name, &b"/"[..], rest.get(from..)?].concat();
                        from = 0;
                    }
                    Target::Place(path) => place = Place::at(&path),
                }
            } else if is_last && !(follows_last && self.settle(caller, &mut place)) {
                // Its directory is still known where the file is not.
                place.leave(b"");
                self.settle(caller, &mut place);
                place.enter(name);
                place.sure = place.path.len();
            }
            if links > MAX_LINKS || place.path.len() > PATH_LIMIT {
                return None;
            }
        }
        self.settle(caller, &mut place);
        Some(place.finish())
    }

    /// What a link leads to, where that is known without asking the host for it.
    fn target(&mut self, caller: &Caller<'_>, path: &[u8]) -> Option<Target> {
        if let Some(name) = self.links.target(caller.view, path) {
            return Some(Target::Name(name.to_vec()));
        }
        let below = path.strip_prefix(&caller.root[..]);
        let below = below.filter(|_| may_be_magic(&caller.root, path))?;
        self.magic_target(caller.call, caller.view, below)
    }

    /// Makes sure that no link is on the way; `false` where that is not known.
    fn settle(&mut self, caller: &Caller<'_>, place: &mut Place) -> bool {
        if place.path.len() <= place.sure {
            return true;
        }
        let below = place.path.strip_prefix(&caller.root[..]);
        // What is mounted nowhere is below no root.
        let Some(below) = below.filter(|below| below.starts_with(b"/")) else {
            return false;
        };
        let (view, ts) = (caller.view, caller.call.ts);
        let answer = self.links.answer(view, &place.path, ts);
        let real = match answer.map(|real| real.map(<[u8]>::to_vec)) {
            Some(real) => real,
            None if !self.may_ask_for_path(ts) => None,
            None => {
                let real = self.ask_for_path(caller.call.pid, ts, view.mount_ns, &caller.root, below);
                self.links.answered(view, &place.path, real.clone(), ts);
                real
            }
        };
        if let Some(real) = &real {
            *place = Place::at(real);
        }
        real.is_some()
    }

    /// A link was made: `symlink`, `symlinkat`.
    pub(super) fn symlinked(&mut self, call: &Call<'_>, path: &[u8]) {
        if let (Some(view), Some(target)) = (self.view_of_change(call, &[path]), call.text(0)) {
            self.links.make(view, path, target);
        }
    }

    /// A file got a second name.
    pub(super) fn linked(&mut self, call: &Call<'_>, old: &[u8], new: &[u8]) {
        if let Some(view) = self.view_of_change(call, &[old, new]) {
            self.links.link(view, old, new);
        }
    }

    /// A file got another name, or two were exchanged.
    pub(super) fn renamed(&mut self, call: &Call<'_>, old: &[u8], new: &[u8]) {
        match self.view_of_change(call, &[old, new]) {
            Some(view) if call.arg32(RENAME_FLAGS) & libc::RENAME_EXCHANGE != 0 => self.links.exchange(view, old, new),
            Some(view) => self.links.rename(view, old, new),
            None => {}
        }
    }

    /// What a name meant is gone, with all that was below.
    pub(super) fn unlinked(&mut self, call: &Call<'_>, path: &[u8]) {
        if let Some(view) = self.view_of_change(call, &[path]) {
            self.links.remove(view, path);
        }
    }

    /// In which view a call that succeeded named what it changed; `None` where a name is not known.
    fn view_of_change(&mut self, call: &Call<'_>, names: &[&[u8]]) -> Option<View> {
        let process = self.table.at(call.pid, call.ts).filter(|_| call.ret == 0)?;
        let are_known = names.iter().all(|name| name.first() == Some(&b'/'));
        are_known.then(|| View::of(process, call.tid))
    }
}
