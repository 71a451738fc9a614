//! Statements in a text: where each ends.

/// The statements of a text, without the semicolons; parts without anything but space and comments are left out.
///
/// Semicolons within quotes, dollar quotes and comments do not count.
pub fn split(text: &str) -> Vec<&str> {
    let (statements, rest) = split_complete(text);
    statements
        .into_iter()
        .chain([rest].into_iter().filter(|s| !is_blank(s)))
        .collect()
}

/// The statements of a text that end with a semicolon, and what is left behind the last one.
pub fn split_complete(text: &str) -> (Vec<&str>, &str) {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((statement, after)) = split_first(rest) {
        out.extend(Some(statement).filter(|s| !is_blank(s)));
        rest = after;
    }
    (out, rest.trim())
}

/// What stands before the first semicolon, and what stands behind it; `None` where there is none.
pub fn split_first(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        if let Some(after) = rest.strip_prefix(';') {
            return Some((text.get(..at)?.trim(), after));
        }
        at += token(rest);
    }
    None
}

/// Whether there is nothing but space and comments.
fn is_blank(text: &str) -> bool {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        let comment = rest.starts_with("--") || rest.starts_with("/*");
        if !comment && !rest.starts_with(char::is_whitespace) {
            return false;
        }
        at += token(rest);
    }
    true
}

/// The length of what a text begins with: a quoted part, a comment, or one letter.
fn token(text: &str) -> usize {
    let until = |from: usize, end: &str| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(end).map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("--") {
        return until(2, "\n");
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    match text.chars().next() {
        // A doubled quote ends one part and begins the next: the same in effect.
        Some('\'') => until(1, "'"),
        Some('"') => until(1, "\""),
        Some('$') => match dollar_quote(text) {
            Some(tag) => until(tag.len(), tag),
            None => 1,
        },
        Some(c) => c.len_utf8(),
        None => 0,
    }
}

/// `$$` or `$tag$` at the beginning of a text.
fn dollar_quote(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let letters = tag.trim_matches('$');
    letters.chars().all(|c| c.is_alphanumeric() || c == '_').then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_end_a_statement() {
        let text = "select ';' as a; -- one; two\nselect \"a;b\" /* ; */ from t;;\n select $$;$$, 'it''s;'";
        let expected = [
            "select ';' as a",
            "-- one; two\nselect \"a;b\" /* ; */ from t",
            "select $$;$$, 'it''s;'",
        ];
        assert_eq!(split(text), expected);
        assert_eq!(split("  -- nothing\n ; /* still nothing"), [""; 0]);
        assert_eq!(split_complete("select 1; select"), (vec!["select 1"], "select"));
        assert_eq!(split_complete("select 'open; "), (vec![], "select 'open;"));
        assert_eq!(split("select 'ü;' ; ü"), ["select 'ü;'", "ü"]);
    }
}
