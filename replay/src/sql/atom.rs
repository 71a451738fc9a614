//! Comparisons in SQL.

use std::net::IpAddr;

use super::condition::Sql;
use super::text::{self, sign};
use super::value::{Fold, Shape, Text, beyond, shape};
use super::{NotExpressible, literal, pattern};
use crate::condition::{Modifier, Operator};
use crate::fields::Arity;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::test::{Network, StrTest, Test};

/// A comparison: true where it holds, else false or null.
pub(super) fn sql(atom: &Atom) -> Result<Sql, NotExpressible> {
    if atom.is_never() {
        return Ok(Sql::Const(false));
    }
    let what = atom.left.text();
    match &atom.right {
        Right::Test(test) => of_shape(&shape(&atom.left)?, test, &what, ends(&atom.left)),
        Right::Every(test) => match shape(&atom.left)? {
            Shape::Each(shapes) => every(&shapes, test, &what),
            _ => beyond(&what, "SQL does not test every element of a list"),
        },
        Right::Field(op, right) => of_fields(&shape(&atom.left)?, *op, &shape(right)?, &what),
        Right::Record(test) => super::record::sql(test),
    }
}

/// Whether these are both ends of a socket, which `!=` wants to differ both.
fn ends(extract: &Extract) -> bool {
    matches!(extract, Extract::Field(f) if f.arity == Arity::Ends)
}

/// All that are there must pass, and one must be there.
fn every(shapes: &[Shape], test: &Test, what: &str) -> Result<Sql, NotExpressible> {
    let mut parts = vec![Sql::any(shapes.iter().map(|s| Sql::text(s.present())))];
    for shape in shapes {
        let holds = scalar(shape, test, what)?;
        parts.push(Sql::any([Sql::text(shape.present()).not(), holds]));
    }
    Ok(Sql::all(parts))
}

fn of_shape(shape: &Shape, test: &Test, what: &str, ends: bool) -> Result<Sql, NotExpressible> {
    match shape {
        Shape::Each(shapes) if ends && test.is_not_equal() => every(shapes, test, what),
        Shape::Each(shapes) => {
            let parts: Result<Vec<Sql>, _> = shapes.iter().map(|s| scalar(s, test, what)).collect();
            parts.map(Sql::any)
        }
        shape => scalar(shape, test, what),
    }
}

fn scalar(shape: &Shape, test: &Test, what: &str) -> Result<Sql, NotExpressible> {
    match (test, shape) {
        (Test::Exists, shape) => Ok(Sql::text(shape.present())),
        (Test::Group(modifier, tests), shape) => group(shape, *modifier, tests, what),
        (test, Shape::Texts(sql)) => list(sql, test, what),
        (Test::Str(test), shape) => text::sql(&shape.clone().into_text(what)?, test, what),
        (Test::Number(op, n), Shape::Number(sql, unsigned)) => Ok(number(sql, *unsigned, *op, *n)),
        (Test::NumberIn(set), Shape::Number(sql, _)) => Ok(one_of(sql, set.iter().map(i128::to_string))),
        (Test::Number(op, n), Shape::Text(Text { sql, .. })) => {
            Ok(number(&format!("TRY_CAST({sql} AS BIGINT)"), false, *op, *n))
        }
        (Test::NumberIn(set), Shape::Text(Text { sql, .. })) => Ok(one_of(
            &format!("TRY_CAST({sql} AS BIGINT)"),
            set.iter().map(i128::to_string),
        )),
        (Test::Bool(op, b), Shape::Bool(sql)) => Ok(Sql::text(format!("{sql} {} {b}", sign(*op)))),
        (Test::BoolIn(set), Shape::Bool(sql)) => Ok(one_of(sql, set.iter().map(bool::to_string))),
        (Test::Ip(op, ip), Shape::Ip(sql)) => Ok(Sql::text(format!("{sql} {} '{ip}'", sign(*op)))),
        (Test::IpIn(set), Shape::Ip(sql)) => Ok(one_of(sql, set.iter().map(|ip| format!("'{ip}'")))),
        (Test::Net(op, net), Shape::Ip(sql)) => {
            let inside = within(sql, net, what)?;
            Ok(match op {
                Operator::Ne => Sql::all([Sql::text(format!("{sql} IS NOT NULL")), inside.not()]),
                _ => inside,
            })
        }
        (Test::NetIn(set), Shape::Ip(sql)) => {
            let parts: Result<Vec<Sql>, _> = set.iter().map(|net| within(sql, net, what)).collect();
            parts.map(Sql::any)
        }
        (Test::Net(..) | Test::NetIn(_), Shape::Text(_)) => beyond(what, "SQL does not read addresses in texts"),
        _ => Ok(Sql::Const(false)),
    }
}

