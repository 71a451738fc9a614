//! The targets: one per importer, and those for what ctrace reads of its own.

use std::fs;
use std::hint::black_box;

use ctrace_capture::import::{IMPORTERS, ImportOptions, import};
use ctrace_replay::{Filter, LoadOptions, RuleFile, check, load};
use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockHead, Decoder, Need};
use ctrace_trace::case::{Case, verify};
use ctrace_trace::catalogue::{self, FieldArg};
use ctrace_trace::schema::Schema;
use ctrace_trace::segment::BlockReader;

/// What is given bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The importer of that name; empty for the one that the bytes look like.
    Import(&'static str),
    /// A head and the frames of a block.
    Block,
    /// A segment of a case.
    Segment,
    /// A file of rules, of either language.
    Rules,
    /// A condition.
    Filter,
}

/// All of them.
pub fn targets() -> Vec<Target> {
    let mut all: Vec<Target> = IMPORTERS.iter().map(|i| Target::Import(i.name())).collect();
    all.push(Target::Import(""));
    all.extend([Target::Block, Target::Segment, Target::Rules, Target::Filter]);
    all
}

impl Target {
    /// The name of its file in `fuzz/fuzz_targets`.
    pub fn name(self) -> String {
        match self {
            Target::Import("") => "import".to_owned(),
            Target::Import(format) => format!("import_{}", format.replace('-', "_")),
            Target::Block => "block".to_owned(),
            Target::Segment => "segment".to_owned(),
            Target::Rules => "rules".to_owned(),
            Target::Filter => "filter".to_owned(),
        }
    }

    /// The target of that name; panics where there is none.
    pub fn named(name: &str) -> Target {
        let found = targets().into_iter().find(|t| t.name() == name);
        found.unwrap_or_else(|| panic!("no target {name}"))
    }

    /// Gives it bytes. Panics where something does not hold.
    pub fn run(self, bytes: &[u8]) {
        match self {
            Target::Import(format) => imported(format, bytes),
            Target::Block => block(bytes),
            Target::Segment => segment(bytes),
            Target::Rules => rules(bytes),
            Target::Filter => {
                let _ = black_box(Filter::parse(&String::from_utf8_lossy(bytes)));
            }
        }
    }
}

/// A folder in memory, where there is one.
fn memory() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    folder.expect("a folder")
}

/// Imports bytes: damage has a place, the case is whole, and every event has an origin in the file.
fn imported(format: &str, bytes: &[u8]) {
    let folder = memory();
    let (file, output) = (folder.path().join("file"), folder.path().join("case"));
    fs::write(&file, bytes).expect("written");
    let options = ImportOptions {
        files: vec![file],
        format: (!format.is_empty()).then(|| format.to_owned()),
        output: output.clone(),
        year: Some(2026),
        ..ImportOptions::default()
    };
    let outcome = match import(&options, &mut |_| true) {
        Ok(outcome) => outcome,
        Err(error) => {
            assert!(format.is_empty(), "{error}");
            return;
        }
    };
    for report in &outcome.files {
        assert!(report.bad == 0 || !report.problems.is_empty());
    }
    read_all(&output, |event| {
        let compressed = bytes.starts_with(&[0x1f, 0x8b]);
        let origin = event.origin();
        let fits = |o: &ctrace_trace::block::decoded::OriginView<'_>| compressed || o.offset <= bytes.len() as u64;
        let own = event.spec().is_some_and(|s| s.name == "imported");
        assert!(origin.as_ref().map_or(own, fits), "{origin:?}");
    });
}

/// Reads all of a case, which must be whole.
fn read_all(folder: &std::path::Path, look: impl Fn(ctrace_trace::block::decoded::EventView<'_>)) {
    let case = Case::open(folder).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(verify(&case).problems, []);
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        let decoded = reader.read(block, Need::ALL).unwrap_or_else(|p| panic!("{p}"));
        decoded.events().for_each(&look);
    }
}

/// Looks at everything that fields show of a block.
fn look_at(decoded: &Decoded) {
    for event in decoded.events().take(64) {
        for field in catalogue::all() {
            black_box(field.of(event, &FieldArg::None));
        }
        black_box(ctrace_trace::render::args(event));
    }
}

/// Decodes a block: the length of the head (two bytes), the head, the frames. Checksums are put right, so that changes
/// reach what is behind them.
fn block(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let Some((head, body)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length))) else {
        return;
    };
    let Ok(mut head) = BlockHead::decode(head) else { return };
    let mut at = 0_usize;
    for frame in &mut head.frames {
        let end = at.saturating_add(frame.packed_len as usize);
        frame.crc32 = crc32fast::hash(body.get(at..end).unwrap_or_default());
        at = end;
    }
    let (schema, mut out) = (Schema::current(), Decoded::default());
    if Decoder::new().decode(&head, body, &schema, Need::ALL, &mut out).is_ok() {
        look_at(&out);
    }
}

/// Opens a case that has this one segment, and reads what can be read.
fn segment(bytes: &[u8]) {
    let folder = memory();
    fs::write(folder.path().join("000001.ctrace"), bytes).expect("written");
    let Ok(case) = Case::open(folder.path()) else { return };
    black_box(verify(&case));
    let mut reader = BlockReader::new();
    for block in case.blocks() {
        if let Ok(decoded) = reader.read(block, Need::ALL) {
            look_at(decoded);
        }
    }
}

fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let files = [RuleFile {
        name: "rules.yaml",
        text: &text,
    }];
    black_box(check(&files, &LoadOptions::default()));
    let _ = black_box(load(&files, &LoadOptions::default()));
}
