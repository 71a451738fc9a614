//! Telling cases from exports.

use std::fs;
use std::io;
use std::path::Path;

use ctrace_trace::segment::SegmentName;

/// Whether a path names an export: a folder without segments.
///
/// # Errors
/// Where the folder cannot be read.
pub fn is_export(path: &Path) -> io::Result<bool> {
    if !path.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(path)? {
        if entry?.file_name().to_str().and_then(SegmentName::parse).is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
