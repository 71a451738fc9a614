//! A session: tables over one case or one export, and the runtime on which statements run.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use ctrace_trace::case::Case;
use ctrace_trace::segment::Problem;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cancel::Cancel;
use crate::error::QueryError;
use crate::folder;
use crate::source::CaseSource;
use crate::statement;
use crate::tables::{ColumnInfo, Table};
use crate::type_name::type_name;

/// How statements run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether what the recording learned later (names of containers) is applied to earlier events.
    pub resolve_late: bool,
    /// Bytes that sorts, joins and groups may use before they go to temporary files; `None` for no limit.
    pub memory_limit: Option<usize>,
    /// Threads, at least one.
    pub threads: usize,
}

impl Default for Options {
    /// Everything that the recording knows, no memory limit, all CPUs.
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options {
            resolve_late: true,
            memory_limit: None,
            threads,
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
    source: Option<Arc<CaseSource>>,
    tables: Vec<TableInfo>,
    cancel: Cancel,
}

impl Session {
    /// A session over a case.
    ///
    /// # Errors
    /// Where threads cannot be started.
    pub fn case(case: Case, options: &Options) -> Result<Session, QueryError> {
        let source = Arc::new(CaseSource::new(case, options.resolve_late, options.threads.max(1)));
        let mut session = Session::empty(options)?;
        for table in Table::ALL {
            session.context.register_table(table.name(), table.over(&source))?;
        }
        session.source = Some(source);
        session.list_tables(Table::ALL.map(|t| t.name().to_owned()).into())?;
        Ok(session)
    }

    /// A session over a folder of Parquet files as `ctrace export` writes it: one folder per table.
    ///
    /// # Errors
    /// Where the folder has no tables, cannot be read, or the files of a table do not fit together.
    pub fn folder(path: &Path, options: &Options) -> Result<Session, QueryError> {
        let mut session = Session::empty(options)?;
        let tables = folder::tables(path)?;
        if tables.is_empty() {
            return Err(QueryError::NoTables(path.to_owned()));
        }
        for table in &tables {
            let provider = session.handle.block_on(folder::open(&session.context, table))?;
            session.context.register_table(folder::quoted(&table.name), provider)?;
        }
        session.list_tables(tables.into_iter().map(|t| t.name).collect())?;
        Ok(session)
    }

    fn empty(options: &Options) -> Result<Session, QueryError> {
        let threads = options.threads.max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            // Deep plans (many ANDs, recursive queries) are walked recursively.
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()?;
        let mut config = SessionConfig::new()
            .with_target_partitions(threads)
            .with_information_schema(true);
        let settings = config.options_mut();
        settings.sql_parser.collect_spans = true;
        settings.execution.parquet.pushdown_filters = true;
        let mut environment = RuntimeEnvBuilder::new();
        if let Some(limit) = options.memory_limit {
            environment = environment.with_memory_limit(limit, 1.0);
        }
        let context = SessionContext::new_with_config_rt(config, Arc::new(environment.build()?));
        let handle = runtime.handle().clone();
        Ok(Session {
            handle,
            runtime: Some(runtime),
            context,
            source: None,
            tables: Vec::new(),
            cancel: Cancel::new(),
        })
    }

    fn list_tables(&mut self, names: Vec<String>) -> Result<(), QueryError> {
        for name in names {
            let provider = self
                .handle
                .block_on(self.context.table_provider(folder::quoted(&name)))?;
            let known = Table::find(&name);
            let docs = known.map(Table::column_docs).unwrap_or_default();
            let doc = |column: &str| docs.iter().find(|(n, _)| n == column).map_or("", |(_, doc)| *doc);
            let schema = provider.schema();
            let columns = schema.fields().iter().map(|f| ColumnInfo {
                name: f.name().clone(),
                ty: type_name(f.data_type()),
                doc: doc(f.name()).to_owned(),
            });
            let columns = columns.collect();
            self.tables.push(TableInfo {
                name,
                doc: known.map_or("", Table::doc).to_owned(),
                columns,
            });
        }
        Ok(())
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
        let start = async {
            let plan = statement::plan(&self.context, text).await?;
            let frame = self.context.execute_logical_plan(plan).await?;
            Ok::<_, QueryError>(frame.execute_stream().await?)
        };
        let mut stream = self.handle.block_on(self.cancel.or(start))??;
        let schema = stream.schema();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        // In a task of its own: an operator that computes for long without a pause must not keep the caller from
        // cancelling.
        let task = self.handle.spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Ok(Answer {
            session: self,
            schema,
            batches,
            task,
            ended: false,
        })
    }

    /// Runs a statement and gives all of its result at once.
    ///
    /// # Errors
    /// As [`Session::sql`], and where it fails while it runs.
    pub fn batches(&self, text: &str) -> Result<Vec<RecordBatch>, QueryError> {
        self.sql(text)?.collect()
    }

    /// What is damaged in the data that was read so far, beside [`Case::problems`]: its rows are missing in results.
    pub fn problems(&self) -> Vec<Problem> {
        self.source.as_ref().map(|s| s.problems()).unwrap_or_default()
    }

    pub(crate) fn source(&self) -> Option<&Arc<CaseSource>> {
        self.source.as_ref()
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

/// A result is computed this many batches ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// The result of a statement, batch by batch.
pub struct Answer<'s> {
    session: &'s Session,
    schema: SchemaRef,
    batches: mpsc::Receiver<datafusion::common::Result<RecordBatch>>,
    task: JoinHandle<()>,
    /// Nothing more comes.
    ended: bool,
}

impl Answer<'_> {
    /// Names and types of its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let Session { handle, cancel, .. } = self.session;
        match handle.block_on(cancel.or(self.batches.recv())) {
            Ok(Some(batch)) => Some(batch.map_err(QueryError::from)),
            Ok(None) => {
                self.ended = true;
                // A task that broke off must not look like one that is done.
                let broken = handle.block_on(&mut self.task).err();
                broken.map(|e| Err(QueryError::Internal(e.to_string())))
            }
            Err(cancelled) => {
                self.ended = true;
                Some(Err(cancelled))
            }
        }
    }
}

impl Drop for Answer<'_> {
    /// Stops what is not needed any more.
    fn drop(&mut self) {
        self.task.abort();
    }
}
