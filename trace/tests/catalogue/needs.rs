//! A field reads only the columns that it names: decoding just these gives the same value.

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, ArgRule, Field, FieldArg, Value};

use crate::scene::{EVENTS, Scene};

fn key(k: &str) -> FieldArg {
    FieldArg::Key(k.to_owned())
}

/// Arguments with which a field is asked: enough to reach every branch of its accessor.
fn arguments(field: &Field) -> Vec<FieldArg> {
    let mut all = Vec::new();
    if field.arg != ArgRule::Required {
        all.push(FieldArg::None);
    }
    if field.arg != ArgRule::None {
        all.extend((0..8).map(FieldArg::Index));
    }
    if matches!(field.arg, ArgRule::Required | ArgRule::Optional) {
        for k in [
            "res",
            "fd",
            "tuple",
            "addr",
            "name",
            "flags",
            "mode",
            "exe",
            "args",
            "tid",
            "uid",
            "cap_effective",
            "ptid",
            "app",
            "LD_PRELOAD",
            "dst",
            "/srv/data",
            "/data",
            "execID",
            "/scope",
            "comm",
            "a0",
            "raw",
        ] {
            all.push(key(k));
        }
    }
    all
}

#[test]
fn decoding_what_a_field_needs_is_enough() {
    let scene = Scene::new();
    let whole = scene.decode(Need::ALL);
    let mut with_value = 0;
    for field in catalogue::all() {
        let part = scene.decode(field.needs());
        for arg in arguments(field) {
            for (row, event) in EVENTS.iter().enumerate() {
                let expected = field.of(whole.event(row), &arg);
                let value = field.of(part.event(row), &arg);
                assert_eq!(value, expected, "{} {arg:?} of {event}", field.name);
                with_value += usize::from(expected != Value::Absent);
            }
        }
    }
    assert!(with_value > 2_000, "{with_value}");
}

/// Nearly every field has a value somewhere in the scene: an accessor that always says nothing would pass the test above.
#[test]
fn the_scene_gives_fields_something_to_say() {
    let scene = Scene::new();
    let whole = scene.decode(Need::ALL);
    let says = |f: &&Field| {
        let args = arguments(f);
        let mut asked = args.iter().flat_map(|arg| whole.events().map(move |e| f.of(e, arg)));
        asked.any(|v| v != Value::Absent)
    };
    let silent: Vec<&str> = catalogue::all().filter(|f| !says(f)).map(|f| f.name).collect();
    let expected = [
        "proc.exe_ino.mtime",
        "thread.cgroups",
        "container.created_ts",
        "container.read_only",
        "container.host_pid",
        "container.host_network",
        "container.host_ipc",
        "k8s.pod.uid",
        "k8s.pod.id",
        "k8s.pod.full_sandbox_id",
        "k8s.pod.sandbox_id",
        "docker.actor.id",
        "docker.name",
        "docker.image",
        "audit.syscall",
        "audit.success",
        "audit.pid",
        "audit.auid",
        "audit.exe",
        // The request is about a part of a pod.
        "ka.target.pod.name",
        "capture.reason",
    ];
    assert_eq!(silent, expected);
}
