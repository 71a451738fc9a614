//! Cancelling what a session does, from another thread.

use std::future::Future;

use tokio::sync::watch;

use crate::error::QueryError;

/// Cancels a running statement.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Sender<bool>);

impl Default for Cancel {
    fn default() -> Cancel {
        Cancel::new()
    }
}

impl Cancel {
    /// Nothing is cancelled yet.
    pub fn new() -> Cancel {
        Cancel(watch::Sender::new(false))
    }

    /// Cancels; the statement ends with [`QueryError::Cancelled`]. Without a running statement nothing happens.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    pub(crate) fn reset(&self) {
        self.0.send_replace(false);
    }

    /// Waits for work, or for the cancelling of it.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, QueryError> {
        let mut receiver = self.0.subscribe();
        tokio::select! {
            biased;
            _ = receiver.wait_for(|cancelled| *cancelled) => Err(QueryError::Cancelled),
            done = work => Ok(done),
        }
    }
}
