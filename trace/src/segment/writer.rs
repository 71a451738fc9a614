//! Writing one segment file. A record is either whole in the file or not there at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::footer::{Footer, IndexEntry, Totals};
use super::format::{
    Digest, MAX_BODY, MAX_HEAD, PREFIX_LEN, PRELUDE_LEN, Prefix, RecordKind, Salt, SegmentName, prelude, sha256,
};
use super::header::SegmentHeader;
use super::packed::PackError;
use super::snapshot;
use crate::block::EncodedBlock;
use crate::snapshot::HostSnapshot;

/// Room that stays reserved behind what a segment holds, beside that of its footer: on a disk that is full it takes what
/// there is to say about that.
const RESERVE: u64 = 64 << 10;
/// More than a footer has beside its index.
const FOOTER: u64 = 16 << 10;
/// More than a block's entry in the index has.
const INDEX_ENTRY: u64 = 64;
/// Room is reserved in whole pages.
const PAGE: u64 = 4096;

/// Why a segment could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// The operating system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A structure cannot be stored.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// A segment being written.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    file: File,
    /// What the folder was called when the case was begun: for messages.
    dir: PathBuf,
    /// The folder itself, wherever it is moved meanwhile.
    folder: File,
    number: u32,
    salt: Salt,
    /// Where the next record goes; everything before is whole.
    end: u64,
    /// Over everything before `end`.
    hash: Sha256,
    /// Hash of the last link of the chain.
    link: Digest,
    index: Vec<IndexEntry>,
    /// Where the first block begins.
    start: u64,
    /// Up to where the file system keeps room for the file; `None` where it does not do such a thing.
    reserved: Option<u64>,
    sync: bool,
    footer_written: bool,
    /// A failed write could not be taken back: nothing may be added any more.
    broken: bool,
}

/// A segment that was closed.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    /// Its file.
    pub(crate) path: PathBuf,
    /// SHA-256 of the file.
    pub(crate) sha256: Digest,
    /// Length of the file.
    pub(crate) bytes: u64,
}

