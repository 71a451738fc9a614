//! Event model, field catalogue and trace file format of ctrace.
//!
//! The crate knows nothing of capture, rules or SQL: it says what an event is ([`event`], [`schema`]), what events refer
//! to ([`process`], [`fd`], [`container`]), how both are coded in blocks ([`block`]) and what fields can be asked of
//! them ([`catalogue`]).

pub mod artifact;
pub mod audit;
pub mod block;
pub mod calendar;
pub mod case;
pub mod catalogue;
pub mod container;
pub mod escape;
pub mod event;
mod events;
pub mod fd;
pub mod names;
pub mod process;
pub mod render;
pub mod scan;
pub mod schema;
pub mod segment;
pub mod snapshot;
pub mod syscalls;
pub mod text;
