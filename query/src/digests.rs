//! Which digest belongs to the file of which process.

use std::collections::BTreeMap;

use ctrace_trace::artifact::{ArtifactKind, UNSTAMPED_NS};
use ctrace_trace::case::Executed;
use ctrace_trace::segment::Digest;

use crate::process_id::ProcessId;
use crate::processes::Process;

/// Inode number, last change of the inode and of the contents.
type Identity = (u64, u64, u64);

/// Digests by process and by file. A file is told once in a segment, however many processes execute it.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    of_processes: BTreeMap<ProcessId, Digest>,
    /// None where a file is said to have several.
    of_files: BTreeMap<Identity, Option<Digest>>,
    /// Files that ran already when the recording began. Nobody can have written them while they ran.
    of_running: BTreeMap<Identity, Option<Digest>>,
}

impl Digests {
    pub(crate) fn new(executed: &[Executed]) -> Digests {
        let mut digests = Digests::default();
        for Executed {
            pid,
            start_ts,
            exec_ts,
            artifact,
        } in executed
        {
            // What is only a digest of what was found is none of what ran.
            let Some(sha256) = artifact.sha256.filter(|_| artifact.reason.is_empty()) else {
                continue;
            };
            if !matches!(artifact.kind, ArtifactKind::Executable | ArtifactKind::Running) {
                continue;
            }
            let id = ProcessId {
                pid: *pid,
                start_ts: *start_ts,
                exec_ts: *exec_ts,
            };
            digests.of_processes.insert(id, sha256);
            let identity = (artifact.ino, artifact.ctime, artifact.mtime);
            if is_settled(artifact.ctime, (*exec_ts).max(*start_ts)) {
                learn(&mut digests.of_files, identity, sha256);
            }
            if artifact.kind == ArtifactKind::Running {
                learn(&mut digests.of_running, identity, sha256);
            }
        }
        digests
    }

    /// The digest of what a process ran, where that is certain.
    pub(crate) fn of(&self, process: &Process) -> Option<Digest> {
        let own = self.of_processes.get(&process.id).copied();
        let began = process.id.exec_ts.max(process.id.start_ts);
        let identity = (process.exe_ino, process.exe_ctime, process.exe_mtime);
        let of_file = || self.of_files.get(&identity).copied().flatten();
        let of_running = || self.of_running.get(&identity).copied().flatten();
        // It, or the process that it was forked from, executed its file before the recording began.
        let is_older = process.id.exec_ts == 0;
        own.or_else(|| is_settled(process.exe_ctime, began).then(of_file).flatten())
            .or_else(|| is_older.then(of_running).flatten())
    }
}

fn learn(files: &mut BTreeMap<Identity, Option<Digest>>, identity: Identity, sha256: Digest) {
    let known = files.entry(identity).or_insert(Some(sha256));
    if *known != Some(sha256) {
        *known = None;
    }
}

/// Whether a file's times tell its contents apart from later ones.
fn is_settled(ctime: u64, executed: u64) -> bool {
    ctime != 0 && ctime.saturating_add(UNSTAMPED_NS) <= executed
}
