//! Rewriting expectations to what was found; all other text of a file stays as it is.

use std::collections::BTreeMap;

use super::document::TestCase;
use super::judge::{Judge, text};

/// Collects new expectations for the tests of a file.
#[derive(Debug, Default)]
pub struct Rewriter {
    changes: Vec<Change>,
}

/// New expectations of a test.
#[derive(Debug)]
struct Change {
    /// From where to where the old ones stand.
    from: usize,
    to: usize,
    /// What stands before the test's keys.
    pad: String,
    /// Name of each rule, and the lines below it.
    rules: Vec<(String, String)>,
}

impl Rewriter {
    /// Makes a test expect what its judge found: each rule with its number of alerts, the fields that were expected of it
    /// before with the values of its first alert, and the text that was expected where it is still there.
    pub fn add(&mut self, test: &TestCase, judge: &Judge<'_>) {
        let pad = " ".repeat(test.indent);
        let mut rules = Vec::new();
        for (rule, (count, first)) in &judge.by_rule {
            let mut lines = format!("{pad}    count: {count}\n");
            let before = || test.expect.iter().filter(|e| e.rule == *rule);
            let names = before().take(1).flat_map(|e| &e.fields).map(|(name, _)| name);
            let fields: Vec<String> = names
                .filter_map(|name| Some(format!("{name}: {}", quoted(&text(&first.field(name)?)))))
                .collect();
            // What is wanted is wanted of all alerts: values of one only where there is one.
            if !fields.is_empty() && *count == 1 {
                lines.push_str(&format!("{pad}    fields: {{{}}}\n", fields.join(", ")));
            }
            let output = before().find_map(|e| e.output.as_deref());
            if let Some(output) = output.filter(|o| *count == 1 && first.message().contains(o)) {
                lines.push_str(&format!("{pad}    output: {}\n", quoted(output)));
            }
            rules.push(((*rule).to_string(), lines));
        }
        let (from, to) = test.expect_at.unwrap_or((test.end, test.end));
        self.changes.push(Change { from, to, pad, rules });
    }

    /// The file's text with the new expectations.
    pub fn apply(mut self, file: &str) -> String {
        self.changes.sort_by_key(|c| c.from);
        let mut out = String::with_capacity(file.len());
        let mut at = 0;
        for change in &self.changes {
            out.push_str(file.get(at..change.from).unwrap_or(""));
            let is_new = change.from == change.to;
            if !out.is_empty() && !out.ends_with('\n') && is_new {
                out.push('\n');
            }
            if is_new {
                out.push_str(&change.pad);
            }
            change.write(file.get(change.from..change.to).unwrap_or(""), &mut out);
            at = change.to;
        }
        out.push_str(file.get(at..).unwrap_or(""));
        out
    }
}

impl Change {
    fn write(&self, old: &str, out: &mut String) {
        let mut remarks = Remarks::of(old);
        out.push_str(if self.rules.is_empty() { "expect: []" } else { "expect:" });
        out.push_str(&remarks.beside_key);
        out.push('\n');
        for (rule, lines) in &self.rules {
            let of_rule = remarks.rules.remove(rule).unwrap_or_default();
            out.push_str(&of_rule.before);
            out.push_str(&format!(
                "{}  - rule: {}{}\n{lines}",
                self.pad,
                quoted(rule),
                of_rule.beside
            ));
        }
        out.push_str(&remarks.after);
    }
}

/// The comments among old expectations: those of a rule stand before it or in its lines.
#[derive(Debug, Default)]
struct Remarks {
    beside_key: String,
    rules: BTreeMap<String, Remark>,
    after: String,
}

#[derive(Debug, Default)]
struct Remark {
    /// Whole lines.
    before: String,
    /// Behind its name.
    beside: String,
}

impl Remarks {
    fn of(old: &str) -> Remarks {
        let mut out = Remarks::default();
        let mut current: Option<String> = None;
        for (at, line) in old.lines().enumerate() {
            let (text, comment) = split_comment(line);
            if at == 0 {
                out.beside_key = comment.to_owned();
            } else if text.trim().is_empty() {
                if !comment.is_empty() {
                    out.after.push_str(&format!("{line}\n"));
                }
            } else if let Some(rule) = rule_of(text) {
                let remark = out.rules.entry(rule.clone()).or_default();
                remark.before.push_str(&std::mem::take(&mut out.after));
                remark.beside = comment.to_owned();
                current = Some(rule);
            } else if let Some(remark) = current.as_ref().and_then(|rule| out.rules.get_mut(rule)) {
                remark.beside.push_str(comment);
            }
        }
        out
    }
}

/// A line and the comment behind it, with the blanks before that.
fn split_comment(line: &str) -> (&str, &str) {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                let end = line.get(..at).map_or(0, |text| text.trim_end().len());
                return line.split_at_checked(end).unwrap_or((line, ""));
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    (line, "")
}

/// The rule that an item of a list of expectations is about.
fn rule_of(text: &str) -> Option<String> {
    let item = text.trim_start().strip_prefix('-')?.trim_start();
    let value = item.trim_start_matches('{').trim_start().strip_prefix("rule:")?.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split(quote).next().map(str::to_owned);
        }
    }
    let end = if item.starts_with('{') {
        value.find([',', '}'])
    } else {
        None
    };
    value.get(..end.unwrap_or(value.len())).map(|v| v.trim().to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stay_with_their_rules() {
        let old = "expect: # all\n    # first\n    - rule: A b  # why\n      count: 1 # one\n    # second\n    - {rule: 'C # d', count: 2}\n    # end\n";
        let change = Change {
            from: 0,
            to: old.len(),
            pad: "  ".to_owned(),
            rules: vec![
                ("A b".to_owned(), "      count: 3\n".to_owned()),
                ("C # d".to_owned(), "      count: 4\n".to_owned()),
            ],
        };
        let mut out = String::new();
        change.write(old, &mut out);
        let new = "expect: # all\n    # first\n    - rule: A b  # why # one\n      count: 3\n    # second\n    - rule: \"C # d\"\n      count: 4\n    # end\n";
        assert_eq!(out, new);
    }
}
