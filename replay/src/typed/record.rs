//! Conditions on single audit records: an audit event has several, and a Sigma rule looks at one at a time.

use std::borrow::Cow;
use std::fmt;

use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value;
use ctrace_trace::event::Arg;

use super::test::{self, Test};
use crate::condition::Operator;

/// What a record must satisfy. Names are those of the record's fields (`type`, `a0`, `exe`, `SYSCALL`).
#[derive(Clone, Debug)]
pub(crate) enum RecordTest {
    And(Vec<RecordTest>),
    Or(Vec<RecordTest>),
    Not(Box<RecordTest>),
    Const(bool),
    /// One of the field's values satisfies the test; with `fold` after its letters became small.
    Field {
        name: String,
        fold: bool,
        test: Test,
    },
    /// Two fields compare; with `fold` whatever the case of their letters.
    Fields {
        left: String,
        op: Operator,
        right: String,
        fold: bool,
    },
    /// The record's text satisfies the test, or one of its values that the kernel wrote in hexadecimal.
    Text {
        fold: bool,
        test: Test,
    },
}

/// Whether one of an audit event's records satisfies the test.
pub(crate) fn holds(test: &RecordTest, event: EventView<'_>) -> bool {
    let text = |name| match event.arg_named(name) {
        Arg::Str(text) => text,
        _ => b"",
    };
    let syscall = text("syscall");
    let lines = text("raw").split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| Record { line, syscall })
        .any(|record| test.holds(&record))
}

/// One record.
struct Record<'a> {
    line: &'a [u8],
    /// Name of the event's system call; empty where it has none.
    syscall: &'a [u8],
}

impl RecordTest {
    fn holds(&self, record: &Record<'_>) -> bool {
        match self {
            RecordTest::And(parts) => parts.iter().all(|p| p.holds(record)),
            RecordTest::Or(parts) => parts.iter().any(|p| p.holds(record)),
            RecordTest::Not(inner) => !inner.holds(record),
            RecordTest::Const(value) => *value,
            RecordTest::Field { name, fold, test } => {
                let values = record.values(name);
                values.into_iter().any(|v| test.holds(&Value::Str(folded(v, *fold))))
            }
            RecordTest::Fields { left, op, right, fold } => {
                let right = record.values(right);
                let compare = |l: &Cow<'_, [u8]>, r: &Cow<'_, [u8]>| {
                    let (l, r) = (folded(l.clone(), *fold), folded(r.clone(), *fold));
                    test::compare_values(*op, &Value::Str(l), &Value::Str(r))
                };
                record.values(left).iter().any(|l| right.iter().any(|r| compare(l, r)))
            }
            RecordTest::Text { fold, test } => {
                let asks = |text: Cow<'_, [u8]>| test.holds(&Value::Str(folded(text, *fold)));
                asks(Cow::Borrowed(record.line)) || record.decoded().any(asks)
            }
        }
    }
}

fn folded(text: Cow<'_, [u8]>, fold: bool) -> Cow<'_, [u8]> {
    if fold && text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

impl<'a> Record<'a> {
    /// The values of a field. Keys are several in one; the name of a system call is known where auditd did not add it.
    fn values(&self, name: &str) -> Vec<Cow<'a, [u8]>> {
        let mut out = Vec::new();
        for word in words(self.line).filter(|w| w.name == name.as_bytes()) {
            let Some(value) = self.value(&word) else { continue };
            match value {
                Cow::Owned(keys) if name == "key" && keys.contains(&1) => {
                    out.extend(keys.split(|b| *b == 1).map(|k| Cow::Owned(k.to_vec())));
                }
                value => out.push(value),
            }
        }
        let of_call = out.is_empty() && name == "SYSCALL" || name == "syscall";
        if of_call && !self.syscall.is_empty() && self.is("SYSCALL") {
            out.push(Cow::Borrowed(self.syscall));
        }
        out
    }

    fn is(&self, kind: &str) -> bool {
        words(self.line).any(|w| w.name == b"type" && w.value == kind.as_bytes())
    }

    /// A word's value, decoded; nothing where the kernel says that there is none.
    fn value(&self, word: &Word<'a>) -> Option<Cow<'a, [u8]>> {
        if word.quoted {
            return Some(Cow::Borrowed(word.value));
        }
        if matches!(word.value, b"(null)" | b"(none)") {
            return None;
        }
        match self.coded(word.name).then(|| unhex(word.value)).flatten() {
            Some(text) => Some(Cow::Owned(text)),
            None => Some(Cow::Borrowed(word.value)),
        }
    }

    /// Whether the kernel writes the field in hexadecimal where it holds more than plain text.
    fn coded(&self, name: &[u8]) -> bool {
        const CODED: [&[u8]; 12] = [
            b"name",
            b"exe",
            b"comm",
            b"cwd",
            b"proctitle",
            b"cmd",
            b"data",
            b"path",
            b"acct",
            b"key",
            b"dir",
            b"vm",
        ];
        let argument = || name.first() == Some(&b'a') && name.get(1).is_some_and(u8::is_ascii_digit);
        CODED.contains(&name) || argument() && self.is("EXECVE")
    }

    /// The values that were written in hexadecimal.
    fn decoded(&self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        words(self.line).filter_map(|word| match self.value(&word) {
            Some(value @ Cow::Owned(_)) => Some(value),
            _ => None,
        })
    }
}

/// `name=value`.
struct Word<'a> {
    name: &'a [u8],
    value: &'a [u8],
    quoted: bool,
}

/// The words of a record. Those within `msg='…'` are among them, and so are those that auditd added after 0x1d.
fn words(line: &[u8]) -> impl Iterator<Item = Word<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let ends = |b: &u8| matches!(b, b' ' | b'\'' | b',' | 0x1d);
            let start = rest.iter().position(|b| !ends(b))?;
            rest = rest.get(start..)?;
            let stop = rest.iter().position(|b| *b == b'=' || ends(b)).unwrap_or(rest.len());
            let name = rest.get(..stop)?;
            if rest.get(stop) != Some(&b'=') {
                rest = rest.get(stop..)?;
                continue;
            }
            rest = rest.get(stop + 1..)?;
            let quoted = rest.first() == Some(&b'"');
            let (value, after) = if quoted {
                let text = rest.get(1..)?;
                let end = text.iter().position(|b| *b == b'"').unwrap_or(text.len());
                (text.get(..end)?, text.get(end + 1..).unwrap_or_default())
            } else {
                let end = rest
                    .iter()
                    .position(|b| matches!(b, b' ' | b'\'' | 0x1d))
                    .unwrap_or(rest.len());
                (rest.get(..end)?, rest.get(end..)?)
            };
            rest = after;
            // The value of `msg='…'` is words again.
            if !(name == b"msg" && value.is_empty() && !quoted) {
                return Some(Word { name, value, quoted });
            }
        }
    })
}

