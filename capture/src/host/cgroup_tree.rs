//! The cgroup v2 hierarchy: ids and paths. A cgroup's id is its folder's inode number, which is what records carry.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::mounts::read_mounts;

/// Most cgroups that are kept.
const MAX_CGROUPS: usize = 100_000;
/// How deep the hierarchy is followed.
const MAX_DEPTH: u32 = 64;

/// Paths of cgroups by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupTree {
    mount: Option<PathBuf>,
    paths: BTreeMap<u64, Vec<u8>>,
}

impl CgroupTree {
    /// Walks the hierarchy. Empty where cgroup v2 is not mounted.
    pub fn read() -> CgroupTree {
        let mut tree = CgroupTree {
            mount: mount_point(),
            paths: BTreeMap::new(),
        };
        tree.walk_again();
        tree
    }

    /// The path of a cgroup, as `/proc/PID/cgroup` shows it: absolute from the hierarchy's root.
    pub fn path(&self, id: u64) -> Option<&[u8]> {
        self.paths.get(&id).map(Vec::as_slice)
    }

    /// The id of a cgroup that exists now; 0 when there is none of that path.
    pub fn id(&self, path: &[u8]) -> u64 {
        let folder = self.folder(path).and_then(|folder| std::fs::metadata(folder).ok());
        folder.filter(|m| m.is_dir()).map_or(0, |m| m.ino())
    }

    /// Learns a cgroup that was made since.
    pub fn insert(&mut self, id: u64, path: &[u8]) {
        if self.paths.len() < MAX_CGROUPS || self.paths.contains_key(&id) {
            self.paths.insert(id, path.to_vec());
        }
    }

    /// Walks the hierarchy again, for an id that is not known. Paths of cgroups that are gone stay: records of what ran
    /// in them may still come.
    pub fn walk_again(&mut self) {
        let Some(mount) = self.mount.clone() else { return };
        if let Ok(root) = std::fs::metadata(&mount) {
            self.insert(root.ino(), b"/");
        }
        self.walk(&mount, &mut Vec::new(), 0);
    }

    /// All cgroups, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.paths.iter().map(|(id, path)| (*id, path.as_slice()))
    }

    fn walk(&mut self, folder: &Path, path: &mut Vec<u8>, depth: u32) {
        if depth == MAX_DEPTH {
            return;
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            let length = path.len();
            path.push(b'/');
            path.extend_from_slice(entry.file_name().as_bytes());
            self.insert(entry.ino(), path);
            self.walk(&entry.path(), path, depth + 1);
            path.truncate(length);
        }
    }

    fn folder(&self, path: &[u8]) -> Option<PathBuf> {
        let relative = Path::new(std::ffi::OsStr::from_bytes(path)).strip_prefix("/").ok()?;
        // A process outside of this cgroup namespace's root shows as `/../…`, which is no place below the mount.
        let inside = relative
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_)));
        inside.then(|| self.mount.as_ref().map(|mount| mount.join(relative)))?
    }
}

/// Where cgroup v2 is mounted with its root: `/sys/fs/cgroup`, or `…/unified` beside version 1.
fn mount_point() -> Option<PathBuf> {
    let mounts = read_mounts(std::process::id());
    let whole = mounts.into_iter().find(|m| m.fs_type == b"cgroup2" && m.root == b"/")?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(&whole.target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_agree_with_the_file_system() {
        let mut tree = CgroupTree::read();
        let Some(mount) = tree.mount.clone() else {
            return ctrace_skip::skip("ids_and_paths_agree_with_the_file_system", "cgroup v2 is not mounted");
        };
        assert_eq!(tree.path(tree.id(b"/")), Some(&b"/"[..]));
        for (id, path) in tree.iter() {
            let now = tree.id(path);
            assert!(
                now == id || now == 0,
                "{} is {now}, not {id}",
                String::from_utf8_lossy(path)
            );
        }
        assert_eq!(tree.id(b"/../../etc"), 0);
        let fresh = mount.join(format!("ctrace-test-{}", std::process::id()));
        if std::fs::create_dir(&fresh).is_ok() {
            let path = [b"/", fresh.file_name().expect("name").as_bytes()].concat();
            let id = tree.id(&path);
            assert_eq!(tree.path(id), None);
            tree.walk_again();
            assert_eq!(tree.path(id), Some(path.as_slice()));
            std::fs::remove_dir(&fresh).expect("empty");
            tree.walk_again();
            assert_eq!(tree.path(id), Some(path.as_slice()), "still known after its end");
        }
    }
}
