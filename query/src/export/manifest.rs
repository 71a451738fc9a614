//! `manifest.json` of an export: which case, from which segments, which files.

use std::fs;
use std::path::Path;

use ctrace_trace::calendar::Iso8601;
use ctrace_trace::case::Verification;
use ctrace_trace::segment::{Hex, Problem};
use serde_json::{Map, Value, json};

use super::Written;
use crate::error::QueryError;
use crate::source::CaseSource;
use crate::tables::Table;

/// Version of the layout of exports. Columns may be added without a new one.
pub(super) const LAYOUT: u32 = 1;

/// What wrote it.
pub(super) fn tool() -> String {
    format!("ctrace {}", env!("CARGO_PKG_VERSION"))
}

pub(super) struct Manifest<'a> {
    pub(super) source: &'a CaseSource,
    pub(super) written: &'a [(Table, Vec<Written>)],
    pub(super) checked: &'a Verification,
    pub(super) problems: &'a [Problem],
}

impl Manifest<'_> {
    /// Writes it, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), QueryError> {
        let (temporary, path) = (dir.join(".manifest.tmp"), dir.join("manifest.json"));
        let mut text = format!("{:#}", self.json());
        text.push('\n');
        fs::write(&temporary, text).map_err(QueryError::io(&temporary))?;
        fs::rename(&temporary, &path).map_err(QueryError::io(&path))
    }

    fn json(&self) -> Value {
        let case = self.source.case();
        let tables: Map<String, Value> = self
            .written
            .iter()
            .map(|(t, files)| (t.name().to_owned(), table(files)))
            .collect();
        json!({
            "layout": LAYOUT,
            "tool": tool(),
            "case": case.id().map(|id| id.to_string()),
            "host": self.source.host(),
            "from": self.checked.totals.ts.map(|(from, _)| time(from)),
            "to": self.checked.totals.ts.map(|(_, to)| time(to)),
            "segments": self.checked.segments.iter().map(|s| json!({
                "file": s.path.file_name().unwrap_or_default().to_string_lossy(),
                "number": s.number,
                "bytes": s.bytes,
                "events": s.events,
                "closed": s.closed,
                "sha256": Hex(&s.sha256).to_string(),
            })).collect::<Vec<_>>(),
            "problems": self.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "tables": tables,
        })
    }
}

fn table(files: &[Written]) -> Value {
    let list: Vec<Value> = files
        .iter()
        .map(|f| json!({"path": f.path, "rows": f.rows, "bytes": f.bytes}))
        .collect();
    json!({"rows": files.iter().map(|f| f.rows).sum::<u64>(), "files": list})
}

fn time(ns: u64) -> String {
    Iso8601(ns).to_string()
}
