//! Correlations as they are written: which rules, grouped by what, within which time, how many.

use std::collections::BTreeMap;

use super::read::scalars;
use crate::condition::Operator;
use crate::rules::{Bad, Loader, Node, Read};
use crate::source::Origin;
use crate::yaml::Kind;

/// What is measured over the matches of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// How many matches there are.
    EventCount,
    /// How many different values there are.
    ValueCount,
    /// The sum of the values, as numbers.
    ValueSum,
    /// Their average.
    ValueAvg,
    /// The share of one value among all, in percent.
    ValuePercentile,
    /// How many of the rules matched.
    Temporal,
    /// Whether the rules matched one after the other in their order.
    TemporalOrdered,
}

const MEASURES: [(&str, Measure); 7] = [
    ("event_count", Measure::EventCount),
    ("value_count", Measure::ValueCount),
    ("value_sum", Measure::ValueSum),
    ("value_avg", Measure::ValueAvg),
    ("value_percentile", Measure::ValuePercentile),
    ("temporal", Measure::Temporal),
    ("temporal_ordered", Measure::TemporalOrdered),
];

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        MEASURES.iter().find(|m| m.1 == self).map_or("", |m| m.0)
    }

    fn has_values(self) -> bool {
        matches!(
            self,
            Measure::ValueCount | Measure::ValueSum | Measure::ValueAvg | Measure::ValuePercentile
        )
    }

    fn is_temporal(self) -> bool {
        matches!(self, Measure::Temporal | Measure::TemporalOrdered)
    }
}

/// Bounds are counted in millionths: averages are compared with numbers that are not whole.
pub(crate) const BOUND_UNIT: i128 = 1_000_000;

/// What a measured number is compared with, in [`BOUND_UNIT`]s.
pub(super) type Bounds = Vec<(Operator, i128)>;

/// A correlation.
#[derive(Clone, Debug)]
pub(super) struct Correlation {
    pub(super) measure: Measure,
    pub(super) rules: Vec<(String, Origin)>,
    pub(super) group_by: Vec<String>,
    /// The fields whose values are counted.
    pub(super) values: Vec<String>,
    /// For each alias, by rule, the field that it stands for.
    pub(super) aliases: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) timespan_ns: u64,
    pub(super) conditions: Bounds,
    /// Whether the rules raise alerts of their own too.
    pub(super) generate: bool,
}

/// Reads the `correlation` of a document.
pub(super) fn read(node: &Node<'_>, document: &Node<'_>, loader: &mut Loader) -> Read<Correlation> {
    let (word, at) = node.required("type")?;
    let Some((_, measure)) = MEASURES.iter().find(|m| m.0 == word) else {
        let near = crate::diagnostics::nearest(word, MEASURES.iter().map(|m| m.0));
        let near = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        return Err(Bad(at, format!("correlations of type '{word}' are not known{near}")));
    };
    let measure = *measure;
    let rules = match node.get("rules").map(|n| (n, n.scalar())) {
        Some((_, Some((one, at)))) => vec![(one.to_owned(), at)],
        Some((list, None)) => match node.scalars("rules")? {
            Some(rules) if !rules.is_empty() => rules,
            _ => return list.bad("'rules' is empty"),
        },
        None => return node.bad("'rules' is missing"),
    };
    let (span, at) = node.required("timespan")?;
    let (conditions, values) = condition(node, measure, rules.len())?;
    node.warn_unknown_keys(
        &[
            "type",
            "rules",
            "group-by",
            "timespan",
            "condition",
            "aliases",
            "generate",
        ],
        loader,
    );
    let generate = node.boolean("generate")?.or(document.boolean("generate")?);
    Ok(Correlation {
        measure,
        rules,
        group_by: scalars(node, "group-by")?,
        values,
        aliases: aliases(node)?,
        timespan_ns: timespan(span).ok_or_else(|| Bad(at, format!("'{span}' is no time span (15m, 1h)")))?,
        conditions,
        generate: generate.unwrap_or(false),
    })
}

/// A number with a letter: seconds, minutes, hours, days.
fn timespan(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|n| *n > 0)?;
    number.checked_mul(seconds)?.checked_mul(1_000_000_000)
}

