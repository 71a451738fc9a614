//! What became of each rule: whether it loads, on which source it runs, and if not, why not.

use super::{LoadOptions, Loaded, RuleFile, gather, sorted};
use crate::diagnostics::Diagnostic;
use crate::source::{Origin, Sources};

/// The language of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Falco's.
    Falco,
    /// Sigma.
    Sigma,
}

impl Language {
    /// The name that people use.
    pub const fn name(self) -> &'static str {
        match self {
            Language::Falco => "falco",
            Language::Sigma => "sigma",
        }
    }
}

/// What became of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It loads.
    Loads {
        /// The source of the events that it runs on; several are joined with commas.
        source: String,
        /// Whether it runs: it is enabled and the [`LoadOptions`] select it.
        active: bool,
        /// Fields in it that are never recorded, so that comparisons with them are false.
        never_recorded: Vec<String>,
    },
    /// It is right, but cannot run here: what it would need, or that it asks to be left out.
    LeftOut(String),
    /// It is wrong.
    Wrong(String),
}

/// A rule and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// The name that the caller gave the file.
    pub file: String,
    /// Line in which it begins, from 1.
    pub line: u32,
    /// Its language.
    pub language: Language,
    /// What became of it.
    pub verdict: Verdict,
}

/// Everything that there is to say about some rules files.
#[derive(Debug, Default)]
pub struct Report {
    /// Every rule, in the order of files and lines.
    pub rules: Vec<Checked>,
    /// Errors, warnings and notes, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

/// Looks at rules files as [`super::load`] does, and goes on whatever is wrong with them.
pub fn check(files: &[RuleFile<'_>], options: &LoadOptions) -> Report {
    let Loaded {
        diagnostics,
        mut checked,
        ..
    } = gather(files, options);
    let rank = |c: &Checked| files.iter().position(|f| f.name == c.file).unwrap_or(files.len());
    checked.sort_by_key(|c| (rank(c), c.line));
    Report {
        rules: checked,
        diagnostics: sorted(diagnostics, files),
    }
}

impl Checked {
    /// A rule whose name stands at `origin`.
    pub(crate) fn new(name: &str, language: Language, origin: Origin, verdict: Verdict, sources: &Sources) -> Checked {
        let at = sources.at_origin(crate::diagnostics::Severity::Note, origin, String::new());
        Checked {
            name: name.to_owned(),
            file: at.file,
            line: at.line,
            language,
            verdict,
        }
    }
}
