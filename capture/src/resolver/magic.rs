//! Links of `/proc` that have no text: they lead right to what a process has, its directory, its root, its program or what
//! is behind one of its descriptors. Where that is, is told by what is known of the process, never by the live `/proc`:
//! what a descriptor leads to may be another file by the time at which a record is looked at.
//!
//! Besides, the links with a text that lead to these: `/proc/self`, `/dev/fd` and their like.

use super::call::Call;
use super::links::View;
use super::paths;
use super::state::State;

/// What a link leads to.
pub(super) enum Target {
    /// A name, which leads on from the directory of the link or from the root.
    Name(Vec<u8>),
    /// A place, whatever its path would mean to the caller.
    Place(Vec<u8>),
}

/// What a process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Directory,
    Root,
    Program,
    Descriptor(i32),
}

/// A link that has no text: `/proc/PID/cwd`, `/proc/PID/task/TID/fd/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Magic {
    pid: u32,
    tid: Option<u32>,
    kept: Kept,
}

impl Magic {
    fn parse(path: &[u8]) -> Option<Magic> {
        let mut parts = path.strip_prefix(b"/proc/")?.split(|b| *b == b'/');
        let pid = number(parts.next()?)?;
        let (tid, name) = match parts.next()? {
            b"task" => (Some(number(parts.next()?)?), parts.next()?),
            name => (None, name),
        };
        let kept = match name {
            b"cwd" => Kept::Directory,
            b"root" => Kept::Root,
            b"exe" => Kept::Program,
            b"fd" => Kept::Descriptor(i32::try_from(number(parts.next()?)?).ok()?),
            _ => return None,
        };
        parts.next().is_none().then_some(Magic { pid, tid, kept })
    }
}

/// A number as the names in `/proc` have it.
fn number(name: &[u8]) -> Option<u32> {
    let is_number = name.iter().all(u8::is_ascii_digit) && (name.first() != Some(&b'0') || name.len() == 1);
    str::from_utf8(name).ok().filter(|_| is_number)?.parse().ok()
}

/// Whether a path below a root may lead through such a link.
pub(super) fn may_be_magic(root: &[u8], path: &[u8]) -> bool {
    let begins: [&[u8]; 3] = [b"/proc/", b"/dev/fd", b"/dev/std"];
    let below = path.strip_prefix(root);
    below.is_some_and(|below| begins.iter().any(|begin| below.starts_with(begin)))
}

impl State {
    /// What a link leads to of those that the kernel makes for processes, by its path below the root of a caller. `None` where
    /// it is none, or where that is not known.
    pub(super) fn magic_target(&mut self, call: &Call<'_>, view: View, path: &[u8]) -> Option<Target> {
        let name = match path {
            b"/dev/fd" => b"/proc/self/fd".to_vec(),
            b"/dev/stdin" => b"/proc/self/fd/0".to_vec(),
            b"/dev/stdout" => b"/proc/self/fd/1".to_vec(),
            b"/dev/stderr" => b"/proc/self/fd/2".to_vec(),
            b"/proc/self" => self.own_number(call, view)?.to_string().into_bytes(),
            b"/proc/thread-self" => {
                let (pid, tid) = (self.own_number(call, view)?, self.thread_number(call, view)?);
                format!("{pid}/task/{tid}").into_bytes()
            }
            _ => return self.place_behind(call, view, &Magic::parse(path)?).map(Target::Place),
        };
        Some(Target::Name(name))
    }

    /// Whether a caller is in a pid namespace of its own, where processes have other numbers.
    fn is_renumbered(&mut self, call: &Call<'_>) -> bool {
        let image = self.table.at(call.pid, call.ts).map(|process| &process.image);
        image.is_some_and(|image| image.vpid != 0 && image.vpid != image.pid)
    }

    /// Whether a number is on the host that of a process in the mount namespace of a caller.
    fn is_outer_number(&mut self, call: &Call<'_>, view: View, number: u32) -> bool {
        let process = self.table.at(number, call.ts);
        process.is_some_and(|process| process.image.namespaces.mnt == view.mount_ns)
    }

