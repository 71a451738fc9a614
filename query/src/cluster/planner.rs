//! What runs on the cluster, what runs here, and what runs on neither.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::catalog::Session;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, not_impl_err};
use datafusion::datasource::listing::ListingTable;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

type Remote = Arc<dyn QueryPlanner + Send + Sync>;

/// Gives Ballista the plans that it can run.
pub(super) struct Planner {
    remote: Remote,
    local: DefaultPhysicalPlanner,
    /// What executors know: neither this program's own functions nor, in Ballista 55, those of arrays.
    known: BallistaFunctionRegistry,
}

impl Planner {
    pub(super) fn new(remote: Remote) -> Planner {
        Planner {
            remote,
            local: DefaultPhysicalPlanner::default(),
            known: BallistaFunctionRegistry::default(),
        }
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planner({:?})", self.remote)
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        if is_local(plan)? {
            return self.local.create_physical_plan(plan, state).await;
        }
        check(plan, &self.known)?;
        self.remote.create_physical_plan(plan, state).await
    }
}

/// Whether a plan reads no table of the data: `SELECT 1`, `DESCRIBE`, `SHOW TABLES`, `EXPLAIN`.
fn is_local(plan: &LogicalPlan) -> Result<bool> {
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(true);
    }
    let mut local = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan.table_name.schema() != Some("information_schema")
        {
            local = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(local)
}

/// Refuses what no executor can run, in one line and before anything is sent.
fn check(plan: &LogicalPlan, known: &BallistaFunctionRegistry) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::RecursiveQuery(query) => {
                return not_impl_err!(
                    "WITH RECURSIVE {} does not run on a cluster: leave out --cluster",
                    query.name
                );
            }
            LogicalPlan::TableScan(scan) if !is_files(scan) => {
                return not_impl_err!(
                    "table {} is not part of the export: a cluster reads nothing else",
                    scan.table_name
                );
            }
            _ => {}
        }
        node.apply_expressions(|e| {
            e.apply(|e| match e {
                Expr::ScalarFunction(call) if !known.scalar_functions.contains_key(call.name()) => not_impl_err!(
                    "{}() is not known to the executors of a cluster: leave out --cluster, or write the condition with \
                     others of DataFusion's functions",
                    call.name()
                ),
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

fn is_files(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| provider.downcast_ref::<ListingTable>().is_some())
}
