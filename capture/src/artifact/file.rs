//! Finding and opening the file that was executed, and proving that it is that one.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::ticks::is_past;
use super::{Executed, How};
use crate::host::{mount_namespace, numbers};
use crate::syscall::UNREACHABLE;

/// Which file it is. Equal identities at different times are the same contents, but for changes within one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// As `st_dev`.
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) ctime: u64,
    pub(crate) mtime: u64,
}

/// From where a path is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) pid: u32,
    /// Its parent, which often has the same view and lives longer; 0 when unknown.
    pub(crate) ppid: u32,
    /// Its mount namespace; 0 when unknown.
    pub(crate) mnt_ns: u32,
}

/// An open file that has the identity that was asked for.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) size: u64,
    /// Opened through the process that runs it.
    through_process: bool,
}

/// What reading a file proved.
pub(super) enum Proof {
    /// It is what was executed.
    Same,
    /// It is what was in memory when it was read.
    Memory,
    /// It may have been written again since.
    None,
    /// Only what the inode says beside times and size of the contents has changed, as it does when a name is removed.
    Touched,
    /// It was written while it was read.
    Changed,
}

impl Identity {
    /// The identity and the size of an open file, if it is a regular one.
    pub(super) fn of(file: &File) -> io::Result<(Identity, u64)> {
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let time = |seconds: i64, fraction: i64| {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::try_from(fraction).unwrap_or(0))
        };
        let identity = Identity {
            dev: about.dev(),
            ino: about.ino(),
            ctime: time(about.ctime(), about.ctime_nsec()),
            mtime: time(about.mtime(), about.mtime_nsec()),
        };
        Ok((identity, about.size()))
    }

    /// Whether it was changed at the same times.
    fn has_times_of(&self, other: &Identity) -> bool {
        (self.ctime, self.mtime) == (other.ctime, other.mtime)
    }
}

impl Executed {
    /// Opens it. As long as the process runs it, that leads to the file whatever became of its name.
    pub(super) fn open(&self) -> Result<Opened, String> {
        if self.identity.ino == 0 || self.identity.ctime == 0 {
            return Err("this kernel does not tell which file it is".to_owned());
        }
        let (found, through_process) = match self.how {
            How::Script(fd) => (self.held(fd), false),
            How::Program | How::Before => (self.running(), true),
        };
        if let Some((file, size)) = found {
            return Ok(Opened {
                file,
                size,
                through_process,
            });
        }
        if self.is_memfd || !self.path.starts_with(b"/") {
            return Err("the process had ended".to_owned());
        }
        let mut why = "the process had ended, and its file system is not to be seen from here";
        for root in self.place.roots() {
            match below(&root, &self.path) {
                Ok(file) => match self.matches(&file) {
                    Some(size) => {
                        return Ok(Opened {
                            file,
                            size,
                            through_process: false,
                        });
                    }
                    None => why = "the process had ended, and another file has the name",
                },
                Err(e) if e.kind() == io::ErrorKind::NotFound => why = "the process had ended, and the file was gone",
                Err(_) => {}
            }
        }
        Err(why.to_owned())
    }

    /// What the process runs, where that is still this file. Its inode may have changed since: whoever starts from a file
    /// often removes it at once. Its contents cannot have.
    fn running(&self) -> Option<(File, u64)> {
        let file = read_only(&self.link()).ok()?;
        let (found, size) = Identity::of(&file).ok()?;
        let same = self.is_inode(&file, &found) && (!self.is_overlay || self.runs_from_path());
        (same && (self.is_memfd || self.identity.mtime == found.mtime)).then_some((file, size))
    }

    /// What an interpreter holds open, where that is still this file. It may have moved its descriptor out of the way of
    /// those that the script uses. The inode may have changed since: see [`Proof::Touched`].
    fn held(&self, fd: i32) -> Option<(File, u64)> {
        /// Descriptors of an interpreter that are looked at: it has just begun.
        const MOST: usize = 64;
        let pid = self.place.pid;
        let others = numbers(format!("/proc/{pid}/fd")).into_iter().take(MOST);
        let all = std::iter::once(fd).chain(others.filter_map(|other| i32::try_from(other).ok()));
        all.into_iter().find_map(|fd| {
            let (file, found, size) = of_descriptor(pid, fd)?;
            let is_it = self.is_inode(&file, &found) && self.identity.mtime == found.mtime;
            (is_it && (!self.is_overlay || self.is_held_as(fd))).then_some((file, size))
        })
    }

