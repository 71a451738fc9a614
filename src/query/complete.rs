//! Completion in the prompt: names of tables and columns, words of SQL, commands and their arguments, investigations; and
//! when a statement is complete.

use ctrace_query::Session;
use ctrace_query::library::{self, LIBRARY};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

use super::meta::{COMMANDS, FORMATS};

const KEYWORDS: [&str; 38] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "DISTINCT",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "USING",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS NULL",
    "IS NOT NULL",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "UNION ALL",
    "WITH",
    "WITH RECURSIVE",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "DESCRIBE",
    "SHOW TABLES",
    "DESC",
    "count(*)",
];

/// What the prompt knows of a session.
#[derive(Helper, Hinter, Highlighter)]
pub(super) struct Names {
    tables: Vec<(String, Vec<String>)>,
    /// Names of functions.
    functions: Vec<String>,
}

impl Names {
    pub(super) fn new(session: &Session) -> Names {
        let columns = |t: &ctrace_query::TableInfo| t.columns.iter().map(|c| c.name.clone()).collect();
        Names {
            tables: session.tables().iter().map(|t| (t.name.clone(), columns(t))).collect(),
            functions: session
                .functions()
                .iter()
                .filter_map(|f| Some(f.usage.split_once('(')?.0.to_owned()))
                .collect(),
        }
    }

    /// What a word may become, in a statement that names some tables: their columns come before those of others.
    fn candidates(&self, statement: &str, word: &str) -> Vec<String> {
        let lower = word.to_lowercase();
        let begins = |name: &&String| name.starts_with(&lower);
        let named = |table: &str| {
            statement
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|w| w == table)
        };
        let any_named = self.tables.iter().any(|(t, _)| named(t));
        let mut out: Vec<String> = self.tables.iter().map(|(t, _)| t).filter(begins).cloned().collect();
        out.extend(self.functions.iter().filter(begins).cloned());
        for (table, columns) in &self.tables {
            if !any_named || named(table) {
                out.extend(columns.iter().filter(begins).cloned());
            }
        }
        out.sort();
        out.dedup();
        if !word.is_empty() {
            let keywords = KEYWORDS.iter().filter(|k| k.to_lowercase().starts_with(&lower));
            out.extend(keywords.map(|k| (*k).to_owned()));
        }
        out
    }
}

/// Where the word before the cursor begins.
fn word_start(before: &str, in_word: impl Fn(char) -> bool) -> usize {
    let end = before.char_indices().rfind(|(_, c)| !in_word(*c));
    end.map_or(0, |(at, c)| at + c.len_utf8())
}

/// Names that begin with a word, each once.
fn beginning<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut out: Vec<String> = names.filter(|n| n.starts_with(word)).map(str::to_owned).collect();
    out.sort();
    out.dedup();
    out
}

/// What the word of a command may become.
fn of_command(tables: &[(String, Vec<String>)], command: &str, word: &str) -> Vec<String> {
    let commands = || COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
    match command.trim_end() {
        "" => beginning(word, commands()),
        "\\d" => beginning(word, tables.iter().map(|(name, _)| name.as_str())),
        "\\format" => beginning(word, FORMATS.iter().map(|(name, _)| *name)),
        _ => Vec::new(),
    }
}

/// What the word of a call of the library may become: a name, then parameters with their defaults.
fn of_investigation(call: &str, word: &str) -> Vec<String> {
    let Some(name) = call.split_whitespace().next() else {
        let names: Vec<String> = LIBRARY.iter().map(|i| format!("@{}", i.name)).collect();
        return beginning(word, names.iter().map(String::as_str));
    };
    let Ok(investigation) = library::find(name.trim_start_matches('@')) else {
        return Vec::new();
    };
    let assignments: Vec<String> = investigation.parameters().map(|p| format!("{}=", p.name)).collect();
    beginning(word, assignments.iter().map(String::as_str))
}

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, context: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let statement = before.len() - before.trim_start().len();
        let (start, names) = if before.trim_start().starts_with("\\o ") {
            return FilenameCompleter::new().complete(line, pos, context);
        } else if before.trim_start().starts_with(['\\', '@']) {
            let start = word_start(before, |c| !c.is_whitespace());
            let (head, word) = (before.get(statement..start), before.get(start..).unwrap_or_default());
            let head = head.unwrap_or_default();
            let names = if before.trim_start().starts_with('@') {
                of_investigation(head, word)
            } else {
                of_command(&self.tables, head, word)
            };
            (start, names)
        } else {
            let start = word_start(before, |c| c.is_alphanumeric() || c == '_');
            (start, self.candidates(line, before.get(start..).unwrap_or_default()))
        };
        let pair = |name: String| Pair {
            display: name.clone(),
            replacement: name,
        };
        Ok((start, names.into_iter().map(pair).collect()))
    }
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let input = context.input().trim();
        let whole = input.is_empty() || input.starts_with('\\') || {
            let (_, rest) = ctrace_query::split_complete(input);
            rest.is_empty() || ctrace_query::split(rest).is_empty()
        };
        Ok(if whole {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
