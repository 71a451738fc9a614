//! Ids, capabilities, names, sessions.

use super::world::World;
use ctrace_trace::process::ProcessImage;

const CAPS: u64 = 0xff;

fn ids(i: &ProcessImage) -> (u32, u32, u64, u64) {
    (i.uid, i.euid, i.cap_permitted, i.cap_effective)
}

#[test]
fn ids_follow_the_rules_of_the_kernel() {
    for (calls, want) in [
        (vec![("setuid", vec![1000])], (1000, 1000, 0, 0)),
        (vec![("setresuid", vec![-1, 1000, -1])], (0, 1000, CAPS, 0)),
        (
            vec![("setresuid", vec![-1, 1000, -1]), ("setresuid", vec![-1, 0, -1])],
            (0, 0, CAPS, CAPS),
        ),
        (vec![("setresuid", vec![1000, 1000, 1000])], (1000, 1000, 0, 0)),
        (vec![("setreuid", vec![-1, 1000])], (0, 1000, CAPS, 0)),
        (vec![("setreuid", vec![1000, 1000])], (1000, 1000, 0, 0)),
        (
            vec![("prctl", vec![8, 1]), ("setuid", vec![1000])],
            (1000, 1000, CAPS, 0),
        ),
        // Without the capability only the effective id changes.
        (
            vec![("setresuid", vec![1000, 1000, 0]), ("setuid", vec![0])],
            (1000, 0, CAPS, CAPS),
        ),
        (vec![("setgid", vec![5])], (0, 0, CAPS, CAPS)),
    ] {
        let mut w = World::new();
        w.fork(10, 11);
        let before = w.image(11);
        for (name, args) in &calls {
            w.plain(11, name, 0, args);
        }
        let image = w.image(11);
        assert_eq!(ids(&image), want, "{calls:?}");
        assert_ne!(image.id, before.id);
        assert_eq!(ids(&w.image(10)), (0, 0, CAPS, CAPS));
    }
}

#[test]
fn a_call_that_failed_or_changed_nothing_makes_no_image() {
    let mut w = World::new();
    let before = w.image(10).id;
    for (name, ret, args) in [
        ("setuid", -1, vec![1000]),
        ("setuid", 0, vec![0]),
        ("setresgid", 0, vec![-1, -1, -1]),
        ("setsid", -1, vec![]),
        ("setpgid", -3, vec![0, 0]),
    ] {
        w.plain(10, name, ret, &args);
        assert_eq!(w.image(10).id, before, "{name} {args:?}");
    }
}

#[test]
fn names_change_with_the_ids() {
    let mut w = World::new();
    let seen = w.plain(10, "setuid", 0, &[1000]);
    assert_eq!((&seen.image().user[..], seen.arg("uid")), (&b"u"[..], "1000"));
    w.plain(10, "setgid", 0, &[7]);
    assert_eq!(w.image(10).egid, 7);
    assert_eq!(w.image(10).group, b"", "a group that the host has no name for");
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
fn capabilities_follow_capset_where_its_data_is_captured() {
    let mut w = World::new();
    let sets: Vec<u8> = [1u32, 3, 0, 4, 5, 6].iter().flat_map(|w| w.to_ne_bytes()).collect();
    w.call(10, "capset", 0, &[1, 2])
        .part(ctrace_wire::section::STRUCT, 1, &sets)
        .go();
    let image = w.image(10);
    assert_eq!(
        (image.cap_effective, image.cap_permitted, image.cap_inheritable),
        (4 << 32 | 1, 5 << 32 | 3, 6 << 32)
    );
}
