//! Logs of JSON whose records have a meaning of their own kind: kept as `log` events, with what they say of a process
//! and its container. What each format calls things is in the file of its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use serde_json::Value;

use super::lines::{self, Line};
use super::processes::{Processes, Seen};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::docker::ContainerImages;

/// A format of records.
#[derive(Clone, Copy)]
pub(super) struct JsonFormat {
    /// For `--format`.
    pub(super) name: &'static str,
    /// Whether a record is of this format.
    pub(super) is_it: fn(&Value) -> bool,
    /// What a record says; an error where it lacks its time.
    pub(super) tell: for<'v> fn(&'v Value) -> Result<Told<'v>, &'static str>,
}

/// What a record says.
#[derive(Debug, Default)]
pub(super) struct Told<'v> {
    /// When: nanoseconds since the Unix epoch.
    pub(super) ts: u64,
    /// What the format calls such a record.
    pub(super) kind: Cow<'v, str>,
    /// How grave it is, in the format's own words.
    pub(super) severity: Cow<'v, str>,
    /// For people to read.
    pub(super) message: Cow<'v, [u8]>,
    /// Who acted.
    pub(super) seen: Option<Seen<'v>>,
    /// In which container.
    pub(super) container: Option<Container>,
}

impl Importer for JsonFormat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let first = lines::first(start).next().unwrap_or_default();
        match serde_json::from_slice::<Value>(first) {
            Ok(record) if record.is_object() && (self.is_it)(&record) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        let record = serde_json::from_slice(lines::first(start).next()?).ok()?;
        (self.tell)(&record).ok().map(|told| told.ts)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Records::new(*self))
    }
}

/// The reading of records.
pub(super) struct Records {
    format: JsonFormat,
    pub(super) world: World,
}

impl Reading for Records {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::each(input, sink, |line, sink| self.line(line, sink))
    }
}

impl Records {
    pub(super) fn new(format: JsonFormat) -> Records {
        Records {
            format,
            world: World::default(),
        }
    }

    fn line(&mut self, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let record: Value = match serde_json::from_slice(line.text) {
            Ok(record) => record,
            Err(error) => return sink.bad(line.origin, 0, &error.to_string(), line.text),
        };
        self.record(&record, line, sink)
    }

    /// Keeps a record.
    pub(super) fn record(&mut self, record: &Value, line: Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        if !record.is_object() || !(self.format.is_it)(record) {
            return sink.unknown(line.origin, 0, "not a record of this format", line.text);
        }
        let told = match (self.format.tell)(record) {
            Ok(told) => told,
            Err(reason) => return sink.bad(line.origin, 0, reason, line.text),
        };
        let image = self.world.image(told.seen, told.container);
        let args = [
            Arg::Str(self.format.name.as_bytes()),
            Arg::text(told.kind.as_bytes()),
            Arg::text(told.severity.as_bytes()),
            Arg::text(&told.message),
            Arg::Str(line.text),
        ];
        let event = Event {
            tid: image.as_ref().map_or(0, |i| i.pid),
            image: image.as_ref(),
            ..Event::bare(told.ts, EventType::LOG, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// No more containers than this are remembered.
const MAX_CONTAINERS: usize = 65_536;

/// Processes and containers that records told of.
#[derive(Default)]
pub(super) struct World {
    pub(super) processes: Processes,
    containers: BTreeMap<String, Arc<Container>>,
    images: ContainerImages,
}

impl World {
    /// The process of a record, or what stands for its container.
    pub(super) fn image(&mut self, seen: Option<Seen<'_>>, container: Option<Container>) -> Option<Arc<ProcessImage>> {
        let container = container.filter(|c| !c.id.is_empty()).map(|c| self.learn(c));
        match (seen, container) {
            (Some(mut seen), container) => {
                seen.container = container;
                Some(self.processes.see(&seen))
            }
            (None, Some(container)) => {
                if self.images.get(&container.id) != Some(&container) {
                    self.images.learn(&container);
                }
                self.images.get_image(&container.id)
            }
            (None, None) => None,
        }
    }

    fn learn(&mut self, container: Container) -> Arc<Container> {
        if let Some(known) = self.containers.get(&container.id).filter(|k| ***k == container) {
            return known.clone();
        }
        if self.containers.len() >= MAX_CONTAINERS {
            self.containers.clear();
        }
        let container = Arc::new(container);
        self.containers.insert(container.id.clone(), container.clone());
        container
    }
}

/// The text at a path.
pub(super) fn text<'v>(record: &'v Value, path: &[&str]) -> &'v str {
    at(record, path).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a path, where there is one.
pub(super) fn bytes<'v>(record: &'v Value, path: &[&str]) -> Option<Cow<'v, [u8]>> {
    let text = text(record, path);
    (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes()))
}

/// The number at a path, also where it is written as text.
pub(super) fn number(record: &Value, path: &[&str]) -> Option<u64> {
    match at(record, path)? {
        Value::Number(n) => n.as_u64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    }
}

/// The same, of 32 bits.
pub(super) fn id(record: &Value, path: &[&str]) -> Option<u32> {
    number(record, path).and_then(|n| u32::try_from(n).ok())
}

fn at<'v>(record: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(record, |at, key| at.get(key))
}
