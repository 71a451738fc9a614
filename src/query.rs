//! `ctrace query`: SQL over a case or an export; one statement, a file of them, or a prompt.

mod alerts;
mod complete;
mod meta;
mod prompt;
mod schema;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use ctrace_query::output::{self as results, Format};
use ctrace_query::{Options, QueryError, Session, library};
use ctrace_trace::escape;
use ctrace_trace::segment::{Problem, SegmentName};

use crate::read::Resolve;
use crate::{exit, output};

/// Arguments of `ctrace query`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folder, segment file, or a folder that `ctrace export` wrote
    #[arg(required_unless_present = "list")]
    data: Option<PathBuf>,
    /// A statement, or @NAME for one of the library; without one and without -f, a prompt (or statements from standard
    /// input where it is no terminal)
    sql: Option<String>,
    /// List the library of investigations, with their parameters
    #[arg(long)]
    list: bool,
    /// A value for a parameter of @NAME; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, String)>,
    /// List tables and columns with their meaning (of one table: give its name), and functions
    #[arg(long, value_name = "TABLE", num_args = 0..=1, conflicts_with_all = ["sql", "file"])]
    schema: Option<Option<String>>,
    /// Read statements from a file; each ends with a semicolon
    #[arg(short = 'f', long = "file", value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
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
    /// Comma-separated, with a line of names
    Csv,
    /// One JSON object a line
    Ndjson,
}

impl From<Output> for Format {
    fn from(output: Output) -> Format {
        match output {
            Output::Table => Format::Table,
            Output::Csv => Format::Csv,
            Output::Ndjson => Format::Ndjson,
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
    let opened = args.open()?;
    let mut shell = Shell {
        session: &opened.session,
        format: args.format.into(),
        timing: false,
    };
    match statements {
        Some(text) => {
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
        if let Some(name) = self.sql.as_deref().and_then(|sql| sql.trim().strip_prefix('@')) {
            let found = library::find(name.trim_end_matches(';')).and_then(|i| i.statement(&self.params));
            return Ok(Some(found.map_err(coded)?));
        }
        if !self.params.is_empty() {
            return Err(exit::usage(anyhow::anyhow!(
                "--param is for queries of the library: @NAME"
            )));
        }
        if let Some(sql) = &self.sql {
            return Ok(Some(sql.clone()));
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
        let Some(data) = &self.data else {
            return Err(exit::usage(anyhow::anyhow!("no case given")));
        };
        open(data, &options)
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

/// Opens a case or an export.
pub(crate) fn open(path: &Path, options: &Options) -> anyhow::Result<Opened> {
    if path.is_dir() && !has_segments(path).with_context(|| path.display().to_string())? {
        let session = Session::folder(path, options).map_err(coded)?;
        return Ok(Opened {
            session,
            problems: Vec::new(),
        });
    }
    let case = output::open_case(path)?;
    let problems = case.problems().to_vec();
    let replay = alerts::replay(&case, options);
    let session = Session::case(case, options).map_err(coded)?;
    Ok(Opened {
        session: session.with_rules(replay),
        problems,
    })
}

fn has_segments(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.file_name().to_str().and_then(SegmentName::parse).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An error with its exit code; in one line and safe to show.
pub(crate) fn coded(error: QueryError) -> anyhow::Error {
    let message = anyhow::Error::msg(escape::text(&error.to_string()));
    match error {
        // Kept whole: a closed pipe is no failure.
        QueryError::Output(error) => error.into(),
        QueryError::Data(_) => exit::damaged(message),
        error if error.is_usage() => exit::usage(message),
        QueryError::NoTables(_) | QueryError::NotEmpty(_) => exit::usage(message),
        _ => message,
    }
}

/// What the lines of a prompt act on.
struct Shell<'s> {
    session: &'s Session,
    format: Format,
    timing: bool,
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
        results::write(answer, self.format, io::stdout().is_terminal(), &mut out)?;
        out.flush()?;
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
