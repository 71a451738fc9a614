//! The names of an object's members: which there are, and whether two are the same.

use std::borrow::Cow;

use super::Json;

/// More members are rare, and comparing their names would take long.
const MAX_MEMBERS: usize = 64;

/// Which names an object has, nearly: those that share a bit are compared with each other.
#[derive(Default)]
pub(super) struct Names([u64; 4]);

impl Names {
    /// Takes a name that is not among those before it.
    #[inline]
    pub(super) fn is_new(&mut self, name: &str, members: &[(Cow<'_, str>, Json<'_>)]) -> Option<()> {
        let mark = mark(name.as_bytes());
        let (word, bit) = (self.0.get_mut(usize::from(mark / 64))?, 1 << (mark % 64));
        if *word & bit != 0 {
            let is_known = members.len() >= MAX_MEMBERS || members.iter().any(|(known, _)| is_same(known, name));
            (!is_known).then_some(())?;
        }
        *word |= bit;
        Some(())
    }
}

/// A number that few names share: made of the length and of the first and last four characters.
#[inline]
fn mark(name: &[u8]) -> u8 {
    let ends = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)),
        _ => name.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    ((ends ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// Whether two names are the same. Many have one length, few of those end alike.
#[inline]
pub(super) fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.as_bytes().last() == b.as_bytes().last() && a == b
}
