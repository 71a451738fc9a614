//! Paths that lead through symbolic links, which records or the host tell of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::magic::told_by;
use super::world::World;
use crate::resolver::{Config, Host, NoHost, SnapshotFd, SnapshotProcess};

/// A host with links to directories, by their paths: where they lead, and since when. Counts what it is asked.
#[derive(Default)]
struct Tree {
    links: BTreeMap<Vec<u8>, (Vec<u8>, u64)>,
    asked: Arc<AtomicUsize>,
}

impl Tree {
    fn new<const N: usize>(links: [(&str, &str, u64); N]) -> Tree {
        let links = links.map(|(from, to, since)| (from.as_bytes().to_vec(), (to.as_bytes().to_vec(), since)));
        Tree {
            links: links.into(),
            asked: Arc::default(),
        }
    }
}

impl Host for Tree {
    fn process(&mut self, _: u32) -> Option<SnapshotProcess> {
        None
    }
    fn fd(&mut self, _: u32, _: i32) -> Option<SnapshotFd> {
        None
    }
    fn real_path(&mut self, _: u32, ts: u64, _: u32, root: &[u8], path: &[u8]) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(path.starts_with(b"/") && !path.ends_with(b"/"));
        if path.starts_with(b"/gone") {
            return None;
        }
        let whole = [root, path].concat();
        for (link, (to, since)) in &self.links {
            if let Some(behind) = whole.strip_prefix(&link[..]) {
                return (*since <= ts).then(|| [to, behind].concat());
            }
        }
        Some(whole)
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
}

fn world<const N: usize>(links: [(&str, &str, u64); N]) -> (World, Arc<AtomicUsize>) {
    let tree = Tree::new(links);
    let asked = tree.asked.clone();
    (World::with(Config::default(), Box::new(tree)), asked)
}

/// What is told of a name that a call without a descriptor has.
#[track_caller]
fn told(w: &mut World, call: &str, raw: &str) -> String {
    told_by(w, (10, 10), call, raw)
}

fn symlink(w: &mut World, target: &str, path: &str) {
    w.call(10, "symlink", 0, &[1, 2]).text(0, target).text(1, path).go();
}

fn rename(w: &mut World, old: &str, new: &str) {
    w.call(10, "rename", 0, &[1, 2]).text(0, old).text(1, new).go();
}

#[test]
fn the_host_knows_old_links() {
    let (mut w, asked) = world([("/tmp/link", "/etc/foo", 0)]);
    for (call, raw, want) in [
        ("unlink", "/tmp/link/../x", "/etc/x"),
        ("unlink", "/tmp/link/x", "/etc/foo/x"),
        ("mkdir", "/tmp/link/new/", "/etc/foo/new"),
        ("chmod", "../../tmp/link/./a/../x", "/etc/foo/x"),
        ("rmdir", "/tmp/link/..", "/etc"),
        ("rmdir", "/tmp/link/.", "/etc/foo"),
        ("unlink", "/tmp/link", "/tmp/link"),
        ("truncate", "/tmp/link", "/etc/foo"),
        ("truncate", "../../tmp/link", "/etc/foo"),
        ("unlink", "/tmp/other/../x", "/tmp/x"),
        ("unlink", "/x", "/x"),
        ("unlink", "x", "/home/u/x"),
        ("unlink", "../x", "/home/x"),
        ("unlink", "a/../../x", "/home/x"),
        ("access", "/tmp/link/../x", "/etc/x"),
        ("access", "/tmp/link/x", "/tmp/link/x"),
    ] {
        assert_eq!(told(&mut w, call, raw), want, "{call} {raw}");
    }
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..10 {
        told(&mut w, "unlink", "/tmp/link/x");
        told(&mut w, "unlink", "x");
        told(&mut w, "access", "/tmp/link/x");
    }
    assert_eq!(asked.load(Ordering::Relaxed), before, "it was asked a moment ago");
    let seen = w.call(10, "unlink", -2, &[1]).text(0, "/tmp/link/../none").go();
    assert_eq!(seen.arg("path"), "/tmp/none <- /tmp/link/../none", "a call that failed");
    let seen = w.call(10, "renameat2", 0, &[-100, 1, -100, 2, 0]);
    let seen = seen.text(1, "/tmp/link/a").text(3, "/tmp/b").go();
    assert_eq!(
        (seen.arg("oldpath"), seen.arg("newpath")),
        ("/etc/foo/a <- /tmp/link/a", "/tmp/b <- /tmp/b")
    );
}

