//! Tables over folders of Parquet files: DIR/TABLE/KEY=VALUE/…/part-N.parquet, on a file system or in an object store.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTableUrl};
use datafusion::prelude::SessionContext;
use futures::{FutureExt, StreamExt};
use parquet::errors::ParquetError;
use url::Url;

use crate::error::QueryError;
use crate::folder_table::{FolderTable, listing};

/// A folder with the Parquet files of one table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableFolder {
    /// Name of the folder and of the table.
    pub(crate) name: String,
    /// The folder; ends with a slash.
    pub(crate) url: Url,
    /// The keys in the names of its folders, outermost first.
    pub(crate) keys: Vec<String>,
}

/// No table has more folders in folders.
pub(crate) const MAX_DEPTH: usize = 16;

/// The tables in a folder, by name.
pub(crate) fn tables(path: &Path) -> Result<Vec<TableFolder>, QueryError> {
    let mut out = Vec::new();
    for (name, path) in entries(path)? {
        if name.starts_with(['.', '_']) || !path.is_dir() {
            continue;
        }
        let mut keys = Vec::new();
        if has_parquet(&path, &mut keys)? {
            let url = url_of(&path)?;
            out.push(TableFolder { name, url, keys });
        }
    }
    Ok(out)
}

/// The URL of a folder on this machine. Whole, for others who read the same shared folder.
fn url_of(path: &Path) -> Result<Url, QueryError> {
    let path = fs::canonicalize(path).map_err(QueryError::io(path))?;
    Url::from_directory_path(&path)
        .map_err(|()| QueryError::Data(format!("{}: not a path that has a URL", path.display())))
}

/// Whether a Parquet file lies below a folder; notes the keys of the folders on the way to the first one.
fn has_parquet(path: &Path, keys: &mut Vec<String>) -> Result<bool, QueryError> {
    let entries = entries(path)?;
    if entries
        .iter()
        .any(|(name, path)| name.ends_with(".parquet") && path.is_file())
    {
        return Ok(true);
    }
    for (name, path) in entries {
        let Some((key, _)) = name.split_once('=') else { continue };
        if !path.is_dir() || keys.len() >= MAX_DEPTH {
            continue;
        }
        keys.push(key.to_owned());
        if has_parquet(&path, keys)? {
            return Ok(true);
        }
        keys.pop();
    }
    Ok(false)
}

/// What is in a folder, by name.
fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>, QueryError> {
    let mut out = Vec::new();
    for entry in fs::read_dir(path).map_err(QueryError::io(path))? {
        let entry = entry.map_err(QueryError::io(path))?;
        out.extend(entry.file_name().to_str().map(|name| (name.to_owned(), entry.path())));
    }
    out.sort();
    Ok(out)
}

/// A name as it stands, whatever letters it has.
pub(crate) fn quoted(name: &str) -> TableReference {
    TableReference::bare(name)
}

/// The table over the files of a folder. Files may lack columns that others have: these are null there. `for_cluster`: as
/// executors of a cluster know tables.
pub(crate) async fn open(
    context: &SessionContext,
    table: &TableFolder,
    for_cluster: bool,
) -> Result<Arc<dyn TableProvider>, QueryError> {
    // Not parsed: a path may hold what a pattern is made of.
    let url = ListingTableUrl::try_new(table.url.clone(), None)?;
    let key_type = |key: &String| match key.as_str() {
        "date" => (key.clone(), DataType::Date32),
        _ => (key.clone(), DataType::Utf8),
    };
    let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
        .with_file_extension(".parquet")
        .with_table_partition_cols(table.keys.iter().map(key_type).collect());
    let schema = match whole(options.infer_schema(&context.state(), &url)).await {
        Ok(schema) => schema,
        Err(error) => {
            return Err(unreadable(context, &options, &url)
                .await
                .unwrap_or_else(|| error.into()));
        }
    };
    Ok(if for_cluster {
        Arc::new(listing(&url, &options, schema)?)
    } else {
        Arc::new(FolderTable::new(url, options, schema)?)
    })
}

/// What reading a schema gives. The reader of the schema that Arrow keeps in a footer panics where it is damaged.
async fn whole<T>(read: impl Future<Output = datafusion::common::Result<T>>) -> datafusion::common::Result<T> {
    let damaged = || ParquetError::General("the schema in the footer is damaged".to_owned());
    let read = AssertUnwindSafe(read).catch_unwind().await;
    read.unwrap_or_else(|_| Err(DataFusionError::ParquetError(Box::new(damaged()))))
}

/// Which file it is that cannot be read: the error does not say.
async fn unreadable(context: &SessionContext, options: &ListingOptions, url: &ListingTableUrl) -> Option<QueryError> {
    let state = context.state();
    let store = context.runtime_env().object_store(url).ok()?;
    let files = url.list_all_files(&state, store.as_ref(), &options.file_extension);
    let mut files = files.await.ok()?;
    while let Some(file) = files.next().await {
        let file = file.ok()?;
        let schema = options.format.infer_schema(&state, &store, slice::from_ref(&file));
        if let Err(error) = whole(schema).await {
            let root = url.object_store();
            let root = root.as_str().trim_start_matches("file://").trim_end_matches('/');
            return Some(QueryError::from(error).of_file(&format!("{root}/{}", file.location)));
        }
    }
    None
}
