//! Copies in the case, by the digest of their contents: `artifacts/sha256/ab/abcd…`.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use ctrace_trace::case::COPIES;
use ctrace_trace::segment::{Digest, Hex};

/// Room that copies leave on the disk of the case: a recording goes before them.
const RESERVE: u64 = 64 << 20;

/// How much may be copied, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Together.
    pub total: u64,
    /// Of one file.
    pub file: u64,
}

/// The folder of copies of a case that is being written.
#[derive(Debug)]
pub(super) struct Store {
    folder: Arc<OwnedFd>,
    limits: Limits,
    used: u64,
    have: BTreeSet<Digest>,
    /// Copies begun, for their temporary names.
    begun: u64,
}

/// A copy that is being written. It has no name of its own before it is whole.
#[derive(Debug)]
pub(super) struct Copy {
    folder: Arc<OwnedFd>,
    file: File,
    name: CString,
    size: u64,
}

impl Store {
    /// Makes the folder in a case.
    pub(super) fn create(case: &Path, limits: Limits) -> io::Result<Store> {
        let path = case.join(COPIES);
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok(Store {
            folder: Arc::new(File::open(&path)?.into()),
            limits,
            used: 0,
            have: BTreeSet::new(),
            begun: 0,
        })
    }

    /// Begins a copy of a file of a size.
    ///
    /// # Errors
    /// The reason why there will be none.
    pub(super) fn begin(&mut self, size: u64) -> Result<Copy, String> {
        if size > self.limits.file {
            return Err(format!(
                "larger than the limit of {} bytes for one copy",
                self.limits.file
            ));
        }
        if self.used.saturating_add(size) > self.limits.total {
            return Err(format!(
                "the copies have reached the limit of {} bytes",
                self.limits.total
            ));
        }
        match self.free() {
            Ok(free) if free < size.saturating_add(RESERVE) => {
                return Err("the disk of the case has too little room left".to_owned());
            }
            _ => {}
        }
        self.begun += 1;
        let name = CString::new(format!(".part-{}", self.begun)).map_err(|e| e.to_string())?;
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: the name is a C string that lives through the call.
        let fd = unsafe { libc::openat(self.folder.as_raw_fd(), name.as_ptr(), flags, 0o600) };
        if fd < 0 {
            return Err(failed(&io::Error::last_os_error()));
        }
        // SAFETY: a descriptor that was just made and belongs to nobody else.
        let file = unsafe { File::from_raw_fd(fd) };
        Ok(Copy {
            folder: self.folder.clone(),
            file,
            name,
            size: 0,
        })
    }

