//! The tables of a case: which there are, what they mean and how they are made.

use std::sync::Arc;

use ctrace_trace::catalogue;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{ParamKind, Schema};
use datafusion::catalog::TableProvider;

use crate::block_table::BlockTable;
use crate::column::{self, Column, Param, ParamType};
use crate::container_table;
use crate::process_table;
use crate::segment_table;
use crate::source::CaseSource;
use crate::state_table::{self, StateColumn, StateTable, schema};

/// A table that every case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Events,
    Processes,
    Containers,
    DockerEvents,
    ContainerLogs,
    Audit,
    Users,
    Snapshots,
    Gaps,
    Segments,
    Artifacts,
    Units,
}

/// A table about one event type.
struct KindTable {
    kind: EventType,
    /// Fields of the catalogue that stand before the parameters.
    fields: &'static [&'static str],
    /// Parameter, its name in SQL where it differs, its type where it is more than the declared one, its meaning.
    params: &'static [(&'static str, &'static str, Option<ParamType>, &'static str)],
}

const DOCKER_EVENTS: KindTable = KindTable {
    kind: EventType::DOCKER,
    fields: &[],
    params: &[
        (
            "type",
            "type",
            None,
            "What the event is about: `container`, `image`, `network`, `volume`, …",
        ),
        (
            "action",
            "action",
            None,
            "What happened: `create`, `start`, `exec_create: COMMAND`, `die`, …",
        ),
        ("id", "id", None, "Full id of what the event is about."),
        ("name", "name", None, "Its name."),
        ("image", "image", None, "The container's image."),
        (
            "exit_code",
            "exit_code",
            None,
            "Exit code of a container or exec that ended.",
        ),
        ("raw", "raw", None, "The engine's JSON."),
    ],
};

const CONTAINER_LOGS: KindTable = KindTable {
    kind: EventType::CONTAINER_LOG,
    fields: &[
        "container.id",
        "container.full_id",
        "container.name",
        "container.image.repository",
    ],
    params: &[
        ("stream", "stream", None, "`stdout` or `stderr`."),
        ("message", "message", None, "What was written, without the line's end."),
        (
            "partial",
            "partial",
            None,
            "1 where the line goes on in the next row of its stream.",
        ),
        (
            "attrs",
            "attrs",
            None,
            "What else the engine wrote with the line, JSON.",
        ),
    ],
};

const AUDIT: KindTable = KindTable {
    kind: EventType::AUDIT,
    fields: &[],
    params: &[
        ("serial", "serial", None, "The kernel's number of the event."),
        ("types", "types", None, "Types of its records."),
        ("key", "key", None, "Key of the rule that matched."),
        ("syscall", "syscall", None, "System call."),
        (
            "success",
            "success",
            None,
            "Whether the system call succeeded: `yes` or `no`.",
        ),
        ("pid", "pid", None, "Process id."),
        ("auid", "auid", None, "Id of the user who logged in."),
        ("exe", "exe", None, "Path of the executable."),
        ("raw", "raw", None, "The records as the kernel wrote them, one a line."),
    ],
};

const GAPS: KindTable = KindTable {
    kind: EventType::GAP,
    fields: &[],
    params: &[
        (
            "source",
            "source",
            None,
            "Source that lost events; of class `forgotten` what was forgotten.",
        ),
        ("class", "class", None, "Class of the lost events."),
        (
            "count",
            "count",
            None,
            "How many events were lost; of class `forgotten` how many of what `source` says.",
        ),
        ("cpu", "cpu", None, "CPU; -1 where the loss is not of one CPU."),
        (
            "from",
            "from_ts",
            Some(ParamType::Timestamp),
            "When the loss may have begun.",
        ),
        ("to", "to_ts", Some(ParamType::Timestamp), "When it was over."),
        (
            "reason",
            "reason",
            None,
            "The option that asked for it, or why events could not be written.",
        ),
    ],
};

