//! From YAML nodes to items: which keys there are, what type their values have, what `append` and `override` ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::item::{Broken, Entry, Exception, Item, RuleItem, RulePatch, RuleUpdate};
use super::node::{Bad, Node, Read};
use super::{Checked, ENGINE_VERSION, Language, Loader, Verdict};
use crate::sigma;
use crate::source::{Origin, Text};
use crate::yaml::{Kind, Yaml};

/// Reads all documents of a file and hands each item on.
pub(super) fn read(yaml: &Yaml, loader: &mut Loader, take: &mut dyn FnMut(&mut Loader, Item)) {
    for root in &yaml.roots {
        let Some(node) = yaml.node(*root) else { continue };
        match &node.kind {
            Kind::Null => {}
            Kind::Map(_) if sigma::is_document(yaml, *root) => sigma::read(&Node { yaml, id: *root }, loader),
            Kind::Seq(items) => {
                for id in items {
                    read_item(&Node { yaml, id: *id }, loader, take);
                }
            }
            _ => loader.error(
                node.origin,
                "a rules file is a list of lists, macros and rules, or a Sigma rule",
            ),
        }
    }
}

fn read_item(node: &Node<'_>, loader: &mut Loader, take: &mut dyn FnMut(&mut Loader, Item)) {
    match node.kind() {
        Some(Kind::Null) => return,
        Some(Kind::Map(_)) => {}
        _ => return loader.error(node.origin(), "each item of a rules file is a mapping"),
    }
    type Reader = fn(&Node<'_>, &mut Loader) -> Read<Option<Item>>;
    const KINDS: [(&str, Option<Broken>, Reader); 5] = [
        ("required_engine_version", None, read_engine_version),
        ("required_plugin_versions", None, read_plugin_versions),
        ("list", Some(Broken::List), read_list),
        ("macro", Some(Broken::Macro), read_macro),
        ("rule", Some(Broken::Rule), read_rule),
    ];
    let Some((key, broken, reader)) = KINDS.into_iter().find(|k| node.get(k.0).is_some()) else {
        return loader.warn(
            node.origin(),
            "unknown kind of item is ignored; expected rule, macro or list",
        );
    };
    match (reader(node, loader), broken, node.get(key).and_then(|n| n.scalar())) {
        (Ok(Some(item)), ..) => take(loader, item),
        (Ok(None), ..) => {}
        (Err(Bad(origin, message)), broken, name) => {
            loader.error(origin, message.clone());
            if let (Some(kind), Some((name, at))) = (broken, name) {
                if kind == Broken::Rule {
                    let verdict = Verdict::Wrong(message);
                    let checked = Checked::new(name, Language::Falco, at, verdict, &loader.sources);
                    loader.checked.push(checked);
                }
                take(
                    loader,
                    Item::Broken {
                        kind,
                        name: name.to_owned(),
                    },
                );
            }
        }
    }
}

fn read_engine_version(node: &Node<'_>, loader: &mut Loader) -> Read<Option<Item>> {
    let (text, origin) = node.required("required_engine_version")?;
    let wanted = match text.parse::<u32>() {
        Ok(minor) => Some((ENGINE_VERSION.0, minor, 0)),
        Err(_) => semver(text),
    };
    let Some(wanted) = wanted else {
        return Err(Bad(origin, format!("'{text}' is no version (x.y.z)")));
    };
    let (major, minor, patch) = ENGINE_VERSION;
    if wanted.0 != major || wanted > ENGINE_VERSION {
        return Err(Bad(
            origin,
            format!("the rules need engine version {text}; this is {major}.{minor}.{patch}"),
        ));
    }
    node.warn_unknown_keys(&["required_engine_version"], loader);
    Ok(None)
}

fn semver(text: &str) -> Option<(u32, u32, u32)> {
    let core = text.split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|p| p.parse::<u32>().ok());
    match (parts.next()??, parts.next()??, parts.next()??, parts.next()) {
        (major, minor, patch, None) => Some((major, minor, patch)),
        _ => None,
    }
}

