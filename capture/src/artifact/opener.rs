//! Opens files at once, before processes end and names go, and reads none of them.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::mpsc::{Sender, SyncSender};

use ctrace_trace::artifact::{Artifact, ArtifactKind};

use super::bpf::Programs;
use super::file::{Identity, is_inode, of_descriptor};
use super::threads::{Contents, Job};
use super::{Answer, Executed, Place, Request};

/// Descriptors of modules that are held for the events that ask for them.
const MODULES: usize = 16;

/// Files up to this size are read at once, as long as their processes are likely to live: that takes a millisecond.
const SMALL: u64 = 2 << 20;

/// A file with the identity and size that it had when it was opened.
type Held = (File, Identity, u64);

/// Opens what is asked for.
pub(super) struct Opener {
    small: SyncSender<Job>,
    large: SyncSender<Job>,
    answers: Sender<Answer>,
    /// Newest first, by process.
    held: VecDeque<(u32, Held)>,
    /// Where programs are asked for.
    programs: Option<Programs>,
    /// Larger files are not read.
    limit: u64,
}

impl Opener {
    pub(super) fn new(
        [small, large]: [SyncSender<Job>; 2],
        answers: Sender<Answer>,
        programs: Option<Programs>,
        limit: u64,
    ) -> Opener {
        Opener {
            small,
            large,
            answers,
            held: VecDeque::new(),
            programs,
            limit,
        }
    }

    pub(super) fn take(&mut self, number: u64, request: Request) {
        match request {
            Request::Executed(executed) => self.executed(number, executed),
            Request::Hold { pid, fd } => {
                if let Some(file) = of_descriptor(pid, fd) {
                    self.held.truncate(MODULES - 1);
                    self.held.push_front((pid, file));
                }
            }
            Request::Module { place, path, dev, ino } => self.module(number, place, path, (dev, ino)),
            Request::Programs { until_ns } => self.programs(number, until_ns),
        }
    }

    fn executed(&self, request: u64, executed: Executed) {
        let identity = executed.identity;
        let mut artifact = Artifact {
            kind: executed.how.kind(),
            path: executed.path.clone(),
            ..described(&identity)
        };
        match executed.open() {
            Ok(opened) => {
                artifact.size = Some(opened.size);
                self.pass(Job {
                    request,
                    artifact,
                    collect: executed.collect,
                    contents: Contents::Executed(executed, opened),
                });
            }
            Err(reason) => self.tell(request, Artifact { reason, ..artifact }, false),
        }
    }

    fn module(&mut self, request: u64, place: Place, path: Vec<u8>, wanted: (u64, u64)) {
        let is_it = |(pid, (file, identity, _)): &(u32, Held)| {
            *pid == place.pid && is_inode(file, identity, wanted.0, wanted.1)
        };
        let at = self.held.iter().position(is_it);
        let held = at.and_then(|at| self.held.remove(at)).map(|(_, file)| file);
        let artifact = |identity: &Identity| Artifact {
            kind: ArtifactKind::Module,
            path: path.clone(),
            ..described(identity)
        };
        match held.or_else(|| place.find(&path, wanted.0, wanted.1)) {
            Some((file, identity, size)) => self.pass(Job {
                request,
                artifact: Artifact {
                    size: Some(size),
                    ..artifact(&identity)
                },
                contents: Contents::File(file, identity),
                collect: true,
            }),
            None => {
                let identity = Identity {
                    dev: wanted.0,
                    ino: wanted.1,
                    ..Identity::default()
                };
                let reason = "the file was gone before it could be read".to_owned();
                self.tell(
                    request,
                    Artifact {
                        reason,
                        ..artifact(&identity)
                    },
                    true,
                );
            }
        }
    }

    fn programs(&mut self, request: u64, until_ns: u64) {
        let found = self.programs.as_mut().map(|p| p.take(until_ns)).unwrap_or_default();
        let artifact = |id: u32, name: Vec<u8>| Artifact {
            kind: ArtifactKind::BpfProgram,
            path: name,
            id: id.into(),
            ..Artifact::default()
        };
        if found.is_empty() {
            let reason = "it was gone before it could be read, or was told of with another one".to_owned();
            self.tell(
                request,
                Artifact {
                    reason,
                    ..artifact(0, Vec::new())
                },
                true,
            );
        }
        for program in found {
            let artifact = artifact(program.id, program.name);
            match program.code {
                Ok(code) => self.pass(Job {
                    request,
                    artifact: Artifact {
                        size: Some(code.len() as u64),
                        ..artifact
                    },
                    contents: Contents::Bytes(code),
                    collect: true,
                }),
                Err(reason) => self.tell(request, Artifact { reason, ..artifact }, true),
            }
        }
        // Behind all of them, which are in the same queue however large they are.
        let _ = self.small.send(Job {
            request,
            artifact: Artifact::default(),
            contents: Contents::End,
            collect: false,
        });
    }

    fn pass(&self, job: Job) {
        let size = job.artifact.size.unwrap_or(0);
        if size > self.limit {
            let reason = format!("larger than the limit of {} bytes", self.limit);
            return self.tell(job.request, Artifact { reason, ..job.artifact }, true);
        }
        let is_small = size <= SMALL || matches!(job.contents, Contents::Bytes(_));
        let queue = if is_small { &self.small } else { &self.large };
        // Waits for room: meanwhile requests wait, and their number is bounded too.
        let _ = queue.send(job);
    }

    fn tell(&self, request: u64, artifact: Artifact, is_final: bool) {
        let _ = self.answers.send(Answer {
            request,
            artifact: Some(artifact),
            is_final,
        });
    }
}

pub(super) fn described(identity: &Identity) -> Artifact {
    Artifact {
        dev: identity.dev,
        ino: identity.ino,
        ctime: identity.ctime,
        mtime: identity.mtime,
        ..Artifact::default()
    }
}
