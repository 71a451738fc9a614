//! The threads and the queues between them and the recorder.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ctrace_trace::artifact::Artifact;

use super::bpf::Programs;
use super::file::{Identity, Opened};
use super::opener::Opener;
use super::reader::Reader;
use super::running::{self, Past};
use super::store::{Limits, Store};
use super::{Answer, Executed, Request};
use crate::host::stand_back;
use crate::privileges;

/// Requests that may wait to be opened.
const REQUESTS: usize = 1024;
/// Files that are held open and wait to be read.
const HELD: usize = 256;

/// A read that does not come back is not waited for when a recording ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the threads do.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Larger files are not read.
    pub(crate) hash_limit: u64,
    /// The folder of the case and how much to copy into it, if anything.
    pub(crate) collect: Option<(PathBuf, Limits)>,
    /// Whether the folder of the case belongs to somebody else.
    pub(crate) writes_anywhere: bool,
    /// The share of a processor that may be spent on what ran before.
    pub(crate) share: f64,
}

/// The running threads. Dropped, they leave what is still to do.
#[derive(Debug)]
pub(crate) struct Hasher {
    requests: SyncSender<(u64, Request)>,
    answers: Receiver<Answer>,
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<()>>,
    /// For the thread that reads what ran before; it has them then.
    leisure: Option<(Reader, Leisure)>,
}

/// How what ran before is read.
#[derive(Debug)]
struct Leisure {
    collects: bool,
    limit: u64,
    writes_anywhere: bool,
}

/// A request that was not taken: too many wait.
#[derive(Debug)]
pub(crate) struct Refused;

/// What is to be read.
pub(super) struct Job {
    pub(super) request: u64,
    pub(super) artifact: Artifact,
    pub(super) contents: Contents,
    pub(super) collect: bool,
}

/// Where it is read from.
pub(super) enum Contents {
    Executed(Executed, Opened),
    /// A file with the identity that it had when it was opened.
    File(File, Identity),
    Bytes(Vec<u8>),
    /// Nothing more comes of the request.
    End,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where they cannot be started, or there can be no copies in the case.
    pub(crate) fn start(config: Config) -> io::Result<Hasher> {
        let (requests, inbox) = sync_channel(REQUESTS);
        let (small, small_jobs) = sync_channel(HELD);
        let (large, large_jobs) = sync_channel(HELD);
        let (sender, answers) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let store = match &config.collect {
            Some((case, limits)) => Some(Arc::new(Mutex::new(Store::create(case, *limits)?))),
            None => None,
        };
        // Those that are there now are not news.
        let programs = config.collect.is_some().then(Programs::now);
        let collects = config.collect.is_some();
        let mut opener = Opener::new([small, large], sender.clone(), programs, config.hash_limit);
        thread::Builder::new().name("artifact-open".to_owned()).spawn(move || {
            let mut keep = privileges::SEE_PROCESSES | privileges::READ_ALL;
            if collects {
                // Programs of others are had by their numbers, which the kernel grants to nobody with less.
                keep |= privileges::ADMINISTER;
            }
            // Where that is refused it goes on with what it has.
            let _ = privileges::keep_only(keep);
            inbox
                .into_iter()
                .for_each(|(number, request)| opener.take(number, request));
        })?;
        let reader = || Reader::new(sender.clone(), store.clone(), stop.clone());
        let leisure = Leisure {
            collects,
            limit: config.hash_limit,
            writes_anywhere: config.writes_anywhere,
        };
        let leisure = Some((reader().with_share(config.share), leisure));
        let mut readers = Vec::new();
        for (name, jobs, is_patient) in [
            ("artifact-read", small_jobs, false),
            ("artifact-large", large_jobs, true),
        ] {
            let mut reader = reader();
            let writes_anywhere = config.writes_anywhere;
            let run = move || {
                if is_patient {
                    stand_back();
                }
                keep_reading(writes_anywhere);
                jobs.into_iter().for_each(|job| reader.take(job));
            };
            readers.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok(Hasher {
            requests,
            answers,
            stop,
            readers,
            leisure,
        })
    }

    /// Reads the files of processes that ran before; once. Answers come as they do to requests.
    ///
    /// # Errors
    /// Where there can be no thread for it.
    pub(crate) fn read_running(&mut self, all: Vec<Past>) -> io::Result<()> {
        let Some((mut reader, leisure)) = self.leisure.take() else {
            return Ok(());
        };
        let run = move || {
            stand_back();
            keep_reading(leisure.writes_anywhere);
            running::read(all, &mut reader, leisure.collects, leisure.limit);
        };
        let thread = thread::Builder::new().name("artifact-past".to_owned()).spawn(run)?;
        self.readers.push(thread);
        Ok(())
    }

    /// Asks.
    ///
    /// # Errors
    /// Where too much waits already.
    pub(crate) fn ask(&self, number: u64, request: Request) -> Result<(), Refused> {
        self.requests.try_send((number, request)).map_err(|_| Refused)
    }

    /// The next answer, if there is one.
    pub(crate) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// Leaves unread what is still to be read, and waits until nothing is being written any more.
    pub(crate) fn end(self) {
        let Hasher {
            requests,
            answers,
            stop,
            readers,
            leisure,
        } = self;
        stop.store(true, Ordering::Relaxed);
        drop((requests, answers, leisure));
        let begun = Instant::now();
        while !readers.iter().all(JoinHandle::is_finished) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Gives up all privileges of this thread but those that reading files takes. Where that is refused it goes on with what
/// it has.
fn keep_reading(writes_anywhere: bool) {
    let mut keep = privileges::SEE_PROCESSES | privileges::READ_ALL;
    if writes_anywhere {
        keep |= privileges::WRITE_ALL;
    }
    let _ = privileges::keep_only(keep);
}
