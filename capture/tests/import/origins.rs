//! Every event says where it stood, and there it stands.

use std::io::Write;
use std::path::{Path, PathBuf};

use ctrace_skip::shared;

use crate::capture::story;
use crate::imported::{Imported, import_bytes, import_file};

/// The bytes at an event's place.
fn at(bytes: &[u8], offset: u64) -> &[u8] {
    bytes
        .get(usize::try_from(offset).expect("small")..)
        .expect("a place in the file")
}

/// Checks that a block with the event's time begins at its place; gives the number of events.
fn check_capture(bytes: &[u8], imported: &Imported, name: &str) -> usize {
    let events = imported.rows.iter().filter(|r| r.kind != "imported");
    let mut count = 0;
    for row in events {
        let (file, offset, line) = row.origin.as_ref().expect("an origin");
        assert_eq!((file.as_str(), *line), (name, 0));
        let block = at(bytes, *offset);
        let length = u32::from_le_bytes(block[4..8].try_into().expect("four")) as usize;
        assert_eq!(block[4..8], block[length - 4..length], "a whole block");
        assert!(block[..length].windows(8).any(|w| w == row.ts.to_le_bytes()), "{row:?}");
        count += 1;
    }
    assert!(imported.rows.iter().any(|r| r.kind == "imported" && r.origin.is_none()));
    count
}

#[test]
fn events_of_a_capture_say_their_block() {
    let capture = story(false, 0x216, 9).bytes;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &capture).expect("written");
    let imported = import_file(file.path());
    let name = file.path().to_string_lossy().into_owned();
    assert_eq!(check_capture(&capture, &imported, &name), 8);
    // A call is told by its end.
    let open = imported.rows.iter().find(|r| r.kind == "open").expect("open");
    let (_, offset, _) = open.origin.as_ref().expect("an origin");
    let kind = &at(&capture, *offset)[8 + 2 + 8 + 8 + 4..][..2];
    assert_eq!(kind, 3_u16.to_le_bytes());
}

/// Of a compressed capture places are those of what it decompresses to.
#[test]
fn places_in_gzip_are_those_of_the_contents() {
    let capture = story(false, 0x216, 9).bytes;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&capture).expect("compressed");
    let places = |imported: Imported| -> Vec<_> {
        let origins = imported.rows.into_iter().filter_map(|r| r.origin);
        origins.map(|(_, offset, line)| (offset, line)).collect()
    };
    let zipped = places(import_bytes(&gzip.finish().expect("compressed")));
    assert_eq!(zipped, places(import_bytes(&capture)));
}

#[test]
fn events_of_real_captures_say_their_block() {
    for name in ["libs_curl_google", "falco_cat_write"] {
        let test = "events_of_real_captures_say_their_block";
        let Some(path) = shared(test, &format!("data/scap/{name}.scap")) else {
            return;
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).expect("opened");
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(file), &mut bytes).expect("gzip");
        let imported = import_file(&path);
        assert!(check_capture(&bytes, &imported, &path.to_string_lossy()) > 100);
    }
}

/// Samples of lines: what an event keeps of its line stands there.
#[test]
fn events_of_logs_say_their_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/samples");
    let samples: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("samples")
        .map(|f| f.expect("a file").path())
        .filter(|p| p.extension().is_some_and(|e| e != "expected" && e != "scap"))
        .collect();
    assert!(samples.len() >= 16);
    for path in samples {
        let bytes = std::fs::read(&path).expect("sample");
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        for row in import_file(&path).rows {
            let Some((_, offset, line)) = &row.origin else {
                assert_eq!(row.kind, "imported");
                continue;
            };
            // Of several events in a line each has its own place, and one over many lines is kept whole.
            if path.ends_with("sysmon-pretty.xml") {
                assert!(at(&bytes, *offset).starts_with(row.arg("raw").as_bytes()), "{row:?}");
                continue;
            }
            let line = lines[usize::try_from(*line).expect("small") - 1];
            assert!(at(&bytes, *offset).starts_with(line), "{}: {row:?}", path.display());
            let raw = row.arg("raw").lines().next().unwrap_or_default();
            // What was written anew for the case (lists, text made JSON, other tools' records) is not the line.
            let kept = ["audit", "log", "import_raw"].contains(&row.kind.as_str());
            let anew = [
                "auditbeat.jsonl",
                "docker-events.txt",
                "go-audit-containers.jsonl",
                "go-audit.jsonl",
                "k8s-audit.jsonl",
            ]
            .iter()
            .any(|n| path.ends_with(n));
            let text = String::from_utf8_lossy(line);
            assert!(
                !kept || anew || text.contains(raw.trim()),
                "{}: {raw}\n{text}",
                path.display()
            );
        }
    }
}
