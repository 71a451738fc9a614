//! Events on their way from the thread that reads a file to the one that merges.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use ctrace_trace::event::{Arg, Event, EventType, Origin, OriginFile};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::ProcessImage;

use super::output::Opening;
use super::{FileReport, ImportError};

/// A batch is sent when it has so many events or bytes: with many files at once that is what is in memory of each.
const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 128 << 10;

/// What a reader sends.
pub(super) enum Message {
    /// What was told before the first event. Comes once, before everything else.
    Opening(Box<Opening>),
    Batch(Batch),
    /// The last one: what became of the files.
    End(Result<Vec<FileReport>, ImportError>),
}

/// Events in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: Vec<Packed>,
    args: Vec<PackedArg>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Packed {
    ts: u64,
    kind: EventType,
    cpu: u16,
    tid: u32,
    image: Option<Arc<ProcessImage>>,
    ret: Option<i64>,
    latency: Option<u64>,
    fd_num: Option<i32>,
    fd: Option<Arc<FdEntry>>,
    args: Range<u32>,
    data: Range<u32>,
    origin: Option<(Arc<OriginFile>, u64, u64)>,
}

#[derive(Debug)]
enum PackedArg {
    None,
    Num(i64),
    Str(Range<u32>),
    Path { resolved: Range<u32>, raw: Range<u32> },
}

impl Batch {
    fn push(&mut self, origin: Option<Origin<'_>>, event: &Event<'_>) {
        let first = self.args.len() as u32;
        for arg in event.args {
            let packed = match arg {
                Arg::None => PackedArg::None,
                Arg::Num(n) => PackedArg::Num(*n),
                Arg::Str(text) => PackedArg::Str(self.keep(text)),
                Arg::Path { resolved, raw } => PackedArg::Path {
                    resolved: self.keep(resolved),
                    raw: self.keep(raw),
                },
            };
            self.args.push(packed);
        }
        let data = self.keep(event.data);
        self.events.push(Packed {
            ts: event.ts,
            kind: event.kind,
            cpu: event.cpu,
            tid: event.tid,
            image: event.image.cloned(),
            ret: event.ret,
            latency: event.latency,
            fd_num: event.fd_num,
            fd: event.fd.cloned(),
            args: first..self.args.len() as u32,
            data,
            origin: origin.map(|o| (Arc::clone(o.file), o.offset, o.line)),
        });
    }

    /// Lengths fit: a piece has at most 256 MiB, and a batch is sent long before that.
    fn keep(&mut self, text: &[u8]) -> Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        start..self.bytes.len() as u32
    }

    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes.len() >= MAX_BYTES
    }

    /// The time of an event.
    pub(super) fn ts(&self, at: usize) -> Option<u64> {
        self.events.get(at).map(|e| e.ts)
    }

    /// Hands an event to `take`.
    pub(super) fn with<R>(&self, at: usize, take: impl FnOnce(Option<Origin<'_>>, &Event<'_>) -> R) -> Option<R> {
        let packed = self.events.get(at)?;
        let range = packed.args.start as usize..packed.args.end as usize;
        let args: Vec<Arg<'_>> = self.args.get(range)?.iter().map(|a| self.arg(a)).collect();
        let event = Event {
            ts: packed.ts,
            kind: packed.kind,
            cpu: packed.cpu,
            tid: packed.tid,
            image: packed.image.as_ref(),
            ret: packed.ret,
            latency: packed.latency,
            fd_num: packed.fd_num,
            fd: packed.fd.as_ref(),
            args: &args,
            data: self.text(&packed.data),
        };
        let origin = packed.origin.as_ref().map(|(file, offset, line)| Origin {
            file,
            offset: *offset,
            line: *line,
        });
        Some(take(origin, &event))
    }

    fn arg(&self, packed: &PackedArg) -> Arg<'_> {
        match packed {
            PackedArg::None => Arg::None,
            PackedArg::Num(n) => Arg::Num(*n),
            PackedArg::Str(text) => Arg::Str(self.text(text)),
            PackedArg::Path { resolved, raw } => Arg::Path {
                resolved: self.text(resolved),
                raw: self.text(raw),
            },
        }
    }

    fn text(&self, range: &Range<u32>) -> &[u8] {
        self.bytes
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default()
    }
}

/// The reader's end.
pub(super) struct Sender {
    channel: SyncSender<Message>,
    batch: Batch,
    /// Until the first event.
    pub(super) opening: Opening,
    has_opened: bool,
}

impl Sender {
    pub(super) fn new(channel: SyncSender<Message>) -> Sender {
        Sender {
            channel,
            batch: Batch::default(),
            opening: Opening::default(),
            has_opened: false,
        }
    }

    /// Sends an event, with others.
    pub(super) fn event(&mut self, origin: Option<Origin<'_>>, event: &Event<'_>) -> Result<(), ImportError> {
        self.batch.push(origin, event);
        // The first one at once: nothing is written before the first event of each file is known.
        if !self.has_opened || self.batch.is_full() {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        if !self.has_opened {
            self.has_opened = true;
            let opening = std::mem::take(&mut self.opening);
            self.send(Message::Opening(Box::new(opening)))?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.send(Message::Batch(batch))
    }

    /// Where nobody listens any more the import was given up.
    fn send(&mut self, message: Message) -> Result<(), ImportError> {
        self.channel.send(message).map_err(|_| ImportError::Interrupted)
    }

    /// Sends what is left.
    pub(super) fn finish(mut self, files: Result<Vec<FileReport>, ImportError>) {
        let sent = self.flush();
        // Where the other side is gone, it has an error of its own.
        let _ = self.send(Message::End(sent.and(files)));
    }
}
