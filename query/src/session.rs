//! A session: tables over cases and exports, and the runtime on which statements run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use ctrace_trace::case::Case;
use ctrace_trace::segment::Problem;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;

use crate::alerts::{self, AlertRow, Alerts, ReplayRules};
use crate::as_of;
use crate::cancel::Cancel;
use crate::cluster::{ClusterAddress, Connection};
use crate::error::QueryError;
use crate::file_groups::Footers;
use crate::folder::{self, TableFolder};
use crate::functions::{self, FunctionInfo, Lineage};
use crate::group_pushdown::GroupPushdown;
use crate::param::{self, Param};
use crate::partners::FindPartners;
use crate::pauses::PausingJoins;
use crate::recursion::KeepForRecursion;
use crate::source::CaseSource;
use crate::statement;
use crate::store::Store;
use crate::tables::{ColumnInfo, Table};
use crate::type_name::type_name;
use crate::union;
use crate::views::{VIEWS, View};
use crate::window_sort::SortForWindows;

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

/// How deeply statements may nest; the parser's own limit is 50.
const RECURSION_LIMIT: usize = 1000;

/// A table under its name.
type Named = (String, Arc<dyn TableProvider>);

/// Where rows come from.
#[derive(Debug)]
pub enum Data {
    /// A case.
    Case(Box<Case>),
    /// A folder of Parquet files.
    Folder(PathBuf),
    /// The same in an S3-compatible store: `s3://BUCKET/PREFIX`.
    Store(Url),
}

impl Data {
    /// What `s3://BUCKET/PREFIX` names; `None` for what is no such URL.
    ///
    /// # Errors
    /// Where it begins like one and is none.
    pub fn store(text: &str) -> Result<Option<Data>, QueryError> {
        if !text.starts_with("s3://") {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|e| QueryError::Store(format!("{text}: {e}")))?;
        Ok(Some(Data::Store(url)))
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
    /// A session over a case.
    ///
    /// # Errors
    /// Where threads cannot be started.
    pub fn case(case: Case, options: &Options) -> Result<Session, QueryError> {
        Session::over(vec![Data::Case(Box::new(case))], options)
    }

    /// A session over a folder of Parquet files as `ctrace export` writes it: one folder per table.
    ///
    /// # Errors
    /// Where the folder has no tables, cannot be read, or the files of a table do not fit together.
    pub fn folder(path: &Path, options: &Options) -> Result<Session, QueryError> {
        Session::over(vec![Data::Folder(path.to_owned())], options)
    }

    /// A session over several cases and exports: a table has the rows of all.
    ///
    /// # Errors
    /// As [`Session::case`] and [`Session::folder`], and where columns of the same name do not fit together.
    pub fn over(data: Vec<Data>, options: &Options) -> Result<Session, QueryError> {
        let mut session = Session::empty(options)?;
        let mut tables: Vec<(String, Vec<Arc<dyn TableProvider>>)> = Vec::new();
        for data in data {
            for (name, provider) in session.tables_of(data, options)? {
                match tables.iter_mut().find(|(n, _)| *n == name) {
                    Some((_, providers)) => providers.push(provider),
                    None => tables.push((name, vec![provider])),
                }
            }
        }
        let mut names = Vec::new();
        for (name, providers) in tables {
            let table = union::of(providers)?;
            session.context.register_table(folder::quoted(&name), table)?;
            names.push(name);
        }
        functions::audit::register(&session.context, &session.sources);
        session.finish(names)?;
        Ok(session)
    }

    fn tables_of(&mut self, data: Data, options: &Options) -> Result<Vec<Named>, QueryError> {
        match data {
            Data::Case(case) => {
                let source = CaseSource::new(*case, options.resolve_late, options.threads.max(1));
                let source = Arc::new(source);
                self.sources.push(source.clone());
                Ok(Table::ALL.map(|t| (t.name().to_owned(), t.over(&source))).into())
            }
            Data::Folder(path) => self.open_tables(folder::tables(&path)?, path),
            Data::Store(url) => {
                let store = Store::open(&url)?;
                store.register(&self.context);
                let tables = self.handle.block_on(store.tables())?;
                self.open_tables(tables, PathBuf::from(url.as_str()))
            }
        }
    }

    fn open_tables(&self, tables: Vec<TableFolder>, place: PathBuf) -> Result<Vec<Named>, QueryError> {
        if tables.is_empty() {
            return Err(QueryError::NoTables(place));
        }
        let open = |table: TableFolder| {
            let provider = self
                .handle
                .block_on(folder::open(&self.context, &table, self.cluster.is_some()))?;
            Ok((table.name, provider))
        };
        tables.into_iter().map(open).collect()
    }

    /// Makes table function `alerts` known, which replays rules over the session's cases. Over exports there is none.
    pub fn with_rules(self, replay: Arc<ReplayRules>) -> Session {
        if !self.sources.is_empty() {
            let cases = self.sources.clone();
            self.context.register_udtf("alerts", Arc::new(Alerts { cases, replay }));
        }
        self
    }

    /// Adds what is made of the tables: views, functions.
    fn finish(&mut self, mut names: Vec<String>) -> Result<(), QueryError> {
        for view in &VIEWS {
            if let Some(table) = self.handle.block_on(view.over(&self.context))?
                && !names.iter().any(|n| n == view.name)
            {
                self.context.register_table(view.name, table)?;
                names.push(view.name.to_owned());
            }
        }
        let mut providers = Vec::new();
        for name in &names {
            let provider = self
                .handle
                .block_on(self.context.table_provider(folder::quoted(name)))?;
            providers.push((name.clone(), provider));
        }
        as_of::register(&self.context, &providers);
        self.list_tables(providers);
        Ok(())
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
            .with_information_schema(true)
            .with_extension(Arc::new(Footers::default()));
        let settings = config.options_mut();
        settings.sql_parser.collect_spans = true;
        // The conditions of rules nest deeply.
        settings.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(RECURSION_LIMIT)?;
        settings.execution.parquet.pushdown_filters = true;
        let mut environment = RuntimeEnvBuilder::new();
        if let Some(limit) = options.memory_limit {
            environment = environment.with_memory_limit(limit, 1.0);
        }
        let mut rules = PhysicalOptimizer::new().rules;
        rules.insert(0, Arc::new(KeepForRecursion));
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::new(environment.build()?))
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .with_physical_optimizer_rule(Arc::new(GroupPushdown))
            .with_physical_optimizer_rule(Arc::new(PausingJoins))
            .with_physical_optimizer_rule(Arc::new(FindPartners))
            .with_physical_optimizer_rule(Arc::new(SortForWindows))
            .build();
        let mut context = SessionContext::new_with_state(state);
        let handle = runtime.handle().clone();
        let cluster = match &options.cluster {
            Some(address) => {
                let cluster = handle.block_on(Connection::open(address.clone()))?;
                context = handle.block_on(cluster.upgrade(&context))?;
                Some(Arc::new(cluster))
            }
            None => None,
        };
        let lineage = functions::register(&context);
        Ok(Session {
            handle,
            runtime: Some(runtime),
            context,
            cluster,
            sources: Vec::new(),
            lineage,
            tables: Vec::new(),
            cancel: Cancel::new(),
        })
    }

