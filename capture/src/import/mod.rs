//! Captures and logs that other tools wrote, made into cases.
//!
//! One file or folder per format, all of them in [`IMPORTERS`]. An importer reads an [`Input`] to its end, hands events
//! to a [`Sink`], and tells it of what it could not read: that is counted, located and kept as it was, and never stops
//! the import. Which importer reads a file is decided by what the file holds (see [`Importer::sniff`]) unless the user
//! names one.

mod audit_log;
mod auditbeat;
mod batch;
mod container_log;
mod docker_events;
mod documents;
mod falco;
mod go_audit;
mod input;
mod journal;
mod json_records;
mod k8s_audit;
mod laurel;
mod lines;
mod members;
mod merge;
mod output;
mod processes;
mod scap;
mod sets;
mod sink;
mod strace;
mod syslog;
mod sysmon;
mod tetragon;
mod tracee;
mod world;
mod xml_events;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ctrace_trace::case::{CaseError, Summary};
use ctrace_trace::segment::Tool;

pub use input::Input;
use output::Output;
use sink::Way;
pub use sink::{Origin, Sink};

/// How sure an importer is that a file is its own; the highest wins, of equal ones the first in [`IMPORTERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It is not.
    No,
    /// It can be read as such, as much else can: a text of lines.
    Possible,
    /// It looks like it: the keys or words of the format are there.
    Likely,
    /// It says so: a magic number.
    Certain,
}

/// One format.
pub trait Importer: Sync {
    /// The name for `--format`, in lower case.
    fn name(&self) -> &'static str;

    /// Judges a file by its beginning, decompressed: all of it, or the first [`SNIFFED`] bytes.
    fn sniff(&self, start: &[u8]) -> Confidence;

    /// When a file's first event happened, or something before that: the files of a rotated log are read in this order,
    /// and a file is not begun before its time has come. `None` where that cannot be said: then the order given is kept,
    /// and the file is read from the beginning.
    fn first_ts(&self, _input: &mut Input) -> Option<u64> {
        None
    }

    /// Whether its files say which host they are of and what ran on it.
    fn tells_host(&self) -> bool {
        false
    }

    /// Begins to read files that belong together: one, or those of a log that was rotated.
    fn begin(&self) -> Box<dyn Reading>;
}

/// The reading of one or several files of a format, and what is known from one file to the next.
pub trait Reading {
    /// Reads a file to its end, or to where it was cut or cannot be understood any more ([`End::Cut`]).
    ///
    /// # Errors
    /// Only where the file cannot be read from its medium or the case cannot be written. What is wrong with the
    /// contents is told to the sink.
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError>;

    /// Writes what waited for more, behind the last file.
    ///
    /// # Errors
    /// As [`Reading::file`].
    fn finish(&mut self, _sink: &mut Sink<'_>) -> Result<(), ImportError> {
        Ok(())
    }
}

/// Every importer.
pub static IMPORTERS: &[&dyn Importer] = &[
    &scap::Scap,
    &audit_log::AuditLog,
    &docker_events::DockerEvents,
    &k8s_audit::K8sAudit,
    &container_log::JsonFile,
    &container_log::Cri,
    &falco::FALCO,
    &tetragon::TETRAGON,
    &tracee::Tracee,
    &journal::JOURNAL,
    &sysmon::Sysmon,
    &laurel::Laurel,
    &auditbeat::Auditbeat,
    &go_audit::GoAudit,
    &strace::Strace,
    &syslog::Syslog,
];

/// So much of a file is judged.
pub const SNIFFED: usize = 64 << 10;

/// How the reading of a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was read.
    Whole,
    /// It ends early, or the rest cannot be understood; what came before was imported.
    Cut {
        /// Offset in the decompressed file of the first byte that was not used.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No importer knows the format.
    #[error("{}: format not known; name it with --format ({})", path.display(), names())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// No importer has that name.
    #[error("no format {0:?}; there are {names}", names = names())]
    NoSuchFormat(String),
    /// Nothing stands in any of the files.
    #[error("{}: {reason}{}; there is nothing to import", path.display(), others(*.count))]
    Empty {
        /// The first of them.
        path: PathBuf,
        /// Why nothing stands in it.
        reason: String,
        /// How many there are.
        count: usize,
    },
    /// There was nothing to import.
    #[error("no file to import")]
    NoFile,
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The case cannot be written.
    #[error(transparent)]
    Case(#[from] CaseError),
}

/// The rest of so many files, for messages.
fn others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        2 => ", and so is the other".to_owned(),
        more => format!(", and so are the other {}", more - 1),
    }
}

