//! Constants in SQL.

use ctrace_trace::escape;

/// A text; bytes that are not UTF-8 as the table shows them.
pub(super) fn text(bytes: &[u8]) -> String {
    format!("'{}'", escape::lossless(bytes).replace('\'', "''"))
}

/// Several of them.
pub(super) fn texts<'a>(items: impl Iterator<Item = &'a [u8]>) -> String {
    items.map(text).collect::<Vec<_>>().join(", ")
}
