//! One audit event: all records of a stamp, and what they say together.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ctrace_trace::audit::{Field, Record, RecordType, Stamp, fields};

use super::actor::Actor;
use crate::import::Origin;

/// Longest text of an event; an execve with two megabytes of arguments has more and is cut, at whole records.
pub const MAX_RAW: usize = 1 << 20;

/// Room for the records of most events: beyond it their text is moved as it grows.
const USUAL_RAW: usize = 1024;

/// Room for the names of the types of most events.
const USUAL_NAMES: usize = 64;

/// All records of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEvent {
    /// When: nanoseconds since the Unix epoch. The kernel gives milliseconds, on its clock tick.
    pub ts_ns: u64,
    /// The event's number; with the time (and node) it is unique.
    pub serial: u64,
    /// The machine, in collected logs; empty otherwise.
    pub node: Vec<u8>,
    /// The types of its records, in the order of arrival.
    pub types: Vec<RecordType>,
    /// The keys of the rules that matched, in order, each once.
    pub keys: Vec<Vec<u8>>,
    /// The system call, where there is one.
    pub syscall: Option<Syscall>,
    /// Whether what was tried succeeded, where the records say so.
    pub success: Option<bool>,
    /// The process that acted.
    pub pid: Option<u32>,
    /// Its login uid; `u32::MAX` when unset.
    pub auid: Option<u32>,
    /// The file that it executed, as it was named in its own mount namespace.
    pub exe: Vec<u8>,
    /// The records as they came, one a line.
    pub raw: Vec<u8>,
    /// Records that are missing in `raw`, because the event is longer than [`MAX_RAW`].
    pub cut_records: u32,
    /// Where its first record stood, in a file.
    pub origin: Origin,
    /// What they say of the process that acted.
    pub(crate) actor: Actor,
}

/// A system call as an audit record names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Syscall {
    /// `AUDIT_ARCH_…` (`linux/audit.h`): `0xc000003e` is x86_64, `0x40000003` i386.
    pub arch: u32,
    /// Its number there.
    pub number: u32,
    /// Its name, where auditd's enriched format gives it.
    pub name: Option<String>,
}

impl AuditEvent {
    /// Makes it an event without records yet. Memory of the event that it was is used again.
    pub(super) fn begin(&mut self, stamp: &Stamp<'_>, origin: Origin) {
        self.ts_ns = stamp.ts_ns;
        self.serial = stamp.serial;
        self.node.clear();
        self.node.extend_from_slice(stamp.node);
        self.types.clear();
        self.keys.clear();
        self.syscall = None;
        self.success = None;
        self.pid = None;
        self.auid = None;
        self.exe.clear();
        self.raw.clear();
        self.cut_records = 0;
        self.origin = origin;
        self.actor.clear();
    }

    /// How much memory its texts have.
    pub(super) fn capacity(&self) -> usize {
        let node = self.node.capacity();
        self.raw.capacity() + self.exe.capacity() + self.actor.capacity() + self.types.capacity() + node
    }

    /// Adds a record, whose line is kept as it is.
    pub(super) fn add(&mut self, record: &Record<'_>, line: &[u8]) {
        if self.raw.len() + line.len() >= MAX_RAW {
            self.cut_records = self.cut_records.saturating_add(1);
            return;
        }
        if self.types.is_empty() {
            self.raw
                .reserve(if record.kind.is_single() { line.len() } else { USUAL_RAW });
        } else {
            self.raw.push(b'\n');
        }
        self.raw.extend_from_slice(line);
        self.types.push(record.kind);
        let tells = self.actor.is_told_by(record.kind);
        if record.kind == RecordType::CWD {
            let cwd = fields(record.body).find(|f| f.name == b"cwd");
            self.actor.cwd = cwd.and_then(|f| self.actor.keep(&f.value.decoded()));
        } else if tells || !record.kind.is_detail() {
            self.learn_record(record, tells);
        }
    }

    /// Reads the fields of a record, once for all that is learned from them. `tells`: it says who acted.
    fn learn_record(&mut self, record: &Record<'_>, tells: bool) {
        let is_detail = record.kind.is_detail();
        // What seccomp stopped is a call too, which its own record tells of where rules do not.
        let is_call =
            record.kind == RecordType::SYSCALL || record.kind == RecordType::SECCOMP && self.syscall.is_none();
        let mut call = Syscall {
            number: u32::MAX,
            ..Syscall::default()
        };
        for field in fields(record.body) {
            if tells {
                self.actor.learn(field);
            }
            if !is_detail {
                self.learn(record.kind, field);
            }
            if is_call {
                call.learn(field);
            }
        }
        if !tells && !is_call {
            return;
        }
        let mut name = None;
        for field in fields(record.enriched) {
            if tells {
                self.actor.learn_enriched(field);
            }
            if field.name == b"SYSCALL" {
                name.get_or_insert(field.value.text());
            }
        }
        if is_call {
            let known = name.filter(|n| !n.starts_with(b"unknown"));
            call.name = known.map(|n| String::from_utf8_lossy(n).into_owned());
            self.syscall = Some(call);
        }
    }

