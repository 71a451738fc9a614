//! Export of a case: every table as Parquet, `DIR/TABLE/host=NAME/date=YYYY-MM-DD/part-NNNNN.parquet`.
//!
//! Files appear whole: each is written under another name and renamed. `manifest.json` comes last and names the case and
//! the digests of its segments, so that an export can be traced to its evidence. Until then a journal says which files
//! are there: an export that was broken off goes on where it was.

mod alike;
mod bounds;
mod chunk;
mod dictionary;
mod domain;
mod events;
mod hybrid;
mod journal;
mod loaded;
mod manifest;
mod pages;
mod part;
mod row_group;
mod shared;
mod texts;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ctrace_trace::case::{self, Verification};
use ctrace_trace::segment::{BlockRef, Problem};
use datafusion::catalog::TableProvider;
use datafusion::prelude::{SessionContext, col};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cancel::Cancel;
use crate::error::QueryError;
use crate::session::Session;
use crate::source::{CaseSource, host_name};
use crate::tables::Table;
pub(crate) use chunk::compression;
use journal::Journal;
use manifest::Manifest;
use part::{Parts, Place};
pub(crate) use row_group::DISTINCT;

/// Rows of a file of events, and of a row group: what is in memory at a time.
const ROWS_PER_FILE: u64 = 1 << 20;
/// Decoded bytes of the blocks of a file: events that are large, such as those of Kubernetes, make shorter files.
const BYTES_PER_FILE: u64 = 256 << 20;

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Rows per table, by name.
    pub tables: Vec<(String, u64)>,
    /// Number of files.
    pub files: usize,
    /// Size of all files.
    pub bytes: u64,
    /// What is damaged in the case: its rows are missing.
    pub problems: Vec<Problem>,
}

/// Told how many rows of how many are written; called from several threads.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    /// Its path below the folder of the export.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Writes all tables of a case into a folder that is new, empty, or has what an earlier attempt of the same left.
///
/// # Errors
/// Where the session is not over a case, the folder has something else or cannot be written.
pub fn export(session: &Session, dir: &Path, progress: Progress<'_>) -> Result<Exported, QueryError> {
    let Some(source) = session.source() else {
        return Err(QueryError::Statement("this is an export already".to_owned()));
    };
    fs::create_dir_all(dir).map_err(QueryError::io(dir))?;
    let journal = Journal::open(dir, &about(source))?;
    session.canceller().reset();
    let checked = {
        let source = source.clone();
        session.runtime().spawn_blocking(move || case::verify(source.case()))
    };
    let job = Arc::new(Job {
        dir: dir.to_owned(),
        source: source.clone(),
        context: single_threaded(session.context()),
        done: AtomicU64::new(0),
        cancel: session.canceller(),
        journal,
        case_id: source.case().id().map_or_else(String::new, |id| id.to_string()),
    });
    let written = job.tables(session, progress)?;
    let checked = session.runtime().block_on(session.canceller().or(checked))?;
    let checked = checked.map_err(|e| QueryError::Internal(e.to_string()))?;
    let exported = summary(source, &written, &checked);
    Manifest {
        source,
        written: &written,
        checked: &checked,
        problems: &exported.problems,
    }
    .write(dir)?;
    match Arc::try_unwrap(job) {
        Ok(job) => job.journal.remove()?,
        Err(_) => return Err(QueryError::Internal("the export has not ended".to_owned())),
    }
    Ok(exported)
}

/// What an attempt to go on must have in common with the one before.
fn about(source: &CaseSource) -> Value {
    let segments = source.case().segments().iter();
    json!({
        "layout": manifest::LAYOUT,
        "tool": manifest::tool(),
        "case": source.case().id().map(|id| id.to_string()),
        "resolve_late": source.resolves_late(),
        "segments": segments.map(|s| json!({
            "file": s.path().file_name().unwrap_or_default().to_string_lossy(),
            "bytes": s.len(),
        })).collect::<Vec<_>>(),
    })
}

/// How many rows an export of this session's case has, the few of processes and containers aside.
pub fn rows_expected(session: &Session) -> u64 {
    session.source().map_or(0, |s| s.events())
}

