//! The field catalogue: every field once, with its Falco name, SQL column, type, meaning and accessor.
//!
//! Rules, filters, `%field` output, SQL columns and `docs/fields.md` are all made from this list; a test fails when the
//! page differs. A field belongs to a [`Domain`], which tells how often it has to be computed: once per event type,
//! once per process image, once per open object of a block, or once per event.

mod arguments;
mod artifact;
mod audit;
mod container;
mod docker;
mod event;
mod fd;
mod fs;
mod json;
mod k8s_audit;
mod k8s_containers;
mod latency;
mod lineage;
mod log;
pub mod packed;
mod process;
mod recording;
mod thread;
mod unsupported;
mod user;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use crate::block::Need;
use crate::block::decoded::{Context, Decoded, Dictionaries, EventView, FdView, ImageView};
use crate::event::EventType;
use crate::render;
use crate::schema::EventSpec;

/// What a field's value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// The event's type alone (`evt.type`).
    Kind,
    /// The process image, its ancestors, user and container (`proc.name`, `container.id`).
    Process,
    /// The thread (`thread.tid`).
    Thread,
    /// The open object behind the event's descriptor (`fd.name`).
    Fd,
    /// The event itself (`evt.time`, `evt.arg.flags`, `docker.*`).
    Event,
}

/// What of an event decides about the value of a field of [`Domain::Event`]: events that have that in common have the
/// same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Anything.
    Event,
    /// The CPU.
    Cpu,
    /// Type, result and number of the descriptor.
    Result,
    /// Type of the event and kind of the open object.
    ObjectKind,
    /// The open object, and the container of the process.
    ContainerObject,
    /// Type, result, number of the descriptor, arguments and captured bytes; thread and open object where
    /// [`Basis::has_thread`] and [`Basis::has_object`] say so of the type.
    Arguments,
}

impl Basis {
    /// Of [`Basis::Arguments`], whether the thread belongs to it.
    pub fn has_thread(spec: &EventSpec) -> bool {
        render::shows_process(spec)
    }

    /// Of [`Basis::Arguments`], whether the open object belongs to it.
    pub fn has_object(spec: &EventSpec) -> bool {
        render::shows_object(spec) || fs::is_of_object(spec)
    }
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Truth value.
    Bool,
    /// Signed 64-bit number.
    Int,
    /// Unsigned 64-bit number.
    Uint,
    /// Nanoseconds since the Unix epoch, UTC.
    Timestamp,
    /// Nanoseconds.
    Duration,
    /// Text; bytes that are not UTF-8 are kept.
    Str,
    /// IPv4 or IPv6 address.
    Ip,
    /// Several texts.
    List,
}

/// What may stand in brackets after a field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgRule {
    /// Nothing.
    None,
    /// Nothing or a number (`proc.aname`, `proc.aname[2]`).
    OptionalIndex,
    /// A number or a name; required (`evt.arg[0]`, `evt.arg.flags`, `container.label[x]`).
    Required,
    /// Nothing, a number or a name.
    Optional,
}

/// What stood in brackets (or after the dot of `evt.arg.`) in a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldArg {
    /// Nothing.
    #[default]
    None,
    /// A number.
    Index(u32),
    /// A name.
    Key(String),
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// The field does not exist for this event (Falco prints `<NA>`).
    Absent,
    /// Truth value.
    Bool(bool),
    /// Signed number, duration.
    Int(i64),
    /// Unsigned number, time stamp.
    Uint(u64),
    /// Text or bytes.
    Str(Cow<'a, [u8]>),
    /// Address.
    Ip(IpAddr),
    /// Several texts.
    List(Vec<Cow<'a, [u8]>>),
}

impl<'a> Value<'a> {
    /// A text that is absent when empty.
    pub fn text(s: &'a [u8]) -> Value<'a> {
        if s.is_empty() {
            Value::Absent
        } else {
            Value::Str(Cow::Borrowed(s))
        }
    }

    /// A text made on the spot.
    pub fn owned(s: impl Into<Vec<u8>>) -> Value<'a> {
        Value::Str(Cow::Owned(s.into()))
    }
}

/// Shows a value as Falco prints it in an output line (without escaping: see [`crate::escape`] for terminals).
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Absent => f.write_str("<NA>"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(v) => write!(f, "{v}"),
            Value::Uint(v) => write!(f, "{v}"),
            Value::Str(s) => f.write_str(&String::from_utf8_lossy(s)),
            Value::Ip(ip) => write!(f, "{ip}"),
            Value::List(l) => {
                for (i, s) in l.iter().enumerate() {
                    let space = if i == 0 { "" } else { " " };
                    write!(f, "{space}{}", String::from_utf8_lossy(s))?;
                }
                Ok(())
            }
        }
    }
}

