//! The files of processes that ran before the recording began.

use std::sync::{Arc, OnceLock};

use ctrace_trace::artifact::{Artifact, ArtifactKind};
use ctrace_trace::process::exe_flag;
use hashbrown::HashSet;

use super::{Actor, Artifacts, Asked};
use crate::artifact::{Identity, Past};
use crate::resolver::Resolver;

/// Different files that are read.
const MAX_PAST: usize = 4096;

impl Artifacts {
    /// Has the files read of processes that ran before, each once.
    pub(in crate::recorder) fn begin(&mut self, processes: Vec<u32>, resolver: &Resolver) {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for image in processes.into_iter().filter_map(|pid| resolver.image_of(pid)) {
            let file = (image.exe_ino, image.exe_ctime, image.exe_mtime, image.exe_path.clone());
            if image.exe_ino == 0 || image.exec_ts != 0 || all.len() >= MAX_PAST || !seen.insert(file) {
                continue;
            }
            self.numbers += 1;
            all.push(Past {
                request: self.numbers,
                pid: image.pid,
                path: image.exe_path.clone(),
                is_memfd: image.exe_flags & exe_flag::MEMFD != 0,
                is_deleted: image.exe_flags & exe_flag::DELETED != 0,
            });
            let about = Artifact {
                kind: ArtifactKind::Running,
                ..Artifact::default()
            };
            let actor = Arc::new(OnceLock::from(image));
            let identity = None;
            self.asked.insert(self.numbers, Asked { identity, actor, about });
        }
        if let Some(hasher) = &mut self.hasher
            && hasher.read_running(all).is_ok()
        {
            return;
        }
        self.forget_past();
    }

    /// What ran before is not waited for, and not told where it was not read.
    pub(super) fn forget_past(&mut self) {
        self.asked.retain(|_, asked| asked.about.kind != ArtifactKind::Running);
    }

    /// A file that ran before.
    pub(super) fn remember(&mut self, artifact: Artifact, is_final: bool, actor: Actor) {
        self.past.push((artifact.clone(), actor.clone()));
        let identity = Identity {
            dev: artifact.dev,
            ino: artifact.ino,
            ctime: artifact.ctime,
            mtime: artifact.mtime,
        };
        if self.known.contains_key(&identity) {
            self.found.push_back((artifact, actor));
        } else {
            self.learn(Some(identity), artifact, is_final, actor);
        }
    }
}
