//! `ctrace query`: SQL over a case or an export; one statement, a file of them, or a prompt.

mod complete;
mod interrupt;
mod meta;
mod pager;
mod prompt;
mod schema;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ctrace_inputs::alerts;
use ctrace_query::file_output::{self, FileFormat};
use ctrace_query::output::{self as results, Format};
use ctrace_query::{ClusterAddress, Data, Options, QueryError, Session, library};
use ctrace_replay::LoadOptions;
use ctrace_trace::escape;
use ctrace_trace::segment::Problem;

use crate::place::{self, Place};
use crate::read::Resolve;
use crate::rule_files::Loaded;
use crate::{exit, output, rule_files};

/// Arguments of `ctrace query`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folders, segment files, or what `ctrace export` wrote: a folder, or s3://BUCKET/PREFIX. Tables have the rows
    /// of all. Behind them a statement, or @NAME for one of the library; without one and without -f, a prompt (or
    /// statements from standard input where it is no terminal)
    #[arg(required_unless_present = "list", value_name = "DATA|SQL")]
    arguments: Vec<OsString>,
    /// List the library of investigations, with their parameters
    #[arg(long)]
    list: bool,
    /// A value for a parameter of @NAME; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, String)>,
    /// List tables and columns with their meaning (of one table: give its name), and functions
    #[arg(long, value_name = "TABLE", num_args = 0..=1, conflicts_with = "file")]
    schema: Option<Option<String>>,
    /// Run statements on the Ballista cluster whose scheduler listens there, over exports that its executors can read
    #[arg(long, value_name = "HOST:PORT")]
    cluster: Option<ClusterAddress>,
    /// Read statements from a file; each ends with a semicolon
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
    /// Write the result into a file; Parquet and Arrow need one
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use what was known when an event was recorded, not what the case learned later
    #[arg(long, value_enum, default_value_t = Resolve::Case)]
    resolve: Resolve,
    /// Memory for sorts, joins and groups (512MiB, 4GB); what needs more goes to temporary files [default: no limit]
    #[arg(long, value_name = "SIZE")]
    memory: Option<bytesize::ByteSize>,
    /// Threads to use [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Aligned columns
    Table,
    /// One value a line
    Expanded,
    /// Comma-separated, with a line of names
    Csv,
    /// One JSON object a line
    Ndjson,
    /// Parquet, into a file
    Parquet,
    /// Arrow IPC, into a file
    Arrow,
}

impl From<Output> for FileFormat {
    fn from(output: Output) -> FileFormat {
        match output {
            Output::Table => FileFormat::Text(Format::Table),
            Output::Expanded => FileFormat::Text(Format::Expanded),
            Output::Csv => FileFormat::Text(Format::Csv),
            Output::Ndjson => FileFormat::Text(Format::Ndjson),
            Output::Parquet => FileFormat::Parquet,
            Output::Arrow => FileFormat::Arrow,
        }
    }
}

/// Runs the statements.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    if args.list {
        schema::library(&mut output::stdout())?;
        return Ok(exit::DONE);
    }
    if let Some(table) = &args.schema {
        schema::print(&args.open()?.session, table.as_deref(), &mut output::stdout()).map_err(coded)?;
        return Ok(exit::DONE);
    }
    let statements = args.statements()?;
    let single = statements.as_deref().is_some_and(|text| meta::split(text).len() == 1);
    let format = match (FileFormat::from(args.format), &args.output) {
        (_, Some(_)) if !single => return Err(exit::usage(anyhow::anyhow!("-o takes the result of one statement"))),
        (FileFormat::Text(format), _) => format,
        (_, None) => return Err(exit::usage(anyhow::anyhow!("name a file for the result: -o FILE"))),
        // Not looked at: the result goes into the file.
        (_, Some(_)) => Format::Table,
    };
    let opened = args.open()?;
    let mut shell = Shell {
        session: &opened.session,
        format,
        file: args.output.as_ref().map(|path| (path.clone(), args.format.into())),
        timing: false,
        pager: statements.is_none() && io::stdout().is_terminal() && pager::is_there(),
    };
    match statements {
        Some(text) => {
            if args.cluster.is_some() {
                // Ended at once, this process would leave its work to the cluster.
                interrupt::cancels(opened.session.canceller())?;
            }
            for statement in meta::split(&text) {
                shell.run(statement).map_err(coded)?;
            }
        }
        None => prompt::run(&mut shell)?,
    }
    let problems = opened.session.problems();
    output::report(&problems);
    Ok(output::exit_code(opened.problems.iter().chain(&problems), exit::DONE))
}

impl Args {
    /// What to run; `None` for a prompt.
    fn statements(&self) -> anyhow::Result<Option<String>> {
        let sql = self.inputs()?.1;
        if sql.is_some() && self.file.is_some() {
            return Err(exit::usage(anyhow::anyhow!("a statement or -f, not both")));
        }
        if let Some(name) = sql.as_deref().and_then(|sql| sql.trim().strip_prefix('@')) {
            let found = library::find(name.trim_end_matches(';')).and_then(|i| i.statement(&self.params));
            return Ok(Some(found.map_err(coded)?));
        }
        if !self.params.is_empty() {
            return Err(exit::usage(anyhow::anyhow!(
                "--param is for queries of the library: @NAME"
            )));
        }
        if sql.is_some() {
            return Ok(sql);
        }
        if let Some(file) = &self.file {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            return Ok(Some(text));
        }
        if io::stdin().is_terminal() {
            return Ok(None);
        }
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .context("cannot read statements from standard input")?;
        Ok(Some(text))
    }

