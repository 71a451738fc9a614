//! Data that is named by a URL: `s3://BUCKET/PREFIX`, `file:///DIR`.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use url::Url;

use crate::exit;

/// What stands before the host or path of a URL.
const MARK: &str = "://";

/// Whether a text names data by a URL.
pub(crate) fn is_url(text: &str) -> bool {
    text.split_once(MARK)
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Where data lies.
pub(crate) enum Place {
    /// On this machine or a shared file system.
    Path(PathBuf),
    /// In an object store.
    Store(Url),
}

impl Place {
    /// What an argument names.
    pub(crate) fn of(argument: &Path) -> anyhow::Result<Place> {
        let Some(text) = argument.to_str().filter(|t| is_url(t)) else {
            return Ok(Place::Path(argument.to_owned()));
        };
        let wrong = |why: &dyn Display| exit::usage(anyhow::anyhow!("{text}: {why}"));
        let url = Url::parse(text).map_err(|e| wrong(&e))?;
        match url.scheme() {
            "s3" => Ok(Place::Store(url)),
            "file" => match url.to_file_path() {
                Ok(path) => Ok(Place::Path(path)),
                Err(()) => Err(wrong(&"not a folder of this machine")),
            },
            _ => Err(wrong(&"data is read from folders, file:// and s3://")),
        }
    }
}