    fn list_tables(&mut self, tables: Vec<Named>) {
        // A view shows columns of other tables.
        let others = [Table::Events, Table::Processes].map(Table::column_docs).concat();
        for (name, provider) in tables {
            let (known, view) = (Table::find(&name), View::find(&name));
            let docs = known.map_or_else(|| others.clone(), Table::column_docs);
            let doc = |column: &str| {
                let own = view.and_then(|v| v.column_doc(column));
                own.or_else(|| docs.iter().find(|(n, _)| n == column).map(|(_, doc)| *doc))
            };
            let schema = provider.schema();
            let columns = schema.fields().iter().map(|f| ColumnInfo {
                name: f.name().clone(),
                ty: type_name(f.data_type()),
                doc: doc(f.name())
                    .filter(|_| known.is_some() || view.is_some())
                    .unwrap_or_default()
                    .to_owned(),
            });
            let columns = columns.collect();
            self.tables.push(TableInfo {
                name,
                doc: known
                    .map(Table::doc)
                    .or(view.map(|v| v.doc))
                    .unwrap_or_default()
                    .to_owned(),
                columns,
            });
        }
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
        let (mut stream, plan) = started.map_err(|e| e.in_statement(text))?;
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
            cancel,
            schema,
            batches,
            plan,
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

/// A result is computed this many batches ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// The result of a statement, batch by batch.
pub struct Answer<'s> {
    session: &'s Session,
    cancel: Cancel,
    schema: SchemaRef,
    batches: mpsc::Receiver<datafusion::common::Result<RecordBatch>>,
    plan: Arc<dyn ExecutionPlan>,
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
        let handle = &self.session.handle;
        match handle.block_on(self.cancel.or(self.batches.recv())) {
            Ok(Some(batch)) => Some(batch.map_err(|e| self.session.failure(e))),
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
        let unread = !self.task.is_finished();
        self.task.abort();
        if let Some(cluster) = &self.session.cluster
            && unread
        {
            self.session.handle.block_on(cluster.cancel(&self.plan));
        }
    }
}
