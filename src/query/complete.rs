//! Completion in the prompt: names of tables and columns, words of SQL; and when a statement is complete.

use ctrace_query::Session;
use rustyline::completion::{Completer, Pair};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

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

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |at| {
                at + before
                    .get(at..)
                    .and_then(|s| s.chars().next())
                    .map_or(1, char::len_utf8)
            });
        let word = before.get(start..).unwrap_or_default();
        let pair = |name: String| Pair {
            display: name.clone(),
            replacement: name,
        };
        Ok((start, self.candidates(line, word).into_iter().map(pair).collect()))
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
