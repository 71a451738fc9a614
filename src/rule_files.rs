//! Rules files: which of their rules run, and what is told of those that do not load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use ctrace_inputs::rules::Loaded;
use ctrace_inputs::{InputError, rules};
use ctrace_replay::{LoadOptions, Matching, Priority, RuleFile};
use ctrace_trace::escape;

use crate::{diagnosis, exit, output};

/// Which of the loaded rules run, and which of those that match raise an alert.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Run only rules with this tag; may be given several times
    #[arg(short = 't', long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Run no rules with this tag; may be given several times
    #[arg(short = 'T', long = "without-tag", value_name = "TAG")]
    without_tags: Vec<String>,
    /// Run only rules of this priority or a more urgent one
    #[arg(long, value_name = "LEVEL", value_parser = priority)]
    priority: Option<Priority>,
    /// Run rules whose names match this shell pattern even where they are disabled; may be given several times
    #[arg(long, value_name = "PATTERN")]
    enable: Vec<String>,
    /// Run no rules whose names match this shell pattern; may be given several times
    #[arg(long, value_name = "PATTERN")]
    disable: Vec<String>,
    /// A value of a placeholder in Sigma rules; may be given several times
    #[arg(long = "placeholder", value_name = "NAME=VALUE", value_parser = placeholder)]
    placeholders: Vec<(String, String)>,
    /// Which of Falco's rules that match an event raise an alert; Sigma's always do
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) matching: Which,
}

/// `rule_matching` of Falco's configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// The first in the order of the files
    #[default]
    First,
    /// All
    All,
}

impl From<Which> for Matching {
    fn from(which: Which) -> Matching {
        match which {
            Which::First => Matching::First,
            Which::All => Matching::All,
        }
    }
}

fn priority(text: &str) -> Result<Priority, String> {
    let names = || Priority::ALL.map(|p| p.name().to_ascii_lowercase()).join(", ");
    Priority::parse(text).ok_or_else(|| format!("not one of {}", names()))
}

fn placeholder(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    Ok((name.trim_matches('%').to_owned(), value.to_owned()))
}

impl Selection {
    pub(crate) fn options(&self) -> LoadOptions {
        let mut placeholders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.placeholders {
            placeholders.entry(name.clone()).or_default().push(value.clone());
        }
        LoadOptions {
            min_priority: self.priority,
            tags: self.tags.clone(),
            without_tags: self.without_tags.clone(),
            enable: self.enable.clone(),
            disable: self.disable.clone(),
            placeholders,
        }
    }
}

/// The case and the rules files of a command line, wherever the case stands: in `--rules FILE CASE` the parser takes it for
/// another file, and is therefore told that it is optional.
pub(crate) fn and_case<'a>(
    case: Option<&'a Path>,
    rules: &'a [PathBuf],
    usage: &str,
) -> anyhow::Result<(&'a Path, &'a [PathBuf])> {
    match (case, rules.split_last()) {
        (Some(case), _) => Ok((case, rules)),
        (None, Some((case, rules))) if !rules.is_empty() => Ok((case, rules)),
        _ => Err(exit::usage(anyhow::anyhow!("no case given: {usage}"))),
    }
}

/// Reads and checks rules; everything that is wrong with them is told at once, and then there is nothing.
pub(crate) fn load(paths: &[PathBuf], options: &LoadOptions) -> anyhow::Result<Option<Loaded>> {
    match rules::load(paths, options) {
        Ok(loaded) => {
            diagnosis::print(loaded.set.warnings(), |name| loaded.text(name));
            // As in Falco that is no error: who switches off the last rule wants no alerts.
            if !loaded.set.rules().iter().any(|r| r.active) {
                output::note(&format!("no rule is enabled in {}", escape::text(&loaded.names())));
            }
            Ok(Some(loaded))
        }
        Err(InputError::Rules { wrong, texts }) => {
            diagnosis::print(&wrong, |name| texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str()));
            let errors = if wrong.len() == 1 {
                "an error".to_owned()
            } else {
                format!("{} errors", wrong.len())
            };
            output::note(&format!("{errors} in the rules; no event was looked at"));
            Ok(None)
        }
        Err(other) => Err(coded(other)),
    }
}

/// Name and text of each rules file, in the order of loading.
pub(crate) fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    read(paths, "rules")
}

/// The same as the engine takes them.
pub(crate) fn as_files(texts: &[(String, String)]) -> Vec<RuleFile<'_>> {
    rules::as_files(texts)
}

/// Name and text of the files that paths stand for.
pub(crate) fn read(paths: &[PathBuf], what: &str) -> anyhow::Result<Vec<(String, String)>> {
    rules::read(paths, what).map_err(coded)
}

/// The text of a YAML file.
pub(crate) fn text(path: &Path, what: &str) -> anyhow::Result<String> {
    rules::text(path, what).map_err(coded)
}

/// A file as it is; the YAML files of a folder and the folders in it, in order of their paths.
pub(crate) fn files(path: &Path, what: &str) -> anyhow::Result<Vec<PathBuf>> {
    rules::files(path, what).map_err(coded)
}

fn coded(error: InputError) -> anyhow::Error {
    match error {
        InputError::Usage(_) | InputError::Rules { .. } => exit::usage(error),
        InputError::Io { .. } => error.into(),
    }
}
