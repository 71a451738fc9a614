//! What was executed and loaded, as the recorder found it: what an `artifact` event says, written and read in one place.

use std::sync::Arc;

use crate::block::decoded::EventView;
use crate::event::{Arg, Event, EventType};
use crate::process::ProcessImage;
use crate::segment::{Digest, Hex};

/// The clock that stamps files stands still between ticks: a file that is changed twice within that time may bear the same
/// time. A tick takes some milliseconds, and longer where the CPU that counts time is a virtual one that does not run: on
/// a busy guest changes 14 ms apart had one time. Files that are older than this when they are executed are told apart by
/// their times.
pub const UNSTAMPED_NS: u64 = 1_000_000_000;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArtifactKind {
    /// A file that was executed.
    #[default]
    Executable,
    /// A script that was executed: the file that its interpreter opened by the name that the kernel gave it. The
    /// interpreter is an executable of its own.
    Script,
    /// The file of a process that ran already when the recording began.
    Running,
    /// A kernel module, or what was to become one: the call may have failed.
    Module,
    /// The instructions of a BPF program, as the verifier left them (`bpftool prog dump xlated`).
    BpfProgram,
}

impl ArtifactKind {
    const ALL: [ArtifactKind; 5] = [
        ArtifactKind::Executable,
        ArtifactKind::Script,
        ArtifactKind::Running,
        ArtifactKind::Module,
        ArtifactKind::BpfProgram,
    ];

    /// The name in events.
    pub const fn name(self) -> &'static str {
        match self {
            ArtifactKind::Executable => "executable",
            ArtifactKind::Script => "script",
            ArtifactKind::Running => "running",
            ArtifactKind::Module => "module",
            ArtifactKind::BpfProgram => "bpf_program",
        }
    }
}

/// One of them. Times are nanoseconds since the Unix epoch; 0 where a number is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Absolute path of a file, name of a BPF program.
    pub path: Vec<u8>,
    /// Device of the file, as `st_dev`.
    pub dev: u64,
    /// Inode number of the file.
    pub ino: u64,
    /// When its inode was last changed.
    pub ctime: u64,
    /// When its contents were last changed.
    pub mtime: u64,
    /// Size in bytes, where it could be looked at.
    pub size: Option<u64>,
    /// SHA-256 of the contents.
    pub sha256: Option<Digest>,
    /// Why there is no digest, or what it is the digest of where that needs saying.
    pub reason: String,
    /// SHA-256 of the copy in the case, which is [`Artifact::sha256`] where that is known: see [`copy_name`].
    pub copy: Option<Digest>,
    /// Why there is no copy although one was asked for.
    pub copy_reason: String,
    /// The kernel's number of a BPF program.
    pub id: u64,
}

/// The name of a copy within its case: `artifacts/sha256/ab/abcd…`.
pub fn copy_name(sha256: &Digest) -> String {
    let first = sha256.first().copied().unwrap_or_default();
    format!("{}/{first:02x}/{}", crate::case::COPIES, Hex(sha256))
}

impl Artifact {
    /// Hands it to `sink` as an event of the process that executed or loaded it.
    pub fn with_event(&self, ts: u64, image: Option<&Arc<ProcessImage>>, sink: impl FnOnce(&Event<'_>)) {
        let number = |v: u64| if v == 0 { Arg::None } else { Arg::Num(v.cast_signed()) };
        let digest = self.sha256.map(|d| Hex(&d).to_string()).unwrap_or_default();
        let copy = self.copy.as_ref().map(copy_name).unwrap_or_default();
        let args = [
            Arg::Str(self.kind.name().as_bytes()),
            Arg::text(&self.path),
            number(self.dev),
            number(self.ino),
            number(self.ctime),
            number(self.mtime),
            self.size.map_or(Arg::None, |size| Arg::Num(size.cast_signed())),
            Arg::text(digest.as_bytes()),
            Arg::text(self.reason.as_bytes()),
            Arg::text(copy.as_bytes()),
            Arg::text(self.copy_reason.as_bytes()),
            number(self.id),
        ];
        sink(&Event {
            tid: image.map_or(0, |image| image.pid),
            image,
            ..Event::bare(ts, EventType::ARTIFACT, &args)
        });
    }

    /// What an event says. What is no digest counts as none: a file is not trusted.
    pub fn of(event: EventView<'_>) -> Artifact {
        let text = |name: &str| match event.arg_named(name) {
            Arg::Str(s) => s,
            _ => &[],
        };
        let number = |name: &str| match event.arg_named(name) {
            Arg::Num(n) => Some(n.cast_unsigned()),
            _ => None,
        };
        let words = |name: &str| String::from_utf8_lossy(text(name)).into_owned();
        let kind = ArtifactKind::ALL
            .into_iter()
            .find(|kind| kind.name().as_bytes() == text("kind"));
        Artifact {
            kind: kind.unwrap_or_default(),
            path: text("path").to_vec(),
            dev: number("dev").unwrap_or(0),
            ino: number("ino").unwrap_or(0),
            ctime: number("ctime").unwrap_or(0),
            mtime: number("mtime").unwrap_or(0),
            size: number("size"),
            sha256: digest(text("sha256")),
            reason: words("reason"),
            copy: text("copy").rsplit(|b| *b == b'/').next().and_then(digest),
            copy_reason: words("copy_reason"),
            id: number("id").unwrap_or(0),
        }
    }
}

/// A digest written in lower-case hexadecimal.
pub fn digest(text: &[u8]) -> Option<Digest> {
    let mut out: Digest = [0; 32];
    if text.len() != 2 * out.len() {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, digits) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let sha256: Digest = std::array::from_fn(|i| (i as u8).wrapping_mul(37));
        let text = Hex(&sha256).to_string();
        assert_eq!(digest(text.as_bytes()), Some(sha256));
        assert_eq!(copy_name(&sha256), format!("artifacts/sha256/00/{text}"));
        for wrong in [
            "",
            "00",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('0', "/"),
        ] {
            assert_eq!(digest(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
