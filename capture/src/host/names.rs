//! Names of users and groups, from passwd and group files: the host's, or those in a container's root.

use std::collections::BTreeMap;
use std::path::Path;

use super::procfs::{decimal, lines, read_in_root};

/// Largest file that is read; a site with a hundred thousand users has some ten megabytes.
const MAX_FILE: u64 = 16 << 20;
/// Most entries that are kept.
const MAX_ENTRIES: usize = 200_000;
/// Longest line that is taken.
const MAX_LINE: usize = 64 * 1024;

/// The users and groups of one root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Users by id, in the order of the file; where two share an id, the first counts, as for the C library.
    pub users: BTreeMap<u32, User>,
    /// Groups by id.
    pub groups: BTreeMap<u32, Group>,
}

/// A line of `passwd(5)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: Vec<u8>,
    /// Primary group.
    pub gid: u32,
    /// Home folder.
    pub home: Vec<u8>,
    /// Login shell.
    pub shell: Vec<u8>,
}

/// A line of `group(5)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Vec<u8>,
    /// Names of its members.
    pub members: Vec<Vec<u8>>,
}

impl Names {
    /// Reads `etc/passwd` and `etc/group` below a root: `/`, or `/proc/PID/root`. Files that are not there have no
    /// entries.
    ///
    /// A container's root is not trusted: links are followed within it only, and nothing but a regular file is read.
    pub fn read(root: &Path) -> Names {
        let file = |name| read_in_root(root, name, MAX_FILE).unwrap_or_default();
        Names::parse(&file(c"etc/passwd"), &file(c"etc/group"))
    }

    /// Reads the contents of the two files. Lines that are none are left out.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Names {
        let mut names = Names::default();
        for (uid, user) in entries(passwd).filter_map(|cells| user(&cells)) {
            if names.users.len() < MAX_ENTRIES {
                names.users.entry(uid).or_insert(user);
            }
        }
        for (gid, group) in entries(group).filter_map(|cells| group_of(&cells)) {
            if names.groups.len() < MAX_ENTRIES {
                names.groups.entry(gid).or_insert(group);
            }
        }
        names
    }

    /// A user's name; empty when unknown.
    pub fn user(&self, uid: u32) -> &[u8] {
        self.users.get(&uid).map_or(&[], |u| &u.name)
    }

    /// A group's name; empty when unknown.
    pub fn group(&self, gid: u32) -> &[u8] {
        self.groups.get(&gid).map_or(&[], |g| &g.name)
    }
}

fn entries(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let taken = lines(text).filter(|l| l.len() <= MAX_LINE && !l.starts_with(b"#"));
    taken.map(|line| line.split(|b| *b == b':').collect())
}

fn user(cells: &[&[u8]]) -> Option<(u32, User)> {
    let [name, _, uid, gid, _, home, shell, ..] = cells else {
        return None;
    };
    let user = User {
        name: name.to_vec(),
        gid: decimal(gid)?,
        home: home.to_vec(),
        shell: shell.to_vec(),
    };
    Some((decimal(uid)?, user))
}

fn group_of(cells: &[&[u8]]) -> Option<(u32, Group)> {
    let [name, _, gid, members, ..] = cells else {
        return None;
    };
    let members = members.split(|b| *b == b',').filter(|m| !m.is_empty());
    let group = Group {
        name: name.to_vec(),
        members: members.map(<[u8]>::to_vec).collect(),
    };
    Some((decimal(gid)?, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_left_out() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n\n#x:x:1:1::/:/\n+::::::\ntoor:x:0:0::/:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\nbad:x:-1:0::/:/\n";
        let group = b"root:x:0:\nadm:x:4:syslog,web\nbroken\n";
        let names = Names::parse(passwd, group);
        assert_eq!(names.users.keys().copied().collect::<Vec<_>>(), [0, 33]);
        assert_eq!(
            (names.user(0), names.user(33), names.user(7)),
            (&b"root"[..], &b"web"[..], &b""[..])
        );
        assert_eq!((names.group(4), names.group(1)), (&b"adm"[..], &b""[..]));
        assert_eq!(names.groups[&4].members, [b"syslog".to_vec(), b"web".to_vec()]);
        assert_eq!(names.users[&33].home, b"/var/www");
    }

    #[test]
    fn links_stay_in_the_root() {
        let root = tempfile::tempdir().expect("folder");
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("private/etc")).expect("folder");
        std::fs::write(at("private/passwd"), "inside:x:5:5::/:/bin/sh\n").expect("file");
        std::os::unix::fs::symlink("/private/etc", at("etc")).expect("link");
        std::os::unix::fs::symlink("/private/passwd", at("private/etc/passwd")).expect("link");
        std::os::unix::fs::symlink("../../../../../../etc/group", at("private/etc/group")).expect("link");
        let names = Names::read(root.path());
        assert_eq!((names.user(5), names.users.len()), (&b"inside"[..], 1));
        assert!(names.groups.is_empty(), "the host's groups are not in that root");
    }

    #[test]
    fn the_hosts_own_root() {
        assert_eq!(Names::read(Path::new("/")).user(0), b"root");
    }
}
