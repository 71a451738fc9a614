//! Items of a detection: modifiers are applied to values, in the order in which they stand, and give matchers.

use std::net::IpAddr;

use regex::bytes::RegexBuilder;

use super::document::{Item, Value};
use super::pattern::{self, Pattern};
use super::placeholder::{self, Placeholders};
use super::refusal::Refusal;
use crate::condition::Operator;
use crate::diagnostics::nearest;
use crate::source::Origin;
use crate::typed::clock::TimePart;
use crate::typed::test::{Network, StrTest, Test};

/// Largest compiled regular expression; keeps a hostile one from taking memory.
const REGEX_LIMIT: usize = 1 << 20;

/// What an item wants of its field.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) wants: Vec<Want>,
    /// Whether all of `wants` must hold, not one of them.
    pub(super) all: bool,
    /// Whether the opposite is meant.
    pub(super) negated: bool,
    /// Whether the case of letters does not matter.
    pub(super) fold: bool,
    /// The part of the field, a time, that is compared.
    pub(super) part: Option<TimePart>,
}

/// What a value wants of its field.
#[derive(Clone, Debug)]
pub(super) enum Want {
    Pattern(Pattern),
    /// A test that no case folding concerns.
    Test(Test),
    /// The field has no value.
    Null,
    /// The field has a value, or has none.
    Exists(bool),
    /// Another field, and how both compare.
    Field(Operator, String),
}

/// The modifiers that there are.
const MODIFIERS: [&str; 33] = [
    "all",
    "startswith",
    "endswith",
    "contains",
    "exists",
    "cased",
    "neq",
    "windash",
    "re",
    "i",
    "m",
    "s",
    "base64",
    "base64offset",
    "utf16le",
    "utf16be",
    "utf16",
    "wide",
    "lt",
    "lte",
    "gt",
    "gte",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "cidr",
    "expand",
    "fieldref",
    "ignorecase",
    "multiline",
];

/// Applies an item's modifiers. The error says what is wrong with the rule, or what it would need.
pub(super) fn matcher(item: &Item, placeholders: &Placeholders) -> Result<Matcher, Refusal> {
    let bad = |message: String| Err(Refusal::wrong(item.origin, message));
    if let Some(unknown) = item.modifiers.iter().find(|m| !MODIFIERS.contains(&m.as_str())) {
        let near = nearest(unknown, MODIFIERS).map(|n| format!("; did you mean '{n}'?"));
        return bad(format!("unknown modifier '{unknown}'{}", near.unwrap_or_default()));
    }
    let has = |name: &str| item.modifiers.iter().any(|m| m == name);
    let part = TimePart::ALL.iter().find(|(name, _)| has(name)).map(|p| p.1);
    let kinds = ["re", "cidr", "fieldref", "exists"].into_iter().filter(|m| has(m));
    let kinds: Vec<&str> = kinds
        .chain(number_operator(item).map(|_| "a comparison of numbers"))
        .collect();
    if let [first, second, ..] = kinds.as_slice() {
        return bad(format!("modifiers {first} and {second} cannot stand together"));
    }
    for needs_re in ["i", "m", "s"] {
        if has(needs_re) && !has("re") {
            return bad(format!("modifier {needs_re} stands only after re"));
        }
    }
    let mut wants = Vec::new();
    for value in &item.values {
        match value {
            Value::Null => wants.push(Want::Null),
            Value::Text(text, origin) => {
                let texts = match has("expand") {
                    true => placeholder::expand(text, placeholders).map_err(|e| Refusal::needs(*origin, e))?,
                    false => vec![text.clone()],
                };
                for text in texts {
                    one(item, &text, *origin, part, &mut wants)?;
                }
            }
        }
    }
    Ok(Matcher {
        wants,
        all: has("all"),
        negated: has("neq"),
        fold: !has("cased"),
        part,
    })
}

/// `lt`, `lte`, `gt`, `gte`.
fn number_operator(item: &Item) -> Option<Operator> {
    let op = |m: &String| match m.as_str() {
        "lt" => Some(Operator::Lt),
        "lte" => Some(Operator::Le),
        "gt" => Some(Operator::Gt),
        "gte" => Some(Operator::Ge),
        _ => None,
    };
    item.modifiers.iter().find_map(op)
}

/// The whole number that says the same of whole numbers as this one, which may have decimals.
fn bound(op: Operator, text: &str) -> Option<i128> {
    let fits = |n: &i128| n.unsigned_abs() <= u128::from(u64::MAX);
    let Some((whole, decimals)) = text.split_once('.') else {
        return text.parse().ok().filter(fits);
    };
    if decimals.is_empty() || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let toward_zero: i128 = whole.parse().ok().filter(fits)?;
    if decimals.bytes().all(|b| b == b'0') {
        return Some(toward_zero);
    }
    let below = if whole.starts_with('-') {
        toward_zero - 1
    } else {
        toward_zero
    };
    match op {
        Operator::Gt | Operator::Le => Some(below),
        Operator::Ge | Operator::Lt => Some(below + 1),
        _ => None,
    }
}

