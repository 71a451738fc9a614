//! Sources against the real thing: a Docker engine, the kernel's audit subsystem and its logs, /proc. Tests that need
//! what is not there say `SKIP name: reason`.

mod audit_live;
mod audit_log;
mod ausearch;
mod docker;
mod host;
mod security_set;
