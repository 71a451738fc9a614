//! Processes as logs tell of them: a little with every line. What is said once of a pid holds until something else is.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use ctrace_trace::scan::same_text;
use ctrace_trace::text::Text;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// No more processes than Linux can have by default on a large machine; a hostile file could name more.
const MAX_PROCESSES: usize = 1 << 18;
/// Longest chain of ancestors that hangs below an image.
const MAX_CHAIN: usize = 32;

/// What a line says of a process; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen<'a> {
    pub(super) pid: u32,
    pub(super) ppid: Option<u32>,
    pub(super) vpid: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) euid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) egid: Option<u32>,
    pub(super) loginuid: Option<u32>,
    /// Name of `euid`.
    pub(super) user: Option<Cow<'a, [u8]>>,
    /// Name of `uid`.
    pub(super) real_user: Option<Cow<'a, [u8]>>,
    pub(super) group: Option<Cow<'a, [u8]>>,
    pub(super) login_user: Option<Cow<'a, [u8]>>,
    pub(super) name: Option<Cow<'a, [u8]>>,
    pub(super) exe_path: Option<Cow<'a, [u8]>>,
    /// NUL-separated.
    pub(super) argv: Option<Cow<'a, [u8]>>,
    pub(super) cwd: Option<Cow<'a, [u8]>>,
    /// `NAME=value`, NUL-separated.
    pub(super) env: Option<Cow<'a, [u8]>>,
    /// Permitted, effective and inheritable capabilities.
    pub(super) capabilities: Option<[u64; 3]>,
    pub(super) container: Option<&'a Arc<Container>>,
    /// When it executed a program, where this line tells of that.
    pub(super) exec_ts: Option<u64>,
}

/// All processes of a log.
#[derive(Debug, Default)]
pub(super) struct Processes {
    by_pid: HashMap<u32, Arc<ProcessImage>>,
    images: u64,
}

/// Logs of more machines than this are not kept apart.
const MAX_HOSTS: usize = 4096;
/// Each of them makes fewer images than this.
const IMAGES_OF_HOST: u64 = 1 << 34;

/// The processes of each machine whose events a log collects.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    by_name: HashMap<Vec<u8>, usize>,
    /// The machine of a log that names none, which is most of them.
    unnamed: Option<usize>,
    list: Vec<Processes>,
}

impl Hosts {
    /// The processes of a machine.
    pub(super) fn of(&mut self, name: &[u8]) -> &mut Processes {
        let known = match name {
            b"" => self.unnamed,
            name => self.by_name.get(name).copied(),
        };
        let next = self.list.len();
        let at = match known {
            Some(at) => at,
            None if name.is_empty() || next >= MAX_HOSTS => *self.unnamed.get_or_insert(next),
            None => *self.by_name.entry_ref(name).or_insert(next),
        };
        if at == next {
            self.list.push(Processes {
                images: next as u64 * IMAGES_OF_HOST,
                ..Processes::default()
            });
        }
        &mut self.list[at]
    }
}

impl Processes {
    /// Takes over what a line says, and gives the image that holds after it. One that changes nothing gives the same
    /// image as the one before.
    ///
    /// It is lent: to count references the processor waits until all that was written before has reached its cache, which
    /// the texts of an event take long for.
    pub(super) fn see(&mut self, seen: &Seen<'_>) -> &Arc<ProcessImage> {
        let known = self.by_pid.get(&seen.pid);
        let changed = match known.is_some_and(|known| says_the_same(known, seen)) {
            true => None,
            false => Some(self.changed(seen)),
        };
        match (self.by_pid.entry(seen.pid), changed) {
            (Entry::Occupied(known), None) => known.into_mut(),
            (entry, changed) => entry.insert(changed.unwrap_or_default()).into_mut(),
        }
    }

    /// The image that holds after a line that says something new.
    fn changed(&mut self, seen: &Seen<'_>) -> Arc<ProcessImage> {
        let mut image = match self.by_pid.get(&seen.pid) {
            Some(known) => ProcessImage::clone(known),
            // Who tells one user or group means all of its kinds.
            None => ProcessImage {
                pid: seen.pid,
                vpid: seen.pid,
                euid: seen.uid.unwrap_or(0),
                egid: seen.gid.unwrap_or(0),
                loginuid: u32::MAX,
                ..ProcessImage::default()
            },
        };
        apply(&mut image, seen);
        self.images += 1;
        image.id = self.images;
        image.parent = self.parent_of(&image);
        if self.by_pid.len() >= MAX_PROCESSES {
            self.by_pid.clear();
        }
        Arc::new(image)
    }

    /// What is known of a process.
    pub(super) fn of(&self, pid: u32) -> Option<&Arc<ProcessImage>> {
        self.by_pid.get(&pid)
    }

    /// A process began as a copy of another.
    pub(super) fn fork(&mut self, parent: u32, child: u32, ts: u64) {
        let Some(known) = self.by_pid.get(&parent) else { return };
        let mut image = ProcessImage::clone(known);
        self.images += 1;
        (image.id, image.pid, image.vpid, image.ppid) = (self.images, child, child, parent);
        (image.start_ts, image.exec_ts) = (ts, 0);
        image.parent = self.parent_of(&image);
        self.by_pid.insert(child, Arc::new(image));
    }

    /// A process ended; its pid may be another's soon.
    pub(super) fn exit(&mut self, pid: u32) {
        self.by_pid.remove(&pid);
    }

