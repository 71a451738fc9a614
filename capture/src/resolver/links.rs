//! What is known of symbolic links: which records told of, and what the host said of paths.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::process::Process;

/// Most links, and most answers, that are kept; all are forgotten then. So many links are made by unpacking an archive.
const MAX_KEPT: usize = 1024;
/// Longest link and target that are kept (`PATH_MAX`).
const MAX_LEN: usize = 4096;
/// Nanoseconds for which the host's answer is good. What records tell of ends it before.
const ANSWER_LIVES: u64 = 1_000_000_000;

/// Links that were made, and what the host said of paths.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// What links lead to. These are the same below any root.
    made: ByPath<Vec<u8>>,
    /// What the host said of paths, which is another thing below a root: links lead on from there.
    answers: ByPath<Answer>,
}

/// In which view a path is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct View {
    pub(super) mount_ns: u32,
    /// Length of the directory of a `chroot`, with which paths begin. Two of one length are told apart by the paths.
    pub(super) root: usize,
}

impl View {
    /// That of a thread.
    pub(super) fn of(process: &Process, tid: u32) -> View {
        View {
            mount_ns: process.image_of(tid).namespaces.mnt,
            root: process.root_of(tid).len(),
        }
    }

    /// The same without the `chroot`.
    fn whole(self) -> View {
        View { root: 0, ..self }
    }
}

/// What the host said of a path.
#[derive(Clone, Debug)]
struct Answer {
    /// Where it really lies; `None` where that is not known.
    real: Option<Vec<u8>>,
    /// The time of the record for which it was asked.
    ts: u64,
}

/// Something for each of many paths.
#[derive(Debug)]
struct ByPath<T> {
    views: BTreeMap<View, BTreeMap<Vec<u8>, T>>,
    len: usize,
}