const ARTIFACTS: KindTable = KindTable {
    kind: EventType::ARTIFACT,
    fields: &["proc.pid", "proc.name", "container.id", "container.name"],
    params: &[
        (
            "kind",
            "kind",
            None,
            "`executable`, `script` (`#!`), `running` (executed before the recording began), `module` or `bpf_program`.",
        ),
        (
            "path",
            "path",
            None,
            "Absolute path of the file; name of a BPF program.",
        ),
        ("dev", "dev", None, "Device of the file's file system."),
        ("ino", "ino", None, "Inode number of the file."),
        (
            "ctime",
            "ctime",
            Some(ParamType::Timestamp),
            "When the file's inode was last changed.",
        ),
        (
            "mtime",
            "mtime",
            Some(ParamType::Timestamp),
            "When the file's contents were last changed.",
        ),
        ("size", "size", None, "Size in bytes."),
        (
            "sha256",
            "sha256",
            None,
            "SHA-256 of the contents, in lower-case hexadecimal.",
        ),
        (
            "reason",
            "reason",
            None,
            "Why there is no digest, or what it is the digest of where that needs saying.",
        ),
        ("copy", "copy", None, "Name of the copy within the case."),
        (
            "copy_reason",
            "copy_reason",
            None,
            "Why there is no copy although one was asked for.",
        ),
        ("id", "id", None, "The kernel's number of a BPF program."),
    ],
};

/// A column as others may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name.
    pub name: String,
    /// Type in the words of SQL.
    pub ty: String,
    /// What it means; empty where that is not known.
    pub doc: String,
}

impl Table {
    /// Every table, in the order in which they are listed.
    pub(crate) const ALL: [Table; 12] = [
        Table::Events,
        Table::Processes,
        Table::Containers,
        Table::DockerEvents,
        Table::ContainerLogs,
        Table::Audit,
        Table::Users,
        Table::Snapshots,
        Table::Gaps,
        Table::Segments,
        Table::Artifacts,
        Table::Units,
    ];

    /// Name in SQL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Processes => "processes",
            Table::Containers => "containers",
            Table::DockerEvents => "docker_events",
            Table::ContainerLogs => "container_logs",
            Table::Audit => "audit",
            Table::Users => "users",
            Table::Snapshots => "snapshots",
            Table::Gaps => "gaps",
            Table::Segments => "segments",
            Table::Artifacts => "artifacts",
            Table::Units => "units",
        }
    }

    /// The table of that name.
    pub(crate) fn find(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|t| t.name() == name)
    }

    /// What its rows are.
    pub(crate) fn doc(self) -> &'static str {
        match self {
            Table::Events => "Every event of every source, with the fields of the catalogue.",
            Table::Processes => "Process images: one row per program that a process ran.",
            Table::Containers => "Containers, as completely as any part of the recording knows them.",
            Table::DockerEvents => "Events of the Docker engine.",
            Table::ContainerLogs => "Lines that containers wrote.",
            Table::Audit => "Events of the kernel's audit subsystem, one row per serial.",
            Table::Users => "Accounts of the host.",
            Table::Snapshots => "States of the host that were recorded: one at the beginning of each segment.",
            Table::Gaps => "What was lost while recording: how many events, of what, when.",
            Table::Segments => "Files of the recording.",
            Table::Units => "Units of the host's systemd at the beginning of each segment.",
            Table::Artifacts => {
                "Files that were executed, kernel modules and BPF programs that were loaded, with their digests."
            }
        }
    }

    /// The column by which exports are sorted.
    pub(crate) fn sorted_by(self) -> &'static str {
        match self {
            Table::Processes => "start_ts",
            Table::Containers => "created_ts",
            Table::Users => "uid",
            Table::Segments | Table::Units => "segment",
            _ => "ts",
        }
    }

    /// The table over the blocks of a case, where its rows are events.
    pub(crate) fn over_blocks(self, case: &Arc<CaseSource>) -> Option<BlockTable> {
        let table = |only, columns| Some(BlockTable::new(case.clone(), only, columns));
        match (self, self.kind_table()) {
            (Table::Events, _) => table(None, column::of_events()),
            (_, Some(k)) => table(Some(k.kind), k.columns()),
            _ => None,
        }
    }

    /// The table over a case.
    pub(crate) fn over(self, case: &Arc<CaseSource>) -> Arc<dyn TableProvider> {
        if let Some(table) = self.over_blocks(case) {
            return Arc::new(table);
        }
        let (schema, build): (_, state_table::Build) = match self {
            Table::Containers => (schema(container_table::COLUMNS), Box::new(container_table::rows)),
            Table::Users => (schema(segment_table::USERS), Box::new(segment_table::users)),
            Table::Snapshots => (schema(segment_table::SNAPSHOTS), Box::new(segment_table::snapshots)),
            Table::Segments => (schema(segment_table::SEGMENTS), Box::new(segment_table::segments)),
            Table::Units => (schema(segment_table::UNITS), Box::new(segment_table::units)),
            _ => (schema(process_table::COLUMNS), Box::new(process_table::rows)),
        };
        Arc::new(StateTable::new(case.clone(), Arc::new(schema), build))
    }

    /// Name and meaning of each column, in order.
    pub(crate) fn column_docs(self) -> Vec<(String, &'static str)> {
        let of_blocks = |columns: Vec<Column>| columns.iter().map(|c| (c.name().to_owned(), c.doc())).collect();
        match (self, self.kind_table()) {
            (_, Some(k)) => of_blocks(k.columns()),
            (Table::Processes, _) => of_things(process_table::COLUMNS),
            (Table::Containers, _) => of_things(container_table::COLUMNS),
            (Table::Users, _) => of_things(segment_table::USERS),
            (Table::Snapshots, _) => of_things(segment_table::SNAPSHOTS),
            (Table::Segments, _) => of_things(segment_table::SEGMENTS),
            (Table::Units, _) => of_things(segment_table::UNITS),
            _ => of_blocks(column::of_events()),
        }
    }

    fn kind_table(self) -> Option<&'static KindTable> {
        match self {
            Table::DockerEvents => Some(&DOCKER_EVENTS),
            Table::ContainerLogs => Some(&CONTAINER_LOGS),
            Table::Audit => Some(&AUDIT),
            Table::Gaps => Some(&GAPS),
            Table::Artifacts => Some(&ARTIFACTS),
            _ => None,
        }
    }
}

