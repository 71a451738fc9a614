//! Containers by cgroup, and what the engine says of them later.

use std::sync::Arc;

use super::world::World;
use crate::resolver::{Config, Host, SnapshotFd, SnapshotProcess};
use ctrace_trace::container::Container;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn told(name: &str) -> Arc<Container> {
    Arc::new(Container {
        id: ID.to_owned(),
        engine: "docker".to_owned(),
        name: name.to_owned(),
        image: "alpine:3".to_owned(),
        ..Container::default()
    })
}

fn container_name(w: &World, pid: u32) -> Option<String> {
    w.image(pid).container.as_ref().map(|c| c.name.clone())
}

#[test]
fn a_process_is_in_the_container_of_its_cgroup() {
    let mut w = World::new();
    w.mkdir_cgroup(500, &format!("/system.slice/docker-{ID}.scope"));
    w.fork(10, 11);
    assert!(w.image(11).container.is_none());
    // It is moved there, then it executes.
    w.cgroup = 500;
    let seen = w.plain(11, "read", 0, &[0]);
    let container = seen.image().container.clone().expect("a container");
    assert_eq!(
        (
            container.id.as_str(),
            container.engine.as_str(),
            container.name.as_str()
        ),
        (ID, "docker", "")
    );
    w.exec(11, "/bin/sh", "sh");
    w.fork(11, 12);
    assert_eq!(
        w.image(12)
            .container
            .as_ref()
            .map(|c| c.short_id().to_owned())
            .as_deref(),
        Some("0123456789ab")
    );

    // The engine tells the rest.
    let before = w.image(12).id;
    w.resolver.container(told("web-1"));
    assert_eq!(container_name(&w, 11).as_deref(), Some("web-1"));
    assert_ne!(w.image(12).id, before);
    let before = w.image(12).id;
    w.resolver.container(told("web-1"));
    assert_eq!(w.image(12).id, before, "nothing new");
    w.resolver.container(told("web-2"));
    let seen = w.plain(12, "read", 0, &[0]);
    assert_eq!(seen.image().container.as_ref().unwrap().name, "web-2");
    w.cgroup = super::world::CGROUP;
    assert!(w.plain(10, "read", 0, &[0]).image().container.is_none());
}

#[test]
fn a_container_that_was_announced_has_its_name_from_the_first_record() {
    let mut w = World::new();
    w.resolver.container(told("db"));
    w.mkdir_cgroup(501, &format!("/docker/{ID}"));
    w.cgroup = 501;
    w.fork(10, 11);
    assert_eq!(container_name(&w, 11).as_deref(), Some("db"), "cloned into its cgroup");
    assert_eq!(
        w.exec(11, "/bin/x", "x").image().cgroup,
        format!("/docker/{ID}").as_bytes()
    );
}

#[test]
fn where_no_cgroup_names_it_a_container_is_that_of_its_pid_namespace() {
    let mut w = World::new();
    w.pid_ns = 7;
    w.fork(10, 11);
    w.exec(11, "/bin/sh", "sh");
    assert_eq!(container_name(&w, 11), None, "before the engine told");
    w.resolver.container_in_namespace(ID, 7);
    w.resolver.container(told("web-1"));
    assert_eq!(container_name(&w, 11).as_deref(), Some("web-1"));
    assert_eq!(container_name(&w, 10), None);
    w.fork(10, 12);
    assert_eq!(
        container_name(&w, 12).as_deref(),
        Some("web-1"),
        "one that was put there"
    );
    w.pid_ns = 8;
    w.fork(11, 13);
    assert_eq!(
        container_name(&w, 13).as_deref(),
        Some("web-1"),
        "a namespace within it"
    );
    // The engine says that it ended before the last records are looked at; its number is given to another.
    w.resolver.container_ended(ID);
    w.exec(13, "/bin/cat", "cat");
    assert_eq!(container_name(&w, 13).as_deref(), Some("web-1"));
    w.pid_ns = 7;
    w.fork(10, 14);
    w.exec(14, "/bin/cat", "cat");
    assert_eq!(container_name(&w, 14), None);
}

#[test]
fn where_no_engine_tells_a_container_is_that_of_its_monitor() {
    let mut w = World::new();
    w.fork(10, 11);
    w.exec(11, "/usr/bin/conmon", &format!("conmon\0-c\0{ID}\0-n\0web-1"));
    w.fork(11, 12);
    w.exec(12, "/usr/bin/runc", "runc");
    assert_eq!(container_name(&w, 12), None, "the runtime is outside");
    (w.pid_ns, w.vpid) = (7, Some(1));
    w.fork(12, 13);
    assert_eq!(container_name(&w, 13).as_deref(), Some("web-1"));
    w.vpid = None;
    w.fork(10, 14);
    assert_eq!(
        container_name(&w, 14).as_deref(),
        Some("web-1"),
        "one that was put there"
    );
    // Its first process ended: the kernel may give the number to another.
    w.exit(13, 0);
    w.fork(10, 15);
    assert_eq!(container_name(&w, 15), None);
}

