//! Log sources: which events stand for them, and which of their values stand for Sigma's fields.

use super::document::Logsource;

/// The events and values that stand for a log source.
#[derive(Debug)]
pub(super) struct Mapping {
    /// The sources of these events, joined with commas.
    pub(super) source: &'static str,
    /// The events, as a condition in Falco's language; empty for all of the source.
    pub(super) events: &'static str,
    pub(super) fields: &'static [(&'static str, &'static [Read])],
    /// What is searched for keywords.
    pub(super) text: &'static [Read],
    /// Sigma's fields that alerts show unless the rule says otherwise.
    pub(super) shown: &'static [&'static str],
    /// Whether the fields are those of single audit records.
    pub(super) records: bool,
}

/// How a value is read from an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// A field of Falco's.
    Field(&'static str),
    /// A field without the blanks at its end.
    Trimmed(&'static str),
    /// `true` where a condition in Falco's language holds, else `false`.
    Whether(&'static str),
}

use Read::{Field, Trimmed, Whether};

/// The process behind an event.
macro_rules! with_process {
    ($($more:expr,)*) => {
        &[
            $($more,)*
            ("Image", &[Field("proc.exepath")]),
            ("CommandLine", &[Trimmed("proc.exeline")]),
            ("ProcessName", &[Field("proc.name")]),
            ("ProcessId", &[Field("proc.pid")]),
            ("CurrentDirectory", &[Field("proc.cwd")]),
            ("User", &[Field("user.name")]),
            ("UserId", &[Field("user.uid")]),
            ("LogonUser", &[Field("user.loginname")]),
            ("LogonId", &[Field("user.loginuid")]),
            ("TerminalSessionId", &[Field("proc.sid")]),
            ("Terminal", &[Field("proc.tty")]),
            ("ParentImage", &[Field("proc.pexepath")]),
            ("ParentCommandLine", &[Field("proc.pcmdline")]),
            ("ParentProcessId", &[Field("proc.ppid")]),
            ("GrandParentImage", &[Field("proc.aexepath[2]")]),
            ("UtcTime", &[Field("evt.rawtime")]),
            ("ContainerId", &[Field("container.id")]),
            ("ContainerName", &[Field("container.name")]),
            ("ContainerImage", &[Field("container.image")]),
        ]
    };
}

const PROCESS: &[&str] = &[
    "User",
    "ProcessId",
    "Image",
    "CommandLine",
    "ParentImage",
    "ContainerName",
];
const FILE: &[&str] = &[
    "TargetFilename",
    "User",
    "ProcessId",
    "Image",
    "CommandLine",
    "ContainerName",
];

const PROCESS_CREATION: Mapping = Mapping {
    source: "syscall",
    events: "evt.type in (execve, execveat) and evt.rawres = 0",
    fields: with_process!(),
    text: &[Trimmed("proc.exeline")],
    shown: PROCESS,
    records: false,
};

const PROCESS_TERMINATION: Mapping = Mapping {
    events: "evt.type = procexit",
    ..PROCESS_CREATION
};

/// Files that come into being or are overwritten, under their new name.
const FILE_EVENT: Mapping = Mapping {
    source: "syscall",
    events: "(evt.type in (open, openat, openat2, creat, open_by_handle_at) and evt.rawres >= 0 \
             and (evt.type = creat or evt.is_open_create = true or evt.arg.flags contains O_TRUNC)) \
             or (evt.type in (rename, renameat, renameat2, link, linkat, symlink, symlinkat, mknod, mknodat) \
             and evt.rawres = 0)",
    fields: with_process!(
        ("TargetFilename", FILE_NAMES),
        ("CreationUtcTime", &[Field("evt.rawtime")]),
    ),
    text: FILE_NAMES,
    shown: FILE,
    records: false,
};

const FILE_NAMES: &[Read] = &[
    Field("fs.path.name"),
    Field("evt.arg.newpath"),
    Field("evt.arg.linkpath"),
];

const FILE_DELETE: Mapping = Mapping {
    source: "syscall",
    events: "evt.type in (unlink, unlinkat, rmdir) and evt.rawres = 0",
    fields: with_process!(("TargetFilename", &[Field("fs.path.name")]),),
    text: &[Field("fs.path.name")],
    shown: FILE,
    records: false,
};

const FILE_ACCESS: Mapping = Mapping {
    source: "syscall",
    events: "evt.type in (open, openat, openat2, open_by_handle_at) and evt.rawres >= 0",
    fields: with_process!(
        ("TargetFilename", &[Field("fs.path.name")]),
        ("FileName", &[Field("fs.path.name")]),
    ),
    text: &[Field("fs.path.name")],
    shown: FILE,
    records: false,
};

const FILE_RENAME: Mapping = Mapping {
    source: "syscall",
    events: "evt.type in (rename, renameat, renameat2) and evt.rawres = 0",
    fields: with_process!(
        ("TargetFilename", &[Field("fs.path.target")]),
        ("SourceFilename", &[Field("fs.path.source")]),
    ),
    text: &[Field("fs.path.source"), Field("fs.path.target")],
    shown: FILE,
    records: false,
};

/// Connections that were made or accepted; those that go on are made later without another event.
const NETWORK_CONNECTION: Mapping = Mapping {
    source: "syscall",
    events: "fd.type in (ipv4, ipv6) and ((evt.type = connect and (evt.rawres = 0 or evt.rawres = -115)) \
             or (evt.type in (accept, accept4) and evt.rawres >= 0))",
    fields: with_process!(
        ("DestinationIp", &[Field("fd.sip")]),
        ("DestinationPort", &[Field("fd.sport")]),
        ("SourceIp", &[Field("fd.cip")]),
        ("SourcePort", &[Field("fd.cport")]),
        ("Protocol", &[Field("fd.l4proto")]),
        ("Initiated", &[Whether("evt.type = connect")]),
        ("DestinationIsIpv6", &[Whether("fd.type = ipv6")]),
        ("SourceIsIpv6", &[Whether("fd.type = ipv6")]),
    ),
    text: &[Field("fd.name")],
    shown: &[
        "DestinationIp",
        "DestinationPort",
        "Protocol",
        "User",
        "ProcessId",
        "Image",
        "ContainerName",
    ],
    records: false,
};

const AUDITD: Mapping = Mapping {
    source: "audit",
    events: "",
    fields: &[],
    text: &[],
    shown: &[],
    records: true,
};

/// What the Docker engine tells.
const DOCKER: Mapping = Mapping {
    source: "docker",
    events: "",
    fields: &[
        ("Type", &[Field("docker.type")]),
        ("Action", &[Field("docker.action")]),
        ("ActorId", &[Field("docker.actor.id")]),
        ("Name", &[Field("docker.name")]),
        ("ExitCode", &[Field("docker.exit_code")]),
        ("Signal", &[Field("docker.attributes.signal")]),
        ("ContainerId", &[Field("container.id")]),
        ("ContainerName", &[Field("container.name")]),
        ("ContainerImage", &[Field("docker.image")]),
        ("UtcTime", &[Field("evt.rawtime")]),
    ],
    text: &[Field("docker.raw")],
    shown: &["Type", "Action", "Name", "ContainerImage"],
    records: false,
};

/// Kubernetes' audit log, by the names of its JSON.
const KUBERNETES: Mapping = Mapping {
    source: "k8s_audit",
    events: "",
    fields: &[
        ("verb", &[Field("ka.verb")]),
        ("stage", &[Field("ka.stage")]),
        ("requestURI", &[Field("ka.uri")]),
        ("userAgent", &[Field("ka.useragent")]),
        ("sourceIPs", &[Field("ka.sourceips")]),
        ("user.username", &[Field("ka.user.name")]),
        ("user.groups", &[Field("ka.user.groups")]),
        ("impersonatedUser.username", &[Field("ka.impuser.name")]),
        ("objectRef.resource", &[Field("ka.target.resource")]),
        ("objectRef.subresource", &[Field("ka.target.subresource")]),
        ("objectRef.namespace", &[Field("ka.target.namespace")]),
        ("objectRef.name", &[Field("ka.target.name")]),
        ("responseStatus.code", &[Field("ka.response.code")]),
        ("responseStatus.reason", &[Field("ka.response.reason")]),
        ("hostPath", &[Field("ka.req.pod.volumes.hostpath")]),
        ("capabilities", &[Field("ka.req.pod.containers.add_capabilities")]),
        ("privileged", &[Field("ka.req.pod.containers.privileged")]),
        ("UtcTime", &[Field("evt.rawtime")]),
    ],
    text: &[Field("ka.raw")],
    shown: &[
        "user.username",
        "verb",
        "objectRef.resource",
        "objectRef.namespace",
        "objectRef.name",
    ],
    records: false,
};

const LOG_LINE: &[(&str, &[Read])] = &[
    ("message", &[Field("log.message"), Field("evt.buffer")]),
    ("ContainerId", &[Field("container.id")]),
    ("ContainerName", &[Field("container.name")]),
    ("ContainerImage", &[Field("container.image")]),
];

/// What containers write, and what processes write to `/dev/log`, as far as its bytes were captured.
const LOG: Mapping = Mapping {
    source: "container_log, syscall",
    events: "evt.type = container_log or evt.is_syslog = true",
    fields: LOG_LINE,
    text: &[Field("log.message"), Field("evt.buffer")],
    shown: &["message", "ContainerName"],
    records: false,
};

/// A rule for any log of the system.
const ANY_LOG: Mapping = Mapping {
    source: "container_log, audit, syscall",
    events: "evt.type in (container_log, audit) or evt.is_syslog = true",
    fields: LOG_LINE,
    text: &[Field("log.message"), Field("audit.raw"), Field("evt.buffer")],
    shown: &["message", "ContainerName"],
    records: false,
};

/// Services whose log is text without fields of its own.
const TEXT_SERVICES: [&str; 9] = [
    "syslog",
    "auth",
    "cron",
    "sshd",
    "sudo",
    "vsftpd",
    "clamav",
    "guacamole",
    "daemon",
];

/// Fields of Sysmon for Linux that are no part of what ctrace records, with the reason.
const MISSING: [(&str, &str); 9] = [
    ("DestinationHostname", "names of addresses are not looked up"),
    ("SourceHostname", "names of addresses are not looked up"),
    ("DestinationPortName", "names of ports are not looked up"),
    ("SourcePortName", "names of ports are not looked up"),
    ("Hashes", "hashes of files are not recorded"),
    ("md5", "hashes of files are not recorded"),
    ("sha256", "hashes of files are not recorded"),
    ("ParentUser", "the parent's user is not recorded"),
    ("OriginalFileName", "executables of Linux have no such name"),
];

/// The events and values that stand for a log source, or what would be needed.
pub(super) fn mapping(source: &Logsource) -> Result<&'static Mapping, String> {
    match (
        source.product.as_deref(),
        source.category.as_deref(),
        source.service.as_deref(),
    ) {
        (Some("docker"), None, None | Some("events")) => return Ok(&DOCKER),
        (Some("kubernetes"), None, None | Some("audit")) => return Ok(&KUBERNETES),
        _ => {}
    }
    if let Some(product) = source.product.as_deref().filter(|p| *p != "linux") {
        return Err(format!("needs logs of product '{product}'; ctrace records Linux"));
    }
    match (source.category.as_deref(), source.service.as_deref()) {
        (Some("process_creation"), None) => Ok(&PROCESS_CREATION),
        (Some("process_termination"), None) => Ok(&PROCESS_TERMINATION),
        (Some("file_event"), None) => Ok(&FILE_EVENT),
        (Some("file_delete"), None) => Ok(&FILE_DELETE),
        (Some("file_access"), None) => Ok(&FILE_ACCESS),
        (Some("file_rename"), None) => Ok(&FILE_RENAME),
        (Some("network_connection"), None) => Ok(&NETWORK_CONNECTION),
        (None, Some("auditd")) => Ok(&AUDITD),
        (None, Some(service)) if TEXT_SERVICES.contains(&service) => Ok(&LOG),
        (None, None) if source.product.is_some() => Ok(&ANY_LOG),
        (None, None) => Err("names no log source".to_owned()),
        (Some(category), None) => Err(format!("needs events of category '{category}', which are not recorded")),
        (_, Some(service)) => Err(format!("needs the log of service '{service}', which is not recorded")),
    }
}

impl Mapping {
    /// How a field of Sigma's is read, or what would be needed to know it.
    pub(super) fn field(&self, name: &str) -> Result<&'static [Read], String> {
        if let Some((_, reads)) = self.fields.iter().find(|f| f.0 == name) {
            return Ok(reads);
        }
        if let Some((_, why)) = MISSING.iter().find(|m| m.0 == name) {
            return Err(format!("needs field '{name}': {why}"));
        }
        let near = crate::diagnostics::nearest(name, self.fields.iter().map(|f| f.0));
        let near = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        Err(format!(
            "needs field '{name}', which the events of this log source do not have{near}"
        ))
    }
}
