//! Commands of the prompt that are no SQL: `\d`, `\d TABLE`, `\timing`, `\format`, `\?`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ctrace_query::file_output::FileFormat;
use ctrace_query::output::Format;
use ctrace_query::{QueryError, Session, TableInfo};
use ctrace_trace::escape;

use super::{Shell, schema};

/// Commands with their arguments, and what they do.
pub(super) const COMMANDS: [(&str, &str); 10] = [
    ("\\d", "list tables"),
    ("\\d TABLE", "list columns with their meaning"),
    ("\\f", "list functions"),
    ("\\list", "list the library of investigations"),
    ("\\timing", "show how long statements take, or stop it"),
    (
        "\\format NAME",
        "write results as table, expanded, csv or ndjson; alone: tell it",
    ),
    ("\\x", "show one value a line, or stop it"),
    ("\\pager", "show results in $PAGER, or stop it"),
    (
        "\\o FILE",
        "write results into a file (.parquet, .arrow, .csv, .ndjson); alone: stop it",
    ),
    ("\\q", "leave"),
];

/// What is no command, and how statements are written.
const HELP: &str = "\
@NAME x=1;    run an investigation of the library
Statements end with a semicolon. Ctrl-C cancels a running statement.";

/// How results may be shown.
pub(super) const FORMATS: [(&str, Format); 4] = [
    ("table", Format::Table),
    ("expanded", Format::Expanded),
    ("csv", Format::Csv),
    ("ndjson", Format::Ndjson),
];

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
            eprintln!("Timing is {}.", on(shell.timing));
        }
        (Some("x"), None) => {
            shell.format = match shell.format {
                Format::Expanded => Format::Table,
                _ => Format::Expanded,
            };
            eprintln!("One value a line is {}.", on(shell.format == Format::Expanded));
        }
        (Some("pager"), None) => {
            shell.pager = !shell.pager;
            eprintln!("The pager is {}.", on(shell.pager));
        }
        (Some("o"), None) => {
            shell.file = None;
            eprintln!("Results are shown.");
        }
        (Some("o"), Some(file)) => {
            shell.file = Some((PathBuf::from(file), file_format(file, shell.format)));
            eprintln!("Each result replaces what is in {}.", escape::text(file));
        }
        (Some("format"), name) => {
            let known = |wanted: &str| FORMATS.iter().find(|(name, _)| *name == wanted);
            if let Some(name) = name {
                let names = || FORMATS.map(|(name, _)| name).join(", ");
                let Some((_, format)) = known(name) else {
                    return wrong(format!("no format `{name}`; there are {}", names()));
                };
                shell.format = *format;
            }
            let shown = FORMATS.iter().find(|(_, format)| *format == shell.format);
            eprintln!("Results are written as {}.", shown.map_or("table", |(name, _)| name));
        }
        (Some("?" | "h" | "help"), _) => help(out)?,
        (Some("q"), _) => {}
        _ => return wrong(format!("no command `\\{command}`; `\\?` lists them")),
    }
    Ok(())
}

fn on(state: bool) -> &'static str {
    if state { "on" } else { "off" }
}

fn help(out: &mut impl Write) -> io::Result<()> {
    for (usage, doc) in COMMANDS {
        writeln!(out, "{usage:13} {doc}")?;
    }
    writeln!(out, "{HELP}")
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
