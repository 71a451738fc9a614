//! Where a directory really lies, behind symbolic links, in the view of a process.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use super::procfs::link;

/// Inode number of this process's own mount namespace; 0 when unknown.
pub(crate) fn mount_namespace() -> u32 {
    let found = std::fs::metadata("/proc/self/ns/mnt");
    found.map_or(0, |m| u32::try_from(m.ino()).unwrap_or(0))
}

/// Follows a path to a directory from the root of a process, or from this one's own. `None` where it leads to none now,
/// or where that is not known without asking a file system: one that is made by a program could keep the recorder
/// waiting. The process has just gone the same way, so that most often it is known.
pub(crate) fn real_directory(of: Option<u32>, path: &[u8]) -> Option<Vec<u8>> {
    let root = of.map_or_else(|| "/".to_owned(), |pid| format!("/proc/{pid}/root"));
    let root = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(root)
        .ok()?;
    let path = CString::new(path).ok()?;
    // SAFETY: all zeros is a valid open_how.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
    // Links do not lead out of the root. Linux 5.12 and later know the last flag; others refuse it.
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_CACHED;
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
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    link(format!("/proc/self/fd/{}", fd.as_raw_fd())).filter(|real| real.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn links_are_followed() {
        if real_directory(None, b"/").is_none() {
            return ctrace_skip::skip("host::links_are_followed", "needs Linux 5.12");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(folder.join("a/b")).expect("own folder");
        std::os::unix::fs::symlink("a/b", folder.join("link")).expect("own folder");
        // While others rename and mount, the kernel may not know without looking: ask again.
        let find = |of: Option<u32>, path: &[u8]| (0..1000).find_map(|_| real_directory(of, path));
        let real = |path: &str| find(None, folder.join(path).as_os_str().as_bytes());
        let path = |path: &str| Some(folder.join(path).as_os_str().as_bytes().to_vec());
        assert_eq!(real("link"), path("a/b"));
        assert_eq!(real("link/.."), path("a"));
        assert_eq!(real("gone"), None);
        let own = find(Some(std::process::id()), folder.as_os_str().as_bytes());
        // Where this process has no root of its own, both ways lead to the same.
        assert_eq!(own, path("").map(|p| p.strip_suffix(b"/").unwrap_or(&p).to_vec()));
        assert!(mount_namespace() != 0);
    }
}