impl SegmentWriter {
    /// Begins a segment with its header and, where it is given, the state of the host, in a folder that is open and was
    /// found at a path. Leaves no file on an error.
    pub(crate) fn create(
        folder: File,
        dir: &Path,
        header: &SegmentHeader,
        state: Option<&HostSnapshot>,
        sync: bool,
    ) -> Result<SegmentWriter, SegmentError> {
        let number = header.about.segment;
        let name = SegmentName { number, open: true }.to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        // Recordings hold what users typed and read: nobody else may look at them.
        let file = rustix::fs::openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR).map_err(io::Error::from)?;
        let salt = Salt::of(header.about.case_id);
        let mut writer = SegmentWriter {
            file: file.into(),
            dir: dir.to_owned(),
            folder,
            number,
            salt,
            end: 0,
            hash: Sha256::new(),
            link: [0; 32],
            index: Vec::new(),
            start: 0,
            reserved: Some(0),
            sync,
            footer_written: false,
            broken: false,
        };
        match writer.begin(header, state) {
            Ok(()) => Ok(writer),
            Err(e) => {
                // The file holds nothing yet that anybody could miss; the first error is the one to report.
                let _ = rustix::fs::unlinkat(&writer.folder, &name, AtFlags::empty());
                Err(e)
            }
        }
    }

    fn begin(&mut self, header: &SegmentHeader, state: Option<&HostSnapshot>) -> Result<(), SegmentError> {
        self.append(&[&prelude()])?;
        let (head, body) = header.encode()?;
        self.reserve((head.len() + body.len()) as u64)?;
        let record = record_bytes(RecordKind::HEADER, &Salt::NONE, &head, &body)?;
        self.append(&[&record, &head, &body])?;
        self.link = sha256(&[&record[..], &head, &body].concat());
        if let Some(state) = state {
            let (head, body) = snapshot::encode(state, self.link)?;
            self.reserve((head.len() + body.len()) as u64)?;
            self.record(RecordKind::SNAPSHOT, &head, &body)?;
            self.link = sha256(&head);
        }
        self.start = self.end;
        if self.sync {
            self.folder.sync_all()?;
        }
        Ok(())
    }

    /// Makes sure that so many bytes can be added, and behind them the footer and some small blocks. The room stays this
    /// file's also when the recorder is killed; on an error nothing has changed.
    pub(crate) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let Some(reserved) = self.reserved else { return Ok(()) };
        let wanted = (self.end + bytes + RESERVE + self.footer_room()).next_multiple_of(PAGE);
        // Only what is new: a file system that takes back a part of it on an error may not take back more.
        let from = reserved.max(self.end / PAGE * PAGE);
        if wanted <= from {
            return Ok(());
        }
        let flags = FallocateFlags::KEEP_SIZE;
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, from, wanted - from)) {
            Ok(()) => self.reserved = Some(wanted),
            Err(e) if is_full(&e.into()) => return Err(e.into()),
            Err(_) => self.reserved = None,
        }
        Ok(())
    }

    /// Bytes that a segment like this one needs for its beginning and its end.
    pub(crate) fn successor_room(&self) -> u64 {
        // The host may have grown.
        2 * self.start + self.kept_room()
    }

    /// Bytes behind the last record that are left to small blocks and the footer.
    pub(crate) fn kept_room(&self) -> u64 {
        RESERVE + self.footer_room()
    }

    fn footer_room(&self) -> u64 {
        FOOTER + INDEX_ENTRY * (self.index.len() as u64 + 1)
    }

    /// The hash of the last link: the next block's `prev`.
    pub(crate) fn link(&self) -> Digest {
        self.link
    }

    /// Length of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Adds a block. On an error the file is as it was before.
    pub(crate) fn block(&mut self, block: &EncodedBlock, room: Room) -> Result<(), SegmentError> {
        let bytes = (block.head_bytes.len() + block.body.len() + PREFIX_LEN) as u64;
        let fits = |end: u64| self.end + bytes + self.footer_room() <= end;
        if room == Room::Free || !self.reserved.is_some_and(fits) {
            self.reserve(bytes)?;
        }
        let offset = self.end;
        self.record(RecordKind::BLOCK, &block.head_bytes, &block.body)?;
        self.link = block.hash;
        self.index.push(IndexEntry {
            offset,
            head_len: block.head_bytes.len() as u32,
            body_len: block.body.len() as u32,
            events: block.head.events,
            first_seq: block.head.first_seq,
            min_ts: block.head.min_ts,
            max_ts: block.head.max_ts,
        });
        Ok(())
    }

    /// Writes the footer, makes everything durable and gives the file its final name. On an error the file stays as an
    /// unfinished segment and this can be called again.
    pub(crate) fn close(&mut self, totals: &Totals) -> Result<Closed, SegmentError> {
        if !self.footer_written {
            let footer = Footer {
                index: self.index.clone(),
                totals: totals.clone(),
                last_link: self.link,
                extensions: Vec::new(),
            };
            let (head, body) = footer.encode(self.end)?;
            self.record(RecordKind::FOOTER, &head, &body)?;
            self.footer_written = true;
        }
        // Of what is reserved nothing is needed any more; a refusal costs room and nothing else.
        let _ = self.file.set_len(self.end);
        self.file.sync_all()?;
        let name = self.name(false);
        match rustix::fs::statat(&self.folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(e) => return Err(io::Error::from(e).into()),
            Ok(_) => return Err(io::Error::from(io::ErrorKind::AlreadyExists).into()),
        }
        rustix::fs::renameat(&self.folder, self.name(true), &self.folder, &name).map_err(io::Error::from)?;
        self.folder.sync_all()?;
        Ok(Closed {
            path: self.dir.join(name),
            sha256: self.hash.clone().finalize().into(),
            bytes: self.end,
        })
    }

    /// Whether the file has no name any more: what is written to it is gone with the recorder.
    pub(crate) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.nlink() == 0)
    }

    /// Another handle of the file.
    pub(crate) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Its file while it is written.
    pub(crate) fn open_path(&self) -> PathBuf {
        self.dir.join(self.name(true))
    }

    fn name(&self, open: bool) -> String {
        let number = self.number;
        SegmentName { number, open }.to_string()
    }

    fn record(&mut self, kind: RecordKind, head: &[u8], body: &[u8]) -> Result<(), SegmentError> {
        let prefix = record_bytes(kind, &self.salt, head, body)?;
        self.append(&[&prefix, head, body])?;
        Ok(())
    }

    /// Appends all parts or none.
    fn append(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other(
                "an earlier write to this segment failed and could not be taken back",
            ));
        }
        if let Err(e) = self.try_append(parts) {
            self.broken = self.file.set_len(self.end).is_err();
            // The room behind went with it.
            self.reserved = self.reserved.map(|_| 0);
            return Err(e);
        }
        for part in parts {
            self.hash.update(part);
            self.end += part.len() as u64;
        }
        Ok(())
    }

    fn try_append(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut at = self.end;
        for part in parts {
            self.file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        if self.sync && self.end > PRELUDE_LEN as u64 {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }
}

/// Which room a block may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// What the disk has; what is reserved stays reserved behind it.
    Free,
    /// What is reserved too, where the block fits there with the footer behind it.
    Reserved,
}

/// Whether an operation failed for lack of room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The prefix of a record.
fn record_bytes(kind: RecordKind, salt: &Salt, head: &[u8], body: &[u8]) -> Result<[u8; PREFIX_LEN], PackError> {
    let len = |bytes: &[u8], max: u32| {
        u32::try_from(bytes.len())
            .ok()
            .filter(|n| *n <= max)
            .ok_or(PackError::TooLarge)
    };
    let prefix = Prefix {
        kind,
        flags: 0,
        head_len: len(head, MAX_HEAD)?,
        body_len: len(body, MAX_BODY)?,
        body_crc: crc32fast::hash(body),
    };
    Ok(prefix.encode(salt, head))
}
