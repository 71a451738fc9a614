//! The questions of `ausearch`, `docker events` and `docker logs` as options: each becomes a condition in Falco's
//! language, and all of them and the filter must hold.

use ctrace_replay::quoted;
use ctrace_trace::case::Case;

use crate::when;

/// Which events are shown, beside the filter.
#[derive(clap::Args)]
pub(super) struct Questions {
    /// Show only events from this time on (2026-11-21T10:11:12Z, seconds since 1970), or from so long before now (10m,
    /// "2 hours ago", recent, today, yesterday, this-week); times are UTC
    #[arg(long, value_name = "TIME", value_parser = when::time, allow_hyphen_values = true)]
    since: Option<u64>,
    /// Show only events up to this time
    #[arg(long, value_name = "TIME", value_parser = when::time, allow_hyphen_values = true)]
    until: Option<u64>,
    /// Show only events of the last 90s, 5m, 1h30m or 1d of the case
    #[arg(long, value_name = "LENGTH", value_parser = when::length, conflicts_with = "since")]
    last: Option<u64>,
    /// Show only audit events with a record of these types (USER_CMD,USER_AUTH; ALL)
    #[arg(short = 'm', long = "audit-type", value_name = "TYPE,…", value_delimiter = ',')]
    audit_types: Vec<String>,
    /// Show only the audit events with these numbers, which `ausearch -a` takes
    #[arg(long = "audit-event", value_name = "N,…", value_delimiter = ',')]
    serials: Vec<u64>,
    /// Show only audit events of a rule with this key; may be given several times
    #[arg(short = 'k', long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Show only events of this process
    #[arg(long, value_name = "N")]
    pid: Option<u32>,
    /// Show only events of processes whose effective user is this one, by id or name; the real one is user.ruid
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Show only events of users who logged in as this one, by id or name; -1 or unset for those where nobody did
    #[arg(long, value_name = "USER", allow_negative_numbers = true)]
    loginuid: Option<String>,
    /// Show only events about files whose path holds this text
    #[arg(long, value_name = "TEXT")]
    file: Option<String>,
    /// Show only what succeeded, or only what failed
    #[arg(long, value_enum, value_name = "yes|no")]
    success: Option<Success>,
    /// Show only Docker events with this type, event, container, image, label (NAME or NAME=VALUE), scope, network,
    /// volume and so on; may be given several times: one value of each is enough, and each of the labels
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = docker_filter)]
    docker: Vec<(DockerKey, String)>,
    /// Show only events of this container, by name or the beginning of its id; may be given several times
    #[arg(long = "container", value_name = "NAME|ID")]
    containers: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Success {
    Yes,
    No,
}

/// What `docker events --filter` can ask for here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DockerKey {
    Type,
    Event,
    Container,
    Image,
    Label,
    Scope,
    Daemon,
    Network,
    Volume,
    Plugin,
    Node,
    Service,
    Secret,
    Config,
}

const DOCKER_KEYS: [(DockerKey, &str); 14] = [
    (DockerKey::Type, "type"),
    (DockerKey::Event, "event"),
    (DockerKey::Container, "container"),
    (DockerKey::Image, "image"),
    (DockerKey::Label, "label"),
    (DockerKey::Scope, "scope"),
    (DockerKey::Daemon, "daemon"),
    (DockerKey::Network, "network"),
    (DockerKey::Volume, "volume"),
    (DockerKey::Plugin, "plugin"),
    (DockerKey::Node, "node"),
    (DockerKey::Service, "service"),
    (DockerKey::Secret, "secret"),
    (DockerKey::Config, "config"),
];

