//! Cases written through the public interface with real blocks: what goes in comes out, whatever happens to the files.

#[path = "case/events.rs"]
mod events;
#[path = "case/full_disk.rs"]
mod full_disk;
#[path = "case/late.rs"]
mod late;
#[path = "case/rotation.rs"]
mod rotation;
#[path = "case/round_trip.rs"]
mod round_trip;
#[path = "case/unfinished.rs"]
mod unfinished;
