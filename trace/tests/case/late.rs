//! What is learnt late is applied to what came before, and only where it was not known.

use ctrace_trace::block::Need;
use ctrace_trace::case::{Case, CaseWriter};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, EventType};

use crate::events::{START, config, image, push, push_other, writer};

const SECOND: u64 = 1_000_000_000;

fn id(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

fn bare(n: u8) -> Container {
    Container {
        id: id(n),
        engine: "docker".to_owned(),
        ..Container::default()
    }
}

fn docker_event(w: &mut CaseWriter, second: u64, container: &str, name: &str) {
    let text = |s| Arg::Str(str::as_bytes(s));
    let args = [
        ("type", text("container")),
        ("action", text("start")),
        ("id", text(container)),
        ("name", text(name)),
        ("image", text("busybox:1")),
    ];
    push_other(w, EventType::DOCKER, START + second * SECOND, None, &args).expect("pushes");
}

#[test]
fn names_learnt_later_reach_earlier_blocks() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let named = Container {
        name: "web".to_owned(),
        privileged: Some(true),
        ..bare(1)
    };
    let renamed = Container {
        name: "other".to_owned(),
        ip: "10.0.0.2".to_owned(),
        ..bare(1)
    };
    // First nothing is known, then the name, then another name and an address; the second container is known from an
    // event of the engine alone.
    for (second, container) in [(0, bare(1)), (2, named), (4, renamed), (6, bare(2))] {
        push(&mut w, &image(second + 1, Some(container)), second, SECOND).expect("pushes");
    }
    docker_event(&mut w, 8, &id(2), "short");
    w.finish().expect("finishes");

    let case = Case::open(dir.path()).expect("opens");
    assert_eq!(case.blocks().count(), 5);
    let facts = case.late_facts(1);
    assert_eq!(facts.problems(), []);
    assert_eq!(facts.containers().count(), 2);
    assert_eq!(
        facts.container(&id(2)).map(|c| (c.name.as_str(), c.image.as_str())),
        Some(("short", "busybox:1"))
    );

    let mut decoder = ctrace_trace::block::Decoder::new();
    let mut seen = Vec::new();
    for block in case.blocks().filter(|b| !b.head().has_kind(EventType::DOCKER)) {
        let mut decoded = block.decode(&mut decoder, Need::ALL).expect("decodes");
        facts.resolve(&mut decoded);
        let view = decoded.event(0);
        let container = view.image().and_then(|i| i.container().cloned()).expect("runs in one");
        seen.push((container.name, container.ip, container.privileged));
    }
    let of = |name: &str, ip: &str, privileged| (name.to_owned(), ip.to_owned(), privileged);
    let expected = [
        of("web", "10.0.0.2", Some(true)),
        of("web", "10.0.0.2", Some(true)),
        of("other", "10.0.0.2", Some(true)),
        of("short", "", None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn exits_are_found_by_process() {
    let dir = tempfile::tempdir().expect("tempdir");
    let mut w = writer(dir.path(), config()).expect("creates");
    let (a, b) = (image(1, None), image(2, None));
    push(&mut w, &a, 0, SECOND).expect("pushes");
    let killed = [("ret", Arg::Num(0)), ("sig", Arg::Num(9))];
    push_other(&mut w, EventType::PROCEXIT, START + 3 * SECOND, Some(&a), &killed).expect("pushes");
    let failed = [("ret", Arg::Num(3)), ("sig", Arg::Num(0))];
    push_other(&mut w, EventType::PROCEXIT, START + 5 * SECOND, Some(&b), &failed).expect("pushes");
    w.finish().expect("finishes");
    let (exits, problems) = Case::open(dir.path()).expect("opens").exits(1);
    assert_eq!(problems, []);
    let found: Vec<_> = exits.iter().map(|(k, e)| (*k, e.code, e.signal, e.ts)).collect();
    let start = START - 1000;
    assert_eq!(
        found,
        [
            ((4001, start), 0, 9, START + 3 * SECOND),
            ((4002, start), 3, 0, START + 5 * SECOND),
        ]
    );
}
