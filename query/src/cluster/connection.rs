//! The way to a scheduler: whether it is there, and what an error of a statement means.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK;
use ballista_core::execution_plans::DistributedQueryExec;
use ballista_core::extension::{SessionConfigExt, SessionStateExt};
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{CancelJobParams, RemoveSessionParams};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion_proto::protobuf::LogicalPlanNode;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ClusterAddress;
use super::planner::Planner;
use crate::error::{QueryError, line, of_values};

/// A scheduler that does not answer within this time is not there. Longer than a busy one needs.
const PATIENCE: Duration = Duration::from_secs(15);

/// An executor takes up work within this time, unless all are busy.
const UPTAKE: Duration = Duration::from_secs(60);

/// A connection on which nothing comes is asked this often whether the other end still lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A cluster that answered when the session was opened.
#[derive(Debug)]
pub(crate) struct Connection {
    address: ClusterAddress,
}

impl Connection {
    /// Asks whether a scheduler is there.
    pub(crate) async fn open(address: ClusterAddress) -> Result<Connection, QueryError> {
        let connection = Connection { address };
        match connection.probe().await {
            Ok(()) => Ok(connection),
            Err(why) => Err(connection.error(&why)),
        }
    }

    /// Has the statements of a context run on the cluster. Functions are those that executors know.
    ///
    /// Ballista 55 hands sorted rows of one stage to the next as if they still were sorted, where a task reads more than one
    /// part of its input and writes them behind each other: `GROUP BY` over the sorted files of an export then gives rows in
    /// a wrong order. Each of two settings prevents it: a task for each part, and files that are not known to be sorted.
    ///
    /// # Errors
    /// Where no executor takes up work: a scheduler would let a statement wait for one for ever.
    pub(crate) async fn upgrade(&self, context: &SessionContext) -> Result<SessionContext, QueryError> {
        let state = context.state().upgrade_for_ballista(self.address.url())?;
        self.try_out(SessionContext::new_with_state(state.clone())).await?;
        let mut config = state
            .config()
            .clone()
            .set_usize(BALLISTA_SCHEDULER_MAX_PARTITIONS_PER_TASK, 1);
        config.options_mut().execution.collect_statistics = false;
        config = config.with_ballista_override_create_grpc_client_endpoint(Arc::new(|endpoint| {
            Ok(endpoint
                .connect_timeout(PATIENCE)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(PATIENCE)
                .keep_alive_while_idle(true))
        }));
        let planner = Planner::new(state.query_planner().clone());
        let state = SessionStateBuilder::new_from_existing(state)
            .with_config(config)
            .with_query_planner(Arc::new(planner))
            .build();
        Ok(SessionContext::new_with_state(state))
    }

    /// Has the cluster do next to nothing.
    async fn try_out(&self, cluster: SessionContext) -> Result<(), QueryError> {
        let work = async { cluster.sql("SELECT 1").await?.collect().await };
        match timeout(UPTAKE, work).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failure(error).await),
            Err(_) => Err(self.error(&format!(
                "no executor took up work within {} s: there is none, or all are busy",
                UPTAKE.as_secs()
            ))),
        }
    }

    /// Stops what the cluster does for a plan whose rows nobody wants any more.
    pub(crate) async fn cancel(&self, plan: &Arc<dyn ExecutionPlan>) {
        let mut jobs = Vec::new();
        let all = plan.apply(|node| {
            let part = node.downcast_ref::<DistributedQueryExec<LogicalPlanNode>>();
            jobs.extend(part.and_then(DistributedQueryExec::job_id));
            Ok(TreeNodeRecursion::Continue)
        });
        let cancel = async {
            let mut scheduler = SchedulerGrpcClient::connect(self.address.url()).await.ok()?;
            for job in jobs {
                let job_id = job.to_string();
                scheduler.cancel_job(CancelJobParams { job_id }).await.ok()?;
            }
            Some(())
        };
        if all.is_ok() {
            // Where the scheduler is gone there is nothing to stop.
            timeout(PATIENCE, cancel).await.ok();
        }
    }

    /// What an error of a statement means. Ballista tells all of them as text: whether the scheduler is still there is asked
    /// anew.
    pub(crate) async fn failure(&self, error: DataFusionError) -> QueryError {
        if let Err(why) = self.probe().await {
            return self.error(&format!("went away while the statement ran: {why}"));
        }
        match QueryError::from(error) {
            QueryError::Statement(message) | QueryError::Internal(message) => match of_values(&message) {
                // It would be no better anywhere else: the statement is wrong, not the cluster.
                Some(mistake) => QueryError::Statement(mistake),
                None => self.error(&message),
            },
            other => other,
        }
    }

    fn error(&self, why: &str) -> QueryError {
        QueryError::Cluster(format!("cluster {}: {why}", self.address))
    }

    /// Connects and asks something that changes nothing.
    async fn probe(&self) -> Result<(), String> {
        let late = |_| format!("no answer within {} s", PATIENCE.as_secs());
        let connect = timeout(PATIENCE, TcpStream::connect(self.address.to_string()));
        connect.await.map_err(late)?.map_err(|e| line(&e))?;
        let ask = async {
            let mut scheduler = SchedulerGrpcClient::connect(self.address.url()).await.ok()?;
            let nobody = RemoveSessionParams {
                session_id: "ctrace".to_owned(),
            };
            scheduler.remove_session(nobody).await.ok()
        };
        let answer = timeout(PATIENCE, ask).await.map_err(late)?;
        answer
            .map(|_| ())
            .ok_or_else(|| "what listens there is no Ballista scheduler".to_owned())
    }
}
