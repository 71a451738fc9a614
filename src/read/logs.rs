//! What containers wrote, as `docker logs` prints it: lines alone.

use std::cell::RefCell;
use std::collections::BTreeMap;

use ctrace_replay::{Diagnostics, Format};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::escape;
use ctrace_trace::event::{Arg, EventType};

use crate::output;

/// The condition on events that are such lines.
pub(super) const CONDITION: &str = "evt.type = container_log";
/// A line that goes on for longer is broken.
const MAX_LINE: usize = 16 << 20;

/// Puts pieces of lines together: the engine cuts what is longer than 16 KiB.
pub(super) struct Logs {
    /// Whose line it is: pieces of several may come in turns.
    stream: Format,
    timestamps: bool,
    begun: RefCell<BTreeMap<String, String>>,
}

impl Logs {
    /// Each line alone, or behind its time.
    pub(super) fn new(timestamps: bool) -> Result<Logs, Diagnostics> {
        Ok(Logs {
            stream: Format::parse("%container.full_id %log.stream")?,
            timestamps,
            begun: RefCell::default(),
        })
    }

    pub(super) fn need(&self) -> Need {
        let time = if self.timestamps { Need::TS } else { Need::default() };
        self.stream.needs() | Need::KIND | Need::ARGS_HOT | time
    }

    /// The line that an event ends.
    pub(super) fn line(&self, event: EventView<'_>) -> Option<String> {
        if event.kind() != Some(EventType::CONTAINER_LOG) {
            return None;
        }
        let stream = self.stream.text(event);
        let mut begun = self.begun.borrow_mut();
        let mut line = begun.remove(&stream).unwrap_or_else(|| match self.timestamps {
            true => format!("{} ", output::time(event.ts())),
            false => String::new(),
        });
        if let Arg::Str(message) = event.arg_named("message") {
            line.push_str(&escape::bytes(message));
        }
        if event.arg_named("partial") == Arg::Num(1) && line.len() < MAX_LINE {
            begun.insert(stream, line);
            return None;
        }
        Some(line)
    }

    /// Lines that were begun and did not end.
    pub(super) fn rest(&self) -> Vec<String> {
        std::mem::take(&mut *self.begun.borrow_mut()).into_values().collect()
    }
}