    /// The parent's image, with a bounded number of ancestors.
    fn parent_of(&mut self, image: &ProcessImage) -> Option<Arc<ProcessImage>> {
        if image.ppid == image.pid {
            return None;
        }
        let parent = self.by_pid.get(&image.ppid)?;
        let chain = std::iter::successors(Some(parent), |i| i.parent.as_ref());
        if chain.take(MAX_CHAIN).count() < MAX_CHAIN {
            return Some(parent.clone());
        }
        self.images += 1;
        Some(Arc::new(ProcessImage {
            id: self.images,
            parent: None,
            ..ProcessImage::clone(parent)
        }))
    }
}

fn says_the_same(known: &ProcessImage, seen: &Seen<'_>) -> bool {
    let number = |said: Option<u32>, known: u32| said.is_none_or(|s| s == known);
    let text = |said: &Option<Cow<'_, [u8]>>, known: &[u8]| said.as_ref().is_none_or(|s| same_text(s, known));
    let same_container = || match (&seen.container, &known.container) {
        (None, _) => true,
        (Some(said), Some(known)) => Arc::ptr_eq(said, known) || *said == known,
        (Some(_), None) => false,
    };
    seen.exec_ts.is_none()
        && number(seen.ppid, known.ppid)
        && number(seen.vpid, known.vpid)
        && number(seen.uid, known.uid)
        && number(seen.euid, known.euid)
        && number(seen.gid, known.gid)
        && number(seen.egid, known.egid)
        && number(seen.loginuid, known.loginuid)
        && text(&seen.name, &known.name)
        && text(&seen.exe_path, &known.exe_path)
        && text(&seen.argv, &known.argv)
        && text(&seen.cwd, &known.cwd)
        && text(&seen.env, &known.env)
        && seen
            .capabilities
            .is_none_or(|sets| sets == [known.cap_permitted, known.cap_effective, known.cap_inheritable])
        && text(&seen.user, &known.user)
        && (known.uid != known.euid || seen.user.is_some() || text(&seen.real_user, &known.user))
        && text(&seen.group, &known.group)
        && text(&seen.login_user, &known.login_user)
        && same_container()
}

fn apply(image: &mut ProcessImage, seen: &Seen<'_>) {
    let number = |said: Option<u32>, known: &mut u32| *known = said.unwrap_or(*known);
    let text = |said: &Option<Cow<'_, [u8]>>, known: &mut Vec<u8>| {
        if let Some(said) = said {
            known.clear();
            known.extend_from_slice(said);
        }
    };
    let strings = |said: &Option<Cow<'_, [u8]>>, known: &mut Text| {
        if let Some(said) = said {
            known.make(|to| to.extend_from_slice(said));
        }
    };
    // Names belong to numbers: those of other numbers are wrong.
    if seen.euid.is_some_and(|id| id != image.euid) {
        image.user.clear();
    }
    if seen.egid.is_some_and(|id| id != image.egid) {
        image.group.clear();
    }
    if seen.loginuid.is_some_and(|id| id != image.loginuid) {
        image.login_user.clear();
    }
    // Another program has other arguments.
    let other = |said: &Option<Cow<'_, [u8]>>, known: &[u8]| said.as_ref().is_some_and(|s| !same_text(s, known));
    if seen.exec_ts.is_some() || other(&seen.exe_path, &image.exe_path) {
        (image.argv, image.env) = Default::default();
    }
    image.exec_ts = seen.exec_ts.unwrap_or(image.exec_ts);
    number(seen.ppid, &mut image.ppid);
    number(seen.vpid, &mut image.vpid);
    number(seen.uid, &mut image.uid);
    number(seen.euid, &mut image.euid);
    number(seen.gid, &mut image.gid);
    number(seen.egid, &mut image.egid);
    number(seen.loginuid, &mut image.loginuid);
    if image.uid == image.euid {
        text(&seen.real_user, &mut image.user);
    }
    text(&seen.user, &mut image.user);
    text(&seen.group, &mut image.group);
    text(&seen.login_user, &mut image.login_user);
    text(&seen.name, &mut image.name);
    text(&seen.exe_path, &mut image.exe_path);
    strings(&seen.argv, &mut image.argv);
    text(&seen.cwd, &mut image.cwd);
    strings(&seen.env, &mut image.env);
    if let Some(sets) = seen.capabilities {
        [image.cap_permitted, image.cap_effective, image.cap_inheritable] = sets;
    }
    if let Some(container) = seen.container {
        image.container = Some(container.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: u32, ppid: u32, name: &'static [u8]) -> Seen<'static> {
        Seen {
            pid,
            ppid: Some(ppid),
            name: Some(name.into()),
            ..Seen::default()
        }
    }

    #[test]
    fn what_changes_nothing_is_the_same_image() {
        let mut processes = Processes::default();
        let first = processes.see(&seen(7, 1, b"sh")).clone();
        assert!(Arc::ptr_eq(&first, processes.see(&seen(7, 1, b"sh"))));
        let second = processes.see(&seen(7, 1, b"id")).clone();
        assert_ne!(first.id, second.id);
        assert_eq!(
            processes.see(&seen(8, 7, b"x")).parent.as_ref().map(|p| p.id),
            Some(second.id)
        );
    }

    #[test]
    fn chains_of_ancestors_are_bounded() {
        let mut processes = Processes::default();
        for pid in 1..200_000 {
            let image = processes.see(&seen(pid, pid - 1, b"x"));
            let chain = std::iter::successors(Some(image), |i| i.parent.as_ref());
            assert!(chain.count() <= MAX_CHAIN + 1);
        }
    }
}
