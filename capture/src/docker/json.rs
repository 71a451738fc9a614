//! How the engine's JSON is read: absent, `null` and empty mean the same.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: Go writes nil slices and maps so.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
