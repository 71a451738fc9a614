//! The audit source: the kernel's audit records, grouped into events.
//!
//! [`Record`], [`fields`] and [`Grouper`] are pure and serve live capture and file import alike; [`AuditSource`] listens
//! to the kernel, beside a daemon or as one; [`rules`] and [`LoadedRules`] are about what it audits.

mod address;
mod control;
mod emit;
mod event;
mod field;
mod group;
mod live;
mod loaded;
mod netlink;
mod record;
mod record_type;
pub mod rules;
mod worker;

pub use address::Address;
pub use event::{AuditEvent, MAX_RAW, Syscall};
pub use field::{Field, Fields, Value, fields, unhex};
pub use group::{Grouper, STRAGGLERS_NS};
pub use live::{AuditFollower, AuditMessage, AuditProgress, AuditSource, Loss, Mode, audit_state};
pub use loaded::{LoadError, LoadedRules};
pub use netlink::{AuditError, AuditStatus};
pub use record::{ENRICHED, Record, RecordError, Stamp};
pub use record_type::RecordType;
