//! Where table `events` has what a field reads.

use ctrace_trace::catalogue::{self, Domain, Field, FieldArg};
use ctrace_trace::event::Source;
use ctrace_trace::render;
use ctrace_trace::schema::{EventSpec, Schema};

/// What of the table a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InTable {
    /// A column.
    Column(&'static str),
    /// An element of a list, counted from 1.
    Item(&'static str, usize),
    /// The item of that name, from a column that packs several.
    Packed(&'static str, String),
    /// A number as text.
    Text(&'static str),
    /// An expression over the event's type and these columns; the accessor reads it of an event made of them.
    Made(String, &'static [&'static str]),
    /// The accessor reads it of an event made of these columns; SQL has no words for it.
    Rebuilt(&'static [&'static str]),
    /// Nowhere.
    Nowhere,
}

/// Ancestors always have these values: a list of them has no holes, and an element is that many steps up.
const OF_EACH_ANCESTOR: [(&str, &str); 4] = [
    ("proc.aname", "proc_name"),
    ("proc.aexe", "proc_exe"),
    ("proc.acmdline", "proc_cmdline"),
    ("proc.apid", "proc_pid"),
];

/// Fields that say the same as others.
const SAME: [(&str, &str); 7] = [
    ("evt.info", "evt_args"),
    ("proc.vpgid.name", "proc_pgid_name"),
    ("proc.vpgid.exe", "proc_pgid_exe"),
    ("proc.vpgid.exepath", "proc_pgid_exepath"),
    ("proc.is_vpgid_leader", "proc_is_pgid_leader"),
    ("k8s.pod.id", "k8s_pod_uid"),
    ("ka.req.container.host_network", "ka_req_pod_host_network"),
];

const PORTS: [(&str, &str); 4] = [
    ("fd.cproto", "fd_cport"),
    ("fd.sproto", "fd_sport"),
    ("fd.lproto", "fd_lport"),
    ("fd.rproto", "fd_rport"),
];

/// Where a field with its argument is.
pub(crate) fn find(field: &Field, arg: &FieldArg) -> InTable {
    let named = |list: &[(&str, &'static str)]| list.iter().find(|(name, _)| *name == field.name).map(|(_, c)| *c);
    match (field.column, arg) {
        (Some(column), FieldArg::None) => return InTable::Column(column),
        (Some(column), FieldArg::Index(steps)) => {
            return match (named(&OF_EACH_ANCESTOR), steps) {
                (Some(own), 0) => InTable::Column(own),
                (Some(_), n) => InTable::Item(column, *n as usize),
                _ if field.name.starts_with("ka.") => InTable::Rebuilt(&["ka_raw"]),
                _ => InTable::Nowhere,
            };
        }
        _ => {}
    }
    if let (Some(column), FieldArg::None) = (named(&SAME), arg) {
        return InTable::Column(column);
    }
    if let Some(column) = named(&PORTS) {
        return InTable::Text(column);
    }
    match (field.name, arg) {
        ("evt.num", _) => InTable::Column("seq"),
        ("evt.hostname", _) => InTable::Column("host"),
        ("evt.arg", FieldArg::Key(name)) if name == "raw" || name == render::DATA => InTable::Nowhere,
        ("evt.arg", FieldArg::Key(name)) => InTable::Packed("evt_arg", name.clone()),
        ("proc.env", FieldArg::Key(name)) => InTable::Packed("proc_env_variables", name.clone()),
        ("evt.rawtime", _) => InTable::Made("CAST(ts AS BIGINT)".to_owned(), &[]),
        ("evt.rawtime.s", _) => InTable::Made("CAST(ts AS BIGINT) / 1000000000".to_owned(), &[]),
        ("evt.rawtime.ns", _) => InTable::Made("CAST(ts AS BIGINT) % 1000000000".to_owned(), &[]),
        ("evt.time" | "evt.time.s" | "evt.time.iso8601" | "evt.datetime" | "evt.datetime.s", _) => {
            InTable::Rebuilt(&[])
        }
        ("evt.latency.s", _) => InTable::Made("CAST(evt_latency AS BIGINT) / 1000000000".to_owned(), &["evt_latency"]),
        ("evt.latency.ns", _) => InTable::Made("CAST(evt_latency AS BIGINT) % 1000000000".to_owned(), &["evt_latency"]),
        ("evt.latency.human", _) => InTable::Rebuilt(&["evt_latency"]),
        ("evt.buflen", _) => made_of_result(|s| is_true("evt.is_io", s), "evt_rawres >= 0", "evt_rawres"),
        ("evt.is_syslog", _) => InTable::Made(
            format!(
                "source = 'syscall' AND evt_type IN ({}) AND coalesce(contains(fd_name, '/dev/log') \
                 OR contains(fd_name, '/systemd/journal/dev-log'), false)",
                names(|s| is_true("evt.is_io_write", s))
            ),
            &["fd_name"],
        ),
        ("evt.count.error", _) => InTable::Made("CASE WHEN evt_rawres < 0 THEN 1 END".to_owned(), &["evt_rawres"]),
        (name, _) if field.domain() == Domain::Kind => of_kind(name, field),
        (name, _) if name.starts_with("docker.") => {
            InTable::Rebuilt(&["docker_raw", "docker_action", "docker_actor_id", "docker_image"])
        }
        ("audit.field", FieldArg::Key(name)) => InTable::Made(of_record(name), &["audit_raw", "audit_syscall"]),
        (name, _) if name.starts_with("audit.") => InTable::Rebuilt(&["audit_raw", "audit_syscall"]),
        (name, _) if name.starts_with("ka.") => InTable::Rebuilt(&["ka_raw"]),
        ("json.value" | "json.obj" | "json.rawtime" | "jevt.value" | "jevt.obj" | "jevt.rawtime", _) => {
            InTable::Rebuilt(&["docker_raw", "ka_raw", "log_raw"])
        }
        (name, _) if name.starts_with("log.") => InTable::Rebuilt(&["log_raw"]),
        (name, _) if name.starts_with("container.mount") => InTable::Rebuilt(&["container_id", "container_mount"]),
        ("container.label" | "k8s.pod.label" | "k8s.pod.full_sandbox_id" | "k8s.pod.sandbox_id", _) => {
            InTable::Rebuilt(&["container_id", "container_label"])
        }
        ("k8s.pod.labels", _) => InTable::Column("container_labels"),
        _ => InTable::Nowhere,
    }
}

/// The columns that it takes, beside those that every event needs.
pub(crate) fn columns(place: &InTable) -> Vec<&'static str> {
    match place {
        InTable::Column(c) | InTable::Item(c, _) | InTable::Text(c) | InTable::Packed(c, _) => vec![c],
        InTable::Made(_, columns) | InTable::Rebuilt(columns) => columns.to_vec(),
        InTable::Nowhere => Vec::new(),
    }
}

fn is_true(field: &str, spec: &EventSpec) -> bool {
    let field = catalogue::find(field);
    field.is_some_and(|f| matches!(f.get, catalogue::Getter::Kind(get) if get(spec) == catalogue::Value::Bool(true)))
}

/// `THEN` where the event's type is one of those and the condition holds.
fn made_of_result(wanted: impl Fn(&EventSpec) -> bool, condition: &str, then: &str) -> InTable {
    let names = names(wanted);
    InTable::Made(
        format!("CASE WHEN evt_type IN ({names}) AND {condition} THEN {then} END"),
        &["evt_rawres"],
    )
}

/// The names of the system calls' event types for which something holds, as a list in SQL.
fn names(wanted: impl Fn(&EventSpec) -> bool) -> String {
    let schema = Schema::current();
    let specs = schema
        .specs()
        .iter()
        .filter(|s| s.source == Source::Syscall && wanted(s));
    let mut names: Vec<String> = specs.map(|s| format!("'{}'", s.name)).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// A field of the event's type that has no column: what the types of system calls are known for.
fn of_kind(name: &str, field: &Field) -> InTable {
    let when =
        |then: &str, wanted: &dyn Fn(&EventSpec) -> bool| format!("WHEN evt_type IN ({}) THEN {then}", names(wanted));
    let sql = match name {
        "evt.dir" => "'<'".to_owned(),
        "evt.count" => "1".to_owned(),
        "syscall.type" => {
            let others = names(|s| !s.id.is_syscall());
            format!("CASE WHEN source = 'syscall' AND evt_type NOT IN ({others}) THEN evt_type END")
        }
        "evt.io_dir" => format!(
            "CASE {} {} END",
            when("'read'", &|s| is_true("evt.is_io_read", s)),
            when("'write'", &|s| is_true("evt.is_io_write", s))
        ),
        _ if field.ty == catalogue::FieldType::Bool => {
            format!("source = 'syscall' AND evt_type IN ({})", names(|s| is_true(name, s)))
        }
        _ => return InTable::Nowhere,
    };
    InTable::Made(sql, &[])
}

/// The first value of a name in the records: what the accessor finds, the end of a word or of a quotation.
fn of_record(name: &str) -> String {
    let name = regex::escape(name).replace('\'', "''");
    format!("regexp_match(audit_raw, '(?:^|[ \\n\\x1d]){name}=(?:\"([^\"]*)|([^ \\n\\x1d]*))')[1]")
}
