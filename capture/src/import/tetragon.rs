//! Events of Tetragon, as its agent exports them in JSON.

use std::borrow::Cow;

use ctrace_trace::container::Container;

use super::json_records::{JsonFormat, Told, bytes, capabilities, id, pod_labels, text};
use super::processes::Seen;
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
fn event<'v, 'a>(record: &'v Json<'a>) -> Option<(&'v str, &'v Json<'a>)> {
    let is_kind = |name: &str| name.starts_with("process_") || OF_THE_AGENT.contains(&name);
    let mut members = record.as_object()?.iter();
    members.find_map(|(name, v)| (is_kind(name) && v.is_object()).then_some((&**name, v)))
}

fn is_it(record: &Json<'_>) -> bool {
    let is_event = |(kind, event): (&str, &Json<'_>)| event.get("process").is_some() || OF_THE_AGENT.contains(&kind);
    record.get("time").is_some() && event(record).is_some_and(is_event)
}

fn tell<'v>(record: &'v Json<'_>) -> Result<Told<'v>, &'static str> {
    let (kind, event) = event(record).ok_or("no event")?;
    let ts = parse_rfc3339(text(record, &["time"])).ok_or("an event without a time")?;
    let seen = event.get("process").and_then(seen);
    // A program that takes another one's place has that one as its parent there.
    let parent = event.get("parent").and_then(self::seen);
    let parent = parent.filter(|parent| seen.as_ref().is_none_or(|s| s.pid != parent.pid));
    Ok(Told {
        ts,
        kind: kind.into(),
        severity: "".into(),
        message: message(kind, event).into_bytes().into(),
        seen: seen.map(|process| Seen {
            ppid: parent.as_ref().map(|p| p.pid),
            exec_ts: (kind == "process_exec").then_some(ts),
            ..process
        }),
        parent,
        tid: id(event, &["process", "tid"]),
        container: event.get("process").and_then(container),
    })
}

/// The container of a process. The engine stands before the id: `containerd://…`. Without a pod its first digits are told.
fn container(process: &Json<'_>) -> Option<Container> {
    let pod = |name: &'static str| text(process, &["pod", name]);
    let inside = |name: &'static str| text(process, &["pod", "container", name]);
    let (engine, long) = inside("id").split_once("://").unwrap_or(("", inside("id")));
    let id = if long.is_empty() {
        text(process, &["docker"])
    } else {
        long
    };
    let image = |name: &'static str| text(process, &["pod", "container", "image", name]);
    let digest = image("id").rsplit_once('@').map_or("", |(_, digest)| digest);
    Some(Container {
        id: id.to_owned(),
        engine: engine.to_owned(),
        name: inside("name").to_owned(),
        image: image("name").to_owned(),
        image_digest: digest.to_owned(),
        labels: pod_labels([pod("name"), pod("namespace"), pod("uid")]),
        started_ts: parse_rfc3339(inside("start_time")).unwrap_or(0),
        ..Container::default()
    })
    .filter(|c| !c.id.is_empty())
}

/// What is told of a process in each event.
fn seen<'v>(process: &'v Json<'_>) -> Option<Seen<'v>> {
    let binary = text(process, &["binary"]);
    let name = binary.rsplit('/').next().unwrap_or_default().as_bytes();
    // Arguments are one text there: where one ends is not told.
    let argv = match text(process, &["arguments"]) {
        "" => binary.to_owned(),
        arguments => format!("{binary}\0{arguments}"),
    };
    // All ids are told only where the agent was asked for them.
    let credential = |name: &'static str| id(process, &["process_credentials", name]);
    let euid = id(process, &["uid"]).or_else(|| credential("euid"));
    let set = |name: &'static str| capabilities(process, &["cap", name]);
    Some(Seen {
        pid: id(process, &["pid"])?,
        vpid: id(process, &["pod", "container", "pid"]),
        uid: credential("uid").or(euid),
        euid,
        gid: credential("gid"),
        egid: credential("egid"),
        loginuid: id(process, &["auid"]),
        user: bytes(process, &["user", "name"]),
        name: Some(name.get(..15).unwrap_or(name).into()),
        exe_path: bytes(process, &["binary"]),
        argv: Some(argv.into_bytes().into()),
        cwd: bytes(process, &["cwd"]),
        env: environment(process),
        capabilities: process
            .get("cap")
            .map(|_| [set("permitted"), set("effective"), set("inheritable")]),
        ..Seen::default()
    })
}