    /// Takes over what the event's other fields are made of. A syscall record knows best who acted; the others are
    /// believed where it says nothing, the earlier first.
    fn learn(&mut self, kind: RecordType, field: Field<'_>) {
        let value = field.value;
        let best = kind == RecordType::SYSCALL;
        let number = || u32::try_from(value.number()?).ok();
        match field.name {
            b"key" if !value.is_absent() => self.add_keys(&value.decoded()),
            b"pid" => prefer(&mut self.pid, number(), best),
            b"auid" => prefer(&mut self.auid, number(), best),
            b"success" | b"res" | b"result" => prefer(&mut self.success, truth(value.text()), best),
            b"exe" if best || self.exe.is_empty() => {
                self.exe.clear();
                self.exe.extend_from_slice(&value.decoded());
            }
            _ => {}
        }
    }

    /// Several keys of one rule are joined by a byte 1.
    fn add_keys(&mut self, joined: &[u8]) {
        for key in joined.split(|b| *b == 1).filter(|k| !k.is_empty()) {
            if !self.keys.iter().any(|k| k == key) {
                self.keys.push(key.to_vec());
            }
        }
    }

    /// The records, as far as they can be read again.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records_of(|_| true)
    }

    /// The records of some types; the others are not read again.
    pub fn records_of(&self, wanted: impl Fn(RecordType) -> bool) -> impl Iterator<Item = Record<'_>> {
        let stamp = Stamp {
            ts_ns: self.ts_ns,
            serial: self.serial,
            node: &self.node,
        };
        // One line for each type.
        let ends = memchr::memchr_iter(b'\n', &self.raw).chain([self.raw.len()]);
        let lines = self.types.iter().zip(ends).scan(0, |start, (kind, end)| {
            let line = self.raw.get(*start..end);
            *start = end + 1;
            Some((*kind, line))
        });
        lines
            .filter(move |(kind, _)| wanted(*kind))
            .filter_map(move |(kind, line)| Record::parse_again(line?, stamp, kind))
    }

    /// The names of its record types, each once, in the order of arrival.
    pub fn type_names(&self) -> Vec<Cow<'static, str>> {
        self.distinct_types().map(name_of).collect()
    }

    /// The same with a comma between names.
    pub(super) fn joined_types(&self) -> String {
        // Most have a few names of a few letters.
        let mut joined = String::with_capacity(USUAL_NAMES);
        for kind in self.distinct_types() {
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(&name_of(kind));
        }
        joined
    }

    fn distinct_types(&self) -> impl Iterator<Item = RecordType> {
        let earlier = |at: usize| self.types.get(..at).unwrap_or_default();
        let each = self.types.iter().enumerate();
        each.filter(move |(at, kind)| !earlier(*at).contains(kind))
            .map(|(_, kind)| *kind)
    }

    /// The arguments of its execve; an argument that came in pieces (`a1[0]=`, `a1[1]=`, …) is whole again.
    pub fn exec_args(&self) -> Vec<Vec<u8>> {
        let mut args: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for (number, value) in self.exec_pieces() {
            args.entry(number).or_default().extend_from_slice(&value);
        }
        args.into_values().collect()
    }

    /// The same with a NUL between arguments.
    pub(crate) fn exec_line(&self) -> Vec<u8> {
        let (mut line, mut last) = (Vec::new(), None);
        for (number, value) in self.exec_pieces() {
            if last.is_some_and(|last| number < last) {
                // In no order, which the kernel does not write.
                return self.exec_args().join(&0);
            }
            if last.is_some_and(|last| number > last) {
                line.push(0);
            }
            line.extend_from_slice(&value);
            last = Some(number);
        }
        line
    }

    fn exec_pieces(&self) -> impl Iterator<Item = (u32, Cow<'_, [u8]>)> {
        let records = self.records_of(|kind| kind == RecordType::EXECVE);
        let all = records.flat_map(|record| fields(record.body));
        all.filter_map(|field| Some((argument_number(field.name)?, field.value.decoded())))
    }
}

impl Syscall {
    fn learn(&mut self, field: Field<'_>) {
        let value = field.value;
        match field.name {
            b"arch" => self.arch = value.hex_number().and_then(|n| n.try_into().ok()).unwrap_or(0),
            b"syscall" => self.number = value.number().and_then(|n| n.try_into().ok()).unwrap_or(u32::MAX),
            _ => {}
        }
    }
}

fn name_of(kind: RecordType) -> Cow<'static, str> {
    kind.name().map_or_else(|| kind.to_string().into(), Cow::Borrowed)
}

/// `a7` and `a7[3]`, but not `a7_len`.
fn argument_number(name: &[u8]) -> Option<u32> {
    let name = name.strip_prefix(b"a")?;
    // Quicker than a number in general.
    if let [digit @ b'0'..=b'9'] = name {
        return Some(u32::from(digit - b'0'));
    }
    std::str::from_utf8(name).ok()?.split('[').next()?.parse().ok()
}

fn prefer<T>(known: &mut Option<T>, new: Option<T>, best: bool) {
    if new.is_some() && (best || known.is_none()) {
        *known = new;
    }
}

fn truth(text: &[u8]) -> Option<bool> {
    match text {
        b"yes" | b"success" | b"1" => Some(true),
        b"no" | b"failed" | b"0" => Some(false),
        _ => None,
    }
}