fn summary(source: &CaseSource, written: &[(Table, Vec<Written>)], checked: &Verification) -> Exported {
    let files = || written.iter().flat_map(|(_, files)| files);
    let mut problems = source.case().problems().to_vec();
    problems.extend(source.problems());
    problems.extend(checked.problems.iter().cloned());
    problems.sort();
    problems.dedup();
    Exported {
        tables: written
            .iter()
            .map(|(t, files)| (t.name().to_owned(), files.iter().map(|f| f.rows).sum()))
            .collect(),
        files: files().count(),
        bytes: files().map(|f| f.bytes).sum(),
        problems,
    }
}

/// The same settings and memory; a file is written by one thread, several at a time.
fn single_threaded(context: &SessionContext) -> SessionContext {
    let config = context.copied_config().with_target_partitions(1);
    SessionContext::new_with_config_rt(config, context.runtime_env())
}

/// An export under way.
struct Job {
    dir: PathBuf,
    source: Arc<CaseSource>,
    context: SessionContext,
    done: AtomicU64,
    cancel: Cancel,
    journal: Journal,
    case_id: String,
}

/// Consecutive blocks whose events go into one file for each of their days.
struct Run<'a> {
    number: u32,
    blocks: &'a [BlockRef],
    host: &'a str,
}

impl Job {
    /// Writes all tables; gives their files.
    fn tables(
        self: &Arc<Self>,
        session: &Session,
        progress: Progress<'_>,
    ) -> Result<Vec<(Table, Vec<Written>)>, QueryError> {
        let run = |tables| session.runtime().block_on(self.cancel.or(self.in_turn(tables)))?;
        let (events, others) = Table::ALL.into_iter().partition(|t| *t == Table::Events);
        // The other tables are small; some wait for one thread.
        let (written, others) = thread::scope(|scope| {
            let others = scope.spawn(|| run(others));
            (self.events(progress), others.join())
        });
        let written = match written? {
            none if none.is_empty() => run(events)?,
            files => vec![(Table::Events, files)],
        };
        let others = others.map_err(|_| events::broken())??;
        Ok(written.into_iter().chain(others).collect())
    }

    /// Writes tables one after the other.
    async fn in_turn(self: &Arc<Self>, tables: Vec<Table>) -> Result<Vec<(Table, Vec<Written>)>, QueryError> {
        let mut written = Vec::new();
        for table in tables {
            written.push((table, self.table(table).await?));
        }
        Ok(written)
    }

    /// Writes table `events`; gives its files in order.
    fn events(&self, progress: Progress<'_>) -> Result<Vec<Written>, QueryError> {
        let parts = split(self.source.blocks(), ROWS_PER_FILE, BYTES_PER_FILE);
        let run = |(blocks, number)| Run {
            number,
            blocks,
            host: host_of(blocks),
        };
        let (mut files, mut runs) = (Vec::new(), Vec::new());
        for run in parts.into_iter().zip(1u32..).map(run) {
            match self.journal.done(Table::Events, run.number) {
                Some(done) => {
                    done.iter().for_each(|f| self.written(f.rows, progress));
                    files.extend_from_slice(done);
                }
                None => runs.push(run),
            }
        }
        files.append(&mut events::write(self, &runs, progress)?);
        files.sort();
        Ok(files)
    }

    /// Tells of so many more rows.
    fn written(&self, rows: u64, progress: Progress<'_>) {
        let done = self.done.fetch_add(rows, Ordering::Relaxed) + rows;
        progress(done, self.source.events());
    }

    /// Writes another table; gives its files in order.
    async fn table(self: &Arc<Self>, table: Table) -> Result<Vec<Written>, QueryError> {
        let mut running = JoinSet::new();
        let mut files = Vec::new();
        for (run, number) in self.runs(table).into_iter().zip(1u32..) {
            match self.journal.done(table, number) {
                Some(done) => files.extend_from_slice(done),
                None => {
                    let job = self.clone();
                    running.spawn(async move { job.run(table, run, number).await });
                }
            }
        }
        while let Some(finished) = running.join_next().await {
            files.extend(finished.map_err(|e| QueryError::Internal(e.to_string()))??);
        }
        if files.is_empty() {
            files.push(self.empty(table).await?);
        }
        files.sort();
        Ok(files)
    }

