//! A fleet of two hosts: two of the recorded samples, exported into one folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{ctrace, folder, project};

/// The folder of a fleet; goes away with it.
pub(crate) struct Fleet(tempfile::TempDir);

impl Fleet {
    /// Exports two of the samples.
    pub(crate) fn new() -> Fleet {
        Fleet::of(&[
            ("web-1", "samples/attack/case"),
            ("db-1", "samples/attacks/exec-shell/case"),
        ])
    }

    /// Exports a case for each of some hosts.
    pub(crate) fn of(hosts: &[(&str, &str)]) -> Fleet {
        let fleet = Fleet(folder());
        hosts.iter().for_each(|(host, case)| fleet.add(host, case));
        fleet
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// As an argument.
    pub(crate) fn arg(&self) -> &str {
        self.path().to_str().expect("UTF-8")
    }

    /// Exports a case and puts its partitions beside those of other hosts. The samples come from the same machine.
    fn add(&self, host: &str, case: &str) {
        let scratch = folder();
        let export = scratch.path().join("export");
        let case = project(case);
        ctrace([
            OsStr::new("export"),
            case.as_os_str(),
            OsStr::new("-o"),
            export.as_os_str(),
        ])
        .code(0);
        for table in folders(&export) {
            for partition in folders(&table) {
                let name = table.file_name().expect("a name");
                copy(&partition, &self.path().join(name).join(format!("host={host}")));
            }
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).expect("a folder");
    let paths = entries.map(|e| e.expect("an entry").path());
    paths.filter(|p| p.is_dir()).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copies");
        }
    }
}

/// Every file of a fleet, with its path below the folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}
