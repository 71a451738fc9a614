//! Reading small files of /proc and /sys: bounded, and a file that is gone is an absence, no error.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Largest file that is read: the environment, the argument list or a table of sockets.
pub(super) const MAX_FILE: u64 = 16 << 20;

/// A file's bytes, at most `limit` of them. `None` when it is not there or may not be read.
pub(super) fn read(path: impl AsRef<Path>, limit: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?.take(limit);
    // Most are no longer. Of their length the kernel says nothing, so that they would be read in pieces that begin small.
    let mut beginning = [0; 2048];
    let len = file.read(&mut beginning).ok()?;
    let mut bytes = beginning.get(..len)?.to_vec();
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A file's bytes without white space around them.
pub(super) fn read_trimmed(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    read(path, 1 << 20).map(|bytes| bytes.trim_ascii().to_vec())
}

/// A file's text without white space around it.
pub(super) fn read_text(path: impl AsRef<Path>) -> Option<String> {
    read_trimmed(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A regular file's bytes, at most `limit` of them, where its path is resolved as if `root` were `/`: a link in a
/// container's root cannot lead out of it, and a pipe put there cannot make the reader wait.
pub(super) fn read_in_root(root: &Path, path: &CStr, limit: u64) -> Option<Vec<u8>> {
    let root = File::open(root).ok()?;
    // SAFETY: all zeros is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let (fd, path, size) = (root.as_raw_fd(), path.as_ptr(), size_of::<libc::open_how>());
    // SAFETY: path is a C string and how a struct of the size that is passed; both live through the call.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, fd, path, &raw const how, size) };
    let fd = libc::c_int::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    let mut bytes = Vec::new();
    if file.metadata().ok()?.is_file() {
        file.take(limit).read_to_end(&mut bytes).ok()?;
    }
    Some(bytes)
}

/// Where a symbolic link points.
pub(super) fn link(path: impl AsRef<Path>) -> Option<Vec<u8>> {
    std::fs::read_link(path)
        .ok()
        .map(|target| target.into_os_string().into_vec())
}

/// The names in a folder that are decimal numbers, in ascending order.
pub(crate) fn numbers(folder: impl AsRef<Path>) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<u32> = entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all
}

/// The lines of a text, without empty ones.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// A decimal number.
pub(super) fn decimal<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Undoes the kernel's octal escapes (`\040` for a blank) of tables with columns.
pub(super) fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_escapes() {
        assert_eq!(unescape(br"/a\040b\011\134"), b"/a b\t\\");
        assert_eq!(unescape(br"\04"), br"\04");
        assert_eq!(unescape(br"\999\x"), br"\999\x");
    }
}