/// Plugins are not loaded: their fields are built in. The entries are still checked.
fn read_plugin_versions(node: &Node<'_>, loader: &mut Loader) -> Read<Option<Item>> {
    let Some(list) = node.get("required_plugin_versions") else {
        return Ok(None);
    };
    let Some(Kind::Seq(entries)) = list.kind() else {
        return list.bad("'required_plugin_versions' must be a list");
    };
    for id in entries {
        let entry = Node {
            yaml: node.yaml,
            id: *id,
        };
        let mut alternatives = vec![entry];
        if let Some(more) = entry.get("alternatives") {
            let Some(Kind::Seq(ids)) = more.kind() else {
                return more.bad("'alternatives' must be a list");
            };
            alternatives.extend(ids.iter().map(|id| Node {
                yaml: node.yaml,
                id: *id,
            }));
        }
        let mut names = BTreeSet::new();
        for alternative in alternatives {
            let (name, origin) = alternative.required("name")?;
            let (version, at) = alternative.required("version")?;
            if semver(version).is_none() {
                return Err(Bad(at, format!("'{version}' is no version (x.y.z) of plugin '{name}'")));
            }
            if !names.insert(name) {
                return Err(Bad(origin, format!("plugin '{name}' is given twice as an alternative")));
            }
        }
    }
    node.warn_unknown_keys(&["required_plugin_versions"], loader);
    Ok(None)
}

/// The keys that `override` names, by what it asks for.
#[derive(Default)]
struct Overrides<'a> {
    append: BTreeMap<&'a str, Origin>,
    replace: BTreeMap<&'a str, Origin>,
}

impl Overrides<'_> {
    fn is_empty(&self) -> bool {
        self.append.is_empty() && self.replace.is_empty()
    }
}

fn read_overrides<'a>(node: &Node<'a>, append: &[&str], replace: &[&str]) -> Read<Overrides<'a>> {
    let mut out = Overrides::default();
    let Some(value) = node.get("override") else {
        return Ok(out);
    };
    let Some(Kind::Map(entries)) = value.kind() else {
        return value.bad("'override' must be a mapping");
    };
    for (key, operation) in entries {
        let operation = Node {
            yaml: node.yaml,
            id: *operation,
        };
        let (Some((key, origin)), Some((word, at))) = (node.yaml.scalar(*key), operation.scalar()) else {
            return value.bad("'override' maps keys to append or replace");
        };
        match word {
            "append" if append.contains(&key) => out.append.insert(key, origin),
            "append" => return Err(Bad(origin, format!("'{key}' cannot be appended to"))),
            "replace" if replace.contains(&key) => out.replace.insert(key, origin),
            "replace" => return Err(Bad(origin, format!("'{key}' cannot be replaced"))),
            _ => {
                return Err(Bad(
                    at,
                    format!("'{word}' is no operation of override; use append or replace"),
                ));
            }
        };
    }
    Ok(out)
}

/// Whether a list's or macro's `append` or `override` asks for appending.
fn read_append(node: &Node<'_>, key: &str) -> Read<bool> {
    let append = node.boolean("append")?.unwrap_or(false);
    let overrides = read_overrides(node, &[key], &[key])?;
    if append && !overrides.is_empty() {
        return node.bad("'append' and 'override' cannot stand together");
    }
    Ok(append || overrides.append.contains_key(key))
}

fn read_list(node: &Node<'_>, loader: &mut Loader) -> Read<Option<Item>> {
    let (name, origin) = node.required("list")?;
    let Some(items) = node.scalars("items")? else {
        return node.bad(format!("list '{name}' has no items"));
    };
    let append = read_append(node, "items")?;
    node.warn_unknown_keys(&["list", "items", "append", "override"], loader);
    Ok(Some(Item::List {
        name: name.to_owned(),
        items,
        append,
        origin,
    }))
}

fn read_macro(node: &Node<'_>, loader: &mut Loader) -> Read<Option<Item>> {
    let (name, origin) = node.required("macro")?;
    let condition = node.text("condition")?;
    let append = read_append(node, "condition")?;
    node.warn_unknown_keys(&["macro", "condition", "append", "override"], loader);
    Ok(Some(Item::Macro {
        name: name.to_owned(),
        condition,
        append,
        origin,
    }))
}

const RULE_KEYS: [&str; 15] = [
    "rule",
    "condition",
    "output",
    "desc",
    "priority",
    "source",
    "enabled",
    "capture",
    "capture_duration",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "tags",
    "exceptions",
    "override",
    "append",
];
const APPENDABLE: [&str; 5] = ["condition", "output", "desc", "tags", "exceptions"];
const REPLACEABLE: [&str; 11] = [
    "condition",
    "output",
    "desc",
    "priority",
    "capture",
    "capture_duration",
    "tags",
    "exceptions",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
];