fn of_things<R>(columns: &[StateColumn<R>]) -> Vec<(String, &'static str)> {
    let own = columns.iter().map(|c| (c.name.to_owned(), c.doc));
    let of_case = ["host", "date"].map(|name| (name.to_owned(), state_table::doc_of_case_column(name)));
    own.chain(of_case).collect()
}

impl KindTable {
    /// Number, time, the fields and every parameter that this version declares for the event type.
    fn columns(&self) -> Vec<Column> {
        let schema = Schema::current();
        let declared = schema.get(self.kind).map(|s| s.params.as_slice()).unwrap_or_default();
        let param = |p: &ctrace_trace::schema::Param| {
            let known = self.params.iter().find(|(name, ..)| *name == p.name);
            let (_, column, ty, doc) = known.copied().unwrap_or((&p.name, &p.name, None, ""));
            let ty = ty.unwrap_or_else(|| type_of(p.kind));
            Column::Param(Arc::new(Param {
                name: p.name.clone(),
                column: column.to_owned(),
                ty,
                doc,
            }))
        };
        let fields = self
            .fields
            .iter()
            .filter_map(|name| catalogue::find(name))
            .map(Column::Field);
        // The process is part of what an artifact is about.
        let process = (self.kind == EventType::ARTIFACT).then_some(Column::ProcessKey);
        let first = [Column::Seq, Column::Ts].into_iter();
        first
            .chain(process)
            .chain(fields)
            .chain(declared.iter().map(param))
            .chain([Column::Host, Column::Date])
            .collect()
    }
}

fn type_of(kind: ParamKind) -> ParamType {
    match kind {
        ParamKind::Enum(set) => ParamType::Name(set),
        ParamKind::Str | ParamKind::Path | ParamKind::SockAddr => ParamType::Text,
        ParamKind::Uint | ParamKind::Flags(_) | ParamKind::Mode | ParamKind::Addr | ParamKind::Size => ParamType::Uint,
        ParamKind::Int | ParamKind::Fd | ParamKind::Pid | ParamKind::Uid | ParamKind::Gid | ParamKind::Signal => {
            ParamType::Int
        }
    }
}
