//! Output of `strace -f -ttt`: every line that ends a call is an event of that call.

pub(super) mod arguments;
mod line;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::schema::{EventSpec, Schema};
use hashbrown::HashMap;

use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Origin, Reading, Sink};
use arguments::{Args, Told};
use line::{Call, Said, Stamped};
use world::World;

/// The importer of strace's output.
pub(super) struct Strace;

impl Importer for Strace {
    fn name(&self) -> &'static str {
        "strace"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let own = |l: &&[u8]| !l.starts_with(b"strace: ");
        match lines::first(start).find(own).and_then(line::read) {
            Some(stamped) if !matches!(line::said(stamped.rest), Said::Other) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(line::read).map(|l| l.ts)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::new())
    }
}

/// More calls than this do not wait for their end.
const MAX_UNFINISHED: usize = 1 << 16;

/// Nearly all calls have no more parameters.
const FEW_PARAMS: usize = 8;

/// The reading of logs.
struct Log {
    schema: Arc<Schema>,
    /// Types of 64-bit calls by the names that strace gives them.
    types: HashMap<Vec<u8>, EventType>,
    unfinished: BTreeMap<u32, Vec<u8>>,
    world: World,
    /// What was closed last. Given back with the next one: to count references the processor waits until all that was
    /// written of an event has reached its cache.
    closed: Option<Arc<FdEntry>>,
}

impl Log {
    fn new() -> Log {
        let schema = Schema::current();
        let native = |s: &&EventSpec| s.id.is_syscall() && !s.id.is_compat() && s.id != EventType::UNKNOWN_SYSCALL;
        let types = schema
            .specs()
            .iter()
            .filter(native)
            .map(|s| (s.name.clone().into_bytes(), s.id));
        Log {
            types: types.collect(),
            schema,
            unfinished: BTreeMap::new(),
            world: World::default(),
            closed: None,
        }
    }
}

/// Falco's names, which the schema has, leave out the width of some.
fn spec<'s>(schema: &'s Schema, types: &HashMap<Vec<u8>, EventType>, name: &[u8]) -> Option<&'s EventSpec> {
    let short = || types.get(name.strip_suffix(b"64")?);
    schema.get(*types.get(name).or_else(short)?)
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        let end = lines::each(input, sink, |line, sink| self.line(line, sink))?;
        // What never ended was under way when the log ended, or its thread did: there is no result to tell.
        self.unfinished.clear();
        Ok(end)
    }
}

impl Log {
    fn line(&mut self, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let Some(stamped) = line::read(line.text) else {
            // strace's own words have no time.
            return match line.text.starts_with(b"strace: ") {
                true => sink.unknown(line.origin, 0, "a message of strace", line.text),
                false => sink.bad(line.origin, 0, "no time at the beginning", line.text),
            };
        };
        self.meet(&stamped);
        match line::said(stamped.rest) {
            Said::Call(text) => self.call(&stamped, text, line, sink),
            Said::Unfinished(text) => {
                if self.unfinished.len() < MAX_UNFINISHED {
                    self.unfinished.insert(stamped.tid, text.to_vec());
                }
                Ok(())
            }
            Said::Resumed(text) => {
                let Some(mut whole) = self.unfinished.remove(&stamped.tid) else {
                    return sink.unknown(
                        line.origin,
                        stamped.ts,
                        "the end of a call whose beginning is missing",
                        line.text,
                    );
                };
                whole.extend_from_slice(text);
                self.call(&stamped, &whole, line, sink)
            }
            Said::Exit { status, signal, core } => {
                self.exit(&stamped, [status, signal, i64::from(core)], line.origin, sink)
            }
            Said::Signal(text) => self.signal(&stamped, text, line.origin, sink),
            Said::Other => sink.bad(
                line.origin,
                stamped.ts,
                "neither a call nor a signal nor an end",
                line.text,
            ),
        }
    }

    /// A thread that nothing told of is the child of the only one that is in such a call.
    fn meet(&mut self, at: &Stamped<'_>) {
        const MAKE: [&[u8]; 4] = [b"fork(", b"vfork(", b"clone(", b"clone3("];
        if at.tid == 0 || self.world.knows(at.tid) {
            return;
        }
        let makes = |text: &[u8]| MAKE.iter().any(|call| text.starts_with(call));
        let mut makers = self
            .unfinished
            .iter()
            .filter(|(tid, text)| **tid != at.tid && makes(text));
        if let (Some((parent, text)), None) = (makers.next(), makers.next()) {
            self.world.adopt(*parent, text, at.tid, at.ts);
        }
    }

