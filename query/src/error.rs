//! Why a query does not run.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Location, SchemaError, Span};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use parquet::errors::ParquetError;

/// Why a session cannot be opened or a statement gives no result.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The statement is wrong: its syntax, a name, a type, or what it computes.
    #[error("{0}")]
    Statement(String),
    /// A name in the statement is wrong, and it is not known where it stands. Who knows the statement makes another error
    /// of it: [`QueryError::in_statement`].
    #[error("{message}")]
    Named {
        /// What is wrong.
        message: String,
        /// The name, as it is written.
        name: String,
    },
    /// The statement is wrong at a place of its text.
    #[error("{message} (line {line}, column {column})")]
    Located {
        /// What is wrong.
        message: String,
        /// Line of the statement, from 1.
        line: u64,
        /// Character of the line, from 1.
        column: u64,
        /// The text of that line.
        text: String,
    },
    /// A statement that would change something: cases and exports are only read.
    #[error("{0}: cases and exports are only read")]
    ReadOnly(String),
    /// The query was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The query needs more memory than it may use.
    #[error("{0}")]
    Memory(String),
    /// A file of the data cannot be read.
    #[error("{0}")]
    Data(String),
    /// An object store refuses or cannot be reached.
    #[error("{0}")]
    Store(String),
    /// A cluster cannot be reached, cannot run the statement, or went away.
    #[error("{0}")]
    Cluster(String),
    /// A folder without tables.
    #[error(
        "{}: neither a case nor an export: no Parquet files in folders named after tables; of a folder of cases or \
         exports name each",
        .0.display()
    )]
    NoTables(PathBuf),
    /// An export goes into a folder of its own.
    #[error("{}: the folder is not empty; name another one", .0.display())]
    NotEmpty(PathBuf),
    /// The operating system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// A mistake of this program or of DataFusion.
    #[error("internal error: {0}")]
    Internal(String),
}

impl QueryError {
    /// Whether the statement has to be written differently.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            QueryError::Statement(_) | QueryError::Named { .. } | QueryError::Located { .. } | QueryError::ReadOnly(_)
        )
    }

    /// The line of the statement that is wrong, and the character in it, from 1.
    pub fn place(&self) -> Option<(&str, u64)> {
        match self {
            QueryError::Located { text, column, .. } if !text.is_empty() => Some((text, *column)),
            _ => None,
        }
    }

    /// Finds where in this statement a wrong name is, and adds the text of the line to an error that knows its place.
    pub(crate) fn in_statement(self, statement: &str) -> QueryError {
        let mut error = match self {
            QueryError::Named { message, name } => match find(&name, statement) {
                Some((line, column)) => QueryError::located(message, line, column),
                None => QueryError::Statement(message),
            },
            error => error,
        };
        if let QueryError::Located { line, text, .. } = &mut error {
            let found = usize::try_from(*line)
                .ok()
                .and_then(|n| statement.lines().nth(n.checked_sub(1)?));
            *text = found.unwrap_or_default().to_owned();
        }
        error
    }

    /// Tells where in the statement the mistake is, unless that is known.
    fn at(self, place: Option<Span>) -> QueryError {
        match (self, place) {
            (QueryError::Statement(message) | QueryError::Named { message, .. }, Some(place)) => {
                let Location { line, column } = place.start;
                QueryError::located(message, line, column)
            }
            (error, _) => error,
        }
    }

    /// Tells which file it is that cannot be read.
    pub(crate) fn of_file(self, name: &str) -> QueryError {
        match self {
            QueryError::Data(message) => QueryError::Data(format!("{name}: {message}")),
            error => error,
        }
    }

    fn located(message: String, line: u64, column: u64) -> QueryError {
        QueryError::Located {
            message,
            line,
            column,
            text: String::new(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> QueryError {
        let path = path.into();
        |source| QueryError::Io { path, source }
    }
}

/// One line of a message.
pub(crate) fn line(message: &impl ToString) -> String {
    let message = message.to_string();
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ")
}

impl From<DataFusionError> for QueryError {
    fn from(error: DataFusionError) -> QueryError {
        use DataFusionError as E;
        match error {
            E::Diagnostic(diagnostic, inner) => QueryError::from(*inner).at(diagnostic.span),
            E::Context(_, inner) => QueryError::from(*inner),
            E::Collection(errors) => match errors.into_iter().next() {
                Some(first) => QueryError::from(first),
                None => QueryError::Internal("an empty list of errors".to_owned()),
            },
            E::Shared(inner) => from_shared(&inner),
            other => from_shared(&other),
        }
    }
}

impl From<ArrowError> for QueryError {
    fn from(error: ArrowError) -> QueryError {
        from_arrow(&error)
    }
}

/// Errors of a running query are shared between its partitions.
fn from_shared(error: &DataFusionError) -> QueryError {
    use DataFusionError as E;
    match error {
        E::Diagnostic(diagnostic, inner) => from_shared(inner).at(diagnostic.span),
        E::Context(_, inner) => from_shared(inner),
        E::Shared(inner) => from_shared(inner),
        E::SchemaError(inner, _) => from_schema(inner),
        E::SQL(parser, _) => from_parser(parser),
        E::Plan(message) | E::NotImplemented(message) | E::Execution(message) | E::Configuration(message) => {
            from_message(&line(message))
        }
        E::ArrowError(inner, _) => from_arrow(inner),
        E::ResourcesExhausted(message) => QueryError::Memory(line(message)),
        E::ParquetError(inner) => match inner.as_ref() {
            ParquetError::External(cause) => match cause.downcast_ref::<object_store::Error>() {
                Some(cause) => from_store(cause),
                None => from_file(&line(inner)),
            },
            _ => from_file(&line(inner)),
        },
        E::ObjectStore(inner) => from_store(inner),
        E::IoError(inner) => QueryError::Data(line(inner)),
        // What a function says of its arguments: a regular expression that is none.
        E::External(inner) => match inner.downcast_ref::<ArrowError>() {
            Some(inner) => from_arrow(inner),
            None => QueryError::Statement(line(inner)),
        },
        other => QueryError::Internal(line(other)),
    }
}

/// A file that went away is damage; a store that does not answer is none.
fn from_store(error: &object_store::Error) -> QueryError {
    use object_store::Error as E;
    match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } | E::Generic { store: "S3", .. } => {
            QueryError::Store(line(error))
        }
        _ => QueryError::Data(line(error)),
    }
}

