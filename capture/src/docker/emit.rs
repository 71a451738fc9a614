//! An engine's event as an event of a recording.

use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;

use super::event::DockerEvent;

impl DockerEvent<'_> {
    /// Calls `take` with the event as it is recorded. `image` stands for its container.
    pub(crate) fn with_event<R>(&self, image: Option<&Arc<ProcessImage>>, take: impl FnOnce(&Event<'_>) -> R) -> R {
        let args = [
            Arg::text(self.kind.as_bytes()),
            Arg::text(self.action.as_bytes()),
            Arg::text(self.id.as_bytes()),
            Arg::text(self.name().as_bytes()),
            Arg::text(self.image().as_bytes()),
            self.exit_code().map_or(Arg::None, Arg::Num),
            Arg::text(&self.raw),
        ];
        take(&Event {
            image,
            ..Event::bare(self.ts_ns, EventType::DOCKER, &args)
        })
    }
}