fn docker_filter(text: &str) -> Result<(DockerKey, String), String> {
    let (name, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let known = DOCKER_KEYS.iter().find(|(_, n)| *n == name);
    let (key, _) = known.ok_or_else(|| {
        let names: Vec<&str> = DOCKER_KEYS.iter().map(|(_, n)| *n).collect();
        format!("the key is one of {}", names.join(", "))
    })?;
    // A label's name stands in brackets of a field.
    let name = value.split_once('=').map_or(value, |(name, _)| name);
    if *key == DockerKey::Label && (name.is_empty() || name.contains([']', '"', '\''])) {
        return Err("write label=NAME or label=NAME=VALUE".to_owned());
    }
    Ok((*key, value.to_owned()))
}

/// A condition that holds where one of several does; nothing where there is none.
fn any(conditions: impl IntoIterator<Item = String>) -> Option<String> {
    let all: Vec<String> = conditions.into_iter().collect();
    (!all.is_empty()).then(|| format!("({})", all.join(" or ")))
}

/// Whether the records of an audit event name such a file, as `ausearch -f` looks for it: not in arguments or messages.
/// Names with blanks are logged in hexadecimal; LAUREL's and Auditbeat's events are JSON.
fn names_a_file(text: &str) -> String {
    let hex: String = text.bytes().map(|b| format!("{b:02X}")).collect();
    let literal: String = text.chars().flat_map(|c| escape(c).into_iter().flatten()).collect();
    let plain = format!("[ '](name|path|cwd)=(\"[^\"]*{literal}|([0-9A-F][0-9A-F])*{hex})");
    let json = format!("\"(name|path|cwd)\":\"[^\"]*{literal}");
    let pattern = quoted(&format!("(.|\n)*({plain}|{json})(.|\n)*"));
    let (text, hex) = (quoted(text), quoted(&hex));
    // The text alone is found much faster.
    format!("((audit.raw contains {text} or audit.raw contains {hex}) and audit.raw regex {pattern})")
}

/// A character of a regular expression that stands for itself.
fn escape(c: char) -> [Option<char>; 2] {
    let special = "\\.+*?()|[]{}^$".contains(c);
    [special.then_some('\\'), Some(c)]
}

fn named(name: &str) -> String {
    let name = quoted(name);
    format!(
        "container.name = {name} or container.full_id startswith {name} or docker.name = {name} or docker.actor.id startswith {name}"
    )
}

/// A label of what an event is about: the engine has it among the attributes.
fn label(text: &str) -> String {
    match text.split_once('=') {
        Some((name, value)) => format!("docker.attributes[{name}] = {}", quoted(value)),
        None => format!("docker.attributes[{text}] exists"),
    }
}

impl Questions {
    /// The condition that these, a filter and one more make; empty where there is none.
    pub(super) fn condition(&self, filter: &str, more: Option<&str>) -> String {
        let mut all = self.conditions();
        all.extend(more.map(str::to_owned));
        if all.is_empty() {
            return filter.to_owned();
        }
        if !filter.trim().is_empty() {
            // The filter comes first, so that what is wrong with it is shown where it was written.
            all.insert(0, format!("({filter})"));
        }
        all.join(" and ")
    }

    fn conditions(&self) -> Vec<String> {
        let id_or_name = |text: &String, id: &str, name: &str| match text.parse::<i64>() {
            Ok(n) => format!("{id} = {n}"),
            Err(_) => format!("{name} = {}", quoted(text)),
        };
        let success = |s: Success| match s {
            Success::Yes => "(evt.failed = false or audit.success = yes)".to_owned(),
            Success::No => "(evt.failed = true or audit.success = no)".to_owned(),
        };
        let file = |text: &String| {
            let (text, records) = (quoted(text), names_a_file(text));
            format!("(fd.name contains {text} or fs.path.name contains {text} or {records})")
        };
        let loginuid = |text: &String| {
            // As auditctl and ausearch have it: the number of nobody, by its bits or by name.
            let nobody = ["unset", "4294967295"].contains(&text.as_str());
            let text = &if nobody { "-1".to_owned() } else { text.clone() };
            let of_process = id_or_name(text, "user.loginuid", "user.loginname");
            let of_record = text
                .parse::<i64>()
                .map_or_else(|_| String::new(), |n| format!(" or audit.auid = {n}"));
            format!("({of_process}{of_record})")
        };
        let docker = DOCKER_KEYS.iter().map(|(key, _)| self.docker(*key));
        let audit_type = |name: &String| match name.as_str() {
            "ALL" => "evt.type = audit".to_owned(),
            name => format!("audit.type = {}", quoted(name)),
        };
        [
            any(self.audit_types.iter().map(audit_type)),
            any(self.serials.iter().map(|n| format!("audit.serial = {n}"))),
            any(self.keys.iter().map(|k| format!("audit.key = {}", quoted(k)))),
            self.pid.map(|n| format!("(proc.pid = {n} or audit.pid = {n})")),
            self.user.as_ref().map(|u| id_or_name(u, "user.uid", "user.name")),
            self.loginuid.as_ref().map(loginuid),
            self.file.as_ref().map(file),
            self.success.map(success),
            any(self.containers.iter().map(|c| named(c))),
        ]
        .into_iter()
        .chain(docker)
        .flatten()
        .collect()
    }

    fn docker(&self, key: DockerKey) -> Option<String> {
        let values = self.docker.iter().filter(|(k, _)| *k == key);
        if key == DockerKey::Label {
            let labels: Vec<String> = values.map(|(_, value)| label(value)).collect();
            return (!labels.is_empty()).then(|| labels.join(" and "));
        }
        any(values.map(|(_, value)| {
            let text = quoted(value);
            match key {
                DockerKey::Type => format!("docker.type = {text}"),
                // What follows a colon is the command of an exec or the state of a health check.
                DockerKey::Event => {
                    let begin = quoted(&format!("{value}:"));
                    format!("docker.action = {text} or docker.action startswith {begin}")
                }
                DockerKey::Image => {
                    let begin = quoted(&format!("{value}:"));
                    format!(
                        "docker.image = {text} or docker.image startswith {begin} or (docker.type = image and \
                         (docker.actor.id = {text} or docker.name = {text} or docker.name startswith {begin}))"
                    )
                }
                DockerKey::Scope => format!("docker.scope = {text}"),
                // The engine takes the beginning of a name or an id, of whatever is called so.
                _ => format!("docker.name startswith {text} or docker.actor.id startswith {text}"),
            }
        }))
    }

    /// The times between which events are shown, both included.
    pub(super) fn span(&self, case: &Case) -> (u64, u64) {
        let from_end = |length: u64| case.totals().ts.map_or(0, |(_, to)| to.saturating_sub(length));
        let from = self.since.or_else(|| self.last.map(from_end)).unwrap_or(0);
        (from, self.until.unwrap_or(u64::MAX))
    }
}
