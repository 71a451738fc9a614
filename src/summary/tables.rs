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

/// Whether anybody recorded how long calls took: a row if so.
pub(super) const HAS_TIMES: &str = "SELECT evt_latency FROM events WHERE evt_latency IS NOT NULL LIMIT 1";

/// How long the calls of a group took together, and how many tell. As a float, because what was imported may claim any
/// times; sums are exact up to a hundred days.
const TIME: &str = ", sum(CAST(CAST(evt_latency AS BIGINT) AS DOUBLE)) AS ns, count(evt_latency) AS timed";

/// The time columns of `strace -c`. A call that does not tell its time is in no average.
const SHOWN_TIME: &str = "round(100 * ns / nullif(ns_of_group, 0), 2) AS \"% time\", ns / 1e9 AS seconds, \
                          CAST(ns / nullif(timed, 0) / 1000 AS BIGINT) AS \"usecs/call\", ";

impl By {
    /// Calls and errors of each system call: those who made the most calls first, and of each the most frequent first.
    /// With times, what took longest is first, as in `strace -c`.
    pub(super) fn table(self, condition: Option<&str>, times: bool) -> Table {
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
        let (group, partition) = match keys {
            "" => (String::new(), String::new()),
            keys => (format!("{keys}, "), format!("PARTITION BY {keys}")),
        };
        let (sums, group_sums, shown, longest) = if times {
            (
                TIME,
                format!(", sum(ns) OVER ({partition}) AS ns_of_group"),
                SHOWN_TIME,
                "ns DESC NULLS LAST, ",
            )
        } else {
            ("", String::new(), "", "")
        };
        let order = match (keys, times) {
            ("", _) => String::new(),
            (keys, false) => format!("of_group DESC, {keys}, "),
            (keys, true) => format!("ns_of_group DESC NULLS LAST, of_group DESC, {keys}, "),
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
                "SELECT {columns}{shown}calls, errors, evt_type AS syscall FROM (
                     SELECT *, sum(calls) OVER ({partition}) AS of_group{group_sums} FROM (
                         SELECT {group}evt_type, count(*) AS calls, count(*) FILTER (WHERE evt_failed) AS errors{sums}
                         FROM events WHERE {CALLS}{condition} GROUP BY {group}evt_type))
                 ORDER BY {order}{longest}calls DESC, evt_type"
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
