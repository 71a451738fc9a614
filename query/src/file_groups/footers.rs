//! Footers of files as Arrow's reader wants them, kept for the statements to come.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;

use super::request::is_text;

/// Bytes of footers that are kept: those of some hundred files with hundreds of columns.
const MOST: usize = 64 << 20;

/// A file's footer.
#[derive(Clone, Debug)]
pub(super) struct Footer {
    /// The file's columns in its order, as it tells of them.
    pub(super) told: SchemaRef,
    /// The same for reading: texts as dictionaries.
    pub(super) read: ArrowReaderMetadata,
}

impl Footer {
    pub(super) fn new(metadata: Arc<ParquetMetaData>) -> Result<Footer> {
        let told = ArrowReaderMetadata::try_new(metadata.clone(), ArrowReaderOptions::new())?;
        let told = told.schema().clone();
        let dictionary = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
        let fields = told.fields().iter().map(|f| {
            if is_text(f.data_type()) {
                Arc::new(Field::clone(f).with_data_type(dictionary.clone()))
            } else {
                f.clone()
            }
        });
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), told.metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let read = ArrowReaderMetadata::try_new(metadata, options)?;
        Ok(Footer { told, read })
    }
}

/// The footers of files that statements of a session read.
#[derive(Default)]
pub(crate) struct Footers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: HashMap<Path, Footer>,
    bytes: usize,
}

impl Footers {
    /// The footer of a file, from what was read of it.
    pub(super) fn of(&self, file: &Path, metadata: Arc<ParquetMetaData>) -> Result<Footer> {
        let kept = self.kept(|kept| kept.files.get(file).cloned());
        if let Some(footer) = kept.filter(|kept| Arc::ptr_eq(kept.read.metadata(), &metadata)) {
            return Ok(footer);
        }
        let footer = Footer::new(metadata)?;
        let bytes = footer.read.metadata().memory_size();
        self.kept(|kept| {
            if kept.bytes + bytes > MOST {
                *kept = Kept::default();
            }
            kept.bytes += bytes;
            let replaced = kept.files.insert(file.clone(), footer.clone());
            kept.bytes -= replaced.map_or(0, |old| old.read.metadata().memory_size());
        });
        Ok(footer)
    }

    fn kept<R>(&self, with: impl FnOnce(&mut Kept) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Footers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Footers")
    }
}