fn read_rule(node: &Node<'_>, loader: &mut Loader) -> Read<Option<Item>> {
    let (name, origin) = node.required("rule")?;
    let append = node.boolean("append")?.unwrap_or(false);
    let overrides = read_overrides(node, &APPENDABLE, &REPLACEABLE)?;
    node.warn_unknown_keys(&RULE_KEYS, loader);
    if append && !overrides.is_empty() {
        return node.bad("'append' and 'override' cannot stand together");
    }
    if !overrides.is_empty() {
        return read_override(node, name, origin, &overrides, loader).map(Some);
    }
    if append {
        let patch = RulePatch {
            condition: node.get("condition").map(|_| node.text("condition")).transpose()?,
            exceptions: node
                .get("exceptions")
                .map(|_| read_exceptions(node, true, loader))
                .transpose()?,
            ..RulePatch::default()
        };
        if patch.condition.is_none() && patch.exceptions.is_none() {
            return node.bad("an appended rule must have a condition or exceptions");
        }
        return Ok(Some(update(node, name, origin, patch, RulePatch::default())?));
    }
    if ["condition", "output", "desc", "priority"]
        .iter()
        .all(|k| node.get(k).is_none())
    {
        let Some(enabled) = node.boolean("enabled")? else {
            return node.bad(format!("rule '{name}' has neither a condition nor 'enabled'"));
        };
        return Ok(Some(Item::Enable {
            name: name.to_owned(),
            enabled,
            origin,
        }));
    }
    read_definition(node, name, origin, loader).map(Some)
}

fn read_definition(node: &Node<'_>, name: &str, origin: Origin, loader: &mut Loader) -> Read<Item> {
    let (output, at) = node.required("output")?;
    node.boolean("warn_evttypes")?;
    check_capture(node)?;
    Ok(Item::Rule(Box::new(RuleItem {
        name: name.to_owned(),
        origin,
        condition: node.text("condition")?,
        output: Text::scalar(output.trim(), at),
        desc: node.required("desc")?.0.to_owned(),
        priority: node.priority()?,
        tags: node.tags()?.unwrap_or_default(),
        source: node.optional("source")?.map_or("syscall", |s| s.0).to_owned(),
        enabled: node.boolean("enabled")?.unwrap_or(true),
        skip_if_unknown: node.boolean("skip-if-unknown-filter")?.unwrap_or(false),
        exceptions: read_exceptions(node, false, loader)?,
    })))
}

/// Nothing is captured here, but rules may ask for it.
fn check_capture(node: &Node<'_>) -> Read<()> {
    node.boolean("capture")?;
    match node.optional("capture_duration")? {
        Some((text, origin)) if text.parse::<u32>().is_err() => Err(Bad(
            origin,
            format!("'capture_duration' must be a number, not '{text}'"),
        )),
        _ => Ok(()),
    }
}

fn update(node: &Node<'_>, name: &str, origin: Origin, append: RulePatch, replace: RulePatch) -> Read<Item> {
    // An empty source is none, as in Falco; only a definition may not have one.
    let given = node.get("source").filter(|s| !matches!(s.kind(), Some(Kind::Null)));
    let given = given.filter(|s| s.scalar().is_none_or(|(text, _)| !text.is_empty()));
    let source = match given {
        Some(_) => node.optional("source")?.map(|s| s.0.to_owned()),
        None => None,
    };
    Ok(Item::Update(Box::new(RuleUpdate {
        name: name.to_owned(),
        origin,
        source,
        append,
        replace,
    })))
}

fn read_override(
    node: &Node<'_>,
    name: &str,
    origin: Origin,
    overrides: &Overrides<'_>,
    loader: &mut Loader,
) -> Read<Item> {
    for (key, at) in overrides.append.iter().chain(&overrides.replace) {
        if node.get(key).is_none() {
            return Err(Bad(
                *at,
                format!("'override' names '{key}', which the rule does not give"),
            ));
        }
        if overrides.append.contains_key(key) && overrides.replace.contains_key(key) {
            return Err(Bad(*at, format!("'{key}' is appended and replaced at once")));
        }
    }
    for key in APPENDABLE.iter().chain(&REPLACEABLE) {
        let given = node
            .get(key)
            .filter(|_| !overrides.append.contains_key(key) && !overrides.replace.contains_key(key));
        if let Some(given) = given {
            return given.bad(format!(
                "'{key}' is given, but 'override' does not say what to do with it"
            ));
        }
    }
    node.boolean("warn_evttypes")?;
    check_capture(node)?;
    let append = read_patch(node, &overrides.append, true, loader)?;
    let replace = read_patch(node, &overrides.replace, false, loader)?;
    update(node, name, origin, append, replace)
}

