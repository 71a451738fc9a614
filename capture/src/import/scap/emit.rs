//! Events of the format made events of ours.

use ctrace_trace::event::{Arg, Event, EventType};

use super::action::Action;
use super::blocks::Block;
use super::call::{Call, Ends, ends, text};
use super::event::{Layout, Params, Parsed, RawEvent, parse};
use super::facts::{EventFacts, Facts, Type};
use super::flags::{Flags, open_mode};
use super::plan::{Form, Plan, Plans, Slot};
use super::state::Change;
use super::world::{Enter, World};
use crate::import::{ImportError, Origin, Sink};
use crate::resolver::resolve_path;

/// The end of a call that the format has no event of its own for, and the entry.
const GENERIC_END: u16 = 1;
const GENERIC_ENTRY: u16 = 0;
/// `AT_FDCWD` (`linux/fcntl.h`).
const AT_FDCWD: i64 = -100;
/// What the format writes where a pointer could not be read.
const UNREADABLE: &[u8] = b"<NA>";

/// So many damaged lists are told, and so much of each.
const MAX_DAMAGED: usize = 1000;
const MAX_KEPT: usize = 4096;
/// A connection that is not made at once goes on in the background (`EINPROGRESS`).
const IN_PROGRESS: i64 = -115;

/// Makes events.
pub(super) struct Emitter {
    pub(super) world: World,
    pub(super) flags: Flags,
    /// Damaged lists: told once the case has begun, which takes the lists.
    damaged: Vec<(Origin, String, Vec<u8>)>,
    started: bool,
    texts: Vec<Vec<u8>>,
}

impl Emitter {
    pub(super) fn new() -> Emitter {
        Emitter {
            world: World::default(),
            flags: Flags::new(),
            damaged: Vec::new(),
            started: false,
            texts: Vec::new(),
        }
    }

    /// Keeps a damaged list until the case has begun.
    pub(super) fn damaged(&mut self, origin: Origin, reason: String, body: &[u8]) {
        if self.damaged.len() < MAX_DAMAGED {
            let kept = body.get(..MAX_KEPT).unwrap_or(body).to_vec();
            self.damaged.push((origin, reason, kept));
        }
    }

    /// Tells of damaged lists.
    pub(super) fn tell(&mut self, ts: u64, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        for (origin, reason, raw) in std::mem::take(&mut self.damaged) {
            sink.bad(origin, ts, &reason, &raw)?;
        }
        Ok(())
    }

    /// Takes over the lists before the first event.
    pub(super) fn start(&mut self, ts: u64, sink: &mut Sink<'_>) {
        if self.world.has_lists() {
            self.world.begin();
        }
        if !self.started {
            self.started = true;
            sink.state(self.world.snapshot(ts));
        }
    }

    /// Takes an event block.
    pub(super) fn event(&mut self, block: &Block<'_>, layout: Layout, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let origin = sink.origin(block.offset, 0);
        let parsed = parse(block.body, layout, block.big);
        if !self.started || self.world.has_lists() {
            self.start(time(&parsed), sink);
        }
        self.tell(time(&parsed), sink)?;
        match parsed {
            Parsed::Event(facts, event) => self.known(facts, &event, block, origin, sink),
            Parsed::Unknown { kind, ts } => sink.unknown(origin, ts, &format!("event type {kind}"), block.body),
            Parsed::Bad(reason) => sink.bad(origin, 0, reason, block.body),
        }
    }

    fn known(
        &mut self,
        facts: &'static EventFacts,
        event: &RawEvent<'_>,
        block: &Block<'_>,
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        if event.kind == GENERIC_END || event.kind == GENERIC_ENTRY {
            return self.generic(facts, event, origin, sink);
        }
        if let Some(plan) = Plans::get().of(event.kind) {
            return self.planned(facts, event, plan, origin, sink);
        }
        let is_entry = event.kind.is_multiple_of(2) && Plans::get().of(event.kind + 1).is_some();
        if is_entry {
            let keeps = Plans::get().of(event.kind + 1).is_some_and(|p| p.needs_enter);
            if let Some(thread) = self.world.meet(event.tid) {
                thread.enter.at(event.kind, event.ts);
                if keeps {
                    thread.enter.keep(event.kind, event.count, event.body);
                }
            }
            return Ok(());
        }
        self.other(facts, event, block, origin, sink)
    }

