//! From names in rules to fields of the catalogue: arguments, the fields that stand for both ends of a socket, and the
//! types that decide which operators and constants fit.

use ctrace_trace::block::Need;
use ctrace_trace::catalogue::{self, ArgRule, Domain, Field, FieldArg};
use ctrace_trace::schema::Schema;

use crate::diagnostics::nearest;

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

/// A field as a condition or format names it.
#[derive(Clone, Debug)]
pub(crate) struct FieldRef {
    /// As it was written, argument included.
    pub(crate) text: String,
    /// The field to read; two for fields that mean either end of a socket, none for one that is never recorded.
    pub(crate) parts: Vec<(&'static Field, FieldArg)>,
    pub(crate) ty: Type,
    pub(crate) arity: Arity,
}

impl FieldRef {
    pub(crate) fn scope(&self) -> Scope {
        self.parts
            .iter()
            .map(|(f, _)| scope_of(f.domain()))
            .fold(Scope::Constant, Scope::join)
    }

    /// Columns that must be decoded to read it.
    pub(crate) fn needs(&self) -> Need {
        let parts = self.parts.iter();
        parts.fold(Need::NOTHING, |n, (f, arg)| n | f.needs_with(arg))
    }

    /// What of an open object it reads.
    pub(crate) fn fd_part(&self) -> FdPart {
        let all_in = |names: &[&str]| self.parts.iter().all(|(field, _)| names.contains(&field.name));
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

    /// Whether it can stand beside another field or in a transformer.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.arity, Arity::Any | Arity::Ends)
    }

    /// Whether it is the name of the event's type, whose constants are checked.
    pub(crate) fn is_event_type(&self) -> bool {
        self.text == "evt.type" || self.text == "syscall.type"
    }
}

fn scope_of(domain: Domain) -> Scope {
    match domain {
        Domain::Kind => Scope::Kind,
        Domain::Process => Scope::Process,
        Domain::Fd => Scope::Fd,
        Domain::Thread | Domain::Event => Scope::Row,
    }
}

/// Why Falco's field of that name and argument is never recorded; nothing for other names.
pub(crate) fn unsupported(name: &str, arg: Option<&str>) -> Option<&'static str> {
    if is_foreign_arg(name, arg) {
        return Some("no event type of ctrace has this argument");
    }
    if resolve(name, None).is_ok() {
        return None;
    }
    let prefixes = name.rmatch_indices('.').filter_map(|(dot, _)| name.get(..dot));
    std::iter::once(name)
        .chain(prefixes)
        .find_map(catalogue::find_unsupported)
}

/// Why a name with its argument is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

/// The fields that mean either end of a socket.
const ENDS: [(&str, [&str; 2], Type); 4] = [
    ("fd.ip", ["fd.cip", "fd.sip"], Type::Ip),
    ("fd.net", ["fd.cip", "fd.sip"], Type::Net),
    ("fd.port", ["fd.cport", "fd.sport"], Type::Port),
    ("fd.proto", ["fd.cport", "fd.sport"], Type::Port),
];

/// The fields that are an address, compared with networks.
const NETS: [(&str, &str); 4] = [
    ("fd.cnet", "fd.cip"),
    ("fd.snet", "fd.sip"),
    ("fd.lnet", "fd.lip"),
    ("fd.rnet", "fd.rip"),
];

/// Finds the field of a name and argument.
pub(crate) fn resolve(name: &str, arg: Option<&str>) -> Result<FieldRef, FieldError> {
    let text = match arg {
        Some(arg) => format!("{name}[{arg}]"),
        None => name.to_owned(),
    };
    if arg.is_none() {
        if let Some((_, ends, ty)) = ENDS.iter().find(|e| e.0 == name) {
            let parts: Option<Vec<_>> = ends
                .iter()
                .map(|n| Some((catalogue::find(n)?, FieldArg::None)))
                .collect();
            if let Some(parts) = parts {
                return Ok(FieldRef {
                    text,
                    parts,
                    ty: *ty,
                    arity: Arity::Ends,
                });
            }
        }
        if let Some(field) = NETS.iter().find(|n| n.0 == name).and_then(|n| catalogue::find(n.1)) {
            return Ok(FieldRef {
                text,
                parts: vec![(field, FieldArg::None)],
                ty: Type::Net,
                arity: Arity::One,
            });
        }
    }
    let (field, arg) = find(name, arg)?;
    let ty = match &arg {
        FieldArg::Key(key) if field.name == "evt.rawarg" && is_text_param(key) => Type::Str,
        _ => type_of(field),
    };
    let arity = arity_of(field, &arg);
    Ok(FieldRef {
        text,
        parts: vec![(field, arg)],
        ty,
        arity,
    })
}