    fn call(&mut self, at: &Stamped<'_>, text: &[u8], line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let mut args = Args::default();
        let Some(call) = line::call(text, &mut args) else {
            return sink.bad(line.origin, at.ts, "a call that does not end", line.text);
        };
        let Some(spec) = spec(&self.schema, &self.types, call.name) else {
            return sink.unknown(line.origin, at.ts, "a call of an unknown name", line.text);
        };
        let (mut few_told, mut many_told);
        let told: &mut [Told<'_>] = if spec.params.len() <= FEW_PARAMS {
            few_told = [const { Told::Nothing }; FEW_PARAMS];
            few_told.get_mut(..spec.params.len()).unwrap_or_default()
        } else {
            many_told = vec![Told::Nothing; spec.params.len()];
            &mut many_told
        };
        arguments::of(spec, &call, |path, dir| self.world.path(at.tid, path, dir), told);
        let told = &*told;
        let (mut few, many);
        let args: &[Arg<'_>] = if told.len() <= FEW_PARAMS {
            few = [Arg::None; FEW_PARAMS];
            few.iter_mut().zip(told).for_each(|(arg, told)| *arg = told.arg());
            few.get(..told.len()).unwrap_or(&few)
        } else {
            many = told.iter().map(Told::arg).collect::<Vec<_>>();
            &many
        };
        // `close` shows what it closed, everything else what is there afterwards.
        let fd_num = fd_of(spec, &call);
        let is_close = call.name == b"close";
        if let Some(fd) = fd_num.filter(|_| is_close) {
            self.closed = self.world.fd(at.tid, fd).cloned();
        }
        self.world.apply(at, &call, told);
        self.world.meet(at.tid);
        let closed = self.closed.as_ref().filter(|_| is_close && fd_num.is_some());
        let fd = closed.or_else(|| self.world.fd(at.tid, fd_num?));
        sink.event(
            line.origin,
            &Event {
                tid: at.tid,
                image: self.world.image(at.tid),
                ret: call.ret.filter(|_| spec.has_ret),
                latency: call.latency,
                fd_num,
                fd,
                ..Event::bare(at.ts, spec.id, args)
            },
        )
    }

    fn exit(
        &mut self,
        at: &Stamped<'_>,
        [status, signal, core]: [i64; 3],
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        self.unfinished.remove(&at.tid);
        self.world.meet(at.tid);
        let image = self.world.image(at.tid).cloned();
        let is_process = self.world.exit(at.tid);
        if !is_process {
            return Ok(());
        }
        let args = [
            Arg::Num(status << 8 | signal | core << 7),
            Arg::Num(status),
            Arg::Num(signal),
            Arg::Num(core),
            Arg::None,
        ];
        let event = Event {
            tid: at.tid,
            image: image.as_ref(),
            ..Event::bare(at.ts, EventType::PROCEXIT, &args)
        };
        sink.event(origin, &event)
    }

    fn signal(
        &mut self,
        at: &Stamped<'_>,
        text: &[u8],
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let name = text.split(|b| *b == b' ').next().unwrap_or_default();
        let sender = memchr::memmem::find(text, b"si_pid=").and_then(|at| arguments::number(text.get(at + 7..)?));
        let args = [
            sender.map_or(Arg::None, Arg::Num),
            Arg::Num(at.tid.into()),
            arguments::signal(name).map_or(Arg::None, Arg::Num),
        ];
        self.world.meet(at.tid);
        let event = Event {
            tid: at.tid,
            image: self.world.image(at.tid),
            ..Event::bare(at.ts, EventType::SIGNALDELIVER, &args)
        };
        sink.event(origin, &event)
    }
}

/// The descriptor that a call is about.
fn fd_of(spec: &EventSpec, call: &Call<'_, '_>) -> Option<i32> {
    use ctrace_trace::schema::FdUse;
    let number = match spec.fd {
        FdUse::None => None,
        FdUse::Arg(slot) => call.args.get(usize::from(slot)).and_then(|a| arguments::number(a)),
        FdUse::Ret => call.ret.filter(|r| *r >= 0),
    };
    i32::try_from(number?).ok()
}
