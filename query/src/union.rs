//! A table over several cases or exports: the rows of all of them.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::LogicalPlanBuilder;

/// A table with the rows of some tables. Columns are those of any; they are null where a table lacks them.
pub(crate) fn of(tables: Vec<Arc<dyn TableProvider>>) -> Result<Arc<dyn TableProvider>> {
    let mut tables = tables.into_iter();
    let (Some(first), rest) = (tables.next(), tables) else {
        return Err(DataFusionError::Internal("a union of nothing".to_owned()));
    };
    if rest.len() == 0 {
        return Ok(first);
    }
    let scan = |table| LogicalPlanBuilder::scan("part", provider_as_source(table), None);
    let mut plan = scan(first)?;
    for table in rest {
        plan = plan.union_by_name(scan(table)?.build()?)?;
    }
    Ok(Arc::new(ViewTable::new(plan.build()?, None)))
}