    /// What is no call and has no event type here.
    fn other(
        &mut self,
        facts: &'static EventFacts,
        event: &RawEvent<'_>,
        block: &Block<'_>,
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let call = Call {
            facts,
            event,
            enter: None,
            latency: None,
        };
        // Since libs 0.21 containers are told by a plugin's asynchronous events.
        if facts.name == "asyncevent"
            && let Some(container) = call.text("data").and_then(super::json::container)
        {
            self.world.learn(container);
        }
        let kind = format!("{} (event type {})", facts.name, event.kind);
        sink.unknown(origin, event.ts, &kind, block.body)
    }

    fn generic(
        &mut self,
        facts: &'static EventFacts,
        event: &RawEvent<'_>,
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let (_, mut enter) = self.thread(event.tid);
        let call = Call {
            facts,
            event,
            enter: entry(&enter, event),
            latency: enter.latency(event.kind, event.ts),
        };
        let kind = Plans::get().generic(call.num("nativeID"), call.num("ID"));
        // An end that never comes: the thread is gone.
        const NEVER_ENDS: [u16; 2] = [60, 231];
        let is_entry = event.kind == GENERIC_ENTRY;
        if is_entry && !kind.is_some_and(|k| NEVER_ENDS.contains(&k.0)) {
            enter.at(event.kind, event.ts);
            enter.keep(event.kind, event.count, event.body);
            if let Some(thread) = self.world.threads.get_mut(&event.tid) {
                thread.enter = enter;
            }
            return Ok(());
        }
        let number = call.num("nativeID").unwrap_or(-1);
        let kind = kind.unwrap_or(EventType::UNKNOWN_SYSCALL);
        let mut args = vec![Arg::None; Plans::get().params(kind)];
        if let (EventType::UNKNOWN_SYSCALL, Some(first)) = (kind, args.first_mut()) {
            *first = Arg::Num(number);
        }
        let out = Event {
            ts: event.ts,
            kind,
            cpu: event.cpu,
            tid: event.tid,
            image: self.world.threads.get(&event.tid).map(|t| &t.image),
            ret: None,
            latency: call.latency,
            fd_num: None,
            fd: None,
            args: &args,
            data: &[],
        };
        sink.event(origin, &out)?;
        self.give_back(event.tid, enter);
        Ok(())
    }

    /// The process of a thread, and the entry that was kept for it: taken out, so that the world can change while it is
    /// looked at. What has no thread (or one too many) is still an event.
    fn thread(&mut self, tid: u32) -> (u32, Enter) {
        match self.world.meet(tid) {
            Some(thread) => (thread.pid, std::mem::take(&mut thread.enter)),
            None => (tid, Enter::default()),
        }
    }

    fn give_back(&mut self, tid: u32, mut enter: Enter) {
        if let Some(thread) = self.world.threads.get_mut(&tid) {
            enter.forget();
            thread.enter = enter;
        }
    }

    fn planned(
        &mut self,
        facts: &'static EventFacts,
        event: &RawEvent<'_>,
        plan: &Plan,
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let (pid, enter) = self.thread(event.tid);
        let call = Call {
            facts,
            event,
            enter: entry(&enter, event),
            latency: enter.latency(event.kind, event.ts),
        };
        let texts = self.texts(&call, plan, pid);
        self.emit(&call, plan, pid, &texts, origin, sink)?;
        self.texts = texts;
        if plan.action == Action::EndProcess {
            self.world.end(event.tid);
        } else if !event.kind.is_multiple_of(2) {
            self.give_back(event.tid, enter);
        } else if let Some(thread) = self.world.threads.get_mut(&event.tid) {
            // A switch, a signal or a page fault ends no call: the thread is still in its own.
            thread.enter = enter;
        }
        Ok(())
    }

