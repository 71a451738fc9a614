//! Structures on disk: bincode, optionally within zstd, read within bounds.

use std::io::Read as _;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

/// Largest structure after decompression: a host with tens of thousands of processes stays below.
pub(crate) const MAX_UNPACKED: usize = 64 << 20;

/// zstd's window, as a power of two, beyond which a frame is refused; level 3 uses at most 21.
const MAX_WINDOW_LOG: u32 = 23;

type Bounded = Configuration<LittleEndian, Varint, Limit<MAX_UNPACKED>>;

const BOUNDED: Bounded = bincode::config::standard().with_limit::<MAX_UNPACKED>();

/// Why a structure could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// It does not decode as the structure that it should be.
    #[error("not a valid structure: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// It cannot be encoded.
    #[error("cannot be encoded: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// zstd refuses.
    #[error("zstd: {0}")]
    Zstd(#[from] std::io::Error),
    /// It is larger than a reader would accept.
    #[error("larger than {MAX_UNPACKED} bytes")]
    TooLarge,
    /// Bytes follow the structure.
    #[error("{0} bytes follow the structure")]
    Trailing(usize),
}

/// Encodes a structure.
pub(crate) fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, PackError> {
    let bytes = bincode::encode_to_vec(value, bincode::config::standard())?;
    if bytes.len() > MAX_UNPACKED {
        Err(PackError::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// Decodes a structure that fills `bytes` exactly.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, PackError> {
    let (value, used) = bincode::decode_from_slice(bytes, BOUNDED)?;
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(PackError::Trailing(rest)),
    }
}

/// Encodes and compresses a structure.
pub(crate) fn pack<T: Encode>(value: &T) -> Result<Vec<u8>, PackError> {
    Ok(zstd::bulk::compress(&encode(value)?, 3)?)
}

/// Decompresses and decodes a structure.
pub(crate) fn unpack<T: Decode<()>>(packed: &[u8]) -> Result<T, PackError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    let mut bytes = Vec::new();
    // The output grows with what really comes out, not with what the frame claims.
    decoder.take(MAX_UNPACKED as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_UNPACKED {
        return Err(PackError::TooLarge);
    }
    decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks() {
        let value: Vec<(u32, String)> = (0..1000).map(|i| (i, format!("value {i}"))).collect();
        let packed = pack(&value).expect("packs");
        assert_eq!(unpack::<Vec<(u32, String)>>(&packed).expect("unpacks"), value);
    }

    #[test]
    fn bombs_and_lies_are_refused() {
        let bomb = zstd::bulk::compress(&vec![0; MAX_UNPACKED + 10], 1).expect("compresses");
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack::<Vec<u8>>(&bomb), Err(PackError::TooLarge)));
        // A vector that claims 2^60 entries.
        let lie = [253, 0, 0, 0, 0, 0, 0, 0, 16];
        assert!(matches!(decode::<Vec<u64>>(&lie), Err(PackError::Decode(_))));
        assert!(matches!(decode::<u8>(&[1, 2]), Err(PackError::Trailing(1))));
    }
}
