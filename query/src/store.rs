//! Exports in an S3-compatible store: `s3://BUCKET/PREFIX`. Where it is and who asks comes from the usual variables of the
//! environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`.

use std::sync::Arc;
use std::time::Duration;

use datafusion::prelude::SessionContext;
use futures::StreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, RetryConfig};
use url::Url;

use crate::error::{QueryError, line};
use crate::folder::{MAX_DEPTH, TableFolder};

/// How often, and for how long in all, a request is repeated that a store could not serve.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// Asked for where the answer is of interest and the object is not.
const ANY_OBJECT: &str = "manifest.json";

/// A folder of a bucket.
pub(crate) struct Store {
    store: Arc<dyn ObjectStore>,
    /// Without a slash at its end.
    url: Url,
    prefix: Path,
    /// Whether the environment names who asks.
    has_key: bool,
}

impl Store {
    /// The folder that a URL names. Nothing is asked yet.
    pub(crate) fn open(url: &Url) -> Result<Store, QueryError> {
        let wrong = |why: &dyn ToString| QueryError::Store(format!("{url}: {}", line(&why.to_string())));
        let bucket = url.host_str().filter(|b| !b.is_empty());
        let bucket = bucket.ok_or_else(|| wrong(&"no bucket; write s3://BUCKET/PREFIX"))?;
        let prefix = Path::from_url_path(url.path()).map_err(|e| wrong(&e))?;
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
            ..RetryConfig::default()
        };
        let environment = AmazonS3Builder::from_env();
        let has_key = environment.get_config_value(&AmazonS3ConfigKey::AccessKeyId).is_some();
        let store = environment
            .with_bucket_name(bucket)
            .with_retry(retry)
            .build()
            .map_err(|e| wrong(&e))?;
        Ok(Store {
            store: Arc::new(store),
            url: url.clone(),
            prefix,
            has_key,
        })
    }

    /// Makes the bucket known to a context.
    pub(crate) fn register(&self, context: &SessionContext) {
        context.register_object_store(&self.url, self.store.clone());
    }

    /// The tables in the folder, by name.
    pub(crate) async fn tables(&self) -> Result<Vec<TableFolder>, QueryError> {
        let prefix = Some(&self.prefix).filter(|p| !p.as_ref().is_empty());
        let here = match self.store.list_with_delimiter(prefix).await {
            Ok(here) => here,
            Err(e) => return Err(self.error(e).await),
        };
        let mut out = Vec::new();
        for folder in here.common_prefixes {
            let Some(name) = folder.filename().filter(|n| !n.starts_with(['.', '_'])) else {
                continue;
            };
            if let Some(keys) = self.keys(&folder).await? {
                let name = name.to_owned();
                let url = self.folder_url(&folder)?;
                out.push(TableFolder { name, url, keys });
            }
        }
        out.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(out)
    }

    /// The keys of the folders on the way to a table's first file; `None` where there is no file.
    async fn keys(&self, table: &Path) -> Result<Option<Vec<String>>, QueryError> {
        let mut files = self.store.list(Some(table));
        while let Some(file) = files.next().await {
            let file = match file {
                Ok(file) => file.location,
                Err(e) => return Err(self.error(e).await),
            };
            let below: Vec<String> = file
                .prefix_match(table)
                .into_iter()
                .flatten()
                .map(|part| part.as_ref().to_owned())
                .collect();
            let Some((name, folders)) = below.split_last() else {
                continue;
            };
            let keys = folders.iter().map(|f| f.split_once('=').map(|(key, _)| key.to_owned()));
            let keys: Option<Vec<String>> = keys.collect();
            if let Some(keys) = keys
                && name.ends_with(".parquet")
                && keys.len() <= MAX_DEPTH
            {
                return Ok(Some(keys));
            }
        }
        Ok(None)
    }

    fn folder_url(&self, folder: &Path) -> Result<Url, QueryError> {
        let mut url = self.url.clone();
        let parts = folder.parts();
        url.path_segments_mut()
            .map_err(|()| QueryError::Store(format!("{}: not a URL of a folder", self.url)))?
            .clear()
            .extend(parts.map(|p| p.as_ref().to_owned()))
            .push("");
        Ok(url)
    }

    /// Why the store does not list what it holds. The error says so in words only; that of a request for one object has
    /// kinds.
    async fn error(&self, error: Error) -> QueryError {
        let url = &self.url;
        QueryError::Store(match self.store.head(&Path::from(ANY_OBJECT)).await {
            Err(Error::NotFound { .. }) => format!("{url}: no such bucket"),
            Err(Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
                format!("{url}: the store refuses these credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)")
            }
            Err(_) if !self.has_key => {
                format!("{url}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            }
            _ => format!("{url}: {}", line(&error)),
        })
    }
}