    fn open(&self) -> anyhow::Result<Opened> {
        let mut options = Options {
            resolve_late: self.resolve == Resolve::Case,
            ..Options::default()
        };
        options.memory_limit = self.memory.map(|m| usize::try_from(m.as_u64()).unwrap_or(usize::MAX));
        options.threads = self.threads.map_or(options.threads, |n| n as usize);
        options.cluster = self.cluster.clone();
        open(&self.inputs()?.0, &options)
    }

    /// The data, and the statement behind it: what is no path and does not look like one.
    fn inputs(&self) -> anyhow::Result<(Vec<PathBuf>, Option<String>)> {
        let mut paths: Vec<PathBuf> = self.arguments.iter().map(PathBuf::from).collect();
        let last = self.arguments.last().and_then(|a| a.to_str());
        let is_sql = |text: &&str| {
            let like_a_path =
                (text.starts_with(['/', '.']) || place::is_url(text)) && !text.contains(char::is_whitespace);
            self.arguments.len() > 1 && !like_a_path && !Path::new(text).exists()
        };
        let sql = last.filter(is_sql).map(str::to_owned);
        if sql.is_some() {
            paths.pop();
        }
        if self.schema.is_some() && sql.is_some() {
            return Err(exit::usage(anyhow::anyhow!("--schema runs no statement")));
        }
        Ok((paths, sql))
    }
}

/// `NAME=VALUE`.
fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A session, and what was wrong with its case when it was opened.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) problems: Vec<Problem>,
}

/// Opens cases and exports.
pub(crate) fn open(arguments: &[PathBuf], options: &Options) -> anyhow::Result<Opened> {
    let mut problems = Vec::new();
    let mut data = Vec::new();
    for argument in arguments {
        let path = match Place::of(argument, options.cluster.as_ref())? {
            Place::Export(export) => {
                data.push(export);
                continue;
            }
            Place::Case(path) => path,
        };
        let case = output::open_case(&path)?;
        problems.extend_from_slice(case.problems());
        data.push(Data::Case(Box::new(case)));
    }
    let session = Session::over(data, options).map_err(coded)?;
    Ok(Opened {
        session: session.with_rules(alerts::function(options, rules)),
        problems,
    })
}

/// The rules of `alerts('RULES', …)`; what is wrong with them is told on stderr.
fn rules(paths: &[PathBuf]) -> Result<Loaded, String> {
    let loaded = rule_files::load(paths, &LoadOptions::default()).map_err(|e| exit::message(&e))?;
    loaded.ok_or_else(|| "the rules have errors".to_owned())
}

/// An error with its exit code.
pub(crate) fn coded(error: QueryError) -> anyhow::Error {
    match error {
        // Kept whole: a closed pipe is no failure.
        QueryError::Output(error) => error.into(),
        QueryError::Data(_) => exit::damaged(error),
        QueryError::Cancelled => exit::interrupted(error),
        error if error.is_usage() => exit::usage(error),
        QueryError::NoTables(_) | QueryError::NotEmpty(_) => exit::usage(error),
        _ => error.into(),
    }
}

/// What the lines of a prompt act on.
struct Shell<'s> {
    session: &'s Session,
    format: Format,
    /// Where results go instead of the terminal.
    file: Option<(PathBuf, FileFormat)>,
    timing: bool,
    /// Whether results go through a pager.
    pager: bool,
}

impl Shell<'_> {
    /// Runs a statement or a command of the prompt.
    fn run(&mut self, statement: &str) -> Result<(), QueryError> {
        let mut out = output::stdout();
        if let Some(command) = statement.strip_prefix('\\') {
            meta::run(self, command, &mut out)?;
            return Ok(out.flush()?);
        }
        let investigation = match statement.strip_prefix('@') {
            Some(call) => Some(called(call)?),
            None => None,
        };
        let start = Instant::now();
        let answer = self.session.sql(investigation.as_deref().unwrap_or(statement))?;
        let terminal = io::stdout().is_terminal();
        match &self.file {
            Some((path, format)) => {
                let rows = file_output::write(answer, *format, path)?;
                let path = escape::text(&path.display().to_string());
                output::note(&format!("{path}: {}", output::count(rows, "row")));
            }
            None if self.pager => pager::through(|out| results::write(answer, self.format, terminal, out))?,
            None => {
                results::write(answer, self.format, terminal, &mut out)?;
                out.flush()?;
            }
        }
        if self.timing {
            eprintln!("Time: {}", milliseconds(start.elapsed()));
        }
        Ok(())
    }
}

/// The statement that `NAME x=1 y=2` stands for.
fn called(call: &str) -> Result<String, QueryError> {
    let mut words = call.split_whitespace();
    let investigation = library::find(words.next().unwrap_or_default())?;
    let values: Result<Vec<_>, String> = words.map(parameter).collect();
    investigation.statement(&values.map_err(QueryError::Statement)?)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
