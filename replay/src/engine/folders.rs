//! Comparisons of paths: what the folder says of all files in it is found once per folder, and only what is left is asked
//! of their names.

use std::borrow::Cow;
use std::hash::BuildHasher;

use ctrace_trace::block::decoded::Cut;
use ctrace_trace::catalogue::Value;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::mask;
use super::matcher::{Edge, TextMatcher, last_word};
use crate::condition::Operator;
use crate::typed::glob::Glob;
use crate::typed::path_prefix::PathPrefixes;
use crate::typed::test::{StrTest, Test};

/// Folders that are remembered, and bytes of their names: what does not stay in the cache costs more than it saves.
const MAX_FOLDERS: usize = 1 << 12;
const MAX_BYTES: usize = 1 << 18;

/// What of a path a comparison is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// All of it.
    Path,
    /// The folder, without the slash behind it.
    Folder,
    /// What stands behind the last slash.
    Name,
}

/// Comparisons of paths; each has the number of a bit.
///
/// A path is cut behind its last slash: there is none in the name. A text to look for that has slashes is cut likewise.
#[derive(Debug)]
pub(super) struct PathMatcher<'r> {
    /// Words of a set of bits.
    words: usize,
    /// Comparisons that hold for the path where they hold for its folder.
    folders: TextMatcher<'r>,
    /// Comparisons of the folder as its files' fields show it.
    directories: TextMatcher<'r>,
    /// Comparisons that hold for the path where they hold for its name, and those of the name alone.
    names: TextMatcher<'r>,
    /// By the folder that a text names: what the text says of the name.
    in_folder: HashMap<&'r [u8], Vec<Left<'r>>>,
    /// The same for texts that name the end of the folder.
    below: Vec<(Edge<'r>, Left<'r>)>,
    globs: Vec<(&'r Glob, Hint, Left<'r>)>,
    prefixes: Vec<(&'r PathPrefixes, Left<'r>)>,
    /// What is asked of every path, folder and name.
    others: Vec<(Subject, &'r Test, u32)>,
    /// Folders met so far: where their names are in `text`, and what is known of them.
    index: HashTable<Met>,
    hasher: DefaultHashBuilder,
    text: Vec<u8>,
    /// The first is for all of which nothing is to be known.
    known: Vec<Folder<'r>>,
    /// What is known of paths without a folder: most that were not written in full.
    bare: Option<u32>,
    /// Of the current block: by the string that a path is cut like, its folder.
    placed: Vec<u32>,
}

/// No folder.
const NONE: u32 = u32::MAX;

/// What a folder leaves of a comparison.
#[derive(Clone, Copy, Debug)]
struct Left<'r> {
    rest: Rest<'r>,
    bit: u32,
}