    /// What goes into one run of files each. Tables of one event type are small: the head says which blocks matter.
    fn runs(&self, table: Table) -> Vec<TableRun> {
        let run = |(provider, host): (Arc<dyn TableProvider>, &str)| TableRun {
            provider,
            host: host.to_owned(),
        };
        match table.over_blocks(&self.source) {
            Some(over) => {
                let parts = split(self.source.blocks(), u64::MAX, u64::MAX);
                parts
                    .into_iter()
                    .map(|part| run((Arc::new(over.part(part)), host_of(part))))
                    .collect()
            }
            None => vec![run((table.over(&self.source), self.source.host()))],
        }
    }

    /// Writes the rows of a run, in order of time.
    async fn run(&self, table: Table, run: TableRun, number: u32) -> Result<Vec<Written>, QueryError> {
        let frame = self.context.read_table(run.provider)?;
        let names: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
        let stored: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|n| !matches!(*n, "host" | "date"))
            .collect();
        let mut order = vec![col(table.sorted_by()).sort(true, true)];
        if stored.contains(&"seq") {
            order.push(col("seq").sort(true, true));
        }
        let frame = frame.select_columns(&stored)?.sort(order)?;
        let mut rows = frame.execute_stream().await?;
        // Things lie under the day on which the recording began, whatever times they have.
        let day = table
            .over_blocks(&self.source)
            .is_none()
            .then(|| crate::values::day(self.source.began()));
        let place = Place {
            dir: self.dir.clone(),
            table,
            host: run.host,
            number,
            case_id: self.case_id.clone(),
        };
        let mut parts = Parts::new(place, rows.schema(), day);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            parts.write(&batch)?;
        }
        let files = parts.finish()?;
        self.journal.note(table, number, &files)?;
        Ok(files)
    }

    /// A file without rows, so that the table is there.
    async fn empty(&self, table: Table) -> Result<Written, QueryError> {
        let frame = self.context.read_table(table.over(&self.source))?;
        let names: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
        let stored: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|n| !matches!(*n, "host" | "date"))
            .collect();
        let schema = frame.select_columns(&stored)?.schema().inner().clone();
        let (host, case_id) = (self.source.host().to_owned(), self.case_id.clone());
        let place = Place {
            dir: self.dir.clone(),
            table,
            host,
            number: 1,
            case_id,
        };
        let day = crate::values::day(self.source.began());
        let mut written = Parts::new(place, schema, Some(day)).finish_with_a_file()?;
        written
            .pop()
            .ok_or_else(|| QueryError::Internal("a file was not written".to_owned()))
    }
}

/// Rows that one thread writes.
struct TableRun {
    provider: Arc<dyn TableProvider>,
    host: String,
}

fn host_of(blocks: &[BlockRef]) -> &str {
    blocks.first().map_or("", |b| host_name(&b.header().about.host))
}

/// Consecutive blocks of one host with at most so many events and decoded bytes, or a single one.
fn split(blocks: &[BlockRef], most_events: u64, most_bytes: u64) -> Vec<&[BlockRef]> {
    let mut out = Vec::new();
    let (mut start, mut events, mut bytes) = (0, 0u64, 0u64);
    for (i, block) in blocks.iter().enumerate() {
        let head = block.head();
        events = events.saturating_add(u64::from(head.events));
        let decoded: u64 = head.frames.iter().map(|f| u64::from(f.raw_len)).sum();
        bytes = bytes.saturating_add(decoded);
        let other_host = host_of(&blocks[i..]) != host_of(&blocks[start..]);
        if i > start && (events > most_events || bytes > most_bytes || other_host) {
            out.extend(blocks.get(start..i));
            (start, events, bytes) = (i, u64::from(head.events), decoded);
        }
    }
    out.extend(blocks.get(start..).filter(|rest| !rest.is_empty()));
    out
}
