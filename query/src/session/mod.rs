//! A session: tables over cases and exports, and the runtime on which statements run.

mod answer;
mod opening;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use ctrace_trace::case::Case;
use ctrace_trace::segment::Problem;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use tokio::runtime::{Handle, Runtime};

pub use self::answer::Answer;
pub use self::opening::Data;
use crate::alerts::{self, AlertRow, Alerts, ReplayRules};
use crate::as_of;
use crate::cancel::Cancel;
use crate::cluster::{ClusterAddress, Connection};
use crate::error::QueryError;
use crate::functions::{self, FunctionInfo, Lineage};
use crate::param::{self, Param};
use crate::source::CaseSource;
use crate::statement;
use crate::tables::ColumnInfo;

/// How statements run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether what the recording learned later (names of containers) is applied to earlier events.
    pub resolve_late: bool,
    /// Bytes that sorts, joins and groups may use before they go to temporary files; `None` for no limit.
    pub memory_limit: Option<usize>,
    /// Threads, at least one. On a cluster: into how many parts a stage is cut.
    pub threads: usize,
    /// The cluster on which statements run; `None` for this process.
    pub cluster: Option<ClusterAddress>,
}

impl Default for Options {
    /// Everything that the recording knows, no memory limit, all CPUs.
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options {
            resolve_late: true,
            memory_limit: None,
            threads,
            cluster: None,
        }
    }
}

/// A table of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Name.
    pub name: String,
    /// What its rows are; empty where that is not known.
    pub doc: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnInfo>,
}

/// Tables and the runtime on which statements run. Calls block.
pub struct Session {
    handle: Handle,
    /// Taken when the session ends.
    runtime: Option<Runtime>,
    context: SessionContext,
    /// Where statements run, unless here.
    cluster: Option<Arc<Connection>>,
    /// The cases among the data.
    sources: Vec<Arc<CaseSource>>,
    lineage: Arc<Lineage>,
    tables: Vec<TableInfo>,
    cancel: Cancel,
}

impl Session {
    /// Makes table function `alerts` known, which replays rules over the session's cases. Over exports there is none.
    pub fn with_rules(self, replay: Arc<ReplayRules>) -> Session {
        if !self.sources.is_empty() {
            let cases = self.sources.clone();
            self.context.register_udtf("alerts", Arc::new(Alerts { cases, replay }));
        }
        self
    }

    /// Functions of this program's own, by name.
    pub fn functions(&self) -> Vec<FunctionInfo> {
        let mut out = functions::all();
        out.extend(as_of::all());
        out.push(alerts::INFO);
        out.sort_by_key(|f| f.usage);
        out
    }

    /// The tables, in the order in which they should be listed.
    pub fn tables(&self) -> &[TableInfo] {
        &self.tables
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&TableInfo> {
        self.tables.iter().find(|t| t.name == name)
    }

    /// Cancels what this session is doing; for another thread or a signal handler's thread.
    pub fn canceller(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Starts a statement.
    ///
    /// # Errors
    /// [`QueryError::Statement`] where it is wrong.
    pub fn sql(&self, text: &str) -> Result<Answer<'_>, QueryError> {
        self.cancel.reset();
        self.sql_with(text, &[], self.cancel.clone())
    }

    /// Starts a statement with values for its placeholders. `cancel` cancels it, and nothing else: statements may run side
    /// by side.
    ///
    /// # Errors
    /// As [`Session::sql`], and where a placeholder has no value.
    pub fn sql_with(&self, text: &str, params: &[(String, Param)], cancel: Cancel) -> Result<Answer<'_>, QueryError> {
        let start = async {
            self.lineage.prepare(&self.context, text).await?;
            let mut plan = statement::plan(&self.context, text, &self.tables).await?;
            if !params.is_empty() {
                plan = plan.with_param_values(param::values(params))?;
            }
            let frame = self.context.execute_logical_plan(plan).await?;
            let task = Arc::new(frame.task_ctx());
            let plan = frame.create_physical_plan().await?;
            Ok::<_, QueryError>((execute_stream(plan.clone(), task)?, plan))
        };
        let started = self.handle.block_on(cancel.or(start))?;
        let (stream, plan) = started.map_err(|e| e.in_statement(text))?;
        Ok(Answer::of(self, cancel, stream, plan))
    }

    /// Runs a statement and gives all of its result at once.
    ///
    /// # Errors
    /// As [`Session::sql`], and where it fails while it runs.
    pub fn batches(&self, text: &str) -> Result<Vec<RecordBatch>, QueryError> {
        self.sql(text)?.collect()
    }

    /// The alerts of each case among the data, as table function `alerts` gives them; none over exports.
    ///
    /// # Errors
    /// What `replay` says.
    pub fn alerts<E: From<QueryError>>(
        &self,
        mut replay: impl FnMut(&Case) -> Result<Vec<AlertRow>, E>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>), E> {
        let mut batches = Vec::new();
        for source in &self.sources {
            let rows = replay(source.case())?;
            batches.push(alerts::rows(&rows, source).map_err(QueryError::from)?);
        }
        Ok((alerts::table_schema(), batches))
    }

    /// The cases among the data.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.sources.iter().map(|s| s.case())
    }

    /// What is damaged in the data that was read so far, beside [`Case::problems`]: its rows are missing in results.
    pub fn problems(&self) -> Vec<Problem> {
        self.sources.iter().flat_map(|s| s.problems()).collect()
    }

    /// What an error of a running statement means.
    fn failure(&self, error: DataFusionError) -> QueryError {
        match &self.cluster {
            Some(cluster) => self.handle.block_on(cluster.failure(error)),
            None => error.into(),
        }
    }

    /// The only case.
    pub(crate) fn source(&self) -> Option<&Arc<CaseSource>> {
        self.sources.first().filter(|_| self.sources.len() == 1)
    }

    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Session {
    /// Does not wait for what a cancelled statement still computes.
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}
