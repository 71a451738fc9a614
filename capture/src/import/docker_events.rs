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
            Some(line) if parse(line, &mut Vec::new()).is_ok_and(|e| !e.action.is_empty()) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(|l| Some(parse(l, &mut Vec::new()).ok()?.ts_ns))
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Events::default())
    }
}

/// Reads a line of either form. What was text is kept as the JSON that says the same, in `json`.
fn parse<'a>(line: &'a [u8], json: &'a mut Vec<u8>) -> Result<DockerEvent<'a>, String> {
    if line.trim_ascii_start().starts_with(b"{") {
        return DockerEvent::parse(line).map_err(|e| e.to_string());
    }
    of_text(line, json).ok_or_else(|| "neither JSON nor a line of docker events".to_owned())
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
fn of_text<'a>(line: &'a [u8], json: &'a mut Vec<u8>) -> Option<DockerEvent<'a>> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (time, rest) = word(line)?;
    let (kind, rest) = word(rest).filter(|(kind, _)| KINDS.contains(kind))?;
    // The first bracket may be one of a command.
    let list = rest.strip_suffix(')').and_then(before_list);
    let (rest, attributes) = list.unwrap_or((rest, ""));
    let blank = memchr::memrchr(b' ', rest.as_bytes())?;
    let (action, id) = (rest.get(..blank)?, rest.get(blank + 1..)?);
    let ts = parse_rfc3339(time).filter(|ts| *ts > 0)?;
    let (mut attributes, are_in_order) = attributes_of(attributes);
    json.clear();
    // Most lines have nothing in them that is to be escaped.
    if is_plain(line.as_bytes()) {
        write_json([kind, action, id], &attributes, ts, json, quote);
    } else {
        write_json([kind, action, id], &attributes, ts, json, escape);
    }
    if !are_in_order {
        attributes.sort_unstable();
    }
    Some(DockerEvent::told(ts, [kind, action, id], attributes, json))
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
fn write_json(
    [kind, action, id]: [&str; 3],
    attributes: &[(Cow<'_, str>, Cow<'_, str>)],
    ts: u64,
    json: &mut Vec<u8>,
    quote: impl Fn(&str, &mut Vec<u8>),
) {
    for (member, text) in [
        ("{\"Type\":", kind),
        (",\"Action\":", action),
        (",\"Actor\":{\"ID\":", id),
    ] {
        json.extend_from_slice(member.as_bytes());
        quote(text, json);
    }
    json.extend_from_slice(b",\"Attributes\":{");
    for (at, (name, value)) in attributes.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        quote(name, json);
        json.push(b':');
        quote(value, json);
    }
    json.extend_from_slice(b"}},\"timeNano\":");
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *json, &ts);
    json.push(b'}');
}

/// Whether a text stands in JSON as it is.
fn is_plain(text: &[u8]) -> bool {
    let least = text.iter().fold(u8::MAX, |least, b| least.min(*b));
    least >= b' ' && memchr::memchr2(b'"', b'\\', text).is_none()
}

fn quote(text: &str, json: &mut Vec<u8>) {
    json.reserve(text.len() + 2);
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
}

fn escape(text: &str, json: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(json, text);
}

/// Names and values.
type Attributes<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Of a name that stands there more than once the last value counts. Says too whether they are sorted by name.
fn attributes_of(text: &str) -> (Attributes<'_>, bool) {
    let mut all: Attributes<'_> = Vec::with_capacity(8);
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
    (if in_order { all } else { last_of_each(all) }, in_order)
}

/// The parts between commas with a blank behind them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = end_of_piece(text);
        rest = text.get(end + ", ".len()..);
        text.get(..end)
    })
}

fn end_of_piece(text: &str) -> usize {
    let mut commas = memchr::memchr_iter(b',', text.as_bytes());
    let is_end = |at: &usize| text.as_bytes().get(at + 1) == Some(&b' ');
    commas.find(is_end).unwrap_or(text.len())
}

fn last_of_each(all: Attributes<'_>) -> Attributes<'_> {
    let mut places = BTreeMap::new();
    let mut last: Attributes<'_> = Vec::with_capacity(all.len());
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
    /// Memory for the JSON of a line.
    json: Vec<u8>,
}

/// More memory than this is not kept for the next line.
const KEPT_JSON: usize = 1 << 20;

impl Reading for Events {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        lines::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Events {
    fn line(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let mut json = std::mem::take(&mut self.json);
        let done = match parse(line.text, &mut json) {
            Ok(event) => self.event(&event, line, sink),
            Err(error) => sink.bad(line.origin, 0, &error, line.text),
        };
        self.json = json;
        self.json.shrink_to(KEPT_JSON);
        done
    }

    fn event(&mut self, event: &DockerEvent<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        self.learn(event);
        event.with_event(self.containers.of_event(event), |e| sink.event(line.origin, e))
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
