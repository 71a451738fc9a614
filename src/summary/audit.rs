//! The statements behind `ctrace summary --audit`: aureport's reports.

use super::tables::Table;

/// Summaries of what the audit subsystem recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Audit {
    /// How many of everything there are
    Totals,
    /// Types of records
    Types,
    /// Logins
    Logins,
    /// Authentications
    Authentications,
    /// Users who logged in and what they did
    Users,
    /// Far ends: of logins, and of sockets
    Hosts,
    /// Terminals
    Terminals,
    /// Executables
    Executables,
    /// Commands: names of processes
    Commands,
    /// Processes, by id
    Processes,
    /// System calls
    Syscalls,
    /// Files, and sockets in the file system
    Files,
    /// Keys of the rules that matched
    Keys,
    /// Anomalies
    Anomalies,
    /// Responses to anomalies
    Responses,
    /// Failed system calls and failed operations of programs
    Failures,
    /// Changes of configuration
    Config,
    /// Changes of accounts, groups and roles
    Accounts,
    /// Decisions of security modules
    Avc,
    /// Events of mandatory access control
    Mac,
    /// Integrity of files
    Integrity,
    /// Cryptography
    Crypto,
    /// Virtual machines
    Virt,
    /// What was typed at terminals
    Tty,
}

/// The value of a field of an audit record, with or without quotes. Fields of user programs stand within `msg='…'`;
/// behind the separator stand names that auditd added.
fn field(name: &str) -> String {
    format!("regexp_match(record, '[ '']{name}=\"?([^\" ''\u{1d}]+)')[1]")
}

/// The same, decoded: programs write names that hold blanks as hexadecimal digits.
fn decoded(name: &str) -> String {
    format!("audit_value(record, '{name}', host)")
}

impl Audit {
    /// All, in the order in which they are shown.
    pub(super) const ALL: [Audit; 24] = [
        Audit::Totals,
        Audit::Types,
        Audit::Logins,
        Audit::Authentications,
        Audit::Users,
        Audit::Hosts,
        Audit::Terminals,
        Audit::Executables,
        Audit::Commands,
        Audit::Processes,
        Audit::Syscalls,
        Audit::Files,
        Audit::Keys,
        Audit::Anomalies,
        Audit::Responses,
        Audit::Failures,
        Audit::Config,
        Audit::Accounts,
        Audit::Avc,
        Audit::Mac,
        Audit::Integrity,
        Audit::Crypto,
        Audit::Virt,
        Audit::Tty,
    ];

