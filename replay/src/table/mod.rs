//! Replay over a table: events that were selected from table `events` of an export instead of being read from a case.

pub(crate) mod place;
