//! Finds aggregations whose first half a scan of blocks can do on dictionary entries: see [`crate::block_groups`].

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column as ColumnExpr, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::block_groups::{self, Aggregate, Groups};
use crate::block_scan::BlockScan;
use crate::column::{Column, Per};

/// The rule.
#[derive(Debug)]
pub(crate) struct GroupPushdown;

impl PhysicalOptimizerRule for GroupPushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(
                match node.downcast_ref::<AggregateExec>().map(pushed).transpose()?.flatten() {
                    Some(pushed) => Transformed::yes(pushed),
                    None => Transformed::no(node),
                },
            )
        })
        .data()
    }

    fn name(&self) -> &str {
        "group_pushdown"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregation with its first half done by the scan; `None` where the scan cannot.
fn pushed(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let whole = match aggregate.mode() {
        AggregateMode::Partial => false,
        AggregateMode::Single | AggregateMode::SinglePartitioned => true,
        _ => return Ok(None),
    };
    let by = aggregate.group_expr();
    if by.has_grouping_set() || aggregate.filter_expr().iter().any(Option::is_some) {
        return Ok(None);
    }
    let input = aggregate.input();
    let Some(scan) = scan_below(input) else { return Ok(None) };
    let column = |expr: &Arc<dyn PhysicalExpr>| scan_column(input, expr);
    let keys: Option<Vec<Column>> = by
        .expr()
        .iter()
        .map(|(expr, _)| column(expr).filter(block_groups::is_key))
        .collect();
    let global = by.expr().is_empty();
    let functions = aggregate.aggr_expr().iter();
    let aggregates: Option<Vec<Aggregate>> = functions.map(|f| function(f, global, &column)).collect();
    let (Some(keys), Some(aggregates)) = (keys, aggregates) else {
        return Ok(None);
    };
    let partial = if whole {
        Some(with_mode(aggregate, AggregateMode::Partial, input.clone())?)
    } else {
        None
    };
    let schema = partial.as_ref().map_or_else(|| aggregate.schema(), |p| p.schema());
    if !fits(&keys, &aggregates, &schema) {
        return Ok(None);
    }
    let groups = Groups {
        keys,
        aggregates,
        schema,
    };
    let scan: Arc<dyn ExecutionPlan> = Arc::new(scan.grouped(groups));
    if !whole {
        return Ok(Some(scan));
    }
    let mode = if matches!(aggregate.mode(), AggregateMode::Single) {
        AggregateMode::Final
    } else {
        return Ok(None);
    };
    let last = AggregateExec::try_new(
        mode,
        by.as_final(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        scan,
        aggregate.input_schema(),
    )?;
    Ok(Some(Arc::new(last.with_limit_options(aggregate.limit_options()))))
}

fn with_mode(aggregate: &AggregateExec, mode: AggregateMode, input: Arc<dyn ExecutionPlan>) -> Result<AggregateExec> {
    AggregateExec::try_new(
        mode,
        aggregate.group_expr().clone(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        input,
        aggregate.input_schema(),
    )
}

/// The scan that gives all rows of this plan, perhaps with its columns in another order.
fn scan_below(plan: &Arc<dyn ExecutionPlan>) -> Option<&BlockScan> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return scan_below(projection.input());
    }
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        return scan_below(cooperative.input());
    }
    plan.downcast_ref::<BlockScan>().filter(|scan| scan.gives_rows())
}

/// The column of the scan that this expression over a plan's output stands for.
fn scan_column(plan: &Arc<dyn ExecutionPlan>, expr: &Arc<dyn PhysicalExpr>) -> Option<Column> {
    let index = expr.downcast_ref::<ColumnExpr>()?.index();
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return scan_column(projection.input(), &projection.expr().get(index)?.expr);
    }
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        return scan_column(cooperative.input(), expr);
    }
    plan.downcast_ref::<BlockScan>()?.column(index).cloned()
}

/// What a function computes; `None` where a scan cannot.
fn function(
    function: &AggregateFunctionExpr,
    global: bool,
    column: &impl Fn(&Arc<dyn PhysicalExpr>) -> Option<Column>,
) -> Option<Aggregate> {
    let arguments = function.expressions();
    let [argument] = arguments.as_slice() else { return None };
    let counted = |c: &Column| c.per() != Per::Row;
    let bounded = |c: &Column| matches!(c, Column::Seq | Column::Ts);
    match (function.fun().name(), function.is_distinct()) {
        ("count", false) if is_never_null(argument) => Some(Aggregate::Rows),
        ("count", false) => column(argument).filter(counted).map(Aggregate::Present),
        ("count", true) if global => column(argument).filter(counted).map(Aggregate::Distinct),
        ("min", false) => column(argument).filter(bounded).map(Aggregate::Min),
        ("max", false) => column(argument).filter(bounded).map(Aggregate::Max),
        _ => None,
    }
}

fn is_never_null(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let literal = expr.downcast_ref::<Literal>().map(Literal::value);
    literal.is_some_and(|value: &ScalarValue| !value.is_null())
}

/// Whether what the scan computes is what the second half of the aggregation reads.
fn fits(keys: &[Column], aggregates: &[Aggregate], schema: &SchemaRef) -> bool {
    let fields = schema.fields();
    let (before, after) = fields.split_at(keys.len().min(fields.len()));
    before.len() == keys.len()
        && after.len() == aggregates.len()
        && before.iter().zip(keys).all(|(f, c)| *f.data_type() == c.data_type())
        && after
            .iter()
            .zip(aggregates)
            .all(|(f, a)| block_groups::fits(a, f.data_type()))
}