    /// The table.
    pub(super) fn table(self) -> Table {
        let (name, title) = self.names();
        Table {
            name,
            title: format!("audit: {title}"),
            sql: self.sql(),
        }
    }

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Audit::Totals => ("audit_totals", "how many there are"),
            Audit::Types => ("audit_types", "types of records"),
            Audit::Logins => ("audit_logins", "logins"),
            Audit::Authentications => ("audit_authentications", "authentications"),
            Audit::Users => ("audit_users", "users who logged in (-1: nobody did)"),
            Audit::Hosts => ("audit_hosts", "far ends of logins and sockets"),
            Audit::Terminals => ("audit_terminals", "terminals"),
            Audit::Executables => ("audit_executables", "executables"),
            Audit::Commands => ("audit_commands", "commands"),
            Audit::Processes => ("audit_processes", "processes"),
            Audit::Syscalls => ("audit_syscalls", "system calls"),
            Audit::Files => ("audit_files", "files"),
            Audit::Keys => ("audit_keys", "keys"),
            Audit::Anomalies => ("audit_anomalies", "anomalies"),
            Audit::Responses => ("audit_responses", "responses to anomalies"),
            Audit::Failures => ("audit_failures", "failures"),
            Audit::Config => ("audit_config", "changes of configuration"),
            Audit::Accounts => ("audit_accounts", "changes of accounts, groups and roles"),
            Audit::Avc => ("audit_avc", "decisions of security modules"),
            Audit::Mac => ("audit_mac", "mandatory access control"),
            Audit::Integrity => ("audit_integrity", "integrity"),
            Audit::Crypto => ("audit_crypto", "cryptography"),
            Audit::Virt => ("audit_virt", "virtual machines"),
            Audit::Tty => ("audit_tty", "what was typed"),
        }
    }

    /// The types of records that a report is about, as a condition; nothing where it is about what records say.
    fn types(self) -> Option<&'static str> {
        Some(match self {
            Audit::Logins => "type = 'USER_LOGIN'",
            Audit::Authentications => "type = 'USER_AUTH'",
            Audit::Anomalies => "(type LIKE 'ANOM\\_%' OR type = 'SECCOMP')",
            Audit::Responses => "type LIKE 'RESP\\_%'",
            Audit::Config => {
                "(type IN ('CONFIG_CHANGE', 'DAEMON_CONFIG', 'USYS_CONFIG', 'NETFILTER_CFG', 'FEATURE_CHANGE', \
                 'USER_MAC_CONFIG_CHANGE') OR type LIKE 'MAC\\_%')"
            }
            Audit::Accounts => {
                "type IN ('USER_CHAUTHTOK', 'ADD_USER', 'DEL_USER', 'ADD_GROUP', 'DEL_GROUP', 'USER_MGMT', \
                 'GRP_MGMT', 'GRP_CHAUTHTOK', 'CHUSER_ID', 'CHGRP_ID', 'ACCT_LOCK', 'ACCT_UNLOCK', 'ROLE_ASSIGN', \
                 'ROLE_REMOVE')"
            }
            Audit::Avc => "type IN ('AVC', 'USER_AVC')",
            Audit::Mac => {
                "(type LIKE 'MAC\\_%' AND type <> 'MAC_CHECK' OR type LIKE 'USER\\_MAC\\_%' OR type LIKE 'ROLE\\_%' \
                 OR type LIKE 'LABEL\\_%' OR type IN ('USER_ROLE_CHANGE', 'USER_LABELED_EXPORT', \
                 'USER_UNLABELED_EXPORT', 'DEV_ALLOC', 'DEV_DEALLOC', 'FS_RELABEL'))"
            }
            Audit::Integrity => "type LIKE 'INTEGRITY\\_%'",
            Audit::Crypto => "type LIKE 'CRYPTO\\_%'",
            Audit::Virt => "type LIKE 'VIRT\\_%'",
            Audit::Tty => "type IN ('TTY', 'USER_TTY')",
            _ => return None,
        })
    }

    fn sql(self) -> String {
        if let Some(types) = self.types() {
            return self.of_types(types);
        }
        match self {
            Audit::Totals => totals(),
            Audit::Types => "SELECT count(*) AS records, count(DISTINCT (host, seq)) AS events, type FROM audit_records
                             GROUP BY type ORDER BY records DESC, type"
                .to_owned(),
            Audit::Users => "SELECT count(*) AS events, auid, count(*) FILTER (WHERE success = 'no') AS failed,
                                    min(ts) AS first_ts, max(ts) AS last_ts
                             FROM audit WHERE auid IS NOT NULL GROUP BY auid ORDER BY events DESC, auid"
                .to_owned(),
            Audit::Executables => of_events("exe", "executable"),
            Audit::Processes => of_events("pid", "pid"),
            Audit::Syscalls => of_events("syscall", "syscall"),
            Audit::Keys => "SELECT count(*) AS events, key, count(*) FILTER (WHERE success = 'no') AS failed
                            FROM (SELECT unnest(string_to_array(key, ',')) AS key, success FROM audit
                                  WHERE key IS NOT NULL)
                            WHERE key <> '' GROUP BY key ORDER BY events DESC, key"
                .to_owned(),
            Audit::Hosts => of_records(HOST, "address"),
            Audit::Terminals => of_records(&field("(?:tty|terminal)"), "terminal"),
            Audit::Commands => of_records(&decoded("comm"), "command"),
            Audit::Files => format!(
                "SELECT count(*) AS records, count(DISTINCT (host, seq)) AS events, path
                 FROM (SELECT host, seq, {FILE} AS path FROM audit_records WHERE type IN ('PATH', 'SOCKADDR'))
                 WHERE path IS NOT NULL GROUP BY path ORDER BY records DESC, path"
            ),
            _ => failures(),
        }
    }

    /// What was done, by which program and how it ended: of records of some types.
    fn of_types(self, types: &str) -> String {
        let [op, exe, res, terminal, addr, id] = ["op", "exe", "res", "terminal", "addr", "id"].map(field);
        let mut columns = vec![("type", "type".to_owned())];
        if matches!(self, Audit::Logins | Audit::Authentications) {
            let account = format!("coalesce({}, {id})", decoded("acct"));
            columns.extend([("account", account), ("address", addr), ("terminal", terminal)]);
        } else {
            columns.push(("operation", op));
        }
        columns.extend([("executable", exe), ("result", res)]);
        let named: Vec<String> = columns.iter().map(|(name, sql)| format!("{sql} AS {name}")).collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        format!(
            "SELECT count(*) AS records, {names}, min(ts) AS first_ts, max(ts) AS last_ts
             FROM (SELECT ts, {} FROM audit_records WHERE {types})
             GROUP BY {names} ORDER BY records DESC, {names}",
            named.join(", ")
        )
    }
}