/// What one value wants.
fn one(item: &Item, text: &str, at: Origin, part: Option<TimePart>, out: &mut Vec<Want>) -> Result<(), Refusal> {
    let has = |name: &str| item.modifiers.iter().any(|m| m == name);
    let number = |op| {
        let n = bound(op, text.trim()).ok_or_else(|| Refusal::wrong(at, format!("'{text}' is no number")))?;
        Ok(Want::Test(Test::Number(op, n)))
    };
    out.push(if has("exists") {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Want::Exists(true),
            "false" | "no" => Want::Exists(false),
            _ => return Err(Refusal::wrong(at, format!("exists takes true or false, not '{text}'"))),
        }
    } else if has("re") {
        Want::Test(regex(text, |flag| has(flag)).map_err(|e| Refusal::wrong(at, e))?)
    } else if has("cidr") {
        let net =
            network(text).ok_or_else(|| Refusal::wrong(at, format!("'{text}' is no network (address/prefix)")))?;
        Want::Test(Test::Net(Operator::Eq, net))
    } else if has("fieldref") {
        let op = match () {
            () if has("contains") => Operator::Contains,
            () if has("startswith") => Operator::StartsWith,
            () if has("endswith") => Operator::EndsWith,
            () => Operator::Eq,
        };
        Want::Field(op, text.to_owned())
    } else if let Some(op) = number_operator(item) {
        number(op)?
    } else if part.is_some() {
        number(Operator::Eq)?
    } else {
        let texts = texts(item, text).map_err(|e| Refusal::wrong(at, e))?;
        out.extend(texts.into_iter().map(Want::Pattern));
        return Ok(());
    });
    Ok(())
}

/// The strings that a value stands for.
fn texts(item: &Item, text: &str) -> Result<Vec<Pattern>, String> {
    let mut texts = vec![Pattern::parse(text)];
    for modifier in &item.modifiers {
        let each: fn(&Pattern) -> Result<Vec<Pattern>, String> = match modifier.as_str() {
            "contains" => |p| Ok(vec![p.clone().within(true, true)]),
            "startswith" => |p| Ok(vec![p.clone().within(false, true)]),
            "endswith" => |p| Ok(vec![p.clone().within(true, false)]),
            "windash" => pattern::windash,
            "base64" => pattern::base64,
            "base64offset" => pattern::base64offset,
            "utf16le" | "wide" => |p| pattern::utf16(p, true, false),
            "utf16be" => |p| pattern::utf16(p, false, false),
            "utf16" => |p| pattern::utf16(p, true, true),
            _ => continue,
        };
        let made = texts.iter().map(each).collect::<Result<Vec<_>, _>>()?;
        texts = made.into_iter().flatten().collect();
    }
    Ok(texts)
}

/// A regular expression that is to be found anywhere in a value.
fn regex(text: &str, flag: impl Fn(&str) -> bool) -> Result<Test, String> {
    let regex = RegexBuilder::new(text)
        .case_insensitive(flag("i") || flag("ignorecase"))
        .multi_line(flag("m") || flag("multiline"))
        .dot_matches_new_line(flag("s"))
        .size_limit(REGEX_LIMIT)
        .build()
        .map_err(|e| {
            format!(
                "regular expression: {}",
                e.to_string().lines().last().unwrap_or("").trim()
            )
        })?;
    Ok(Test::Str(StrTest::Regex(regex)))
}

/// `address/prefix`; an address alone is a network of one.
fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(most), |p| p.parse().ok())?;
    (prefix <= most).then_some(Network { address, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_bound_whole_numbers() {
        for (op, text, wanted) in [
            (Operator::Gt, "1.5", Some(1)),
            (Operator::Ge, "1.5", Some(2)),
            (Operator::Lt, "1.5", Some(2)),
            (Operator::Le, "1.5", Some(1)),
            (Operator::Gt, "-1.5", Some(-2)),
            (Operator::Ge, "-1.5", Some(-1)),
            (Operator::Ge, "3.00", Some(3)),
            (Operator::Ne, "3", Some(3)),
            (Operator::Ne, "3.5", None),
            (Operator::Gt, "1.", None),
            (Operator::Gt, "many", None),
        ] {
            assert_eq!(bound(op, text), wanted, "{op:?} {text}");
        }
    }
}
