//! One audit record: its type, stamp and text, from a log line or from netlink. Pure; lines are not trusted.
//!
//! | where | shape |
//! | --- | --- |
//! | audit.log | `type=SYSCALL msg=audit(1795216873.082:2990): arch=… key=(null)` + 0x1d + `ARCH=x86_64 …` |
//! | audisp, remote | `node=web-1 type=SYSCALL msg=audit(…): …` |
//! | dmesg, syslog | `[ 1485.942] audit: type=1300 audit(…): …` |
//! | netlink | the number in the header; `audit(…): …` |

use thiserror::Error;

use super::record_type::RecordType;

/// Separates what the kernel wrote from what auditd added in its enriched format.
pub const ENRICHED: u8 = 0x1d;

/// A record, borrowed from its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which event it belongs to.
    pub stamp: Stamp<'a>,
    /// What it is.
    pub kind: RecordType,
    /// The text after the stamp, without what auditd added.
    pub body: &'a [u8],
    /// What auditd added (`ARCH=x86_64 SYSCALL=openat AUID="root" …`); empty in the raw format.
    pub enriched: &'a [u8],
}

/// What all records of an event share. The order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp<'a> {
    /// When: nanoseconds since the Unix epoch, in the kernel's milliseconds.
    pub ts_ns: u64,
    /// The event's number. Programs such as auditd number their own events, so it is unique only with the time.
    pub serial: u64,
    /// The machine, where the log is a collected one; empty otherwise.
    pub node: &'a [u8],
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// There is no `type=`.
    #[error("no record type")]
    NoType,
    /// The type is neither a number nor a known name.
    #[error("unknown record type")]
    UnknownType,
    /// There is no `audit(SECONDS.MILLISECONDS:SERIAL):`.
    #[error("no audit(time:serial) stamp")]
    NoStamp,
}

impl<'a> Record<'a> {
    /// Reads a log line without its end.
    pub fn parse_line(line: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let (node, rest) = match line.strip_prefix(b"node=") {
            Some(rest) => split_at_byte(rest, b' ').ok_or(RecordError::NoType)?,
            None => (&line[..0], line),
        };
        // Only a prefix may stand before the type: a value further on may hold any text.
        let at = match rest.starts_with(b"type=") {
            true => 0,
            false => find(rest, b"audit: type=").ok_or(RecordError::NoType)? + b"audit: ".len(),
        };
        let rest = rest.get(at + b"type=".len()..).ok_or(RecordError::NoType)?;
        let (kind, rest) = split_at_byte(rest, b' ').ok_or(RecordError::NoStamp)?;
        let kind = number_or_name(kind).ok_or(RecordError::UnknownType)?;
        Record::with_stamp(kind, node, rest.strip_prefix(b"msg=").unwrap_or(rest))
    }

    /// Reads a line again that is known to be a record of this stamp and type.
    pub fn parse_again(line: &'a [u8], stamp: Stamp<'a>, kind: RecordType) -> Option<Record<'a>> {
        let Some(rest) = line.strip_prefix(b"type=") else {
            // With something before the type.
            return Record::parse_line(line).ok();
        };
        let (_, rest) = split_at_byte(rest, b' ')?;
        let (_, text) = split_at_byte(rest, b')')?;
        Some(Record::with_text(kind, stamp, text.strip_prefix(b":")?))
    }

    /// Reads the payload of a netlink message.
    pub fn parse_netlink(kind: RecordType, payload: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let end = payload.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        Record::with_stamp(kind, &[], payload.get(..end).unwrap_or_default())
    }

    fn with_stamp(kind: RecordType, node: &'a [u8], text: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let (stamp, body) = parse_stamp(node, text).ok_or(RecordError::NoStamp)?;
        Ok(Record::with_text(kind, stamp, body))
    }

    fn with_text(kind: RecordType, stamp: Stamp<'a>, text: &'a [u8]) -> Record<'a> {
        let (body, enriched) = split_at_byte(text, ENRICHED).unwrap_or((text, &[]));
        Record {
            stamp,
            kind,
            body: body.trim_ascii(),
            enriched,
        }
    }

    /// The line that auditd's raw format has for this record, with its enrichment if there is one; control characters
    /// that would break the line are replaced by `?`.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        if !self.stamp.node.is_empty() {
            out.extend_from_slice(b"node=");
            out.extend_from_slice(self.stamp.node);
            out.push(b' ');
        }
        let (seconds, millis) = (self.stamp.ts_ns / 1_000_000_000, self.stamp.ts_ns / 1_000_000 % 1000);
        let head = format!(
            "type={} msg=audit({seconds}.{millis:03}:{}): ",
            self.kind, self.stamp.serial
        );
        out.extend_from_slice(head.as_bytes());
        out.extend(self.body.iter().map(|b| if *b == b'\n' || *b == 0 { b'?' } else { *b }));
        if !self.enriched.is_empty() {
            out.push(ENRICHED);
            out.extend_from_slice(self.enriched);
        }
    }
}