    /// The absolute paths and addresses of the parameters, in their places.
    fn texts(&mut self, call: &Call<'_>, plan: &Plan, pid: u32) -> Vec<Vec<u8>> {
        let mut texts = std::mem::take(&mut self.texts);
        if texts.len() < plan.args.len() {
            texts.resize(plan.args.len(), Vec::new());
        }
        for (out, arg) in texts.iter_mut().zip(&plan.args) {
            let Some((slot, form)) = arg else { continue };
            match form {
                Form::Path => self.path(call, *slot, None, pid, out),
                Form::PathAt(dir) => self.path(call, *slot, *dir, pid, out),
                Form::Address { second } => {
                    out.clear();
                    address(call, *slot, *second, out);
                }
                _ => {}
            }
        }
        texts
    }

    fn path(&self, call: &Call<'_>, slot: Slot, dir: Option<Slot>, pid: u32, out: &mut Vec<u8>) {
        out.clear();
        let Some(raw) = call.bytes(slot).map(text).filter(|t| !t.is_empty()) else {
            return;
        };
        if raw == UNREADABLE {
            out.extend_from_slice(raw);
            return;
        }
        let start = dir.and_then(|d| call.number(d)).filter(|fd| *fd != AT_FDCWD);
        let entry = start.and_then(|fd| self.world.fd(pid, i32::try_from(fd).ok()?));
        let cwd = || self.world.threads.get(&call.event.tid).map(|t| t.image.cwd.as_slice());
        let base = match start {
            Some(_) => entry.map_or(&b""[..], |e| e.name.as_slice()),
            None => cwd().unwrap_or_default(),
        };
        resolve_path(b"", base, raw, out);
    }

    fn emit(
        &mut self,
        call: &Call<'_>,
        plan: &Plan,
        pid: u32,
        texts: &[Vec<u8>],
        origin: Origin,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let ret = plan.ret.and_then(|slot| call.number(slot));
        let fd_num = plan.fd.and_then(|slot| i32::try_from(call.number(slot)?).ok());
        let new_fd = ret
            .filter(|r| plan.ret_is_fd && *r >= 0)
            .and_then(|r| i32::try_from(r).ok());
        // What is closed is shown as it was.
        let closed = fd_num
            .filter(|_| plan.action == Action::Close)
            .and_then(|fd| self.world.fd(pid, fd).cloned());
        // A refused connection shows to whom it would have been, and leaves the socket as it was.
        let refused = ret.is_some_and(|r| r < 0 && r != IN_PROGRESS) && plan.action == Action::Connect;
        let before = fd_num
            .filter(|_| refused)
            .and_then(|fd| Some((fd, self.world.fd(pid, fd)?.clone())));
        if plan.action != Action::None {
            let change = Change {
                call,
                tid: call.event.tid,
                pid,
                ts: call.event.ts,
                ret,
                fd: fd_num,
                path: first_path(call, plan, texts),
            };
            self.world.apply(plan.action, &change, &self.flags);
        }
        // The arguments of a program that started are its image's.
        let is_of_image =
            |form: &Form| plan.action == Action::Exec && ret == Some(0) && matches!(form, Form::Text | Form::List);
        let mut args = [Arg::None; 16];
        for ((out, arg), text) in args.iter_mut().zip(&plan.args).zip(texts) {
            *out = arg
                .as_ref()
                .filter(|(_, form)| !is_of_image(form))
                .map_or(Arg::None, |(slot, form)| value(call, *slot, form, text));
        }
        let shown = new_fd.or(fd_num);
        let fd = closed.as_ref().or_else(|| self.world.fd(pid, shown?));
        let thread = self.world.threads.get(&call.event.tid);
        sink.event(
            origin,
            &Event {
                ts: call.event.ts,
                kind: plan.kind,
                cpu: call.event.cpu,
                tid: call.event.tid,
                image: thread.map(|t| &t.image),
                ret,
                latency: call.latency,
                fd_num: shown,
                fd,
                args: args.get(..plan.args.len()).unwrap_or(&args),
                data: plan.data.and_then(|slot| call.bytes(slot)).unwrap_or_default(),
            },
        )?;
        if let Some((fd, entry)) = before {
            self.world.open(pid, fd, entry);
        }
        Ok(())
    }
}