/// How a field's value is computed, by domain.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "one per domain")]
pub enum Getter {
    Kind(fn(&EventSpec) -> Value<'static>),
    Process(for<'a> fn(ImageView<'a>, &FieldArg) -> Value<'a>),
    Thread(for<'a> fn(Context, &'a Dictionaries) -> Value<'a>),
    Fd(for<'a> fn(FdView<'a>, &FieldArg) -> Value<'a>),
    Event(for<'a> fn(EventView<'a>, &FieldArg) -> Value<'a>),
}

/// One field.
pub struct Field {
    /// Falco's name (`proc.name`), or the source's own (`docker.action`, `audit.key`).
    pub name: &'static str,
    /// The SQL column of table `events`; `None` where a column makes no sense (fields with an argument).
    pub column: Option<&'static str>,
    /// Type of the values.
    pub ty: FieldType,
    /// What may stand in brackets.
    pub arg: ArgRule,
    /// One sentence: meaning, unit, source.
    pub doc: &'static str,
    /// The accessor.
    pub get: Getter,
    /// Columns that the accessor reads (beside what its domain implies).
    pub reads: Need,
    /// Whether the accessor looks at an open object's socket alone: objects without one have no value.
    pub of_socket: bool,
    /// What of an event the accessor of an event looks at.
    pub basis: Basis,
}

impl Field {
    /// What the value depends on.
    pub fn domain(&self) -> Domain {
        match self.get {
            Getter::Kind(_) => Domain::Kind,
            Getter::Process(_) => Domain::Process,
            Getter::Thread(_) => Domain::Thread,
            Getter::Fd(_) => Domain::Fd,
            Getter::Event(_) => Domain::Event,
        }
    }

    /// Every column that must be decoded to read this field of an event.
    pub fn needs(&self) -> Need {
        let domain = match self.domain() {
            Domain::Kind => Need::KIND,
            Domain::Process => Need::KIND | Need::CONTEXT | Need::IMAGES,
            Domain::Thread => Need::KIND | Need::CONTEXT,
            Domain::Fd => Need::KIND | Need::FD,
            Domain::Event => Need::KIND,
        };
        domain | self.reads
    }

    /// Every column that must be decoded to read it with an argument.
    pub fn needs_with(&self, arg: &FieldArg) -> Need {
        let bytes =
            matches!(self.name, "evt.arg" | "evt.rawarg") && matches!(arg, FieldArg::Key(key) if key == render::DATA);
        if bytes { self.needs() | Need::DATA } else { self.needs() }
    }

    /// Whether an event of a type may have a value. Certain only where the answer is no.
    pub fn may_have(&self, spec: &EventSpec) -> bool {
        let is = |types: &[EventType]| types.contains(&spec.id);
        match self.name.split_once('.') {
            Some(("docker", _)) => is(&[EventType::DOCKER]),
            Some(("audit", _)) => is(&[EventType::AUDIT]),
            Some(("ka", _)) => is(&[EventType::K8S_AUDIT]),
            Some(("log", _)) => is(&[EventType::CONTAINER_LOG, EventType::LOG]),
            Some(("fs", _)) => fs::has_paths(spec),
            _ => true,
        }
    }

    /// Whether no event of a block has a value, as far as that can be told without looking at events.
    pub fn is_absent(&self, block: &Decoded) -> bool {
        match self.reads {
            Need::DATA => block.data_bytes.is_empty(),
            Need::ORIGIN => block.origins.is_empty(),
            Need::LATENCY => block.latency.is_empty(),
            _ => false,
        }
    }