#[test]
fn names_behind_a_descriptor_start_there() {
    let (mut w, asked) = world([("/srv/link", "/etc", 0)]);
    w.call(10, "openat", 3, &[-100, 1, 0])
        .text(1, "/srv")
        .directory("/srv")
        .go();
    let seen = w.call(10, "unlinkat", 0, &[3, 1, 0]).text(1, "link/x").go();
    assert_eq!(seen.arg("name"), "/etc/x <- link/x");
    let seen = w.call(10, "unlinkat", 0, &[3, 1, 0]).text(1, "link").go();
    assert_eq!(seen.arg("name"), "/srv/link <- link");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn newer_links_were_not_on_the_way() {
    let (mut w, _) = world([("/tmp/link", "/etc", u64::MAX)]);
    assert_eq!(told(&mut w, "unlink", "/tmp/link/x"), "/tmp/link/x");
    assert_eq!(told(&mut w, "unlink", "/tmp/link/../x"), "/tmp/x");
    assert_eq!(told(&mut w, "unlink", "/gone/../x"), "/x", "what nobody knows");
}

#[test]
fn records_tell_of_links_that_are_gone_again() {
    let mut w = World::with(Config::default(), Box::new(NoHost));
    symlink(&mut w, "/etc/foo", "/tmp/l");
    assert_eq!(told(&mut w, "unlink", "/tmp/l/../x"), "/etc/x");
    assert_eq!(told(&mut w, "unlink", "/tmp/l/x"), "/etc/foo/x");
    symlink(&mut w, "l/bar", "/tmp/second");
    assert_eq!(told(&mut w, "chmod", "/tmp/second/x"), "/etc/foo/bar/x");
    assert_eq!(told(&mut w, "access", "/tmp/second/../x"), "/etc/foo/x");
    rename(&mut w, "/tmp", "/moved");
    assert_eq!(told(&mut w, "chmod", "/moved/second/x"), "/etc/foo/bar/x");
    assert_eq!(told(&mut w, "chmod", "/tmp/second/x"), "/tmp/second/x");
    w.call(10, "link", 0, &[1, 2]).text(0, "/moved/l").text(1, "/same").go();
    assert_eq!(told(&mut w, "unlink", "/moved/l"), "/moved/l");
    assert_eq!(told(&mut w, "chmod", "/moved/l/x"), "/moved/l/x");
    assert_eq!(told(&mut w, "chmod", "/same/x"), "/etc/foo/x");
    // The working directory too, though nobody can be asked.
    w.call(10, "chdir", 0, &[1]).text(0, "/same/../bar").go();
    assert_eq!(told(&mut w, "unlink", "x"), "/etc/bar/x");
    symlink(&mut w, "/usr", "one");
    symlink(&mut w, "/var", "/two");
    let swap = w.call(10, "renameat2", 0, &[-100, 1, -100, 2, 2]);
    swap.text(1, "one").text(3, "/two").go();
    assert_eq!(told(&mut w, "unlink", "one/x"), "/var/x");
    assert_eq!(told(&mut w, "unlink", "/two/x"), "/usr/x");
    rename(&mut w, "/file", "/two");
    assert_eq!(told(&mut w, "unlink", "/two/x"), "/two/x");
    w.call(10, "unlink", 0, &[1]).go();
    assert_eq!(
        told(&mut w, "unlink", "one/x"),
        "/var/x",
        "a name that could not be read"
    );
    let mount = w.call(10, "mount", 0, &[1, 2]);
    mount.text(0, "none").text(1, "/etc/bar").go();
    assert_eq!(
        told(&mut w, "unlink", "one/x"),
        "/etc/bar/one/x",
        "something else may lie there now"
    );
    assert_eq!(told(&mut w, "unlink", "/same/x"), "/etc/foo/x");
    w.call(10, "pivot_root", 0, &[1, 2]).text(0, "/n").text(1, "/n/o").go();
    assert_eq!(told(&mut w, "unlink", "/same/x"), "/same/x");
}

#[test]
fn links_that_lead_in_a_circle_end() {
    let mut w = World::new();
    symlink(&mut w, "b/more", "/a");
    symlink(&mut w, "a/more", "/b");
    assert_eq!(told(&mut w, "unlink", "/a/x"), "/a/x");
    symlink(&mut w, &"deep/".repeat(800), "/deep");
    assert_eq!(told(&mut w, "unlink", "/deep/x"), "/deep/x");
    symlink(&mut w, "../../..", "/up");
    assert_eq!(told(&mut w, "unlink", "/up/up/../x"), "/x");
}

#[test]
fn answers_end_with_what_records_tell_of() {
    let (mut w, asked) = world([]);
    let ask = |w: &mut World| {
        let before = asked.load(Ordering::Relaxed);
        told(w, "unlink", "/a/b/x");
        asked.load(Ordering::Relaxed) - before
    };
    assert_eq!((ask(&mut w), ask(&mut w)), (1, 0));
    rename(&mut w, "/a/b/other", "/a/b/file");
    assert_eq!(ask(&mut w), 0, "a file below");
    rename(&mut w, "/new", "/a");
    assert_eq!(ask(&mut w), 1, "a directory above");
    w.call(10, "umount2", 0, &[1, 0]).text(0, "/a").go();
    assert_eq!(ask(&mut w), 1);
    w.resolver.resume(&[].into(), 0);
    assert_eq!(ask(&mut w), 1);
    w.now += 2_000_000_000;
    assert_eq!(ask(&mut w), 1);
}

#[test]
fn below_a_root_links_lead_on_from_there() {
    let (mut w, _) = world([("/jail/host", "/jail/etc", 0)]);
    symlink(&mut w, "/usr", "/jail/link");
    w.fork(10, 11);
    w.call(10, "chroot", 0, &[1]).text(0, "/jail").go();
    assert_eq!(told(&mut w, "unlink", "/link/x"), "/jail/usr/x");
    assert_eq!(told(&mut w, "unlink", "/link/../../../x"), "/jail/x");
    assert_eq!(told(&mut w, "unlink", "/host/x"), "/jail/etc/x");
    let seen = w.call(11, "unlink", 0, &[1]).text(0, "/jail/link/x").go();
    assert_eq!(seen.arg("path"), "/usr/x <- /jail/link/x");
}

#[test]
fn questions_are_bounded() {
    let tree = Tree::new([]);
    let asked = tree.asked.clone();
    let config = Config {
        lookups_per_s: 3,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(tree));
    for number in 0..100 {
        let raw = format!("/d{number}/../x");
        assert_eq!(told(&mut w, "access", &raw), "/x");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(w.resolver.stats().lookups_refused, 97);
}

#[test]
fn the_call_says_whether_a_link_is_followed() {
    let mut w = World::new();
    symlink(&mut w, "/etc/shadow", "link");
    for (call, want) in [
        ("chmod", "/etc/shadow"),
        ("chown", "/etc/shadow"),
        ("truncate", "/etc/shadow"),
        ("setxattr", "/etc/shadow"),
        ("lchown", "/home/u/link"),
        ("lsetxattr", "/home/u/link"),
        ("access", "/home/u/link"),
    ] {
        assert_eq!(told(&mut w, call, "link"), want, "{call}");
    }
    for (call, flags, want) in [
        ("fchownat", [0, 0], "/etc/shadow"),
        ("fchownat", [0, 0x100], "/home/u/link"),
        ("fchmodat2", [0, 0], "/etc/shadow"),
        ("fchmodat2", [0x100, 0], "/home/u/link"),
        ("utimensat", [0x100, 0], "/home/u/link"),
        ("linkat", [0, 0], "/home/u/link"),
        ("linkat", [0, 0x400], "/etc/shadow"),
    ] {
        let seen = w.call(10, call, 0, &[-100, 1, 2, flags[0], flags[1]]);
        let seen = seen.text(1, "link").text(3, "/other").go();
        let names = ["pathname", "filename", "path", "oldpath"];
        let name = names.into_iter().find(|name| seen.args.contains_key(*name));
        assert_eq!(
            seen.arg(name.expect("a path")),
            format!("{want} <- link"),
            "{call} {flags:?}"
        );
    }
    let is_link = |w: &mut World| told(w, "chmod", "/other") == "/etc/shadow";
    assert!(!is_link(&mut w), "a second name of the file itself");
    let link = w.call(10, "linkat", 0, &[-100, 1, -100, 2, 0]);
    link.text(1, "link").text(3, "/other").go();
    assert!(is_link(&mut w), "a second name of the link");
}
