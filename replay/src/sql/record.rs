//! Conditions on single audit records in SQL: each comparison gives the numbers of the records that satisfy it, and those
//! are joined as the condition joins them. `audit_matches` is ctrace's own function.

use super::condition::Sql;
use super::value::{Fold, beyond};
use super::{NotExpressible, literal, pattern};
use crate::condition::{Modifier, Operator};
use crate::typed::record::RecordTest;
use crate::typed::test::{StrTest, Test};

/// That one record satisfies the test.
pub(super) fn sql(test: &RecordTest) -> Result<Sql, NotExpressible> {
    Ok(Sql::text(format!("cardinality({}) > 0", numbers(test)?)))
}

/// The numbers of the records that satisfy a test.
fn numbers(test: &RecordTest) -> Result<String, NotExpressible> {
    Ok(match test {
        RecordTest::And(parts) => joined(parts, "array_intersect", true)?,
        RecordTest::Or(parts) => joined(parts, "array_union", false)?,
        RecordTest::Not(inner) => format!("array_except({}, {})", every(true), numbers(inner)?),
        RecordTest::Const(value) => every(*value),
        RecordTest::Field { name, fold, test } => matching(name, &of_test(test, *fold, name)?),
        RecordTest::Fields { left, .. } => return beyond(left, "SQL does not compare fields of a record"),
        RecordTest::Text { fold, test } => matching("", &of_test(test, *fold, "audit record")?),
    })
}

fn joined(parts: &[RecordTest], function: &str, of_none: bool) -> Result<String, NotExpressible> {
    let mut all: Option<String> = None;
    for part in parts {
        let part = numbers(part)?;
        all = Some(match all {
            None => part,
            Some(before) => format!("{function}({before}, {part})"),
        });
    }
    Ok(all.unwrap_or_else(|| every(of_none)))
}

/// All records, or none.
fn every(all: bool) -> String {
    matching("", if all { "" } else { pattern::NOTHING })
}

fn matching(field: &str, regex: &str) -> String {
    let (field, regex) = (literal::text(field.as_bytes()), literal::text(regex.as_bytes()));
    format!("audit_matches(audit_raw, audit_syscall, {field}, {regex})")
}

/// A regular expression that matches the texts which satisfy a test, of small letters with `fold`.
fn of_test(test: &Test, fold: bool, what: &str) -> Result<String, NotExpressible> {
    let fold = if fold { Fold::Lower } else { Fold::None };
    match test {
        Test::Exists => Ok(String::new()),
        Test::Str(test) => of_text(test, fold, what),
        Test::Group(Modifier::Any, tests) => {
            let each = tests.iter().map(|t| of_test(t, fold == Fold::Lower, what));
            Ok(alternatives(each.collect::<Result<_, _>>()?))
        }
        _ => beyond(what, "SQL compares the fields of a record as texts"),
    }
}

fn of_text(test: &StrTest, fold: Fold, what: &str) -> Result<String, NotExpressible> {
    // What no changed text has.
    let constant = |bytes: &[u8]| match bytes.iter().all(|b| fold.of(*b) == *b) {
        true => pattern::constant(bytes, fold),
        false => pattern::NOTHING.to_owned(),
    };
    Ok(match test {
        StrTest::Compare(Operator::Eq, text) => format!("^{}$", constant(text)),
        StrTest::Contains(finder) => constant(finder.needle()),
        StrTest::IContains(needle) => pattern::constant(needle, Fold::Lower),
        StrTest::StartsWith(text) => format!("^{}", constant(text)),
        StrTest::EndsWith(text) => format!("{}$", constant(text)),
        StrTest::In(set) => {
            let mut items: Vec<&[u8]> = set.iter().map(AsRef::as_ref).collect();
            items.sort_unstable();
            format!("^{}$", alternatives(items.into_iter().map(constant).collect()))
        }
        StrTest::Glob(glob) => match pattern::of_glob(glob, fold, pattern::ANYTHING) {
            Some(regex) => format!("^{regex}$"),
            None => return beyond(what, "the pattern is not UTF-8"),
        },
        StrTest::Regex(regex) if fold == Fold::None => regex.as_str().to_owned(),
        StrTest::Never => pattern::NOTHING.to_owned(),
        _ => return beyond(what, "SQL has no such test of a record's field"),
    })
}

fn alternatives(items: Vec<String>) -> String {
    match items.is_empty() {
        true => pattern::NOTHING.to_owned(),
        false => format!("(?:{})", items.join("|")),
    }
}
