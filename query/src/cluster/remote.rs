//! A part of a plan that the cluster does, as a node of the plan that is done here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

/// The part.
#[derive(Debug, PartialEq, Eq, PartialOrd, Hash)]
pub(super) struct Remote {
    plan: LogicalPlan,
}

impl Remote {
    /// The part as a node.
    pub(super) fn node(plan: LogicalPlan) -> LogicalPlan {
        let node = Arc::new(Remote { plan });
        LogicalPlan::Extension(Extension { node })
    }
}

impl UserDefinedLogicalNodeCore for Remote {
    fn name(&self) -> &str {
        "Cluster"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        self.plan.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Cluster")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Remote> {
        let plan = self.plan.clone();
        Ok(Remote { plan })
    }
}

/// Has Ballista plan the parts.
pub(super) struct RemotePlanner(pub(super) Arc<dyn QueryPlanner + Send + Sync>);

#[async_trait]
impl ExtensionPlanner for RemotePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        _: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        match node.as_any().downcast_ref::<Remote>() {
            Some(remote) => self.0.create_physical_plan(&remote.plan, session).await.map(Some),
            None => Ok(None),
        }
    }
}
