//! Comparing one value with constants.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

use ctrace_trace::catalogue::Value;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::glob::Glob;
use super::path_prefix::PathPrefixes;
use crate::condition::{Modifier, Operator};

/// What a value is held against. An absent value satisfies none of them, `!=` included.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// The value is there.
    Exists,
    Str(StrTest),
    /// Signed and unsigned numbers, compared by value.
    Number(Operator, i128),
    NumberIn(Box<[i128]>),
    Bool(Operator, bool),
    BoolIn(Box<[bool]>),
    Ip(Operator, IpAddr),
    IpIn(Box<[IpAddr]>),
    Net(Operator, Network),
    NetIn(Box<[Network]>),
    /// Several tests of which one, any or all must hold.
    Group(Modifier, Box<[Test]>),
}

/// Comparisons of text and bytes.
#[derive(Clone, Debug)]
pub(crate) enum StrTest {
    Compare(Operator, Box<[u8]>),
    Contains(Box<Finder<'static>>),
    /// The needle is in lower case.
    IContains(Box<[u8]>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Glob(Glob),
    Regex(Regex),
    /// Sorted by [`by_length`].
    In(Box<[Box<[u8]>]>),
    Pmatch(PathPrefixes),
    Never,
}

/// An address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Network {
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let shift = |bits: u32| bits.saturating_sub(u32::from(self.prefix));
        match (self.address, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                (u32::from(net) ^ u32::from(ip)).checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                (u128::from(net) ^ u128::from(ip)).checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Test {
    /// Whether a value satisfies the test.
    pub(crate) fn holds(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Test::Exists, Value::List(items)) => !items.is_empty(),
            (Test::Exists, _) => true,
            (test, Value::List(items)) => items.iter().any(|i| test.holds(&Value::Str(Cow::Borrowed(i)))),
            (Test::Str(t), Value::Str(b)) => t.holds(b),
            // `evt.arg.uid` is text to rules, whatever it is stored as.
            (Test::Str(t), other) => t.holds(other.to_string().as_bytes()),
            (Test::Number(op, n), v) => number(v).is_some_and(|v| compare(*op, &v, n)),
            (Test::NumberIn(set), v) => number(v).is_some_and(|v| set.contains(&v)),
            (Test::Bool(op, b), Value::Bool(v)) => compare(*op, v, b),
            (Test::BoolIn(set), Value::Bool(v)) => set.contains(v),
            (Test::Ip(op, ip), Value::Ip(v)) => equal(*op, v == ip),
            (Test::IpIn(set), Value::Ip(v)) => set.contains(v),
            // Addresses in audit records are text.
            (Test::Net(..), Value::Str(text)) => {
                let ip = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                ip.is_some_and(|ip| self.holds(&Value::Ip(ip)))
            }
            (Test::Net(op, net), Value::Ip(v)) => equal(*op, net.contains(*v)),
            (Test::NetIn(set), Value::Ip(v)) => set.iter().any(|n| n.contains(*v)),
            (Test::Group(modifier, tests), v) => {
                let mut held = tests.iter().filter(|t| t.holds(v));
                match modifier {
                    Modifier::Any => held.next().is_some(),
                    Modifier::All => !tests.is_empty() && held.count() == tests.len(),
                    Modifier::One => held.take(2).count() == 1,
                }
            }
            _ => false,
        }
    }

    /// The test of text that this is, where it is one.
    pub(crate) fn as_text(&self) -> Option<&StrTest> {
        match self {
            Test::Str(test) => Some(test),
            _ => None,
        }
    }

    /// Whether this is `!=`, which wants both ends of a socket to differ.
    pub(crate) fn is_not_equal(&self) -> bool {
        matches!(
            self,
            Test::Ip(Operator::Ne, _) | Test::Net(Operator::Ne, _) | Test::Number(Operator::Ne, _)
        )
    }
}

impl StrTest {
    /// Whether text satisfies the test.
    pub(crate) fn holds(&self, text: &[u8]) -> bool {
        match self {
            StrTest::Compare(op, wanted) => compare(*op, &text, &wanted.as_ref()),
            StrTest::Contains(finder) => finder.find(text).is_some(),
            StrTest::IContains(needle) => icontains(text, needle),
            StrTest::StartsWith(prefix) => text.starts_with(prefix),
            StrTest::EndsWith(suffix) => text.ends_with(suffix),
            StrTest::Glob(glob) => glob.matches(text),
            StrTest::Regex(regex) => regex.is_match(text),
            StrTest::In(set) => set.binary_search_by(|item| by_length(item, text)).is_ok(),
            StrTest::Pmatch(paths) => paths.matches(text),
            StrTest::Never => false,
        }
    }
}

/// The order of sets: most comparisons end at the length.
pub(crate) fn by_length(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Compares values of one kind.
fn compare<T: PartialOrd>(op: Operator, left: &T, right: &T) -> bool {
    match op {
        Operator::Eq | Operator::In | Operator::Intersects => left == right,
        Operator::Ne => left != right,
        Operator::Lt => left < right,
        Operator::Le => left <= right,
        Operator::Gt => left > right,
        Operator::Ge => left >= right,
        _ => false,
    }
}

fn equal(op: Operator, same: bool) -> bool {
    match op {
        Operator::Ne => !same,
        _ => same,
    }
}

/// The number that a value is. Lists carry their numbers as text.
fn number(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(v) => Some(i128::from(*v)),
        Value::Uint(v) => Some(i128::from(*v)),
        Value::Str(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Compares two values of fields.
pub(crate) fn compare_values(op: Operator, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Str(l), Value::Str(r)) => match op {
            Operator::Contains => memchr::memmem::find(l, r).is_some(),
            Operator::IContains => icontains(l, &r.to_ascii_lowercase()),
            Operator::StartsWith => l.starts_with(r),
            Operator::EndsWith => l.ends_with(r),
            Operator::Glob => Glob::new(r, false).is_some_and(|g| g.matches(l)),
            Operator::IGlob => Glob::new(r, true).is_some_and(|g| g.matches(l)),
            _ => compare(op, l, r),
        },
        (Value::Bool(l), Value::Bool(r)) => compare(op, l, r),
        (Value::Ip(l), Value::Ip(r)) => equal(op, l == r),
        _ => match (number(left), number(right)) {
            (Some(l), Some(r)) => compare(op, &l, &r),
            _ => false,
        },
    }
}

/// `needle` is in lower case already.
fn icontains(text: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else { return true };
    let upper = first.to_ascii_uppercase();
    memchr::memchr2_iter(first, upper, text).any(|i| {
        text.get(i..i + needle.len())
            .is_some_and(|w| w.eq_ignore_ascii_case(needle))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_addresses_of_their_family() {
        let net = |a: &str, prefix| Network {
            address: a.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])),
            prefix,
        };
        assert!(net("10.0.0.0", 8).contains(IpAddr::from([10, 1, 2, 3])));
        assert!(!net("10.0.0.0", 8).contains(IpAddr::from([11, 1, 2, 3])));
        assert!(net("1.2.3.4", 0).contains(IpAddr::from([9, 9, 9, 9])));
        assert!(net("fe80::", 10).contains("fe80::1".parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))));
        assert!(!net("::", 0).contains(IpAddr::from([1, 1, 1, 1])));
    }

    #[test]
    fn case_is_folded_anywhere() {
        assert!(icontains(b"/ETC/Passwd", b"c/pass"));
        assert!(!icontains(b"/etc", b"etcx"));
    }
}
