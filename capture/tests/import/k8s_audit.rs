//! Kubernetes audit events of Falco's own tests, and the fields that its rules ask for.

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, FieldArg};
use ctrace_trace::segment::BlockReader;

use crate::imported::{Imported, import_file};
use ctrace_skip::shared;

/// A field of the first Kubernetes audit event.
fn field(imported: &Imported, name: &str, arg: &FieldArg) -> String {
    let field = catalogue::find(name).unwrap_or_else(|| panic!("{name}"));
    let mut reader = BlockReader::new();
    for block in imported.case.blocks() {
        let decoded = reader.read(block, Need::ALL).unwrap_or_else(|p| panic!("{p}"));
        let is = |kind: &str| kind == "k8s_audit";
        if let Some(event) = decoded.events().find(|e| e.spec().is_some_and(|s| is(&s.name))) {
            return field.of(event, arg).to_string();
        }
    }
    panic!("no event");
}

#[test]
fn fields_are_those_of_the_event() {
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/samples/k8s-audit.jsonl");
    let imported = import_file(&sample);
    let none = FieldArg::None;
    let key = |k: &str| FieldArg::Key(k.to_owned());
    let cases = [
        ("ka.auditid", none.clone(), "55a81824-0000-0000-0000-000000000000"),
        ("ka.stage", none.clone(), "ResponseComplete"),
        ("ka.verb", none.clone(), "create"),
        ("ka.user.name", none.clone(), "ann"),
        ("ka.user.groups", none.clone(), "devs system:authenticated"),
        ("ka.user.groups", FieldArg::Index(0), "devs"),
        ("ka.target.resource", none.clone(), "pods"),
        ("ka.target.namespace", none.clone(), "shop"),
        ("ka.response.code", none.clone(), "201"),
        ("ka.auth.decision", none.clone(), "allow"),
        ("ka.impuser.name", none.clone(), "<NA>"),
        ("ka.uri.param", key("a"), "b/c"),
        ("ka.uri.param", key("b"), "<NA>"),
        ("ka.req.pod.host_pid", none.clone(), "true"),
        ("ka.req.pod.host_ipc", none.clone(), "<NA>"),
        (
            "ka.req.pod.containers.image",
            none.clone(),
            "docker.io/library/nginx:1.25 busybox@sha256:aa",
        ),
        (
            "ka.req.pod.containers.image.repository",
            none.clone(),
            "docker.io/library/nginx busybox",
        ),
        (
            "ka.req.container.image.repository",
            none.clone(),
            "docker.io/library/nginx",
        ),
        ("ka.req.pod.containers.image", FieldArg::Index(1), "busybox@sha256:aa"),
        ("ka.req.pod.containers.image", FieldArg::Index(2), "<NA>"),
        ("ka.req.pod.containers.privileged", none.clone(), "true"),
        ("ka.req.container.privileged", none.clone(), "true"),
        ("ka.req.pod.containers.host_port", none.clone(), "8080 81"),
        ("ka.req.pod.containers.eff_run_as_user", none.clone(), "1000 0"),
        ("ka.req.pod.containers.eff_run_as_group", none.clone(), "0 0"),
        ("ka.req.pod.containers.add_capabilities", none.clone(), "NET_ADMIN"),
        ("ka.req.pod.volumes.hostpath", none.clone(), "/etc/kubernetes"),
        ("ka.req.pod.volumes.volume_type", none.clone(), "hostPath"),
        ("ka.req.volume.hostpath", key("/etc*"), "true"),
        ("ka.req.volume.hostpath", key("/etc"), "false"),
        ("ka.sourceips", none, "192.0.2.7"),
    ];
    for (name, arg, expected) in cases {
        assert_eq!(field(&imported, name, &arg), expected, "{name} {arg:?}");
    }
}

/// Every event of the shared files comes out with its own JSON; what is none is kept raw.
#[test]
fn events_of_falcos_tests() {
    let test = "events_of_falcos_tests";
    let Some(folder) = shared(test, "data/k8s_audit") else {
        return;
    };
    let mut imported_events = 0;
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let documents: Result<Vec<serde_json::Value>, _> =
            serde_json::Deserializer::from_str(&text).into_iter().collect();
        let is_event = |d: &&serde_json::Value| d["kind"] == "Event" && d["auditID"].is_string();
        let documents = documents.expect("JSON");
        let events: Vec<&serde_json::Value> = documents.iter().filter(is_event).collect();
        if events.is_empty() {
            // CloudTrail, and a file that is no event: of no known format.
            continue;
        }
        let imported = import_file(&path);
        let report = &imported.outcome.files[0];
        assert_eq!(
            (report.format, report.bad, report.unknown),
            ("k8s-audit", 0, 0),
            "{path:?}"
        );
        let rows: Vec<_> = imported.rows.iter().filter(|r| r.kind == "k8s_audit").collect();
        assert_eq!(rows.len(), events.len(), "{path:?}");
        for (row, event) in rows.iter().zip(&events) {
            let raw: serde_json::Value = serde_json::from_str(row.arg("raw")).expect("JSON");
            assert_eq!(&&raw, event, "{path:?}");
            assert_eq!(row.arg("verb"), event["verb"]);
            assert_eq!(row.arg("resource"), event["objectRef"]["resource"]);
            assert_eq!(row.arg("user"), event["user"]["username"]);
        }
        imported_events += rows.len();
    }
    assert!(imported_events >= 39, "{imported_events}");
}
