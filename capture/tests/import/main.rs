//! Importing: captures of other tools, event by event, and what becomes of damaged ones.

mod capture;
mod damage;
mod imported;
#[path = "../sources/skip.rs"]
mod skip;
mod sysdig;
mod versions;