fn find(name: &str, arg: Option<&str>) -> Result<(&'static Field, FieldArg), FieldError> {
    if let Some(field) = catalogue::find(name) {
        return Ok((field, check_arg(field, arg)?));
    }
    // `evt.arg.flags` is the field `evt.arg` with an argument after a dot.
    let dotted = name.rmatch_indices('.').find_map(|(dot, _)| {
        let field = catalogue::find(name.get(..dot)?)?;
        matches!(field.arg, ArgRule::Required | ArgRule::Optional).then_some((field, name.get(dot + 1..)?))
    });
    match dotted {
        Some((field, key)) if arg.is_none() => Ok((field, check_arg(field, Some(key))?)),
        _ => Err(FieldError {
            message: format!("unknown field '{name}'"),
            suggestion: nearest(name, all_names()),
        }),
    }
}

/// Every name that conditions may use.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
    let ends = ENDS.iter().map(|e| e.0).chain(NETS.iter().map(|n| n.0));
    catalogue::all().map(|f| f.name).chain(ends)
}

fn check_arg(field: &Field, arg: Option<&str>) -> Result<FieldArg, FieldError> {
    let error = |message: String| {
        Err(FieldError {
            message,
            suggestion: None,
        })
    };
    let parsed = match arg {
        None => FieldArg::None,
        Some(text) => match text.parse() {
            Ok(index) => FieldArg::Index(index),
            Err(_) => FieldArg::Key(text.to_owned()),
        },
    };
    match (field.arg, &parsed) {
        (ArgRule::None, FieldArg::None) => {}
        (ArgRule::None, _) => return error(format!("field '{}' takes no argument", field.name)),
        (ArgRule::Required, FieldArg::None) => return error(format!("field '{}' needs an argument", field.name)),
        (ArgRule::OptionalIndex, FieldArg::Key(_)) => {
            return error(format!("the argument of field '{}' must be a number", field.name));
        }
        _ => {}
    }
    if let (true, FieldArg::Key(key)) = (is_event_arg(field.name), &parsed) {
        check_param(key)?;
    }
    Ok(parsed)
}

/// Names of arguments that no event type declares: the catalogue takes them from the result, the open object or the
/// process image.
pub(crate) const DERIVED_ARGS: [&str; 24] = [
    "res",
    "fd",
    "tuple",
    "addr",
    "exe",
    "args",
    "cwd",
    "comm",
    "env",
    "pid",
    "ptid",
    "vpid",
    "pgid",
    "vpgid",
    "tty",
    "loginuid",
    "cgroups",
    "trusted_exepath",
    "exe_ino",
    "cap_permitted",
    "cap_effective",
    "cap_inheritable",
    "uid",
    "gid",
];

/// Whether it is one of the fields whose argument names a parameter of the event.
pub(crate) fn is_event_arg(name: &str) -> bool {
    name == "evt.arg" || name == "evt.rawarg"
}

/// Arguments that events of Falco have and those of ctrace have not; rules may name them.
const FOREIGN_ARGS: [&str; 74] = [
    "ID",
    "container_id",
    "cpu_sys",
    "cpu_usr",
    "cq_entries",
    "creat_flags",
    "cur",
    "desc",
    "dpid",
    "dqb_bhardlimit",
    "dqb_bsoftlimit",
    "dqb_btime",
    "dqb_curspace",
    "dqb_ihardlimit",
    "dqb_isoftlimit",
    "dqb_itime",
    "dqi_bgrace",
    "dqi_flags",
    "dqi_igrace",
    "error",
    "event_data",
    "event_type",
    "exe_ino_ctime",
    "exe_ino_mtime",
    "fdlimit",
    "fds",
    "features",
    "home",
    "img",
    "interval",
    "ip",
    "json",
    "max",
    "msgcontrol",
    "nativeID",
    "newcur",
    "newmax",
    "next",
    "offin",
    "offout",
    "oldcur",
    "oldmax",
    "peer",
    "pgft_maj",
    "pgft_min",
    "pidns_init_start_ts",
    "plugin_id",
    "queuelen",
    "queuemax",
    "queuepct",
    "quota_fmt",
    "quota_fmt_out",
    "quotafilepath",
    "ratio",
    "reaper_tid",
    "scope",
    "sem_flg_0",
    "sem_flg_1",
    "sem_num_0",
    "sem_num_1",
    "sem_op_0",
    "sem_op_1",
    "shell",
    "sigmask",
    "spid",
    "sq_entries",
    "sq_thread_cpu",
    "sq_thread_idle",
    "value_bytebuf",
    "value_charbuf",
    "vm_rss",
    "vm_size",
    "vm_swap",
    "vtid",
];

