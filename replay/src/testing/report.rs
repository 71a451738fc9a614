//! Results of tests for machines: TAP (version 14) and JUnit's XML.

use std::fmt::Write;

use super::judge::Failure;

/// The result of a test.
#[derive(Clone, Debug)]
pub struct TestResult {
    /// The file that holds it.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its line.
    pub line: u32,
    /// What is wrong; empty when it passed.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub seconds: f64,
}

/// The results as TAP.
pub fn tap(results: &[TestResult]) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", results.len());
    for (i, result) in results.iter().enumerate() {
        let verdict = if result.failures.is_empty() { "ok" } else { "not ok" };
        let name = one_line(&result.name).replace('\\', "\\\\").replace('#', "\\#");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{verdict} {} - {name}", i + 1);
        for failure in &result.failures {
            let message = one_line(&failure.message);
            let _ = writeln!(out, "# {}:{}: {message}", one_line(&result.file), failure.line);
        }
    }
    out
}

/// The results as JUnit's XML: one suite for each file.
pub fn junit(results: &[TestResult]) -> String {
    let failed = |results: &[TestResult]| results.iter().filter(|r| !r.failures.is_empty()).count();
    let seconds = |results: &[TestResult]| results.iter().map(|r| r.seconds).sum::<f64>();
    let counts = |results: &[TestResult]| {
        let (all, failed, seconds) = (results.len(), failed(results), seconds(results));
        format!("tests=\"{all}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.3}\"")
    };
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<testsuites {}>", counts(results));
    for suite in results.chunk_by(|a, b| a.file == b.file) {
        let file = suite.first().map_or("", |r| &r.file);
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", xml(file), counts(suite));
        for result in suite {
            let (name, file) = (xml(&result.name), xml(file));
            let _ = write!(
                out,
                "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\" time=\"{:.3}\"",
                result.line, result.seconds
            );
            if result.failures.is_empty() {
                out.push_str("/>\n");
                continue;
            }
            out.push_str(">\n");
            for failure in &result.failures {
                let message = xml(&failure.message);
                let line = failure.line;
                let _ = writeln!(
                    out,
                    "      <failure message=\"{message}\">{file}:{line}: {message}</failure>"
                );
            }
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Text for XML 1.0; characters that it cannot hold become U+FFFD.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
