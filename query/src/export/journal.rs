//! What an unfinished export has written, so that the same command goes on where it was broken off.
//!
//! A text file in the folder of the export: one line that says of what the export is, then one for each run of files. It
//! goes when the manifest comes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::Written;
use crate::error::QueryError;
use crate::tables::Table;

const NAME: &str = ".export.journal";
const TEMPORARY: &str = ".export.tmp";

/// The journal of an export.
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    /// The files of runs of an earlier attempt, by table and number.
    done: BTreeMap<(String, u32), Vec<Written>>,
}

impl Journal {
    /// Opens the journal of a folder; `about` says what is exported. A folder with anything but an export of the same
    /// is refused.
    pub(super) fn open(dir: &Path, about: &Value) -> Result<Journal, QueryError> {
        let path = dir.join(NAME);
        let begun = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(QueryError::io(&path)(e)),
        };
        let done = match begun {
            Some(text) if !text.is_empty() => earlier(dir, &text, about)?,
            _ if fs::read_dir(dir)
                .map_err(QueryError::io(dir))?
                .any(|e| e.is_ok_and(|e| e.file_name() != NAME && e.file_name() != TEMPORARY)) =>
            {
                return Err(QueryError::NotEmpty(dir.to_owned()));
            }
            _ => BTreeMap::new(),
        };
        // Written anew, so that a torn last line is no trouble.
        let temporary = dir.join(TEMPORARY);
        let mut file = File::create(&temporary).map_err(QueryError::io(&temporary))?;
        let mut text = format!("{about}\n");
        done.iter()
            .for_each(|((table, number), files)| text.push_str(&line(table, *number, files)));
        file.write_all(text.as_bytes()).map_err(QueryError::io(&temporary))?;
        fs::rename(&temporary, &path).map_err(QueryError::io(&path))?;
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(QueryError::io(&path))?;
        Ok(Journal {
            path,
            file: Mutex::new(file),
            done,
        })
    }

    /// The files of a run that an earlier attempt wrote.
    pub(super) fn done(&self, table: Table, number: u32) -> Option<&Vec<Written>> {
        self.done.get(&(table.name().to_owned(), number))
    }

    /// Notes the files of a run.
    pub(super) fn note(&self, table: Table, number: u32, files: &[Written]) -> Result<(), QueryError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line(table.name(), number, files).as_bytes())
            .map_err(QueryError::io(&self.path))
    }

    /// The export is complete.
    pub(super) fn remove(self) -> Result<(), QueryError> {
        fs::remove_file(&self.path).map_err(QueryError::io(&self.path))
    }
}

fn line(table: &str, number: u32, files: &[Written]) -> String {
    let files: Vec<Value> = files
        .iter()
        .map(|f| json!({"path": f.path, "rows": f.rows, "bytes": f.bytes}))
        .collect();
    format!("{}\n", json!({"table": table, "run": number, "files": files}))
}

/// The runs of an earlier attempt whose files are still there.
fn earlier(dir: &Path, text: &str, about: &Value) -> Result<BTreeMap<(String, u32), Vec<Written>>, QueryError> {
    let mut lines = text.lines().map(|l| serde_json::from_str::<Value>(l).ok());
    if lines.next().flatten().as_ref() != Some(about) {
        return Err(QueryError::NotEmpty(dir.to_owned()));
    }
    let mut done = BTreeMap::new();
    for run in lines.flatten() {
        let table = run.get("table").and_then(Value::as_str);
        let number = run
            .get("run")
            .and_then(Value::as_u64)
            .and_then(|n| u32::try_from(n).ok());
        let files = run.get("files").and_then(Value::as_array);
        let (Some(table), Some(number), Some(files)) = (table, number, files) else {
            continue;
        };
        let files: Option<Vec<Written>> = files.iter().map(written).collect();
        let whole = |f: &Written| fs::metadata(dir.join(&f.path)).is_ok_and(|m| m.len() == f.bytes);
        if let Some(files) = files.filter(|files| files.iter().all(whole)) {
            done.insert((table.to_owned(), number), files);
        }
    }
    Ok(done)
}

fn written(file: &Value) -> Option<Written> {
    let number = |name: &str| file.get(name).and_then(Value::as_u64);
    Some(Written {
        path: file.get("path")?.as_str()?.to_owned(),
        rows: number("rows")?,
        bytes: number("bytes")?,
    })
}
