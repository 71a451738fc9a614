//! The statements behind the tables of `ctrace summary`.

/// A table to show.
pub(super) struct Table {
    /// Its key in JSON.
    pub(super) name: &'static str,
    /// What stands above it.
    pub(super) title: String,
    pub(super) sql: String,
}

/// By whom system calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// Of everybody together
    Syscall,
    /// A table's part for each process
    Process,
    /// A table's part for each container, and one for the host
    Container,
    /// A table's part for each host
    Host,
}

/// Events of source `syscall` that are no calls: a call is what strace shows as one.
const CALLS: &str = "source = 'syscall' AND evt_type NOT IN ('procexit', 'io_uring_req', 'signaldeliver', 'switch', \
                     'page_fault', 'container', 'artifact')";

impl By {
    /// Calls and errors of each system call: those who made the most calls first, and of each the most frequent first.
    pub(super) fn table(self, condition: Option<&str>) -> Table {
        // What a group is called, and what makes it one.
        let (columns, keys) = match self {
            By::Syscall => ("", ""),
            By::Process => (
                "proc_name AS process, proc_pid AS pid, ",
                "proc_name, proc_pid, proc_pid_ts",
            ),
            By::Container => ("container_name AS container, ", "container_name, container_id"),
            By::Host => ("host, ", "host"),
        };
        let (group, partition, order) = match keys {
            "" => (String::new(), String::new(), String::new()),
            keys => (
                format!("{keys}, "),
                format!("PARTITION BY {keys}"),
                format!("of_group DESC, {keys}, "),
            ),
        };
        // A comment in the condition must not swallow what follows it.
        let condition = condition.map_or_else(String::new, |c| format!(" AND ({c}\n)"));
        let title = match self {
            By::Syscall => "system calls",
            By::Process => "system calls by process",
            By::Container => "system calls by container",
            By::Host => "system calls by host",
        };
        Table {
            name: "syscalls",
            title: title.to_owned(),
            sql: format!(
                "SELECT {columns}calls, errors, evt_type AS syscall FROM (
                     SELECT *, sum(calls) OVER ({partition}) AS of_group FROM (
                         SELECT {group}evt_type, count(*) AS calls, count(*) FILTER (WHERE evt_failed) AS errors
                         FROM events WHERE {CALLS}{condition} GROUP BY {group}evt_type))
                 ORDER BY {order}calls DESC, evt_type"
            ),
        }
    }
}

/// Summaries of what the audit subsystem recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Audit {
    /// Types of records
    Types,
    /// Logins and authentications
    Logins,
    /// Users who logged in and what they did
    Users,
    /// Executables
    Executables,
    /// Files
    Files,
    /// Keys of the rules that matched
    Keys,
    /// Anomalies
    Anomalies,
    /// Failed system calls and failed operations of programs
    Failures,
    /// Changes of configuration, accounts and groups
    Changes,
}

/// The value of a field of an audit record, with or without quotes. Fields of user programs stand within `msg='…'`.
fn field(name: &str) -> String {
    format!("regexp_match(record, '[ '']{name}=\"?([^\" '']+)')[1]")
}

