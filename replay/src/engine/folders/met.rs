//! The folders that were met, and what was found out about each.

use std::hash::BuildHasher;

use super::asked::Left;
use super::{PathMatcher, directory};
use crate::engine::mask;
use crate::engine::matcher::last_word;

/// Folders that are remembered, and bytes of their names: what does not stay in the cache costs more than it saves.
pub(super) const MAX_FOLDERS: usize = 1 << 12;
const MAX_BYTES: usize = 1 << 18;

/// A folder that was met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
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
pub(super) struct Folder<'r> {
    /// Comparisons that hold for all in it.
    pub(super) bits: Box<[u64]>,
    pub(super) left: Box<[Left<'r>]>,
    /// The class of entries of which its name says nothing more.
    pub(super) class: Option<u32>,
}

impl<'r> Folder<'r> {
    pub(super) fn new(bits: Vec<u64>, left: Vec<Left<'r>>) -> Folder<'r> {
        Folder {
            bits: bits.into(),
            left: left.into(),
            class: None,
        }
    }
}

impl PathMatcher<'_> {
    /// The number of a folder.
    #[inline]
    pub(super) fn folder(&mut self, folder: &[u8]) -> u32 {
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
