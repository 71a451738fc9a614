//! Events of Tetragon, as its agent exports them in JSON.

use ctrace_trace::container::Container;

use super::json_records::{JsonFormat, Told, bytes, id, text};
use super::processes::Seen;
use crate::docker::parse_rfc3339;
use crate::json::Json;

/// The importer of Tetragon's events.
pub(super) static TETRAGON: JsonFormat = JsonFormat {
    name: "tetragon",
    is_it,
    tell,
};

/// The event is the member that is named for its kind: `process_exec`, `process_kprobe`, …
fn event<'v, 'a>(record: Json<'v>) -> Option<(&'v str, Json<'v>)> {
    let mut members = record.as_object()?;
    members.find_map(|(name, v)| (name.starts_with("process_") && v.is_object()).then_some((name, v)))
}

fn is_it(record: Json<'_>) -> bool {
    record.get("time").is_some() && event(record).is_some_and(|(_, e)| e.get("process").is_some())
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    let (kind, event) = event(record).ok_or("no event")?;
    let process = |name: &'static str| ["process", name];
    let ts = parse_rfc3339(text(record, &["time"])).ok_or("an event without a time")?;
    let seen = event.get("process").and_then(seen).map(|process| Seen {
        ppid: id(event, &["parent", "pid"]),
        exec_ts: (kind == "process_exec").then_some(ts),
        ..process
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
        message: message(event).into_bytes().into(),
        parent: event.get("parent").and_then(self::seen),
        seen,
        container,
    })
}

/// What is told of a process in each event.
fn seen<'v>(process: Json<'v>) -> Option<Seen<'v>> {
    let binary = text(process, &["binary"]);
    let name = binary.rsplit('/').next().unwrap_or_default().as_bytes();
    // Arguments are one text there: where one ends is not told.
    let argv = match text(process, &["arguments"]) {
        "" => binary.to_owned(),
        arguments => format!("{binary}\0{arguments}"),
    };
    Some(Seen {
        pid: id(process, &["pid"])?,
        uid: id(process, &["uid"]),
        loginuid: id(process, &["auid"]),
        name: Some(name.get(..15).unwrap_or(name).into()),
        exe_path: bytes(process, &["binary"]),
        argv: Some(argv.into_bytes().into()),
        cwd: bytes(process, &["cwd"]),
        ..Seen::default()
    })
}

/// The function or tracepoint with its arguments, else the command.
fn message(event: Json<'_>) -> String {
    let what = match (text(event, &["function_name"]), text(event, &["subsys"])) {
        ("", "") => {
            let command = [
                text(event, &["process", "binary"]),
                text(event, &["process", "arguments"]),
            ];
            return command.join(" ").trim_end().to_owned();
        }
        ("", subsystem) => format!("{subsystem}/{}", text(event, &["event"])),
        (function, _) => function.to_owned(),
    };
    let args = event.get("args").and_then(Json::as_array);
    let args: Vec<String> = args.into_iter().flatten().map(argument).collect();
    format!("{what}({})", args.join(", "))
}

/// An argument is an object with a member that is named for its type: `{"file_arg":{"path":"/etc/passwd"}}`.
fn argument(arg: Json<'_>) -> String {
    let typed = arg.as_object().into_iter().flatten();
    let mut typed = typed.filter(|(name, _)| name.ends_with("_arg"));
    let Some((_, value)) = typed.next() else {
        return arg.to_string();
    };
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_object() => {
            let part = |name: &'static str| text(value, &[name]);
            let port = |name: &'static str| id(value, &[name]).unwrap_or(0);
            match [part("path"), part("name"), part("saddr")] {
                ["", "", ""] => value.to_string(),
                ["", "", from] => format!("{from}:{}->{}:{}", port("sport"), part("daddr"), port("dport")),
                ["", name, _] => name.to_owned(),
                [path, ..] => path.to_owned(),
            }
        }
        None => value.to_string(),
    }
}