/// What reading a file says is damage, unless a condition of the statement could not be computed on its rows.
fn from_file(message: &str) -> QueryError {
    match of_values(message).filter(|_| message.contains("evaluating filter predicate")) {
        Some(mistake) => QueryError::Statement(mistake),
        None => QueryError::Data(message.to_owned()),
    }
}

/// What could not be computed, out of a message that has Arrow's words in it: as they are shown, or (where DataFusion
/// filters rows of a file, and where an executor tells a scheduler) as programmers see them.
pub(crate) fn of_values(message: &str) -> Option<String> {
    /// How Arrow begins what it says of values, and the names of these errors.
    const BEGINNINGS: [(&str, &str); 4] = [
        ("Divide by zero error", "DivideByZero"),
        ("Arithmetic overflow: ", "ArithmeticOverflow(\""),
        ("Cast error: ", "CastError(\""),
        ("Parser error: ", "ParseError(\""),
    ];
    let found = BEGINNINGS.iter().filter_map(|(shown, name)| {
        let shown_at = message.find(shown).map(|at| (at, at + shown.len(), shown));
        let named_at = message.find(name).map(|at| (at, at + name.len(), shown));
        shown_at.into_iter().chain(named_at).min()
    });
    let (_, end, shown) = found.min()?;
    if shown.ends_with("error") {
        return Some((*shown).to_owned());
    }
    // What stands around it puts words of its own behind it, and quotes.
    let rest = message.get(end..)?.split(['\n', '"']).next()?;
    Some(format!(
        "{shown}{}",
        rest.trim_end_matches([')', '}', ' ', ',', '.', '\\'])
    ))
}

fn from_arrow(error: &ArrowError) -> QueryError {
    match error {
        ArrowError::MemoryError(message) => QueryError::Memory(line(message)),
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => from_shared(inner),
            None => QueryError::Internal(line(inner)),
        },
        ArrowError::IoError(message, _) | ArrowError::ParquetError(message) => QueryError::Data(line(message)),
        // What is left are values that cannot be computed: overflow, division by zero, a text that is no number.
        other => QueryError::Statement(line(other)),
    }
}

