//! Regular expressions in POSIX extended syntax, as Falco's engine (RE2 in its POSIX mode) takes them.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled program; keeps a hostile pattern from taking memory.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles a pattern that must match a whole value.
pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    let text = std::str::from_utf8(pattern).map_err(|_| "not UTF-8".to_owned())?;
    posix_only(text)?;
    RegexBuilder::new(&format!("^(?:{})$", literal_braces(text)))
        .size_limit(SIZE_LIMIT)
        .build()
        .map_err(|e| e.to_string().lines().last().unwrap_or("").trim().to_owned())
}

/// Refuses what the POSIX mode refuses: Perl's classes, anchors, groups and non-greedy repetition.
fn posix_only(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut in_class = false;
    while let Some(&b) = bytes.get(at) {
        let next = bytes.get(at + 1).copied();
        match b {
            b'\\' => {
                if let Some(n) = next.filter(|n| n.is_ascii_alphabetic() && !b"afnrtvxCAz".contains(n)) {
                    return Err(format!("\\{} is not part of POSIX syntax", char::from(n)));
                }
                at += 1;
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class && next == Some(b'?') => return Err("(? is not part of POSIX syntax".to_owned()),
            b'*' | b'+' | b'?' if !in_class && matches!(next, Some(b'*' | b'+' | b'?')) => {
                return Err("one repetition directly after another".to_owned());
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Escapes braces that begin no repetition (`{2`, `{name}`): they stand for themselves in POSIX syntax.
fn literal_braces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_class) = (text, false);
    while let Some(c) = rest.chars().next() {
        let mut len = c.len_utf8();
        match c {
            '\\' => len += rest.chars().nth(1).map_or(0, char::len_utf8),
            '[' => in_class = true,
            ']' => in_class = false,
            '{' if !in_class && repetition_len(rest) == 0 => out.push('\\'),
            '{' if !in_class => len = repetition_len(rest),
            '}' if !in_class => out.push('\\'),
            _ => {}
        }
        let (token, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
        out.push_str(token);
        rest = after;
    }
    out
}

/// The length of `{2}`, `{2,}` or `{2,4}` at the beginning of a text, 0 where it begins with none.
fn repetition_len(text: &str) -> usize {
    let digits = |from: usize| text.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let at = |i: usize| text.as_bytes().get(i).copied();
    let mut end = 1 + digits(1);
    if end == 1 {
        return 0;
    }
    if at(end) == Some(b',') {
        end += 1 + digits(end + 1);
    }
    if at(end) == Some(b'}') { end + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_match_and_perl_syntax_is_refused() {
        assert!(compile(b"a+b").is_ok_and(|r| r.is_match(b"aab") && !r.is_match(b"aabc")));
        assert!(compile(b"a|b").is_ok_and(|r| !r.is_match(b"ab")));
        for bad in ["\\d", "(?i)a", "a*?", "(", "[a"] {
            assert!(compile(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn braces_that_repeat_nothing_are_letters() {
        for (pattern, text) in [
            ("a{2}", "aa"),
            ("a{2,}b", "aaab"),
            ("[0-9]{2,4}", "123"),
            ("a{2", "a{2"),
            ("{}", "{}"),
            ("[{}]", "{"),
            (r"\{2}", "{2}"),
        ] {
            let holds = compile(pattern.as_bytes()).map(|r| r.is_match(text.as_bytes()));
            assert_eq!(holds, Ok(true), "{pattern}");
        }
    }
}
