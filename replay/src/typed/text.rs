//! Tests as text, for rules that were not written in Falco's language.

use std::fmt::{self, Display, Formatter};

use super::test::{Network, StrTest, Test};
use crate::condition::Modifier;

/// More items of a set than this are counted, not shown.
const MAX_SHOWN: usize = 20;

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Test::Exists => f.write_str("exists"),
            Test::Str(test) => test.fmt(f),
            Test::Number(op, n) => write!(f, "{} {n}", op.name()),
            Test::NumberIn(set) => listed(f, set),
            Test::Bool(op, b) => write!(f, "{} {b}", op.name()),
            Test::BoolIn(set) => listed(f, set),
            Test::Ip(op, ip) => write!(f, "{} {ip}", op.name()),
            Test::IpIn(set) => listed(f, set),
            Test::Net(op, net) => write!(f, "{} {net}", op.name()),
            Test::NetIn(set) => listed(f, set),
            Test::Group(modifier, tests) => {
                let word = match modifier {
                    Modifier::One => "one",
                    Modifier::Any => "any",
                    Modifier::All => "all",
                };
                write!(f, "{word} of ")?;
                tests.iter().enumerate().try_for_each(|(i, test)| {
                    let before = if i == 0 { "" } else { ", " };
                    write!(f, "{before}{test}")
                })
            }
        }
    }
}

impl Display for StrTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            StrTest::Compare(op, text) => write!(f, "{} {}", op.name(), Quoted(text)),
            StrTest::Contains(finder) => write!(f, "contains {}", Quoted(finder.needle())),
            StrTest::IContains(text) => write!(f, "icontains {}", Quoted(text)),
            StrTest::StartsWith(text) => write!(f, "startswith {}", Quoted(text)),
            StrTest::EndsWith(text) => write!(f, "endswith {}", Quoted(text)),
            StrTest::Glob(glob) => write!(f, "glob {}", Quoted(glob.pattern())),
            StrTest::Regex(regex) => write!(f, "regex {}", Quoted(regex.as_str().as_bytes())),
            StrTest::In(set) => {
                let mut texts: Vec<Quoted<'_>> = set.iter().map(|s| Quoted(s)).collect();
                texts.sort_unstable_by_key(|q| q.0);
                listed(f, &texts)
            }
            StrTest::Pmatch(_) => f.write_str("pmatch (…)"),
            StrTest::Never => f.write_str("never"),
        }
    }
}

impl Display for Network {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Text in quotes.
struct Quoted<'a>(&'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn listed<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("in (")?;
    for (i, item) in items.iter().take(MAX_SHOWN).enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    if let Some(more) = items.len().checked_sub(MAX_SHOWN).filter(|n| *n > 0) {
        write!(f, ", and {more} more")?;
    }
    f.write_str(")")
}