/// Whether it names one of [`FOREIGN_ARGS`]: `evt.arg.reaper_tid`, `evt.rawarg[vtid]`.
fn is_foreign_arg(name: &str, arg: Option<&str>) -> bool {
    let key = match arg {
        Some(key) if is_event_arg(name) => Some(key),
        None => name
            .strip_prefix("evt.arg.")
            .or_else(|| name.strip_prefix("evt.rawarg.")),
        Some(_) => None,
    };
    key.is_some_and(|key| FOREIGN_ARGS.contains(&key))
}

/// Refuses parameters that no event type has: a comparison with one would be false for ever.
fn check_param(key: &str) -> Result<(), FieldError> {
    let schema = Schema::current();
    let params = || {
        schema
            .specs()
            .iter()
            .flat_map(|s| s.params.iter().map(|p| p.name.as_str()))
    };
    let names = || params().chain(DERIVED_ARGS);
    if names().any(|n| n == key) {
        return Ok(());
    }
    Err(FieldError {
        message: format!("unknown event argument '{key}'"),
        suggestion: nearest(key, names()),
    })
}

fn is_text_param(key: &str) -> bool {
    Schema::current()
        .specs()
        .iter()
        .flat_map(|s| &s.params)
        .any(|p| p.name == key && !p.kind.is_num())
}

fn type_of(field: &Field) -> Type {
    use catalogue::FieldType;
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

fn arity_of(field: &Field, arg: &FieldArg) -> Arity {
    let several = field.ty == catalogue::FieldType::List && *arg == FieldArg::None;
    if several { Arity::Any } else { Arity::One }
}

/// Event types that Falco knows and no source of ctrace makes, system calls of other machines among them; rules may name
/// them.
const FOREIGN_EVENTS: [&str; 62] = [
    "drop",
    "scapevent",
    "procinfo",
    "cpu_hotplug",
    "notification",
    "infra",
    "container",
    "switch",
    "signaldeliver",
    "page_fault",
    "asyncevent",
    "pluginevent",
    "tracer",
    "mesos",
    "useradded",
    "_llseek",
    "fcntl64",
    "getegid32",
    "geteuid32",
    "getgid32",
    "getresgid32",
    "getresuid32",
    "getuid32",
    "groupadded",
    "groupdeleted",
    "multiplexer",
    "page_fault_kernel",
    "page_fault_user",
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    "pread64",
    "prlimit64",
    "pwrite64",
    "recv",
    "riscv_flush_icache",
    "riscv_hwprobe",
    "rtas",
    "s390_guarded_storage",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "s390_runtime_instr",
    "s390_sthyi",
    "sched_process_exit",
    "sched_switch",
    "send",
    "sendfile64",
    "setgid32",
    "setresgid32",
    "setresuid32",
    "setuid32",
    "signal_deliver",
    "spu_create",
    "spu_run",
    "subpage_prot",
    "swapcontext",
    "switch_endian",
    "sync_file_range2",
    "sys_debug_setcontext",
    "timerfd",
    "ugetrlimit",
    "userdeleted",
];

/// Refuses names that are no event type, as Falco does.
pub(crate) fn check_event_type(name: &str) -> Result<(), FieldError> {
    let schema = Schema::current();
    if schema.by_name(name).next().is_some() || FOREIGN_EVENTS.contains(&name) {
        return Ok(());
    }
    let names = schema.specs().iter().map(|s| s.name.as_str()).chain(FOREIGN_EVENTS);
    Err(FieldError {
        message: format!("unknown event type '{name}'"),
        suggestion: nearest(name, names),
    })
}
