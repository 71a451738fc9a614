//! The strings of a block in memory.

/// Id of a string of the block's dictionary. [`StrId::NONE`] is "no string", [`StrId::EMPTY`] the empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StrId(pub u32);

impl StrId {
    /// No string.
    pub const NONE: StrId = StrId(0);
    /// The empty string.
    pub const EMPTY: StrId = StrId(1);
}

/// The strings of a block, in id order.
#[derive(Clone, Default)]
pub struct Strings {
    /// Longer than what is used.
    pub(crate) bytes: Vec<u8>,
    pub(crate) used: usize,
    /// Per string: where it begins and ends.
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) cuts: Vec<Cut>,
}

/// How a string is cut behind its last slash: for a path, into folder and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Length of what stands before the cut; 0 where there is no slash.
    pub at: u32,
    /// A string that begins with the same folder and is cut at the same place: itself, or an earlier one. Strings in one
    /// folder need not name the same one.
    pub like: StrId,
}

/// The strings, whatever lies behind them in memory that is used again.
impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = (0..self.len() as u32).map(StrId);
        f.debug_list().entries(ids.map(|id| self.get(id))).finish()
    }
}

impl Strings {
    /// How many ids there are, the two fixed ones included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether nothing was decoded yet.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The bytes of a string; empty for [`StrId::NONE`], and for ids of string sections that were not asked for.
    #[inline]
    pub fn get(&self, id: StrId) -> &[u8] {
        let Some(&(start, end)) = self.spans.get(id.0 as usize) else {
            return &[];
        };
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// How a string is cut behind its last slash.
    #[inline]
    pub fn cut(&self, id: StrId) -> Cut {
        let none = Cut {
            at: 0,
            like: StrId::NONE,
        };
        self.cuts.get(id.0 as usize).copied().unwrap_or(none)
    }

    /// The string, or `None` for [`StrId::NONE`].
    pub fn opt(&self, id: StrId) -> Option<&[u8]> {
        (id != StrId::NONE).then(|| self.get(id))
    }
}
