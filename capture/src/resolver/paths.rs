//! Making paths absolute and free of `.`, `..` and doubled slashes.
//!
//! Paths are in the view of the process's mount namespace: what a process in a container calls `/etc/shadow` is
//! `/etc/shadow`. Below a `chroot` its directory is put in front, because the kernel's own paths (of opened and executed
//! files) carry it too. `..` is taken by its letters; where a symbolic link makes that wrong, the kernel's path of the
//! opened file is the one that is kept, and of others what is known of the links (`resolver/walk.rs`).

use crate::syscall::UNREACHABLE;

/// Longest path that is kept; a `chdir` deeper than this makes the working directory unknown.
pub(crate) const PATH_LIMIT: usize = 16 * 1024;

/// Whether a path says from where it leads on: from the root, or from that of a file system that is mounted nowhere.
pub(crate) fn is_known(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        || path
            .strip_prefix(UNREACHABLE)
            .is_some_and(|rest| rest.starts_with(b"/"))
}

/// Writes the absolute form of `raw` into `out`.
///
/// `root` is the directory of a `chroot` (empty for none) and `base` what relative paths start from. Where `base` is not
/// absolute, that is unknown, a relative path stays relative: the result then does not begin with a slash.
///
/// Gives whether `..` took back a name of `raw`.
pub(crate) fn resolve(root: &[u8], base: &[u8], raw: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let root = if root == b"/" { &b""[..] } else { root };
    let absolute = raw.first() == Some(&b'/');
    let known = absolute || is_known(base);
    if absolute {
        out.extend_from_slice(root);
    } else if known && base != b"/" {
        out.extend_from_slice(base.strip_suffix(b"/").unwrap_or(base));
    }
    // Mostly there is no root, and comparing nothing is slow: see `same_text` of `scan`.
    let floor = if !root.is_empty() && out.starts_with(root) {
        root.len()
    } else if !absolute && out.starts_with(UNREACHABLE) {
        UNREACHABLE.len()
    } else {
        0
    };
    if known && out.len().saturating_add(raw.len()) <= PATH_LIMIT {
        let cut = append(out, floor, raw);
        if out.is_empty() || out == UNREACHABLE {
            out.push(b'/');
        }
        cut
    } else {
        out.clear();
        append_relative(out, raw);
        false
    }
}

/// Appends the components of `raw`; `..` removes one but never below `floor` bytes. Gives whether it removed one of them.
fn append(out: &mut Vec<u8>, floor: usize, raw: &[u8]) -> bool {
    let below = raw.strip_prefix(b"/").unwrap_or(raw);
    if is_plain(below) {
        out.reserve(below.len() + 1);
        out.push(b'/');
        out.extend_from_slice(below);
        false
    } else {
        append_parts(out, floor, raw)
    }
}

fn append_parts(out: &mut Vec<u8>, floor: usize, raw: &[u8]) -> bool {
    let (mut given, mut cut) = (out.len(), false);
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = out.iter().rposition(|b| *b == b'/').unwrap_or(0);
                cut |= out.len() > given;
                out.truncate(end.max(floor));
                given = given.min(out.len());
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
            }
        }
    }
    cut
}

/// Whether no component is empty or one or two dots (or begins with two): then the path is as it should be. Looks at many
/// bytes at once, and therefore at all of them.
fn is_plain(path: &[u8]) -> bool {
    let starts_badly = |first: u8, next: u8| (first == b'/') | (first == b'.') & ((next == b'/') | (next == b'.'));
    let ([_, firsts @ ..], [first, second, nexts @ ..], [.., before, last]) = (path, path, path) else {
        return false;
    };
    let triples = path.iter().zip(firsts).zip(nexts);
    let bad = triples.fold(false, |bad, ((slash, first), next)| {
        bad | (*slash == b'/') & starts_badly(*first, *next)
    });
    let ends_badly = (*last == b'/') | (*before == b'/') & (*last == b'.');
    !bad & !starts_badly(*first, *second) & !ends_badly
}

/// The relative path with `.` and doubled slashes removed; leading `..` have nothing to remove and stay.
fn append_relative(out: &mut Vec<u8>, raw: &[u8]) {
    for part in raw.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(part);
    }
    out.truncate(PATH_LIMIT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_normal() {
        let cases: &[(&str, &str, &str, &str)] = &[
            ("", "/home/u", "a", "/home/u/a"),
            ("", "/home/u", "/etc//passwd", "/etc/passwd"),
            ("", "/home/u", "./a/../b/", "/home/u/b"),
            ("", "/home/u", "../../../..", "/"),
            ("", "/", "tmp", "/tmp"),
            ("", "/", ".", "/"),
            ("", "/", "/", "/"),
            ("", "/home/u", "a/.b/c", "/home/u/a/.b/c"),
            ("", "/home/u", "/a/b..c/d.", "/a/b..c/d."),
            ("", "/home/u", "a/", "/home/u/a"),
            ("", "/home/u", "/a//b", "/a/b"),
            ("", "/home/u", "a/b/..", "/home/u/a"),
            ("", "/home/u", "x/.", "/home/u/x"),
            ("", "/home/u", "", "/home/u"),
            ("/jail", "/jail/srv", "/etc/passwd", "/jail/etc/passwd"),
            ("/jail", "/jail/srv", "../../../etc", "/jail/etc"),
            ("/jail", "/outside", "../x", "/x"),
            ("/", "/a", "/b", "/b"),
            ("", "(unreachable)/", "a", "(unreachable)/a"),
            ("", "(unreachable)/a", "../../..", "(unreachable)/"),
            ("", "(unreachable)/a", "/b", "/b"),
            ("(unreachable)/a", "(unreachable)/a/b", "../../c", "(unreachable)/a/c"),
            ("(unreachable)/a", "(unreachable)/a/b", "/c", "(unreachable)/a/c"),
            ("", "(unreachable)", "a", "a"),
            ("", "", "a/./b//c", "a/b/c"),
            ("", "", "../a", "../a"),
            ("", "", "/a/../b", "/b"),
        ];
        let mut out = Vec::new();
        for (root, base, raw, want) in cases {
            resolve(root.as_bytes(), base.as_bytes(), raw.as_bytes(), &mut out);
            assert_eq!(
                String::from_utf8_lossy(&out),
                *want,
                "root {root:?} base {base:?} raw {raw:?}"
            );
        }
    }

    #[test]
    fn plain_paths_are_what_their_parts_make() {
        let bytes = [b'/', b'.', b'a'];
        for (len, number) in (0..=7).flat_map(|len| (0..3usize.pow(len)).map(move |number| (len, number))) {
            let digits = (0..len).map(|at| bytes[number / 3usize.pow(at) % 3]);
            let path: Vec<u8> = digits.collect();
            let (mut whole, mut parts) = (b"/base".to_vec(), b"/base".to_vec());
            append(&mut whole, 0, &path);
            append_parts(&mut parts, 0, &path);
            assert_eq!(whole, parts, "{}", String::from_utf8_lossy(&path));
        }
    }

    #[test]
    fn a_path_that_grows_without_end_becomes_unknown() {
        let base = vec![b'/'; 1]
            .into_iter()
            .chain(vec![b'd'; PATH_LIMIT - 2])
            .collect::<Vec<_>>();
        let mut out = Vec::new();
        resolve(b"", &base, b"more", &mut out);
        assert_eq!(out, b"more");
    }
}
