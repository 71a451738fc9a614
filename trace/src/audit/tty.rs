//! Keystrokes of `TTY` records: text in quotes, keys by name, one after the other.

use super::field::{Value, unhex};

/// What terminals send for keys that have a name. The first that fits is taken, so longer ones come first.
const KEYS: &[(&[u8], &str)] = &[
    (b"\x1b[11~", "F1"),
    (b"\x1b[12~", "F2"),
    (b"\x1b[13~", "F3"),
    (b"\x1b[14~", "F4"),
    (b"\x1b[15~", "F5"),
    (b"\x1b[17~", "F6"),
    (b"\x1b[18~", "F7"),
    (b"\x1b[19~", "F8"),
    (b"\x1b[20~", "F9"),
    (b"\x1b[21~", "F10"),
    (b"\x1b[23~", "F11"),
    (b"\x1b[24~", "F12"),
    (b"\x1b[1~", "home"),
    (b"\x1b[2~", "insert"),
    (b"\x1b[3~", "delete"),
    (b"\x1b[4~", "end"),
    (b"\x1b[5~", "page-up"),
    (b"\x1b[6~", "page-down"),
    (b"\x1b[7~", "home"),
    (b"\x1b[8~", "end"),
    (b"\x1bOA", "up"),
    (b"\x1bOB", "down"),
    (b"\x1bOC", "right"),
    (b"\x1bOD", "left"),
    (b"\x1bOF", "end"),
    (b"\x1bOH", "home"),
    (b"\x1bOP", "F1"),
    (b"\x1bOQ", "F2"),
    (b"\x1bOR", "F3"),
    (b"\x1bOS", "F4"),
    (b"\x1b[A", "up"),
    (b"\x1b[B", "down"),
    (b"\x1b[C", "right"),
    (b"\x1b[D", "left"),
    (b"\x1b[F", "end"),
    (b"\x1b[H", "home"),
    (b"\x1b[Z", "back-tab"),
    (b"\x1b", "esc"),
    (b"\x08", "backspace"),
    (b"\x7f", "backspace"),
    (b"\t", "tab"),
    (b"\n", "nl"),
    (b"\r", "ret"),
];

/// `"ls",<ret>`; `None` where the value is not in hexadecimal.
pub(super) fn keystrokes(value: Value<'_>) -> Option<String> {
    let Value::Bare(text) = value else { return None };
    let data = unhex(text)?;
    let mut out = String::new();
    let mut rest = data.as_slice();
    let mut is_open = false;
    while let Some((first, after)) = rest.split_first() {
        if let Some((name, after)) = key(rest) {
            if std::mem::take(&mut is_open) {
                out.push('"');
            }
            separate(&mut out);
            out.push_str(&format!("<{name}>"));
            rest = after;
            continue;
        }
        if !is_open {
            separate(&mut out);
            out.push('"');
            is_open = true;
        }
        match first {
            b'\\' | b'"' => out.extend(['\\', char::from(*first)]),
            b' '..=b'~' => out.push(char::from(*first)),
            other => out.push_str(&format!("\\{other:03o}")),
        }
        rest = after;
    }
    if is_open {
        out.push('"');
    }
    Some(out)
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
}

/// The key at the beginning, and what follows it.
fn key(data: &[u8]) -> Option<(String, &[u8])> {
    let named = KEYS
        .iter()
        .find_map(|(keys, name)| Some((*name, data.strip_prefix(*keys)?)));
    if let Some((name, after)) = named {
        return Some((name.to_owned(), after));
    }
    match data.split_first()? {
        (control @ 1..=26, after) => Some((format!("^{}", char::from(b'@' + control)), after)),
        _ => None,
    }
}
