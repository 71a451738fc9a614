//! Finds aggregations whose first half a scan can do on dictionary entries: see [`crate::block_groups`] and
//! [`crate::file_groups`].

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column as ColumnExpr, Literal};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use crate::block_groups::{self, Aggregate, Computed, Groups, Key};
use crate::block_scan::BlockScan;
use crate::column::{self, Column, Per};
use crate::file_pushdown::of_files;
use crate::numbering::is_number;

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
    let Some(half) = first_half(aggregate)? else {
        return Ok(None);
    };
    let scan = match scan_below(aggregate.input()) {
        Some(scan) => of_blocks(aggregate, scan, &half)?,
        None => of_files(aggregate, &half)?,
    };
    let Some(scan) = scan else {
        return Ok(None);
    };
    let whole = with_last_half(aggregate, scan)?;
    // What is above may rely on the order of rows that came in order of time: groups of a scan have none.
    Ok(Some(match aggregate.properties().output_ordering() {
        Some(order) => Arc::new(SortExec::new(order.clone(), whole).with_preserve_partitioning(true)),
        None => whole,
    }))
}

/// What the first half of an aggregation gives out; `None` where it is not a half, or not one that a scan can do.
fn first_half(aggregate: &AggregateExec) -> Result<Option<SchemaRef>> {
    let by = aggregate.group_expr();
    if by.has_grouping_set() || aggregate.filter_expr().iter().any(Option::is_some) {
        return Ok(None);
    }
    Ok(match aggregate.mode() {
        AggregateMode::Partial => Some(aggregate.schema()),
        AggregateMode::Single => {
            let half = with_mode(aggregate, AggregateMode::Partial, aggregate.input().clone())?;
            Some(half.schema())
        }
        _ => None,
    })
}

/// Puts the last half over the first one, where the aggregation was whole.
fn with_last_half(aggregate: &AggregateExec, first: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if matches!(aggregate.mode(), AggregateMode::Partial) {
        return Ok(first);
    }
    let last = AggregateExec::try_new(
        AggregateMode::Final,
        aggregate.group_expr().as_final(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        first,
        aggregate.input_schema(),
    )?;
    Ok(Arc::new(last.with_limit_options(aggregate.limit_options())))
}

fn of_blocks(aggregate: &AggregateExec, scan: &BlockScan, half: &SchemaRef) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let by = aggregate.group_expr();
    let column = |expr: &Arc<dyn PhysicalExpr>| scan_column(aggregate.input(), expr);
    let mut keys = Vec::new();
    for (expr, _) in by.expr() {
        match key(aggregate.input(), expr)? {
            Some(key) => keys.push(key),
            None => return Ok(None),
        }
    }
    let global = by.expr().is_empty();
    let functions = aggregate.aggr_expr().iter();
    let aggregates: Option<Vec<Aggregate>> = functions.map(|f| function(f, global, &column)).collect();
    let Some(aggregates) = aggregates.filter(|aggregates| fits(&keys, aggregates, half)) else {
        return Ok(None);
    };
    let schema = half.clone();
    Ok(Some(Arc::new(scan.grouped(Groups {
        keys,
        aggregates,
        schema,
    }))))
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

/// What rows are grouped by; `None` where a scan cannot.
fn key(plan: &Arc<dyn ExecutionPlan>, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Key>> {
    if let Some(column) = scan_column(plan, expr) {
        return Ok(Some(column).filter(block_groups::is_key).map(Key::Column));
    }
    let Some(scan) = scan_below(plan).filter(|_| !is_volatile(expr)) else {
        return Ok(None);
    };
    // Over the columns of the scan.
    let Some(expr) = over_scan(plan, expr)? else {
        return Ok(None);
    };
    let used = collect_columns(&expr);
    let columns: Option<Vec<Column>> = used.iter().map(|c| scan.column(c.index()).cloned()).collect();
    let Some(columns) = columns.filter(|c| !c.is_empty()) else {
        return Ok(None);
    };
    let of_rows = |c: &Column| c.per() == Per::Row && is_number(&c.data_type());
    let schema = column::schema(&columns);
    if !columns.iter().all(of_rows) || !is_number(&expr.data_type(&scan.schema())?) {
        return Ok(None);
    }
    let expr = reassign_expr_columns(expr, &schema)?;
    Ok(Some(Key::Computed(Computed { expr, columns })))
}

/// An expression over a plan's columns as one over those of the scan below.
fn over_scan(plan: &Arc<dyn ExecutionPlan>, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
        return over_scan(cooperative.input(), expr);
    }
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else {
        return Ok(Some(expr.clone()));
    };
    let column = |e: Arc<dyn PhysicalExpr>| {
        let index = e.downcast_ref::<ColumnExpr>().map(ColumnExpr::index);
        match index.and_then(|i| projection.expr().get(i)) {
            Some(below) => Transformed::yes(below.expr.clone()),
            None => Transformed::no(e),
        }
    };
    let below = expr.clone().transform_up(|e| Ok(column(e))).data()?;
    over_scan(projection.input(), &below)
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

pub(crate) fn is_never_null(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let literal = expr.downcast_ref::<Literal>().map(Literal::value);
    literal.is_some_and(|value: &ScalarValue| !value.is_null())
}

/// Whether what the scan computes is what the second half of the aggregation reads.
fn fits(keys: &[Key], aggregates: &[Aggregate], schema: &SchemaRef) -> bool {
    let fields = schema.fields();
    let (before, after) = fields.split_at(keys.len().min(fields.len()));
    before.len() == keys.len()
        && after.len() == aggregates.len()
        && before.iter().zip(keys).all(|(f, key)| match key {
            Key::Column(c) => *f.data_type() == c.data_type(),
            Key::Computed(_) => is_number(f.data_type()),
        })
        && after
            .iter()
            .zip(aggregates)
            .all(|(f, a)| block_groups::fits(a, f.data_type()))
}
