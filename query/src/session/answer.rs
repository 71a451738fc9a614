//! The result of a statement, computed ahead of its reader.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Session;
use crate::cancel::Cancel;
use crate::error::QueryError;

/// A result is computed this many batches ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// The result of a statement, batch by batch.
pub struct Answer<'s> {
    session: &'s Session,
    cancel: Cancel,
    schema: SchemaRef,
    batches: mpsc::Receiver<datafusion::common::Result<RecordBatch>>,
    plan: Arc<dyn ExecutionPlan>,
    task: JoinHandle<()>,
    /// Nothing more comes.
    ended: bool,
}

impl<'s> Answer<'s> {
    /// Begins to compute the rows of a plan that was started.
    pub(super) fn of(
        session: &'s Session,
        cancel: Cancel,
        mut stream: SendableRecordBatchStream,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Answer<'s> {
        let schema = stream.schema();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        // In a task of its own: an operator that computes for long without a pause must not keep the caller from
        // cancelling.
        let task = session.handle.spawn(async move {
            while let Some(batch) = stream.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
        });
        Answer {
            session,
            cancel,
            schema,
            batches,
            plan,
            task,
            ended: false,
        }
    }

    /// Names and types of its columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl Iterator for Answer<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let handle = &self.session.handle;
        match handle.block_on(self.cancel.or(self.batches.recv())) {
            Ok(Some(batch)) => Some(batch.map_err(|e| self.session.failure(e))),
            Ok(None) => {
                self.ended = true;
                // A task that broke off must not look like one that is done.
                let broken = handle.block_on(&mut self.task).err();
                broken.map(|e| Err(QueryError::Internal(e.to_string())))
            }
            Err(cancelled) => {
                self.ended = true;
                Some(Err(cancelled))
            }
        }
    }
}

impl Drop for Answer<'_> {
    /// Stops what is not needed any more.
    fn drop(&mut self) {
        let unread = !self.task.is_finished();
        self.task.abort();
        if let Some(cluster) = &self.session.cluster
            && unread
        {
            self.session.handle.block_on(cluster.cancel(&self.plan));
        }
    }
}