fn one_of(sql: &str, items: impl Iterator<Item = String>) -> Sql {
    let mut items: Vec<String> = items.collect();
    items.sort();
    match items.is_empty() {
        true => Sql::Const(false),
        false => Sql::text(format!("{sql} IN ({})", items.join(", "))),
    }
}

fn group(shape: &Shape, modifier: Modifier, tests: &[Test], what: &str) -> Result<Sql, NotExpressible> {
    if matches!(shape, Shape::Texts(_)) && modifier != Modifier::Any {
        return beyond(what, "SQL does not count the tests that an element passes");
    }
    let parts: Vec<Sql> = tests.iter().map(|t| scalar(shape, t, what)).collect::<Result<_, _>>()?;
    Ok(match modifier {
        Modifier::Any => Sql::any(parts),
        Modifier::All if parts.is_empty() => Sql::Const(false),
        Modifier::All => Sql::all(parts),
        Modifier::One => {
            let each = parts.into_iter().map(|part| match part {
                Sql::Const(value) => i32::from(value).to_string(),
                Sql::Text(text) => format!("CASE WHEN {text} THEN 1 ELSE 0 END"),
            });
            Sql::text(format!("{} = 1", each.collect::<Vec<_>>().join(" + ")))
        }
    })
}

/// A comparison of numbers. What no number of the column's type can be is decided here.
fn number(sql: &str, unsigned: bool, op: Operator, n: i128) -> Sql {
    let (least, most) = match unsigned {
        true => (0, i128::from(u64::MAX)),
        false => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let present = || Sql::text(format!("{sql} IS NOT NULL"));
    let above = n < least;
    if (least..=most).contains(&n) {
        return Sql::text(format!("{sql} {} {n}", sign(op)));
    }
    match op {
        Operator::Ne => present(),
        Operator::Gt | Operator::Ge if above => present(),
        Operator::Lt | Operator::Le if !above => present(),
        _ => Sql::Const(false),
    }
}

/// That one element of a list passes.
fn list(sql: &str, test: &Test, what: &str) -> Result<Sql, NotExpressible> {
    let has = |item: &str| Sql::text(format!("array_has({sql}, {item})"));
    let other = |item: &str| Sql::text(format!("cardinality(array_remove_all({sql}, {item})) > 0"));
    let any = |items: Vec<String>| match items.is_empty() {
        true => Sql::Const(false),
        false => Sql::text(format!("array_has_any({sql}, make_array({}))", items.join(", "))),
    };
    Ok(match test {
        Test::Str(StrTest::Compare(Operator::Eq, constant)) => has(&literal::text(constant)),
        Test::Str(StrTest::Compare(Operator::Ne, constant)) => other(&literal::text(constant)),
        Test::Str(StrTest::In(set)) => any(set.iter().map(|i| literal::text(i)).collect()),
        Test::Number(Operator::Eq, n) => has(&format!("'{n}'")),
        Test::Number(Operator::Ne, n) => other(&format!("'{n}'")),
        Test::NumberIn(set) => any(set.iter().map(|n| format!("'{n}'")).collect()),
        Test::Str(test) => return within_list(sql, test, what),
        _ => return beyond(what, "SQL does not compare the elements of a list"),
    })
}

/// The elements one after the other, each between separators.
fn within_list(list: &str, test: &StrTest, what: &str) -> Result<Sql, NotExpressible> {
    let all = format!("('\u{1f}' || array_to_string({list}, '\u{1f}') || '\u{1f}')");
    let framed = |before: &str, constant: &[u8], after: &str| {
        let wanted = [before.as_bytes(), constant, after.as_bytes()].concat();
        Sql::text(format!("contains({all}, {})", literal::text(&wanted)))
    };
    let found = match test {
        StrTest::Contains(finder) => framed("", finder.needle(), ""),
        StrTest::StartsWith(start) => framed("\u{1f}", start, ""),
        StrTest::EndsWith(end) => framed("", end, "\u{1f}"),
        StrTest::IContains(needle) => text::matching(&all, &pattern::constant(needle, Fold::Lower)),
        StrTest::Glob(glob) => match pattern::of_glob(glob, Fold::None, "[^\u{1f}]*") {
            Some(regex) => text::matching(&all, &format!("\u{1f}{regex}\u{1f}")),
            None => return beyond(what, "the pattern is not UTF-8"),
        },
        StrTest::Never => return Ok(Sql::Const(false)),
        _ => return beyond(what, "SQL does not compare the elements of a list"),
    };
    // Without elements there is nothing to find.
    Ok(Sql::all([Sql::text(format!("cardinality({list}) > 0")), found]))
}

/// That an address, which is written out, lies in a network.
fn within(sql: &str, net: &Network, what: &str) -> Result<Sql, NotExpressible> {
    match net.address {
        IpAddr::V4(address) => {
            let part = |n: u8| format!("TRY_CAST(split_part({sql}, '.', {n}) AS BIGINT)");
            let whole = format!(
                "{} * 16777216 + {} * 65536 + {} * 256 + {}",
                part(1),
                part(2),
                part(3),
                part(4)
            );
            let mask = u32::MAX.checked_shl(32 - u32::from(net.prefix)).unwrap_or(0);
            let first = u32::from(address) & mask;
            let last = first | !mask;
            let v4 = Sql::text(format!("NOT contains({sql}, ':')"));
            Ok(Sql::all([v4, Sql::text(format!("{whole} BETWEEN {first} AND {last}"))]))
        }
        IpAddr::V6(address) => {
            let v6 = Sql::text(format!("contains({sql}, ':')"));
            match net.prefix {
                0 => Ok(v6),
                128 => Ok(Sql::text(format!("{sql} = '{address}'"))),
                // The first of the eight groups decides; it is left out where it is zero.
                prefix @ 1..=16 => {
                    let first = address.segments().first().copied().unwrap_or(0);
                    let mask = u16::MAX << (16 - u32::from(prefix));
                    let (first, last) = (first & mask, first & mask | !mask);
                    let group = format!("lpad(split_part({sql}, ':', 1), 4, '0')");
                    Ok(Sql::all([
                        v6,
                        Sql::text(format!("{group} BETWEEN '{first:04x}' AND '{last:04x}'")),
                    ]))
                }
                _ => beyond(what, "SQL does not take such IPv6 networks"),
            }
        }
    }
}

fn of_fields(left: &Shape, op: Operator, right: &Shape, what: &str) -> Result<Sql, NotExpressible> {
    let pair = |l: &str, r: &str| match op {
        Operator::Eq | Operator::Ne | Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
            Ok(Sql::text(format!("{l} {} {r}", sign(op))))
        }
        Operator::Contains => Ok(Sql::text(format!("contains({l}, {r})"))),
        Operator::StartsWith => Ok(Sql::text(format!("starts_with({l}, {r})"))),
        Operator::EndsWith => Ok(Sql::text(format!("ends_with({l}, {r})"))),
        _ => beyond(what, "SQL takes no pattern from a field"),
    };
    match (left, right) {
        (Shape::Text(l), Shape::Text(r)) if l.fold == Fold::None && r.fold == Fold::None => pair(&l.sql, &r.sql),
        (Shape::Text(_), Shape::Text(_)) => beyond(what, "SQL changes the case of letters of all alphabets"),
        (Shape::Number(l, _), Shape::Number(r, _)) => pair(l, r),
        (Shape::Bool(l), Shape::Bool(r)) | (Shape::Ip(l), Shape::Ip(r)) => pair(l, r),
        _ => beyond(what, "SQL does not compare these lists"),
    }
}
