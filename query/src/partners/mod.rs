//! Joins by number that read only rows which have a partner.
//!
//! Where a few rows are joined with events by `seq` (alerts, what a subquery found), the scan of events knows the numbers
//! as soon as the other side of the join was read: a bit for each, in [`Partners`]. Rows of a block are numbered
//! consecutively, so a scan of blocks finds those with a partner without looking at any; a scan of files looks at one
//! bit for each row, where DataFusion looks into a hash table.

mod among;
mod noted;
mod noting;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, NullEquality, Result};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use self::among::Among;
pub(crate) use self::noted::Partners;
use self::noting::Noting;
use crate::block_scan::BlockScan;
use crate::plan_node::with_children;

/// The rule. After those of DataFusion: the filters that joins make are where they belong by then.
#[derive(Debug)]
pub(crate) struct FindPartners;

impl PhysicalOptimizerRule for FindPartners {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let sides = plan.downcast_ref::<HashJoinExec>().map(sides).transpose()?.flatten();
            let Some(sides) = sides else {
                return Ok(Transformed::no(plan));
            };
            with_children(plan, sides).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "FindPartners"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Both sides of a join, the first telling its numbers to the second; `None` where that cannot be.
fn sides(join: &HashJoinExec) -> Result<Option<Vec<Arc<dyn ExecutionPlan>>>> {
    let [(left, right)] = join.on() else { return Ok(None) };
    // Rows of the second side without a partner leave no trace.
    let vanish = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::RightSemi
    );
    let at_once = *join.partition_mode() == PartitionMode::CollectLeft
        && join.left().output_partitioning().partition_count() == 1;
    if !vanish || !at_once || join.null_equality() != NullEquality::NullEqualsNothing {
        return Ok(None);
    }
    let (Some(left), Some(right)) = (left.downcast_ref::<Column>(), right.downcast_ref::<Column>()) else {
        return Ok(None);
    };
    let types = [(join.left(), left), (join.right(), right)].map(|(side, column)| {
        let schema = side.schema();
        schema.fields().get(column.index()).map(|f| f.data_type().clone())
    });
    if types != [Some(DataType::UInt64), Some(DataType::UInt64)] {
        return Ok(None);
    }
    let partners = Arc::new(Partners::default());
    let Some(second) = told(join.right(), right, &partners)? else {
        return Ok(None);
    };
    let first = Noting::new(join.left().clone(), left.index(), partners);
    Ok(Some(vec![Arc::new(first), second]))
}

/// A scan that gives out only rows whose number has a partner.
fn told(
    plan: &Arc<dyn ExecutionPlan>,
    column: &Column,
    partners: &Arc<Partners>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        let scan = told(cooperative.input(), column, partners)?;
        return Ok(scan.map(|scan| Arc::new(CooperativeExec::new(scan)) as Arc<dyn ExecutionPlan>));
    }
    if let Some(scan) = plan.downcast_ref::<BlockScan>() {
        let scan = scan.with_partners(column.index(), partners);
        return Ok(scan.map(|scan| Arc::new(scan) as Arc<dyn ExecutionPlan>));
    }
    let scan = plan.downcast_ref::<DataSourceExec>();
    let Some((config, source)) = scan.and_then(|s| s.downcast_to_file_source::<ParquetSource>()) else {
        return Ok(None);
    };
    files_told(config, source, column, partners)
}

/// Files have a filter of the join's already: it is asked where numbers are not known.
fn files_told(
    config: &FileScanConfig,
    source: &ParquetSource,
    column: &Column,
    partners: &Arc<Partners>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(predicate) = source.filter() else {
        return Ok(None);
    };
    let of_join = |condition: &Arc<dyn PhysicalExpr>| {
        let filter = condition.downcast_ref::<DynamicFilterPhysicalExpr>()?;
        let [key] = PhysicalExpr::children(filter)[..] else {
            return None;
        };
        let key = key.downcast_ref::<Column>()?;
        (key.name() == column.name()).then(|| Among::over(key, condition, partners))
    };
    let mut found = false;
    let conditions = split_conjunction(&predicate).into_iter().map(|condition| {
        let among = of_join(condition).filter(|_| !found);
        found |= among.is_some();
        among.unwrap_or_else(|| condition.clone())
    });
    let predicate = conjunction(conditions.collect::<Vec<_>>());
    if !found {
        return Ok(None);
    }
    let source = Arc::new(source.with_predicate(predicate));
    let config = FileScanConfigBuilder::from(config.clone()).with_source(source).build();
    Ok(Some(DataSourceExec::from_data_source(config)))
}
