//! Events of Tetragon, as its agent exports them in JSON.

use std::borrow::Cow;

use super::json_records::{JsonFormat, Told};
use super::members::{Fields, bytes, capabilities, id, text};
use super::processes::Seen;
use super::world::{SeenContainer, pod_labels};
use crate::docker::parse_rfc3339;
use crate::json::Json;

/// The importer of Tetragon's events.
pub(super) static TETRAGON: JsonFormat = JsonFormat {
    name: "tetragon",
    is_it,
    tell,
};

/// What the agent tells of itself, beside what processes did: what it left out, for whose sake.
const OF_THE_AGENT: [&str; 2] = ["process_throttle", "rate_limit_info"];

/// The event is the member that is named for its kind: `process_exec`, `process_kprobe`, …
fn event<'v>(record: Json<'v>) -> Option<(&'v str, Json<'v>)> {
    let is_kind = |name: &str| name.starts_with("process_") || OF_THE_AGENT.contains(&name);
    let mut members = record.as_object()?;
    members.find_map(|(name, v)| (is_kind(name) && v.is_object()).then_some((name, v)))
}

fn is_it(record: Json<'_>) -> bool {
    let is_event = |(kind, event): (&str, Json<'_>)| event.get("process").is_some() || OF_THE_AGENT.contains(&kind);
    record.get("time").is_some() && event(record).is_some_and(is_event)
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    let (kind, event) = event(record).ok_or("no event")?;
    let ts = parse_rfc3339(text(record, &["time"])).ok_or("an event without a time")?;
    let process = event.get("process");
    let mut seen = process.and_then(self::seen);
    let mut parent = event.get("parent").and_then(self::seen);
    if let Some(seen) = &mut seen {
        // A program that takes another one's place has that one as its parent there.
        if parent.as_ref().is_some_and(|parent| parent.pid == seen.pid) {
            parent = None;
        }
        seen.ppid = parent.as_ref().map(|p| p.pid);
        seen.exec_ts = (kind == "process_exec").then_some(ts);
    }
    Ok(Told {
        ts,
        kind: kind.into(),
        severity: "".into(),
        message: message(kind, event).into_bytes().into(),
        seen,
        parent,
        tid: process.and_then(|process| id(process, &["tid"])),
        container: process.and_then(container),
    })
}

/// The container of a process. The engine stands before the id: `containerd://…`. Without a pod its first digits are told.
fn container(process: Json<'_>) -> Option<SeenContainer<'_>> {
    let Some(pod) = process.get("pod") else {
        let id = text(process, &["docker"]);
        return (!id.is_empty()).then(|| SeenContainer {
            id,
            ..SeenContainer::default()
        });
    };
    let inside = pod.get("container").unwrap_or(Json::null());
    let long = text(inside, &["id"]);
    let (engine, long) = long.split_once("://").unwrap_or(("", long));
    let id = if long.is_empty() {
        text(process, &["docker"])
    } else {
        long
    };
    let digest = text(inside, &["image", "id"]).rsplit_once('@');
    (!id.is_empty()).then(|| SeenContainer {
        id,
        engine,
        name: text(inside, &["name"]),
        image: text(inside, &["image", "name"]).into(),
        image_digest: digest.map_or("", |(_, digest)| digest),
        labels: pod_labels(["name", "namespace", "uid"].map(|name| text(pod, &[name]))),
        started_ts: parse_rfc3339(text(inside, &["start_time"])).unwrap_or(0),
    })
}

/// What is told of a process in each event.
fn seen(process: Json<'_>) -> Option<Seen<'_>> {
    // Asked in the order in which the agent writes.
    let mut fields = Fields::of(process);
    let pid = fields.id("pid")?;
    let (uid, cwd) = (fields.id("uid"), fields.bytes("cwd"));
    let (binary, arguments) = (fields.text("binary"), fields.text("arguments"));
    let slash = memchr::memrchr(b'/', binary.as_bytes());
    let name = binary
        .as_bytes()
        .get(slash.map_or(0, |at| at + 1)..)
        .unwrap_or_default();
    // Arguments are one text there: where one ends is not told.
    let argv = match arguments {
        "" => binary.as_bytes().into(),
        arguments => [binary, arguments].join("\0").into_bytes().into(),
    };
    let loginuid = fields.id("auid");
    let vpid = fields.get("pod").and_then(|pod| id(pod, &["container", "pid"]));
    let capabilities = fields
        .get("cap")
        .map(|cap| ["permitted", "effective", "inheritable"].map(|set| capabilities(cap, &[set])));
    // All ids are told only where the agent was asked for them.
    let credentials = fields.get("process_credentials").unwrap_or(Json::null());
    let credential = |name: &'static str| id(credentials, &[name]);
    let euid = uid.or_else(|| credential("euid"));
    Some(Seen {
        pid,
        vpid,
        uid: credential("uid").or(euid),
        euid,
        gid: credential("gid"),
        egid: credential("egid"),
        loginuid,
        user: fields.get("user").and_then(|user| bytes(user, &["name"])),
        name: Some(name.get(..15).unwrap_or(name).into()),
        exe_path: (!binary.is_empty()).then(|| binary.as_bytes().into()),
        argv: Some(argv),
        cwd,
        env: fields.get("environment_variables").and_then(environment),
        capabilities,
        ..Seen::default()
    })
}

/// The variables that the agent was asked for.
fn environment(variables: Json<'_>) -> Option<Cow<'_, [u8]>> {
    let all = variables.as_array()?;
    let all = all.map(|v| format!("{}={}", text(v, &["Key"]), text(v, &["Value"])));
    Some(all.collect::<Vec<_>>().join("\0").into_bytes().into())
}

/// Room for most messages.
const USUAL_MESSAGE: usize = 128;

/// What happened, for people: the hook with its arguments, the ends of a connection, how a process ended, else the
/// command. What the policy says of it stands before it.
fn message(kind: &str, event: Json<'_>) -> String {
    let part = |name: &'static str| text(event, &[name]);
    let mut message = String::with_capacity(USUAL_MESSAGE);
    match part("message") {
        "" => {}
        policy => message.extend([policy, ": "]),
    }
    match [
        part("function_name"),
        part("subsys"),
        part("destination_ip"),
        part("ip"),
    ] {
        ["", "", "", ""] => match kind {
            "process_loader" => message.push_str(part("path")),
            "process_uprobe" | "process_usdt" => {
                message.extend([part("path"), ":", part("symbol"), part("name")]);
                push_arguments(event, &mut message);
            }
            _ => push_command(event, &mut message),
        },
        ["", "", "", ip] => message.push_str(&format!("{} {ip}:{}", part("protocol"), port(event, "port"))),
        ["", "", to, _] => message.push_str(&format!(
            "{} {}:{}->{to}:{}",
            part("protocol"),
            part("source_ip"),
            port(event, "source_port"),
            port(event, "destination_port")
        )),
        ["", subsystem, ..] => {
            message.extend([subsystem, "/", part("event")]);
            push_arguments(event, &mut message);
        }
        [function, ..] => {
            message.push_str(function);
            push_arguments(event, &mut message);
        }
    }
    message
}

/// The command, with its end where that is told; of the agent's own events all of it.
fn push_command(event: Json<'_>, message: &mut String) {
    let Some(process) = event.get("process") else {
        return message.push_str(&event.to_string());
    };
    let (binary, arguments) = (text(process, &["binary"]), text(process, &["arguments"]));
    match arguments.trim_end() {
        "" => message.push_str(binary.trim_end()),
        arguments => message.extend([binary, " ", arguments]),
    }
    match (text(event, &["signal"]), id(event, &["status"])) {
        ("", None | Some(0)) => {}
        ("", Some(status)) => message.push_str(&format!(" (status {status})")),
        (signal, _) => message.extend([" (", signal, ")"]),
    }
}

fn port(value: Json<'_>, name: &'static str) -> u32 {
    id(value, &[name]).unwrap_or(0)
}

/// `(3, /etc/passwd) = 0`
fn push_arguments(event: Json<'_>, message: &mut String) {
    message.push('(');
    let args = event.get("args").and_then(Json::as_array).into_iter().flatten();
    for (at, arg) in args.enumerate() {
        message.push_str(if at > 0 { ", " } else { "" });
        message.push_str(&argument(arg));
    }
    message.push(')');
    if let Some(result) = event.get("return") {
        message.push_str(" = ");
        message.push_str(&argument(result));
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
            match [part("path"), part("name"), part("saddr"), part("addr")] {
                ["", "", "", ""] => value.to_string().into(),
                ["", "", "", addr] => format!("{addr}:{}", port(value, "port")).into(),
                ["", "", from, _] => format!(
                    "{from}:{}->{}:{}",
                    port(value, "sport"),
                    part("daddr"),
                    port(value, "dport")
                )
                .into(),
                ["", name, ..] => name.into(),
                [path, ..] => path.into(),
            }
        }
        None => value.to_string().into(),
    }
}
