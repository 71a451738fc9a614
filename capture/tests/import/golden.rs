//! A small file of each text format: what becomes of it is written down beside it, and no change of it is dangerous.
//!
//! `CTRACE_BLESS=1` writes the expectations anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use ctrace_capture::import::IMPORTERS;
use ctrace_trace::case::{Case, verify};

use crate::capture::story;
use crate::imported::{Imported, import_file, try_import_as};

/// Samples with the format that they must be taken for.
const SAMPLES: &[(&str, &str)] = &[
    ("audit.log", "audit"),
    ("auditbeat.jsonl", "auditbeat"),
    ("docker-events.jsonl", "docker-events"),
    ("docker-events.txt", "docker-events"),
    ("falco.jsonl", "falco"),
    ("falco-syslog.log", "falco"),
    ("go-audit.jsonl", "go-audit"),
    ("go-audit-containers.jsonl", "go-audit"),
    ("journal.json", "journal"),
    ("journal-sequence.json", "journal"),
    ("k8s-audit.jsonl", "k8s-audit"),
    ("laurel.jsonl", "laurel"),
    ("laurel-processes.jsonl", "laurel"),
    ("laurel-raw.jsonl", "laurel"),
    ("story.scap", "scap"),
    ("strace.log", "strace"),
    ("strace-times.log", "strace"),
    ("strace-vfork.log", "strace"),
    ("syslog.log", "syslog"),
    ("syslog-5424.log", "syslog"),
    ("sysmon.log", "sysmon"),
    ("sysmon-pretty.xml", "sysmon"),
    ("sysmon-unknown.log", "sysmon"),
    ("tracee.jsonl", "tracee"),
    ("tracee-flat.jsonl", "tracee"),
    ("tracee-workload.jsonl", "tracee"),
    ("tetragon.jsonl", "tetragon"),
    ("tetragon-hooks.jsonl", "tetragon"),
    ("tetragon-pretty.json", "tetragon"),
    (
        "c0ffee0123456789abcdef0123456789abcdef0123456789abcdefaabbccddee-json.log",
        "json-file",
    ),
    (
        "web-0_shop_nginx-c0ffee0123456789abcdef0123456789abcdef0123456789abcdefaabbccddee.log",
        "cri",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/samples")
}

/// The case as text: the account of the file, then its events with their parameters in order.
fn describe(imported: &Imported) -> String {
    let mut out = String::new();
    let file = &imported.outcome.files[0];
    writeln!(
        out,
        "{}: {} unknown, {} bad, {:?}",
        file.format, file.unknown, file.bad, file.end
    )
    .expect("written");
    for (origin, problem) in &file.problems {
        writeln!(out, "problem at {}, line {}: {problem}", origin.offset, origin.line).expect("written");
    }
    for row in imported.rows.iter().filter(|r| r.kind != "imported") {
        write!(out, "\n{} {} tid {}", row.ts, row.kind, row.tid).expect("written");
        if let Some(ret) = row.ret {
            write!(out, " = {ret}").expect("written");
        }
        if let Some(latency) = row.latency {
            write!(out, " took {latency}").expect("written");
        }
        let who = [
            ("name", &row.name),
            ("exe", &row.exe),
            ("cmdline", &row.cmdline),
            ("user", &row.user),
            ("parent", &row.parent),
            ("container", &row.container),
            ("fd", &row.fd),
        ];
        for (what, value) in who.into_iter().filter(|(_, v)| !v.is_empty()) {
            write!(out, " {what}={value:?}").expect("written");
        }
        if let Some((_, offset, line)) = &row.origin {
            write!(out, " at {offset}, line {line}").expect("written");
        }
        out.push('\n');
        for (name, value) in &row.args {
            writeln!(out, "    {name}: {value:?}").expect("written");
        }
    }
    out
}

/// The sample of captures is made by the tests of captures.
#[test]
fn the_capture_is_the_story() {
    let (path, story) = (folder().join("story.scap"), story(false, 0x216, 9).bytes);
    if std::env::var_os("CTRACE_BLESS").is_some() {
        std::fs::write(&path, &story).expect("written");
    }
    assert!(
        std::fs::read(&path).expect("sample") == story,
        "CTRACE_BLESS=1 if this is meant"
    );
}

/// Every importer has a sample with what becomes of it, and the page of formats says what it is, what is kept and what is
/// lost.
#[test]
fn every_importer_has_a_sample_and_a_place_in_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
        .filter(|name| *name != "--format")
        .collect();
    let names: Vec<&str> = IMPORTERS.iter().map(|i| i.name()).collect();
    let sorted = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(sorted(&rows), sorted(&names), "rows of the table");
    assert_eq!(rows.len(), names.len());
    let headings: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("## ")).collect();
    for name in names {
        assert!(
            SAMPLES.iter().any(|(_, format)| *format == name),
            "{name} has no sample"
        );
        let told = headings
            .iter()
            .flat_map(|h| h.split([',', ' ']))
            .any(|word| word == name);
        assert!(told, "nothing says what is kept and lost of {name}");
    }
    for (name, _) in SAMPLES {
        assert!(folder().join(format!("{name}.expected")).is_file(), "{name}");
    }
}

#[test]
fn samples_become_what_is_written_beside_them() {
    for (name, format) in SAMPLES {
        let path = folder().join(name);
        let imported = import_file(&path);
        assert_eq!(imported.outcome.files[0].format, *format, "{name}");
        let expected = folder().join(format!("{name}.expected"));
        let is = describe(&imported);
        if std::env::var_os("CTRACE_BLESS").is_some() {
            std::fs::write(&expected, &is).expect("written");
        }
        let should = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(is, should, "{name}: CTRACE_BLESS=1 if this is meant");
    }
}

/// Imports what may be anything as that format: a whole case must come out, and what is not right have a place.
fn survive(format: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    let (file, output) = (folder.path().join("file"), folder.path().join("case"));
    std::fs::write(&file, bytes).expect("written");
    let outcome = try_import_as(Some(format), &[file], &output).unwrap_or_else(|e| panic!("{e}"));
    let report = &outcome.files[0];
    assert!(report.bad == 0 || !report.problems.is_empty());
    let case = Case::open(&output).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(verify(&case).problems, []);
}

/// About so many places of each sample are cut at and changed.
const PLACES: usize = 300;

#[test]
fn samples_cut_and_changed_anywhere() {
    for (name, format) in SAMPLES {
        let whole = std::fs::read(folder().join(name)).expect("sample");
        let step = (whole.len() / PLACES).max(1);
        for at in (0..whole.len()).step_by(step) {
            survive(format, &whole[..at]);
            survive(format, &whole[at..]);
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                survive(format, &bytes);
            }
        }
    }
}

/// Every format is given every other format's sample.
#[test]
fn a_wrong_format_is_no_danger() {
    for (name, _) in SAMPLES {
        let bytes = std::fs::read(folder().join(name)).expect("sample");
        for (_, format) in SAMPLES {
            survive(format, &bytes);
        }
    }
}