fn read_patch(node: &Node<'_>, keys: &BTreeMap<&str, Origin>, append: bool, loader: &mut Loader) -> Read<RulePatch> {
    let has = |key: &str| keys.contains_key(key);
    Ok(RulePatch {
        condition: has("condition").then(|| node.text("condition")).transpose()?,
        output: has("output").then(|| node.text("output")).transpose()?,
        desc: has("desc")
            .then(|| node.required("desc"))
            .transpose()?
            .map(|d| d.0.to_owned()),
        priority: has("priority").then(|| node.priority()).transpose()?,
        tags: if has("tags") { node.tags()? } else { None },
        enabled: if has("enabled") { node.boolean("enabled")? } else { None },
        skip_if_unknown: match has("skip-if-unknown-filter") {
            true => node.boolean("skip-if-unknown-filter")?,
            false => None,
        },
        exceptions: has("exceptions")
            .then(|| read_exceptions(node, append, loader))
            .transpose()?,
    })
}

fn read_exceptions(node: &Node<'_>, append: bool, loader: &mut Loader) -> Read<Vec<Exception>> {
    let Some(list) = node.get("exceptions") else {
        return Ok(Vec::new());
    };
    let entries = match list.kind() {
        Some(Kind::Seq(entries)) => entries,
        Some(Kind::Null) => return Ok(Vec::new()),
        _ => return list.bad("'exceptions' must be a list"),
    };
    let mut out: Vec<Exception> = Vec::new();
    for id in entries {
        let exception = read_exception(
            &Node {
                yaml: node.yaml,
                id: *id,
            },
            append,
        )?;
        if out.iter().any(|e| e.name == exception.name) {
            loader.warn(
                exception.origin,
                format!("exception '{}' is given twice in the same rule", exception.name),
            );
        }
        if append && exception.values.is_empty() {
            loader.warn(
                exception.origin,
                format!("exception '{}' is appended without values", exception.name),
            );
        }
        out.push(exception);
    }
    Ok(out)
}

fn read_exception(node: &Node<'_>, append: bool) -> Read<Exception> {
    let Some(Kind::Map(_)) = node.kind() else {
        return node.bad("each exception is a mapping");
    };
    let (name, origin) = node.required("name")?;
    let fields = node.get("fields").map(|n| read_entry(&n, 0)).transpose()?;
    if fields.is_none() && !append {
        return node.bad(format!("exception '{name}' has no fields"));
    }
    let comps = node.get("comps").map(|n| read_entry(&n, 0)).transpose()?;
    let values = match node.get("values") {
        None => Vec::new(),
        Some(values) => match values.kind() {
            Some(Kind::Seq(ids)) => ids
                .iter()
                .map(|id| {
                    read_entry(
                        &Node {
                            yaml: node.yaml,
                            id: *id,
                        },
                        0,
                    )
                })
                .collect::<Read<_>>()?,
            _ => return values.bad("'values' must be a list"),
        },
    };
    Ok(Exception {
        name: name.to_owned(),
        origin,
        fields,
        comps,
        values,
    })
}

/// Values are lists of lists at most.
const MAX_ENTRY_DEPTH: usize = 2;

fn read_entry(node: &Node<'_>, depth: usize) -> Read<Entry> {
    match node.kind() {
        Some(Kind::Scalar(s)) if !s.is_empty() => Ok(Entry::Item(s.clone(), node.origin())),
        Some(Kind::Seq(ids)) if depth < MAX_ENTRY_DEPTH => {
            let entries = ids.iter().map(|id| {
                read_entry(
                    &Node {
                        yaml: node.yaml,
                        id: *id,
                    },
                    depth + 1,
                )
            });
            Ok(Entry::List(entries.collect::<Read<_>>()?, node.origin()))
        }
        _ => node.bad("expected a value or a list of values"),
    }
}
