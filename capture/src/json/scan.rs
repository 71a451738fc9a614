//! Looks through text, eight characters at once.

const ONES: u64 = u64::MAX / 255;

/// Where the first quote, backslash or control character is.
pub(super) fn special(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // The high bit of each byte that is one. Those above it may be wrong, which the first does not mind.
        let found = quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * u64::from(b' ')) & !word;
        match found & (ONES << 7) {
            0 => {}
            found => return Some(at * 8 + found.trailing_zeros() as usize / 8),
        }
    }
    let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..b' ');
    Some(words.len() * 8 + rest.iter().position(is_special)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_found_in_any_place() {
        for len in 0..40 {
            let mut text = vec![0x80; len];
            assert_eq!(special(&text), None);
            for at in (0..len).rev() {
                for (byte, expected) in [
                    (b'"', Some(at)),
                    (b'\\', Some(at)),
                    (0x1F, Some(at)),
                    (b' ', None),
                    (0xFF, None),
                ] {
                    text[at] = byte;
                    assert_eq!(special(&text), expected, "{byte} at {at} of {len}");
                }
            }
        }
    }
}
