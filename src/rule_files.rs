//! Rules files on disk: finding, reading and loading them, and which of their rules run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ctrace_replay::{LoadOptions, Matching, Priority, RuleFile, RuleSet};
use ctrace_trace::escape;

use crate::{diagnosis, exit, output};

/// A rules file may have this many bytes; all of Falco's rules have half a million.
const MAX_RULES: u64 = 64 << 20;

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

/// Rules that loaded, with the text of their files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) set: RuleSet,
    /// Name and text of each file, in the order of loading.
    pub(crate) texts: Vec<(String, String)>,
}

/// Reads and checks rules; everything that is wrong with them is told at once, and then there is nothing.
pub(crate) fn load(paths: &[PathBuf], options: &LoadOptions) -> anyhow::Result<Option<Loaded>> {
    let texts = texts(paths)?;
    let files = as_files(&texts);
    let text_of = |name: &str| texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str());
    let set = match ctrace_replay::load(&files, options) {
        Ok(set) => set,
        Err(wrong) => {
            diagnosis::print(&wrong.0, text_of);
            let errors = if wrong.0.len() == 1 {
                "an error".to_owned()
            } else {
                format!("{} errors", wrong.0.len())
            };
            output::note(&format!("{errors} in the rules; no event was looked at"));
            return Ok(None);
        }
    };
    diagnosis::print(set.warnings(), text_of);
    let names = || files.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
    if set.rules().is_empty() {
        return Err(exit::usage(anyhow::anyhow!("no rule in {}", names())));
    }
    // As in Falco that is no error: who switches off the last rule wants no alerts.
    if !set.rules().iter().any(|r| r.active) {
        output::note(&format!("no rule is enabled in {}", escape::text(&names())));
    }
    Ok(Some(Loaded { set, texts }))
}

/// Name and text of each rules file, in the order of loading.
pub(crate) fn texts(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    read(paths, "rules")
}

/// The same as the engine takes them.
pub(crate) fn as_files(texts: &[(String, String)]) -> Vec<RuleFile<'_>> {
    texts.iter().map(|(name, text)| RuleFile { name, text }).collect()
}

/// Name and text of the files that paths stand for: files as they are, folders' files in order of their paths. `what`
/// they are is told where one cannot be read.
pub(crate) fn read(paths: &[PathBuf], what: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let lists = paths
        .iter()
        .map(|p| files(p, what))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for path in lists.into_iter().flatten() {
        texts.push((path.display().to_string(), text(&path, what)?));
    }
    Ok(texts)
}

/// The text of a YAML file.
pub(crate) fn text(path: &Path, what: &str) -> anyhow::Result<String> {
    let name = || format!("{what} {}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .with_context(name)?
        .take(MAX_RULES + 1)
        .read_to_end(&mut bytes)
        .with_context(name)?;
    if bytes.len() as u64 > MAX_RULES {
        return Err(exit::usage(anyhow::anyhow!(
            "{}: larger than {}",
            name(),
            output::size(MAX_RULES)
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|b| **b == b'\n').count() + 1;
        exit::usage(anyhow::anyhow!("{}:{line}: not UTF-8", path.display()))
    })
}

/// A file as it is; the YAML files of a folder and the folders in it, in order of their paths.
pub(crate) fn files(path: &Path, what: &str) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    within(path, what, 0, &mut files)?;
    if files.is_empty() {
        return Err(exit::usage(anyhow::anyhow!(
            "{}: no *.yaml or *.yml in this folder",
            path.display()
        )));
    }
    Ok(files)
}

/// Deepest folder that is looked into; links can make circles.
const MAX_DEPTH: u32 = 20;

fn within(folder: &Path, what: &str, depth: u32, out: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{what} {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                within(&path, what, depth + 1, out)?;
            }
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            out.push(path);
        }
    }
    Ok(())
}
