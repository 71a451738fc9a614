//! Stands for the cluster in a program that was built without.

use datafusion::common::DataFusionError;
use datafusion::prelude::SessionContext;

use super::ClusterAddress;
use crate::error::QueryError;

/// Never made.
#[derive(Debug)]
pub(crate) enum Connection {}

impl Connection {
    /// Says that there is none.
    #[expect(clippy::unused_async, reason = "the one that connects waits")]
    pub(crate) async fn open(address: ClusterAddress) -> Result<Connection, QueryError> {
        let why = "this program was built without feature `cluster`";
        Err(QueryError::Cluster(format!("cluster {address}: {why}")))
    }

    pub(crate) fn upgrade(&self, _: &SessionContext) -> Result<SessionContext, QueryError> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the one that connects waits")]
    pub(crate) async fn failure(&self, _: DataFusionError) -> QueryError {
        match *self {}
    }
}
