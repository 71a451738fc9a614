//! Importing: captures of other tools, event by event, and what becomes of damaged ones.

mod capture;
mod damage;
mod imported;
mod skip;
mod sysdig;
mod versions;
