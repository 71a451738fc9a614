//! Cuts a plan into what the cluster does and what is done here with the rows that it sends.
//!
//! The cluster does what is large: it reads files, filters, groups and joins. Here is done what executors do not know
//! (this program's own functions, those of arrays in Ballista 55), and what Ballista 55 was seen to give wrong rows for:
//! `UNION`, and `LIMIT` below other operators. Recursive queries are done here over tables that the cluster filtered.

use ballista_core::registry::BallistaFunctionRegistry;
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::listing::ListingTable;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, LogicalPlanBuilder, TableScan, TableScanBuilder};

use super::remote::Remote;

/// Replaces the parts that the cluster does by one node each.
pub(super) fn cut(plan: LogicalPlan, known: &BallistaFunctionRegistry) -> Result<LogicalPlan> {
    let plan = plan.transform_up(|node| separate(node, known))?.data;
    let cut = plan.transform_down(|node| {
        if is_for_cluster(&node, known, true)? {
            let remote = Transformed::yes(Remote::node(node));
            return Ok(Transformed {
                tnr: TreeNodeRecursion::Jump,
                ..remote
            });
        }
        Ok(Transformed::no(node))
    })?;
    Ok(cut.data)
}

/// Puts conditions that executors do not know above those that they do.
fn separate(node: LogicalPlan, known: &BallistaFunctionRegistry) -> Result<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Filter(filter) => {
            let all = split_conjunction(&filter.predicate).into_iter().cloned();
            let (theirs, ours): (Vec<Expr>, Vec<Expr>) = all.partition(|e| is_known(e, known));
            let (Some(theirs), Some(ours)) = (conjunction(theirs), conjunction(ours)) else {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            };
            let below = LogicalPlan::Filter(Filter::try_new(theirs, filter.input)?);
            let above = LogicalPlanBuilder::from(below).filter(ours)?.build()?;
            Ok(Transformed::yes(above))
        }
        LogicalPlan::TableScan(scan) if is_file_scan(&scan) && !scan.filters.iter().all(|e| is_known(e, known)) => {
            Ok(Transformed::yes(separate_scan(scan, known)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A scan with the conditions that executors know, under the others.
fn separate_scan(scan: TableScan, known: &BallistaFunctionRegistry) -> Result<LogicalPlan> {
    let schema = scan.source.schema();
    let (theirs, ours): (Vec<Expr>, Vec<Expr>) = scan.filters.into_iter().partition(|e| is_known(e, known));
    let wanted = scan.projection.unwrap_or_else(|| (0..schema.fields().len()).collect());
    let mut columns = wanted.clone();
    for condition in &ours {
        for column in condition.column_refs() {
            let index = schema.index_of(&column.name)?;
            if !columns.contains(&index) {
                columns.push(index);
            }
        }
    }
    let name = scan.table_name;
    let below = TableScanBuilder::new(name.clone(), scan.source)
        .with_projection(Some(columns))
        .with_filters(theirs)
        .build()?;
    let mut above = LogicalPlanBuilder::from(LogicalPlan::TableScan(below));
    for condition in ours {
        above = above.filter(condition)?;
    }
    let fields = wanted.iter().filter_map(|i| schema.fields().get(*i));
    let output: Vec<Expr> = fields.map(|f| Expr::from((Some(&name), f))).collect();
    above.project(output)?.build()
}

/// Whether the cluster can do a plan. `outermost`: nothing is done there with its rows.
fn is_for_cluster(node: &LogicalPlan, known: &BallistaFunctionRegistry, outermost: bool) -> Result<bool> {
    let (fits, outermost) = match node {
        LogicalPlan::TableScan(scan) => (is_file_scan(scan) && (outermost || scan.fetch.is_none()), false),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => (true, outermost),
        LogicalPlan::Limit(_) => (outermost, outermost),
        // All rows come here anyway; only the first few are worth finding there.
        LogicalPlan::Sort(sort) => (outermost && sort.fetch.is_some(), false),
        LogicalPlan::Filter(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) => (true, false),
        LogicalPlan::Window(window) => (window.window_expr.iter().all(is_partitioned), false),
        _ => (false, false),
    };
    if !fits {
        return Ok(false);
    }
    let mut all_known = true;
    node.apply_expressions(|e| {
        all_known = all_known && is_known(e, known);
        Ok(TreeNodeRecursion::Continue)
    })?;
    for input in node.inputs() {
        all_known = all_known && is_for_cluster(input, known, outermost)?;
    }
    Ok(all_known)
}

/// Whether a window function looks at parts of the rows, which can be on several machines.
fn is_partitioned(e: &Expr) -> bool {
    match e {
        Expr::Alias(alias) => is_partitioned(&alias.expr),
        Expr::WindowFunction(window) => !window.params.partition_by.is_empty(),
        _ => false,
    }
}

/// Whether executors know what an expression computes.
fn is_known(e: &Expr, known: &BallistaFunctionRegistry) -> bool {
    let unknown = e.exists(|e| {
        Ok(match e {
            Expr::ScalarFunction(call) => !known.scalar_functions.contains_key(call.name()),
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::OuterReferenceColumn(..) => true,
            _ => false,
        })
    });
    // Looking fails never; an expression that cannot be looked at stays here.
    !unknown.unwrap_or(true)
}

fn is_file_scan(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| provider.downcast_ref::<ListingTable>().is_some())
}
