//! Falco's alerts, as `json_output: true` writes them.

use super::json_records::{JsonFormat, Told, command_line};
use super::members::{bytes, id, number, text};
use super::processes::Seen;
use super::world::SeenContainer;
use crate::docker::parse_rfc3339;
use crate::json::Json;

/// The importer of alerts.
pub(super) static FALCO: JsonFormat = JsonFormat {
    name: "falco",
    is_it,
    tell,
};

/// `output` can be switched off.
fn is_it(record: Json<'_>) -> bool {
    let is_text = |name: &&str| record.get(name).is_some_and(Json::is_string);
    ["rule", "priority", "time"].iter().all(is_text)
        && (is_text(&"output") || record.get("output_fields").is_some_and(Json::is_object))
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    let field = |name: &'static str| ["output_fields", name];
    // Both are the same time, but the text may be cut to seconds.
    let ts = number(record, &field("evt.time")).or_else(|| parse_rfc3339(text(record, &["time"])));
    let seen = id(record, &field("proc.pid")).map(|pid| Seen {
        pid,
        ppid: id(record, &field("proc.ppid")),
        uid: id(record, &field("user.uid")),
        loginuid: id(record, &field("user.loginuid")),
        user: bytes(record, &field("user.name")),
        name: bytes(record, &field("proc.name")),
        exe_path: bytes(record, &field("proc.exepath")),
        argv: bytes(record, &field("proc.cmdline"))
            .map(|line| command_line(line, bytes(record, &field("proc.name")).as_deref())),
        cwd: bytes(record, &field("proc.cwd")),
        ..Seen::default()
    });
    let parent = id(record, &field("proc.ppid")).map(|pid| Seen {
        pid,
        name: bytes(record, &field("proc.pname")),
        exe_path: bytes(record, &field("proc.pexepath")),
        argv: bytes(record, &field("proc.pcmdline"))
            .map(|line| command_line(line, bytes(record, &field("proc.pname")).as_deref())),
        ..Seen::default()
    });
    let id = text(record, &field("container.id"));
    let container = (!matches!(id, "" | "host" | "<NA>")).then(|| SeenContainer {
        id,
        engine: text(record, &field("container.type")),
        name: text(record, &field("container.name")),
        image: match (
            text(record, &field("container.image.repository")),
            text(record, &field("container.image.tag")),
        ) {
            (repository, "") => repository.into(),
            (repository, tag) => format!("{repository}:{tag}").into(),
        },
        ..SeenContainer::default()
    });
    Ok(Told {
        ts: ts.ok_or("an alert without a time")?,
        kind: text(record, &["rule"]).into(),
        severity: text(record, &["priority"]).into(),
        message: text(record, &["output"]).as_bytes().into(),
        parent,
        seen,
        container,
    })
}
