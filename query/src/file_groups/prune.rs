//! What of a file need not be read, told by its statistics, its bloom filters and its index of pages.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::physical_plan::parquet::{
    BloomFilterStatistics, PagePruningAccessPlanFilter, ParquetAccessPlan, ParquetFileMetrics, RowGroupAccess,
    RowGroupAccessPlanFilter,
};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{Column, Literal, binary, lit};
use datafusion::physical_expr::utils::conjunction;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::parquet_column;

use super::read::Source;
use crate::functions::{CIDR_CONTAINS, beginning};

/// A row group of which rows may pass.
pub(super) struct Kept {
    pub(super) group: usize,
    /// The rows that may; `None` for all.
    pub(super) rows: Option<RowSelection>,
    /// Whether it is known that all of them do.
    pub(super) all_pass: bool,
}

/// The row groups of a part of a file that a condition on its columns does not rule out.
pub(super) fn kept(
    source: &Source,
    mut kept: RowGroupAccessPlanFilter,
    condition: Option<Arc<dyn PhysicalExpr>>,
    metrics: &ParquetFileMetrics,
) -> Vec<Kept> {
    let Some(condition) = condition else {
        return listed(kept.build(), &[]);
    };
    let condition = with_beginnings(condition, source);
    let builder = PruningPredicateBuilder::new().with_file_schema(source.stored().clone());
    // What statistics cannot tell is read.
    let Ok(predicate) = builder.try_build(condition.clone()) else {
        return listed(kept.build(), &[]);
    };
    let metadata = source.metadata();
    let (groups, descr) = (metadata.row_groups(), metadata.file_metadata().schema_descr());
    kept.prune_by_statistics(source.stored(), descr, groups, &predicate, metrics);
    let blooms = blooms(source, &kept, &predicate);
    if !blooms.is_empty() {
        kept.prune_by_bloom_filters(&predicate, metrics, &blooms);
    }
    let whole = kept.is_fully_matched().clone();
    let pages = PagePruningAccessPlanFilter::new(&condition, source.stored().clone());
    let plan = pages.prune_plan_with_page_index(kept.build(), source.stored(), descr, metadata, metrics);
    listed(plan, &whole)
}

fn listed(plan: ParquetAccessPlan, whole: &[bool]) -> Vec<Kept> {
    let groups = plan.into_inner().into_iter().enumerate();
    let kept = groups.filter_map(|(group, access)| {
        let rows = match access {
            RowGroupAccess::Skip => return None,
            RowGroupAccess::Scan => None,
            RowGroupAccess::Selection(rows) => Some(rows),
        };
        let all_pass = whole.get(group).copied().unwrap_or(false);
        Some(Kept { group, rows, all_pass })
    });
    kept.collect()
}

/// The bloom filters of all row groups for columns that must be equal to something; nothing where there are no such.
fn blooms(
    source: &Source,
    kept: &RowGroupAccessPlanFilter,
    predicate: &PruningPredicate,
) -> Vec<BloomFilterStatistics> {
    let reader = source.builder(&[]);
    let descr = reader.parquet_schema();
    let columns = predicate.literal_columns();
    let columns = columns.iter().filter_map(|name| {
        let (at, _) = parquet_column(descr, source.stored(), name)?;
        Some((name, at, descr.column(at)))
    });
    let columns: Vec<_> = columns.collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let mut out = vec![BloomFilterStatistics::new(); source.metadata().num_row_groups()];
    for group in kept.row_group_indexes() {
        for (name, at, descr) in &columns {
            // A filter that cannot be read rules nothing out.
            let filter = reader.get_row_group_column_bloom_filter(group, *at).ok().flatten();
            if let (Some(filter), Some(out)) = (filter.filter(|f| f.num_blocks() != 0), out.get_mut(group)) {
                out.insert(name.as_str(), filter, descr.physical_type(), descr.type_length());
            }
        }
    }
    out
}

/// The same condition with what it says of how texts begin, which statistics know.
fn with_beginnings(condition: Arc<dyn PhysicalExpr>, source: &Source) -> Arc<dyn PhysicalExpr> {
    let beginnings = split_conjunction(&condition).into_iter().filter_map(|part| {
        let function = part.downcast_ref::<ScalarFunctionExpr>()?;
        let [network, address] = function.args() else {
            return None;
        };
        let network = network.downcast_ref::<Literal>()?.value().try_as_str()??;
        let ty = address.downcast_ref::<Column>()?.data_type(source.stored()).ok()?;
        let known = (function.name() == CIDR_CONTAINS).then(|| beginning(network)).flatten();
        known.and_then(|texts| may_begin(address, &texts, &ty, source).ok())
    });
    let beginnings: Vec<_> = beginnings.collect();
    conjunction(std::iter::once(condition).chain(beginnings))
}

/// That an address begins with a text, or is not written in the ordinary way: with blanks, or as one of IPv6.
fn may_begin(
    address: &Arc<dyn PhysicalExpr>,
    text: &str,
    ty: &DataType,
    source: &Source,
) -> Result<Arc<dyn PhysicalExpr>> {
    let than = |op: Operator, text: &str| {
        let text = ScalarValue::Utf8(Some(text.to_owned())).cast_to(ty)?;
        binary(address.clone(), op, lit(text), source.stored())
    };
    // What comes after `.` is `/`.
    let behind = format!("{}/", text.trim_end_matches('.'));
    let ordinary = binary(
        than(Operator::GtEq, text)?,
        Operator::And,
        than(Operator::Lt, &behind)?,
        source.stored(),
    )?;
    let other = binary(
        than(Operator::Lt, "1")?,
        Operator::Or,
        than(Operator::GtEq, ":")?,
        source.stored(),
    )?;
    binary(ordinary, Operator::Or, other, source.stored())
}
