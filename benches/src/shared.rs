//! The shared test data, where they are there.

use std::io::Read;
use std::path::{Path, PathBuf};

/// A file of them by its path, decompressed where it is compressed.
pub fn read(sample: &str) -> Option<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = std::env::var_os("CTRACE_SHARED").map(PathBuf::from);
    let places = ["../shared", "../../shared"].map(|place| root.join(place));
    let path = named
        .into_iter()
        .chain(places)
        .map(|p| p.join(sample))
        .find(|p| p.exists())?;
    let raw = std::fs::read(path).ok()?;
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Some(raw);
    }
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(&raw[..])
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}
