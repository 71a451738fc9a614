//! Rules over cases that are written through the public interface: what alerts there are and how they look.

mod alerts;
mod baseline;
mod certificate;
mod correlation;
mod diff;
mod explain;
mod filters;
mod order;
mod recorded;
mod recording;
mod sigma;
mod testing;
mod triage;
