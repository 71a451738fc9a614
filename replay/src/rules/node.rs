//! YAML nodes as readers of rules ask them: for keys, and for values of a type.

use std::collections::BTreeSet;

use super::Loader;
use super::item::Priority;
use crate::diagnostics::nearest;
use crate::source::{Origin, Style, Text};
use crate::yaml::{Kind, NodeId, Yaml};

/// An error that ends the reading of one item.
pub(crate) struct Bad(pub(crate) Origin, pub(crate) String);

/// What reading gives.
pub(crate) type Read<T> = Result<T, Bad>;

/// A node with the file it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) yaml: &'a Yaml,
    pub(crate) id: NodeId,
}

impl<'a> Node<'a> {
    pub(crate) fn kind(&self) -> Option<&'a Kind> {
        self.yaml.node(self.id).map(|n| &n.kind)
    }

    pub(crate) fn origin(&self) -> Origin {
        let none = Origin {
            file: 0,
            start: 0,
            style: Style::Verbatim,
        };
        self.yaml.node(self.id).map_or(none, |n| n.origin)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.yaml.get(self.id, key).map(|id| Node { yaml: self.yaml, id })
    }

    pub(crate) fn scalar(&self) -> Option<(&'a str, Origin)> {
        self.yaml.scalar(self.id)
    }

    pub(crate) fn bad<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(Bad(self.origin(), message.into()))
    }

    /// The scalar of a key that must be there and not be empty.
    pub(crate) fn required(&self, key: &str) -> Read<(&'a str, Origin)> {
        match self.optional(key)? {
            Some(found) => Ok(found),
            None => self.bad(format!("'{key}' is missing")),
        }
    }

    pub(crate) fn optional(&self, key: &str) -> Read<Option<(&'a str, Origin)>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.kind() {
            Some(Kind::Scalar(s)) if !s.is_empty() => Ok(value.scalar()),
            Some(Kind::Scalar(_) | Kind::Null) => value.bad(format!("'{key}' is empty")),
            _ => value.bad(format!("'{key}' must be a single value")),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Read<Text> {
        self.required(key).map(|(s, origin)| Text::scalar(s, origin))
    }

    /// A boolean as YAML 1.1 spells it, which Falco's reader follows.
    pub(crate) fn boolean(&self, key: &str) -> Read<Option<bool>> {
        let Some((text, origin)) = self.optional(key)? else {
            return Ok(None);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(Bad(origin, format!("'{key}' must be true or false, not '{text}'"))),
        }
    }

    /// The scalars of a sequence.
    pub(crate) fn scalars(&self, key: &str) -> Read<Option<Vec<(String, Origin)>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(Kind::Seq(items)) = value.kind() else {
            return value.bad(format!("'{key}' must be a list"));
        };
        let scalar = |id: &NodeId| {
            let item = Node {
                yaml: self.yaml,
                id: *id,
            };
            match item.scalar() {
                Some((s, origin)) => Ok((s.to_owned(), origin)),
                None => item.bad(format!("each item of '{key}' must be a single value")),
            }
        };
        items.iter().map(scalar).collect::<Read<Vec<_>>>().map(Some)
    }

    pub(crate) fn tags(&self) -> Read<Option<BTreeSet<String>>> {
        Ok(self
            .scalars("tags")?
            .map(|tags| tags.into_iter().map(|t| t.0).collect()))
    }

    pub(crate) fn priority(&self) -> Read<Priority> {
        let (text, origin) = self.required("priority")?;
        Priority::parse(text).ok_or_else(|| Bad(origin, format!("unknown priority '{text}'")))
    }

    pub(crate) fn warn_unknown_keys(&self, known: &[&str], loader: &mut Loader) {
        let Some(Kind::Map(entries)) = self.kind() else { return };
        for (key, _) in entries {
            if let Some((name, origin)) = self.yaml.scalar(*key)
                && !known.contains(&name)
            {
                let hint = nearest(name, known.iter().copied()).map(|n| format!("; did you mean '{n}'?"));
                loader.warn(
                    origin,
                    format!("unknown key '{name}' is ignored{}", hint.unwrap_or_default()),
                );
            }
        }
    }
}
