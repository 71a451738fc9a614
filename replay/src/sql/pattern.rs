//! Constants, shell patterns and path prefixes as regular expressions.

use super::value::Fold;
use crate::typed::glob::{Glob, Token};
use crate::typed::path_prefix::{Component, PathPrefixes};

/// What `*` matches in a whole text, and in a component of a path.
pub(super) const ANYTHING: &str = "(?s:.*)";
const IN_COMPONENT: &str = "[^/]*";

/// Path prefixes as one expression.
pub(super) enum Prefixes {
    None,
    All,
    Some(String),
}

/// A constant as a text must have it before its letters change: both cases of each.
pub(super) fn constant(bytes: &[u8], fold: Fold) -> String {
    let text = ctrace_trace::escape::lossless(bytes);
    if fold == Fold::None {
        return regex::escape(&text);
    }
    let mut out = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            out.extend(['[', c.to_ascii_lowercase(), c.to_ascii_uppercase(), ']']);
        } else {
            out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        }
    }
    out
}

/// A shell pattern, not anchored; nothing where it is not UTF-8.
pub(super) fn of_glob(glob: &Glob, fold: Fold, many: &str) -> Option<String> {
    let fold = if glob.folds() { Fold::Lower } else { fold };
    let mut out = String::new();
    let mut run: Vec<u8> = Vec::new();
    for token in glob.tokens() {
        if let Token::Byte(b) = token {
            run.push(*b);
            continue;
        }
        flush(&mut out, &mut run, fold)?;
        match token {
            Token::Many => out.push_str(many),
            token => out.push_str(&class(token, fold)),
        }
    }
    flush(&mut out, &mut run, fold)?;
    Some(out)
}

fn flush(out: &mut String, run: &mut Vec<u8>, fold: Fold) -> Option<()> {
    std::str::from_utf8(run).ok()?;
    // A letter that nothing becomes.
    if run.iter().any(|b| fold.of(*b) != *b) {
        out.push_str(NOTHING);
    }
    out.push_str(&constant(run, fold));
    run.clear();
    Some(())
}

/// Matches no character.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// The ASCII characters that a token takes once they have changed.
fn class(token: &Token, fold: Fold) -> String {
    let mut out = String::new();
    let takes = |b: u8| b < 0x80 && token.takes(fold.of(b));
    let mut from = 0u8;
    while from < 0x80 {
        if !takes(from) {
            from += 1;
            continue;
        }
        let end = (from..0x80).take_while(|b| takes(*b)).last().unwrap_or(from);
        out.push_str(&format!("\\x{from:02x}-\\x{end:02x}"));
        from = end + 1;
    }
    if out.is_empty() {
        return NOTHING.to_owned();
    }
    format!("[{out}]")
}

/// Path prefixes, component by component.
pub(super) fn of_prefixes(paths: &PathPrefixes, fold: Fold) -> Option<Prefixes> {
    let mut all = Vec::new();
    for path in paths.paths() {
        if path.is_empty() {
            return Some(Prefixes::All);
        }
        let mut parts = Vec::with_capacity(path.len());
        for component in path {
            match component {
                Component::Exact(bytes) if bytes.iter().any(|b| fold.of(*b) != *b) => parts.push(NOTHING.to_owned()),
                Component::Exact(bytes) => {
                    std::str::from_utf8(bytes).ok()?;
                    parts.push(constant(bytes, fold));
                }
                Component::Pattern(glob) => parts.push(of_glob(glob, fold, IN_COMPONENT)?),
                Component::Never => parts.push(NOTHING.to_owned()),
            }
        }
        all.push(parts.join("/+"));
    }
    if all.is_empty() {
        return Some(Prefixes::None);
    }
    Some(Prefixes::Some(format!("^/*(?:{})(?:/|$)", all.join("|"))))
}