impl<T> Default for ByPath<T> {
    fn default() -> ByPath<T> {
        ByPath {
            views: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<T> ByPath<T> {
    fn of(&self, view: View) -> Option<&BTreeMap<Vec<u8>, T>> {
        if self.len == 0 { None } else { self.views.get(&view) }
    }

    fn get(&self, view: View, path: &[u8]) -> Option<&T> {
        self.of(view)?.get(path)
    }

    fn insert(&mut self, view: View, path: &[u8], value: T) {
        if path.len() > MAX_LEN {
            return;
        }
        if self.len >= MAX_KEPT {
            *self = ByPath::default();
        }
        let replaced = self.views.entry(view).or_default().insert(path.to_vec(), value);
        self.len += usize::from(replaced.is_none());
    }

    /// Takes out what is kept of a path and of all below it, in one view.
    fn take(&mut self, view: View, path: &[u8]) -> Vec<(Vec<u8>, T)> {
        let Some(of_view) = self.views.get_mut(&view) else {
            return Vec::new();
        };
        let from = (Bound::Included(path), Bound::Unbounded);
        let near = of_view.range::<[u8], _>(from).map(|(key, _)| key);
        let below = near.take_while(|key| key.starts_with(path));
        let below: Vec<Vec<u8>> = below.filter(|key| is_below(key, path)).cloned().collect();
        let taken: Vec<_> = below.iter().filter_map(|key| of_view.remove_entry(key)).collect();
        self.len -= taken.len();
        taken
    }
}

/// Whether what begins with a path is that path, or lies below it.
fn is_below(longer: &[u8], path: &[u8]) -> bool {
    matches!(longer.get(path.len()), None | Some(b'/'))
}

/// The directory of an absolute path: all before its last name.
fn directory(path: &[u8]) -> &[u8] {
    let end = memchr::memrchr(b'/', path).unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

impl Links {
    /// Whether no link is on the way of an absolute path, with its last name or without, as far as that can be known: then the
    /// host was asked a moment ago.
    pub(super) fn is_straight(&self, view: View, path: &[u8], with_last: bool, ts: u64) -> bool {
        let above = directory(path);
        let reached = if with_last { path } else { above };
        let is_itself = match self.answer(view, reached, ts) {
            Some(Some(real)) => real == reached,
            Some(None) if with_last => return self.is_straight(view, path, false, ts),
            Some(None) => true,
            None => reached.len() <= view.root,
        };
        is_itself
            && self.made.of(view.whole()).is_none_or(|made| {
                let mut ends = memchr::memchr_iter(b'/', reached).chain([reached.len()]);
                !ends.any(|end| reached.get(..end).is_some_and(|above| made.contains_key(above)))
            })
    }

    /// Where the host said a moment ago that a file lies, if it knew that.
    pub(super) fn answer(&self, view: View, path: &[u8], ts: u64) -> Option<Option<&[u8]>> {
        let answer = self.answers.get(view, path)?;
        (ts.saturating_sub(answer.ts) < ANSWER_LIVES).then_some(answer.real.as_deref())
    }

    /// Keeps what the host said of a path.
    pub(super) fn answered(&mut self, view: View, path: &[u8], real: Option<Vec<u8>>, ts: u64) {
        self.answers.insert(view, path, Answer { real, ts });
    }

    /// What a link leads to that was made lately.
    pub(super) fn target(&self, view: View, path: &[u8]) -> Option<&[u8]> {
        self.made.get(view.whole(), path).map(|target| &target[..])
    }

    /// A link was made.
    pub(super) fn make(&mut self, view: View, path: &[u8], target: &[u8]) {
        self.remove(view, path);
        if target.len() <= MAX_LEN {
            self.made.insert(view.whole(), path, target.to_vec());
        }
    }

    /// What a name meant is gone, with all that was below: the empty one stands for all.
    pub(super) fn remove(&mut self, view: View, path: &[u8]) {
        self.made.take(view.whole(), path);
        self.doubt(view, path);
    }

    /// A file got a second name; of a link that is one too.
    pub(super) fn link(&mut self, view: View, old: &[u8], new: &[u8]) {
        match self.made.get(view.whole(), old).cloned() {
            Some(target) => self.make(view, new, &target),
            None => self.remove(view, new),
        }
    }

    /// A name was given to what had another.
    pub(super) fn rename(&mut self, view: View, from: &[u8], to: &[u8]) {
        let moved = self.made.take(view.whole(), from);
        self.remove(view, to);
        self.doubt(view, from);
        for (path, target) in moved {
            let behind = path.get(from.len()..).unwrap_or_default();
            self.made.insert(view.whole(), &[to, behind].concat(), target);
        }
    }

    /// Two names were exchanged.
    pub(super) fn exchange(&mut self, view: View, one: &[u8], other: &[u8]) {
        let first = self.made.take(view.whole(), one);
        self.rename(view, other, one);
        for (path, target) in first {
            let behind = path.get(one.len()..).unwrap_or_default();
            self.made.insert(view.whole(), &[other, behind].concat(), target);
        }
    }

    /// What the host said of a path and of all below is not sure any more.
    fn doubt(&mut self, view: View, path: &[u8]) {
        let all_roots = View { root: 0, ..view }..=View {
            root: usize::MAX,
            ..view
        };
        let views: Vec<View> = self.answers.views.range(all_roots).map(|(view, _)| *view).collect();
        for view in views {
            self.answers.take(view, path);
        }
    }

    /// Forgets all, after calls that were not recorded.
    pub(super) fn forget(&mut self) {
        *self = Links::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View { mount_ns: 1, root: 0 };
    const JAILED: View = View { mount_ns: 1, root: 5 };

    fn target<'a>(links: &'a Links, path: &str) -> Option<&'a [u8]> {
        links.target(VIEW, path.as_bytes())
    }

    #[test]
    fn links_go_with_their_names() {
        let mut links = Links::default();
        links.make(VIEW, b"/d/one", b"/etc");
        links.make(VIEW, b"/d-other", b"/usr");
        links.rename(VIEW, b"/d", b"/e");
        assert_eq!(
            (target(&links, "/d/one"), target(&links, "/e/one")),
            (None, Some(&b"/etc"[..]))
        );
        assert_eq!(target(&links, "/d-other"), Some(&b"/usr"[..]), "another name");
        links.link(VIEW, b"/e/one", b"/two");
        links.remove(VIEW, b"/e/one");
        assert_eq!(
            (target(&links, "/e/one"), target(&links, "/two")),
            (None, Some(&b"/etc"[..]))
        );
        links.exchange(VIEW, b"/two", b"/d-other");
        assert_eq!(
            (target(&links, "/two"), target(&links, "/d-other")),
            (Some(&b"/usr"[..]), Some(&b"/etc"[..]))
        );
        links.link(VIEW, b"/file", b"/two");
        assert_eq!(target(&links, "/two"), None, "the file's name now");
        assert_eq!(links.made.len, 1);
        let elsewhere = View { mount_ns: 2, root: 0 };
        assert_eq!(links.target(elsewhere, b"/d-other"), None, "of another mount namespace");
        assert_eq!(links.target(JAILED, b"/d-other"), Some(&b"/etc"[..]));
    }

    #[test]
    fn answers_are_good_for_a_while() {
        let mut links = Links::default();
        let known = |links: &Links, ts| links.is_straight(VIEW, b"/a/b/file", false, ts);
        assert!(!known(&links, 5), "nobody was asked");
        links.answered(VIEW, b"/a/b", Some(b"/a/b".to_vec()), 5);
        assert!(known(&links, 6) && !known(&links, 5 + ANSWER_LIVES));
        links.answered(VIEW, b"/jail/b", Some(b"/jail/b".to_vec()), 5);
        assert!(links.is_straight(VIEW, b"/jail/b/file", false, 6));
        assert!(
            !links.is_straight(JAILED, b"/jail/b/file", false, 6),
            "links lead on from another root"
        );
        links.make(VIEW, b"/a", b"/elsewhere");
        assert!(!known(&links, 6));
        links.remove(VIEW, b"/a");
        assert!(!known(&links, 6), "to be asked anew");
        links.answered(VIEW, b"/a/b", None, 6);
        assert!(known(&links, 7), "what nobody knows need not be asked again");
        let whole = |links: &Links| links.is_straight(VIEW, b"/a/b/file", true, 7);
        assert!(!whole(&links));
        links.answered(VIEW, b"/a/b/file", None, 7);
        assert!(whole(&links), "the file is gone, its directory asked for");
        links.rename(VIEW, b"/other", b"/a");
        assert!(!known(&links, 7));
        links.answered(VIEW, b"/a/b", Some(b"/c".to_vec()), 7);
        assert!(!known(&links, 8), "it lies elsewhere");
        assert!(links.is_straight(VIEW, b"/file", false, 8));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut links = Links::default();
        for number in 0..3 * MAX_KEPT {
            links.make(VIEW, format!("/{number}").as_bytes(), b"x");
            assert!(links.made.len <= MAX_KEPT);
        }
        links.make(VIEW, &[b'a'; MAX_LEN + 1], b"x");
        links.make(VIEW, b"/0", &[b'a'; MAX_LEN + 1]);
        assert!(links.made.get(VIEW, &[b'a'; MAX_LEN + 1]).is_none() && target(&links, "/0").is_none());
        assert_eq!(
            links.made.views.values().map(BTreeMap::len).sum::<usize>(),
            links.made.len
        );
    }
}
