//! The second thread: asks the engine about containers while the first one drains events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ctrace_trace::container::Container;

use super::DockerMessage;
use super::client::Client;
use super::outbox::{Outbox, now_ns};

/// How many containers are remembered; more are inspected again whenever they are met.
const MAX_KNOWN: usize = 65_536;

/// What the inspector is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// A container was met. It is inspected when it is not known, or when `changed` says that it changed.
    Look {
        /// What is already known of it, for the case that it is gone.
        fallback: Box<Container>,
        /// Something about it changed.
        changed: bool,
    },
    /// A container ended.
    Ended(String),
    /// A container was removed.
    Removed(String),
    /// The engine is (again) there: compare what runs with what is known to run.
    Reconcile,
}

/// The inspector's state: what was last said about each container.
#[derive(Debug)]
pub(super) struct Inspector {
    client: Client,
    engine: String,
    outbox: Outbox,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    container: Arc<Container>,
    running: bool,
}

impl Inspector {
    pub(super) fn new(client: Client, engine: String, outbox: Outbox) -> Inspector {
        Inspector {
            client,
            engine,
            outbox,
            known: BTreeMap::new(),
        }
    }

    /// Works until the source is stopped or nobody can ask any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while !self.outbox.is_stopped() {
            match jobs.recv_timeout(Duration::from_millis(200)) {
                Ok(job) => self.work(job),
                Err(RecvTimeoutError::Timeout) => self.outbox.report_shed(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Look { fallback, changed } => {
                if changed || !self.known.contains_key(&fallback.id) {
                    self.inspect(&fallback.id.clone(), Some(*fallback));
                }
            }
            Job::Ended(id) => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.running = false;
                }
            }
            Job::Removed(id) => {
                self.known.remove(&id);
            }
            Job::Reconcile => self.reconcile(),
        }
    }

    /// Inspects everything that runs, and reports what ran before the engine went away and does not any more: its end
    /// has no event.
    fn reconcile(&mut self) {
        // The engine went away again: the next connection asks for another reconciliation.
        let Ok(running) = self.client.running() else { return };
        for (id, known) in &mut self.known {
            if known.running && running.binary_search(id).is_err() {
                known.running = false;
                let (at_ns, id) = (now_ns(), id.clone());
                self.outbox.send(DockerMessage::Vanished { at_ns, id });
            }
        }
        for id in running {
            self.inspect(&id, None);
        }
    }

    fn inspect(&mut self, id: &str, fallback: Option<Container>) {
        match self.client.inspect(id, &self.engine) {
            Ok(Some((container, runs))) => {
                if let Some(init) = runs.init {
                    let id = container.id.clone();
                    self.outbox.send(DockerMessage::Init { id, init });
                }
                self.learn(container, runs.running);
            }
            // Gone, or the engine failed to say: what the event said is better than nothing.
            Ok(None) | Err(_) => {
                if let Some(fallback) = fallback.filter(|f| !self.known.contains_key(&f.id)) {
                    self.learn(fallback, false);
                }
            }
        }
    }

    fn learn(&mut self, container: Container, running: bool) {
        if let Some(known) = self.known.get_mut(&container.id)
            && *known.container == container
        {
            known.running = running;
            return;
        }
        let container = Arc::new(container);
        if self.known.len() < MAX_KNOWN || self.known.contains_key(&container.id) {
            let known = Known {
                container: container.clone(),
                running,
            };
            self.known.insert(container.id.clone(), known);
        }
        self.outbox.send(DockerMessage::Container(container));
    }
}
