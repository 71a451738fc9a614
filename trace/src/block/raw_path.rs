//! A path as its caller wrote it, relative to what it was resolved to.

use super::decoded::RawPath;
use super::strings::{Interner, Numbering, Refs, StrRef};
use super::varint::{Cursor, Malformed, put};
use crate::scan::{self, same_text};

/// Codes of a caller's form of a path.
pub(super) mod raw_code {
    /// As predicted: like the open object's where the path is that object's name, else the same as the resolved form.
    pub(in crate::block) const PREDICTED: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const KNOWN: u64 = 2;
    /// What follows the last slash.
    pub(super) const LEAF: u64 = 3;
    pub(super) const SAME: u64 = 4;
    /// Length of the suffix + this.
    pub(super) const SUFFIX: u64 = 5;
}

/// The caller's form of a path relative to its resolved form, with provisional ids.
pub(super) fn raw_path(interner: &mut Interner, resolved: &[u8], raw: &[u8]) -> RawPath {
    if same_text(raw, resolved) {
        RawPath::Same
    } else if raw.is_empty() || resolved.ends_with(raw) {
        RawPath::Suffix(raw.len() as u32)
    } else {
        RawPath::Other(interner.id(raw))
    }
}

/// Length of what follows the last slash.
pub(super) fn leaf_len(path: &[u8]) -> u32 {
    let behind = scan::last(b'/', path).map_or(0, |slash| slash + 1);
    (path.len() - behind) as u32
}

/// Appends a caller's form: as predicted, a suffix, or another string; `resolved` is asked for only where it matters.
#[inline]
pub(super) fn write_raw<'a>(
    out: &mut Vec<u8>,
    raw: RawPath,
    predicted: RawPath,
    resolved: impl FnOnce() -> &'a [u8],
    numbering: &mut Numbering,
) {
    match raw {
        raw if raw == predicted => put(out, raw_code::PREDICTED),
        RawPath::Same => put(out, raw_code::SAME),
        RawPath::Suffix(n) if n == leaf_len(resolved()) => put(out, raw_code::LEAF),
        RawPath::Suffix(n) => put(out, u64::from(n) + raw_code::SUFFIX),
        RawPath::Other(id) => match numbering.refer(id) {
            StrRef::New => put(out, raw_code::NEW),
            StrRef::Known(id) => {
                put(out, raw_code::KNOWN);
                put(out, u64::from(id));
            }
        },
    }
}

/// Reads a caller's form; `resolved` is asked for only where it matters.
#[inline]
pub(super) fn read_raw<'a>(
    cursor: &mut Cursor<'_>,
    refs: &mut Refs,
    predicted: RawPath,
    resolved: impl FnOnce() -> &'a [u8],
) -> Result<RawPath, Malformed> {
    Ok(match cursor.get()? {
        raw_code::PREDICTED => predicted,
        raw_code::NEW => RawPath::Other(refs.fresh()?),
        raw_code::KNOWN => RawPath::Other(refs.known(cursor.get()?)?),
        raw_code::LEAF => RawPath::Suffix(leaf_len(resolved())),
        raw_code::SAME => RawPath::Same,
        n => RawPath::Suffix(u32::try_from(n - raw_code::SUFFIX).map_err(|_| Malformed::OutOfRange)?),
    })
}

/// Passes over a caller's form.
pub(super) fn skip_raw(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    match cursor.get()? {
        raw_code::KNOWN => cursor.skip(1),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_forms_are_relative() {
        let mut interner = Interner::default();
        assert_eq!(raw_path(&mut interner, b"/a/b", b"/a/b"), RawPath::Same);
        assert_eq!(raw_path(&mut interner, b"/a/b", b"b"), RawPath::Suffix(1));
        assert_eq!(raw_path(&mut interner, b"/a/b", b""), RawPath::Suffix(0));
        assert!(matches!(raw_path(&mut interner, b"/a/b", b"../b"), RawPath::Other(_)));
        assert_eq!(leaf_len(b"/a/b.c"), 3);
        assert_eq!(leaf_len(b"/a/"), 0);
    }
}
