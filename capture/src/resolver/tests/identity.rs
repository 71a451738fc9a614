//! Ids, capabilities, names, sessions.

use super::world::World;
use crate::resolver::state::SEARCHES_PER_S;
use ctrace_trace::process::ProcessImage;
use ctrace_wire::section::Credentials;

const CAPS: u64 = 0xff;

fn ids(i: &ProcessImage) -> (u32, u32, u64, u64) {
    (i.uid, i.euid, i.cap_permitted, i.cap_effective)
}

/// Credentials as the kernel tells them.
fn told(uid: u32, euid: u32, permitted: u64, effective: u64) -> Credentials {
    Credentials {
        uid,
        euid,
        cap_permitted: permitted,
        cap_effective: effective,
        user_ns: u32::MAX,
        ..Credentials::default()
    }
}

#[test]
fn ids_are_what_the_kernel_says_after_the_call() {
    for name in [
        "setuid",
        "setresuid",
        "setreuid",
        "setgid",
        "setfsuid",
        "capset",
        "unshare",
        "setns",
    ] {
        let mut w = World::new();
        w.fork(10, 11);
        let before = w.image(11);
        // The arguments say something else: in a user namespace they name other ids.
        let call = w.call(11, name, 0, &[7, 7, 7]);
        let seen = call.credentials(&told(1000, 1001, 3, 1)).go();
        assert_eq!(ids(seen.image()), (1000, 1001, 3, 1), "{name}");
        assert_ne!(seen.image().id, before.id);
        assert_eq!(ids(&w.image(11)), (1000, 1001, 3, 1));
        assert_eq!(ids(&w.image(10)), (0, 0, CAPS, CAPS));
    }
}

#[test]
fn a_call_that_failed_or_changed_nothing_makes_no_image() {
    let mut w = World::new();
    let before = w.image(10).id;
    for (name, ret, args, uid) in [
        ("setuid", -1, vec![1000], 1000),
        ("setuid", 0, vec![0], 0),
        ("setresgid", 0, vec![-1, -1, -1], 0),
        // Its result is the id before.
        ("setfsuid", 0, vec![1000], 0),
        ("setsid", -1, vec![], 0),
        ("setpgid", -3, vec![0, 0], 0),
    ] {
        let call = w.call(10, name, ret, &args);
        call.credentials(&told(uid, uid, CAPS, CAPS)).go();
        assert_eq!(w.image(10).id, before, "{name} {args:?}");
    }
}

#[test]
fn names_change_with_the_ids() {
    let mut w = World::new();
    let seen = w
        .call(10, "setuid", 0, &[1000])
        .credentials(&told(1000, 1000, 0, 0))
        .go();
    assert_eq!((&seen.image().user[..], seen.arg("uid")), (&b"u"[..], "1000"));
    let of_group = Credentials {
        egid: 7,
        ..told(1000, 1000, 0, 0)
    };
    w.call(10, "setgid", 0, &[7]).credentials(&of_group).go();
    assert_eq!(w.image(10).egid, 7);
    assert_eq!(w.image(10).group, b"", "a group that the host has no name for");
}

#[test]
fn a_thread_has_ids_of_its_own_until_all_have_the_same() {
    let mut w = World::new();
    w.thread(10, 10, 12);
    w.thread(10, 10, 13);
    let uid = |w: &mut World, tid| w.call(10, "getppid", 1, &[]).by(tid).go().image().uid;
    let user = told(1000, 1000, 0, 0);
    w.call(10, "setresuid", 0, &[]).by(12).credentials(&user).go();
    assert_eq!([10, 12, 13].map(|tid| uid(&mut w, tid)), [0, 1000, 0]);
    // A thread begins as the one that made it, and so does a process.
    w.thread(10, 12, 14);
    assert_eq!(uid(&mut w, 14), 1000);
    let fork = w.fork_record_by(10, 12, 20);
    w.feed(&fork);
    assert_eq!(w.image(20).uid, 1000);
    assert_eq!(w.image(10).uid, 0);
    // What is the process's changes for all, and leaves ids alone.
    w.call(10, "chdir", 0, &[1]).text(0, "/tmp").go();
    assert_eq!(w.call(10, "getppid", 1, &[]).by(12).go().image().cwd, b"/tmp");
    assert_eq!([10, 12, 13, 14].map(|tid| uid(&mut w, tid)), [0, 1000, 0, 1000]);
    // The rest follows, as the C library has them do.
    for tid in [13, 10] {
        w.call(10, "setresuid", 0, &[]).by(tid).credentials(&user).go();
    }
    assert_eq!(w.image(10).uid, 1000);
    let images = [10, 12, 13, 14].map(|tid| w.call(10, "getppid", 1, &[]).by(tid).go().image().id);
    assert_eq!(images, [images[0]; 4], "one image for all");
}

