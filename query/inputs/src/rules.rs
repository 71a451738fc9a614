//! Rules files on disk: finding, reading and loading them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ctrace_replay::{LoadOptions, RuleFile, RuleSet};

use crate::error::{InputError, find};

/// A rules file may have this many bytes; all of Falco's rules have half a million.
const MAX_BYTES: u64 = 64 << 20;

/// Deepest folder that is looked into; links can make circles.
const MAX_DEPTH: u32 = 20;

/// Rules that loaded, with the text of their files.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub set: RuleSet,
    /// Name and text of each file, in the order of loading.
    pub texts: Vec<(String, String)>,
}

impl Loaded {
    /// The names of all files.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.texts.iter().map(|t| t.0.as_str()).collect();
        names.join(", ")
    }

    /// The text of a file by its name.
    pub fn text(&self, name: &str) -> Option<&str> {
        find(&self.texts, name)
    }
}

/// Reads and checks rules.
///
/// # Errors
/// Where a file cannot be read, and [`InputError::Rules`] with everything that is wrong with the rules.
pub fn load(paths: &[PathBuf], options: &LoadOptions) -> Result<Loaded, InputError> {
    let texts = read(paths, "rules")?;
    let set = match ctrace_replay::load(&as_files(&texts), options) {
        Ok(set) => set,
        Err(wrong) => return Err(InputError::Rules { wrong: wrong.0, texts }),
    };
    let loaded = Loaded { set, texts };
    if loaded.set.rules().is_empty() {
        return Err(InputError::Usage(format!("no rule in {}", loaded.names())));
    }
    Ok(loaded)
}

/// Files as the engine takes them.
pub fn as_files(texts: &[(String, String)]) -> Vec<RuleFile<'_>> {
    texts.iter().map(|(name, text)| RuleFile { name, text }).collect()
}

/// Name and text of the files that paths stand for: files as they are, folders' files in order of their paths. `what`
/// they are is told where one cannot be read.
///
/// # Errors
/// Where a file cannot be read, or a folder has none.
pub fn read(paths: &[PathBuf], what: &str) -> Result<Vec<(String, String)>, InputError> {
    let mut texts = Vec::new();
    let lists = paths.iter().map(|p| files(p, what)).collect::<Result<Vec<_>, _>>()?;
    for path in lists.into_iter().flatten() {
        texts.push((path.display().to_string(), text(&path, what)?));
    }
    Ok(texts)
}

/// The text of a YAML file.
///
/// # Errors
/// Where it cannot be read, is far too large, or is no UTF-8.
pub fn text(path: &Path, what: &str) -> Result<String, InputError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(InputError::io(what, path))?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(InputError::io(what, path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(InputError::Usage(format!(
            "{what} {}: larger than {} MiB",
            path.display(),
            MAX_BYTES >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.as_bytes().iter().take(e.utf8_error().valid_up_to());
        let line = valid.filter(|b| **b == b'\n').count() + 1;
        InputError::Usage(format!("{}:{line}: not UTF-8", path.display()))
    })
}

/// A file as it is; the YAML files of a folder and the folders in it, in order of their paths.
///
/// # Errors
/// Where a folder cannot be read or has no such file.
pub fn files(path: &Path, what: &str) -> Result<Vec<PathBuf>, InputError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    within(path, what, 0, &mut files)?;
    if files.is_empty() {
        return Err(InputError::Usage(format!(
            "{}: no *.yaml or *.yml in this folder",
            path.display()
        )));
    }
    Ok(files)
}

fn within(folder: &Path, what: &str, depth: u32, out: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let entries = fs::read_dir(folder).map_err(InputError::io(what, folder))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()
        .map_err(InputError::io(what, folder))?;
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