#[test]
fn ids_in_a_container_are_not_named_by_the_host() {
    let mut w = World::new();
    w.mkdir_cgroup(500, &format!("/docker/{ID}"));
    w.fork(10, 11);
    w.cgroup = 500;
    let seen = w.exec(11, "/bin/sh", "sh");
    assert_eq!(seen.image().user, b"root");
    let user = ctrace_wire::section::Credentials {
        uid: 1000,
        euid: 1000,
        ..Default::default()
    };
    w.call(11, "setuid", 0, &[1000]).credentials(&user).go();
    assert_eq!(w.image(11).user, b"", "1000 is `u` on the host only");
}

/// A host on which one process has ended and all others show their names.
struct Named {
    gone: u32,
}

impl Host for Named {
    fn process(&mut self, _: u32) -> Option<SnapshotProcess> {
        None
    }
    fn fd(&mut self, _: u32, _: i32) -> Option<SnapshotFd> {
        None
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        None
    }
    fn names(&mut self, pid: u32, _: u32, _: u32) -> Option<[Vec<u8>; 2]> {
        (pid != self.gone).then(|| [b"web".to_vec(), Vec::new()])
    }
}

#[test]
fn names_that_a_process_took_along_are_asked_of_the_next() {
    let mut w = World::with(Config::default(), Box::new(Named { gone: 11 }));
    w.mkdir_cgroup(500, &format!("/docker/{ID}"));
    w.cgroup = 500;
    w.fork(10, 11);
    assert_eq!(w.exec(11, "/bin/check", "check").image().user, b"root");
    w.fork(10, 12);
    let seen = w.exec(12, "/bin/server", "server");
    assert_eq!(
        (&seen.image().user[..], &seen.image().group[..]),
        (&b"web"[..], &b"root"[..])
    );
    let asked = w.resolver.stats().lookups;
    w.fork(10, 13);
    assert_eq!(w.exec(13, "/bin/server", "server").image().user, b"web");
    assert_eq!(
        w.resolver.stats().lookups,
        asked,
        "what was told is known, as is that there is no name"
    );
}

/// A host on which all processes are in the container, and no record told of its cgroup.
struct Contained;

impl Host for Contained {
    fn process(&mut self, _: u32) -> Option<SnapshotProcess> {
        None
    }
    fn fd(&mut self, _: u32, _: i32) -> Option<SnapshotFd> {
        None
    }
    fn cgroup(&mut self, _: u32) -> Option<Vec<u8>> {
        Some(format!("/docker/{ID}").into_bytes())
    }
}

#[test]
fn a_cgroup_for_which_there_were_too_many_questions_is_asked_for_later() {
    let config = Config {
        lookups_per_s: 1,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(Contained));
    w.resolver.container(told("web-1"));
    w.now += 2_000_000_000;
    w.fork(10, 11);
    w.fork(10, 12);
    // The one question of this second.
    w.plain(50, "getpid", 50, &[]);
    w.cgroup = 500;
    w.fork(10, 13);
    for pid in [11, 13] {
        for _ in 0..3 {
            assert!(w.plain(pid, "read", 0, &[0]).image().container.is_none());
        }
    }
    assert_eq!(w.resolver.stats().lookups, 1);
    w.now += 1_000_000_000;
    for pid in [13, 11, 12] {
        w.plain(pid, "read", 0, &[0]);
        assert_eq!(container_name(&w, pid).as_deref(), Some("web-1"), "{pid}");
    }
    assert_eq!(w.resolver.stats().lookups, 2, "what was told is known");
}

#[test]
fn without_questions_a_cgroup_that_no_record_told_is_taken_as_unknown() {
    let config = Config {
        lookups_per_s: 0,
        ..Config::default()
    };
    let mut w = World::with(config, Box::new(Contained));
    w.cgroup = 500;
    assert!(w.plain(10, "read", 0, &[0]).image().container.is_none());
    assert_eq!(w.resolver.stats().lookups_refused, 0);
}

#[test]
fn a_process_that_moves_itself_to_the_root_is_still_in_its_container() {
    let mut w = World::new();
    w.mkdir_cgroup(1, "/");
    w.mkdir_cgroup(2, "/other");
    w.mkdir_cgroup(500, &format!("/docker/{ID}"));
    w.fork(10, 11);
    let in_container = |w: &mut World, cgroup| {
        w.cgroup = cgroup;
        w.plain(11, "read", 0, &[0]).image().container.is_some()
    };
    assert_eq!(
        [500, 1, 2].map(|cgroup| in_container(&mut w, cgroup)),
        [true, true, false]
    );
}