/// `audit(1795216873.082:2990): text` to the stamp and the text.
fn parse_stamp<'a>(node: &'a [u8], text: &'a [u8]) -> Option<(Stamp<'a>, &'a [u8])> {
    let (stamp, rest) = Stamp::parse(text.strip_prefix(b"audit(")?)?;
    Some((Stamp { node, ..stamp }, rest.strip_prefix(b"):")?))
}

impl<'a> Stamp<'a> {
    /// Reads `1795216873.082:2990` at the beginning of a text, and gives what follows it.
    pub fn parse(text: &'a [u8]) -> Option<(Stamp<'a>, &'a [u8])> {
        let (seconds, rest) = leading_decimal(text)?;
        let (millis, rest) = rest.strip_prefix(b".")?.split_at_checked(3)?;
        let (serial, rest) = leading_decimal(rest.strip_prefix(b":")?)?;
        let ts_ns = seconds.checked_mul(1_000_000_000)?;
        let stamp = Stamp {
            ts_ns: ts_ns.checked_add(decimal(millis)? * 1_000_000)?,
            serial,
            node: &[],
        };
        Some((stamp, rest))
    }
}

/// The unsigned decimal number at the beginning, and what follows.
fn leading_decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut len) = (0_u64, 0);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        len += 1;
    }
    let (digits, rest) = text.split_at_checked(len)?;
    // More digits may be too large a number.
    let number = if (1..20).contains(&len) {
        number
    } else {
        decimal(digits)?
    };
    Some((number, rest))
}

fn number_or_name(kind: &[u8]) -> Option<RecordType> {
    match decimal(kind) {
        Some(number) => u16::try_from(number).ok().map(RecordType),
        None => RecordType::from_name(kind),
    }
}

/// An unsigned decimal number; `None` when there is any other character.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let push = |number: u64, digit: &u8| {
        let digit = digit.checked_sub(b'0').filter(|d| *d < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    };
    match digits.len() {
        0 => None,
        // Too few to overflow: nearly every number.
        1..20 => {
            let number = digits.iter().fold(0, |n: u64, digit| {
                n.wrapping_mul(10).wrapping_add(digit.wrapping_sub(b'0').into())
            });
            digits.iter().all(u8::is_ascii_digit).then_some(number)
        }
        _ => digits.iter().try_fold(0, push),
    }
}

/// What stands before and after the first such byte.
fn split_at_byte(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSCALL: &[u8] = b"type=SYSCALL msg=audit(1795216873.082:2990): arch=c000003e syscall=44\x1dARCH=x86_64";

    #[test]
    fn the_four_shapes() {
        let record = Record::parse_line(SYSCALL).expect("log line");
        assert_eq!(record.kind, RecordType::SYSCALL);
        assert_eq!(
            (record.stamp.ts_ns, record.stamp.serial),
            (1_795_216_873_082_000_000, 2990)
        );
        assert_eq!(
            (record.body, record.enriched),
            (&b"arch=c000003e syscall=44"[..], &b"ARCH=x86_64"[..])
        );

        let dmesg = b"[ 1485.942606] audit: type=1006 audit(1795217042.110:214822): pid=29574 uid=0";
        let record = Record::parse_line(dmesg).expect("kernel log line");
        assert_eq!((record.kind, record.body), (RecordType::LOGIN, &b"pid=29574 uid=0"[..]));

        let node = b"node=web-1 type=UNKNOWN[1399] msg=audit(1.002:3): x=y";
        let record = Record::parse_line(node).expect("collected line");
        assert_eq!((record.kind, record.stamp.node), (RecordType(1399), &b"web-1"[..]));

        let record = Record::parse_netlink(RecordType::EOE, b"audit(1795217287.762:260533): \0\0").expect("netlink");
        assert_eq!((record.stamp.serial, record.body), (260533, &b""[..]));
    }

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in [SYSCALL, b"node=web-1 type=UNKNOWN[1399] msg=audit(1.002:3): x=y"] {
            let mut out = Vec::new();
            Record::parse_line(line).expect("record").write_line(&mut out);
            assert_eq!(out, line);
        }
    }

    #[test]
    fn other_lines_are_errors() {
        use RecordError::{NoStamp, NoType, UnknownType};
        let cases: [(&[u8], RecordError); 9] = [
            (b"", NoType),
            (b"node=a", NoType),
            (b"hello type=SYSCALL msg=audit(1.002:3): ", NoType),
            (b"type=SYSCALL", NoStamp),
            (b"type=NO_SUCH msg=audit(1.002:3): ", UnknownType),
            (b"type=70000 msg=audit(1.002:3): ", UnknownType),
            (b"type=SYSCALL msg=audit(1.2:3): ", NoStamp),
            (b"type=SYSCALL msg=audit(99999999999999999999.002:3): ", NoStamp),
            (b"type=SYSCALL msg=audit(1.002:-3): ", NoStamp),
        ];
        for (line, error) in cases {
            assert_eq!(
                Record::parse_line(line),
                Err(error),
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }
}
