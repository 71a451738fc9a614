//! Who a process is to the kernel.

use libc::*;

use crate::compare;
use crate::scene::{fork, ok, sys, wait};
use crate::strace;

const CALLS: &[&str] = &[
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "getgroups",
    "capset",
    "capget",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
];

pub(crate) fn scene() {
    let steps: [&dyn Fn(); 11] = [
        &|| assert_eq!(sys!(SYS_setuid, 1000), 0),
        &|| assert_eq!(sys!(SYS_setgid, 1001), 0),
        &|| {
            ok(sys!(SYS_setreuid, -1, 1000));
            tell();
            ok(sys!(SYS_setreuid, -1, 0));
            tell();
            ok(sys!(SYS_setreuid, 7, 8));
        },
        &|| {
            ok(sys!(SYS_setregid, 5, -1));
            tell();
            ok(sys!(SYS_setregid, 6, 7));
        },
        &|| {
            ok(sys!(SYS_setresuid, 1, 2, 3));
            tell();
            ok(sys!(SYS_setresuid, -1, 3, -1));
            tell();
            sys!(SYS_setresuid, 0, 0, 0);
        },
        &|| {
            ok(sys!(SYS_setresgid, 1, 2, 3));
            tell();
            ok(sys!(SYS_setresgid, -1, -1, 1));
        },
        &|| {
            ok(sys!(SYS_prctl, PR_SET_KEEPCAPS, 1));
            ok(sys!(SYS_setresuid, 9, 9, 9));
        },
        &|| {
            sys!(SYS_setfsuid, 1000);
            sys!(SYS_setfsgid, 1000);
            ok(sys!(SYS_setgroups, 2, &[10_u32, 20]));
            ok(sys!(SYS_getgroups, 8, &mut [0_u32; 8]));
            ok(sys!(SYS_setgroups, 0, 0));
        },
        &capabilities,
        // The kernel changes the thread that calls, and no other.
        &|| {
            let other = std::thread::spawn(|| {
                ok(sys!(SYS_setresgid, 1001, 1002, 1003));
                ok(sys!(SYS_setresuid, 1001, 1002, 1003));
                tell();
                assert_eq!(wait(fork(tell)), 0);
                std::thread::spawn(tell).join().unwrap();
            });
            other.join().unwrap();
            tell();
        },
        // The C library has all threads make the call.
        &|| {
            let (go, waits) = std::sync::mpsc::channel::<()>();
            let other = std::thread::spawn(move || {
                tell();
                waits.recv().unwrap();
                tell();
            });
            // SAFETY: takes a number.
            assert_eq!(unsafe { setuid(1000) }, 0);
            tell();
            go.send(()).unwrap();
            other.join().unwrap();
        },
    ];
    for step in steps {
        let child = fork(|| {
            step();
            tell();
        });
        assert_eq!(wait(child), 0);
    }
}

/// Has the kernel say who the process is, to strace.
fn tell() {
    ok(sys!(SYS_getresuid, &mut [0_u32], &mut [0_u32], &mut [0_u32]));
    ok(sys!(SYS_getresgid, &mut [0_u32], &mut [0_u32], &mut [0_u32]));
    for call in [SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid] {
        sys!(call);
    }
    ok(sys!(SYS_capget, &[VERSION_3, 0], &mut [0_u32; 6]));
}

const VERSION_3: u32 = 0x2008_0522;

fn capabilities() {
    let mut sets = [0_u32; 6];
    ok(sys!(SYS_capget, &[VERSION_3, 0], &mut sets));
    (sets[0], sets[3]) = (1 << 7, 0);
    ok(sys!(SYS_capset, &[VERSION_3, 0], &sets));
    tell();
    sets[2] = 1;
    sets[4] = 0;
    ok(sys!(SYS_capset, &[VERSION_3, 0], &sets));
    tell();
    // A process without CAP_SETGID changes the effective id only, where it may.
    sys!(SYS_setgid, 44);
    sys!(SYS_setuid, 45);
    sets = [u32::MAX; 6];
    sys!(SYS_capset, &[VERSION_3, 0], &sets);
    sys!(SYS_capset, &[0, 0], &sets);
}

/// A capability set: the low word, and the high one where there is one.
fn set_of(text: &str) -> u64 {
    let words = strace::split(text, "|");
    let word = |at: usize| words.get(at).map_or(0, |w| strace::number(w).unwrap() as u64);
    word(0) | word(1) << 32
}

#[test]
fn credentials_as_root() {
    let Some(compared) = compare::scene("families::credentials", "credentials", CALLS) else {
        return;
    };
    for (call, seen) in &compared.pairs {
        let listed = |at: usize| strace::number(&strace::list(call.arg(at)?)?[0]);
        let [uid, euid, gid, egid] = seen.image.ids.map(i64::from);
        match &*call.name {
            "getresuid" => assert_eq!((listed(0), listed(1)), (Some(uid), Some(euid)), "{}", call.text),
            "getresgid" => assert_eq!((listed(0), listed(1)), (Some(gid), Some(egid)), "{}", call.text),
            "getuid" => assert_eq!(seen.ret, Some(uid)),
            "geteuid" => assert_eq!(seen.ret, Some(euid)),
            "getgid" => assert_eq!(seen.ret, Some(gid)),
            "getegid" => assert_eq!(seen.ret, Some(egid)),
            "capget" => {
                let sets = ["permitted", "effective", "inheritable"];
                let sets = sets.map(|set| set_of(&strace::field(&call.args[1], set).unwrap()));
                assert_eq!(sets, seen.image.caps, "{} by {:?}", call.text, seen.image);
            }
            _ => {}
        }
    }
}
