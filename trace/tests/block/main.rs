//! Blocks through the public interface: every event comes back as it was, and no bytes make a reader panic.

mod compare;
mod hostile;
mod limits;
mod needs;
mod random;
mod round_trip;
