//! Opening a session: the runtime, what DataFusion is told, and the tables over cases and exports.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctrace_trace::case::Case;
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use url::Url;

use super::{Options, Session, TableInfo};
use crate::as_of;
use crate::cancel::Cancel;
use crate::cluster::Connection;
use crate::error::QueryError;
use crate::file_groups::Footers;
use crate::folder::{self, TableFolder};
use crate::functions;
use crate::group_pushdown::GroupPushdown;
use crate::partners::FindPartners;
use crate::pauses::PausingJoins;
use crate::recursion::KeepForRecursion;
use crate::source::CaseSource;
use crate::store::Store;
use crate::tables::{ColumnInfo, Table};
use crate::type_name::type_name;
use crate::union;
use crate::views::{VIEWS, View};
use crate::window_sort::SortForWindows;

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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.max(1))
            // Deep plans (many ANDs, recursive queries) are walked recursively.
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()?;
        let mut context = context(options)?;
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
}

/// What DataFusion is told: its settings, and the rules of this crate for plans.
fn context(options: &Options) -> Result<SessionContext, QueryError> {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.threads.max(1))
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
    Ok(SessionContext::new_with_state(state))
}
