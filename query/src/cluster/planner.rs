//! Plans a statement that runs on a cluster.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use super::cut::cut;
use super::remote::RemotePlanner;

/// Gives Ballista the parts of a plan that it can do, and plans the rest for this process.
pub(super) struct Planner {
    here: DefaultPhysicalPlanner,
    known: BallistaFunctionRegistry,
}

impl Planner {
    /// With Ballista's own planner for its parts.
    pub(super) fn new(ballista: Arc<dyn QueryPlanner + Send + Sync>) -> Planner {
        Planner {
            here: DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(RemotePlanner(ballista))]),
            known: BallistaFunctionRegistry::default(),
        }
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planner")
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = cut(plan.clone(), &self.known)?;
        self.here.create_physical_plan(&plan, state).await
    }
}
