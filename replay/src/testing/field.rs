//! Values of fields as tests write them.

use ctrace_trace::names;
use ctrace_trace::schema::ParamKind;

/// A whole number, decimal or hexadecimal.
pub(super) fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        None => text
            .parse()
            .ok()
            .or_else(|| text.parse::<u64>().ok().map(u64::cast_signed)),
    }
}

/// A result: a number, or the name of an error (`ENOENT`, `-ENOENT`).
pub(super) fn result(text: &str) -> Option<i64> {
    if text == "SUCCESS" {
        return Some(0);
    }
    let name = text.strip_prefix('-').unwrap_or(text);
    let by_name = || (1..4096).find(|n| names::errno(*n) == Some(name)).map(|n| -n);
    number(text).or_else(by_name)
}

/// A numeric parameter: a number, or names of its flags or values (`O_RDONLY|O_CLOEXEC`).
pub(super) fn parameter(kind: ParamKind, text: &str) -> Option<i64> {
    let set = match kind {
        ParamKind::Flags(set) | ParamKind::Enum(set) => Some(set),
        ParamKind::Signal => return number(text).or_else(|| (1..=64).find(|n| names::signal(*n) == Some(text))),
        ParamKind::Mode => return i64::from_str_radix(text.trim_start_matches("0o"), 8).ok(),
        _ => None,
    };
    if let Some(number) = number(text) {
        return Some(number);
    }
    let table = names::table(set?);
    let mut value = 0;
    for name in text.split('|') {
        value |= table.iter().find(|n| n.name == name.trim())?.value;
    }
    Some(value.cast_signed())
}

/// A truth value.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrace_trace::schema::NameSet;

    #[test]
    fn numbers_flags_and_errors() {
        assert_eq!(number("0x10"), Some(16));
        assert_eq!(number("18446744073709551615"), Some(-1));
        assert_eq!(
            (result("ENOENT"), result("-EACCES"), result("3"), result("NO")),
            (Some(-2), Some(-13), Some(3), None)
        );
        let open = ParamKind::Flags(NameSet::Open);
        assert_eq!(parameter(open, "O_WRONLY|O_CREAT"), Some(0o101));
        assert_eq!(parameter(open, "O_WRONG"), None);
    }
}