#[derive(Clone, Copy, Debug)]
enum Rest<'r> {
    /// The name must be this.
    Is(&'r [u8]),
    /// The name must begin with this.
    Begins(&'r [u8]),
    /// The whole path must be asked.
    Asked(&'r StrTest),
}

/// What every match of a pattern has: it begins with some bytes, or holds some.
#[derive(Debug)]
enum Hint {
    Start(Vec<u8>),
    /// Up to the last slash, and behind it.
    Part(Vec<u8>, usize),
}

/// A folder that was met.
#[derive(Clone, Copy, Debug)]
struct Met {
    start: u32,
    len: u32,
    known: u32,
}

impl Met {
    fn name<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// What is known of a folder.
#[derive(Debug)]
struct Folder<'r> {
    /// Comparisons that hold for all in it.
    bits: Box<[u64]>,
    left: Box<[Left<'r>]>,
    /// The class of entries of which its name says nothing more.
    class: Option<u32>,
}

/// A number of [`PathMatcher`] for a folder; good until the next path is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct FolderId(u32);

impl<'r> PathMatcher<'r> {
    /// No comparisons, of so many.
    pub(super) fn new(comparisons: usize) -> PathMatcher<'r> {
        PathMatcher {
            words: mask::words_for(comparisons),
            folders: TextMatcher::default(),
            directories: TextMatcher::default(),
            names: TextMatcher::default(),
            in_folder: HashMap::new(),
            below: Vec::new(),
            globs: Vec::new(),
            prefixes: Vec::new(),
            others: Vec::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            text: Vec::new(),
            known: vec![Folder::new(vec![0; mask::words_for(comparisons)], Vec::new())],
            bare: None,
            placed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, subject: Subject, test: &'r Test, bit: u32) {
        match (subject, test.as_text()) {
            (_, None) => self.others.push((subject, test, bit)),
            (Subject::Folder, Some(text)) => self.directories.add(text, bit),
            (Subject::Name, Some(text)) => self.names.add(text, bit),
            (Subject::Path, Some(text)) => self.add_path(text, test, bit),
        }
    }

    fn add_path(&mut self, text: &'r StrTest, test: &'r Test, bit: u32) {
        match text {
            StrTest::Compare(Operator::Eq | Operator::In | Operator::Intersects, wanted) => self.add_equal(wanted, bit),
            StrTest::In(set) => set.iter().for_each(|wanted| self.add_equal(wanted, bit)),
            StrTest::StartsWith(start) => {
                self.folders.add(text, bit);
                let (folder, name) = cut(start);
                if !name.is_empty() {
                    let rest = Rest::Begins(name);
                    self.in_folder.entry(folder).or_default().push(Left { rest, bit });
                }
            }
            StrTest::EndsWith(end) => match cut(end) {
                ([], []) => self.folders.add(text, bit),
                ([], _) => self.names.add(text, bit),
                (folder, name) => self.add_below(folder, Rest::Is(name), bit),
            },
            StrTest::Contains(finder) => {
                self.folders.add(text, bit);
                match cut_of(finder.needle()) {
                    (_, 0) => {}
                    (0, _) => self.names.add(text, bit),
                    _ => {
                        let (folder, name) = cut(finder.needle());
                        self.add_below(folder, Rest::Begins(name), bit);
                    }
                }
            }
            StrTest::IContains(needle) if !needle.contains(&b'/') => {
                self.folders.add(text, bit);
                self.names.add(text, bit);
            }
            StrTest::Glob(glob) => {
                let (start, part) = (glob.literal_start(), glob.literal_part());
                let hint = match start.is_empty() {
                    false => Hint::Start(start),
                    true => {
                        let folder = cut_of(&part).0;
                        Hint::Part(part, folder)
                    }
                };
                let rest = Rest::Asked(text);
                self.globs.push((glob, hint, Left { rest, bit }));
            }
            StrTest::Pmatch(prefixes) => {
                let rest = Rest::Asked(text);
                self.prefixes.push((prefixes, Left { rest, bit }));
            }
            StrTest::Never => {}
            StrTest::Compare(..) | StrTest::IContains(_) | StrTest::Regex(_) => {
                self.others.push((Subject::Path, test, bit));
            }
        }
    }

    fn add_equal(&mut self, wanted: &'r [u8], bit: u32) {
        let (folder, name) = cut(wanted);
        let rest = Rest::Is(name);
        self.in_folder.entry(folder).or_default().push(Left { rest, bit });
    }

    fn add_below(&mut self, folder: &'r [u8], rest: Rest<'r>, bit: u32) {
        self.below.push((Edge::end(folder, bit), Left { rest, bit }));
    }

    /// To be called when all comparisons are there.
    pub(super) fn finish(&mut self) {
        self.folders.finish();
        self.directories.finish();
        self.names.finish();
    }

    /// To be called when strings have new ids.
    pub(super) fn begin_block(&mut self) {
        self.placed.clear();
    }

    /// Sets the bits of the comparisons that hold for a path and not for all in its folder.
    pub(super) fn mark(&mut self, path: &[u8], out: &mut [u64]) -> FolderId {
        let (folder, name) = cut(path);
        let id = self.folder(folder);
        self.mark_in(id, path, folder, name, out)
    }

    /// The same for a path of which is known how it is cut.
    pub(super) fn mark_cut(&mut self, path: &[u8], cut: Cut, out: &mut [u64]) -> FolderId {
        let (folder, name) = path.split_at_checked(cut.at as usize).unwrap_or((path, &[]));
        let like = cut.like.0 as usize;
        let id = match self.placed.get(like) {
            Some(id) if *id != NONE => *id,
            _ => self.place(folder, like),
        };
        self.mark_in(id, path, folder, name, out)
    }

    fn place(&mut self, folder: &[u8], like: usize) -> u32 {
        let id = self.folder(folder);
        if self.placed.len() <= like {
            self.placed.resize(like + 1, NONE);
        }
        if let Some(place) = self.placed.get_mut(like) {
            *place = id;
        }
        id
    }

    #[inline]
    fn mark_in(&self, id: u32, path: &[u8], folder: &[u8], name: &[u8], out: &mut [u64]) -> FolderId {
        if !name.is_empty() {
            self.names.mark(name, out);
        }
        let known = self.known.get(id as usize);
        for left in known.map_or(&[][..], |known| &known.left) {
            let holds = match left.rest {
                Rest::Is(wanted) => name == wanted,
                Rest::Begins(start) => name.starts_with(start),
                Rest::Asked(test) => test.holds(path),
            };
            if holds {
                mask::set(out, left.bit);
            }
        }
        for (subject, test, bit) in &self.others {
            let text = match subject {
                Subject::Path => path,
                Subject::Folder => directory(folder),
                Subject::Name => name,
            };
            if !text.is_empty() && test.holds(&Value::Str(Cow::Borrowed(text))) {
                mask::set(out, *bit);
            }
        }
        FolderId(id)
    }

    /// The comparisons that hold for all in a folder.
    pub(super) fn bits(&self, folder: FolderId) -> &[u64] {
        self.known.get(folder.0 as usize).map_or(&[], |known| &known.bits)
    }

    /// The class that was noted for a folder.
    pub(super) fn class(&self, folder: FolderId) -> Option<u32> {
        self.known.get(folder.0 as usize)?.class
    }

    /// Notes the class of entries in a folder of which the name says nothing more.
    pub(super) fn note_class(&mut self, folder: FolderId, class: u32) {
        if let Some(known) = self.known.get_mut(folder.0 as usize) {
            known.class = Some(class);
        }
    }

    fn folder(&mut self, folder: &[u8]) -> u32 {
        if let Some(bare) = self.bare.filter(|_| folder.is_empty()) {
            return bare;
        }
        let hash = self.hasher.hash_one(folder);
        match self.index.find(hash, |met| met.name(&self.text) == folder) {
            Some(met) => met.known,
            None => self.meet(hash, folder),
        }
    }

    #[cold]
    fn meet(&mut self, hash: u64, folder: &[u8]) -> u32 {
        if self.index.len() >= MAX_FOLDERS || self.text.len() >= MAX_BYTES {
            self.known.truncate(1);
            self.index.clear();
            self.text.clear();
            self.placed.clear();
            self.bare = None;
        }
        let known = self.look(folder);
        if folder.is_empty() {
            self.bare = Some(known);
        }
        let met = Met {
            start: self.text.len() as u32,
            len: folder.len() as u32,
            known,
        };
        self.text.extend_from_slice(folder);
        let (hasher, text) = (&self.hasher, &self.text);
        self.index
            .insert_unique(hash, met, |met| hasher.hash_one(met.name(text)));
        known
    }

    /// What is known of a folder.
    fn look(&mut self, folder: &[u8]) -> u32 {
        let mut bits = vec![0; self.words];
        self.folders.mark(folder, &mut bits);
        self.directories.mark(directory(folder), &mut bits);
        let mut left = self.in_folder.get(folder).cloned().unwrap_or_default();
        let word = last_word(folder);
        let below = self.below.iter().filter(|(edge, _)| edge.ends(folder, word));
        left.extend(below.map(|(_, left)| *left));
        let globs = self.globs.iter().filter(|(_, hint, _)| hint.allows(folder));
        left.extend(globs.map(|(_, _, left)| *left));
        for (paths, asked) in &self.prefixes {
            if paths.matches(folder) {
                mask::set(&mut bits, asked.bit);
            } else if paths.may_match_in(folder) {
                left.push(*asked);
            }
        }
        if left.is_empty() && !mask::any(&bits) {
            return 0;
        }
        self.known.push(Folder::new(bits, left));
        self.known.len() as u32 - 1
    }
}

impl<'r> Folder<'r> {
    fn new(bits: Vec<u64>, left: Vec<Left<'r>>) -> Folder<'r> {
        Folder {
            bits: bits.into(),
            left: left.into(),
            class: None,
        }
    }
}

impl Hint {
    /// Whether a path in a folder may match.
    fn allows(&self, folder: &[u8]) -> bool {
        match self {
            Hint::Start(start) => match start.strip_prefix(folder) {
                Some(name) => !name.contains(&b'/'),
                None => folder.starts_with(start),
            },
            Hint::Part(_, 0) => true,
            Hint::Part(part, at) => {
                let ends = part.get(..*at).is_some_and(|end| folder.ends_with(end));
                ends || memchr::memmem::find(folder, part).is_some()
            }
        }
    }
}

/// Where a path's name begins, and how long it is.
fn cut_of(path: &[u8]) -> (usize, usize) {
    let at = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    (at, path.len() - at)
}

/// A path's folder, with the slash behind it, and its name.
fn cut(path: &[u8]) -> (&[u8], &[u8]) {
    path.split_at_checked(cut_of(path).0).unwrap_or((path, &[]))
}

/// A folder as `fd.directory` has it.
fn directory(folder: &[u8]) -> &[u8] {
    match folder {
        [] | [b'/'] => b"/",
        [name @ .., _] => name,
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem::Finder;
    use regex::bytes::Regex;

    use ctrace_trace::block::decoded::StrId;

    use super::*;
    use crate::typed::test::by_length;

    fn text(t: &str) -> Box<[u8]> {
        t.as_bytes().into()
    }

    fn set(t: &str) -> Box<[Box<[u8]>]> {
        let mut set = [text(t), text("/etc/ssh")];
        set.sort_by(|a, b| by_length(a, b));
        set.into()
    }

    fn tests() -> Vec<Test> {
        let finder = |n: &str| StrTest::Contains(Box::new(Finder::new(n.as_bytes()).into_owned()));
        let glob = |p: &str, fold| StrTest::Glob(Glob::new(p.as_bytes(), fold).unwrap());
        let mut out: Vec<StrTest> = Vec::new();
        for t in [
            "",
            "/",
            "/etc",
            "/etc/",
            "/etc/passwd",
            "tc/p",
            "passwd",
            "d",
            "/passwd",
            "etc/ssh/",
            "a",
        ] {
            out.extend([
                StrTest::Compare(Operator::Eq, text(t)),
                StrTest::Compare(Operator::Ne, text(t)),
                StrTest::Compare(Operator::Lt, text(t)),
                StrTest::StartsWith(text(t)),
                StrTest::EndsWith(text(t)),
                StrTest::IContains(text(t)),
                StrTest::In(set(t)),
                StrTest::Pmatch(PathPrefixes::new([t.as_bytes(), b"/home/*/x"])),
                finder(t),
            ]);
        }
        for pattern in [
            "/etc/*",
            "/etc/*/key?",
            "*",
            "*passwd",
            "*tc/s*",
            "*/key?",
            "/et",
            "/[eh]*d",
        ] {
            out.extend([glob(pattern, false), glob(pattern, true)]);
        }
        out.push(StrTest::Regex(Regex::new("^/etc/[^/]*$").unwrap()));
        out.push(StrTest::Never);
        let mut out: Vec<Test> = out.into_iter().map(Test::Str).collect();
        out.push(Test::Exists);
        out
    }

    const PATHS: [&str; 17] = [
        "/",
        "/etc",
        "/etc/",
        "/etc/passwd",
        "/etc/passwd-",
        "/ETC/Passwd",
        "/etc/ssh/key1",
        "/etc/ssh/",
        "/etc/ssh",
        "/home/a/x",
        "/home/a/x/passwd",
        "/home",
        "passwd",
        "a",
        "pipe:[12]",
        "//etc//passwd",
        "/a/very/long/path/to/some/place/etc/passwd",
    ];

    #[test]
    fn as_each_test_alone() {
        let tests = tests();
        let part = |path: &'static str, subject| {
            let (folder, name) = cut(path.as_bytes());
            match subject {
                Subject::Path => path.as_bytes(),
                Subject::Folder => directory(folder),
                Subject::Name => name,
            }
        };
        for subject in [Subject::Path, Subject::Folder, Subject::Name] {
            let mut matcher = PathMatcher::new(tests.len());
            tests.iter().zip(0..).for_each(|(t, bit)| matcher.add(subject, t, bit));
            matcher.finish();
            // What is known of a folder by then must not matter.
            for path in PATHS.iter().chain(&PATHS) {
                let mut out = vec![0; mask::words_for(tests.len())];
                let folder = matcher.mark(path.as_bytes(), &mut out);
                mask::add(&mut out, matcher.bits(folder));
                for (test, bit) in tests.iter().zip(0..) {
                    let text = part(path, subject);
                    let expected = !text.is_empty() && test.holds(&Value::Str(text.into()));
                    assert_eq!(mask::has(&out, bit), expected, "{test:?} on {subject:?} of {path}");
                }
            }
        }
    }

    #[test]
    fn many_folders_are_forgotten() {
        let tests = [
            Test::Str(StrTest::StartsWith(text("/9"))),
            Test::Str(StrTest::EndsWith(text("7/x"))),
        ];
        let mut matcher = PathMatcher::new(2);
        tests
            .iter()
            .zip(0..)
            .for_each(|(t, bit)| matcher.add(Subject::Path, t, bit));
        matcher.finish();
        for n in (0..3 * MAX_FOLDERS).chain(0..100) {
            let mut out = [0];
            let path = format!("/{n}/x");
            let cut = Cut {
                at: path.len() as u32 - 1,
                like: StrId(n as u32),
            };
            let folder = matcher.mark_cut(path.as_bytes(), cut, &mut out);
            mask::add(&mut out, matcher.bits(folder));
            assert_eq!(mask::has(&out, 0), path.starts_with("/9"), "{path}");
            assert_eq!(mask::has(&out, 1), path.ends_with("7/x"), "{path}");
        }
    }
}