/// A decimal number as a bound.
fn bound(text: &str) -> Option<i128> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let unsigned = whole.strip_prefix('-').unwrap_or(whole);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(unsigned) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let whole_units = i128::from(unsigned.parse::<i64>().ok()?) * BOUND_UNIT;
    let rest: i128 = format!("{decimals:0<6}").parse().ok()?;
    let units = whole_units + rest;
    Some(if whole.starts_with('-') { -units } else { units })
}

/// The bounds and the fields whose values are counted.
fn condition(node: &Node<'_>, measure: Measure, rules: usize) -> Read<(Bounds, Vec<String>)> {
    let all = || vec![(Operator::Ge, rules as i128 * BOUND_UNIT)];
    let Some(inner) = node.get("condition") else {
        if measure.is_temporal() {
            return Ok((all(), Vec::new()));
        }
        return node.bad("'condition' is missing");
    };
    let Some(Kind::Map(entries)) = inner.kind() else {
        return inner.bad("'condition' must be a mapping such as 'gte: 10'");
    };
    let mut out = Vec::new();
    for (key, value) in entries {
        let op = match node.yaml.scalar(*key).map(|k| k.0) {
            Some("gt") => Operator::Gt,
            Some("gte") => Operator::Ge,
            Some("lt") => Operator::Lt,
            Some("lte") => Operator::Le,
            Some("eq") => Operator::Eq,
            Some("neq") => Operator::Ne,
            Some("field") => continue,
            _ => return inner.bad("'condition' takes gt, gte, lt, lte, eq, neq and field"),
        };
        match node.yaml.scalar(*value).and_then(|(text, _)| bound(text)) {
            Some(number) => out.push((op, number)),
            None => return inner.bad("the numbers of a condition have six decimals at most"),
        }
    }
    let values = scalars(&inner, "field")?;
    match (values.is_empty(), measure.has_values()) {
        (true, true) => return inner.bad(format!("{} needs a 'field'", measure.name())),
        (false, false) => return inner.bad(format!("{} takes no 'field'", measure.name())),
        _ => {}
    }
    if measure == Measure::TemporalOrdered && !out.is_empty() && out != all() {
        return inner.bad("temporal_ordered wants all of its rules");
    }
    match (out.is_empty(), measure.is_temporal()) {
        (true, true) => Ok((all(), values)),
        (true, false) => inner.bad("'condition' is empty"),
        _ => Ok((out, values)),
    }
}

fn aliases(node: &Node<'_>) -> Read<BTreeMap<String, BTreeMap<String, String>>> {
    let mut out = BTreeMap::new();
    let Some(inner) = node.get("aliases") else {
        return Ok(out);
    };
    let Some(Kind::Map(entries)) = inner.kind() else {
        return inner.bad("'aliases' must be a mapping");
    };
    for (alias, rules) in entries {
        let (Some((alias, _)), Some(Kind::Map(rules))) =
            (node.yaml.scalar(*alias), node.yaml.node(*rules).map(|n| &n.kind))
        else {
            return inner.bad("an alias maps rules to fields");
        };
        let pairs = rules.iter().filter_map(|(rule, field)| {
            let (rule, field) = (node.yaml.scalar(*rule)?.0, node.yaml.scalar(*field)?.0);
            Some((rule.to_owned(), field.to_owned()))
        });
        out.insert(alias.to_owned(), pairs.collect());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_decimals() {
        assert_eq!(bound("3"), Some(3_000_000));
        assert_eq!(bound("-0.25"), Some(-250_000));
        assert_eq!(bound("1.000001"), Some(1_000_001));
        for bad in ["", ".5", "1.", "1.0000001", "1e3", "+1", "99999999999999999999"] {
            assert_eq!(bound(bad), None, "{bad}");
        }
    }

    #[test]
    fn time_spans() {
        assert_eq!(timespan("10s"), Some(10_000_000_000));
        assert_eq!(timespan("90m"), Some(5_400_000_000_000));
        for bad in ["", "m", "10", "-1s", "1w", "0s", "1M", "99999999999999d"] {
            assert_eq!(timespan(bad), None, "{bad}");
        }
    }
}
