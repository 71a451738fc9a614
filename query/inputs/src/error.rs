//! Why what a user named cannot be used.

use std::io;
use std::path::PathBuf;

use ctrace_replay::Diagnostic;

use crate::diagnosis;

/// Why rules or files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The operating system refuses.
    #[error("{what}: {source}")]
    Io {
        /// The file, and what it was meant to be.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Something else than what is needed was named.
    #[error("{0}")]
    Usage(String),
    /// Rules with errors; no event was looked at.
    #[error("{}", diagnosis::text(wrong, |name| find(texts, name)))]
    Rules {
        /// What is wrong.
        wrong: Vec<Diagnostic>,
        /// Name and text of each file.
        texts: Vec<(String, String)>,
    },
}

impl InputError {
    pub(crate) fn io(what: &str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> InputError {
        let what = format!("{what} {}", path.into().display());
        |source| InputError::Io { what, source }
    }
}

impl InputError {
    /// What is wrong in one line, for messages that have only one.
    pub fn line(&self) -> String {
        match self {
            InputError::Rules { wrong, .. } => {
                let all: Vec<String> = wrong.iter().take(3).map(ToString::to_string).collect();
                let more = wrong.len().saturating_sub(all.len());
                let more = if more > 0 {
                    format!("; {more} more")
                } else {
                    String::new()
                };
                format!("{}{more}", all.join("; "))
            }
            InputError::Io { .. } | InputError::Usage(_) => self.to_string(),
        }
    }
}

/// The text of a file by its name.
pub(crate) fn find<'t>(texts: &'t [(String, String)], name: &str) -> Option<&'t str> {
    texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str())
}
