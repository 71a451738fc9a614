//! A table over a folder of Parquet files of which a statement plans with the columns that it names.
//!
//! An export has more than two hundred columns. What DataFusion does for each column of each file (statistics that are
//! made, merged, copied and dropped) costs more than many a statement reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::file_statistics::Remembering;

/// The table.
#[derive(Debug)]
pub(crate) struct FolderTable {
    url: ListingTableUrl,
    options: ListingOptions,
    /// The columns that files have, without those that are names of folders.
    stored: SchemaRef,
    whole: ListingTable,
}

impl FolderTable {
    /// The files below this URL, which have these columns.
    pub(crate) fn new(url: ListingTableUrl, mut options: ListingOptions, stored: SchemaRef) -> Result<FolderTable> {
        options.format = Arc::new(Remembering::new(options.format, stored.clone()));
        let whole = listing(&url, &options, stored.clone())?;
        Ok(FolderTable {
            url,
            options,
            stored,
            whole,
        })
    }

    /// The columns of files that a scan names, ascending.
    fn named(&self, projection: &[usize], filters: &[Expr]) -> Vec<usize> {
        let wanted = projection.iter().copied();
        let mut named: BTreeSet<usize> = wanted.filter(|c| *c < self.stored.fields().len()).collect();
        for column in filters.iter().flat_map(Expr::column_refs) {
            named.extend(self.stored.index_of(&column.name).ok());
        }
        named.into_iter().collect()
    }
}

/// The table over all files below a URL, with these columns of theirs.
pub(crate) fn listing(url: &ListingTableUrl, options: &ListingOptions, stored: SchemaRef) -> Result<ListingTable> {
    let config = ListingTableConfig::new(url.clone())
        .with_listing_options(options.clone())
        .with_schema(stored);
    ListingTable::try_new(config)
}

#[async_trait]
impl TableProvider for FolderTable {
    fn schema(&self) -> SchemaRef {
        self.whole.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.whole.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let args = ScanArgs::default()
            .with_projection(projection.map(Vec::as_slice))
            .with_filters(Some(filters))
            .with_limit(limit);
        Ok(self.scan_with_args(state, args).await?.into_inner())
    }

    async fn scan_with_args<'a>(&self, state: &dyn Session, args: ScanArgs<'a>) -> Result<ScanResult> {
        let Some(projection) = args.projection() else {
            return self.whole.scan_with_args(state, args).await;
        };
        let named = self.named(projection, args.filters().unwrap_or_default());
        let narrow = listing(&self.url, &self.options, Arc::new(self.stored.project(&named)?))?;
        // Names of folders come behind the columns of files.
        let (all, kept) = (self.stored.fields().len(), named.len());
        let place = |column: &usize| match column.checked_sub(all) {
            Some(folder) => kept + folder,
            None => named.partition_point(|c| c < column),
        };
        let projection: Vec<usize> = projection.iter().map(place).collect();
        narrow
            .scan_with_args(state, args.with_projection(Some(&projection)))
            .await
    }
}
