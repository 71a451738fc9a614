//! One event with the entry that belongs to it: its values by place and by name.

use super::cursor::Cursor;
use super::event::{Params, RawEvent, number};
use super::facts::{EventFacts, Type};
use super::lists;
use super::plan::Slot;
use std::net::SocketAddr;

/// An event and its entry.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) facts: &'static EventFacts,
    pub(super) event: &'a RawEvent<'a>,
    pub(super) enter: Option<(&'static EventFacts, Params<'a>)>,
    /// How long it took, in nanoseconds, where its beginning was seen.
    pub(super) latency: Option<u64>,
}

/// Both ends that a tuple tells, or the one of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends<'a> {
    Inet(SocketAddr, SocketAddr),
    Unix(&'a [u8]),
}

impl<'a> Call<'a> {
    /// The bytes at a place. What is empty at the end may have been told at the entry.
    #[inline]
    pub(super) fn bytes(&self, slot: Slot) -> Option<&'a [u8]> {
        let at_end = slot.exit.and_then(|i| self.event.params.get(usize::from(i)));
        if at_end.is_some_and(|b| !b.is_empty()) {
            return at_end;
        }
        let before = slot
            .enter
            .and_then(|i| self.enter.as_ref()?.1.get(usize::from(i)))
            .filter(|b| !b.is_empty());
        before.or(at_end)
    }

    /// The number at a place.
    #[inline]
    pub(super) fn number(&self, slot: Slot) -> Option<i64> {
        let bytes = self.bytes(slot)?;
        match slot.kind {
            Type::Signed => number(bytes, true, self.event.params.big),
            Type::Unsigned => number(bytes, false, self.event.params.big),
            Type::Dynamic => number(bytes.get(1..)?, true, self.event.params.big),
            _ => None,
        }
    }

    fn named(&self, name: &str) -> Option<(&'a [u8], Type)> {
        let at_end = self.facts.param(name).and_then(|i| {
            let bytes = self.event.params.get(i)?;
            Some((bytes, self.facts.params.get(i)?.kind))
        });
        if at_end.is_some_and(|(b, _)| !b.is_empty()) {
            return at_end;
        }
        let (facts, params) = self.enter.as_ref()?;
        let i = facts.param(name)?;
        Some((params.get(i)?, facts.params.get(i)?.kind)).or(at_end)
    }

    /// A number by name.
    pub(super) fn num(&self, name: &str) -> Option<i64> {
        let (bytes, kind) = self.named(name)?;
        let signed = kind != Type::Unsigned;
        number(bytes, signed, self.event.params.big)
    }

    /// A number of 32 bits by name.
    pub(super) fn u32(&self, name: &str) -> Option<u32> {
        self.num(name).map(|n| n as u32)
    }

    /// A descriptor by name.
    pub(super) fn fd(&self, name: &str) -> Option<i32> {
        i32::try_from(self.num(name)?).ok()
    }

    /// Text by name.
    pub(super) fn text(&self, name: &str) -> Option<&'a [u8]> {
        let (bytes, _) = self.named(name)?;
        (!bytes.is_empty()).then(|| text(bytes))
    }

    /// A list of strings by name, with the NULs between them.
    pub(super) fn list(&self, name: &str) -> Option<&'a [u8]> {
        let (bytes, _) = self.named(name)?;
        Some(bytes)
    }

    /// The ends of a tuple or address by name.
    pub(super) fn ends(&self, name: &str) -> Option<Ends<'a>> {
        let (bytes, kind) = self.named(name)?;
        ends(bytes, kind, self.event.params.big)
    }
}

/// Text without its NUL.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or(bytes)
}

/// Families of sockets (`linux/socket.h`).
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Reads a tuple or an address; of the latter both ends are the same.
pub(super) fn ends(bytes: &[u8], kind: Type, big: bool) -> Option<Ends<'_>> {
    let mut c = Cursor::new(bytes, big);
    match c.u8()? {
        AF_UNIX => {
            if kind == Type::Tuple {
                // Addresses of kernel structures.
                c.take(16)?;
            }
            Some(Ends::Unix(unix_name(c.take(c.left())?)))
        }
        family @ (AF_INET | AF_INET6) => {
            let v6 = family == AF_INET6;
            let first = SocketAddr::new(lists::ip(&mut c, v6)?, c.u16()?);
            let second = if kind == Type::Tuple {
                SocketAddr::new(lists::ip(&mut c, v6)?, c.u16()?)
            } else {
                first
            };
            Some(Ends::Inet(first, second))
        }
        _ => None,
    }
}

/// The path; an abstract name, which begins with a NUL, is shown with an `@`.
fn unix_name(bytes: &[u8]) -> &[u8] {
    text(bytes)
}