/// Bytes written in hexadecimal; NUL, which separates arguments, becomes a space.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, odd) = text.as_chunks::<2>();
    if text.is_empty() || !odd.is_empty() {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| {
            let byte = (digit(*high)? * 16 + digit(*low)?) as u8;
            Some(if byte == 0 { b' ' } else { byte })
        })
        .collect()
}

impl fmt::Display for RecordTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[RecordTest], word: &str| {
            f.write_str("(")?;
            for (i, part) in parts.iter().enumerate() {
                write!(f, "{}{part}", if i == 0 { "" } else { word })?;
            }
            f.write_str(")")
        };
        let name = |name: &str, fold: bool| {
            if fold {
                format!("tolower({name})")
            } else {
                name.to_owned()
            }
        };
        match self {
            RecordTest::And(parts) => list(f, parts, " and "),
            RecordTest::Or(parts) => list(f, parts, " or "),
            RecordTest::Not(inner) => write!(f, "not {inner}"),
            RecordTest::Const(value) => write!(f, "{value}"),
            RecordTest::Field { name: n, fold, test } => write!(f, "{} {test}", name(n, *fold)),
            RecordTest::Fields { left, op, right, fold } => {
                write!(f, "{} {} {}", name(left, *fold), op.name(), name(right, *fold))
            }
            RecordTest::Text { fold, test } => write!(f, "{} {test}", name("text", *fold)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str, name: &str) -> Vec<String> {
        let record = Record {
            line: line.as_bytes(),
            syscall: b"openat",
        };
        let texts = record.values(name).into_iter();
        texts.map(|v| String::from_utf8_lossy(&v).into_owned()).collect()
    }

    #[test]
    fn values_of_records() {
        let execve = "type=EXECVE msg=audit(1.0:2): argc=3 a0=\"cat\" a1=2D61 a2=\"x y\"";
        assert_eq!(values(execve, "a0"), ["cat"]);
        assert_eq!(values(execve, "a1"), ["-a"]);
        assert_eq!(values(execve, "a2"), ["x y"]);
        assert_eq!(values(execve, "a3"), [""; 0]);
        let call = "type=SYSCALL msg=audit(1.0:2): syscall=257 a0=41 tty=(none) key=6101 62\u{1d}UID=\"root\"";
        assert_eq!(values(call, "a0"), ["41"]);
        assert_eq!(values(call, "tty"), [""; 0]);
        assert_eq!(values(call, "SYSCALL"), ["openat"]);
        assert_eq!(values(call, "syscall"), ["257", "openat"]);
        assert_eq!(values(call, "UID"), ["root"]);
        assert_eq!(values("type=SYSCALL key=610162", "key"), ["a", "b"]);
        let user =
            "type=USER_CMD msg=audit(1.0:2): pid=1 msg='cwd=\"/root\" cmd=6C73202D6C terminal=pts/0 res=success'";
        assert_eq!(values(user, "cmd"), ["ls -l"]);
        assert_eq!(values(user, "cwd"), ["/root"]);
        assert_eq!(values(user, "res"), ["success"]);
    }
}
