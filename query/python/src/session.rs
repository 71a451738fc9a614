//! Cases and exports that are open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ctrace_inputs::data::is_export;
use ctrace_inputs::{alerts, rules};
use ctrace_query::tree::{Tree, Which};
use ctrace_query::{Data, Options, QueryError};
use ctrace_replay::LoadOptions;
use ctrace_trace::case::Case;
use ctrace_trace::escape;
use ctrace_trace::segment::Problem;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{self, Error};
use crate::replay::{self, Told, Wanted};
use crate::running::Running;
use crate::stream::Stream;
use crate::table::Table;
use crate::{library, param};

/// A table: name, meaning, columns with type and meaning.
type TableInfo = (String, String, Vec<(String, String, String)>);

/// Cases and exports that are open: a table has the rows of all.
#[pyclass(frozen, module = "ctrace._ctrace")]
pub(crate) struct Session {
    session: Arc<ctrace_query::Session>,
    options: Options,
    /// What was damaged when the cases were opened.
    opening: Vec<Problem>,
    lost: u64,
    forgotten: u64,
    /// What a replay could not read.
    replaying: Mutex<BTreeSet<String>>,
}

#[pymethods]
impl Session {
    /// Opens cases and exports.
    #[new]
    #[pyo3(signature = (paths, memory = None, threads = None, resolve_late = true))]
    fn new(
        py: Python<'_>,
        paths: Vec<PathBuf>,
        memory: Option<usize>,
        threads: Option<usize>,
        resolve_late: bool,
    ) -> PyResult<Session> {
        let mut options = Options {
            memory_limit: memory,
            resolve_late,
            ..Options::default()
        };
        options.threads = threads.unwrap_or(options.threads).clamp(1, 1024);
        py.detach(|| open(&paths, options))
    }

    /// The rows of a statement.
    #[pyo3(signature = (text, params = None))]
    fn query(&self, py: Python<'_>, text: String, params: Option<&Bound<'_, PyDict>>) -> PyResult<Table> {
        let params = param::all(params)?;
        let session = self.session.clone();
        py.detach(|| {
            let running = Running::start(session, text, params)?;
            let batches = running.collect()?;
            Table::new(running.schema(), &batches).map_err(|e| error::of_query(&e))
        })
    }

    /// The rows of a statement as they come.
    #[pyo3(signature = (text, params = None))]
    fn stream(&self, py: Python<'_>, text: String, params: Option<&Bound<'_, PyDict>>) -> PyResult<Stream> {
        let params = param::all(params)?;
        let session = self.session.clone();
        let running = py.detach(|| Running::start(session, text, params))?;
        Stream::new(running).map_err(|e| Error::new_err(e.to_string()))
    }

    /// The statement of an investigation.
    fn investigation(&self, name: &str, values: Vec<(String, String)>) -> PyResult<String> {
        library::statement(name, &values)
    }

    /// The tables: name, meaning, columns.
    fn tables(&self) -> Vec<TableInfo> {
        let columns = |t: &ctrace_query::TableInfo| {
            let columns = t.columns.iter().cloned();
            columns.map(|c| (escape::text(&c.name), c.ty, c.doc)).collect()
        };
        let tables = self.session.tables().iter();
        tables
            .map(|t| (escape::text(&t.name), t.doc.clone(), columns(t)))
            .collect()
    }

    /// ctrace's own functions: usage and meaning.
    fn functions(&self) -> Vec<(&'static str, &'static str)> {
        self.session.functions().iter().map(|f| (f.usage, f.doc)).collect()
    }

    /// Alerts of rules, warnings about the rules, and the number of suppressed alerts.
    fn replay(&self, py: Python<'_>, wanted: Wanted) -> PyResult<(Table, Vec<String>, u64)> {
        self.needs_a_case()?;
        let mut told = Told::default();
        let table = py.detach(|| wanted.replay(&self.session, &self.options, &mut told))?;
        let mut replaying = self.replaying.lock().unwrap_or_else(PoisonError::into_inner);
        replaying.extend(told.problems);
        Ok((table, told.warnings, told.suppressed))
    }

    /// Why a rule fires on an event, or does not.
    fn explain(&self, py: Python<'_>, files: Vec<PathBuf>, rule: &str, event: u64) -> PyResult<String> {
        self.needs_a_case()?;
        let mut cases = self.session.cases();
        let (Some(case), None) = (cases.next(), cases.next()) else {
            return Err(Error::new_err(
                "events are numbered within a case: open the one that has the event",
            ));
        };
        py.detach(|| replay::explain(case, &files, rule, event, self.options.resolve_late))
    }

    /// The process tree: lines of cells, and one JSON object a process.
    fn tree(
        &self,
        py: Python<'_>,
        pid: Option<u32>,
        at: Option<u64>,
        alerts: BTreeMap<String, BTreeSet<u64>>,
    ) -> PyResult<(Vec<Vec<String>>, Vec<String>)> {
        let make = || {
            let mut tree = Tree::of(&self.session)?;
            for (rule, events) in &alerts {
                tree.add_alerts(&self.session, rule, events)?;
            }
            let which = Which { pid, at };
            let objects = tree.objects(which).map(|o| o.to_string()).collect();
            Ok((tree.lines(which), objects))
        };
        py.detach(make).map_err(|e: QueryError| error::of_query(&e))
    }

    /// What is damaged, or may not be read, in what was read so far.
    fn problems(&self) -> Vec<String> {
        let reading = self.session.problems();
        let damage = self.opening.iter().chain(&reading).filter(|p| p.kind.leaves_out());
        let mut all: BTreeSet<String> = damage.map(|p| escape::text(&p.to_string())).collect();
        let replaying = self.replaying.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(replaying.iter().cloned());
        all.into_iter().collect()
    }

    /// How many events the recorder lost.
    #[getter]
    fn lost(&self) -> u64 {
        self.lost
    }

    /// How many processes, long texts and descriptors the recorder forgot.
    #[getter]
    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl Session {
    fn needs_a_case(&self) -> PyResult<()> {
        if self.session.cases().next().is_none() {
            return Err(Error::new_err("rules are replayed over cases, not over exports"));
        }
        Ok(())
    }
}

fn open(paths: &[PathBuf], options: Options) -> PyResult<Session> {
    let mut data = Vec::new();
    let mut opening = Vec::new();
    let (mut lost, mut forgotten) = (0u64, 0u64);
    for path in paths {
        let store = path.to_str().map_or(Ok(None), Data::store);
        if let Some(store) = store.map_err(|e| error::of_query(&e))? {
            data.push(store);
            continue;
        }
        if is_export(path).map_err(|e| error::of_path(path, &e))? {
            data.push(Data::Folder(path.clone()));
            continue;
        }
        let case = Case::open(path).map_err(|e| error::of_case(&e))?;
        opening.extend_from_slice(case.problems());
        let totals = case.totals();
        lost = lost.saturating_add(totals.lost_events());
        forgotten = forgotten.saturating_add(totals.forgotten());
        data.push(Data::Case(Box::new(case)));
    }
    let session = ctrace_query::Session::over(data, &options).map_err(|e| error::of_query(&e))?;
    let function = alerts::function(&options, |files| {
        rules::load(files, &LoadOptions::default()).map_err(|e| e.line())
    });
    Ok(Session {
        session: Arc::new(session.with_rules(function)),
        options,
        opening,
        lost,
        forgotten,
        replaying: Mutex::default(),
    })
}