    /// The number by which [`Self::numbered`] finds a caller itself.
    fn own_number(&mut self, call: &Call<'_>, view: View) -> Option<u32> {
        let inner = self.table.at(call.pid, call.ts)?.image.vpid;
        let is_clear = self.is_renumbered(call) && !self.is_outer_number(call, view, inner);
        Some(if is_clear { inner } else { call.pid })
    }

    /// The same of its thread. In another pid namespace only the first thread's number is known.
    fn thread_number(&mut self, call: &Call<'_>, view: View) -> Option<u32> {
        match call.tid == call.pid {
            true => self.own_number(call, view),
            false => (!self.is_renumbered(call)).then_some(call.tid),
        }
    }

    /// The process that a caller names by a number. In a pid namespace of its own it may have a `/proc` of that or still the one
    /// of the host: what means a process in both is not known.
    fn numbered(&mut self, call: &Call<'_>, view: View, number: u32) -> Option<u32> {
        if !self.is_renumbered(call) || !self.is_outer_number(call, view, number) {
            return self.outer_pid(call, number);
        }
        let is_itself = number == call.pid && self.may_search(call.ts) && self.outer_pid(call, number).is_none();
        is_itself.then_some(number)
    }

    /// The process and thread that a caller names.
    fn outer_thread(&mut self, call: &Call<'_>, view: View, magic: &Magic) -> Option<(u32, u32)> {
        let is_renumbered = self.is_renumbered(call);
        // Threads have names in `/proc` too, though it does not list them.
        if !is_renumbered && magic.tid.unwrap_or(magic.pid) == call.tid {
            return Some((call.pid, call.tid));
        }
        let pid = self.numbered(call, view, magic.pid)?;
        match magic.tid.filter(|tid| *tid != magic.pid) {
            None => Some((pid, pid)),
            Some(tid) => (!is_renumbered).then_some((pid, tid)),
        }
    }

    /// Where a link leads to that has no text. What lies in another mount namespace has no path in that of the caller.
    fn place_behind(&mut self, call: &Call<'_>, view: View, magic: &Magic) -> Option<Vec<u8>> {
        let (pid, tid) = self.outer_thread(call, view, magic)?;
        let process = self.table.at(pid, call.ts)?;
        let image = process.image_of(tid).clone();
        if image.namespaces.mnt != view.mount_ns {
            return None;
        }
        let place = match magic.kept {
            Kept::Directory => process.directory_of(tid),
            Kept::Root => [&process.root_in(tid)[..], b"/"].concat(),
            Kept::Program => image.exe_path.clone(),
            // Without the records of all opens and closes it may be another's by now.
            Kept::Descriptor(_) if !self.config.sees_descriptors => return None,
            Kept::Descriptor(fd) => {
                if pid == call.pid {
                    self.ask_for_fd(call, fd);
                }
                let entry = self.descriptor(pid, tid, call.ts, fd)?;
                if !entry.kind.is_path() {
                    return None;
                }
                entry.name.clone()
            }
        };
        paths::is_known(&place).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_without_a_text_are_magic() {
        let magic = |path: &str| Magic::parse(path.as_bytes()).map(|m| (m.pid, m.tid, m.kept));
        assert_eq!(magic("/proc/7/cwd"), Some((7, None, Kept::Directory)));
        assert_eq!(magic("/proc/7/task/8/root"), Some((7, Some(8), Kept::Root)));
        assert_eq!(magic("/proc/7/exe"), Some((7, None, Kept::Program)));
        assert_eq!(magic("/proc/7/fd/0"), Some((7, None, Kept::Descriptor(0))));
        for other in [
            "/proc",
            "/proc/7",
            "/proc/07/cwd",
            "/proc/+7/cwd",
            "/proc//cwd",
            "/proc/99999999999/cwd",
            "/proc/7/fd",
            "/proc/7/fd/4294967295",
            "/proc/7/fd/3/x",
            "/proc/7/cwd/x",
            "/proc/7/task/cwd",
            "/proc/7/comm",
            "/x/proc/7/cwd",
        ] {
            assert_eq!(magic(other), None, "{other}");
        }
    }
}
