//! Live sources, the resolver and the recorder of ctrace.

pub mod docker;
