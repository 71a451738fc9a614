//! Runs SQL for comparisons that stand outside of criterion.
//!
//! `sql THREADS DATA…` opens cases and exports once, as a notebook does, and then answers each line of its input with
//! the rows as CSV and a last line: a record separator and how many milliseconds it took.
//! `sql THREADS export CASE DIR` writes an export and prints its rows and how long it took.

use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use ctrace_query::export::export;
use ctrace_query::output::{Format, write};
use ctrace_query::{Data, Options, QueryError, Session};
use ctrace_trace::case::Case;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.as_slice() {
        [threads, word, case, dir] if word == "export" => write_export(&options(threads), case, dir),
        [threads, data @ ..] if !data.is_empty() => answer(&options(threads), data),
        _ => {
            eprintln!("usage: sql THREADS DATA… | sql THREADS export CASE DIR");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sql: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(threads: &str) -> Options {
    let default = Options::default();
    Options {
        threads: threads.parse().unwrap_or(default.threads),
        ..default
    }
}

fn open(path: &str) -> Data {
    match Case::open(Path::new(path)) {
        Ok(case) => Data::Case(Box::new(case)),
        Err(_) => Data::Folder(path.into()),
    }
}

fn write_export(options: &Options, case: &str, dir: &str) -> Result<(), QueryError> {
    let start = Instant::now();
    let session = Session::over(vec![open(case)], options)?;
    let exported = export(&session, Path::new(dir), &|_, _| ())?;
    let rows: u64 = exported.tables.iter().map(|(_, rows)| rows).sum();
    println!("{rows} {}", start.elapsed().as_secs_f64());
    Ok(())
}

fn answer(options: &Options, data: &[String]) -> Result<(), QueryError> {
    let session = Session::over(data.iter().map(|path| open(path)).collect(), options)?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let start = Instant::now();
        write(session.sql(&line?)?, Format::Csv, false, &mut out)?;
        writeln!(out, "\u{1e}{}", start.elapsed().as_secs_f64() * 1000.0)?;
        out.flush()?;
    }
    Ok(())
}
