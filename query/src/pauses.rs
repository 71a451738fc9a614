//! Joins that let go of their thread now and then. DataFusion makes scans do that, but a join of everything with
//! everything gives rows for hours from what it scanned once: cancelled, it would keep all threads and the session with
//! them.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};

/// Puts a pause behind each join of everything with everything.
#[derive(Debug)]
pub(crate) struct PausingJoins;

impl PhysicalOptimizerRule for PausingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let pauses = plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>();
            Ok(if pauses {
                Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>)
            } else {
                Transformed::no(plan)
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "PausingJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
