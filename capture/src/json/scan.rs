//! Looks through text, sixteen characters at once.

use ctrace_trace::scan::{Sixteen, WIDTH};

/// Where the first quote, backslash or control character is.
#[inline]
pub(super) fn special(text: &[u8]) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<WIDTH>();
    for (at, block) in blocks.iter().enumerate() {
        let block = Sixteen::of(block);
        let found = block.is(b'"').or(block.is(b'\\')).or(block.is_at_most(b' ' - 1));
        match found.bits() {
            0 => {}
            bits => return Some(at * WIDTH + bits.trailing_zeros() as usize),
        }
    }
    let is_special = |b: &u8| matches!(b, b'"' | b'\\' | 0..b' ');
    Some(blocks.len() * WIDTH + rest.iter().position(is_special)?)
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
