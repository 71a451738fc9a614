//! What of an aggregation a scan of Parquet files can do on dictionaries: see [`crate::file_groups`].

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, projection::ProjectionExprs};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::file_groups::{Computed, FileGroups, Key, Request, Wanted, is_text};
use crate::group_pushdown::is_never_null;
use crate::numbering::is_number;

/// The first half of an aggregation over files of this machine; `None` where it is nothing of the kind, or little is
/// gained.
pub(crate) fn of_files(aggregate: &AggregateExec, half: &SchemaRef) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(below) = Below::of(aggregate.input())? else {
        return Ok(None);
    };
    let global = aggregate.group_expr().expr().is_empty();
    let mut keys = Vec::new();
    for (expr, _) in aggregate.group_expr().expr() {
        match below.key(expr)? {
            Some(key) => keys.push(key),
            None => return Ok(None),
        }
    }
    let functions = aggregate.aggr_expr().iter();
    let wanted = functions
        .map(|f| below.wanted(f, global))
        .collect::<Result<Option<Vec<_>>>>()?;
    let Some(wanted) = wanted.filter(|wanted| below.fits(&keys, wanted, half)) else {
        return Ok(None);
    };
    let (table, predicate) = (below.table.clone(), below.source.filter());
    let request = Request::new(keys, wanted, predicate, table, half.clone())?;
    let files = below.config.file_groups.clone();
    Ok(request
        .filter(Request::gains)
        .map(|request| Arc::new(FileGroups::new(request, files)) as Arc<dyn ExecutionPlan>))
}

/// A scan of files that gives all rows of a plan, perhaps with other columns.
struct Below<'p> {
    config: &'p FileScanConfig,
    source: &'p ParquetSource,
    /// The plan's columns, over those of the table.
    columns: Vec<Arc<dyn PhysicalExpr>>,
    /// The table's columns, without those that are names of folders.
    table: SchemaRef,
}

impl<'p> Below<'p> {
    fn of(plan: &'p Arc<dyn ExecutionPlan>) -> Result<Option<Below<'p>>> {
        if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
            return Below::of(cooperative.input());
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let Some(mut below) = Below::of(projection.input())? else {
                return Ok(None);
            };
            let columns = projection.expr().iter().map(|e| below.over_table(&e.expr));
            below.columns = columns.collect::<Result<_>>()?;
            return Ok(Some(below));
        }
        let scan = plan.downcast_ref::<DataSourceExec>();
        let Some((config, source)) = scan.and_then(|s| s.downcast_to_file_source::<ParquetSource>()) else {
            return Ok(None);
        };
        if config.limit.is_some() || config.object_store_url != ObjectStoreUrl::local_filesystem() {
            return Ok(None);
        }
        let projection = source.projection().map(ProjectionExprs::expr_iter);
        Ok(projection.map(|columns| Below {
            config,
            source,
            columns: columns.collect(),
            table: config.file_schema().clone(),
        }))
    }

    /// An expression over the plan's columns as one over the table's.
    fn over_table(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let column = |e: Arc<dyn PhysicalExpr>| match e.downcast_ref::<Column>() {
            Some(column) => match self.columns.get(column.index()) {
                Some(expr) => Transformed::yes(expr.clone()),
                None => Transformed::no(e),
            },
            None => Transformed::no(e),
        };
        // Upwards: what was put in is not looked at again.
        expr.clone().transform_up(|e| Ok(column(e))).data()
    }

    /// The column that an expression is, unless it is the name of a folder.
    fn column(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<usize>> {
        let expr = self.over_table(expr)?;
        let index = expr.downcast_ref::<Column>().map(Column::index);
        Ok(index.filter(|index| *index < self.table.fields().len()))
    }

    fn key(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Key>> {
        if let Some(column) = self.column(expr)? {
            let field = self.table.field(column);
            // Almost every row has its own: there are no groups to be made.
            let own = matches!(field.name().as_str(), "seq" | "ts");
            let ty = field.data_type();
            return Ok((is_text(ty) || is_number(ty) && !own).then_some(Key::Column(column)));
        }
        let expr = self.over_table(expr)?;
        let columns = collect_columns(&expr);
        let numbers = |c: &Column| {
            self.table
                .fields()
                .get(c.index())
                .is_some_and(|f| is_number(f.data_type()))
        };
        let there = !columns.is_empty() && columns.iter().all(numbers) && !is_volatile(&expr);
        if !there || !is_number(&expr.data_type(&self.table)?) {
            return Ok(None);
        }
        Computed::new(&expr, &self.table).map(|c| Some(Key::Computed(c)))
    }

    fn wanted(&self, function: &AggregateFunctionExpr, global: bool) -> Result<Option<Wanted>> {
        let arguments = function.expressions();
        let [argument] = arguments.as_slice() else {
            return Ok(None);
        };
        let (name, distinct) = (function.fun().name(), function.is_distinct());
        if (name, distinct) == ("count", false) && is_never_null(argument) {
            return Ok(Some(Wanted::Rows));
        }
        let Some(column) = self.column(argument)? else {
            return Ok(None);
        };
        let ty = self.table.field(column).data_type();
        Ok(match (name, distinct) {
            ("count", false) => (is_text(ty) || is_number(ty)).then_some(Wanted::Present(column)),
            ("count", true) => (global && is_text(ty)).then_some(Wanted::Distinct(column)),
            ("min", false) => is_number(ty).then_some(Wanted::Min(column)),
            ("max", false) => is_number(ty).then_some(Wanted::Max(column)),
            _ => None,
        })
    }

    /// Whether what files give is what the second half of the aggregation reads.
    fn fits(&self, keys: &[Key], wanted: &[Wanted], half: &Schema) -> bool {
        let ty = |column: usize| self.table.field(column).data_type();
        let fields = half.fields();
        let (before, after) = fields.split_at(keys.len().min(fields.len()));
        before.len() == keys.len()
            && after.len() == wanted.len()
            && before.iter().zip(keys).all(|(f, key)| match key {
                Key::Column(c) => f.data_type() == ty(*c),
                Key::Computed(_) => is_number(f.data_type()),
            })
            && after
                .iter()
                .zip(wanted)
                .all(|(f, wanted)| match (wanted, f.data_type()) {
                    (Wanted::Rows | Wanted::Present(_), state) => *state == DataType::Int64,
                    (Wanted::Min(c) | Wanted::Max(c), state) => state == ty(*c),
                    (Wanted::Distinct(c), DataType::List(item)) => item.data_type() == ty(*c),
                    (Wanted::Distinct(_), _) => false,
                })
    }
}