    /// Gives a whole copy its name. One that is there already stays.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) fn finish(&mut self, copy: Copy, sha256: &Digest) -> Result<(), String> {
        if self.have.contains(sha256) {
            copy.discard();
            return Ok(());
        }
        let named = copy.file.sync_data().and_then(|()| self.name(&copy.name, sha256));
        if let Err(e) = named {
            copy.discard();
            return Err(failed(&e));
        }
        self.used = self.used.saturating_add(copy.size);
        self.have.insert(*sha256);
        Ok(())
    }

    fn name(&self, from: &CStr, sha256: &Digest) -> io::Result<()> {
        let hex = Hex(sha256).to_string();
        let (first, _) = hex.split_at_checked(2).unwrap_or_default();
        let (group, to) = (CString::new(first)?, CString::new(format!("{first}/{hex}"))?);
        let at = self.folder.as_raw_fd();
        // SAFETY: the name is a C string that lives through the call.
        let made = unsafe { libc::mkdirat(at, group.as_ptr(), 0o700) };
        if made != 0 && io::Error::last_os_error().kind() != io::ErrorKind::AlreadyExists {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both names are C strings that live through the call.
        match unsafe { libc::renameat(at, from.as_ptr(), at, to.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes that are free for this process.
    fn free(&self) -> io::Result<u64> {
        // SAFETY: all zeros is a valid statvfs.
        let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and the structure lives through the call.
        match unsafe { libc::fstatvfs(self.folder.as_raw_fd(), &raw mut about) } {
            0 => Ok(about.f_bavail.saturating_mul(about.f_frsize)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Copy {
    /// Adds bytes.
    ///
    /// # Errors
    /// The reason why there will be no copy.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.file.write_all(bytes).map_err(|e| failed(&e))
    }

    /// Takes it away again.
    pub(super) fn discard(self) {
        // SAFETY: the name is a C string that lives through the call.
        unsafe { libc::unlinkat(self.folder.as_raw_fd(), self.name.as_ptr(), 0) };
    }
}

fn failed(error: &io::Error) -> String {
    format!("the copy could not be written: {error}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    const LIMITS: Limits = Limits { total: 10, file: 6 };

    fn put(store: &mut Store, bytes: &[u8], sha256: &Digest) -> Result<(), String> {
        let mut copy = store.begin(bytes.len() as u64)?;
        copy.write(bytes)?;
        store.finish(copy, sha256)
    }

    #[test]
    fn copies_have_their_name_once_and_stay_within_limits() {
        let case = tempfile::tempdir().expect("a folder");
        let mut store = Store::create(case.path(), LIMITS).expect("a store");
        put(&mut store, b"first", &[0xab; 32]).expect("fits");
        put(&mut store, b"first", &[0xab; 32]).expect("is there");
        let path = case.path().join(ctrace_trace::artifact::copy_name(&[0xab; 32]));
        assert_eq!(std::fs::read(&path).expect("a copy"), b"first");
        let about = path.metadata().expect("there");
        assert_eq!((about.permissions().mode() & 0o7777, about.nlink()), (0o600, 1));
        assert!(
            put(&mut store, b"too long", &[1; 32])
                .expect_err("one")
                .contains("6 bytes")
        );
        put(&mut store, b"last", &[2; 32]).expect("fits");
        assert!(
            put(&mut store, b"no", &[3; 32])
                .expect_err("total")
                .contains("10 bytes")
        );
        let left = std::fs::read_dir(case.path().join(COPIES)).expect("the folder").count();
        assert_eq!(left, 2, "two groups and nothing unfinished");
    }

    /// The room for the recording itself is not the copies', and one that finds no room leaves nothing behind.
    #[test]
    fn a_full_disk_has_no_part_of_a_copy_as_root() {
        let name = "a_full_disk_has_no_part_of_a_copy_as_root";
        if !ctrace_skip::is_root(name) {
            return;
        }
        let Some(disk) = Disk::mount(RESERVE + (8 << 20)) else {
            return ctrace_skip::skip(name, "cannot mount a tmpfs");
        };
        let at = disk.0.path();
        let limits = Limits {
            total: 1 << 30,
            file: 1 << 30,
        };
        let mut store = Store::create(at, limits).expect("a store");
        let error = store.begin(9 << 20).expect_err("too large");
        assert!(error.contains("too little room"), "{error}");
        put(&mut store, &[1; 4096], &[1; 32]).expect("fits");
        let mut copy = store.begin(4 << 20).expect("has room");
        copy.write(&[2; 1 << 20]).expect("has room");
        let mut ballast = File::create(at.join("ballast")).expect("room");
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let error = copy.write(&[2; 3 << 20]).expect_err("no room");
        assert!(error.contains("No space left"), "{error}");
        copy.discard();
        drop(ballast);
        std::fs::remove_file(at.join("ballast")).expect("there");
        let path = at.join(ctrace_trace::artifact::copy_name(&[1; 32]));
        assert_eq!(std::fs::read(path).expect("there"), [1; 4096]);
        let left = std::fs::read_dir(at.join(COPIES)).expect("the folder").count();
        assert_eq!(left, 1);
        put(&mut store, &[3; 4096], &[3; 32]).expect("has room again");
    }

    /// A small file system in memory, unmounted when dropped.
    struct Disk(tempfile::TempDir);

    impl Disk {
        fn mount(bytes: u64) -> Option<Disk> {
            let dir = tempfile::tempdir().expect("a folder");
            let mounted = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
                .arg(dir.path())
                .status();
            mounted.is_ok_and(|s| s.success()).then(|| Disk(dir))
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn what_is_in_the_way_is_not_followed() {
        let case = tempfile::tempdir().expect("a folder");
        let mut store = Store::create(case.path(), LIMITS).expect("a store");
        let outside = case.path().join("outside");
        std::os::unix::fs::symlink(&outside, case.path().join(COPIES).join(".part-1")).expect("a link");
        assert!(put(&mut store, b"x", &[1; 32]).is_err());
        assert!(!outside.exists());
    }
}
