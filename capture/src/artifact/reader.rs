//! Reads what is open: digest and copy in one pass.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ctrace_trace::artifact::Artifact;
use ctrace_trace::segment::{Digest, Hex};
use sha2::{Digest as _, Sha256};

use super::file::{Identity, Opened, Proof};
use super::store::{Copy, Store};
use super::threads::{Contents, Job};
use super::ticks::{is_past, stamp_now};
use super::{Answer, Executed};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// The thread's state.
#[derive(Debug)]
pub(super) struct Reader {
    answers: Sender<Answer>,
    store: Option<Arc<Mutex<Store>>>,
    stop: Arc<AtomicBool>,
    buffer: Vec<u8>,
    /// The share of a processor that reading may take, where there is time enough.
    share: Option<f64>,
}

/// What came of reading.
enum Outcome {
    /// Everything was read; with a copy, or the reason why there is none, where one was wanted.
    Whole(Digest, Option<Result<Copy, String>>),
    /// Why not.
    Failed(String),
}

impl Reader {
    pub(super) fn new(answers: Sender<Answer>, store: Option<Arc<Mutex<Store>>>, stop: Arc<AtomicBool>) -> Reader {
        Reader {
            answers,
            store,
            stop,
            buffer: vec![0; CHUNK],
            share: None,
        }
    }

    /// The same, which takes its time.
    pub(super) fn with_share(self, share: f64) -> Reader {
        Reader {
            share: Some(share),
            ..self
        }
    }

    pub(super) fn take(&mut self, job: Job) {
        let (request, collect) = (job.request, job.collect);
        let (artifact, is_final) = match job.contents {
            Contents::Executed(executed, opened) => self.executed(job.artifact, &executed, opened, collect),
            Contents::File(file, identity) => (self.file(job.artifact, file, &identity), true),
            Contents::Bytes(bytes) => {
                let outcome = self.read(&mut bytes.as_slice(), bytes.len() as u64, collect);
                (self.settle(job.artifact, outcome, Proof::Same), true)
            }
            Contents::End => return self.tell(request, None, true),
        };
        self.tell(request, Some(artifact), is_final);
    }

    pub(super) fn tell(&self, request: u64, artifact: Option<Artifact>, is_final: bool) {
        let _ = self.answers.send(Answer {
            request,
            artifact,
            is_final,
        });
    }

    fn executed(
        &mut self,
        artifact: Artifact,
        executed: &Executed,
        mut opened: Opened,
        collect: bool,
    ) -> (Artifact, bool) {
        // Until the clock has ticked it may be written again and have the same identity.
        let is_old = is_past(executed.identity.ctime, stamp_now());
        let outcome = self.read(&mut opened.file, opened.size, collect);
        let proof = executed.proof(&opened);
        let is_final = is_old && matches!(proof, Proof::Same) && matches!(outcome, Outcome::Whole(..));
        (self.settle(artifact, outcome, proof), is_final)
    }

    fn file(&mut self, artifact: Artifact, mut file: File, identity: &Identity) -> Artifact {
        let outcome = self.read(&mut file, artifact.size.unwrap_or(0), true);
        let same = Identity::of(&file).is_ok_and(|(now, _)| now == *identity);
        self.settle(artifact, outcome, if same { Proof::Same } else { Proof::Changed })
    }

    /// Reads to the end, which must be where it was announced: a file that grew is another one.
    fn read(&mut self, from: &mut dyn Read, size: u64, collect: bool) -> Outcome {
        let store = self.store.as_ref().filter(|_| collect);
        let mut copy = store.map(|store| store.lock().unwrap_or_else(PoisonError::into_inner).begin(size));
        let mut hash = Sha256::new();
        let end = self.each_chunk(from, size, &mut |bytes| {
            hash.update(bytes);
            if let Some(Ok(file)) = &mut copy
                && let Err(reason) = file.write(bytes)
                && let Some(Ok(unfinished)) = copy.replace(Err(reason))
            {
                // Dropped with its room: the name goes below, with those of all that is not finished.
                unfinished.discard();
            }
        });
        match end {
            Ok(()) => Outcome::Whole(hash.finalize().into(), copy),
            Err(reason) => {
                if let Some(Ok(unfinished)) = copy {
                    unfinished.discard();
                }
                Outcome::Failed(reason)
            }
        }
    }

    fn each_chunk(&mut self, from: &mut dyn Read, size: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        let mut left = size;
        loop {
            if self.is_stopped() {
                return Err("the recording ended before it was read".to_owned());
            }
            let begun = Instant::now();
            match from.read(&mut self.buffer) {
                Ok(0) if left == 0 => return Ok(()),
                Ok(n) if n > 0 && n as u64 <= left => {
                    each(self.buffer.get(..n).unwrap_or_default());
                    left -= n as u64;
                    self.rest(begun.elapsed());
                }
                Ok(_) => return Err("its size changed while it was read".to_owned()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(format!("it could not be read: {e}")),
            }
        }
    }

    /// Whether nothing is to be read any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Lets the processor alone for what a piece of work took of it.
    fn rest(&self, took: Duration) {
        /// A disk that is slow, or a processor that others have, is no reason to wait for long.
        const LONGEST: Duration = Duration::from_millis(200);
        if let Some(share) = self.share {
            thread::sleep(took.mul_f64(1.0 / share - 1.0).min(LONGEST));
        }
    }

    /// Says what was read, as far as it is certain.
    fn settle(&self, artifact: Artifact, outcome: Outcome, proof: Proof) -> Artifact {
        let (sha256, copy) = match outcome {
            Outcome::Whole(sha256, copy) => (sha256, copy),
            Outcome::Failed(reason) => return Artifact { reason, ..artifact },
        };
        let kept = copy.map(|copy| self.keep(copy, &sha256));
        let mut artifact = Artifact {
            copy: matches!(kept, Some(Ok(()))).then_some(sha256),
            copy_reason: kept.and_then(Result::err).unwrap_or_default(),
            ..artifact
        };
        match proof {
            Proof::Same => artifact.sha256 = Some(sha256),
            Proof::Memory => {
                artifact.sha256 = Some(sha256);
                artifact.reason = "memory as it was when it was read: it may be written while it runs".to_owned();
            }
            Proof::None => {
                let found = Hex(&sha256);
                artifact.reason = format!(
                    "written just before it ran, and the process had ended: what was found then, {found}, may be newer"
                );
            }
            Proof::Touched => {
                let found = Hex(&sha256);
                artifact.reason = format!(
                    "its inode was changed after it was opened, as it is when a name is removed: its contents were {found}, if its times are true"
                );
            }
            Proof::Changed => artifact.reason = "it was changed while it was read".to_owned(),
        }
        artifact
    }

    fn keep(&self, copy: Result<Copy, String>, sha256: &Digest) -> Result<(), String> {
        match &self.store {
            Some(store) => store
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .finish(copy?, sha256),
            None => Ok(()),
        }
    }
}
