//! Importing: captures of other tools, event by event, and what becomes of damaged ones.

mod audit_log;
mod capture;
mod damage;
mod docker;
mod fields;
mod golden;
mod imported;
mod k8s_audit;
mod merged;
mod origins;
mod strace;
mod sysdig;
mod versions;
