//! Where data lies: a path, or a URL (`s3://BUCKET/PREFIX`, `file:///DIR`).

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ctrace_inputs::data::is_export;
use ctrace_query::{ClusterAddress, Data};
use url::Url;

use crate::exit;

/// What stands before the host or path of a URL.
const MARK: &str = "://";

/// Whether a text names data by a URL.
pub(crate) fn is_url(text: &str) -> bool {
    text.split_once(MARK)
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// What an argument names.
pub(crate) enum Place {
    /// What `ctrace export` wrote.
    Export(Data),
    /// A case folder or a segment file, or nothing.
    Case(PathBuf),
}

impl Place {
    /// What an argument names. A cluster reads exports only.
    pub(crate) fn of(argument: &Path, cluster: Option<&ClusterAddress>) -> anyhow::Result<Place> {
        let path = match argument.to_str().filter(|t| is_url(t)) {
            Some(text) => match located(text)? {
                Place::Case(path) => path,
                store => return Ok(store),
            },
            None => argument.to_owned(),
        };
        if is_export(&path).with_context(|| path.display().to_string())? {
            return Ok(Place::Export(Data::Folder(path)));
        }
        if let (Some(address), true) = (cluster, path.exists()) {
            let (case, why) = (path.display(), "a cluster reads exports: run `ctrace export` first");
            return Err(exit::usage(anyhow::anyhow!(
                "{case}: --cluster {address} is not for cases: {why}"
            )));
        }
        Ok(Place::Case(path))
    }
}

/// What a URL names; a path is not looked at.
fn located(text: &str) -> anyhow::Result<Place> {
    let wrong = |why: &dyn Display| exit::usage(anyhow::anyhow!("{text}: {why}"));
    let url = Url::parse(text).map_err(|e| wrong(&e))?;
    match url.scheme() {
        "s3" => Ok(Place::Export(Data::Store(url))),
        "file" => match url.to_file_path() {
            Ok(path) => Ok(Place::Case(path)),
            Err(()) => Err(wrong(&"not a folder of this machine")),
        },
        _ => Err(wrong(&"data is read from folders, file:// and s3://")),
    }
}
