//! Comparisons of paths: what the folder says of all files in it is found once per folder, and only what is left is asked
//! of their names.

mod asked;
mod met;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use ctrace_trace::block::decoded::Cut;
use ctrace_trace::catalogue::Value;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use self::asked::{Hint, Left, Rest};
use self::met::{Folder, Met};
use super::mask;
use super::matcher::{Edge, TextMatcher};
use crate::typed::glob::Glob;
use crate::typed::path_prefix::PathPrefixes;
use crate::typed::test::Test;

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
