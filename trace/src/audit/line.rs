//! One audit record as rules look at it: a field's values by its name, decoded, and all texts in it.

use std::borrow::Cow;

/// The records of an audit event, which stand one a line; without those that are empty.
pub fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    line: &'a [u8],
    /// Name of the event's system call; empty where it has none.
    syscall: &'a [u8],
}

impl<'a> Line<'a> {
    /// A record of an event, and the name of the event's system call, which is empty where it has none.
    pub fn new(line: &'a [u8], syscall: &'a [u8]) -> Line<'a> {
        Line { line, syscall }
    }

    /// The values of a field. Keys are several in one; the name of a system call is known where auditd did not add it.
    pub fn values(&self, name: &str) -> Vec<Cow<'a, [u8]>> {
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

    /// The record's text, and the values in it that the kernel wrote in hexadecimal.
    pub fn texts(&self) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let decoded = words(self.line).filter_map(|word| match self.value(&word) {
            Some(value @ Cow::Owned(_)) => Some(value),
            _ => None,
        });
        std::iter::once(Cow::Borrowed(self.line)).chain(decoded)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str, name: &str) -> Vec<String> {
        let texts = Line::new(line.as_bytes(), b"openat").values(name).into_iter();
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
