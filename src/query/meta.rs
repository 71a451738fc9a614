//! Commands of the prompt that are no SQL: `\d`, `\d TABLE`, `\timing`, `\format`, `\?`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ctrace_query::file_output::FileFormat;
use ctrace_query::output::Format;
use ctrace_query::{QueryError, Session, TableInfo};
use ctrace_trace::escape;

use super::{Shell, schema};

const HELP: &str = "\
\\d            list tables
\\d TABLE      list columns with their meaning
\\f            list functions
\\list         list the library of investigations
@NAME x=1;    run one of them
\\timing       show how long statements take, or stop it
\\format NAME  write results as table, expanded, csv or ndjson
\\x            show one value a line, or stop it
\\pager        show results in $PAGER, or stop it
\\o FILE       write results into a file (.parquet, .arrow, .csv, .ndjson); alone: stop it
\\q            leave
Statements end with a semicolon. Ctrl-C cancels a running statement.";

/// Statements and commands of a text. A command takes the rest of its line.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = if rest.starts_with('\\') {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            (line.trim().trim_end_matches(';'), after)
        } else {
            ctrace_query::split_first(rest).unwrap_or((rest, ""))
        };
        // Comments alone are no statement.
        out.extend(if part.starts_with('\\') {
            vec![part]
        } else {
            ctrace_query::split(part)
        });
        rest = after.trim_start();
    }
    out
}

/// Runs a command, given without its backslash.
pub(super) fn run(shell: &mut Shell<'_>, command: &str, out: &mut impl Write) -> Result<(), QueryError> {
    let mut words = command.split_whitespace();
    let wrong = |message: String| Err(QueryError::Statement(message));
    match (words.next(), words.next()) {
        (Some("d"), None) => tables(shell.session.tables(), out)?,
        (Some("d"), Some(name)) => columns(find(shell.session, name.trim_end_matches(';'))?, out)?,
        (Some("f"), None) => schema::functions(shell.session, out)?,
        (Some("list"), None) => schema::library(out)?,
        (Some("timing"), None) => {
            shell.timing = !shell.timing;
            eprintln!("Timing is {}.", if shell.timing { "on" } else { "off" });
        }
        (Some("x"), None) => {
            shell.format = match shell.format {
                Format::Expanded => Format::Table,
                _ => Format::Expanded,
            };
        }
        (Some("pager"), None) => {
            shell.pager = !shell.pager;
            eprintln!("The pager is {}.", if shell.pager { "on" } else { "off" });
        }
        (Some("o"), None) => shell.file = None,
        (Some("o"), Some(file)) => shell.file = Some((PathBuf::from(file), file_format(file, shell.format))),
        (Some("format"), Some(name)) => {
            shell.format = match name {
                "table" => Format::Table,
                "expanded" => Format::Expanded,
                "csv" => Format::Csv,
                "ndjson" | "json" => Format::Ndjson,
                _ => return wrong(format!("no format `{name}`; there are table, expanded, csv, ndjson")),
            }
        }
        (Some("?" | "h" | "help"), _) => writeln!(out, "{HELP}")?,
        (Some("q"), _) => {}
        _ => return wrong(format!("no command `\\{command}`; `\\?` lists them")),
    }
    Ok(())
}

/// The table of that name.
pub(super) fn find<'s>(session: &'s Session, name: &str) -> Result<&'s TableInfo, QueryError> {
    session.table(name).ok_or_else(|| {
        let names: Vec<&str> = session.tables().iter().map(|t| t.name.as_str()).collect();
        QueryError::Statement(format!("no table `{name}`; there are {}", names.join(", ")))
    })
}

/// What the end of a file's name says; else as results are shown.
fn file_format(file: &str, shown: Format) -> FileFormat {
    match Path::new(file).extension().and_then(|e| e.to_str()) {
        Some("parquet") => FileFormat::Parquet,
        Some("arrow" | "feather") => FileFormat::Arrow,
        Some("csv") => FileFormat::Text(Format::Csv),
        Some("ndjson" | "jsonl") => FileFormat::Text(Format::Ndjson),
        _ => FileFormat::Text(shown),
    }
}

fn tables(tables: &[TableInfo], out: &mut impl Write) -> io::Result<()> {
    let width = tables.iter().map(|t| t.name.chars().count()).max().unwrap_or(0);
    for table in tables {
        let name = escape::text(&table.name);
        writeln!(
            out,
            "{}",
            format!("{name:width$}  {:>3} columns  {}", table.columns.len(), table.doc).trim_end()
        )?;
    }
    Ok(())
}

pub(super) fn columns(table: &TableInfo, out: &mut impl Write) -> io::Result<()> {
    let longest = |get: fn(&ctrace_query::ColumnInfo) -> &str| {
        table.columns.iter().map(|c| get(c).chars().count()).max().unwrap_or(0)
    };
    let (names, types) = (longest(|c| &c.name), longest(|c| &c.ty));
    if !table.doc.is_empty() {
        writeln!(out, "{}", table.doc)?;
    }
    for column in &table.columns {
        let (name, ty) = (escape::text(&column.name), escape::text(&column.ty));
        writeln!(
            out,
            "{}",
            format!("{name:names$}  {ty:types$}  {}", column.doc).trim_end()
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn commands_take_a_line_and_statements_end_with_semicolons() {
        let text = "\\d events\nselect 1; select\n 2; \\timing\nselect ';'";
        assert_eq!(
            split(text),
            ["\\d events", "select 1", "select\n 2", "\\timing", "select ';'"]
        );
        assert_eq!(split("\\d;"), ["\\d"]);
        assert_eq!(split(" ;; "), [""; 0]);
    }
}
