//! ATT&CK techniques in the tags of rules.

/// The techniques that tags name, sorted: `T1059`, `T1059.004`, and Sigma's `attack.t1059.004`.
pub fn techniques(tags: &[String]) -> Vec<String> {
    let mut found: Vec<String> = tags.iter().filter_map(|tag| technique(tag)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn technique(tag: &str) -> Option<String> {
    let tag = tag.to_ascii_uppercase();
    let id = tag.strip_prefix("ATTACK.").unwrap_or(&tag);
    let (technique, sub) = match id.split_once('.') {
        Some((technique, sub)) => (technique, Some(sub)),
        None => (id, None),
    };
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let whole = technique.strip_prefix('T').is_some_and(|d| digits(d, 4)) && sub.is_none_or(|s| digits(s, 3));
    whole.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_found_among_other_tags() {
        let tags = [
            "container",
            "mitre_execution",
            "T1059.004",
            "attack.t1611",
            "T10",
            "T1059.04",
            "attack.execution",
        ];
        assert_eq!(techniques(&tags.map(str::to_owned)), ["T1059.004", "T1611"]);
    }
}
