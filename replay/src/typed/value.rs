//! The values that fields yield.

use std::borrow::Cow;
use std::net::IpAddr;

/// One value of a field at an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    Int(i64),
    Uint(u64),
    Double(f64),
    Bool(bool),
    Ip(IpAddr),
}
