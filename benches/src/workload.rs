//! A deterministic workload of resolved events for the benches: what find, tar, grep, a compiler and a small network
//! service do on four CPUs, in the proportions of a recorded host.
//!
//! The generator knows nothing of the codec. A recorded case can take its place: it only has to fill [`Recorded`].

mod calls;
mod jobs;
mod specs;
mod world;

use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;

pub use specs::schema;

/// Events that own what they refer to, so that encoding can be measured over and over.
#[derive(Debug)]
pub struct Recorded {
    /// What the events carry.
    pub schema: Arc<Schema>,
    bytes: Vec<u8>,
    args: Vec<StoredArg>,
    events: Vec<StoredEvent>,
}

#[derive(Clone, Copy, Debug)]
enum StoredArg {
    None,
    Num(i64),
    Str(Span),
    Path(Span, Span),
}

#[derive(Clone, Copy, Debug)]
struct Span(u32, u32);

#[derive(Debug)]
struct StoredEvent {
    ts: u64,
    kind: EventType,
    cpu: u16,
    tid: u32,
    image: Option<Arc<ProcessImage>>,
    ret: Option<i64>,
    fd_num: Option<i32>,
    fd: Option<Arc<FdEntry>>,
    args: Span,
    data: Span,
}

impl Recorded {
    /// No events yet.
    pub fn new(schema: Arc<Schema>) -> Recorded {
        Recorded {
            schema,
            bytes: Vec::new(),
            args: Vec::new(),
            events: Vec::new(),
        }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds a copy of an event.
    pub fn push(&mut self, event: &Event<'_>) {
        let first = self.args.len() as u32;
        for arg in event.args {
            let stored = match *arg {
                Arg::None => StoredArg::None,
                Arg::Num(v) => StoredArg::Num(v),
                Arg::Str(s) => StoredArg::Str(self.store(s)),
                Arg::Path { resolved, raw } => StoredArg::Path(self.store(resolved), self.store(raw)),
            };
            self.args.push(stored);
        }
        let data = self.store(event.data);
        self.events.push(StoredEvent {
            ts: event.ts,
            kind: event.kind,
            cpu: event.cpu,
            tid: event.tid,
            image: event.image.cloned(),
            ret: event.ret,
            fd_num: event.fd_num,
            fd: event.fd.cloned(),
            args: Span(first, self.args.len() as u32),
            data,
        });
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span(start, self.bytes.len() as u32)
    }

    fn span(&self, s: Span) -> &[u8] {
        &self.bytes[s.0 as usize..s.1 as usize]
    }

    /// Puts the events of several streams into one order of time.
    fn sort(&mut self) {
        self.events.sort_by_key(|e| e.ts);
    }

    /// The arguments of all events; [`Recorded::events`] borrows from them.
    pub fn args(&self) -> Vec<Arg<'_>> {
        let arg = |a: &StoredArg| match *a {
            StoredArg::None => Arg::None,
            StoredArg::Num(v) => Arg::Num(v),
            StoredArg::Str(s) => Arg::Str(self.span(s)),
            StoredArg::Path(resolved, raw) => Arg::Path {
                resolved: self.span(resolved),
                raw: self.span(raw),
            },
        };
        self.args.iter().map(arg).collect()
    }

    /// The events as the resolver would hand them over.
    pub fn events<'a>(&'a self, args: &'a [Arg<'a>]) -> Vec<Event<'a>> {
        let event = |e: &'a StoredEvent| Event {
            ts: e.ts,
            kind: e.kind,
            cpu: e.cpu,
            tid: e.tid,
            image: e.image.as_ref(),
            ret: e.ret,
            latency: None,
            fd_num: e.fd_num,
            fd: e.fd.as_ref(),
            args: &args[e.args.0 as usize..e.args.1 as usize],
            data: self.span(e.data),
        };
        self.events.iter().map(event).collect()
    }
}

/// At least `events` events of the mixed workload.
pub fn mixed(events: usize) -> Recorded {
    let mut recorded = jobs::run(events);
    recorded.sort();
    recorded
}
