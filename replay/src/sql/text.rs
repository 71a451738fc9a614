//! Tests of texts in SQL.

use super::condition::Sql;
use super::value::{Fold, Text, beyond};
use super::{NotExpressible, literal, pattern};
use crate::condition::Operator;
use crate::typed::test::StrTest;

/// A test of a text. `what` names it in errors.
pub(super) fn sql(text: &Text, test: &StrTest, what: &str) -> Result<Sql, NotExpressible> {
    match text.fold {
        Fold::None => plain(&text.sql, test, what),
        fold => folded(&text.sql, fold, test, what),
    }
}

fn plain(sql: &str, test: &StrTest, what: &str) -> Result<Sql, NotExpressible> {
    let call = |function: &str, constant: &[u8]| Sql::text(format!("{function}({sql}, {})", literal::text(constant)));
    let part = match test {
        StrTest::Contains(finder) => finder.needle(),
        StrTest::StartsWith(part) | StrTest::EndsWith(part) => part,
        _ => &[],
    };
    if has_part_of_a_character(part) {
        return beyond(what, "SQL finds characters, not parts of them");
    }
    Ok(match test {
        StrTest::Compare(op, constant) => Sql::text(format!("{sql} {} {}", sign(*op), literal::text(constant))),
        StrTest::Contains(finder) => call("contains", finder.needle()),
        StrTest::StartsWith(start) => call("starts_with", start),
        StrTest::EndsWith(end) => call("ends_with", end),
        StrTest::In(set) if set.is_empty() => Sql::Const(false),
        StrTest::In(set) => {
            let mut items: Vec<&[u8]> = set.iter().map(AsRef::as_ref).collect();
            items.sort_unstable();
            Sql::text(format!("{sql} IN ({})", literal::texts(items.into_iter())))
        }
        StrTest::Never => Sql::Const(false),
        StrTest::IContains(needle) => matching(sql, &pattern::constant(needle, Fold::Lower)),
        StrTest::Glob(glob) => match pattern::of_glob(glob, Fold::None, pattern::ANYTHING) {
            Some(regex) => matching(sql, &format!("^{regex}$")),
            None => return beyond(what, "the pattern is not UTF-8"),
        },
        StrTest::Regex(regex) => matching(sql, regex.as_str()),
        StrTest::Pmatch(paths) => prefixes(sql, paths, Fold::None, what)?,
    })
}

/// Whether there are bytes that are no UTF-8 here and may belong to a character where they are found.
fn has_part_of_a_character(constant: &[u8]) -> bool {
    let mut invalid = constant.utf8_chunks().flat_map(|chunk| chunk.invalid());
    invalid.any(|b| !matches!(b, 0xc0 | 0xc1 | 0xf5..))
}

/// Tests of a text whose letters have changed: of the text as it is, with both cases of each letter.
fn folded(sql: &str, fold: Fold, test: &StrTest, what: &str) -> Result<Sql, NotExpressible> {
    let possible = |constant: &[u8]| constant.iter().all(|b| fold.of(*b) == *b);
    let find = |before: &str, constant: &[u8], after: &str| {
        if !possible(constant) {
            return Sql::Const(false);
        }
        matching(sql, &format!("{before}{}{after}", pattern::constant(constant, fold)))
    };
    Ok(match test {
        StrTest::Compare(Operator::Eq, constant) => find("^", constant, "$"),
        StrTest::Compare(Operator::Ne, constant) => {
            Sql::all([Sql::text(format!("{sql} IS NOT NULL")), find("^", constant, "$").not()])
        }
        StrTest::Contains(finder) => find("", finder.needle(), ""),
        StrTest::IContains(needle) => matching(sql, &pattern::constant(needle, Fold::Lower)),
        StrTest::StartsWith(start) => find("^", start, ""),
        StrTest::EndsWith(end) => find("", end, "$"),
        StrTest::In(set) => {
            let mut items: Vec<&[u8]> = set.iter().map(AsRef::as_ref).filter(|i| possible(i)).collect();
            items.sort_unstable();
            let items: Vec<String> = items.into_iter().map(|i| pattern::constant(i, fold)).collect();
            match items.is_empty() {
                true => Sql::Const(false),
                false => matching(sql, &format!("^(?:{})$", items.join("|"))),
            }
        }
        StrTest::Glob(glob) => match pattern::of_glob(glob, fold, pattern::ANYTHING) {
            Some(regex) => matching(sql, &format!("^{regex}$")),
            None => return beyond(what, "the pattern is not UTF-8"),
        },
        StrTest::Pmatch(paths) => prefixes(sql, paths, fold, what)?,
        StrTest::Never => Sql::Const(false),
        StrTest::Compare(..) | StrTest::Regex(_) => {
            return beyond(what, "SQL changes the case of letters of all alphabets");
        }
    })
}

fn prefixes(
    sql: &str,
    paths: &crate::typed::path_prefix::PathPrefixes,
    fold: Fold,
    what: &str,
) -> Result<Sql, NotExpressible> {
    match pattern::of_prefixes(paths, fold) {
        Some(pattern::Prefixes::None) => Ok(Sql::Const(false)),
        Some(pattern::Prefixes::All) => Ok(Sql::text(format!("{sql} IS NOT NULL"))),
        Some(pattern::Prefixes::Some(regex)) => Ok(matching(sql, &regex)),
        None => beyond(what, "a path is not UTF-8"),
    }
}

/// That a regular expression matches somewhere.
pub(super) fn matching(sql: &str, regex: &str) -> Sql {
    Sql::text(format!("regexp_like({sql}, {})", literal::text(regex.as_bytes())))
}

/// A comparison in SQL.
pub(super) fn sign(op: Operator) -> &'static str {
    match op {
        Operator::Ne => "<>",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Gt => ">",
        Operator::Ge => ">=",
        _ => "=",
    }
}
