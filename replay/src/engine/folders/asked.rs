//! What comparisons of paths ask of folders and of names.

use super::{PathMatcher, Subject, cut, cut_of};
use crate::condition::Operator;
use crate::engine::matcher::Edge;
use crate::typed::test::{StrTest, Test};

/// What a folder leaves of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left<'r> {
    pub(super) rest: Rest<'r>,
    pub(super) bit: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Rest<'r> {
    /// The name must be this.
    Is(&'r [u8]),
    /// The name must begin with this.
    Begins(&'r [u8]),
    /// The whole path must be asked.
    Asked(&'r StrTest),
}

/// What every match of a pattern has: it begins with some bytes, or holds some.
#[derive(Debug)]
pub(super) enum Hint {
    Start(Vec<u8>),
    /// Up to the last slash, and behind it.
    Part(Vec<u8>, usize),
}

impl<'r> PathMatcher<'r> {
    /// Adds a comparison.
    pub(in crate::engine) fn add(&mut self, subject: Subject, test: &'r Test, bit: u32) {
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
}

impl Hint {
    /// Whether a path in a folder may match.
    pub(super) fn allows(&self, folder: &[u8]) -> bool {
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
