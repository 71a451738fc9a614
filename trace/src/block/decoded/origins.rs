//! Where the events of a block were imported from.

/// Where the events of a block were imported from; all empty where none was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Names of files.
    pub(crate) names: Vec<Vec<u8>>,
    /// Per event: index into `names` and 1; 0 for none.
    pub(crate) file: Vec<u32>,
    /// Per event: offset.
    pub(crate) offset: Vec<u64>,
    /// Per event: line; empty where no file has lines.
    pub(crate) line: Vec<u64>,
}

impl Origins {
    /// Whether no event was imported, or none was asked for.
    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.file.clear();
        self.offset.clear();
        self.line.clear();
    }
}

/// Where an event was imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginView<'a> {
    /// The file, as its `imported` event names it.
    pub file: &'a [u8],
    /// Offset in what the file decompresses to.
    pub offset: u64,
    /// Line, from 1; 0 where the format has none.
    pub line: u64,
}
