//! Events of the Docker engine: what `docker events` prints, as text and with `--format json`, and the engine's API
//! stream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use crate::docker::{ContainerImages, DockerEvent, parse_rfc3339};

/// The importer of engine events.
pub(super) struct DockerEvents;

impl Importer for DockerEvents {
    fn name(&self) -> &'static str {
        "docker-events"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next() {
            Some(line) if parse(line).is_ok_and(|e| !e.action.is_empty()) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(|l| parse(l).ok()).map(|e| e.ts_ns)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Events::default())
    }
}

/// Reads a line of either form. What was text is kept as the JSON that says the same.
fn parse(line: &[u8]) -> Result<DockerEvent<'_>, String> {
    if line.trim_ascii_start().starts_with(b"{") {
        return DockerEvent::parse(line).map_err(|e| e.to_string());
    }
    let json = of_text(line).ok_or("neither JSON nor a line of docker events")?;
    let event = DockerEvent::parse(&json).map_err(|e| e.to_string())?;
    Ok(event.into_owned())
}

/// Types of objects in events of engines from 1.10 to 28; any other word behind a time is another log's.
const KINDS: [&str; 11] = [
    "builder",
    "config",
    "container",
    "daemon",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];

/// `TIME TYPE ACTION ID (NAME=VALUE, …)`. An action may have blanks (`exec_create: sh -c id`), and so may a value.
fn of_text(line: &[u8]) -> Option<Vec<u8>> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (time, rest) = line.split_once(' ')?;
    let (kind, rest) = rest.split_once(' ').filter(|(kind, _)| KINDS.contains(kind))?;
    let (rest, attributes) = match rest.strip_suffix(')').and_then(|r| r.split_once(" (")) {
        // The first bracket may be one of a command.
        Some(_) => rest.strip_suffix(')')?.rsplit_once(" (")?,
        None => (rest, ""),
    };
    let (action, id) = rest.rsplit_once(' ')?;
    let mut json = Vec::with_capacity(2 * line.len());
    let head = [
        ("{\"Type\":", kind),
        (",\"Action\":", action),
        (",\"Actor\":{\"ID\":", id),
    ];
    for (member, text) in head {
        json.extend_from_slice(member.as_bytes());
        serde_json::to_writer(&mut json, text).ok()?;
    }
    json.extend_from_slice(b",\"Attributes\":{");
    for (at, (name, value)) in attributes_of(attributes).iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        serde_json::to_writer(&mut json, name).ok()?;
        json.push(b':');
        serde_json::to_writer(&mut json, value).ok()?;
    }
    json.extend_from_slice(b"}},\"timeNano\":");
    serde_json::to_writer(&mut json, &parse_rfc3339(time)?).ok()?;
    json.push(b'}');
    Some(json)
}

/// Of a name that stands there more than once the last value counts.
fn attributes_of(text: &str) -> Vec<(&str, Cow<'_, str>)> {
    let mut all: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for piece in text.split(", ") {
        match (piece.split_once('='), all.last_mut()) {
            (Some((name, value)), _) => all.push((name, value.into())),
            // A comma in a value.
            (None, Some((_, value))) => {
                value.to_mut().push_str(", ");
                value.to_mut().push_str(piece);
            }
            (None, None) => {}
        }
    }
    let mut places = BTreeMap::new();
    let mut last: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(all.len());
    for (name, value) in all {
        let place = *places.entry(name).or_insert(last.len());
        match last.get_mut(place) {
            Some((_, earlier)) => *earlier = value,
            None => last.push((name, value)),
        }
    }
    last
}

/// The reading of events, and the containers that they told of.
#[derive(Default)]
struct Events {
    containers: ContainerImages,
}

impl Reading for Events {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        lines::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Events {
    fn line(&mut self, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let event = match parse(line.text) {
            Ok(event) => event,
            Err(error) => return sink.bad(line.origin, 0, &error, line.text),
        };
        self.learn(&event);
        let image = self.containers.of_event(&event);
        event.with_event(image.as_ref(), |e| sink.event(line.origin, e))
    }

    /// Events of a container's life say all that can be known of it here.
    fn learn(&mut self, event: &DockerEvent<'_>) {
        if event.kind != "container" || event.id.is_empty() {
            return;
        }
        let known = self.containers.get(&event.id);
        if known.is_some() && !matches!(event.verb(), "create" | "start" | "rename") {
            return;
        }
        let mut container = event.as_container("docker");
        if let Some(known) = known {
            (container.created_ts, container.started_ts) = (known.created_ts, known.started_ts);
        }
        match event.verb() {
            "create" => container.created_ts = event.ts_ns,
            "start" => container.started_ts = event.ts_ns,
            _ => {}
        }
        self.containers.learn(&Arc::new(container));
    }
}
