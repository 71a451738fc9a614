//! Sources against the real thing: a Docker engine, the kernel's audit subsystem, /proc. Tests that need what is not
//! there say `SKIP name: reason`.

mod docker;
mod skip;
