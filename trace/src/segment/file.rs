//! A segment file open for reading: bytes at offsets, never beyond the end, never written.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::format::{PREFIX_LEN, Prefix, Salt};

/// So many segment files are held open in a process; a case may have thousands and a process 1024 descriptors.
const MAX_HELD: usize = 256;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// A segment file.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    path: PathBuf,
    /// The open file, which can be read even when rotation deletes it; `None` where too many are held already.
    held: Option<Held>,
    /// Device and inode: a file opened again must be the same one.
    identity: (u64, u64),
    /// Length when it was opened: a file that grows meanwhile is read up to here.
    len: u64,
}

/// A file that counts as held open.
#[derive(Debug)]
struct Held(File);

impl Held {
    fn new(file: File) -> Option<Held> {
        let more = |n: usize| (n < MAX_HELD).then_some(n + 1);
        match HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Some(Held(file)),
            Err(_) => None,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A record whose prefix and head are whole. Its body has not been looked at.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its prefix.
    pub(crate) prefix: Prefix,
    /// Its head.
    pub(crate) head: Vec<u8>,
}

impl Record {
    /// Where its body begins.
    pub(crate) fn body_offset(&self) -> u64 {
        self.offset + PREFIX_LEN as u64 + u64::from(self.prefix.head_len)
    }

    /// Where the next record begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.prefix.record_len()
    }
}

/// The bytes of a prefix and the checksum that they state.
pub(crate) struct Checked {
    bytes: [u8; PREFIX_LEN],
    crc: u32,
}

impl Checked {
    /// Whether the checksum is that of the prefix with this head.
    fn matches(&self, salt: &Salt, head: &[u8]) -> bool {
        salt.crc(&self.bytes[..PREFIX_LEN - 4], head) == self.crc
    }
}

fn regular(about: &Metadata) -> io::Result<()> {
    if about.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// What lies at an offset.
#[derive(Debug)]
pub(crate) enum Found {
    /// A record whose prefix and head are whole, and whose body lies within the file.
    Record(Record),
    /// Nothing: the file ends here.
    End,
    /// The beginning of a record that the file does not hold whole; with the record where only its body is cut.
    Cut(&'static str, Option<Record>),
    /// Something else.
    Damage(&'static str),
}

impl SegmentFile {
    /// Opens a file for reading.
    pub(crate) fn open(path: &Path) -> io::Result<SegmentFile> {
        // Asked before, since opening a pipe waits for its writer and opening a device may do anything; and after, since
        // the file may have been replaced.
        regular(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let about = file.metadata()?;
        regular(&about)?;
        let (identity, len) = ((about.dev(), about.ino()), about.len());
        Ok(SegmentFile {
            path: path.to_owned(),
            held: Held::new(file),
            identity,
            len,
        })
    }

    /// Opens the file again.
    fn reopen(&self) -> io::Result<File> {
        let file = match File::open(&self.path) {
            // Its writer may have closed it meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => File::open(self.closed_path().ok_or(e)?)?,
            opened => opened?,
        };
        let about = file.metadata()?;
        if (about.dev(), about.ino()) != self.identity {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another file has taken its place",
            ));
        }
        Ok(file)
    }

    fn closed_path(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.path.to_str()?.strip_suffix(".open")?))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `out` from `offset`.
    pub(crate) fn read_into(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.held {
            Some(Held(file)) => file.read_exact_at(out, offset),
            None => self.reopen()?.read_exact_at(out, offset),
        }
    }

    /// `len` bytes from `offset`; refuses before it allocates when the file does not hold them.
    pub(crate) fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len).filter(|end| *end <= self.len);
        let (Some(_), Ok(size)) = (end, usize::try_from(len)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let mut bytes = vec![0; size];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The prefix at an offset and the checksum that it states; `None` where there is none.
    pub(crate) fn prefix_at(&self, offset: u64) -> io::Result<Option<(Prefix, Checked)>> {
        if self.len.saturating_sub(offset) < PREFIX_LEN as u64 {
            return Ok(None);
        }
        let mut bytes = [0; PREFIX_LEN];
        self.read_into(offset, &mut bytes)?;
        Ok(Prefix::parse(&bytes).map(|(prefix, crc)| (prefix, Checked { bytes, crc })))
    }

    /// The record at an offset. The checksum of prefix and head is compared, the body not.
    pub(crate) fn record_at(&self, offset: u64, salt: &Salt) -> io::Result<Found> {
        let left = self.len.saturating_sub(offset);
        if left == 0 {
            return Ok(Found::End);
        }
        if left < PREFIX_LEN as u64 {
            return Ok(Found::Cut("the file ends within the prefix of a record", None));
        }
        let Some((prefix, checked)) = self.prefix_at(offset)? else {
            return Ok(Found::Damage("no record begins here"));
        };
        if left - (PREFIX_LEN as u64) < u64::from(prefix.head_len) {
            return Ok(Found::Cut("the file ends within the head of a record", None));
        }
        let head = self.read(offset + PREFIX_LEN as u64, u64::from(prefix.head_len))?;
        if !checked.matches(salt, &head) {
            return Ok(Found::Damage("the checksum of a record's head differs"));
        }
        let record = Record { offset, prefix, head };
        if left < prefix.record_len() {
            return Ok(Found::Cut("the file ends within the body of a record", Some(record)));
        }
        Ok(Found::Record(record))
    }

    /// The body of a record, whose checksum is compared; `None` where it differs.
    pub(crate) fn body(&self, record: &Record) -> io::Result<Option<Vec<u8>>> {
        let body = self.read(record.body_offset(), u64::from(record.prefix.body_len))?;
        Ok((crc32fast::hash(&body) == record.prefix.body_crc).then_some(body))
    }
}
