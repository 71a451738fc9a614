//! Fields of the other sources: `docker.*`, `audit.*`, `log.*`, `ka.*`, `capture.*`.

use super::Field;

pub(super) const FIELDS: &[Field] = &[];
