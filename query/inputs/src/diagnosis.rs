//! What is wrong with rules, filters, formats and statements, shown with the line it stands in and a mark under the place.

use std::fmt::Write;

use ctrace_replay::Diagnostic;
use ctrace_trace::escape;

/// More messages than this are counted, not shown: one slip in a large file can be met thousands of times.
const MAX_SHOWN: usize = 50;

/// So many characters of a line are shown before and after the place.
const CONTEXT: usize = 60;

/// The messages, each with its line; `text_of` gives the text that a message's file name stands for.
pub fn lines<'a>(diagnostics: &[Diagnostic], text_of: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let one = |d: &Diagnostic| {
        let line = text_of(&d.file).and_then(|text| text.lines().nth((d.line as usize).checked_sub(1)?));
        shown(d, line)
    };
    diagnostics.iter().take(MAX_SHOWN).map(one).collect()
}

/// How many of the messages [`lines`] leaves out.
pub fn left_out(diagnostics: &[Diagnostic]) -> usize {
    diagnostics.len().saturating_sub(MAX_SHOWN)
}

/// All of it as one text.
pub(crate) fn text<'a>(diagnostics: &[Diagnostic], text_of: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut text = lines(diagnostics, text_of).join("\n");
    match left_out(diagnostics) {
        0 => {}
        // Writing to a string cannot fail.
        more => _ = write!(text, "\n{more} more like these"),
    }
    text
}

/// A message, its line, and a mark under the column, all safe for a terminal.
fn shown(d: &Diagnostic, line: Option<&str>) -> String {
    let mut out = escape::text(&d.to_string());
    let Some(line) = line.filter(|l| !l.trim().is_empty()) else {
        return out;
    };
    out.push('\n');
    out.push_str(&mark(line, d.column.into()));
    out
}

/// A line and a mark under a character of it, counted from 1; indented, and safe for a terminal.
pub fn mark(line: &str, column: u64) -> String {
    let at = usize::try_from(column).map_or(0, |c| c.saturating_sub(1));
    let start = at.saturating_sub(CONTEXT);
    let window = |from: usize, to: usize| escape::text(&line.chars().skip(from).take(to - from).collect::<String>());
    let (before, after) = (window(start, at), window(at, at.saturating_add(CONTEXT)));
    let cut = |more: bool| if more { "…" } else { "" };
    let left = cut(start > 0);
    let right = cut(line.chars().nth(at.saturating_add(CONTEXT)).is_some());
    let column = left.chars().count() + before.chars().count();
    format!("    {left}{before}{after}{right}\n    {:column$}^", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrace_replay::Severity;

    fn at(column: u32) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: "f".to_owned(),
            line: 1,
            column,
            message: "wrong".to_owned(),
            suggestion: None,
        }
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        assert_eq!(shown(&at(3), Some("abcd")), "f:1:3: error: wrong\n    abcd\n      ^");
        assert_eq!(shown(&at(5), Some("abcd")), "f:1:5: error: wrong\n    abcd\n        ^");
        assert_eq!(shown(&at(1), None), "f:1:1: error: wrong");
    }

    #[test]
    fn what_is_escaped_moves_the_mark() {
        assert_eq!(shown(&at(3), Some("a\tb")), "f:1:3: error: wrong\n    a\\tb\n       ^");
        assert!(!shown(&at(3), Some("a\u{1b}[2J")).contains('\u{1b}'));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(1000), "b".repeat(1000));
        let text = shown(&at(1001), Some(&line));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].chars().count(), 4 + 1 + CONTEXT + CONTEXT + 1);
        assert_eq!(lines[1].chars().nth(lines[2].chars().count() - 1), Some('X'));
    }
}
