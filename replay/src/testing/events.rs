//! Events that a test holds itself, by the names of Falco's fields, and the block that is made of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockBuilder, Compressor, Decoder, Need};
use ctrace_trace::event::{Arg, Event};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::schema::{EventSpec, ParamKind, Schema};

use super::document::{Read, Reader};
use super::field;
use super::process::{Lineage, Set};
use crate::calendar;
use crate::source::Origin;
use crate::yaml::{Kind, NodeId};

/// Time of the first event: 2025-01-01T00:00:00Z.
const START: u64 = 1_735_689_600_000_000_000;
/// What lies between two events that do not say when they are.
const STEP: u64 = 1_000_000;
/// A test may hold so many events.
const MAX_EVENTS: usize = 10_000;

/// Events of a test, ready to be replayed.
#[derive(Debug)]
pub struct InlineEvents {
    block: Box<Decoded>,
}

impl InlineEvents {
    /// The block that they make.
    pub fn block(&self) -> &Decoded {
        &self.block
    }
}

impl Reader<'_> {
    /// Makes the events of a list.
    pub(super) fn events(&self, list: NodeId) -> Read<InlineEvents> {
        let origin = self.origin(list);
        let Some(Kind::Seq(items)) = self.yaml.node(list).map(|n| &n.kind) else {
            return Err((origin, "'events' is a list".to_owned()));
        };
        if items.is_empty() || items.len() > MAX_EVENTS {
            return Err((origin, format!("'events' holds one to {MAX_EVENTS} events")));
        }
        let mut maker = Maker {
            builder: BlockBuilder::new(Schema::current()),
            ids: 0,
            now: START,
        };
        for item in items {
            maker.event(self, *item)?;
        }
        let made = maker.builder.finish(0, [0; 32], &mut Compressor::new(1));
        let mut block = Decoded::default();
        let decoded = made.and_then(|b| {
            let (head, body, schema) = (&b.head, &b.body, Schema::current());
            Decoder::new().decode(head, body, &schema, Need::ALL, &mut block)
        });
        match decoded {
            Ok(()) => Ok(InlineEvents { block: Box::new(block) }),
            Err(e) => Err((origin, format!("the events make no block: {e}"))),
        }
    }
}

struct Maker {
    builder: BlockBuilder,
    ids: u64,
    now: u64,
}

/// What an event's fields said so far.
struct Draft<'a> {
    spec: &'a EventSpec,
    args: Vec<Option<&'a str>>,
    lineage: Lineage,
    fd: Descriptor<'a>,
    ret: Option<i64>,
    latency: Option<u64>,
    tid: Option<u32>,
    ts: u64,
    data: &'a [u8],
}

impl Maker {
    fn event(&mut self, reader: &Reader<'_>, item: NodeId) -> Read<()> {
        let origin = reader.origin(item);
        let Some(Kind::Map(pairs)) = reader.yaml.node(item).map(|n| &n.kind) else {
            return Err((origin, "an event maps fields to values".to_owned()));
        };
        let schema = Schema::current();
        let kind = reader.yaml.get(item, "evt.type").and_then(|v| reader.yaml.scalar(v));
        let (kind, at) = kind.ok_or((origin, "'evt.type' is missing".to_owned()))?;
        let spec = schema
            .by_name(kind)
            .next()
            .ok_or((at, format!("unknown event type '{kind}'")))?;
        let mut draft = Draft {
            spec,
            args: vec![None; spec.params.len()],
            lineage: Lineage::default(),
            fd: Descriptor::default(),
            ret: spec.has_ret.then_some(0),
            latency: None,
            tid: None,
            ts: self.now + STEP,
            data: b"",
        };
        for (key, value) in pairs {
            let (Some((name, at)), Some(value)) = (reader.yaml.scalar(*key), reader.text_of(*value)) else {
                return Err((origin, "an event maps fields to single values".to_owned()));
            };
            draft.set(name, value).map_err(|message| (at, message))?;
        }
        self.push(draft, origin)
    }

    fn push(&mut self, draft: Draft<'_>, origin: Origin) -> Read<()> {
        self.now = draft.ts;
        let image = draft.lineage.finish(&mut self.ids);
        self.ids += 1;
        let fd = draft.fd.finish(self.ids).map_err(|message| (origin, message))?;
        let mut args = Vec::with_capacity(draft.args.len());
        for (param, text) in draft.spec.params.iter().zip(&draft.args) {
            args.push(match (text, param.kind) {
                (None, _) => Arg::None,
                (Some(text), ParamKind::Path) => Arg::Path {
                    resolved: text.as_bytes(),
                    raw: text.as_bytes(),
                },
                (Some(text), kind) if kind.is_num() => Arg::Num(
                    field::parameter(kind, text)
                        .ok_or_else(|| (origin, format!("evt.arg.{} is no number or name: '{text}'", param.name)))?,
                ),
                (Some(text), _) => Arg::Str(text.as_bytes()),
            });
        }
        // Where the result is a descriptor, it is that of the object.
        let fd_num = fd.as_ref().map(|(num, _)| *num);
        let ret = match (draft.spec.ret_is_fd(), fd_num, draft.ret) {
            (true, Some(num), Some(0)) => Some(i64::from(num)),
            (_, _, ret) => ret,
        };
        let event = Event {
            ts: draft.ts,
            kind: draft.spec.id,
            cpu: 0,
            tid: draft.tid.unwrap_or_else(|| image.as_ref().map_or(0, |i| i.pid)),
            image: image.as_ref(),
            ret,
            latency: draft.latency,
            fd_num,
            fd: fd.as_ref().map(|(_, entry)| entry),
            args: &args,
            data: draft.data,
        };
        self.builder.push(&event).map_err(|e| (origin, e.to_string()))
    }
}