fn time(parsed: &Parsed<'_>) -> u64 {
    match parsed {
        Parsed::Event(_, event) => event.ts,
        Parsed::Unknown { ts, .. } => *ts,
        Parsed::Bad(_) => 0,
    }
}

/// The entry that an event ends, if it is the one that was kept.
fn entry<'a>(enter: &'a Enter, event: &RawEvent<'_>) -> Option<(&'static EventFacts, Params<'a>)> {
    if enter.body.is_empty() || event.kind.checked_sub(1) != Some(enter.kind) {
        return None;
    }
    let facts = Facts::get().event(enter.kind)?;
    let params = Params::parse(&enter.body, enter.count, facts.large, event.params.big)?;
    Some((facts, params))
}

/// The first path of a call: absolute, and as it was given.
fn first_path<'a>(call: &Call<'a>, plan: &Plan, texts: &'a [Vec<u8>]) -> Option<(&'a [u8], &'a [u8])> {
    let paths = plan
        .args
        .iter()
        .zip(texts)
        .filter_map(|(arg, text)| Some((arg.as_ref()?, text)));
    let mut paths = paths.filter(|((_, form), _)| matches!(form, Form::Path | Form::PathAt(_)));
    let ((slot, _), resolved) = paths.next()?;
    let raw = text(call.bytes(*slot)?);
    (!resolved.is_empty()).then_some((resolved.as_slice(), raw))
}

fn value<'a>(call: &Call<'a>, slot: Slot, form: &Form, resolved: &'a [u8]) -> Arg<'a> {
    let number = || call.number(slot);
    match form {
        Form::Number => number().map_or(Arg::None, Arg::Num),
        Form::Mapped(mapping) => number().map_or(Arg::None, |n| Arg::Num(mapping.apply(n as u64) as i64)),
        Form::Open(mapping) => number().map_or(Arg::None, |n| {
            Arg::Num(open_mode(mapping.apply(n as u64), n as u64) as i64)
        }),
        Form::Text => match call.bytes(slot) {
            Some(bytes) if !bytes.is_empty() => Arg::Str(text(bytes)),
            _ => Arg::None,
        },
        Form::List => call.bytes(slot).map_or(Arg::None, Arg::Str),
        Form::Path | Form::PathAt(_) => match call.bytes(slot).map(text) {
            Some(raw) if !raw.is_empty() => Arg::Path { resolved, raw },
            _ => Arg::None,
        },
        Form::Address { .. } if resolved.is_empty() => Arg::None,
        Form::Address { .. } => Arg::Str(resolved),
    }
}

/// Writes an address as text: the second of a tuple's, or the first.
fn address(call: &Call<'_>, slot: Slot, second: bool, out: &mut Vec<u8>) {
    let kind = if slot.kind == Type::Tuple {
        Type::Tuple
    } else {
        Type::Address
    };
    let found = call.bytes(slot).and_then(|b| ends(b, kind, call.event.params.big));
    match found {
        Some(Ends::Inet(first, other)) => {
            let shown = if second { other } else { first };
            out.extend_from_slice(shown.to_string().as_bytes());
        }
        Some(Ends::Unix(path)) => out.extend_from_slice(path),
        None => {}
    }
}