    /// What of an event decides about the value.
    pub fn basis(&self) -> Basis {
        let of_arguments = self.domain() == Domain::Event && Need::ARGS.contains(self.reads);
        match self.basis {
            Basis::Event if of_arguments && self.reads != Need::NOTHING => Basis::Arguments,
            basis => basis,
        }
    }

    /// The field's value for an event; its columns must have been decoded ([`Field::needs`]).
    pub fn of<'a>(&self, event: EventView<'a>, arg: &FieldArg) -> Value<'a> {
        match self.get {
            Getter::Kind(get) => event.spec().map_or(Value::Absent, get),
            Getter::Process(get) => event.image().map_or(Value::Absent, |i| get(i, arg)),
            Getter::Thread(get) => event.context().map_or(Value::Absent, |c| get(c, &event.block.dict)),
            Getter::Fd(get) => event.fd().map_or(Value::Absent, |f| get(f, arg)),
            Getter::Event(get) => get(event, arg),
        }
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({})", self.name)
    }
}

/// Every field, grouped as in the reference page.
pub fn all() -> impl Iterator<Item = &'static Field> {
    GROUPS.iter().flat_map(|(_, fields)| *fields)
}

/// The fields by group, with a title for each.
pub const GROUPS: &[(&str, &[Field])] = &[
    ("Event", event::FIELDS),
    ("Latency", latency::FIELDS),
    ("Arguments", arguments::FIELDS),
    ("Path", fs::FIELDS),
    ("Process", process::FIELDS),
    ("Parent, ancestors, session", lineage::FIELDS),
    ("Thread", thread::FIELDS),
    ("User and group", user::FIELDS),
    ("Open object", fd::FIELDS),
    ("Container", container::FIELDS),
    ("Docker", docker::FIELDS),
    ("Audit", audit::FIELDS),
    ("Kubernetes audit", k8s_audit::FIELDS),
    ("Kubernetes audit: further fields", k8s_containers::FIELDS),
    ("Kubernetes audit: init containers of a pod", k8s_containers::OF_INIT),
    (
        "Kubernetes audit: ephemeral containers of a pod",
        k8s_containers::OF_EPHEMERAL,
    ),
    ("JSON of Docker, Kubernetes audit and log events", json::FIELDS),
    ("Container log and other logs", log::FIELDS),
    ("Artifact", artifact::FIELDS),
    ("Recording", recording::FIELDS),
];

/// The field of that name (without brackets).
pub fn find(name: &str) -> Option<&'static Field> {
    static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Field>> =
        LazyLock::new(|| all().map(|f| (f.name, f)).collect());
    BY_NAME.get(name).copied()
}

/// Why ctrace cannot know a field that Falco has; `None` for a name that Falco does not have either.
pub fn find_unsupported(name: &str) -> Option<&'static str> {
    unsupported::FIELDS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, why)| *why)
}

/// Falco's fields that ctrace cannot know, with the reason.
pub fn all_unsupported() -> &'static [(&'static str, &'static str)] {
    unsupported::FIELDS
}

// One declaration is one call of these: name, SQL column, type, meaning, accessor.

const fn field(name: &'static str, column: &'static str, ty: FieldType, doc: &'static str, get: Getter) -> Field {
    Field {
        name,
        column: Some(column),
        ty,
        arg: ArgRule::None,
        doc,
        get,
        reads: Need::NOTHING,
        of_socket: false,
        basis: Basis::Event,
    }
}

impl Field {
    /// With brackets; has no column unless they may be left out.
    const fn with(mut self, arg: ArgRule) -> Field {
        if matches!(arg, ArgRule::Required) {
            self.column = None;
        }
        self.arg = arg;
        self
    }

    /// Reads these columns.
    const fn reading(mut self, need: Need) -> Field {
        self.reads = need;
        self
    }

    /// Looks at an open object's socket alone.
    const fn of_socket(mut self) -> Field {
        self.of_socket = true;
        self
    }

    /// Looks at so much of an event.
    const fn based_on(mut self, basis: Basis) -> Field {
        self.basis = basis;
        self
    }

    /// Has no column of its own: another one says the same.
    const fn no_column(mut self) -> Field {
        self.column = None;
        self
    }
}
