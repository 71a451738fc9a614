//! Rewriting expectations to what was found; all other text of a file stays as it is.

use super::document::TestCase;
use super::judge::{Judge, text};

/// Collects new expectations for the tests of a file.
#[derive(Debug, Default)]
pub struct Rewriter {
    /// From where to where, and what stands there instead.
    changes: Vec<(usize, usize, String)>,
}

impl Rewriter {
    /// Makes a test expect what its judge found: each rule with its number of alerts, and the fields that were expected
    /// of it before with the values of its first alert.
    pub fn add(&mut self, test: &TestCase, judge: &Judge<'_>) {
        let pad = " ".repeat(test.indent);
        let mut lines = String::from("expect:");
        if judge.by_rule.is_empty() {
            lines.push_str(" []");
        }
        lines.push('\n');
        for (rule, (count, first)) in &judge.by_rule {
            lines.push_str(&format!("{pad}  - rule: {}\n{pad}    count: {count}\n", quoted(rule)));
            let before = test.expect.iter().find(|e| e.rule == *rule);
            let names = before.iter().flat_map(|e| &e.fields).map(|(name, _)| name);
            let fields: Vec<String> = names
                .filter_map(|name| Some(format!("{name}: {}", quoted(&text(first.fields.get(name)?)))))
                .collect();
            // Values of one alert can be wanted only of all alerts where there is one.
            if !fields.is_empty() && *count == 1 {
                lines.push_str(&format!("{pad}    fields: {{{}}}\n", fields.join(", ")));
            }
        }
        match test.expect_at {
            Some((from, to)) => self.changes.push((from, to, lines)),
            None => self.changes.push((test.end, test.end, format!("{pad}{lines}"))),
        }
    }

    /// The file's text with the new expectations.
    pub fn apply(mut self, file: &str) -> String {
        self.changes.sort_by_key(|c| c.0);
        let mut out = String::with_capacity(file.len());
        let mut at = 0;
        for (from, to, new) in &self.changes {
            out.push_str(file.get(at..*from).unwrap_or(""));
            if !out.is_empty() && !out.ends_with('\n') && from == to {
                out.push('\n');
            }
            out.push_str(new);
            at = *to;
        }
        out.push_str(file.get(at..).unwrap_or(""));
        out
    }
}

/// A YAML scalar in double quotes, or plain where that says the same.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '/' | '.' | '(' | ')');
    let word = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && !value.ends_with(' ');
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && value.chars().all(plain) && !special.contains(&value.to_ascii_lowercase().as_str()) {
        return value.to_owned();
    }
    serde_json::Value::from(value).to_string()
}
