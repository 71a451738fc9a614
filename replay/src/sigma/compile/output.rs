//! What a Sigma rule shows of an event.

use crate::output::Format;
use crate::sigma::detection;
use crate::sigma::document::Document;
use crate::sigma::logsource::{Mapping, Read};
use crate::typed::atom::Extract;

/// A field's value as outputs show it.
pub(super) fn shown(mapping: &Mapping, field: &str) -> Result<Extract, String> {
    if mapping.records {
        let resolved = crate::fields::resolve("audit.field", Some(field));
        return resolved.map(Extract::Field).map_err(|e| e.message);
    }
    let mut all = Vec::new();
    for read in mapping.field(field)? {
        all.push(detection::extract(*read, false)?);
    }
    Ok(match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            Extract::First(all)
        }
    })
}

/// The title, and the fields that the rule names or that its log source is about.
pub(super) fn output(document: &Document, mapping: &Mapping) -> Result<Format, String> {
    let named: Vec<&str> = document.fields.iter().map(String::as_str).collect();
    let mut parts = Vec::new();
    let mut add = |name: &str, value: Extract| {
        let before = if parts.is_empty() {
            format!("{} (", document.title)
        } else {
            " ".to_owned()
        };
        parts.push((format!("{before}{name}="), value));
    };
    let known = named
        .iter()
        .filter_map(|name| Some((*name, shown(mapping, name).ok()?)));
    let known: Vec<(&str, Extract)> = known.collect();
    if !known.is_empty() {
        known.into_iter().for_each(|(name, value)| add(name, value));
    } else if mapping.records {
        for name in ["audit.type", "audit.exe", "audit.syscall", "audit.key"] {
            add(name, detection::extract(Read::Field(name), false)?);
        }
    } else {
        for name in mapping.shown {
            add(name, shown(mapping, name)?);
        }
    }
    Ok(Format::made(parts, ")"))
}
