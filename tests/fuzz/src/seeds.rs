//! Whole samples of what each target reads: what a fuzzer begins with.

use std::fs;
use std::path::{Path, PathBuf};

use ctrace_capture::import::{ImportOptions, import};
use ctrace_trace::block::BlockHead;
use ctrace_trace::block::head::Codec;
use ctrace_trace::case::Case;

use crate::Target;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder, in the order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// The samples of all importers.
fn samples() -> Vec<PathBuf> {
    let mut paths = files("capture/tests/import/samples");
    paths.retain(|p| p.extension().is_none_or(|e| e != "expected"));
    paths
}

/// A case made of a sample: for the formats of ctrace's own.
fn case_of(sample: &Path, look: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ImportOptions {
        files: vec![sample.to_owned()],
        output: folder.path().join("case"),
        year: Some(2026),
        ..ImportOptions::default()
    };
    import(&options, &mut |_| true).unwrap_or_else(|e| panic!("{}: {e}", sample.display()));
    look(&options.output);
}

/// What to begin with.
pub fn seeds(target: Target) -> Vec<Vec<u8>> {
    let read = |path: PathBuf| fs::read(path).expect("readable");
    match target {
        // Any sample may make an importer think.
        Target::Import(format) => {
            let (mut own, mut others): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
            for path in samples() {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                let stem = format.split('-').next().unwrap_or_default();
                if name.contains(stem) {
                    own.push(read(path))
                } else {
                    others.push(read(path))
                }
            }
            own.append(&mut others);
            own
        }
        Target::Block => samples().iter().flat_map(|s| block_seed(s)).collect(),
        Target::Segment => {
            let mut out = Vec::new();
            for sample in samples() {
                case_of(&sample, |case| out.push(read(case.join("000001.ctrace"))));
            }
            out
        }
        Target::Rules => {
            let folders = ["samples/rules/falco", "samples/rules/sigma"];
            let paths = folders.iter().flat_map(|f| files(f));
            paths.filter(|p| p.is_file()).map(read).collect()
        }
        Target::Filter => [
            "evt.type = openat and fd.name startswith /etc and not proc.name in (a, \"b c\")",
            "proc.aname[2] = sh or (evt.rawres < 0 and fd.sip = 10.0.0.0/8)",
            "evt.arg.flags contains O_CREAT and proc.cmdline regex '^(a|b)+$'",
            "container.id != host and proc.env[PATH] exists and fd.name pmatch (/etc, /usr/bin)",
            "audit.field[exe] glob /usr/*/x?[a-c] and tolower(proc.name) icontains BA",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into(),
    }
}

/// The blocks of a case made of a sample, as target `Block` reads them: frames not compressed, so that changes reach the
/// readers of columns.
pub fn block_seed(sample: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    case_of(sample, |folder| {
        let case = Case::open(folder).unwrap_or_else(|e| panic!("{e}"));
        for block in case.blocks() {
            let body = block.load().unwrap_or_else(|p| panic!("{p}"));
            out.push(uncompressed(block.head(), &body));
        }
    });
    out
}

fn uncompressed(head: &BlockHead, body: &[u8]) -> Vec<u8> {
    let (mut head, mut frames, mut at) = (head.clone(), Vec::new(), 0);
    for entry in &mut head.frames {
        let packed = &body[at..at + entry.packed_len as usize];
        at += packed.len();
        let raw = match entry.codec {
            Codec::Raw => packed.to_vec(),
            Codec::Zstd => zstd::bulk::decompress(packed, entry.raw_len as usize).expect("just coded"),
        };
        (entry.codec, entry.packed_len) = (Codec::Raw, raw.len() as u32);
        frames.extend_from_slice(&raw);
    }
    let head = head.encode().expect("a head");
    let length = u16::try_from(head.len()).expect("a short head");
    [&length.to_le_bytes()[..], &head, &frames].concat()
}
