//! Which files belong together: those of one log that was rotated are read one after the other with the same state, all
//! others apart from each other, and those that nobody can read not at all.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{FileReport, ImportError, Importer, Input, SNIFFED, Sink, choose, left_out};

/// So much earlier than its first event there may be others in a file.
const DISORDER_NS: u64 = 10_000_000_000;

/// A file, and who reads it.
struct Chosen {
    /// From 1, in the order given.
    id: u64,
    path: PathBuf,
    importer: &'static dyn Importer,
    first_ts: Option<u64>,
}

/// Files of one format that are read one after the other.
pub(super) struct Set {
    /// The set need not be begun before what is written is of that time; 0 where it is to be begun at once.
    pub(super) begins: u64,
    files: Vec<Chosen>,
}

/// The files to import.
pub(super) struct Files {
    pub(super) sets: Vec<Set>,
    /// Bytes of all of them; 0 where one has no size.
    pub(super) total: u64,
    /// Names of their formats, each once.
    pub(super) formats: Vec<&'static str>,
    /// Files that were given more than once; they are read once.
    pub(super) twice: Vec<PathBuf>,
    /// Files in which nothing stands, or that nobody knows.
    pub(super) left_out: Vec<FileReport>,
}

/// Looks at all files and puts together what belongs together. Nothing is written before that: a mistake in the command
/// line must not leave half a case.
pub(super) fn look(paths: &[PathBuf], format: Option<&str>) -> Result<Files, ImportError> {
    let (mut sets, mut names): (Vec<Set>, Vec<_>) = (Vec::new(), Vec::new());
    let (mut met, mut formats, mut twice, mut out) = (BTreeSet::new(), Vec::new(), Vec::new(), Vec::new());
    let mut total = Some(0);
    for (at, path) in paths.iter().enumerate() {
        let id = at as u64 + 1;
        if path.is_dir() {
            out.push(left_out::folder(id, path));
            continue;
        }
        let mut input = Input::open(path)?;
        let file = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        if file.is_some_and(|file| !met.insert((file.dev(), file.ino()))) {
            twice.push(path.clone());
            continue;
        }
        // A format that is named may say something of nothing too: there is one file then.
        if is_blank(&mut input)? && (format.is_none() || paths.len() > 1) {
            out.push(left_out::empty(id, path, input)?);
            continue;
        }
        if input.offset() > 0 {
            input = Input::open(path)?;
        }
        let Some(importer) = choose(format, input.start())? else {
            out.push(left_out::unknown(id, path, input)?);
            continue;
        };
        total = total.zip(input.size()).map(|(sum, size)| sum + size);
        if !formats.contains(&importer.name()) {
            formats.push(importer.name());
        }
        let chosen = Chosen {
            id,
            path: path.clone(),
            importer,
            first_ts: importer.first_ts(&mut input),
        };
        let name = (importer.name(), name_of_log(path));
        match names
            .iter()
            .position(|known| *known == name)
            .and_then(|at| sets.get_mut(at))
        {
            Some(set) => set.files.push(chosen),
            None => {
                names.push(name);
                sets.push(Set {
                    begins: 0,
                    files: vec![chosen],
                });
            }
        }
    }
    if let ([], Some(error)) = (sets.as_slice(), left_out::nothing_else(&out)) {
        return Err(error);
    }
    sets.iter_mut().for_each(Set::sort);
    let tells_host = |set: &&mut Set| set.files.first().is_some_and(|f| f.importer.tells_host());
    if let Some(first) = sets.iter_mut().find(tells_host) {
        // A case begins with its host.
        first.begins = 0;
    }
    Ok(Files {
        sets,
        total: total.unwrap_or(0),
        formats,
        twice,
        left_out: out,
    })
}

/// Whether nothing stands in a file but blanks. So much of it is read as is blank.
fn is_blank(input: &mut Input) -> Result<bool, ImportError> {
    while input.offset() < SNIFFED as u64 {
        let there = input.fill()?;
        if there.is_empty() {
            return Ok(true);
        }
        let blank = there.iter().take_while(|b| b.is_ascii_whitespace()).count();
        if blank < there.len() {
            return Ok(false);
        }
        input.consume(blank);
    }
    Ok(false)
}

impl Set {
    /// A rotated log comes out in its own order whatever the shell made of its names.
    fn sort(&mut self) {
        let all: Option<Vec<u64>> = self.files.iter().map(|f| f.first_ts).collect();
        if let Some(all) = all {
            self.files.sort_by_key(|f| f.first_ts);
            self.begins = all.into_iter().min().unwrap_or(0).saturating_sub(DISORDER_NS);
        }
    }

    /// Reads the files.
    pub(super) fn read(&self, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let Some(importer) = self.files.first().map(|f| f.importer) else {
            return Ok(());
        };
        let mut reading = importer.begin();
        for (at, file) in self.files.iter().enumerate() {
            let mut input = Input::open(&file.path)?;
            sink.begin_file((file.id, &file.path), importer.name(), &input)?;
            let end = reading.file(&mut input, sink)?;
            if at + 1 == self.files.len() {
                reading.finish(sink)?;
            }
            sink.end_file(input, end)?;
        }
        Ok(())
    }
}

/// The name that the files of a rotated log share, with the folder: without `.gz`, and without the number or date that
/// rotation puts behind the name (`audit.log.3`, `audit.log-20261120`, `trace.scap12`) or before its ending
/// (`audit-2026-11-20T10-00-00.000.log`).
fn name_of_log(path: &Path) -> PathBuf {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return path.to_owned();
    };
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let is_stamp = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | 'T' | 'Z' | ':');
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let bare = name.trim_end_matches(is_stamp);
    // A number that belongs to the name itself has no ending before it: `host2`.
    if bare.contains('.') && bare.len() < name.len() {
        return path.with_file_name(bare);
    }
    if let Some((body, ending)) = name.rsplit_once('.') {
        let bare = body.trim_end_matches(is_stamp);
        // A whole date and more: `host-10.log` is none.
        if digits(body.get(bare.len()..).unwrap_or_default()) >= 8 && !bare.is_empty() {
            return path.with_file_name(format!("{bare}.{ending}"));
        }
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_share_a_name() {
        for (one, other) in [
            ("/var/log/audit/audit.log", "/var/log/audit/audit.log.1"),
            ("/var/log/audit/audit.log", "/var/log/audit/audit.log.12.gz"),
            ("audit.log", "audit.log-20261120"),
            ("k8s/audit.log", "k8s/audit-2026-11-20T10-00-00.000.log"),
            ("k8s/audit.log", "k8s/audit-2026-11-20T10-00-00.000.log.gz"),
            ("trace.scap0", "trace.scap12"),
            ("c0ffee-json.log", "c0ffee-json.log.2"),
        ] {
            assert_eq!(name_of_log(Path::new(one)), name_of_log(Path::new(other)), "{other}");
        }
        for (one, other) in [
            ("a/audit.log", "b/audit.log"),
            ("web-1.log", "web-2.log"),
            ("host1", "host2"),
            ("a.scap", "b.scap"),
            ("2026.log", "2027.log"),
        ] {
            assert_ne!(name_of_log(Path::new(one)), name_of_log(Path::new(other)), "{other}");
        }
    }
}
