//! The bytes of a segment outside its records' contents: file prelude, record prefix, file names, limits.
//!
//! Everything here is specified in docs/trace-format.md, section "Segments".

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// The format version that this code writes, and the newest that it reads.
pub const VERSION: u32 = 3;

/// First bytes of a segment file. The byte above 127, CR LF, Ctrl-Z and LF show the damage that text-mode copying does.
pub const FILE_MAGIC: [u8; 8] = *b"\x89CTR\r\n\x1a\n";

/// File magic, version and the checksum of both.
pub(crate) const PRELUDE_LEN: usize = 16;

/// First bytes of each record; what a reader looks for after damage.
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"\xc7Rec";

/// Length of a record's prefix.
pub(crate) const PREFIX_LEN: usize = 28;

/// Longest head that is read. A block's head is some kilobytes, a footer's index entry some ten bytes.
pub(crate) const MAX_HEAD: u32 = 64 << 20;

/// Longest body that is read or written.
pub(crate) const MAX_BODY: u32 = 1 << 30;

/// What a record holds. Readers skip kinds that they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Segment header; the first record.
    pub const HEADER: RecordKind = RecordKind(1);
    /// State of the host.
    pub const SNAPSHOT: RecordKind = RecordKind(2);
    /// Events.
    pub const BLOCK: RecordKind = RecordKind(3);
    /// Index and totals; the last record of a closed segment.
    pub const FOOTER: RecordKind = RecordKind(4);
}

/// The prefix of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What the record holds.
    pub kind: RecordKind,
    /// Kind-specific; 0 so far, ignored by readers.
    pub flags: u8,
    /// Length of the head, which follows the prefix.
    pub head_len: u32,
    /// Length of the body, which follows the head.
    pub body_len: u32,
    /// CRC-32 of the body.
    pub body_crc: u32,
}

impl Prefix {
    /// Length of the whole record.
    pub(crate) fn record_len(&self) -> u64 {
        PREFIX_LEN as u64 + u64::from(self.head_len) + u64::from(self.body_len)
    }

