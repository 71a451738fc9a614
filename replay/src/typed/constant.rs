//! Constants of conditions, read as the type of the field they are compared with.

use std::net::IpAddr;

use memchr::memmem::Finder;

use super::glob::Glob;
use super::path_prefix::PathPrefixes;
use super::regex_syntax;
use super::test::{Network, StrTest, Test, by_length};
use crate::condition::Operator;
use crate::fields::Type;

/// The test of one operator with one constant.
pub(crate) fn single(ty: Type, op: Operator, value: &[u8]) -> Result<Test, String> {
    if value.contains(&0) && ty != Type::Bytes {
        return Err("a constant cannot hold a NUL byte".to_owned());
    }
    Ok(match ty {
        Type::Str => Test::Str(text(op, value)?),
        Type::Bytes => Test::Str(bytes(op, value)?),
        Type::Int | Type::Uint => Test::Number(op, number(value)?),
        Type::Port => Test::Number(op, port(value)?),
        Type::Bool => Test::Bool(op, boolean(value)?),
        Type::Ip => Test::Ip(op, address(value)?),
        Type::Net => Test::Net(op, network(value)?),
    })
}

/// The test of a list operator with its constants. Errors name the constant by its index.
pub(crate) fn list(ty: Type, op: Operator, values: &[&[u8]]) -> Result<Test, (usize, String)> {
    fn all<T>(values: &[&[u8]], read: fn(&[u8]) -> Result<T, String>) -> Result<Box<[T]>, (usize, String)> {
        values
            .iter()
            .enumerate()
            .map(|(i, v)| read(v).map_err(|e| (i, e)))
            .collect()
    }
    Ok(match ty {
        Type::Str | Type::Bytes if op == Operator::Pmatch => {
            Test::Str(StrTest::Pmatch(PathPrefixes::new(values.iter().copied())))
        }
        Type::Str | Type::Bytes => {
            let mut set: Vec<Box<[u8]>> = values.iter().map(|v| (*v).into()).collect();
            set.sort_unstable_by(|a, b| by_length(a, b));
            set.dedup();
            Test::Str(StrTest::In(set.into()))
        }
        Type::Int | Type::Uint => Test::NumberIn(all(values, number)?),
        Type::Port => Test::NumberIn(all(values, port)?),
        Type::Bool => Test::BoolIn(all(values, boolean)?),
        Type::Ip => Test::IpIn(all(values, address)?),
        Type::Net => Test::NetIn(all(values, network)?),
    })
}

fn text(op: Operator, value: &[u8]) -> Result<StrTest, String> {
    Ok(match op {
        Operator::Contains => StrTest::Contains(Box::new(Finder::new(value).into_owned())),
        Operator::IContains => StrTest::IContains(value.to_ascii_lowercase().into()),
        Operator::StartsWith => StrTest::StartsWith(value.into()),
        Operator::EndsWith => StrTest::EndsWith(value.into()),
        Operator::Glob => Glob::new(value, false).map_or(StrTest::Never, StrTest::Glob),
        Operator::IGlob => Glob::new(value, true).map_or(StrTest::Never, StrTest::Glob),
        Operator::Regex => StrTest::Regex(regex_syntax::compile(value).map_err(|e| format!("invalid regex: {e}"))?),
        _ => StrTest::Compare(op, value.into()),
    })
}

fn bytes(op: Operator, value: &[u8]) -> Result<StrTest, String> {
    Ok(match op {
        Operator::BContains => StrTest::Contains(Box::new(Finder::new(&hex(value)?).into_owned())),
        Operator::BStartsWith => StrTest::StartsWith(hex(value)?.into()),
        _ => text(op, value)?,
    })
}

fn hex(value: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u32>> = value.iter().map(|b| char::from(*b).to_digit(16)).collect();
    match digits {
        Some(d) if d.len() % 2 == 0 && !d.is_empty() => Ok(d
            .as_chunks::<2>()
            .0
            .iter()
            .map(|[high, low]| (high * 16 + low) as u8)
            .collect()),
        _ => Err(format!("'{}' is no string of hexadecimal bytes", lossy(value))),
    }
}

fn number(value: &[u8]) -> Result<i128, String> {
    let text = std::str::from_utf8(value).unwrap_or("").trim_start();
    let parsed: Result<i128, _> = text.parse();
    match parsed {
        Ok(n) if i64::try_from(n).is_ok() || u64::try_from(n).is_ok() => Ok(n),
        _ => Err(format!("'{}' is not a valid number (decimal, 64 bits)", lossy(value))),
    }
}

/// Ports of services by name (IANA), those that rules use. The host's own list would make the answer depend on it.
const SERVICES: [(&str, u16); 26] = [
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("tftp", 69),
    ("http", 80),
    ("kerberos", 88),
    ("pop3", 110),
    ("sunrpc", 111),
    ("ntp", 123),
    ("imap2", 143),
    ("imap", 143),
    ("snmp", 161),
    ("ldap", 389),
    ("https", 443),
    ("syslog", 514),
    ("ldaps", 636),
    ("imaps", 993),
    ("pop3s", 995),
    ("mysql", 3306),
    ("rdp", 3389),
    ("postgresql", 5432),
    ("amqp", 5672),
    ("redis", 6379),
];

fn port(value: &[u8]) -> Result<i128, String> {
    let text = std::str::from_utf8(value).unwrap_or("");
    if let Some((_, port)) = SERVICES.iter().find(|s| s.0 == text) {
        return Ok(i128::from(*port));
    }
    text.parse::<u16>()
        .map(i128::from)
        .map_err(|_| format!("'{}' is no port number or known service", lossy(value)))
}

fn boolean(value: &[u8]) -> Result<bool, String> {
    match value {
        b"true" => Ok(true),
        b"false" => Ok(false),
        _ => Err(format!("'{}' is neither true nor false", lossy(value))),
    }
}

fn address(value: &[u8]) -> Result<IpAddr, String> {
    let text = std::str::from_utf8(value).unwrap_or("");
    text.parse().map_err(|_| format!("'{}' is no IP address", lossy(value)))
}

fn network(value: &[u8]) -> Result<Network, String> {
    let error = || format!("'{}' is no network (address/prefix)", lossy(value));
    let text = std::str::from_utf8(value).unwrap_or("");
    let (address, prefix) = text.split_once('/').ok_or_else(error)?;
    let address: IpAddr = address.parse().map_err(|_| error())?;
    let prefix: u8 = prefix.parse().map_err(|_| error())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    if prefix > most {
        return Err(error());
    }
    Ok(Network { address, prefix })
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