/// The names of all formats, for messages.
pub fn names() -> String {
    let names: Vec<&str> = IMPORTERS.iter().map(|i| i.name()).collect();
    names.join(", ")
}

/// What is imported, and where to.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Name of the format; `None` to find it out for each file.
    pub format: Option<String>,
    /// The year in which the first line of a log without years was written; `None` to take it from the file's own time.
    pub year: Option<u16>,
    /// Seconds east of UTC of the clock of a log without time zones.
    pub utc_offset_s: i32,
    /// Folder of the new case.
    pub output: PathBuf,
    /// The program that imports.
    pub tool: Tool,
    /// Its command line.
    pub command_line: Vec<String>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes of the files read so far, as they lie on disk.
    pub read: u64,
    /// Bytes of all files; 0 where one has no size.
    pub total: u64,
    /// Events written so far.
    pub events: u64,
}

/// What became of one file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Its number, from 1, in the order given.
    pub id: u64,
    /// The file.
    pub path: PathBuf,
    /// Name of its format.
    pub format: &'static str,
    /// SHA-256 of the whole file as it lies on disk.
    pub sha256: [u8; 32],
    /// Its size.
    pub bytes: u64,
    /// Events made of it.
    pub events: u64,
    /// Pieces whose kind is not known; kept as they are.
    pub unknown: u64,
    /// Pieces that are damaged; kept as they are.
    pub bad: u64,
    /// The first damaged pieces: where, and what is wrong.
    pub problems: Vec<(Origin, String)>,
    /// How the reading ended.
    pub end: End,
}

impl FileReport {
    /// Whether something in the file is damaged or missing.
    pub fn is_damaged(&self) -> bool {
        self.bad > 0 || self.end != End::Whole
    }
}

/// What an import did.
#[derive(Debug)]
pub struct ImportOutcome {
    /// The files, in the order in which each set was read.
    pub files: Vec<FileReport>,
    /// Files that were given more than once; they were read once.
    pub twice: Vec<PathBuf>,
    /// Files in which nothing stands. The case tells of them as of the others.
    pub empty: Vec<FileReport>,
    /// What was written.
    pub summary: Summary,
}

/// Imports files into a new case. `progress` is called a few times a second; it returns whether to go on.
///
/// # Errors
/// Where a file cannot be read or is of no known format, or where the case cannot be written. What is wrong with the
/// contents of a file is no error but part of the outcome.
pub fn import(
    options: &ImportOptions,
    progress: &mut dyn FnMut(Progress) -> bool,
) -> Result<ImportOutcome, ImportError> {
    let files = sets::look(&options.files, options.format.as_deref())?;
    let read: Vec<Arc<AtomicU64>> = files.sets.iter().map(|_| Arc::default()).collect();
    let mut output = Output::new(options, files.total, read.clone(), files.formats, progress);
    let reports = match (files.sets.as_slice(), read.first()) {
        // Without another thread: nothing is to be merged.
        ([set], Some(read)) => {
            let mut sink = Sink::new(options, Way::Case(Box::new(output)), Arc::clone(read));
            set.read(&mut sink)?;
            let (reports, way) = sink.finish();
            let Way::Case(written) = way else {
                return Err(ImportError::NoFile);
            };
            output = *written;
            reports
        }
        _ => merge::merge(options, files.sets, &read, &mut output)?,
    };
    for file in &files.empty {
        output.note(file)?;
    }
    Ok(ImportOutcome {
        files: reports,
        twice: files.twice,
        empty: files.empty,
        summary: output.finish()?,
    })
}

fn choose(format: Option<&str>, path: &Path, start: &[u8]) -> Result<&'static dyn Importer, ImportError> {
    if let Some(format) = format {
        let named = IMPORTERS.iter().find(|i| i.name() == format);
        return named
            .copied()
            .ok_or_else(|| ImportError::NoSuchFormat(format.to_owned()));
    }
    let mut best: Option<(Confidence, &'static dyn Importer)> = None;
    for &importer in IMPORTERS {
        let confidence = importer.sniff(start);
        if confidence > best.map_or(Confidence::No, |(c, _)| c) {
            best = Some((confidence, importer));
        }
    }
    best.map(|(_, importer)| importer)
        .ok_or_else(|| ImportError::Unknown { path: path.to_owned() })
}
