//! Events of a real engine and logs of real containers.

use std::io::Read;

use crate::imported::{Imported, Row, import_bytes, import_file};
use ctrace_skip::shared;

fn rows<'a>(imported: &'a Imported, kind: &'a str) -> Vec<&'a Row> {
    imported.rows.iter().filter(|r| r.kind == kind).collect()
}

/// Every line is an event with the line as its raw text, and no name is lost.
#[test]
fn events_of_an_engine() {
    let test = "events_of_an_engine";
    let files = [
        "events-cli28.jsonl.gz",
        "events-push-pull.jsonl",
        "events-across-restart.raw",
    ];
    for file in files {
        let Some(path) = shared(test, &format!("data/docker/{file}")) else {
            return;
        };
        let mut text = Vec::new();
        let opened = std::fs::File::open(&path).expect("opened");
        if file.ends_with(".gz") {
            flate2::read::MultiGzDecoder::new(opened)
                .read_to_end(&mut text)
                .expect("gzip");
        } else {
            std::io::BufReader::new(opened).read_to_end(&mut text).expect("read");
        }
        let lines: Vec<serde_json::Value> = text
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).expect("JSON"))
            .collect();
        let imported = import_file(&path);
        let report = &imported.outcome.files[0];
        assert_eq!((report.format, report.bad), ("docker-events", 0), "{file}");
        let events = rows(&imported, "docker");
        assert_eq!(events.len(), lines.len(), "{file}");
        for (event, line) in events.into_iter().zip(&lines) {
            assert_eq!(event.ts, line["timeNano"].as_u64().expect("a number"));
            assert_eq!(event.arg("type"), line["Type"]);
            assert_eq!(event.arg("action"), line["Action"]);
            assert_eq!(event.arg("id"), line["Actor"]["ID"]);
            let name = line["Actor"]["Attributes"]["name"].as_str().unwrap_or_default();
            assert_eq!(event.arg("name"), name);
            if line["Type"] == "container" {
                assert_eq!(event.container, line["Actor"]["ID"]);
            }
            let raw: serde_json::Value = serde_json::from_str(event.arg("raw")).expect("JSON");
            assert_eq!(&raw, line);
        }
    }
}

#[test]
fn logs_of_containers() {
    let test = "logs_of_containers";
    for file in ["json-file.log", "json-file-tty.log", "json-file-bin-40k.log"] {
        let Some(path) = shared(test, &format!("data/docker/{file}")) else {
            return;
        };
        let text = std::fs::read_to_string(&path).expect("readable");
        let imported = import_file(&path);
        let report = &imported.outcome.files[0];
        assert_eq!((report.format, report.bad), ("json-file", 0), "{file}");
        let rows = rows(&imported, "container_log");
        assert_eq!(rows.len(), text.lines().count(), "{file}");
        for (row, line) in rows.into_iter().zip(text.lines()) {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let end = if row.arg("partial") == "1" { "" } else { "\n" };
            assert_eq!(format!("{}{end}", row.arg("message")), line["log"]);
            assert_eq!(row.arg("stream"), line["stream"]);
            let attrs = row.arg("attrs");
            if line["attrs"].is_null() {
                assert_eq!(attrs, "");
            } else {
                let attrs: serde_json::Value = serde_json::from_str(attrs).expect("JSON");
                assert_eq!(attrs, line["attrs"]);
            }
        }
    }
}

/// A stream of an engine that was stopped in the middle of a line.
#[test]
fn a_stream_that_ends_early() {
    let event = r#"{"Type":"container","Action":"start","Actor":{"ID":"ab"},"time":1795300004}"#;
    let imported = import_bytes(format!("{event}\n{}", &event[..40]).as_bytes());
    let report = &imported.outcome.files[0];
    assert_eq!((report.events, report.bad), (2, 1));
    assert_eq!(report.problems[0].0.line, 2);
    assert_eq!(rows(&imported, "import_raw")[0].arg("raw"), &event[..40]);
}
