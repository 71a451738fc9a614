//! The names of an object's members: which there are, and whether two are the same.

use super::node::{Node, Span};

/// The name of a member, where it is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) key: u64,
    pub(super) span: Span,
    pub(super) is_apart: bool,
}

impl Name {
    /// Of what is no member.
    pub(super) const NONE: Name = Name {
        key: 0,
        span: Span { start: 0, len: 0 },
        is_apart: false,
    };
}

/// So many characters are in a [`key`].
pub(super) const KEY_LEN: usize = 8;

/// The first and the last four characters of a name. Many have one length, few of those begin and end alike.
#[inline]
pub(super) fn key(name: &[u8]) -> u64 {
    match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    }
}

/// More members are rare, and comparing their names would take long.
const MAX_MEMBERS: usize = 64;

/// Which names an object has, nearly: those that share a bit are compared with each other.
#[derive(Default)]
pub(super) struct Names([u64; 4]);

impl Names {
    /// Takes a name that is not among those of the members before it.
    #[inline]
    pub(super) fn is_new(&mut self, name: Name, members: &[Node], texts: [&str; 2]) -> Option<()> {
        let mark = mark(name.key, name.span.len);
        let (word, bit) = (self.0.get_mut(usize::from(mark / 64))?, 1 << (mark % 64));
        if *word & bit != 0 {
            is_unknown(name, members, texts).then_some(())?;
        }
        *word |= bit;
        Some(())
    }

    /// A bit for each name, which names share: see [`bit`].
    pub(super) fn bits(&self) -> u64 {
        self.0.iter().fold(0, |all, word| all | word)
    }
}

/// The bit that an object has in [`Names::bits`] where it may have a name. `key` is the name's.
#[inline]
pub(super) fn bit(name: &str, key: u64) -> u64 {
    1 << (mark(key, name.len() as u32) % 64)
}

#[cold]
fn is_unknown(name: Name, members: &[Node], [line, texts]: [&str; 2]) -> bool {
    let text = name.span.of(if name.is_apart { texts } else { line });
    let (mut rest, mut count) = (members, 0);
    while let Some(member) = rest.first() {
        count += 1;
        if count >= MAX_MEMBERS || member.is_named(text, name.key, line, texts) {
            return false;
        }
        rest = rest.get(member.size as usize..).unwrap_or_default();
    }
    true
}

/// A number that few names share.
#[inline]
fn mark(key: u64, len: u32) -> u8 {
    ((key ^ u64::from(len)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}
