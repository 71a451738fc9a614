//! `ctrace query` and `ctrace export` on the command line; what they answer is tested where they are written.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::cases::{self, sample};
use crate::run::{Ran, ctrace, folder, project};

fn query(data: &Path, args: &[&str]) -> Ran {
    ctrace(
        [OsStr::new("query"), data.as_os_str()]
            .into_iter()
            .chain(args.iter().map(OsStr::new)),
    )
}

#[test]
fn the_case_and_its_export_answer_alike() {
    let folder = folder();
    let tables = folder.path().join("tables");
    let export = [
        OsStr::new("export"),
        sample().as_os_str(),
        OsStr::new("-o"),
        tables.as_os_str(),
    ];
    let told = ctrace(export).code(0).nothing();
    assert!(told.starts_with("ctrace: events "), "{told}");
    for sql in [
        "SELECT count(*) AS n FROM events",
        "SELECT proc_name, count(*) AS n FROM events GROUP BY proc_name ORDER BY n DESC, proc_name",
        "SELECT name, image FROM containers ORDER BY name",
        "SELECT exe_path FROM processes WHERE exe_path LIKE '/tmp/%' ORDER BY exe_path",
        "SELECT count(*) FROM audit",
        "SELECT count(*) FROM docker_events",
        "SELECT count(*) FROM gaps",
    ] {
        let answer = query(sample(), &["--format=csv", sql]).code(0).silent();
        assert!(answer.lines().count() > 1, "{sql}: {answer}");
        assert_eq!(query(&tables, &["--format=csv", sql]).code(0).silent(), answer, "{sql}");
    }
    ctrace(export).code(2).nothing();
}

#[test]
fn sql_and_the_filter_count_the_same() {
    let sql = "SELECT count(*) FROM events WHERE proc_name = 'cat' AND evt_type = 'openat'";
    let counted = query(sample(), &["--format=csv", sql]).code(0).silent();
    let read = [
        "read",
        sample().to_str().expect("UTF-8"),
        "proc.name=cat and evt.type=openat",
    ]
    .map(OsStr::new);
    let lines = ctrace(read).code(0).silent().lines().count();
    assert!(lines > 0);
    assert_eq!(counted.lines().nth(1), Some(lines.to_string().as_str()));
}

#[test]
fn wrong_sql_is_2_and_shows_the_place() {
    for sql in [
        "SELEC 1",
        "SELECT nme FROM events",
        "SELECT * FROM evnts",
        "DELETE FROM events",
        "COPY events TO 'x.csv'",
    ] {
        let told = query(sample(), &[sql]).code(2).nothing();
        let lines: Vec<&str> = told.lines().collect();
        // One line, and where the place is known the statement with a mark under it.
        let marked = lines.len() == 3 && lines[1].trim() == sql && lines[2].trim() == "^";
        assert!(
            told.starts_with("ctrace: ") && (lines.len() == 1 || marked),
            "{sql}: {told}"
        );
    }
    assert!(query(sample(), &["SELECT * FROM evnts"]).err.contains("events"));
}

#[test]
fn names_do_not_drive_the_terminal() {
    let folder = folder();
    let case = folder.path().join("case");
    cases::hostile(&case);
    let ran = query(&case, &["SELECT proc_name, container_name FROM events"]).code(0);
    assert!(ran.out.chars().all(|c| c == '\n' || !c.is_control()), "{}", ran.out);
    assert!(!ran.out.contains('\u{202e}'));
}

/// What the README's table of a fleet says.
#[test]
fn a_folder_of_cases_is_queried_by_naming_them() {
    let fleet = folder();
    for name in ["a", "b"] {
        cases::hostile(&fleet.path().join(name));
    }
    let sql = OsStr::new("SELECT count(*) FROM events");
    let query = |places: &[&Path]| {
        let places = places.iter().map(|p| p.as_os_str());
        let args = [OsStr::new("query"), OsStr::new("--format=csv")];
        ctrace(args.into_iter().chain(places).chain([sql]))
    };
    let one = |name: &str| fleet.path().join(name);
    assert_eq!(query(&[&one("a"), &one("b")]).code(0).silent(), "count(*)\n12\n");
    let told = query(&[fleet.path()]).code(2).nothing();
    let hint = "of a folder of cases or exports name each";
    assert!(told.contains(hint), "{told}");
    ctrace([
        OsStr::new("export"),
        one("a").as_os_str(),
        OsStr::new("-o"),
        one("tables").as_os_str(),
    ])
    .code(0);
    for name in ["a", "b"] {
        fs::remove_dir_all(one(name)).expect("there");
    }
    let told = query(&[fleet.path()]).code(2).nothing();
    assert!(told.contains(hint), "{told}");
}

/// The runtime's own mounts and namespaces are no escapes: without them nothing is left of harmless containers, and of the
/// attacks what the attacker did.
#[test]
fn container_escapes_are_not_the_runtimes_own_calls() {
    let found = |case: &Path| query(case, &["@container-escapes", "--format=csv"]).code(0).silent();
    for harmless in ["attack", "attacks/benign-web", "attacks/shadow-read"] {
        let rows = found(&project("samples").join(harmless).join("case"));
        assert_eq!(rows.lines().count(), 1, "{harmless}: {rows}");
    }
    let attacks = [
        ("core-pattern-escape", 3),
        ("docker-socket", 24),
        ("kernel-module", 3),
        ("mount-host-disk", 3),
        ("nsenter-escape", 1),
        ("ptrace-attach", 24),
        ("user-namespace", 4),
    ];
    for (attack, calls) in attacks {
        let rows = found(&project("samples/attacks").join(attack).join("case"));
        assert_eq!(rows.lines().count(), 1 + calls, "{attack}: {rows}");
        assert!(!rows.contains("runc"), "{attack}: {rows}");
    }
}

/// A program may call itself as the runtime is called, in a container that ran before the recording.
#[test]
fn a_container_cannot_hide_behind_the_runtimes_name() {
    let made = folder();
    let mut case = cases::Writing::begin(&made.path().join("case"));
    for name in [&b"runc"[..], b"crun", b"cat"] {
        case.open(name, b"/proc/1/root/etc/shadow");
    }
    case.finish();
    let rows = query(&made.path().join("case"), &["@container-escapes", "--format=csv"]);
    assert_eq!(rows.code(0).silent().lines().count(), 4);
}
