//! Frames: columns as they lie in a block's body, compressed and checked one by one.

use std::fmt;

use zstd::zstd_safe::{CCtx, CParameter};

/// Compresses frames; reusable, one per writing thread.
pub struct Compressor {
    zstd: CCtx<'static>,
}

impl Compressor {
    /// A compressor of zstd level `level`. Level 1 is what recorders use: 3 saves 3 % and costs as much again.
    pub fn new(level: i32) -> Compressor {
        let mut zstd = CCtx::create();
        // Levels out of range are clamped by zstd; there is no other error.
        let _ = zstd.set_parameter(CParameter::CompressionLevel(level));
        Compressor { zstd }
    }
}

impl Default for Compressor {
    fn default() -> Compressor {
        Compressor::new(1)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
