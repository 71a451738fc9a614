//! The audit source: the kernel's audit records, grouped into events.
//!
//! [`Grouper`] is pure, as the records and fields of [`ctrace_trace::audit`] are, and serves live capture and file
//! import alike; [`AuditSource`] listens to the kernel, beside a daemon or as one; [`rules`] and [`LoadedRules`] are about
//! what it audits.

mod actor;
mod control;
mod emit;
mod event;
mod group;
mod live;
mod loaded;
mod netlink;
pub mod rules;
mod worker;

pub use ctrace_trace::audit::{
    Address, ENRICHED, Field, Fields, Record, RecordError, RecordType, Stamp, Value, fields, unhex,
};
pub use event::{AuditEvent, MAX_RAW, Syscall};
pub use group::{Grouper, STRAGGLERS_NS};
pub use live::{AuditFollower, AuditMessage, AuditProgress, AuditSource, Loss, Mode, audit_state};
pub use loaded::{LoadError, LoadedRules, Stays};
pub use netlink::{AuditError, AuditStatus};
