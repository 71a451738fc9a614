//! Executed files and what was loaded, over a whole case; and whether the copies that the recorder collected are whole.
//!
//! The digests are in events, so that they are covered by whatever covers the trace. A copy's name is its digest: one that
//! was changed does not fit its name, one that was taken away is missed by an event. Of what may not be read
//! neither is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Case;
use super::totals::each_of;
use crate::artifact::{self, Artifact};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::EventType;
use crate::segment::{BlockReader, BlockRef, Digest, Hex, Problem, ProblemKind};

/// The folder of the copies, within a case.
pub const COPIES: &str = "artifacts/sha256";

/// What the case says of executed and loaded things, each once.
#[derive(Clone, Debug, Default)]
pub struct Artifacts {
    /// In a fixed order.
    pub all: Vec<Artifact>,
    /// Blocks that could not be asked.
    pub problems: Vec<Problem>,
}

/// Something that a process executed or loaded.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Process id; 0 where no process is known.
    pub pid: u32,
    /// When the process started.
    pub start_ts: u64,
    /// When it executed its program.
    pub exec_ts: u64,
    /// What it executed or loaded.
    pub artifact: Artifact,
}

/// The copies in the folder of a case.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// How many there are.
    pub count: u64,
    /// Their size together.
    pub bytes: u64,
    /// Copies that are missing or changed; those that cannot be read, and folders of such.
    pub problems: Vec<Problem>,
}

impl Case {
    /// Everything that was executed or loaded. A file that was told of in several segments is one.
    pub fn artifacts(&self) -> Artifacts {
        let of = |reader: &mut BlockReader, block: &BlockRef| {
            each_of(EventType::ARTIFACT, Need::NOTHING, reader, block, Artifact::of)
        };
        let (told, problems) = self.collect(of);
        let all: BTreeSet<Artifact> = told.into_iter().collect();
        Artifacts {
            all: all.into_iter().collect(),
            problems,
        }
    }

    /// The same with the process that did it, in the order of the recording, and the blocks that could not be asked.
    pub fn executed(&self) -> (Vec<Executed>, Vec<Problem>) {
        const NEED: Need = Need(Need::CONTEXT.0 | Need::IMAGES.0);
        let of = |event: EventView<'_>| {
            let image = event.image().map(|image| image.entry);
            Executed {
                pid: image.map_or(0, |i| i.pid),
                start_ts: image.map_or(0, |i| i.start_ts),
                exec_ts: image.map_or(0, |i| i.exec_ts),
                artifact: Artifact::of(event),
            }
        };
        self.collect(|reader, block| each_of(EventType::ARTIFACT, NEED, reader, block, of))
    }

    /// The copies that are there, by what a folder says of them: nothing is read.
    pub fn copies(&self) -> Copies {
        let mut copies = Copies::default();
        let there = list(&self.folder().join(COPIES));
        for bytes in there.files.into_values() {
            copies.count += 1;
            copies.bytes += bytes;
        }
        copies.problems = there.problems;
        copies
    }

    /// Compares every copy with its name, and with what events say is there.
    pub(crate) fn check_copies(&self, told: &[Artifact]) -> Copies {
        let folder = self.folder();
        let mut copies = Copies::default();
        let there = list(&folder.join(COPIES));
        for (path, bytes) in &there.files {
            match hash(path) {
                Ok(found) if is_copy_of(path, &found) => {
                    copies.count += 1;
                    copies.bytes += bytes;
                }
                Ok(found) => {
                    let message = format!("its SHA-256 is {}: it is no longer what was collected", Hex(&found));
                    copies.problems.push(about(path, ProblemKind::Corrupt, message));
                }
                Err(e) => copies.problems.push(unread(path, &e)),
            }
        }
        let copied = told.iter().filter_map(|a| a.copy);
        for sha256 in copied.collect::<BTreeSet<Digest>>() {
            let path = folder.join(artifact::copy_name(&sha256));
            if !there.files.contains_key(&path) && !there.is_unknown(&path) {
                let message = "the recorder collected it, and it is not there".to_owned();
                copies.problems.push(about(&path, ProblemKind::MissingCopy, message));
            }
        }
        copies.problems.extend(there.problems);
        copies
    }

    /// The folder of the case, also where one segment was opened.
    fn folder(&self) -> &Path {
        match self.segments().first().and_then(|s| s.path().parent()) {
            Some(folder) if self.path().is_file() => folder,
            _ => self.path(),
        }
    }
}

/// Whether a file has the name of the copy of such contents.
fn is_copy_of(path: &Path, sha256: &Digest) -> bool {
    path.ends_with(artifact::copy_name(sha256))
}

/// What is in the folder of copies.
#[derive(Default)]
struct Listing {
    /// The copies with their sizes.
    files: BTreeMap<PathBuf, u64>,
    /// What could not be looked at: folders, or copies in them.
    problems: Vec<Problem>,
}

impl Listing {
    /// Whether a copy may lie in what could not be looked at.
    fn is_unknown(&self, copy: &Path) -> bool {
        self.problems.iter().any(|p| copy.starts_with(&p.path))
    }

    fn add_group(&mut self, group: &Path) -> Result<(), Problem> {
        for entry in fs::read_dir(group).map_err(|e| unread(group, &e))? {
            let entry = entry.map_err(|e| unread(group, &e))?;
            if entry.file_name().len() != 64 {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) => drop(self.files.insert(entry.path(), metadata.len())),
                Err(e) => self.problems.push(unread(&entry.path(), &e)),
            }
        }
        Ok(())
    }

    fn add(&mut self, folder: &Path) -> Result<(), Problem> {
        let groups = match fs::read_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|e| unread(folder, &e))?,
        };
        for group in groups {
            let group = group.map_err(|e| unread(folder, &e))?;
            if group.file_type().is_ok_and(|t| t.is_dir()) && group.file_name().len() == 2 {
                let added = self.add_group(&group.path());
                self.problems.extend(added.err());
            }
        }
        Ok(())
    }
}

/// Lists the folder of copies. What a recorder that was killed left unfinished has another name.
fn list(folder: &Path) -> Listing {
    let mut listing = Listing::default();
    let added = listing.add(folder);
    listing.problems.extend(added.err());
    listing
}

fn unread(path: &Path, error: &io::Error) -> Problem {
    let message = match ProblemKind::of(error) {
        ProblemKind::Denied => {
            format!("{error}: whether the collected copies are whole is not known; ask as root, or as who recorded")
        }
        _ => error.to_string(),
    };
    about(path, ProblemKind::of(error), message)
}

fn about(path: &Path, kind: ProblemKind, message: String) -> Problem {
    Problem {
        path: path.to_owned(),
        offset: 0,
        kind,
        message,
    }
}

/// SHA-256 of a regular file. What was put in its place may be a link or a pipe, which must neither be followed nor
/// waited for.
fn hash(path: &Path) -> io::Result<Digest> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}
