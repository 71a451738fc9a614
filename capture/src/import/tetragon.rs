//! Events of Tetragon, as its agent exports them in JSON.

use std::borrow::Cow;

use super::json_records::{JsonFormat, Told};
use super::members::{Fields, id, text};
use super::processes::Seen;
use super::world::SeenContainer;
use crate::docker::parse_rfc3339;
use crate::json::Json;

/// The importer of Tetragon's events.
pub(super) static TETRAGON: JsonFormat = JsonFormat {
    name: "tetragon",
    is_it,
    tell,
};

/// The event is the member that is named for its kind: `process_exec`, `process_kprobe`, …
fn event<'v>(record: Json<'v>) -> Option<(&'v str, Json<'v>)> {
    let mut members = record.as_object()?;
    members.find_map(|(name, v)| (name.starts_with("process_") && v.is_object()).then_some((name, v)))
}

fn is_it(record: Json<'_>) -> bool {
    record.get("time").is_some() && event(record).is_some_and(|(_, e)| e.get("process").is_some())
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    let (kind, event) = event(record).ok_or("no event")?;
    let ts = parse_rfc3339(text(record, &["time"])).ok_or("an event without a time")?;
    let (process, parent) = (event.get("process"), event.get("parent"));
    let seen = process.and_then(seen).map(|process| Seen {
        ppid: parent.and_then(|parent| id(parent, &["pid"])),
        exec_ts: (kind == "process_exec").then_some(ts),
        ..process
    });
    Ok(Told {
        ts,
        kind: kind.into(),
        severity: "".into(),
        message: message(event),
        parent: parent.and_then(self::seen),
        seen,
        container: process.and_then(container),
    })
}

/// The container of a process.
fn container(process: Json<'_>) -> Option<SeenContainer<'_>> {
    let pod = process.get("pod").unwrap_or(Json::null());
    let inside = pod.get("container").unwrap_or(Json::null());
    // The engine stands before the id: `containerd://…`. Without a pod the first digits are told.
    let long = text(inside, &["id"]);
    let (engine, long) = long.split_once("://").unwrap_or(("", long));
    let id = if long.is_empty() {
        text(process, &["docker"])
    } else {
        long
    };
    let labels = [
        ("name", "io.kubernetes.pod.name"),
        ("namespace", "io.kubernetes.pod.namespace"),
    ];
    (!id.is_empty()).then(|| SeenContainer {
        id,
        engine,
        name: text(inside, &["name"]),
        image: text(inside, &["image", "name"]).into(),
        labels: labels
            .into_iter()
            .map(|(from, to)| (to, text(pod, &[from])))
            .filter(|(_, value)| !value.is_empty())
            .collect(),
        ..SeenContainer::default()
    })
}

/// What is told of a process in each event.
fn seen(process: Json<'_>) -> Option<Seen<'_>> {
    let mut fields = Fields::of(process);
    let pid = fields.id("pid")?;
    let (uid, cwd) = (fields.id("uid"), fields.bytes("cwd"));
    let (binary, arguments) = (fields.text("binary"), fields.text("arguments"));
    let name = binary.rsplit('/').next().unwrap_or_default().as_bytes();
    // Arguments are one text there: where one ends is not told.
    let argv = match arguments {
        "" => binary.as_bytes().into(),
        arguments => [binary, arguments].join("\0").into_bytes().into(),
    };
    Some(Seen {
        pid,
        uid,
        loginuid: fields.id("auid"),
        name: Some(name.get(..15).unwrap_or(name).into()),
        exe_path: (!binary.is_empty()).then(|| binary.as_bytes().into()),
        argv: Some(argv),
        cwd,
        ..Seen::default()
    })
}

/// Room for most messages.
const USUAL_MESSAGE: usize = 128;

/// The function or tracepoint with its arguments, else the command.
fn message(event: Json<'_>) -> Cow<'_, [u8]> {
    let mut message = String::with_capacity(USUAL_MESSAGE);
    match (text(event, &["function_name"]), text(event, &["subsys"])) {
        ("", "") => return command(event.get("process")),
        ("", subsystem) => {
            message.push_str(subsystem);
            message.push('/');
            message.push_str(text(event, &["event"]));
        }
        (function, _) => message.push_str(function),
    }
    message.push('(');
    let args = event.get("args").and_then(Json::as_array).into_iter().flatten();
    for (at, arg) in args.enumerate() {
        message.push_str(if at > 0 { ", " } else { "" });
        message.push_str(&argument(arg));
    }
    message.push(')');
    message.into_bytes().into()
}

fn command(process: Option<Json<'_>>) -> Cow<'_, [u8]> {
    let part = |name: &'static str| process.map_or("", |process| text(process, &[name]));
    let (binary, arguments) = (part("binary"), part("arguments"));
    match arguments.trim_end() {
        "" => binary.trim_end().as_bytes().into(),
        arguments => [binary, arguments].join(" ").into_bytes().into(),
    }
}

/// An argument is an object with a member that is named for its type: `{"file_arg":{"path":"/etc/passwd"}}`.
fn argument(arg: Json<'_>) -> Cow<'_, str> {
    let typed = arg.as_object().into_iter().flatten();
    let mut typed = typed.filter(|(name, _)| name.ends_with("_arg"));
    let Some((_, value)) = typed.next() else {
        return arg.to_string().into();
    };
    match value.as_str() {
        Some(text) => text.into(),
        None if value.is_object() => {
            let part = |name: &'static str| text(value, &[name]);
            let port = |name: &'static str| id(value, &[name]).unwrap_or(0);
            match [part("path"), part("name"), part("saddr")] {
                ["", "", ""] => value.to_string().into(),
                ["", "", from] => format!("{from}:{}->{}:{}", port("sport"), part("daddr"), port("dport")).into(),
                ["", name, _] => name.into(),
                [path, ..] => path.into(),
            }
        }
        None => value.to_string().into(),
    }
}