impl Audit {
    /// All, in the order in which they are shown.
    pub(super) const ALL: [Audit; 9] = [
        Audit::Types,
        Audit::Logins,
        Audit::Users,
        Audit::Executables,
        Audit::Files,
        Audit::Keys,
        Audit::Anomalies,
        Audit::Failures,
        Audit::Changes,
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
            Audit::Types => ("audit_types", "types of records"),
            Audit::Logins => ("audit_logins", "logins and authentications"),
            Audit::Users => ("audit_users", "users who logged in (-1: nobody did)"),
            Audit::Executables => ("audit_executables", "executables"),
            Audit::Files => ("audit_files", "files"),
            Audit::Keys => ("audit_keys", "keys"),
            Audit::Anomalies => ("audit_anomalies", "anomalies"),
            Audit::Failures => ("audit_failures", "failures"),
            Audit::Changes => ("audit_changes", "changes of configuration and accounts"),
        }
    }

    fn sql(self) -> String {
        let [acct, id, addr, exe, terminal, res, op, success, syscall] = [
            "acct", "id", "addr", "exe", "terminal", "res", "op", "success", "syscall",
        ]
        .map(field);
        match self {
            Audit::Types => "SELECT count(*) AS records, count(DISTINCT (host, seq)) AS events, type FROM audit_records
                             GROUP BY type ORDER BY records DESC, type"
                .to_owned(),
            Audit::Logins => format!(
                "SELECT count(*) AS records, type, coalesce({acct}, {id}) AS account, {addr} AS address,
                        {terminal} AS terminal, {exe} AS executable, {res} AS result,
                        min(ts) AS first_ts, max(ts) AS last_ts
                 FROM audit_records WHERE type IN ('USER_LOGIN', 'USER_AUTH')
                 GROUP BY 2, 3, 4, 5, 6, 7 ORDER BY records DESC, type, account, address, terminal, executable, result"
            ),
            Audit::Users => "SELECT count(*) AS events, auid, count(*) FILTER (WHERE success = 'no') AS failed,
                                    min(ts) AS first_ts, max(ts) AS last_ts
                             FROM audit WHERE auid IS NOT NULL GROUP BY auid ORDER BY events DESC, auid"
                .to_owned(),
            Audit::Executables => "SELECT count(*) AS events, count(*) FILTER (WHERE success = 'no') AS failed,
                                          exe AS executable
                                   FROM audit WHERE exe IS NOT NULL GROUP BY exe ORDER BY events DESC, exe"
                .to_owned(),
            Audit::Files => format!(
                "SELECT count(*) AS records, count(DISTINCT (host, seq)) AS events, {name} AS path
                 FROM audit_records WHERE type = 'PATH' AND {name} IS NOT NULL
                 GROUP BY path ORDER BY records DESC, path",
                name =
                    "coalesce(regexp_match(record, ' name=\"([^\"]*)\"')[1], regexp_match(record, ' name=([^ ]+)')[1])"
            ),
            Audit::Keys => "SELECT count(*) AS events, key, count(*) FILTER (WHERE success = 'no') AS failed
                            FROM (SELECT unnest(string_to_array(key, ',')) AS key, success FROM audit
                                  WHERE key IS NOT NULL)
                            WHERE key <> '' GROUP BY key ORDER BY events DESC, key"
                .to_owned(),
            Audit::Anomalies => format!(
                "SELECT count(*) AS records, type, {exe} AS executable, min(ts) AS first_ts, max(ts) AS last_ts
                 FROM audit_records WHERE type LIKE 'ANOM%' OR type IN ('SECCOMP', 'AVC')
                 GROUP BY 2, 3 ORDER BY records DESC, type, executable"
            ),
            Audit::Failures => format!(
                "SELECT count(*) AS events, operation, executable FROM (
                     SELECT coalesce(syscall, '') AS operation, exe AS executable FROM audit WHERE success = 'no'
                     UNION ALL
                     SELECT type, {exe} FROM audit_records
                     WHERE type <> 'SYSCALL' AND {res} IN ('failed', '0') AND coalesce({success}, {syscall}) IS NULL)
                 GROUP BY operation, executable ORDER BY events DESC, operation, executable"
            ),
            Audit::Changes => format!(
                "SELECT count(*) AS records, type, {op} AS operation, {exe} AS executable, {res} AS result,
                        min(ts) AS first_ts, max(ts) AS last_ts
                 FROM audit_records
                 WHERE type IN ('CONFIG_CHANGE', 'DAEMON_CONFIG', 'USYS_CONFIG', 'USER_CHAUTHTOK', 'ADD_USER',
                                'DEL_USER', 'ADD_GROUP', 'DEL_GROUP', 'USER_MGMT', 'GRP_MGMT', 'CHUSER_ID',
                                'CHGRP_ID', 'ACCT_LOCK', 'ACCT_UNLOCK', 'ROLE_ASSIGN', 'ROLE_REMOVE')
                 GROUP BY 2, 3, 4, 5 ORDER BY records DESC, type, operation, executable, result"
            ),
        }
    }
}

/// What the Docker engine did, and to which containers.
pub(super) fn docker() -> [Table; 2] {
    [
        Table {
            name: "docker_actions",
            title: "docker: actions".to_owned(),
            // What follows the colon is a command and would make each a row of its own.
            sql: "SELECT count(*) AS events, type, split_part(action, ':', 1) AS action,
                         min(ts) AS first_ts, max(ts) AS last_ts
                  FROM docker_events GROUP BY 2, 3 ORDER BY events DESC, type, action"
                .to_owned(),
        },
        Table {
            name: "docker_containers",
            title: "docker: containers".to_owned(),
            sql: "SELECT count(*) AS events, name, image,
                         count(*) FILTER (WHERE action = 'start') AS started,
                         count(*) FILTER (WHERE action = 'die') AS died,
                         count(*) FILTER (WHERE action = 'die' AND exit_code <> 0) AS failed,
                         count(*) FILTER (WHERE action = 'oom') AS oom,
                         count(*) FILTER (WHERE action LIKE 'exec_start%') AS execs,
                         min(ts) AS first_ts, max(ts) AS last_ts
                  FROM docker_events WHERE type = 'container'
                  GROUP BY id, name, image ORDER BY events DESC, name, image, min(ts)"
                .to_owned(),
        },
    ]
}

/// Who talked most over the network: a row per program, container and far end.
pub(super) fn talkers() -> Table {
    Table {
        name: "talkers",
        title: "network: who talked most".to_owned(),
        sql: "SELECT coalesce(sum(bytes_in), 0) + coalesce(sum(bytes_out), 0) AS bytes,
                     coalesce(sum(bytes_in), 0) AS bytes_in, coalesce(sum(bytes_out), 0) AS bytes_out,
                     sum(calls) AS calls, count(DISTINCT (process_key, connection)) AS connections,
                     proc_name AS process, container_name AS container, is_server,
                     CASE WHEN is_server THEN client_ip ELSE server_ip END AS far_ip, server_port, protocol
              FROM connections
              GROUP BY 6, 7, 8, 9, 10, 11
              ORDER BY bytes DESC, calls DESC, process, container, far_ip, server_port, protocol, is_server"
            .to_owned(),
    }
}
