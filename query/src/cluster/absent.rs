//! Stands for the cluster in a program that was built without.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::ClusterAddress;
use crate::error::QueryError;

/// Never made.
#[derive(Debug)]
pub(crate) enum Connection {}

impl Connection {
    /// Says that there is none.
    pub(crate) async fn open(address: ClusterAddress) -> Result<Connection, QueryError> {
        let why = "this program was built without feature `cluster`";
        Err(QueryError::Cluster(format!("cluster {address}: {why}")))
    }

    pub(crate) async fn upgrade(&self, _: &SessionContext) -> Result<SessionContext, QueryError> {
        match *self {}
    }

    pub(crate) async fn cancel(&self, _: &Arc<dyn ExecutionPlan>) {
        match *self {}
    }

    pub(crate) async fn failure(&self, _: DataFusionError) -> QueryError {
        match *self {}
    }
}
