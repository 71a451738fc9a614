use std::collections::BTreeSet;

use super::*;
use crate::schema::NameSet;

fn params(kind: EventType) -> Vec<String> {
    let schema = crate::schema::Schema::current();
    let spec = schema.get(kind).expect("declared");
    spec.params.iter().map(|p| p.name.clone()).collect()
}

#[test]
fn every_number_is_declared_once() {
    let rows: Vec<u16> = table().iter().map(|s| s.nr).collect();
    let expected: Vec<u16> = (0..=336).chain(424..=471).collect();
    assert_eq!(rows, expected);
    let compat: Vec<u16> = i386::names().map(|(nr, _)| nr).collect();
    assert!(compat.is_sorted() && compat.len() == BTreeSet::from_iter(&compat).len());
    for (nr, name) in [
        (5, "open"),
        (11, "execve"),
        (120, "clone"),
        (221, "fcntl"),
        (295, "openat"),
        (359, "socket"),
    ] {
        assert!(i386::names().any(|n| n == (nr, name)), "{nr} {name}");
    }
}

#[test]
fn parameters_carry_falcos_names() {
    assert_eq!(params(EventType(257)), ["dirfd", "name", "flags", "mode", "dev", "ino"]);
    assert_eq!(params(EventType(264)), ["olddirfd", "oldpath", "newdirfd", "newpath"]);
    assert_eq!(params(EventType::compat_syscall(295)), params(EventType(257)));
    assert_eq!(params(EventType::compat_syscall(195)), ["path"]);
    assert_eq!(params(EventType::compat_syscall(22)), ["name"]);
}

#[test]
fn derives_what_the_kernel_reads() {
    assert_eq!(
        captures(EventType(257)),
        [Capture::Path {
            slot: 1,
            arg: 1,
            dirfd: Some(0)
        }]
    );
    assert_eq!(
        captures(EventType(254)),
        [Capture::Path {
            slot: 1,
            arg: 1,
            dirfd: None
        }]
    );
    assert_eq!(
        captures(EventType(42)),
        [Capture::Address {
            slot: 1,
            arg: 1,
            len: Length::Arg(2)
        }]
    );
    assert_eq!(captures(EventType(53)), [Capture::Pair { slots: [0, 1], arg: 3 }]);
    assert!(captures(EventType(437)).contains(&Capture::OpenHow {
        slots: [2, 3, 4],
        arg: 2
    }));
    let mount = captures(EventType(165));
    assert_eq!(mount.len(), 3, "{mount:?}");
    assert_eq!(captures(EventType(39)), []);
    assert_eq!(captures(EventType::compat_syscall(370)), captures(EventType(46)));
}

/// Every parameter has a register or something that fills it, except those that the resolver takes from elsewhere.
#[test]
fn every_parameter_has_a_source() {
    for s in table() {
        let filled: Vec<u8> = captures(EventType(s.nr)).iter().flat_map(slots).collect();
        for (slot, p) in (0_u8..).zip(s.params) {
            let resolved = matches!(p.name, "dev" | "ino")
                || matches!(
                    (s.name, p.name),
                    ("open_by_handle_at", "path") | ("execve" | "execveat", "exe" | "args")
                );
            assert!(
                p.arg.is_some() || filled.contains(&slot) || resolved,
                "{} {}",
                s.name,
                p.name
            );
        }
    }
}

fn slots(read: &Capture) -> Vec<u8> {
    match *read {
        Capture::Text { slot, .. }
        | Capture::TextIf { slot, .. }
        | Capture::Path { slot, .. }
        | Capture::Address { slot, .. }
        | Capture::MessageAddress { slot, .. }
        | Capture::CloneArgs { slot, .. }
        | Capture::RingParams { slot, .. } => vec![slot],
        Capture::Pair { slots, .. } => slots.to_vec(),
        Capture::OpenHow { slots, .. } => slots.to_vec(),
        Capture::MessageAddresses { slot, .. } => vec![slot, slot + 1],
        Capture::Data { .. } | Capture::DataVector { .. } | Capture::DataMessage { .. } => vec![],
    }
}

#[test]
fn reads_registers_as_the_kernel_does() {
    let openat = widths(EventType(257));
    assert_eq!(openat[0].read(0xFFFF_FF9C), -100);
    assert_eq!(openat[0].read(0xFFFF_FFFF_FFFF_FF9C), -100);
    let lseek = widths(EventType(8));
    assert_eq!(lseek[1].read(0xFFFF_FFFF), 0xFFFF_FFFF);
    assert_eq!(lseek[1].read(u64::MAX), -1);
    assert_eq!(widths(EventType::compat_syscall(19))[1].read(0xFFFF_FFFF), -1);
}

#[test]
fn ids_are_short_where_a_newer_call_has_long_ones() {
    let short = [16, 23, 46, 70, 71, 95, 138, 139, 164, 170, 182];
    for nr in [short.as_slice(), &[198, 203, 207, 212, 213]].concat() {
        let has = has_short_ids(EventType::compat_syscall(nr));
        assert_eq!(has, short.contains(&nr), "{nr}");
    }
    assert!(!has_short_ids(EventType(92)), "another call in the other table");
}

#[test]
fn sets_and_lanes() {
    let security = set("security").expect("known");
    for name in ["execve", "openat", "connect", "setuid", "close", "ptrace", "mprotect"] {
        let one = set(name).expect(name);
        assert!(one.iter().all(|k| security.contains(k)), "{name}");
    }
    assert!(!security.contains(&EventType(0)), "read is bulk");
    assert_eq!(
        set("openat"),
        Some(vec![EventType(257), EventType::compat_syscall(295)])
    );
    assert_eq!(set("opneat"), None);
    for (name, _) in SET_NAMES {
        assert!(set(name).is_some_and(|s| !s.is_empty()), "{name}");
    }
    assert_eq!(lane(EventType(59)), Lane::Priority);
    assert_eq!(lane(EventType(0)), Lane::Bulk);
    assert_eq!(lane(EventType::PROCEXIT), Lane::Priority);
}

/// Names are the schema's: two syscalls of one table never share one.
#[test]
fn names_are_unique_in_a_table() {
    let names: BTreeSet<&str> = table().iter().map(|s| s.name).collect();
    assert_eq!(names.len(), table().len());
    assert!(
        table()
            .iter()
            .all(|s| s.params.iter().all(|p| p.arg.is_none_or(|a| a < 6)))
    );
    assert!(matches!(table()[2].params[1].kind, ParamKind::Flags(NameSet::Open)));
}
