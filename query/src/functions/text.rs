//! Functions of paths and other texts.

use ctrace_trace::escape::lossless;

use super::{Declared, Eval};

pub(super) const FUNCTIONS: &[Declared] = &[
    Declared {
        usage: "basename(path)",
        doc: "What stands behind the last slash of a path.",
        eval: Eval::Text(|path| Some(basename(path).to_owned())),
    },
    Declared {
        usage: "dirname(path)",
        doc: "The folder of a path; `.` for a path without a slash.",
        eval: Eval::Text(|path| Some(dirname(path).to_owned())),
    },
    Declared {
        usage: "path_in(path, folder)",
        doc: "Whether a path is this folder or lies below it.",
        eval: Eval::TruthOfTwo(|path, folder| Some(path_in(path, folder))),
    },
    Declared {
        usage: "entropy(text)",
        doc: "Shannon's entropy of the bytes of a text, in bits a byte, 0 to 8: high for what is random or packed.",
        eval: Eval::Number(entropy),
    },
    Declared {
        usage: "b64_decode(text)",
        doc: "What a text in base64 stands for, with or without padding; null where it is no base64.",
        eval: Eval::Text(|text| Some(lossless(&base64(text)?).into_owned())),
    },
];

fn basename(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return path.get(..1).unwrap_or_default();
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

fn dirname(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None if path.starts_with('/') => "/",
        None => ".",
    }
}

fn path_in(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn entropy(text: &str) -> f64 {
    let mut counts = [0u32; 256];
    text.bytes()
        .for_each(|b| counts.iter_mut().skip(b.into()).take(1).for_each(|c| *c += 1));
    let all = text.len() as f64;
    let shares = counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / all);
    shares.map(|share| -share * share.log2()).sum::<f64>().abs()
}

/// RFC 4648, both alphabets; space between letters does not count.
fn base64(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let end = letters.iter().rposition(|b| *b != b'=').map_or(0, |at| at + 1);
    if letters.len() - end > 2 || end % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(end * 3 / 4);
    for group in letters.get(..end)?.chunks(4) {
        let mut bits = 0u32;
        for letter in group {
            bits = bits << 6 | sextet(*letter)?;
        }
        bits <<= 6 * (4 - group.len());
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(bytes.get(1..group.len())?);
    }
    Some(out)
}

fn sextet(letter: u8) -> Option<u32> {
    Some(match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_like_the_tools_of_that_name_do() {
        for (path, folder, name) in [
            ("/usr/bin/sh", "/usr/bin", "sh"),
            ("/sh", "/", "sh"),
            ("sh", ".", "sh"),
            ("/", "/", "/"),
            ("/a/b/", "/a", "b"),
            ("", ".", ""),
        ] {
            assert_eq!((dirname(path), basename(path)), (folder, name), "{path}");
        }
        assert!(path_in("/tmp/x", "/tmp") && path_in("/tmp", "/tmp/") && path_in("/etc", "/"));
        assert!(!path_in("/tmpx", "/tmp") && !path_in("/var/tmp/x", "/tmp"));
    }

    #[test]
    fn entropy_is_between_nothing_and_eight_bits() {
        assert_eq!(entropy(""), 0.0);
        assert_eq!(entropy("aaaa"), 0.0);
        assert_eq!(entropy("abab"), 1.0);
        assert_eq!(entropy("abcdefgh"), 3.0);
    }

    #[test]
    fn base64_with_and_without_padding() {
        let text = |s| base64(s).map(|b| String::from_utf8_lossy(&b).into_owned());
        assert_eq!(text("aGk="), Some("hi".to_owned()));
        assert_eq!(text("aGk"), Some("hi".to_owned()));
        assert_eq!(text("aG\nlo"), Some("hih".to_owned()));
        assert_eq!(base64("_-8"), Some(vec![0xff, 0xef]));
        assert_eq!((base64("a"), base64("a b?"), base64("aGk=====")), (None, None, None));
        assert_eq!(base64(""), Some(vec![]));
    }
}