    /// The prefix for a head, its checksum included.
    pub(crate) fn encode(&self, salt: &Salt, head: &[u8]) -> [u8; PREFIX_LEN] {
        let mut out = [0; PREFIX_LEN];
        out[..4].copy_from_slice(&RECORD_MAGIC);
        out[4] = self.kind.0;
        out[5] = self.flags;
        out[8..12].copy_from_slice(&self.head_len.to_le_bytes());
        out[12..16].copy_from_slice(&self.body_len.to_le_bytes());
        out[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        // Bytes 20 – 23 are reserved and written as zeros, like 6 and 7.
        let crc = salt.crc(&out[..24], head);
        out[24..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a prefix; `None` where the magic is missing or a length exceeds its limit. The checksum is returned to be
    /// compared when the head is there.
    pub(crate) fn parse(bytes: &[u8; PREFIX_LEN]) -> Option<(Prefix, u32)> {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let prefix = Prefix {
            kind: RecordKind(bytes[4]),
            flags: bytes[5],
            head_len: u32_at(8),
            body_len: u32_at(12),
            body_crc: u32_at(16),
        };
        let sane = bytes[..4] == RECORD_MAGIC && prefix.head_len <= MAX_HEAD && prefix.body_len <= MAX_BODY;
        sane.then(|| (prefix, u32_at(24)))
    }
}

/// What record checksums begin with: nothing for the header record, the case id for all others.
///
/// The id keeps a record that someone planted in captured data from being taken for one of the file's own when a reader
/// looks for the next record behind damage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt(Option<CaseId>);

impl Salt {
    /// Of the header record.
    pub(crate) const NONE: Salt = Salt(None);

    /// Of every other record.
    pub(crate) fn of(case: CaseId) -> Salt {
        Salt(Some(case))
    }

    /// The checksum over a prefix (without its checksum) and a head.
    pub(crate) fn crc(&self, prefix: &[u8], head: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        if let Some(CaseId(id)) = &self.0 {
            crc.update(id);
        }
        crc.update(prefix);
        crc.update(head);
        crc.finalize()
    }
}

/// Random name of a case, the same in all its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub struct CaseId(pub [u8; 16]);

impl CaseId {
    /// A new id from the kernel's random numbers.
    ///
    /// # Errors
    /// Where `/dev/urandom` cannot be read.
    pub fn random() -> std::io::Result<CaseId> {
        use std::io::Read as _;
        let mut id = [0; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut id)?;
        Ok(CaseId(id))
    }
}

/// Shows the id as 32 hexadecimal digits.
impl std::fmt::Display for CaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Shows a digest as `sha256sum` does.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_hex(f, self.0)
    }
}

fn write_hex(f: &mut std::fmt::Formatter<'_>, bytes: &[u8]) -> std::fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// The first bytes of a file.
pub(crate) fn prelude() -> [u8; PRELUDE_LEN] {
    let mut out = [0; PRELUDE_LEN];
    out[..8].copy_from_slice(&FILE_MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prelude {
    /// A segment of a version that can be read.
    Known,
    /// A segment of a version that cannot.
    Version(u32),
    /// The magic is right and the rest is damaged.
    Damaged,
    /// The file ends within the prelude.
    Cut,
    /// Not a segment.
    Foreign,
}

impl Prelude {
    /// Judges the first (at most [`PRELUDE_LEN`]) bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Prelude {
        let Ok(all) = <&[u8; PRELUDE_LEN]>::try_from(bytes) else {
            let known = prelude();
            let is_start = known.get(..bytes.len()) == Some(bytes);
            return if is_start { Prelude::Cut } else { Prelude::Foreign };
        };
        if all[..8] != FILE_MAGIC {
            return Prelude::Foreign;
        }
        let version = u32::from_le_bytes([all[8], all[9], all[10], all[11]]);
        if crc32fast::hash(&all[..12]).to_le_bytes() != all[12..] {
            return Prelude::Damaged;
        }
        if version != VERSION {
            return Prelude::Version(version);
        }
        Prelude::Known
    }
}

/// The digest of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// What the name of a file in a case folder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName {
    /// The segment's number, from 1.
    pub number: u32,
    /// Whether it was not closed (`.open`).
    pub open: bool,
}

impl SegmentName {
    /// Reads a file name; `None` for files that are no segments.
    pub fn parse(name: &str) -> Option<SegmentName> {
        let (stem, open) = match name.strip_suffix(".ctrace.open") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(".ctrace")?, false),
        };
        let digits = stem.len() >= 6 && stem.bytes().all(|b| b.is_ascii_digit());
        let number = stem.parse().ok().filter(|n| digits && *n > 0)?;
        Some(SegmentName { number, open })
    }
}

impl std::fmt::Display for SegmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06}.ctrace{}", self.number, if self.open { ".open" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written() {
        for name in [(1, true), (999_999, false), (1_000_000, true)] {
            let name = SegmentName {
                number: name.0,
                open: name.1,
            };
            assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        }
        for other in [
            "1.ctrace",
            "000000.ctrace",
            "00001x.ctrace",
            "000001.ctrace.bak",
            "+00001.ctrace",
            "manifest",
        ] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn prelude_tells_cut_foreign_damaged_and_newer_apart() {
        let good = prelude();
        assert_eq!(Prelude::parse(&good), Prelude::Known);
        assert_eq!(Prelude::parse(&[]), Prelude::Cut);
        assert_eq!(Prelude::parse(&good[..11]), Prelude::Cut);
        assert_eq!(Prelude::parse(b"\x7fELF"), Prelude::Foreign);
        let mut flipped = good;
        flipped[9] ^= 1;
        assert_eq!(Prelude::parse(&flipped), Prelude::Damaged);
        let crc = crc32fast::hash(&flipped[..12]);
        flipped[12..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Prelude::parse(&flipped), Prelude::Version(VERSION ^ 0x100));
    }

    #[test]
    fn prefix_reads_as_it_is_written() {
        let prefix = Prefix {
            kind: RecordKind::BLOCK,
            flags: 0,
            head_len: 3,
            body_len: 70_000,
            body_crc: 0xDEAD_BEEF,
        };
        let bytes = prefix.encode(&Salt::NONE, b"abc");
        let (read, crc) = Prefix::parse(&bytes).expect("parses");
        assert_eq!(read, prefix);
        assert_eq!(crc, Salt::NONE.crc(&bytes[..24], b"abc"));
        assert_ne!(crc, Salt::of(CaseId([0; 16])).crc(&bytes[..24], b"abc"));
    }
}
