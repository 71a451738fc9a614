//! Where a file really lies, behind symbolic links, in the view of a process.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use super::fd::stat;
use super::procfs::link;

/// Inode number of the mount namespace of a process, or of this one; 0 when unknown.
pub(crate) fn mount_namespace(of: Option<u32>) -> u32 {
    let of = of.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let found = std::fs::metadata(format!("/proc/{of}/ns/mnt"));
    found.map_or(0, |m| u32::try_from(m.ino()).unwrap_or(0))
}

/// The kernel stamps files with the time of its last tick, of which there may be a hundred in a second.
const TICK_NS: u64 = 10_000_000;
/// Deepest file behind a link that is looked at.
const MAX_DEPTH: usize = 32;
const ATTEMPTS: usize = 3;

/// Follows a path from the root of a process, or from this one's own. `None` where it leads to none now,
/// where one of the links that it names was not there yet when it was followed at a time of UTC, or where that is not known
/// without asking a file system: one that is made by a program could keep the recorder waiting. The process has just gone
/// the same way, so that most often it is known.
pub(crate) fn real_path(of: Option<u32>, path: &[u8], followed: u64) -> Option<Vec<u8>> {
    let root = of.map_or_else(|| "/".to_owned(), |pid| format!("/proc/{pid}/root"));
    let root = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(root)
        .ok()?;
    let found = reach(&root, path, 0)?;
    let found = format!("/proc/self/fd/{}", found.as_raw_fd());
    let real = link(&found).filter(|real| real.first() == Some(&b'/'))?;
    let file = stat(&found)?;
    // `/proc/self` is this process; and of what was removed just now the kernel says no path.
    let is_other = file.dev != stat("/proc/self")?.dev && file.links > 0;
    (is_other && (real == path || are_older(&root, path, followed))).then_some(real)
}

/// Whether the links among the names of a path are older than a time of UTC. To give one another name makes it new.
fn are_older(root: &File, path: &[u8], time: u64) -> bool {
    let ends = memchr::memchr_iter(b'/', path).skip(1).chain([path.len()]);
    let is_older = |end| {
        let above = reach(root, path.get(..end)?, libc::O_NOFOLLOW)?;
        let file = stat(&format!("/proc/self/fd/{}", above.as_raw_fd()))?;
        let is_link = file.mode & libc::S_IFMT == libc::S_IFLNK;
        Some(!is_link || file.ctime_ns.saturating_add(TICK_NS) < time)
    };
    ends.clone().count() <= MAX_DEPTH && ends.into_iter().all(|end| is_older(end) == Some(true))
}

/// What a path leads to from a root, as far as the kernel knows it without asking a file system.
fn reach(root: &File, path: &[u8], flags: i32) -> Option<OwnedFd> {
    let path = CString::new(path).ok()?;
    // SAFETY: all zeros is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | flags) as u64;
    // Links do not lead out of the root. Linux 5.12 and later know the last flag; others refuse it.
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_CACHED;
    // While others rename and mount, the kernel may not know without looking: ask again.
    (0..ATTEMPTS).find_map(|_| {
        // SAFETY: the descriptor, the string and the structure live through the call, which writes to none of them.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel just gave this descriptor to nobody else.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn links_are_followed() {
        if real_path(None, b"/", u64::MAX).is_none() {
            return ctrace_skip::skip("host::links_are_followed", "needs Linux 5.12");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(folder.join("a/b")).expect("own folder");
        std::os::unix::fs::symlink("a/b", folder.join("link")).expect("own folder");
        // While others rename and mount, the kernel may not know without looking: ask again. It does not know either what
        // nobody followed for a day.
        let ask = |of: Option<u32>, path: &[u8], followed: u64| {
            (0..1000).find_map(|_| {
                let _ = std::fs::metadata(std::ffi::OsStr::from_bytes(path));
                real_path(of, path, followed)
            })
        };
        let path = |path: &str| folder.join(path).as_os_str().as_bytes().to_vec();
        let real = |link: &str| ask(None, &path(link), u64::MAX);
        assert_eq!(real("link"), Some(path("a/b")));
        assert_eq!(real("link/.."), Some(path("a")));
        assert_eq!(real("gone"), None);
        std::fs::write(folder.join("a/file"), "").expect("own folder");
        std::os::unix::fs::symlink("link/../file", folder.join("to file")).expect("own folder");
        assert_eq!(real("to file"), Some(path("a/file")));
        // Where this process has no root of its own, both ways lead to the same.
        let plain = folder.as_os_str().as_bytes();
        assert_eq!(ask(Some(std::process::id()), plain, u64::MAX), Some(plain.to_vec()));
        assert!(mount_namespace(None) != 0);
        // What is newer was not what was followed then.
        let (now, second) = (super::super::utc_ns(), 1_000_000_000);
        assert_eq!(ask(None, &path("link"), now - second), None);
        assert_eq!(ask(None, &path("link"), now + second), Some(path("a/b")));
        assert_eq!(ask(None, &path("a"), now - second), Some(path("a")));
        assert_eq!(
            ask(None, b"/proc/self", u64::MAX),
            None,
            "another process means another one"
        );
    }
}
