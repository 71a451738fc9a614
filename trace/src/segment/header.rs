//! The header record: where, when, how and by what a segment was recorded, and which event types it may hold.

use std::sync::Arc;

use bincode::{Decode, Encode};

use super::format::{CaseId, Digest};
use super::packed::{self, PackError};
use crate::schema::{EventSpec, Schema};

/// Bits of [`About::required_features`] that this version understands.
pub const KNOWN_FEATURES: u64 = 0;

/// The first record of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentHeader {
    /// What is known without the schema.
    pub about: About,
    /// The event types that the segment may hold.
    pub schema: Arc<Schema>,
}

/// A segment's place in its case and the circumstances of the recording.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct About {
    /// The case that the segment belongs to.
    pub case_id: CaseId,
    /// Its number in the case, from 1.
    pub segment: u32,
    /// Number of its first event.
    pub first_seq: u64,
    /// The segment before, where there was one.
    pub previous: Option<Previous>,
    /// The program that wrote it.
    pub tool: Tool,
    /// The host that was recorded.
    pub host: Host,
    /// What was asked for.
    pub capture: Capture,
    /// When the segment was begun.
    pub clock: ClockReading,
    /// Features without which the segment cannot be read; a reader refuses bits that it does not know.
    pub required_features: u64,
    /// Features that a reader may ignore.
    pub optional_features: u64,
    /// Additions by number, ignored where unknown.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

/// Names the segment before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Previous {
    /// Its number.
    pub segment: u32,
    /// SHA-256 of the whole file as it was when it was left (closed, or found unfinished by a writer that continued).
    pub sha256: Digest,
}

/// The program that wrote a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tool {
    /// Name, such as `ctrace`.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of its executable, where it was taken.
    pub digest: Option<Digest>,
}

/// The recorded host. Empty where not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Host {
    /// Node name, as `uname -n`.
    pub name: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Kernel release, as `uname -r`.
    pub kernel_release: String,
    /// Kernel version, as `uname -v`.
    pub kernel_version: String,
    /// Machine, as `uname -m`.
    pub arch: String,
    /// CPUs that could come on line.
    pub cpus: u32,
    /// Name of the distribution, `PRETTY_NAME` of os-release.
    pub os: String,
}

/// What the recorder was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Capture {
    /// The recorder's command line.
    pub command_line: Vec<String>,
    /// Names of the sources asked for.
    pub sources: Vec<String>,
    /// Scope as it was given (`host`, `containers`, …).
    pub scope: String,
    /// Syscall set as it was given.
    pub syscalls: String,
    /// Bytes kept of each buffer.
    pub snaplen: u32,
    /// Other settings by name, sorted.
    pub settings: Vec<(String, String)>,
    /// What the host could not give: fields and features that are missing in this recording, with the reason.
    pub missing: Vec<(String, String)>,
}

/// The clocks at one moment: with it, monotonic stamps in raw records can be placed in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ClockReading {
    /// `CLOCK_REALTIME`, nanoseconds since the Unix epoch.
    pub realtime_ns: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub boottime_ns: u64,
}

impl SegmentHeader {
    /// Head and body of the record.
    pub(crate) fn encode(&self) -> Result<(Vec<u8>, Vec<u8>), PackError> {
        let specs: &[EventSpec] = self.schema.specs();
        Ok((packed::encode(&self.about)?, packed::pack(&specs)?))
    }

    /// Reads head and body.
    pub(crate) fn decode(head: &[u8], body: &[u8]) -> Result<SegmentHeader, PackError> {
        let specs: Vec<EventSpec> = packed::unpack(body)?;
        Ok(SegmentHeader {
            about: packed::decode(head)?,
            schema: Arc::new(Schema::new(specs)),
        })
    }

    /// Required features that this version does not know.
    pub(crate) fn unknown_features(&self) -> u64 {
        self.about.required_features & !KNOWN_FEATURES
    }
}