    /// Whether a descriptor's path is that of the file: for where device and inode do not tell.
    fn is_held_as(&self, fd: i32) -> bool {
        leads_to(&format!("/proc/{}/fd/{fd}", self.place.pid), &self.path)
    }

    /// The size, where it is the file and nothing about it has changed.
    fn matches(&self, file: &File) -> Option<u64> {
        let (found, size) = Identity::of(file).ok()?;
        (self.is_inode(file, &found) && self.identity.has_times_of(&found)).then_some(size)
    }

    fn is_inode(&self, file: &File, found: &Identity) -> bool {
        self.is_overlay || is_inode(file, found, self.identity.dev, self.identity.ino)
    }

    fn link(&self) -> String {
        format!("/proc/{}/exe", self.place.pid)
    }

    /// Whether the path of what the process runs is that of the exec: for where device and inode do not tell.
    fn runs_from_path(&self) -> bool {
        leads_to(&self.link(), &self.path)
    }

    /// What it means that the file was read to its end.
    pub(super) fn proof(&self, opened: &Opened) -> Proof {
        if self.is_memfd {
            // Whoever made it may write it while it runs, and through a mapping without a trace in its times.
            return if is_sealed(&opened.file) {
                Proof::Same
            } else {
                Proof::Memory
            };
        }
        if opened.through_process && self.still_runs(&opened.file) {
            return Proof::Same;
        }
        wait_for_writer(&opened.file);
        if self.matches(&opened.file) != Some(opened.size) {
            return self.touched(opened);
        }
        if is_past(self.identity.ctime, self.ticked_ns) {
            Proof::Same
        } else {
            Proof::None
        }
    }

    fn touched(&self, opened: &Opened) -> Proof {
        let is_it = |(found, size): (Identity, u64)| {
            self.is_inode(&opened.file, &found) && found.mtime == self.identity.mtime && size == opened.size
        };
        if Identity::of(&opened.file).is_ok_and(is_it) {
            Proof::Touched
        } else {
            Proof::Changed
        }
    }

    /// Whether the process runs this file now, as it did when the file was opened: nobody could write it in between.
    fn still_runs(&self, file: &File) -> bool {
        let (Ok(now), Ok(then)) = (std::fs::metadata(self.link()), file.metadata()) else {
            return false;
        };
        (then.dev(), then.ino()) == (now.dev(), now.ino())
    }
}

impl Place {
    /// Folders from which absolute paths of the process may be looked up.
    fn roots(self) -> Vec<String> {
        let of = |pid: u32| format!("/proc/{pid}/root");
        let mut roots = vec![of(self.pid)];
        if self.ppid != 0 {
            roots.push(of(self.ppid));
        }
        if self.mnt_ns != 0 && self.mnt_ns == mount_namespace(None) {
            roots.push("/".to_owned());
        }
        roots
    }

    /// Opens a file of the process by path, where it is that one.
    pub(super) fn find(self, path: &[u8], dev: u64, ino: u64) -> Option<(File, Identity, u64)> {
        self.roots().iter().find_map(|root| {
            let file = below(root, path).ok()?;
            let (identity, size) = Identity::of(&file).ok()?;
            is_inode(&file, &identity, dev, ino).then_some((file, identity, size))
        })
    }
}

/// Whether a file is the one that the kernel has under a device and an inode number. On btrfs `stat` gives each subvolume
/// a device of its own, which is not that of the file system.
pub(super) fn is_inode(file: &File, found: &Identity, dev: u64, ino: u64) -> bool {
    found.ino == ino && (found.dev == dev || is_btrfs(file))
}

fn is_btrfs(file: &File) -> bool {
    file_system(file) == u32::try_from(libc::BTRFS_SUPER_MAGIC).ok()
}

