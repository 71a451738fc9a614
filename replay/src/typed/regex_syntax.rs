//! Regular expressions in POSIX extended syntax, as Falco's engine (RE2 in its POSIX mode) takes them.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled program; keeps a hostile pattern from taking memory.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiles a pattern that must match a whole value.
pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    let text = std::str::from_utf8(pattern).map_err(|_| "not UTF-8".to_owned())?;
    posix_only(text)?;
    RegexBuilder::new(&format!("^(?:{text})$"))
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
}
