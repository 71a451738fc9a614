//! Cases written through the public interface with real blocks: what goes in comes out, whatever happens to the files.

mod artifacts;
mod events;
mod full_disk;
mod late;
mod rotation;
mod round_trip;
mod unfinished;
