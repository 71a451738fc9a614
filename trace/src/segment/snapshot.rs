//! The snapshot record: the state of the host, compressed, with its link in the chain.

use bincode::{Decode, Encode};

use super::format::{Digest, sha256};
use super::packed::{self, PackError};
use crate::snapshot::HostSnapshot;

/// How [`HostSnapshot`] is laid out in the body; the number changes when its fields do.
pub(crate) const LAYOUT: u16 = 1;

/// The head of a snapshot record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SnapshotHead {
    /// The link before.
    pub(crate) prev: Digest,
    /// SHA-256 of the body.
    pub(crate) body: Digest,
    /// [`LAYOUT`].
    pub(crate) layout: u16,
    /// When the state was taken, nanoseconds since the Unix epoch.
    pub(crate) taken_ts: u64,
}

/// Head and body of the record of a snapshot.
pub(crate) fn encode(snapshot: &HostSnapshot, prev: Digest) -> Result<(Vec<u8>, Vec<u8>), PackError> {
    let body = pack_within_bounds(snapshot)?;
    let head = SnapshotHead {
        prev,
        body: sha256(&body),
        layout: LAYOUT,
        taken_ts: snapshot.taken_ts,
    };
    Ok((packed::encode(&head)?, body))
}

/// Leaves out what is largest on hosts whose state exceeds what readers accept: descriptors, then processes.
fn pack_within_bounds(snapshot: &HostSnapshot) -> Result<Vec<u8>, PackError> {
    match packed::pack(snapshot) {
        Err(PackError::TooLarge) => {}
        done => return done,
    }
    let mut less = snapshot.clone();
    less.processes.iter_mut().for_each(|p| p.fds = Vec::new());
    less.incomplete
        .push(("fds".to_owned(), "left out: the snapshot would be too large".to_owned()));
    match packed::pack(&less) {
        Err(PackError::TooLarge) => {}
        done => return done,
    }
    less.processes = Vec::new();
    less.incomplete.push((
        "processes".to_owned(),
        "left out: the snapshot would be too large".to_owned(),
    ));
    packed::pack(&less)
}

/// Reads the head.
pub(crate) fn decode_head(head: &[u8]) -> Result<SnapshotHead, PackError> {
    packed::decode(head)
}

/// Reads the body.
pub(crate) fn decode_body(body: &[u8]) -> Result<HostSnapshot, PackError> {
    packed::unpack(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::ProcessState;

    #[test]
    fn a_snapshot_that_is_too_large_goes_without_descriptors() {
        let fd = crate::snapshot::FdState {
            num: 3,
            kind: crate::fd::FdKind::File,
            name: vec![b'x'; 1000],
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: None,
        };
        let process = ProcessState {
            pid: 7,
            fds: vec![fd; 1000],
            ..ProcessState::default()
        };
        let snapshot = HostSnapshot {
            processes: vec![process; 70],
            ..HostSnapshot::default()
        };
        let (_, body) = encode(&snapshot, [0; 32]).expect("fits without descriptors");
        let read = decode_body(&body).expect("decodes");
        assert_eq!((read.processes.len(), read.processes[0].fds.len()), (70, 0));
        assert_eq!(read.incomplete[0].0, "fds");
    }
}
