//! Tables whose rows are events, read straight from the blocks of a case.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use ctrace_trace::event::EventType;
use ctrace_trace::segment::BlockRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::block_scan::{BlockScan, Scan};
use crate::column::{self, Column};
use crate::filter::{self, Conditions};
use crate::prune::candidates;
use crate::source::CaseSource;

/// A table over the events of a case: all, or those of one type.
#[derive(Debug)]
pub(crate) struct BlockTable {
    case: Arc<CaseSource>,
    blocks: Arc<[BlockRef]>,
    only: Option<EventType>,
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl BlockTable {
    /// A table over all blocks of a case.
    pub(crate) fn new(case: Arc<CaseSource>, only: Option<EventType>, columns: Vec<Column>) -> BlockTable {
        let schema = Arc::new(column::schema(&columns));
        let blocks = case.blocks().clone();
        BlockTable {
            case,
            blocks,
            only,
            columns,
            schema,
        }
    }

    /// The same table over some of the blocks.
    pub(crate) fn part(&self, blocks: &[BlockRef]) -> BlockTable {
        BlockTable {
            case: self.case.clone(),
            blocks: Arc::from(blocks),
            only: self.only,
            columns: self.columns.clone(),
            schema: self.schema.clone(),
        }
    }
}

#[async_trait]
impl TableProvider for BlockTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|f| filter::support(f, &self.columns)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let conditions = Conditions::new(filters, &self.columns, state)?;
        let sockets = self.case.socket_values();
        let candidates = candidates(&self.blocks, self.only, &conditions, sockets, &self.schema, state)?;
        let columns = match projection {
            Some(projection) => projection
                .iter()
                .filter_map(|i| self.columns.get(*i).cloned())
                .collect(),
            None => self.columns.clone(),
        };
        let scan = Scan {
            case: self.case.clone(),
            columns,
            groups: None,
            conditions,
            limit,
            partners: None,
            blocks: self.blocks.len(),
        };
        Ok(Arc::new(BlockScan::new(
            scan,
            candidates,
            state.config().target_partitions(),
        )))
    }
}