impl<'a> Draft<'a> {
    fn set(&mut self, name: &'a str, value: &'a str) -> Result<(), String> {
        let argument = name
            .strip_prefix("evt.arg.")
            .or_else(|| name.strip_prefix("evt.rawarg."))
            .or_else(|| name.strip_prefix("evt.arg[").and_then(|n| n.strip_suffix(']')));
        if let Some(argument) = argument {
            let found = self.spec.param(argument);
            let slot = found.and_then(|at| self.args.get_mut(at));
            let what = || format!("{} has no argument '{argument}'", self.spec.name);
            *slot.ok_or_else(what)? = Some(value);
            return Ok(());
        }
        let wrong = |wanted: &str| Err(format!("'{name}' is {wanted}, not '{value}'"));
        match name {
            "evt.type" => {}
            "evt.res" | "evt.rawres" => match field::result(value) {
                Some(ret) => self.ret = Some(ret),
                None => return wrong("a number or the name of an error"),
            },
            "evt.latency" => match value.parse() {
                Ok(ns) => self.latency = Some(ns),
                Err(_) => return wrong("a number of nanoseconds"),
            },
            "evt.reltime" => match calendar::parse_span(value) {
                Some(ns) if ns < START => self.ts = START + ns,
                _ => return wrong("a time since the first event such as 5s"),
            },
            "evt.buffer" => self.data = value.as_bytes(),
            "thread.tid" => match value.parse() {
                Ok(tid) => self.tid = Some(tid),
                Err(_) => return wrong("a number"),
            },
            _ if name.starts_with("fd.") => return self.fd.set(name, value),
            _ => match self.lineage.set(name, value) {
                Set::Done => {}
                Set::Wrong(wanted) => return wrong(wanted),
                Set::Other => return Err(format!("the field '{name}' cannot be set in a test")),
            },
        }
        Ok(())
    }
}

/// The open object of an event.
#[derive(Default)]
struct Descriptor<'a> {
    set: bool,
    num: Option<i32>,
    name: &'a str,
    kind: Option<FdKind>,
    flags: u32,
    protocol: Option<u8>,
    client: (Option<IpAddr>, u16),
    server: (Option<IpAddr>, u16),
    is_server: bool,
}

impl<'a> Descriptor<'a> {
    fn set(&mut self, name: &str, value: &'a str) -> Result<(), String> {
        self.set = true;
        let wrong = |wanted: &str| format!("'{name}' is {wanted}, not '{value}'");
        let port = || value.parse::<u16>().map_err(|_| wrong("a port"));
        let address = || value.parse::<IpAddr>().map_err(|_| wrong("an address"));
        match name {
            "fd.num" => self.num = Some(value.parse().map_err(|_| wrong("a number"))?),
            "fd.name" => self.name = value,
            "fd.type" => {
                let found = (0..=u8::MAX).map(FdKind::from_u8).find(|k| k.type_name() == value);
                self.kind = Some(found.ok_or_else(|| wrong("a type such as file, directory, ipv4, unix"))?);
            }
            "fd.typechar" => {
                let found = (0..=u8::MAX)
                    .map(FdKind::from_u8)
                    .find(|k| [k.type_char()] == value.as_bytes());
                self.kind = Some(found.ok_or_else(|| wrong("a type's letter"))?);
            }
            "fd.openflags" => self.flags = value.parse().map_err(|_| wrong("a number"))?,
            "fd.l4proto" => {
                self.protocol = Some(match value {
                    "tcp" => 6,
                    "udp" => 17,
                    "icmp" => 1,
                    _ => return Err(wrong("tcp, udp or icmp")),
                });
            }
            "fd.cip" => self.client.0 = Some(address()?),
            "fd.sip" => self.server.0 = Some(address()?),
            "fd.cport" => self.client.1 = port()?,
            "fd.sport" => self.server.1 = port()?,
            "fd.is_server" => self.is_server = field::boolean(value).ok_or_else(|| wrong("true or false"))?,
            _ => return Err(format!("the field '{name}' cannot be set in a test")),
        }
        Ok(())
    }

    fn finish(self, id: u64) -> Result<Option<(i32, Arc<FdEntry>)>, String> {
        if !self.set {
            return Ok(None);
        }
        let ends = self.client.0.is_some() || self.server.0.is_some();
        let socket = ends.then(|| self.socket()).transpose()?;
        let kind = self.kind.unwrap_or(match socket {
            Some(s) if s.local.is_ipv4() => FdKind::Ipv4,
            Some(_) => FdKind::Ipv6,
            None => FdKind::File,
        });
        let entry = FdEntry {
            id,
            kind,
            name: self.name.as_bytes().to_vec(),
            name_raw: Vec::new(),
            open_flags: self.flags,
            dev: 0,
            ino: 0,
            socket,
        };
        Ok(Some((self.num.unwrap_or(3), Arc::new(entry))))
    }

    fn socket(&self) -> Result<Socket, String> {
        let known = self.server.0.or(self.client.0).ok_or("no address")?;
        let unspecified: IpAddr = if known.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let end = |(ip, port): (Option<IpAddr>, u16)| SocketAddr::new(ip.unwrap_or(unspecified), port);
        let (client, server) = (end(self.client), end(self.server));
        if client.is_ipv4() != server.is_ipv4() {
            return Err("fd.cip and fd.sip are of different families".to_owned());
        }
        let (role, local, remote) = match self.is_server {
            true => (Role::Server, server, client),
            false => (Role::Client, client, server),
        };
        Ok(Socket {
            protocol: self.protocol.unwrap_or(6),
            role,
            local,
            remote,
        })
    }
}
