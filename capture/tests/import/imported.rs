//! Imports files into cases and looks at what came out.

use std::path::{Path, PathBuf};

use ctrace_capture::import::{ImportError, ImportOptions, ImportOutcome, import};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::{Case, verify};
use ctrace_trace::event::Arg;
use ctrace_trace::segment::BlockReader;

/// An event as tests look at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) ts: u64,
    pub(crate) kind: String,
    pub(crate) tid: u32,
    pub(crate) ret: Option<i64>,
    pub(crate) latency: Option<u64>,
    pub(crate) name: String,
    pub(crate) exe: String,
    pub(crate) cmdline: String,
    pub(crate) user: String,
    pub(crate) parent: String,
    pub(crate) container: String,
    pub(crate) fd: String,
    pub(crate) args: Vec<(String, String)>,
    pub(crate) data: Vec<u8>,
    /// File, offset and line.
    pub(crate) origin: Option<(String, u64, u64)>,
}

impl Row {
    /// An argument as text; of a path the resolved form.
    pub(crate) fn arg(&self, name: &str) -> &str {
        self.args.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// A case made of files.
pub(crate) struct Imported {
    pub(crate) outcome: ImportOutcome,
    pub(crate) rows: Vec<Row>,
    _folder: tempfile::TempDir,
    pub(crate) case: Case,
}

/// Imports files of formats that are to be found out.
pub(crate) fn try_import(files: &[PathBuf], output: &Path) -> Result<ImportOutcome, ImportError> {
    try_import_as(None, files, output)
}

/// Imports files.
pub(crate) fn try_import_as(
    format: Option<&str>,
    files: &[PathBuf],
    output: &Path,
) -> Result<ImportOutcome, ImportError> {
    let options = ImportOptions {
        files: files.to_vec(),
        format: format.map(str::to_owned),
        output: output.to_owned(),
        year: Some(2026),
        ..ImportOptions::default()
    };
    import(&options, &mut |_| true)
}

/// Imports a file; the case must be whole whatever the file is.
pub(crate) fn import_file(path: &Path) -> Imported {
    import_files(&[path.to_owned()])
}

/// The same for several files.
pub(crate) fn import_files(files: &[PathBuf]) -> Imported {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("case");
    let outcome = try_import(files, &output).unwrap_or_else(|e| panic!("{e}"));
    let case = Case::open(&output).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(verify(&case).problems, []);
    let mut rows = Vec::new();
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        let decoded = reader.read(block, Need::ALL).unwrap_or_else(|p| panic!("{p}"));
        rows.extend(decoded.events().map(row));
    }
    Imported {
        outcome,
        rows,
        _folder: folder,
        case,
    }
}

/// The same for a capture in memory.
pub(crate) fn import_bytes(bytes: &[u8]) -> Imported {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    import_file(file.path())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn row(event: EventView<'_>) -> Row {
    let spec = event.spec().expect("its type");
    let image = event.image();
    let params = spec.params.iter().enumerate();
    let args = params.filter_map(|(slot, param)| {
        let value = match event.arg(slot) {
            Arg::None => return None,
            Arg::Num(n) => n.to_string(),
            Arg::Str(s) => text(s),
            Arg::Path { resolved, .. } => text(resolved),
        };
        Some((param.name.clone(), value))
    });
    let name = |i: ctrace_trace::block::decoded::ImageView<'_>| text(i.str(i.entry.name));
    Row {
        ts: event.ts(),
        kind: spec.name.clone(),
        tid: event.context().map_or(0, |c| c.tid),
        ret: event.ret(),
        latency: event.latency(),
        name: image.map_or_else(String::new, name),
        exe: image.map_or_else(String::new, |i| text(i.str(i.entry.exe_path))),
        cmdline: image.map_or_else(String::new, |i| text(i.str(i.entry.argv)).replace('\0', " ")),
        user: image.map_or_else(String::new, |i| text(i.str(i.entry.user))),
        parent: image.and_then(|i| i.parent()).map_or_else(String::new, name),
        container: image
            .and_then(|i| i.container())
            .map_or_else(String::new, |c| c.id.clone()),
        fd: event.fd().map_or_else(String::new, |fd| text(&fd.name())),
        args: args.collect(),
        data: event.data().to_vec(),
        origin: event.origin().map(|o| (text(o.file), o.offset, o.line)),
    }
}