/// The magic number of the file system that an open file is in.
pub(super) fn file_system(file: &File) -> Option<u32> {
    // SAFETY: all zeros is a valid statfs.
    let mut about: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the structure lives through the call.
    let asked = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut about) };
    // The kernel's numbers have 32 bits.
    (asked == 0).then_some(about.f_type as u32)
}

/// Waits until nobody is changing a file. Cutting it takes effect before its times show it, and whoever reads in between
/// finds an empty file that seems to be the old one. Both are done under the inode's lock, which looking for data takes
/// too (ext4, tmpfs, overlays of them) or reading (XFS); where neither does (btrfs) the times change first.
fn wait_for_writer(file: &File) {
    // SAFETY: no pointers are passed.
    unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_DATA) };
    let _ = file.read_at(&mut [0], 0);
}

/// Whether a link of /proc shows a path, also if that is not there any more.
fn leads_to(link: &str, path: &[u8]) -> bool {
    let Ok(target) = std::fs::read_link(link) else {
        return false;
    };
    let target = target.as_os_str().as_bytes();
    // Of what is mounted nowhere the link begins at the root of the mount, the path at that of the file system.
    let is_of = |name: &[u8]| name == path || path.starts_with(UNREACHABLE) && path.ends_with(name);
    is_of(target) || target.strip_suffix(b" (deleted)").is_some_and(is_of)
}

/// Opens what a descriptor of a process refers to, where it is a regular file.
pub(super) fn of_descriptor(pid: u32, fd: i32) -> Option<(File, Identity, u64)> {
    let file = reopened(path_only(None, format!("/proc/{pid}/fd/{fd}").as_bytes(), 0).ok()?).ok()?;
    let (identity, size) = Identity::of(&file).ok()?;
    Some((file, identity, size))
}

/// Opens a file below a folder. The kernel's path has no symbolic links; what became one since is not followed, nor is
/// anything opened that is no regular file.
fn below(root: &str, path: &[u8]) -> io::Result<File> {
    let root = path_only(None, root.as_bytes(), libc::O_DIRECTORY)?;
    let path = path.iter().position(|b| *b != b'/').and_then(|at| path.get(at..));
    let path = path.ok_or(io::ErrorKind::NotFound)?;
    reopened(path_only(Some(&root), path, 0)?)
}

/// A descriptor that only names a file: opening it so does nothing to it. Below a folder no links are followed, and no
/// file system is asked: one that is made by a program could keep this thread waiting.
pub(super) fn path_only(folder: Option<&OwnedFd>, path: &[u8], flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: all zeros is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | flags) as u64;
    let Some(folder) = folder else {
        return openat2(libc::AT_FDCWD, path, &how);
    };
    let within = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;
    how.resolve = within | libc::RESOLVE_CACHED;
    match openat2(folder.as_raw_fd(), path, &how) {
        // Before Linux 5.12.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            how.resolve = within;
            openat2(folder.as_raw_fd(), path, &how)
        }
        opened => opened,
    }
}

fn openat2(at: i32, path: &[u8], how: &libc::open_how) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let size = size_of::<libc::open_how>();
    // SAFETY: the string and the structure live through the call, which writes to none of them.
    let fd = unsafe { libc::syscall(libc::SYS_openat2, at, path.as_ptr(), &raw const *how, size) };
    match i32::try_from(fd) {
        // SAFETY: a descriptor that was just made and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file to read from one that is only named, if it is a regular one: devices and pipes may do anything when opened.
fn reopened(named: OwnedFd) -> io::Result<File> {
    let named = File::from(named);
    if !named.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    read_only(&format!("/proc/self/fd/{}", named.as_raw_fd()))
}

/// Opens without leaving a trace in the access time, where this process may.
fn read_only(path: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let open = |flags: i32| {
        File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | flags)
            .open(path)
    };
    open(libc::O_NOATIME).or_else(|e| match e.raw_os_error() {
        Some(libc::EPERM) => open(0),
        _ => Err(e),
    })
}

/// Whether nobody can write a file in memory any more.
fn is_sealed(file: &File) -> bool {
    // SAFETY: no pointers are passed.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_WRITE != 0
}
