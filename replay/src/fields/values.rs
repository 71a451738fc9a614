//! What is known of a field's values beforehand: their type, which decides which operators and constants fit, how many there
//! are, and what they depend on.

use ctrace_trace::catalogue::{Domain, Field, FieldArg, FieldType};

/// The type of a field's values as comparisons see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Text or a path; need not be UTF-8.
    Str,
    /// Signed number.
    Int,
    /// Unsigned number; durations and times in nanoseconds are among them.
    Uint,
    Bool,
    /// An address.
    Ip,
    /// An address that is compared with networks.
    Net,
    /// A port number, which may be given by service name.
    Port,
    /// Captured bytes.
    Bytes,
}

impl Type {
    /// That of a field of the catalogue.
    pub(super) fn of(field: &Field) -> Type {
        match field.ty {
            FieldType::Bool => Type::Bool,
            FieldType::Int => Type::Int,
            FieldType::Uint if matches!(field.name, "fd.cport" | "fd.sport" | "fd.lport" | "fd.rport") => Type::Port,
            FieldType::Uint | FieldType::Timestamp | FieldType::Duration => Type::Uint,
            FieldType::Ip => Type::Ip,
            FieldType::List if field.name == "proc.apid" => Type::Int,
            FieldType::Str | FieldType::List if field.name == "evt.buffer" => Type::Bytes,
            FieldType::Str | FieldType::List => Type::Str,
        }
    }

    /// The word for it in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Str => "text",
            Type::Int | Type::Uint => "a number",
            Type::Bool => "a boolean",
            Type::Ip => "an address",
            Type::Net => "a network",
            Type::Port => "a port",
            Type::Bytes => "bytes",
        }
    }
}

/// How many values there are at an event, and how a comparison treats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// At most one.
    One,
    /// Several; a comparison holds when it holds for one of them: `proc.aname` without an index, `audit.key`.
    Any,
    /// Both ends of a socket; as [`Arity::Any`], but `!=` must hold for both: `fd.ip`.
    Ends,
    /// A list made by a transformer; `in` wants every element in the set, `intersects` one of them.
    List,
}

impl Arity {
    /// That of a field of the catalogue with an argument.
    pub(super) fn of(field: &Field, arg: &FieldArg) -> Arity {
        let several = field.ty == FieldType::List && *arg == FieldArg::None;
        if several { Arity::Any } else { Arity::One }
    }
}

/// The narrowest thing that a value depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    /// Nothing: constants.
    Constant,
    /// The event's type alone.
    Kind,
    /// The acting process image.
    Process,
    /// The open object.
    Fd,
    /// The single event.
    Row,
}

impl Scope {
    /// That of a field that belongs there.
    pub(super) fn of(domain: Domain) -> Scope {
        match domain {
            Domain::Kind => Scope::Kind,
            Domain::Process => Scope::Process,
            Domain::Fd => Scope::Fd,
            Domain::Thread | Domain::Event => Scope::Row,
        }
    }

    /// The narrowest scope that covers both.
    pub(crate) fn join(self, other: Scope) -> Scope {
        match (self, other) {
            (Scope::Constant, s) | (s, Scope::Constant) => s,
            (a, b) if a == b => a,
            _ => Scope::Row,
        }
    }
}

/// What of an open object a field reads, where that is less than the whole: most objects need not be looked at then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FdPart {
    /// Anything.
    Any,
    /// Its kind alone.
    Kind,
    /// The ends of an internet socket; absent for all else.
    Socket,
    /// The name.
    Name,
    /// The path as the opener wrote it.
    RawName,
    /// The directory of its path.
    Directory,
    /// The last part of its path.
    Filename,
}

/// The fields that read the kind of an object, and those that read the ends of a socket.
const OF_FD_KIND: [&str; 3] = ["fd.type", "fd.typechar", "fd.sockfamily"];
const OF_SOCKET: [&str; 16] = [
    "fd.ip",
    "fd.cip",
    "fd.sip",
    "fd.lip",
    "fd.rip",
    "fd.cnet",
    "fd.snet",
    "fd.lnet",
    "fd.rnet",
    "fd.cport",
    "fd.sport",
    "fd.lport",
    "fd.rport",
    "fd.l4proto",
    "fd.is_server",
    "fd.connected",
];

impl FdPart {
    /// What fields of these names read of it.
    pub(super) fn of(fields: impl Iterator<Item = &'static str> + Clone) -> FdPart {
        let all_in = |names: &[&str]| fields.clone().all(|name| names.contains(&name));
        match () {
            () if all_in(&OF_FD_KIND) => FdPart::Kind,
            () if all_in(&OF_SOCKET) => FdPart::Socket,
            () if all_in(&["fd.name"]) => FdPart::Name,
            () if all_in(&["fd.nameraw"]) => FdPart::RawName,
            () if all_in(&["fd.directory"]) => FdPart::Directory,
            () if all_in(&["fd.filename"]) => FdPart::Filename,
            () => FdPart::Any,
        }
    }
}
