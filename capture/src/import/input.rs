//! A file to import: decompressed on the way, its digest taken of what lies on disk, and every position known.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::{ImportError, SNIFFED};

/// Pieces in which files are read.
const CHUNK: usize = 256 << 10;
/// How gzip files begin (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file being read, from its first byte to its last.
///
/// A gzip file that ends early gives what it holds, and then the end: see [`Input::cut`].
pub struct Input {
    path: PathBuf,
    size: Option<u64>,
    modified_ns: Option<u64>,
    stream: BufReader<Stream>,
    start: Vec<u8>,
    disk: Rc<RefCell<Disk>>,
    offset: u64,
    cut: Option<String>,
}

/// What was read from disk so far.
struct Disk {
    sha256: Sha256,
    bytes: u64,
}

/// Digests what passes through it.
struct Digesting {
    file: File,
    disk: Rc<RefCell<Disk>>,
}

impl Read for Digesting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        let mut disk = self.disk.borrow_mut();
        disk.sha256.update(buf.get(..n).unwrap_or_default());
        disk.bytes += n as u64;
        Ok(n)
    }
}

enum Stream {
    Plain(BufReader<Digesting>),
    Gzip(Box<MultiGzDecoder<BufReader<Digesting>>>),
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(file) => file.read(buf),
            Stream::Gzip(file) => file.read(buf),
        }
    }
}

impl Input {
    /// Opens a file and reads its beginning.
    ///
    /// # Errors
    /// Where it cannot be opened or read, or is a pipe or a device: files are read twice, once for their format and first
    /// time, and a pipe would be empty then.
    pub fn open(path: &Path) -> Result<Input, ImportError> {
        let failed = |source| ImportError::Read {
            path: path.to_owned(),
            source,
        };
        // Otherwise opening a pipe waits for its writer.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() && !meta.is_dir() {
            return Err(failed(io::Error::other(
                "not a regular file; write what it gives to a file first",
            )));
        }
        let disk = Rc::new(RefCell::new(Disk {
            sha256: Sha256::new(),
            bytes: 0,
        }));
        let disk_end = disk.clone();
        let mut raw = BufReader::with_capacity(CHUNK, Digesting { file, disk: disk_end });
        let is_gzip = raw.fill_buf().map_err(failed)?.starts_with(&GZIP);
        let stream = if is_gzip {
            Stream::Gzip(Box::new(MultiGzDecoder::new(raw)))
        } else {
            Stream::Plain(raw)
        };
        let mut input = Input {
            path: path.to_owned(),
            size: meta.is_file().then_some(meta.len()),
            modified_ns: meta.modified().ok().and_then(since_epoch),
            stream: BufReader::with_capacity(CHUNK, stream),
            start: Vec::new(),
            disk,
            offset: 0,
            cut: None,
        };
        // Kept apart, so that sniffing takes nothing from what importers read.
        let start = input.fill()?;
        input.start = start.get(..SNIFFED).unwrap_or(start).to_vec();
        Ok(input)
    }

    /// The file's beginning, decompressed.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size on disk; `None` for pipes.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// When it was last written: nanoseconds since the Unix epoch; `None` where the file system does not tell.
    pub fn modified_ns(&self) -> Option<u64> {
        self.modified_ns
    }

    /// Offset in the decompressed file of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes read from disk so far.
    pub fn disk_bytes(&self) -> u64 {
        self.disk.borrow().bytes
    }

    /// Why the file ended before its end (a gzip stream that is cut or damaged), once that was met.
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// What can be read without waiting for the disk; empty at the end.
    ///
    /// # Errors
    /// Where the disk cannot be read. Damage of a gzip stream is the end instead.
    pub fn fill(&mut self) -> Result<&[u8], ImportError> {
        if self.cut.is_some() {
            return Ok(&[]);
        }
        // The buffer is asked for again: a borrow that one arm returns would last through the others.
        let error = self.stream.fill_buf().err();
        match error {
            None => Ok(self.stream.buffer()),
            Some(e) if is_damage(&e) => {
                self.cut = Some(format!("the gzip stream is cut or damaged here: {e}"));
                Ok(&[])
            }
            Some(source) => Err(ImportError::Read {
                path: self.path.clone(),
                source,
            }),
        }
    }

    /// Goes on by so many bytes of what [`Input::fill`] gave.
    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.stream.buffer().len());
        self.stream.consume(bytes);
        self.offset += bytes as u64;
    }

    /// Appends so many bytes to `out`, or all that are left; returns how many. Grows `out` only by what is there.
    ///
    /// # Errors
    /// As [`Input::fill`].
    pub fn read_into(&mut self, out: &mut Vec<u8>, bytes: usize) -> Result<usize, ImportError> {
        let mut done = 0;
        while done < bytes {
            let piece = self.fill()?;
            if piece.is_empty() {
                break;
            }
            let take = piece.get(..bytes - done).unwrap_or(piece);
            out.extend_from_slice(take);
            let taken = take.len();
            self.consume(taken);
            done += taken;
        }
        Ok(done)
    }

    /// Skips so many bytes, or all that are left; returns how many.
    ///
    /// # Errors
    /// As [`Input::fill`].
    pub fn skip(&mut self, bytes: u64) -> Result<u64, ImportError> {
        let mut done = 0;
        while done < bytes {
            let there = self.fill()?.len() as u64;
            if there == 0 {
                break;
            }
            let step = there.min(bytes - done);
            self.consume(usize::try_from(step).unwrap_or(usize::MAX));
            done += step;
        }
        Ok(done)
    }

    /// Appends a line to `out`, without its end; `None` at the end of the file. Of a line longer than `max` bytes the
    /// rest is skipped, and the answer is `Some(false)`.
    ///
    /// # Errors
    /// As [`Input::fill`].
    pub fn line(&mut self, out: &mut Vec<u8>, max: usize) -> Result<Option<bool>, ImportError> {
        let (mut whole, mut any) = (true, false);
        loop {
            let piece = self.fill()?;
            if piece.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = memchr::memchr(b'\n', piece);
            let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            let room = max.saturating_sub(out.len());
            out.extend_from_slice(text.get(..room).unwrap_or(text));
            whole &= text.len() <= room;
            let used = text.len() + usize::from(end.is_some());
            self.consume(used);
            if end.is_some() {
                if out.last() == Some(&b'\r') {
                    out.pop();
                }
                return Ok(Some(whole));
            }
        }
    }

    /// Reads what is left on disk and gives the digest and size of the whole file.
    pub(super) fn close(self) -> Result<([u8; 32], u64), ImportError> {
        let mut file = match self.stream.into_inner() {
            Stream::Plain(file) => file,
            Stream::Gzip(file) => file.into_inner(),
        };
        io::copy(&mut file, &mut io::sink()).map_err(|source| ImportError::Read {
            path: self.path,
            source,
        })?;
        let disk = self.disk.borrow();
        Ok((disk.sha256.clone().finalize().into(), disk.bytes))
    }
}

fn since_epoch(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_nanos()).ok()
}

/// Whether an error says that the contents are wrong rather than the medium.
fn is_damage(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    )
}
