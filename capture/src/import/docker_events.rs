//! Events of the Docker engine: what `docker events` prints, as text and with `--format json`, and the engine's API
//! stream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

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
    of_text(line).ok_or_else(|| "neither JSON nor a line of docker events".to_owned())
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
fn of_text(line: &[u8]) -> Option<DockerEvent<'_>> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (time, rest) = word(line)?;
    let (kind, rest) = word(rest).filter(|(kind, _)| KINDS.contains(kind))?;
    // The first bracket may be one of a command.
    let list = rest.strip_suffix(')').and_then(before_list);
    let (rest, attributes) = list.unwrap_or((rest, ""));
    let blank = memchr::memrchr(b' ', rest.as_bytes())?;
    let (action, id) = (rest.get(..blank)?, rest.get(blank + 1..)?);
    let ts = parse_rfc3339(time).filter(|ts| *ts > 0)?;
    let attributes = attributes_of(attributes);
    let raw = json([kind, action, id], &attributes, ts, line);
    Some(DockerEvent::told(ts, [kind, action, id], attributes, raw))
}

/// The first word and what follows its blank.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = memchr::memchr(b' ', text.as_bytes())?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// What stands before the last ` (`, and what behind it.
fn before_list(text: &str) -> Option<(&str, &str)> {
    let mut brackets = memchr::memrchr_iter(b'(', text.as_bytes());
    brackets.find_map(|at| Some((text.get(..at)?.strip_suffix(' ')?, text.get(at + 1..)?)))
}

/// The event as the engine's API tells it.
fn json([kind, action, id]: [&str; 3], attributes: &[(Cow<'_, str>, Cow<'_, str>)], ts: u64, line: &str) -> Vec<u8> {
    let mut json = Vec::with_capacity(line.len() + 8 * attributes.len() + 96);
    // Most lines have nothing in them that is to be escaped.
    let quote: fn(&str, &mut Vec<u8>) = if is_plain(line.as_bytes()) { quote } else { escape };
    for (member, text) in [
        ("{\"Type\":", kind),
        (",\"Action\":", action),
        (",\"Actor\":{\"ID\":", id),
    ] {
        json.extend_from_slice(member.as_bytes());
        quote(text, &mut json);
    }
    json.extend_from_slice(b",\"Attributes\":{");
    for (at, (name, value)) in attributes.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        quote(name, &mut json);
        json.push(b':');
        quote(value, &mut json);
    }
    json.extend_from_slice(b"}},\"timeNano\":");
    json.extend_from_slice(ts.to_string().as_bytes());
    json.push(b'}');
    json
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    let least = text.iter().fold(u8::MAX, |least, b| least.min(*b));
    least >= b' ' && memchr::memchr2(b'"', b'\\', text).is_none()
}

fn quote(text: &str, json: &mut Vec<u8>) {
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

fn escape(text: &str, json: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(json, text);
}

/// Of a name that stands there more than once the last value counts.
fn attributes_of(text: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut all: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(8);
    for piece in pieces(text) {
        let equals = memchr::memchr(b'=', piece.as_bytes());
        let pair = equals.and_then(|at| Some((piece.get(..at)?, piece.get(at + 1..)?)));
        match (pair, all.last_mut()) {
            (Some((name, value)), _) => all.push((name.into(), value.into())),
            // A comma in a value.
            (None, Some((_, value))) => {
                value.to_mut().push_str(", ");
                value.to_mut().push_str(piece);
            }
            (None, None) => {}
        }
    }
    // Engines write them in order.
    let in_order = all.iter().zip(all.iter().skip(1)).all(|(one, next)| one.0 < next.0);
    if in_order { all } else { last_of_each(all) }
}

/// The parts between commas with a blank behind them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut commas = memchr::memchr_iter(b',', text.as_bytes());
        let cut = commas.find_map(|at| Some((text.get(..at)?, text.get(at + 1..)?.strip_prefix(' ')?)));
        rest = cut.map(|(_, rest)| rest);
        Some(cut.map_or(text, |(piece, _)| piece))
    })
}

fn last_of_each<'a>(all: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let mut places = BTreeMap::new();
    let mut last: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(all.len());
    for (name, value) in all {
        let place = *places.entry(name.clone()).or_insert(last.len());
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
    /// What the last event was of. Given back with the next one: to count references the processor waits until all that
    /// was written of an event has reached its cache.
    held: Option<Arc<ProcessImage>>,
}

impl Reading for Events {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        lines::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Events {
    fn line(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let event = match parse(line.text) {
            Ok(event) => event,
            Err(error) => return sink.bad(line.origin, 0, &error, line.text),
        };
        self.learn(&event);
        self.held = self.containers.of_event(&event);
        event.with_event(self.held.as_ref(), |e| sink.event(line.origin, e))
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
