//! `ctrace summary`: what happened how often, in the tables of `strace -c`, `aureport` and `docker events`.
//!
//! The tables are SQL over the case, so that they count what `ctrace query` counts; this file holds the statements'
//! order and how they are printed, [`tables`] and [`audit`] the statements.

mod audit;
mod tables;

use std::io::Write;
use std::path::PathBuf;

use ctrace_query::output::{self as results, Format};
use ctrace_query::{Options, QueryError, Session};
use ctrace_trace::escape;
use serde_json::{Map, Value};

use crate::query::{coded, open};
use crate::read::Resolve;
use crate::{exit, output};
use audit::Audit;
use tables::{By, Table};

/// Arguments of `ctrace summary`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folders, segment files, or folders that `ctrace export` wrote
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Calls and errors of each system call as `strace -c` counts them, and the time they took where that is known: of
    /// all, or by who made them. What is shown unless another summary is asked for
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    /// Count only system calls for which this SQL condition on table events holds ("proc_name = 'cat'")
    #[arg(long = "where", value_name = "SQL")]
    condition: Option<String>,
    /// What the audit subsystem recorded, as `aureport` counts it; all summaries, or those that are named
    #[arg(long, value_enum, num_args = 0.., require_equals = true, value_delimiter = ',', value_name = "TABLE,…")]
    audit: Option<Vec<Audit>>,
    /// What happened in the Docker engine, and to which containers
    #[arg(long)]
    docker: bool,
    /// Who talked most over the network
    #[arg(long)]
    talkers: bool,
    /// Show at most so many rows of each table; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// One JSON object: a list of rows under the name of each table
    #[arg(long)]
    json: bool,
    /// Whose knowledge names containers: the whole case's, or only what was known when an event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
}

/// Prints the tables.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    args.check()?;
    let options = Options {
        resolve_late: args.resolve == Resolve::Case,
        ..Options::default()
    };
    let opened = open(&args.data, &options)?;
    let show = if args.json { json } else { text };
    let tables = args.tables(&opened.session).map_err(coded)?;
    show(&opened.session, &tables, args.limit).map_err(coded)?;
    let problems = opened.session.problems();
    output::report(&problems);
    Ok(output::exit_code(opened.problems.iter().chain(&problems), exit::DONE))
}

impl Args {
    /// By whom system calls are counted, where they are.
    fn by(&self) -> Option<By> {
        let others = self.audit.is_some() || self.docker || self.talkers;
        self.by.or((!others).then_some(By::Syscall))
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.by().is_none() && self.condition.is_some() {
            return Err(exit::usage(anyhow::anyhow!(
                "--where chooses among system calls: give --by"
            )));
        }
        Ok(())
    }

    /// The tables that were asked for, in order.
    fn tables(&self, session: &Session) -> Result<Vec<Table>, QueryError> {
        let mut tables = Vec::new();
        if let Some(by) = self.by() {
            tables.push(by.table(self.condition.as_deref(), has_times(session)?));
        }
        if let Some(named) = &self.audit {
            tables.extend(
                Audit::ALL
                    .iter()
                    .filter(|a| named.is_empty() || named.contains(a))
                    .map(|a| a.table()),
            );
        }
        if self.docker {
            tables.extend(tables::docker());
        }
        if self.talkers {
            tables.push(tables::talkers());
        }
        Ok(tables)
    }
}

/// Whether it is known of any call how long it took. Exports of older versions have no column for it.
fn has_times(session: &Session) -> Result<bool, QueryError> {
    let columns = session.table("events").map_or(&[][..], |table| &table.columns);
    if columns.iter().all(|column| column.name != "evt_latency") {
        return Ok(false);
    }
    let mut found = session.sql(tables::HAS_TIMES)?;
    found.try_fold(false, |found, batch| Ok(found || batch?.num_rows() > 0))
}

/// The statement of a table with its limit.
fn limited(table: &Table, limit: u32) -> String {
    match limit {
        0 => table.sql.clone(),
        n => format!("{} LIMIT {n}", table.sql),
    }
}

fn text(session: &Session, tables: &[Table], limit: u32) -> Result<(), QueryError> {
    let mut out = output::stdout();
    for (i, table) in tables.iter().enumerate() {
        let gap = if i > 0 { "\n" } else { "" };
        // Before anything is printed: the condition may be wrong.
        let answer = session.sql(&limited(table, limit))?;
        writeln!(out, "{gap}{}:", table.title)?;
        let rows = results::write(answer, Format::Table, true, &mut out)?;
        if rows > 0 && rows == u64::from(limit) {
            writeln!(out, "at most {limit} rows are shown (--limit N)")?;
        }
        out.flush()?;
    }
    Ok(())
}

fn json(session: &Session, tables: &[Table], limit: u32) -> Result<(), QueryError> {
    let mut object = Map::new();
    for table in tables {
        let mut lines = Vec::new();
        results::write(session.sql(&limited(table, limit))?, Format::Ndjson, true, &mut lines)?;
        let rows = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
        let rows: Result<Vec<Value>, _> = rows.collect();
        object.insert(table.name.to_owned(), Value::Array(rows.map_err(std::io::Error::from)?));
    }
    let mut out = output::stdout();
    writeln!(out, "{}", escape::json(&Value::Object(object).to_string()))?;
    Ok(out.flush()?)
}
