//! The folder of a case being written: who may write it, what it holds already, what is deleted to stay within bounds.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::config::{CaseConfig, Existing, Keep};
use crate::case::{Case, CaseError};
use crate::segment::{CaseId, Closed, Digest, Previous, SegmentName};

/// The folder of a case being written.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Closed segments, oldest first, with their lengths.
    closed: VecDeque<(PathBuf, u64)>,
    /// Held as long as the case is written: tells another recorder that it is in use.
    lock: Lock,
}

/// The lock on the folder.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn on(path: &Path) -> Result<Lock, CaseError> {
        let folder = File::open(path).map_err(CaseError::io(path))?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => Err(CaseError::InUse(path.to_owned())),
            // Some network file systems have no locks; the recording matters more than the guard.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Lock(folder)),
        }
    }
}

/// Makes the folder. Recordings hold what users typed and read: nobody else may look at them.
fn make(path: &Path) -> Result<(), CaseError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => CaseError::NotAFolder(path.to_owned()),
        _ => CaseError::io(path)(source),
    })
}

impl Drop for Lock {
    /// Gives it up. Closing the file is not enough: a child that another thread is just starting still has it.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Where a recording goes on.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) id: CaseId,
    pub(super) segment: u32,
    pub(super) seq: u64,
    pub(super) previous: Option<Previous>,
}

impl Folder {
    /// Opens or makes the folder.
    pub(super) fn open(path: &Path, config: &CaseConfig) -> Result<(Folder, Start), CaseError> {
        make(path)?;
        let empty = fs::read_dir(path).map_err(CaseError::io(path))?.next().is_none();
        if !empty && config.existing == Existing::Refuse {
            return Err(CaseError::Exists(path.to_owned()));
        }
        let mut folder = Folder {
            path: path.to_owned(),
            closed: VecDeque::new(),
            lock: Lock::on(path)?,
        };
        let start = match Case::open(path) {
            Err(CaseError::Empty(_)) => Start {
                id: config.id,
                segment: 1,
                seq: 0,
                previous: None,
            },
            Ok(case) => folder.continue_after(&case, config)?,
            Err(e) => return Err(e),
        };
        Ok((folder, start))
    }

    fn continue_after(&mut self, case: &Case, config: &CaseConfig) -> Result<Start, CaseError> {
        let mut names: Vec<SegmentName> = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(CaseError::io(&self.path))? {
            let entry = entry.map_err(CaseError::io(&self.path))?;
            names.extend(entry.file_name().to_str().and_then(SegmentName::parse));
        }
        names.sort_unstable();
        for name in &names {
            let path = self.path.join(name.to_string());
            let bytes = fs::metadata(&path).map_err(CaseError::io(&path))?.len();
            self.closed.push_back((path, bytes));
        }
        let last = names.last().map_or(0, |n| n.number);
        let previous = match self.closed.back() {
            Some((path, _)) => Some(Previous {
                segment: last,
                sha256: hash_file(path).map_err(CaseError::io(path))?,
            }),
            None => None,
        };
        let after_block = case
            .blocks()
            .next_back()
            .map(|b| b.head().first_seq + u64::from(b.head().events));
        let after_header = case.segments().last().map(|s| s.header().about.first_seq);
        Ok(Start {
            id: case.id().unwrap_or(config.id),
            segment: last.saturating_add(1),
            seq: after_block.max(after_header).unwrap_or(0),
            previous,
        })
    }

    /// Makes the folder again where it was removed or replaced, and takes hold of it.
    pub(super) fn renew(&mut self) -> Result<(), CaseError> {
        let identity = |m: fs::Metadata| (m.dev(), m.ino());
        let held = self.lock.0.metadata().ok().map(identity);
        if held.is_some() && fs::metadata(&self.path).ok().map(identity) == held {
            return Ok(());
        }
        self.closed.clear();
        make(&self.path)?;
        self.lock = Lock::on(&self.path)?;
        Ok(())
    }

    /// Another handle of the folder itself, wherever it is now.
    pub(super) fn handle(&self) -> Result<File, CaseError> {
        self.lock.0.try_clone().map_err(CaseError::io(&self.path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a segment that was closed.
    pub(super) fn closed(&mut self, segment: &Closed) {
        self.closed.push_back((segment.path.clone(), segment.bytes));
    }

    /// Deletes what exceeds the bounds beside a segment of `current` bytes being written (0: none). Returns how many
    /// segments were deleted.
    pub(super) fn enforce(&mut self, keep: Keep, current: u64) -> Result<u32, CaseError> {
        let mut deleted = 0;
        while self.exceeds(keep, current) && self.drop_oldest()? {
            deleted += 1;
        }
        Ok(deleted)
    }

    fn exceeds(&self, keep: Keep, current: u64) -> bool {
        match keep {
            Keep::All => false,
            Keep::Bytes(max) => self.bytes() + current > max,
            Keep::Segments(max) => self.closed.len() + usize::from(current > 0) > max.max(1) as usize,
        }
    }

    /// Bytes in closed segments.
    pub(super) fn bytes(&self) -> u64 {
        self.closed.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Deletes the oldest closed segment; `false` where there is none.
    pub(super) fn drop_oldest(&mut self) -> Result<bool, CaseError> {
        let Some((path, _)) = self.closed.pop_front() else {
            return Ok(false);
        };
        let Some(name) = path.file_name() else { return Ok(true) };
        // In the folder itself: it may have another name by now.
        match rustix::fs::unlinkat(&self.lock.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(e) => Err(CaseError::Io { path, source: e.into() }),
        }
    }
}

/// SHA-256 of a whole file.
pub(super) fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashSink(&mut hash))?;
    Ok(hash.finalize().into())
}

/// Hashes what is written to it.
struct HashSink<'a>(&'a mut Sha256);

impl io::Write for HashSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
