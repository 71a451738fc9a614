//! Events of Tetragon, as its agent exports them in JSON.

use ctrace_trace::container::Container;
use serde_json::Value;

use super::json_records::{JsonFormat, Told, bytes, id, text};
use super::processes::Seen;
use crate::docker::parse_rfc3339;

/// The importer of Tetragon's events.
pub(super) static TETRAGON: JsonFormat = JsonFormat {
    name: "tetragon",
    is_it,
    tell,
};

/// The event is the member that is named for its kind: `process_exec`, `process_kprobe`, …
fn event(record: &Value) -> Option<(&str, &Value)> {
    let mut members = record.as_object()?.iter();
    members.find_map(|(name, v)| (name.starts_with("process_") && v.is_object()).then_some((name.as_str(), v)))
}

fn is_it(record: &Value) -> bool {
    record.get("time").is_some() && event(record).is_some_and(|(_, e)| e.get("process").is_some())
}

fn tell(record: &Value) -> Result<Told<'_>, &'static str> {
    let (kind, event) = event(record).ok_or("no event")?;
    let process = |name: &'static str| ["process", name];
    let ts = parse_rfc3339(text(record, &["time"])).ok_or("an event without a time")?;
    let binary = text(event, &process("binary"));
    let arguments = text(event, &process("arguments"));
    let seen = id(event, &process("pid")).map(|pid| Seen {
        pid,
        ppid: id(event, &["parent", "pid"]),
        uid: id(event, &process("uid")),
        loginuid: id(event, &process("auid")),
        name: binary
            .rsplit('/')
            .next()
            .map(|n| n.as_bytes().get(..15).unwrap_or(n.as_bytes()).into()),
        exe_path: bytes(event, &process("binary")),
        // Arguments are one text there: where one ends is not told.
        argv: Some([binary, arguments].join("\0").into_bytes().into()),
        cwd: bytes(event, &process("cwd")),
        exec_ts: (kind == "process_exec").then_some(ts),
        ..Seen::default()
    });
    let pod = |name: &'static str| text(event, &["process", "pod", name]);
    let inside = |name: &'static str| text(event, &["process", "pod", "container", name]);
    // The engine stands before the id: `containerd://…`. Without a pod the first digits are told.
    let (engine, long) = inside("id").split_once("://").unwrap_or(("", inside("id")));
    let id = if long.is_empty() {
        text(event, &process("docker"))
    } else {
        long
    };
    let container = (!id.is_empty()).then(|| Container {
        id: id.to_owned(),
        engine: engine.to_owned(),
        name: inside("name").to_owned(),
        image: text(event, &["process", "pod", "container", "image", "name"]).to_owned(),
        labels: [
            ("name", "io.kubernetes.pod.name"),
            ("namespace", "io.kubernetes.pod.namespace"),
        ]
        .into_iter()
        .filter(|(from, _)| !pod(from).is_empty())
        .map(|(from, to)| (to.to_owned(), pod(from).to_owned()))
        .collect(),
        ..Container::default()
    });
    Ok(Told {
        ts,
        kind: kind.into(),
        severity: "".into(),
        message: match text(event, &["function_name"]) {
            "" => format!("{binary} {arguments}")
                .trim_end()
                .to_owned()
                .into_bytes()
                .into(),
            function => function.as_bytes().into(),
        },
        seen,
        container,
    })
}
