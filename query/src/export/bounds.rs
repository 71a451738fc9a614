//! Bounds of values in metadata: long texts are cut, so that the metadata stays small.

/// Longer texts are cut to at most so many bytes.
const MAX_LEN: usize = 64;

/// A bound of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) bytes: Vec<u8>,
    /// Whether it is a value itself.
    pub(super) exact: bool,
}

impl Bound {
    fn exact(value: &[u8]) -> Bound {
        Bound {
            bytes: value.to_vec(),
            exact: true,
        }
    }
}

/// A bound that is not above a value.
pub(super) fn lower(value: &[u8], text: bool) -> Bound {
    match cut(value).filter(|_| text) {
        Some(begin) => Bound {
            bytes: begin.as_bytes().to_vec(),
            exact: false,
        },
        None => Bound::exact(value),
    }
}

/// A bound that is not below a value.
pub(super) fn upper(value: &[u8], text: bool) -> Bound {
    match cut(value).filter(|_| text).and_then(above) {
        Some(bytes) => Bound { bytes, exact: false },
        None => Bound::exact(value),
    }
}

/// The beginning of a long text; `None` where it is not long.
fn cut(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok().filter(|t| t.len() > MAX_LEN)?;
    let end = (0..=MAX_LEN).rev().find(|at| text.is_char_boundary(*at))?;
    text.get(..end)
}

/// The smallest text like this one that is larger than all texts that begin with it: a letter of ASCII is raised, which
/// stays a letter.
fn above(begin: &str) -> Option<Vec<u8>> {
    let at = begin.bytes().rposition(|b| b < 0x7e)?;
    let mut bytes = begin.as_bytes().get(..=at)?.to_vec();
    *bytes.last_mut()? += 1;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_short_and_hold() {
        for text in [
            "short".to_owned(),
            "x".repeat(64),
            "x".repeat(65),
            "ü".repeat(100),
            format!("a{}", "ü".repeat(99)),
        ] {
            let (low, high) = (lower(text.as_bytes(), true), upper(text.as_bytes(), true));
            assert!(
                low.bytes.as_slice() <= text.as_bytes() && text.as_bytes() <= high.bytes.as_slice(),
                "{text}"
            );
            assert!(
                std::str::from_utf8(&low.bytes).is_ok() && std::str::from_utf8(&high.bytes).is_ok(),
                "{text}"
            );
            assert_eq!(low.exact, low.bytes == text.as_bytes());
            assert!(!high.exact || high.bytes == text.as_bytes());
            assert!(low.bytes.len() <= MAX_LEN);
        }
        // Letters without a next one are no reason for a wrong bound.
        assert!(upper("ü".repeat(100).as_bytes(), true).exact);
        assert_eq!(lower(&[0xff; 80], false).bytes.len(), 80);
    }
}
