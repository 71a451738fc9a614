//! What the footers of files say of columns, remembered for the statements to come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileMeta};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

/// Statistics of so many columns of files are remembered: some 50 MiB.
const MOST: usize = 100_000;

/// A format whose statistics are taken from each file once, column by column as statements name them.
#[derive(Debug)]
pub(crate) struct Remembering {
    format: Arc<dyn FileFormat>,
    /// All columns of the files.
    stored: SchemaRef,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: HashMap<Path, KnownFile>,
    /// How many columns of files are known.
    columns: usize,
}

/// What is known of a file.
#[derive(Debug)]
struct KnownFile {
    /// The file as it was then.
    object: ObjectMeta,
    rows: Precision<usize>,
    bytes: Precision<usize>,
    columns: HashMap<String, ColumnStatistics>,
    /// The order of its rows, over all of its columns.
    ordering: Option<LexOrdering>,
}

impl KnownFile {
    fn new(object: &ObjectMeta) -> KnownFile {
        KnownFile {
            object: object.clone(),
            rows: Precision::Absent,
            bytes: Precision::Absent,
            columns: HashMap::new(),
            ordering: None,
        }
    }

    fn is(&self, object: &ObjectMeta) -> bool {
        self.object.size == object.size && self.object.last_modified == object.last_modified
    }

    /// What it says of these columns.
    fn tell(&self, columns: &Schema) -> FileMeta {
        let of = |name: &String| self.columns.get(name).cloned();
        let columns_told = columns.fields().iter().map(|f| of(f.name()).unwrap_or_default());
        let statistics = Statistics {
            num_rows: self.rows,
            total_byte_size: self.bytes,
            column_statistics: columns_told.collect(),
        };
        FileMeta::new(statistics).with_ordering(self.ordering.as_ref().and_then(|order| among(order, columns)))
    }
}

/// As much of an order as these columns tell.
fn among(order: &LexOrdering, columns: &Schema) -> Option<LexOrdering> {
    let over = |sort: &PhysicalSortExpr| {
        let name = sort.expr.downcast_ref::<Column>()?.name();
        let column = Column::new(name, columns.index_of(name).ok()?);
        Some(PhysicalSortExpr::new(Arc::new(column), sort.options))
    };
    LexOrdering::new(order.iter().map_while(over))
}

impl Remembering {
    /// The same format, for files that have these columns.
    pub(crate) fn new(format: Arc<dyn FileFormat>, stored: SchemaRef) -> Remembering {
        Remembering {
            format,
            stored,
            known: Mutex::default(),
        }
    }

    fn known<R>(&self, with: impl FnOnce(&mut Known) -> R) -> R {
        with(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of these columns of a file that nothing is known of; `None` where nothing is known of the file.
    fn missing(&self, columns: &Schema, object: &ObjectMeta) -> Option<Vec<usize>> {
        self.known(|known| {
            let file = known.files.get(&object.location).filter(|file| file.is(object))?;
            let names = columns.fields().iter().map(|f| f.name()).enumerate();
            let missing = names.filter(|(_, name)| !file.columns.contains_key(*name));
            Some(missing.map(|(at, _)| at).collect())
        })
    }

    /// Takes what a file says of these columns.
    fn learn(&self, object: &ObjectMeta, columns: &Schema, told: Statistics, ordering: Option<LexOrdering>) {
        self.known(|known| {
            if known.columns + columns.fields().len() > MOST {
                *known = Known::default();
            }
            let file = known
                .files
                .entry(object.location.clone())
                .or_insert_with(|| KnownFile::new(object));
            if !file.is(object) {
                known.columns = known.columns.saturating_sub(file.columns.len());
                *file = KnownFile::new(object);
            }
            (file.rows, file.bytes, file.ordering) = (told.num_rows, told.total_byte_size, ordering);
            for (field, column) in columns.fields().iter().zip(told.column_statistics) {
                known.columns += usize::from(file.columns.insert(field.name().clone(), column).is_none());
            }
        });
    }
}

#[async_trait]
impl FileFormat for Remembering {
    fn get_ext(&self) -> String {
        self.format.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.format.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.format.compression_type()
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.format.infer_schema(state, store, objects).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        columns: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        let told = self.infer_stats_and_ordering(state, store, columns, object).await?;
        Ok(told.statistics)
    }

    async fn infer_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        columns: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Option<LexOrdering>> {
        let told = self.infer_stats_and_ordering(state, store, columns, object).await?;
        Ok(told.ordering)
    }

    async fn infer_stats_and_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        columns: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<FileMeta> {
        let missing = self.missing(&columns, object);
        if missing.as_ref().is_none_or(|missing| !missing.is_empty()) {
            let asked = match missing {
                Some(missing) => Arc::new(columns.project(&missing)?),
                None => columns.clone(),
            };
            // The order is over all columns: what comes first may not be among these.
            let ordering = self.format.infer_ordering(state, store, self.stored.clone(), object);
            let ordering = ordering.await?;
            let told = self.format.infer_stats(state, store, asked.clone(), object).await?;
            self.learn(object, &asked, told, ordering);
        }
        let unknown = || FileMeta::new(Statistics::new_unknown(&columns));
        let told = self.known(|known| known.files.get(&object.location).map(|file| file.tell(&columns)));
        Ok(told.unwrap_or_else(unknown))
    }

    async fn create_physical_plan(&self, state: &dyn Session, scan: FileScanConfig) -> Result<Arc<dyn ExecutionPlan>> {
        self.format.create_physical_plan(state, scan).await
    }

    fn file_source(&self, table: TableSchema) -> Arc<dyn FileSource> {
        self.format.file_source(table)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::Column;
    use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};

    use super::among;

    fn order(columns: &[(&str, usize)]) -> Option<LexOrdering> {
        let sort = |(name, at): &(&str, usize)| PhysicalSortExpr::new_default(Arc::new(Column::new(name, *at)));
        LexOrdering::new(columns.iter().map(sort))
    }

    #[test]
    fn an_order_ends_before_the_first_column_that_is_not_named() {
        let whole = order(&[("day", 4), ("ts", 0), ("seq", 1)]).expect("an order");
        let named = |names: &[&str]| {
            let field = |name: &&str| Field::new(*name, DataType::Int64, true);
            among(&whole, &Schema::new(names.iter().map(field).collect::<Vec<_>>()))
        };
        assert_eq!(named(&["ts", "day"]), order(&[("day", 1), ("ts", 0)]));
        assert_eq!(named(&["day", "seq"]), order(&[("day", 0)]));
        assert_eq!(named(&["ts", "seq"]), None);
    }
}