/// The parser tells the place at the end of its message.
fn from_parser(error: &ParserError) -> QueryError {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => line(message),
        ParserError::RecursionLimitExceeded => return QueryError::Statement("too deeply nested".to_owned()),
    };
    let place = || {
        let (message, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        let column = column.trim_end_matches(|c: char| !c.is_ascii_digit());
        Some(QueryError::located(
            message.to_owned(),
            line.parse().ok()?,
            column.parse().ok()?,
        ))
    };
    place().unwrap_or(QueryError::Statement(message))
}

fn from_schema(error: &SchemaError) -> QueryError {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return QueryError::Statement(line(error));
    };
    let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
    let unknown = format!("no column `{}`", field.flat_name());
    let message = match nearest(&field.name, names.iter().copied()) {
        Some(near) => format!("{unknown}; did you mean `{near}`?"),
        None if names.len() <= 12 => format!("{unknown}; there are {}", names.join(", ")),
        // With more columns than that, a bare word is more often a value.
        None => format!("{unknown}; a text stands in single quotes: '{}'", field.name),
    };
    let name = field.name.clone();
    QueryError::Named { message, name }
}

/// DataFusion has long words for a function that is called with arguments of other types than it takes.
fn from_message(message: &str) -> QueryError {
    const CALLED: &str = "No function matches the given name and argument types '";
    const THERE_ARE: &str = "Candidate functions: ";
    let shortened = || {
        let (call, rest) = message.split_once(CALLED)?.1.split_once('\'')?;
        let there_are = rest.split_once(THERE_ARE)?.1;
        let name = call.split_once('(')?.0.to_owned();
        let message = format!("no function `{}`; there is {}", sql_types(call), sql_types(there_are));
        Some(QueryError::Named { message, name })
    };
    // Names of tables are looked at before; what is left are functions that stand without arguments.
    let function = || {
        let name = message
            .strip_prefix("table 'datafusion.public.")?
            .strip_suffix("' not found")?;
        let message = format!("no table `{name}`; it is a function: {name}(…)");
        let name = name.to_owned();
        Some(QueryError::Named { message, name })
    };
    shortened()
        .or_else(function)
        .unwrap_or_else(|| QueryError::Statement(message.to_owned()))
}

/// A call with SQL's names for Arrow's types of text, which nobody else knows.
fn sql_types(call: &str) -> String {
    call.replace("LargeUtf8", "text")
        .replace("Utf8View", "text")
        .replace("Utf8", "text")
        .replace(") ", "), ")
}

/// Line and column where a name first stands in a statement, from 1.
fn find(name: &str, statement: &str) -> Option<(u64, u64)> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, statement)
        .tokenize_with_location()
        .ok()?;
    let is_it = |token: &Token| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    let start = tokens.into_iter().find(|t| is_it(&t.token))?.span.start;
    Some((start.line, start.column))
}

/// The name that a mistyped one most probably means.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Names that have less in common are no help.
    const ALIKE: f64 = 0.75;
    let wrong = wrong.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&wrong, name).max(shared_words(&wrong, name));
    let best = names.map(|n| (likeness(n), n)).filter(|(like, _)| *like >= ALIKE);
    best.max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, name)| name)
}

/// `name_proc` means `proc_name`; `pid` means `proc_pid`.
fn shared_words(a: &str, b: &str) -> f64 {
    let words = |s: &str| {
        s.split(['_', '.'])
            .map(str::to_owned)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (a, b) = (words(a), words(b));
    let shared = a.intersection(&b).count() as f64;
    if a.is_subset(&b) {
        0.75 + 0.25 * shared / b.len() as f64 - 0.01
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn mistyped_names_are_found() {
        let names = [
            "seq",
            "ts",
            "proc_name",
            "proc_pname",
            "proc_pid",
            "fd_name",
            "container_id",
            "evt_type",
        ];
        let near = |wrong| nearest(wrong, names.into_iter());
        assert_eq!(near("proc_nam"), Some("proc_name"));
        assert_eq!(near("procname"), Some("proc_name"));
        assert_eq!(near("proc.name"), Some("proc_name"));
        assert_eq!(near("PROC_PNAME"), Some("proc_pname"));
        assert_eq!(near("pid"), Some("proc_pid"));
        assert_eq!(near("zzz"), None);
    }
}
