//! Tables that are statements over other tables: the same over a case and over an export, which does not hold them.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::prelude::SessionContext;

/// A table that is a statement.
pub(crate) struct View {
    /// Name in SQL.
    pub(crate) name: &'static str,
    /// What its rows are.
    pub(crate) doc: &'static str,
    /// The tables that it looks into.
    tables: &'static [&'static str],
    sql: &'static str,
    /// Name and meaning of columns that other tables do not have.
    columns: &'static [(&'static str, &'static str)],
}

/// All of them, in the order in which they are listed; a later one may look into an earlier one.
pub(crate) const VIEWS: [View; 5] = [
    View {
        name: "syscalls",
        doc: "System calls: the rows of table events whose source they are.",
        tables: &["events"],
        sql: "SELECT * FROM events WHERE source = 'syscall'",
        columns: &[],
    },
    View {
        name: "files",
        doc: "Who touched which file: a row per process image and path.",
        tables: &["events"],
        sql: "SELECT fd_name AS path, process_key, proc_pid AS pid, proc_name, container_id, container_name,
                     min(ts) AS first_ts, max(ts) AS last_ts, count(*) AS calls,
                     count(*) FILTER (WHERE evt_type IN ('open', 'openat', 'openat2', 'creat')) AS opens,
                     count(*) FILTER (WHERE evt_category = 'file' AND evt_type IN ('read', 'pread', 'readv', 'preadv', 'preadv2')) AS reads,
                     count(*) FILTER (WHERE evt_category = 'file' AND evt_type IN ('write', 'pwrite', 'writev', 'pwritev', 'pwritev2')) AS writes,
                     sum(evt_rawres) FILTER (WHERE evt_rawres > 0 AND evt_type IN ('read', 'pread', 'readv', 'preadv', 'preadv2')) AS bytes_read,
                     sum(evt_rawres) FILTER (WHERE evt_rawres > 0 AND evt_type IN ('write', 'pwrite', 'writev', 'pwritev', 'pwritev2')) AS bytes_written,
                     count(*) FILTER (WHERE evt_failed) AS failed
              FROM events WHERE fd_typechar = 'f' AND fd_name IS NOT NULL
              GROUP BY fd_name, process_key, proc_pid, proc_name, container_id, container_name",
        columns: &[
            ("path", "Absolute path."),
            ("pid", "Process id on the host."),
            ("first_ts", "Time of the first call."),
            ("last_ts", "Time of the last call."),
            ("calls", "How many calls."),
            ("opens", "How many of them opened it."),
            ("reads", "How many of them read it, of the reads that were recorded: set `security` has none."),
            ("writes", "How many of them wrote it, of the writes that were recorded."),
            ("bytes_read", "Bytes that they read."),
            ("bytes_written", "Bytes that they wrote."),
            ("failed", "How many of them failed."),
        ],
    },
    View {
        name: "connections",
        doc: "Who talked to whom: a row per process image and pair of internet addresses.",
        tables: &["events"],
        sql: "SELECT fd_name AS connection, fd_l4proto AS protocol, fd_is_server AS is_server,
                     fd_cip AS client_ip, fd_cport AS client_port, fd_sip AS server_ip, fd_sport AS server_port,
                     process_key, proc_pid AS pid, proc_name, container_id, container_name, container_image,
                     min(ts) AS first_ts, max(ts) AS last_ts, count(*) AS calls,
                     sum(evt_rawres) FILTER (WHERE evt_rawres > 0 AND evt_type IN ('read', 'readv', 'recvfrom', 'recvmsg')) AS bytes_in,
                     sum(evt_rawres) FILTER (WHERE evt_rawres > 0 AND evt_type IN ('write', 'writev', 'sendto', 'sendmsg')) AS bytes_out,
                     count(*) FILTER (WHERE evt_failed) AS failed
              FROM events WHERE fd_typechar IN ('4', '6') AND fd_name IS NOT NULL
              GROUP BY fd_name, fd_l4proto, fd_is_server, fd_cip, fd_cport, fd_sip, fd_sport, process_key, proc_pid,
                       proc_name, container_id, container_name, container_image",
        columns: &[
            ("connection", "Both addresses, `client->server`; the own one where it is not connected."),
            ("protocol", "Protocol: `tcp`, `udp`, …"),
            ("is_server", "Whether the process is the server."),
            ("client_ip", "Address of the client."),
            ("client_port", "Port of the client."),
            ("server_ip", "Address of the server."),
            ("server_port", "Port of the server."),
            ("pid", "Process id on the host."),
            ("first_ts", "Time of the first call."),
            ("last_ts", "Time of the last call."),
            ("calls", "How many calls."),
            ("bytes_in", "Bytes that they read."),
            ("bytes_out", "Bytes that they wrote."),
            ("failed", "How many of them failed."),
        ],
    },
    View {
        name: "images",
        doc: "Images of containers.",
        tables: &["containers"],
        sql: "SELECT image, image_id, image_digest, count(*) AS containers, min(created_ts) AS first_created_ts
              FROM containers WHERE image IS NOT NULL GROUP BY image, image_id, image_digest",
        columns: &[
            ("image", "Image as it was named at creation."),
            ("image_id", "Id of the image."),
            ("image_digest", "Repository digest of the image."),
            ("containers", "How many containers of it are known."),
            ("first_created_ts", "When the first of them was created."),
        ],
    },
    View {
        name: "audit_records",
        doc: "Records of the audit subsystem: one row per record of the rows of table audit.",
        tables: &["audit"],
        sql: "SELECT seq, ts, serial, split_part(split_part(record, 'type=', 2), ' ', 1) AS type, record,
                     audit_interpret(record, host) AS interpreted, host, date
              FROM (SELECT seq, ts, serial, host, date, unnest(string_to_array(raw, chr(10))) AS record FROM audit)
              WHERE record <> ''",
        columns: &[
            ("seq", "Number of the event in the recording."),
            ("serial", "The kernel's number of the event."),
            ("type", "Type of the record: `SYSCALL`, `PATH`, `USER_LOGIN`, …"),
            ("record", "The record as the kernel wrote it."),
            (
                "interpreted",
                "The record with what its fields mean, as `ausearch -i` shows it.",
            ),
        ],
    },
];

impl View {
    /// The view of that name.
    pub(crate) fn find(name: &str) -> Option<&'static View> {
        VIEWS.iter().find(|v| v.name == name)
    }

    /// Makes the table; `None` where a table is missing that it looks into.
    pub(crate) async fn over(&self, context: &SessionContext) -> Result<Option<Arc<dyn TableProvider>>> {
        for table in self.tables {
            if !context.table_exist(*table)? {
                return Ok(None);
            }
        }
        Ok(Some(context.sql(self.sql).await?.into_view()))
    }

    /// The meaning of a column that is this view's own.
    pub(crate) fn column_doc(&self, column: &str) -> Option<&'static str> {
        self.columns
            .iter()
            .find(|(name, _)| *name == column)
            .map(|(_, doc)| *doc)
    }
}
