//! Events of the Docker engine: what `docker events --format json` prints, and the engine's API stream.

use std::sync::Arc;

use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use crate::docker::{ContainerImages, DockerEvent};

/// The importer of engine events.
pub(super) struct DockerEvents;

impl Importer for DockerEvents {
    fn name(&self) -> &'static str {
        "docker-events"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next() {
            Some(line) if DockerEvent::parse(line).is_ok_and(|e| !e.action.is_empty()) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, start: &[u8]) -> Option<u64> {
        lines::first(start)
            .find_map(|l| DockerEvent::parse(l).ok())
            .map(|e| e.ts_ns)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Events::default())
    }
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
        let event = match DockerEvent::parse(line.text) {
            Ok(event) => event,
            Err(error) => return sink.bad(line.origin, 0, &error.to_string(), line.text),
        };
        self.learn(&event);
        let image = self.containers.of_event(&event);
        event.with_event(image.as_ref(), |e| sink.event(line.origin, e))
    }

    /// Events of a container's life say all that can be known of it here.
    fn learn(&mut self, event: &DockerEvent) {
        let known = self.containers.get(&event.id);
        let tells = matches!(event.verb(), "create" | "start" | "rename") || known.is_none();
        if event.kind != "container" || event.id.is_empty() || !tells {
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
