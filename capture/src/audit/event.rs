//! One audit event: all records of a stamp, and what they say together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use ctrace_trace::audit::{ENRICHED, Field, Record, RecordType, Stamp, Value, fields};
use memchr::memmem::Finder;

use super::actor::Actor;
use crate::import::Origin;

/// Longest text of an event; an execve with two megabytes of arguments has more and is cut, at whole records.
pub const MAX_RAW: usize = 1 << 20;

/// Room for the records of most events: beyond it their text is moved as it grows.
const USUAL_RAW: usize = 1024;

/// More than stands before the stamp of a record.
const LONGEST_HEAD: usize = 64;

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

/// An event that is handed on by its address: it is large.
pub type BoxedEvent = Box<AuditEvent>;

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

/// What is being learned from the fields of a record.
struct Lesson {
    /// It says who acted.
    tells: bool,
    is_detail: bool,
    /// It is believed before others.
    is_best: bool,
    call: Option<Syscall>,
    is_named: bool,
}

impl AuditEvent {
    /// Makes it an event without records yet. Memory of the event that it was is used again.
    pub(crate) fn begin(&mut self, stamp: &Stamp<'_>, origin: Origin) {
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
        if !self.begin_line(record.kind, line.len()) {
            return;
        }
        self.raw.extend_from_slice(line);
        let Some(mut lesson) = self.lesson(record.kind, record.body) else {
            return;
        };
        for field in fields(record.body) {
            self.learn_field(&mut lesson, &field);
        }
        if lesson.tells || lesson.call.is_some() {
            for field in fields(record.enriched) {
                self.learn_enriched(&mut lesson, field);
            }
        }
        self.end_lesson(lesson);
    }

    /// Adds a record of which nobody made a line, and makes that: `stamp` is what stands between the type and the text,
    /// which has no control characters. What `user` calls the users in it is put behind it, as auditd does.
    pub(crate) fn add_text<'u>(
        &mut self,
        kind: RecordType,
        [stamp, text]: [&[u8]; 2],
        user: impl Fn(&[u8]) -> Option<&'u str>,
    ) {
        static USER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("uid="));
        if !self.begin_line(kind, LONGEST_HEAD + stamp.len() + text.len()) {
            return;
        }
        self.raw.extend_from_slice(b"type=");
        self.raw.extend_from_slice(name_of(kind).as_bytes());
        self.raw.extend_from_slice(stamp);
        self.raw.extend_from_slice(text);
        let mut lesson = self.lesson(kind, text);
        // Of most records that nothing is learned from none has a user.
        if lesson.is_none() && USER.find(text).is_none() {
            return;
        }
        let mut separator = ENRICHED;
        // Most users of a record are the same.
        let mut known: Option<(&[u8], Option<&str>)> = None;
        for field in fields(text) {
            if let Some(lesson) = &mut lesson {
                self.learn_field(lesson, &field);
            }
            if !field.name.ends_with(b"uid") {
                continue;
            }
            let id = field.value.text();
            let (_, named) = *known
                .filter(|(same, _)| *same == id)
                .get_or_insert_with(|| (id, user(id)));
            known = Some((id, named));
            if let Some(named) = named.filter(|user| self.has_room(field.name.len() + user.len())) {
                let tells = lesson.as_ref().is_some_and(|lesson| lesson.tells);
                self.add_user([&[separator], field.name, named.as_bytes()], tells);
                separator = b' ';
            }
        }
        if let Some(lesson) = lesson {
            self.end_lesson(lesson);
        }
    }

    /// Writes a separator and the name of a field's user behind a record, and learns it where that `tells` who acted.
    fn add_user(&mut self, [separator, field, user]: [&[u8]; 3], tells: bool) {
        self.raw.extend_from_slice(separator);
        let start = self.raw.len();
        self.raw.extend_from_slice(field);
        let name = self.raw.get_mut(start..).unwrap_or_default();
        name.make_ascii_uppercase();
        if tells {
            self.actor.learn_enriched(name, Value::Quoted(user));
        }
        self.raw.extend_from_slice(b"=\"");
        self.raw.extend_from_slice(user);
        self.raw.push(b'"');
    }

    fn has_room(&self, len: usize) -> bool {
        self.raw.len() + len < MAX_RAW - 4
    }

    /// Begins a line of so many bytes at most, where there is room for it.
    fn begin_line(&mut self, kind: RecordType, len: usize) -> bool {
        if self.raw.len() + len >= MAX_RAW {
            self.cut_records = self.cut_records.saturating_add(1);
            return false;
        }
        if self.types.is_empty() {
            self.raw.reserve(if kind.is_single() { len } else { USUAL_RAW });
        } else {
            self.raw.push(b'\n');
        }
        self.types.push(kind);
        true
    }

    /// What is to be learned from the fields of a record, where anything is.
    fn lesson(&mut self, kind: RecordType, body: &[u8]) -> Option<Lesson> {
        let tells = self.actor.is_told_by(kind);
        if kind == RecordType::CWD {
            let cwd = fields(body).find(|f| f.name == b"cwd");
            self.actor.cwd = cwd.and_then(|f| self.actor.keep(&f.value.decoded()));
            return None;
        }
        let is_detail = kind.is_detail();
        // What seccomp stopped is a call too, which its own record tells of where rules do not.
        let is_call = kind == RecordType::SYSCALL || kind == RecordType::SECCOMP && self.syscall.is_none();
        let call = is_call.then(|| Syscall {
            number: u32::MAX,
            ..Syscall::default()
        });
        (tells || !is_detail).then_some(Lesson {
            tells,
            is_detail,
            is_best: kind == RecordType::SYSCALL,
            call,
            is_named: false,
        })
    }

    /// Learns from a field what it says of the event, who acted and the call: each field is read once, and not copied,
    /// since what was just written in parts is read late.
    #[inline]
    fn learn_field(&mut self, lesson: &mut Lesson, field: &Field<'_>) {
        if lesson.tells {
            self.actor.learn(field);
        }
        if !lesson.is_detail {
            self.learn(lesson.is_best, field);
        }
        if let Some(call) = &mut lesson.call {
            call.learn(field);
        }
    }

    /// The same from what auditd added.
    fn learn_enriched(&mut self, lesson: &mut Lesson, field: Field<'_>) {
        if lesson.tells {
            self.actor.learn_enriched(field.name, field.value);
        }
        if let Some(call) = &mut lesson.call
            && field.name == b"SYSCALL"
            && !std::mem::replace(&mut lesson.is_named, true)
        {
            let name = Some(field.value.text()).filter(|n| !n.starts_with(b"unknown"));
            call.name = name.map(|n| String::from_utf8_lossy(n).into_owned());
        }
    }

    fn end_lesson(&mut self, lesson: Lesson) {
        if lesson.call.is_some() {
            self.syscall = lesson.call;
        }
    }

    /// Takes over what the event's other fields are made of. A syscall record knows best who acted; the others are
    /// believed where it says nothing, the earlier first.
    fn learn(&mut self, best: bool, field: &Field<'_>) {
        let value = field.value;
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
    fn learn(&mut self, field: &Field<'_>) {
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
