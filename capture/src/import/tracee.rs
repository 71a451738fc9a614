//! Events of Tracee, as `--output json` writes them.

use ctrace_trace::container::Container;
use serde_json::Value;

use super::json_records::{JsonFormat, Told, bytes, id, number, text};
use super::processes::Seen;

/// The importer of Tracee's events.
pub(super) static TRACEE: JsonFormat = JsonFormat {
    name: "tracee",
    is_it,
    tell,
};

fn is_it(record: &Value) -> bool {
    ["eventName", "timestamp", "processName"]
        .iter()
        .all(|k| record.get(k).is_some())
}

fn tell(record: &Value) -> Result<Told<'_>, &'static str> {
    // Of pids the host's: the others are those of the container's namespace.
    let host =
        |name: &'static str, own: &'static str| id(record, &[name]).filter(|p| *p != 0).or_else(|| id(record, &[own]));
    let seen = host("hostProcessId", "processId").map(|pid| Seen {
        pid,
        ppid: host("hostParentProcessId", "parentProcessId"),
        vpid: id(record, &["processId"]),
        uid: id(record, &["userId"]),
        name: bytes(record, &["processName"]),
        exe_path: bytes(record, &["executable", "path"]),
        ..Seen::default()
    });
    let inside = |name: &'static str| text(record, &["container", name]);
    let pod = |name: &'static str| text(record, &["kubernetes", name]);
    let id = match inside("id") {
        "" => text(record, &["containerId"]),
        id => id,
    };
    let labels = [
        ("podName", "io.kubernetes.pod.name"),
        ("podNamespace", "io.kubernetes.pod.namespace"),
        ("podUID", "io.kubernetes.pod.uid"),
    ];
    let container = (!id.is_empty()).then(|| Container {
        id: id.to_owned(),
        name: inside("name").to_owned(),
        image: inside("image").to_owned(),
        image_digest: inside("imageDigest").to_owned(),
        labels: labels
            .into_iter()
            .filter(|(from, _)| !pod(from).is_empty())
            .map(|(from, to)| (to.to_owned(), pod(from).to_owned()))
            .collect(),
        ..Container::default()
    });
    Ok(Told {
        ts: number(record, &["timestamp"]).ok_or("an event without a time")?,
        kind: text(record, &["eventName"]).into(),
        severity: match record.pointer("/metadata/Properties/Severity") {
            Some(severity) => severity.to_string().into(),
            None => "".into(),
        },
        message: message(record).into_bytes().into(),
        seen,
        container,
    })
}

/// The event as a call: `openat(pathname: /etc/shadow, flags: O_RDONLY) = 3`.
fn message(record: &Value) -> String {
    let shown = |v: &Value| match v {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let args = record
        .get("args")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let args: Vec<String> = args
        .iter()
        .map(|a| {
            format!(
                "{}: {}",
                text(a, &["name"]),
                a.get("value").map(shown).unwrap_or_default()
            )
        })
        .collect();
    let result = record.get("returnValue").map(|v| format!(" = {v}")).unwrap_or_default();
    format!("{}({}){result}", text(record, &["eventName"]), args.join(", "))
}
