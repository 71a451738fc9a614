//! From YAML to documents.

use std::collections::BTreeSet;

use super::correlation;
use super::document::{Body, Detection, Document, Item, Logsource, Search, Value};
use crate::rules::{Bad, Loader, Node, Priority, Read};
use crate::yaml::{Kind, NodeId, Yaml};

/// Deepest nesting of lists and maps in a search.
const MAX_DEPTH: usize = 20;

/// Whether the root of a YAML document is one of Sigma's: Falco's are lists.
pub(crate) fn is_document(yaml: &Yaml, root: NodeId) -> bool {
    ["detection", "correlation", "filter", "logsource", "title"]
        .iter()
        .any(|key| yaml.get(root, key).is_some())
}

/// Reads a document.
pub(super) fn document(node: &Node<'_>, loader: &mut Loader) -> Read<Document> {
    let (title, origin) = node.required("title")?;
    if node.get("action").is_some() {
        return node.bad("'action' is Sigma 1: write each rule out whole");
    }
    let (level, status) = (level(node)?, node.optional("status")?.map(|s| s.0.to_owned()));
    let text = |key: &str| node.optional(key).ok().flatten().map(|(text, _)| text.to_owned());
    Ok(Document {
        title: title.to_owned(),
        origin,
        id: text("id"),
        name: text("name"),
        description: text("description").unwrap_or_default(),
        status,
        level,
        tags: scalars(node, "tags")?.into_iter().collect::<BTreeSet<_>>(),
        fields: scalars(node, "fields")?,
        body: body(node, loader)?,
    })
}

fn body(node: &Node<'_>, loader: &mut Loader) -> Read<Body> {
    if let Some(inner) = node.get("correlation") {
        return correlation::read(&inner, node, loader).map(Body::Correlation);
    }
    let source = logsource(node)?;
    if let Some(inner) = node.get("filter") {
        let rules = match inner.get("rules").map(|n| n.scalar()) {
            None => None,
            Some(Some((word, _))) if word.eq_ignore_ascii_case("any") => None,
            Some(_) => Some(scalars(&inner, "rules")?),
        };
        return Ok(Body::Filter(source, rules, detection(&inner)?));
    }
    match node.get("detection") {
        Some(inner) => Ok(Body::Rule(source, detection(&inner)?)),
        None => node.bad("there is no 'detection', 'correlation' or 'filter'"),
    }
}

fn level(node: &Node<'_>) -> Read<Option<Priority>> {
    let Some((text, origin)) = node.optional("level")? else {
        return Ok(None);
    };
    Ok(Some(match text {
        "informational" => Priority::Informational,
        "low" => Priority::Notice,
        "medium" => Priority::Warning,
        "high" => Priority::Error,
        "critical" => Priority::Critical,
        _ => return Err(Bad(origin, format!("unknown level '{text}'"))),
    }))
}

/// The scalars of a list, or a single one; none where the key is missing or empty.
pub(super) fn scalars(node: &Node<'_>, key: &str) -> Read<Vec<String>> {
    match node.get(key) {
        None => Ok(Vec::new()),
        Some(value) => match (value.kind(), value.scalar()) {
            (Some(Kind::Null), _) => Ok(Vec::new()),
            (_, Some((text, _))) => Ok(vec![text.to_owned()]),
            _ => Ok(node
                .scalars(key)?
                .unwrap_or_default()
                .into_iter()
                .map(|s| s.0)
                .collect()),
        },
    }
}

fn logsource(node: &Node<'_>) -> Read<Logsource> {
    let Some(inner) = node.get("logsource") else {
        return node.bad("'logsource' is missing");
    };
    let Some(Kind::Map(_)) = inner.kind() else {
        return inner.bad("'logsource' must be a mapping");
    };
    let text = |key: &str| -> Read<Option<String>> { Ok(inner.optional(key)?.map(|t| t.0.to_ascii_lowercase())) };
    Ok(Logsource {
        product: text("product")?,
        category: text("category")?,
        service: text("service")?,
    })
}

fn detection(node: &Node<'_>) -> Read<Detection> {
    let Some(Kind::Map(entries)) = node.kind() else {
        return node.bad("'detection' must be a mapping");
    };
    let mut out = Detection {
        searches: Vec::new(),
        conditions: Vec::new(),
        origin: node.origin(),
    };
    for (key, value) in entries {
        let Some((name, _)) = node.yaml.scalar(*key) else {
            return node.bad("search identifiers are single words");
        };
        let value = Node {
            yaml: node.yaml,
            id: *value,
        };
        match name {
            "condition" => match (value.scalar(), value.kind()) {
                (Some((text, at)), _) => out.conditions.push((text.to_owned(), at)),
                (_, Some(Kind::Seq(_))) => out.conditions = node.scalars("condition")?.unwrap_or_default(),
                _ => return value.bad("'condition' must be text"),
            },
            "timeframe" => return value.bad("'timeframe' is Sigma 1: write a correlation rule"),
            "rules" => {}
            _ => out.searches.push((name.to_owned(), search(&value, 0)?)),
        }
    }
    match (out.conditions.is_empty(), out.searches.is_empty()) {
        (true, _) => node.bad("'condition' is missing"),
        (_, true) => node.bad("there is nothing to search for"),
        _ => Ok(out),
    }
}

fn search(node: &Node<'_>, depth: usize) -> Read<Search> {
    if depth > MAX_DEPTH {
        return node.bad("nested too deeply");
    }
    let child = |id: &NodeId| Node {
        yaml: node.yaml,
        id: *id,
    };
    match node.kind() {
        Some(Kind::Map(entries)) => {
            let parts = entries.iter().map(|(key, value)| item(&child(key), &child(value)));
            Ok(Search::All(parts.collect::<Read<_>>()?))
        }
        Some(Kind::Seq(items)) if items.iter().any(|id| child(id).scalar().is_none()) => {
            let parts = items.iter().map(|id| search(&child(id), depth + 1));
            Ok(Search::Any(parts.collect::<Read<_>>()?))
        }
        Some(Kind::Seq(_) | Kind::Scalar(_)) => Ok(Search::Item(Item {
            field: None,
            modifiers: Vec::new(),
            values: values(node)?,
            origin: node.origin(),
        })),
        _ => node.bad("a search is a mapping of fields or a list"),
    }
}

fn item(key: &Node<'_>, value: &Node<'_>) -> Read<Search> {
    let Some((text, origin)) = key.scalar() else {
        return key.bad("a field is a single word");
    };
    let mut parts = text.split('|').map(str::trim);
    let field = parts.next().filter(|f| !f.is_empty()).map(str::to_owned);
    Ok(Search::Item(Item {
        field,
        modifiers: parts.map(str::to_owned).collect(),
        values: values(value)?,
        origin,
    }))
}

fn values(node: &Node<'_>) -> Read<Vec<Value>> {
    match node.kind() {
        Some(Kind::Null) => Ok(vec![Value::Null]),
        Some(Kind::Scalar(text)) => Ok(vec![Value::Text(text.clone(), node.origin())]),
        Some(Kind::Seq(ids)) => {
            let mut out = Vec::with_capacity(ids.len());
            for id in ids {
                let node = Node {
                    yaml: node.yaml,
                    id: *id,
                };
                match node.kind() {
                    Some(Kind::Null) => out.push(Value::Null),
                    Some(Kind::Scalar(text)) => out.push(Value::Text(text.clone(), node.origin())),
                    _ => return node.bad("values are single, not lists or mappings"),
                }
            }
            Ok(out)
        }
        _ => node.bad("expected a value or a list of values"),
    }
}
