//! A running statement: a thread of its own computes, so that whoever waits can be interrupted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use ctrace_query::{Cancel, Param, QueryError, Session};
use pyo3::prelude::*;

use crate::error;

/// How long Ctrl-C may take to be noticed.
const LOOK: Duration = Duration::from_millis(50);

/// Batches that wait to be taken.
const AHEAD: usize = 2;

/// What comes of a statement, in this order.
enum Part {
    Schema(SchemaRef),
    Batch(RecordBatch),
}

/// Why no more comes.
pub(crate) enum Broken {
    /// The statement failed.
    Query(QueryError),
    /// A signal's handler raised an exception, for Ctrl-C `KeyboardInterrupt`.
    Signal(PyErr),
}

impl From<Broken> for PyErr {
    fn from(broken: Broken) -> PyErr {
        match broken {
            Broken::Query(error) => error::of_query(&error),
            Broken::Signal(error) => error,
        }
    }
}

/// A statement that runs; dropped, it is cancelled.
pub(crate) struct Running {
    schema: SchemaRef,
    parts: Receiver<Result<Part, QueryError>>,
    cancel: Cancel,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Running {
    /// Starts a statement and waits until it is clear which columns come.
    pub(crate) fn start(session: Arc<Session>, text: String, params: Vec<(String, Param)>) -> Result<Running, Broken> {
        let (sender, parts) = sync_channel(AHEAD);
        let cancel = Cancel::new();
        let its = cancel.clone();
        let work = move || {
            // Where nobody listens any more, nobody needs the error either.
            if let Err(error) = run(&session, &text, &params, its, &sender) {
                let _ = sender.send(Err(error));
            }
        };
        thread::Builder::new()
            .name("ctrace-query".to_owned())
            .spawn(work)
            .map_err(|e| Broken::Query(e.into()))?;
        // In the struct before the first wait: an interrupted one drops it, and that cancels.
        let mut running = Running {
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            parts,
            cancel,
        };
        if let Some(Part::Schema(schema)) = running.wait()? {
            running.schema = schema;
        }
        Ok(running)
    }

    /// Names and types of its columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows.
    pub(crate) fn next(&self) -> Result<Option<RecordBatch>, Broken> {
        loop {
            match self.wait()? {
                Some(Part::Batch(batch)) => return Ok(Some(batch)),
                Some(Part::Schema(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// All rows.
    pub(crate) fn collect(&self) -> Result<Vec<RecordBatch>, Broken> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next()? {
            batches.push(batch);
        }
        Ok(batches)
    }

    fn wait(&self) -> Result<Option<Part>, Broken> {
        loop {
            match self.parts.recv_timeout(LOOK) {
                Ok(part) => return part.map(Some).map_err(Broken::Query),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => look_for_signals().map_err(Broken::Signal)?,
            }
        }
    }
}

/// Runs a statement; without a receiver it stops.
fn run(
    session: &Session,
    text: &str,
    params: &[(String, Param)],
    cancel: Cancel,
    sender: &SyncSender<Result<Part, QueryError>>,
) -> Result<(), QueryError> {
    let answer = session.sql_with(text, params, cancel)?;
    if sender.send(Ok(Part::Schema(answer.schema().clone()))).is_err() {
        return Ok(());
    }
    for batch in answer {
        if sender.send(Ok(Part::Batch(batch?))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Python runs the handlers of signals in its main thread only. Other threads do not ask: one that holds the interpreter
/// may be waiting for us.
fn look_for_signals() -> PyResult<()> {
    // SAFETY: neither call has preconditions.
    let main = unsafe { libc::gettid() == libc::getpid() };
    if main {
        Python::attach(|py| py.check_signals())
    } else {
        Ok(())
    }
}