#[test]
fn a_thread_takes_back_what_it_gave_up_and_ends() {
    let mut w = World::new();
    w.thread(10, 10, 12);
    let uid = |w: &mut World, tid| w.call(10, "getppid", 1, &[]).by(tid).go().image().uid;
    for (euid, leader) in [(1000, 0), (0, 0)] {
        w.call(10, "setresuid", 0, &[])
            .by(12)
            .credentials(&told(euid, euid, CAPS, CAPS))
            .go();
        assert_eq!((uid(&mut w, 12), uid(&mut w, 10)), (euid, leader));
    }
    w.call(10, "setresuid", 0, &[])
        .by(12)
        .credentials(&told(1000, 1000, 0, 0))
        .go();
    w.exit_thread(10, 12, 0, 1, 0);
    // Its id may be another thread's now; the one that is left speaks for the process.
    w.thread(10, 10, 12);
    assert_eq!(uid(&mut w, 12), 0);
    w.exit_thread(10, 12, 0, 1, 0);
    w.call(10, "setuid", 0, &[]).credentials(&told(5, 5, 0, 0)).go();
    assert_eq!(w.image(10).uid, 5);
}

#[test]
fn a_thread_that_ends_itself_is_who_it_was() {
    let mut w = World::new();
    w.thread(10, 10, 12);
    w.thread(10, 10, 13);
    let user = told(1000, 1000, 0, 0);
    w.call(10, "setresuid", 0, &[]).by(12).credentials(&user).go();
    let uids = [13, 12, 12].map(|tid| w.end_thread(10, tid, 1).image().uid);
    assert_eq!(uids, [0, 1000, 0], "nothing is left of it afterwards");
}

#[test]
fn more_threads_than_are_remembered_share_what_one_set_last() {
    let mut w = World::new();
    (0..300).for_each(|at| w.thread(10, 10, 1000 + at));
    for at in 0..300 {
        let call = w.call(10, "setresuid", 0, &[]).by(1000 + at);
        call.credentials(&told(1000, 1000, 0, 0)).go();
    }
    w.call(10, "setresuid", 0, &[])
        .credentials(&told(1000, 1000, 0, 0))
        .go();
    let uid = |w: &mut World, tid| w.call(10, "getppid", 1, &[]).by(tid).go().image().uid;
    assert_eq!([10, 1000, 1299].map(|tid| uid(&mut w, tid)), [1000; 3]);
}

#[test]
fn only_the_leader_names_the_process() {
    let mut w = World::new();
    w.thread(10, 10, 12);
    w.call(10, "prctl", 0, &[15, 1]).text(1, "worker").by(12).go();
    assert_eq!(w.image(10).name, b"sh");
    let seen = w
        .call(10, "prctl", 0, &[15, 1])
        .text(1, "a name of more than fifteen")
        .go();
    assert_eq!(seen.image().name, b"a name of more ");
    assert_eq!(seen.arg("arg2_str"), "a name of more than fifteen");
    // Of other options the kernel programs read what the pointer happens to point to.
    assert_eq!(
        w.call(10, "prctl", 0, &[4, 1]).text(1, "junk").go().arg("arg2_str"),
        "-"
    );
    assert_eq!(w.image(10).name, b"a name of more ");
}

#[test]
fn sessions_and_groups() {
    let mut w = World::new();
    w.fork(10, 11);
    w.plain(10, "setpgid", 0, &[11, 11]);
    assert_eq!(w.image(11).pgid, 11);
    w.fork(11, 12);
    w.plain(12, "setpgid", 0, &[0, 0]);
    assert_eq!(w.image(12).pgid, 12);
    w.fork(11, 13);
    w.plain(13, "setsid", 13, &[]);
    assert_eq!((w.image(13).sid, w.image(13).pgid), (13, 13));
}

#[test]
fn groups_in_a_pid_namespace_are_those_of_outside_and_not_searched_without_end() {
    let mut w = World::new();
    w.pid_ns = 77;
    for (pid, vpid) in [(11, 1), (12, 2), (13, 3)] {
        w.vpid = Some(vpid);
        w.fork(if pid == 11 { 10 } else { 11 }, pid);
    }
    let mut group_of_12 = |target: i64, group: i64| {
        w.now += 1000;
        w.plain(11, "setpgid", 0, &[target, group]);
        w.image(12).pgid
    };
    assert_eq!(
        [(2, 2), (2, 3), (2, 1), (2, 0)].map(|(t, g)| group_of_12(t, g)),
        [12, 13, 11, 12]
    );
    for _ in 0..SEARCHES_PER_S {
        group_of_12(2, 2);
    }
    assert_eq!(group_of_12(2, 3), 12, "too many searches in a second");
    w.now += 1_000_000_000;
    w.plain(11, "setpgid", 0, &[2, 3]);
    assert_eq!(w.image(12).pgid, 13);
}