/// The far end that a program names, or the address of a socket.
const HOST: &str =
    "CASE WHEN type = 'SOCKADDR' THEN regexp_match(audit_value(record, 'saddr', host), 'laddr=([^ ]+)')[1]
    ELSE coalesce(nullif(regexp_match(record, '[ '']addr=\"?([^\" '']+)')[1], '?'),
                  regexp_match(record, '[ '']hostname=\"?([^\" '']+)')[1]) END";

/// The path of a file, or of a socket.
const FILE: &str = "CASE WHEN type = 'PATH' THEN audit_value(record, 'name', host)
    ELSE regexp_match(audit_value(record, 'saddr', host), 'path=(/.*) }')[1] END";

/// Events by a column of theirs.
fn of_events(column: &str, name: &str) -> String {
    format!(
        "SELECT count(*) AS events, count(*) FILTER (WHERE success = 'no') AS failed, {column} AS {name}
         FROM audit WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY events DESC, {column}"
    )
}

/// Events by what one of their records says.
fn of_records(value: &str, name: &str) -> String {
    format!(
        "SELECT count(DISTINCT (host, seq)) AS events, {name}
         FROM (SELECT host, seq, {value} AS {name} FROM audit_records)
         WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY events DESC, {name}"
    )
}

fn failures() -> String {
    let [exe, res, success, syscall] = ["exe", "res", "success", "syscall"].map(field);
    format!(
        "SELECT count(*) AS events, operation, executable FROM (
             SELECT coalesce(syscall, '') AS operation, exe AS executable FROM audit WHERE success = 'no'
             UNION ALL
             SELECT type, {exe} FROM audit_records
             WHERE type <> 'SYSCALL' AND {res} IN ('failed', '0') AND coalesce({success}, {syscall}) IS NULL)
         GROUP BY operation, executable ORDER BY events DESC, operation, executable"
    )
}

/// What aureport prints first: how many events of each kind, and how many different names there are.
fn totals() -> String {
    let types = |audit: Audit| audit.types().unwrap_or("false");
    let ended = |audit: Audit, ends: &str| {
        format!(
            "count(DISTINCT CASE WHEN {} AND {} IN ({ends}) THEN seq END)",
            types(audit),
            field("res")
        )
    };
    let (failed, succeeded) = ("'failed', 'no', '0'", "'success', 'yes', '1'");
    let of_records: Vec<(&str, String)> = [
        ("logins", ended(Audit::Logins, succeeded)),
        ("failed logins", ended(Audit::Logins, failed)),
        ("authentications", ended(Audit::Authentications, succeeded)),
        ("failed authentications", ended(Audit::Authentications, failed)),
        ("hosts", format!("count(DISTINCT {HOST})")),
        ("terminals", format!("count(DISTINCT {})", field("(?:tty|terminal)"))),
        ("commands", format!("count(DISTINCT {})", decoded("comm"))),
        (
            "files",
            format!("count(DISTINCT CASE WHEN type IN ('PATH', 'SOCKADDR') THEN {FILE} END)"),
        ),
    ]
    .into_iter()
    .chain(
        [
            ("changes of configuration", Audit::Config),
            ("changes of accounts", Audit::Accounts),
            ("decisions of security modules", Audit::Avc),
            ("mandatory access control", Audit::Mac),
            ("anomalies", Audit::Anomalies),
            ("responses to anomalies", Audit::Responses),
            ("cryptography", Audit::Crypto),
            ("integrity", Audit::Integrity),
            ("virtual machines", Audit::Virt),
        ]
        .map(|(what, audit)| (what, format!("count(DISTINCT CASE WHEN {} THEN seq END)", types(audit)))),
    )
    .collect();
    let of_events = [
        ("events", "count(*)"),
        ("users", "count(DISTINCT auid)"),
        ("executables", "count(DISTINCT exe)"),
        ("processes", "count(DISTINCT pid)"),
        (
            "failed system calls",
            "count(*) FILTER (WHERE success = 'no' AND syscall IS NOT NULL)",
        ),
    ];
    let of_records = of_records
        .iter()
        .map(|(what, sql)| (*what, sql.as_str(), "audit_records"));
    let of_events = of_events.iter().map(|(what, sql)| (*what, *sql, "audit"));
    let rows: Vec<String> = of_events
        .chain(of_records)
        .map(|(what, sql, table)| format!("SELECT {sql} AS number, '{what}' AS what FROM {table}"))
        .chain(["SELECT count(DISTINCT k) AS number, 'keys' AS what \
                 FROM (SELECT unnest(string_to_array(key, ',')) AS k FROM audit) WHERE k <> ''"
            .to_owned()])
        .collect();
    format!("SELECT * FROM ({}) ORDER BY what", rows.join(" UNION ALL "))
}
