//! The systemd journal as `journalctl -o json` prints it; syslog messages are in it.

use std::borrow::Cow;

use super::json_records::{JsonFormat, Told, command_line};
use super::processes::Seen;
use super::world::SeenContainer;
use crate::json::Json;

/// The importer of journals.
pub(super) static JOURNAL: JsonFormat = JsonFormat {
    name: "journal",
    is_it,
    tell,
};

/// Severities of syslog (RFC 5424).
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

fn is_it(record: Json<'_>) -> bool {
    record.get("__REALTIME_TIMESTAMP").is_some()
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    // The sender's own time where it gave one: the journal's is that of arrival.
    let stamp = ["_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"];
    let micros = stamp.iter().find_map(|name| number(record, name));
    let ts = micros
        .and_then(|us| us.checked_mul(1000))
        .ok_or("an entry without a time")?;
    let seen = id(record, "_PID").map(|pid| Seen {
        pid,
        uid: id(record, "_UID"),
        gid: id(record, "_GID"),
        loginuid: id(record, "_AUDIT_LOGINUID"),
        name: bytes(record, "_COMM"),
        exe_path: bytes(record, "_EXE"),
        // Arguments are joined by blanks there.
        argv: bytes(record, "_CMDLINE").map(|line| command_line(line, bytes(record, "_EXE").as_deref())),
        ..Seen::default()
    });
    // Docker's journald driver.
    let id = text(record, "CONTAINER_ID_FULL");
    let container = (!id.is_empty()).then(|| SeenContainer {
        id,
        engine: "docker",
        name: text(record, "CONTAINER_NAME"),
        image: text(record, "IMAGE_NAME").into(),
        ..SeenContainer::default()
    });
    let names = ["SYSLOG_IDENTIFIER", "_COMM", "_TRANSPORT"];
    let kind = names.iter().map(|name| text(record, name)).find(|n| !n.is_empty());
    let severity = number(record, "PRIORITY").and_then(|p| SEVERITIES.get(usize::try_from(p).ok()?));
    Ok(Told {
        ts,
        kind: kind.unwrap_or_default().into(),
        severity: severity.copied().unwrap_or_default().into(),
        message: message(field(record, "MESSAGE")),
        // The daemon that writes for a container is not in it.
        seen: seen.filter(|_| container.is_none()),
        container,
        ..Told::default()
    })
}

/// A field. One that was given several times is a list; the first one counts.
fn field<'v>(record: Json<'v>, name: &str) -> Option<Json<'v>> {
    let value = record.get(name)?;
    Some(value.at(0).filter(|v| v.is_string()).unwrap_or(value))
}

fn text<'v>(record: Json<'v>, name: &str) -> &'v str {
    field(record, name).and_then(Json::as_str).unwrap_or_default()
}

/// What is no text is a list of its bytes.
fn bytes<'v>(record: Json<'v>, name: &str) -> Option<Cow<'v, [u8]>> {
    Some(message(field(record, name))).filter(|b| !b.is_empty())
}

fn number(record: Json<'_>, name: &str) -> Option<u64> {
    let value = field(record, name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn id(record: Json<'_>, name: &str) -> Option<u32> {
    number(record, name).and_then(|n| u32::try_from(n).ok())
}

/// A message that is no text is a list of its bytes.
fn message<'v>(value: Option<Json<'v>>) -> Cow<'v, [u8]> {
    if let Some(text) = value.and_then(Json::as_str) {
        return text.as_bytes().into();
    }
    let byte = |v: Json<'_>| v.as_u64().and_then(|n| u8::try_from(n).ok());
    match value.and_then(Json::as_array) {
        Some(list) => list.filter_map(byte).collect::<Vec<u8>>().into(),
        None => Cow::default(),
    }
}