/// The variables that the agent was asked for.
fn environment<'v>(process: &'v Json<'_>) -> Option<Cow<'v, [u8]>> {
    let all = process.get("environment_variables").and_then(Json::as_array)?;
    let all = all
        .iter()
        .map(|v| format!("{}={}", text(v, &["Key"]), text(v, &["Value"])));
    Some(all.collect::<Vec<_>>().join("\0").into_bytes().into())
}

/// What happened, for people: the hook with its arguments, the ends of a connection, how a process ended, else the
/// command. What the policy says of it stands before it.
fn message(kind: &str, event: &Json<'_>) -> String {
    let part = |name: &'static str| text(event, &[name]);
    let what = match [
        part("function_name"),
        part("subsys"),
        part("destination_ip"),
        part("ip"),
    ] {
        ["", "", "", ""] => match kind {
            "process_loader" => part("path").to_owned(),
            "process_uprobe" | "process_usdt" => {
                let symbol = [part("symbol"), part("name")].concat();
                format!("{}:{symbol}{}", part("path"), arguments(event))
            }
            _ => command(event),
        },
        ["", "", "", ip] => format!("{} {ip}:{}", part("protocol"), port(event, "port")),
        ["", "", to, _] => format!(
            "{} {}:{}->{to}:{}",
            part("protocol"),
            part("source_ip"),
            port(event, "source_port"),
            port(event, "destination_port")
        ),
        ["", subsystem, ..] => format!("{subsystem}/{}{}", part("event"), arguments(event)),
        [function, ..] => format!("{function}{}", arguments(event)),
    };
    match part("message") {
        "" => what,
        policy => format!("{policy}: {what}"),
    }
}

/// The command, with its end where that is told; of the agent's own events all of it.
fn command(event: &Json<'_>) -> String {
    if event.get("process").is_none() {
        return event.to_string();
    }
    let command = [
        text(event, &["process", "binary"]),
        text(event, &["process", "arguments"]),
    ];
    let command = command.join(" ").trim_end().to_owned();
    match (text(event, &["signal"]), id(event, &["status"])) {
        ("", None | Some(0)) => command,
        ("", Some(status)) => format!("{command} (status {status})"),
        (signal, _) => format!("{command} ({signal})"),
    }
}

fn port(value: &Json<'_>, name: &'static str) -> u32 {
    id(value, &[name]).unwrap_or(0)
}

/// `(3, /etc/passwd) = 0`
fn arguments(event: &Json<'_>) -> String {
    let args = event.get("args").and_then(Json::as_array);
    let args: Vec<String> = args.into_iter().flatten().map(argument).collect();
    let result = event.get("return").map(|r| format!(" = {}", argument(r)));
    format!("({}){}", args.join(", "), result.unwrap_or_default())
}

/// An argument is an object with a member that is named for its type: `{"file_arg":{"path":"/etc/passwd"}}`.
fn argument(arg: &Json<'_>) -> String {
    let typed = arg.as_object().into_iter().flatten();
    let mut typed = typed.filter(|(name, _)| name.ends_with("_arg"));
    match typed.next() {
        Some((_, Json::String(text))) => text.to_string(),
        Some((_, value @ Json::Object(_))) => {
            let part = |name: &'static str| text(value, &[name]);
            match [part("path"), part("name"), part("saddr"), part("addr")] {
                ["", "", "", ""] => value.to_string(),
                ["", "", "", addr] => format!("{addr}:{}", port(value, "port")),
                ["", "", from, _] => format!(
                    "{from}:{}->{}:{}",
                    port(value, "sport"),
                    part("daddr"),
                    port(value, "dport")
                ),
                ["", name, ..] => name.to_owned(),
                [path, ..] => path.to_owned(),
            }
        }
        Some((_, value)) => value.to_string(),
        None => arg.to_string(),
    }
}
