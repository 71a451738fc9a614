//! One event block: its header and its parameters.

use super::cursor::Cursor;
use super::facts::{EventFacts, Facts};

/// No event has more parameters.
const MAX_PARAMS: usize = 32;

/// The parameters of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params<'a> {
    data: &'a [u8],
    ends: [u32; MAX_PARAMS],
    count: usize,
    pub(super) big: bool,
}

impl<'a> Params<'a> {
    /// Reads `count` lengths and what they cut; `None` where that does not fit.
    pub(super) fn parse(body: &'a [u8], count: usize, large: bool, big: bool) -> Option<Params<'a>> {
        let mut lengths = Cursor::new(body, big);
        let mut ends = [0; MAX_PARAMS];
        let mut end = 0_u32;
        for slot in ends.get_mut(..count)? {
            let len = if large {
                lengths.u32()?
            } else {
                u32::from(lengths.u16()?)
            };
            end = end.checked_add(len)?;
            *slot = end;
        }
        let data = body.get(body.len() - lengths.left()..)?;
        (end as usize <= data.len()).then_some(Params { data, ends, count, big })
    }

    /// Old blocks do not say how many parameters there are: as many as fill the event exactly.
    fn guess(body: &'a [u8], most: usize, big: bool) -> Option<(usize, Params<'a>)> {
        let counts = (0..=most.min(MAX_PARAMS)).rev();
        counts.into_iter().find_map(|count| {
            let params = Params::parse(body, count, false, big)?;
            (params.used() == params.data.len()).then_some((count, params))
        })
    }

    fn used(&self) -> usize {
        self.count
            .checked_sub(1)
            .and_then(|i| self.ends.get(i))
            .map_or(0, |e| *e as usize)
    }

    /// The bytes of a parameter; `None` where the event has fewer parameters.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&'a [u8]> {
        if at >= self.count {
            return None;
        }
        let from = if at == 0 { 0 } else { *self.ends.get(at - 1)? as usize };
        self.data.get(from..*self.ends.get(at)? as usize)
    }
}

/// A number of as many bytes as there are.
#[inline]
pub(super) fn number(bytes: &[u8], signed: bool, big: bool) -> Option<i64> {
    let mut cursor = Cursor::new(bytes, big);
    Some(match (bytes.len(), signed) {
        (1, false) => i64::from(cursor.u8()?),
        (1, true) => i64::from(cursor.u8()? as i8),
        (2, false) => i64::from(cursor.u16()?),
        (2, true) => i64::from(cursor.u16()? as i16),
        (4, false) => i64::from(cursor.u32()?),
        (4, true) => i64::from(cursor.u32()? as i32),
        (8, _) => cursor.u64()? as i64,
        _ => return None,
    })
}

/// An event of a capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEvent<'a> {
    pub(super) cpu: u16,
    pub(super) ts: u64,
    pub(super) tid: u32,
    pub(super) kind: u16,
    /// Lengths and contents of the parameters, to be kept for the end of the call.
    pub(super) body: &'a [u8],
    pub(super) count: usize,
    pub(super) params: Params<'a>,
}

/// What an event block is.
pub(super) enum Parsed<'a> {
    Event(&'static EventFacts, RawEvent<'a>),
    /// Of a type that this version does not know.
    Unknown {
        kind: u16,
        ts: u64,
    },
    /// Damaged.
    Bad(&'static str),
}

/// How event blocks of one type are laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// 32 bits of flags stand before the event.
    pub(super) flags: bool,
    /// The header says how many parameters there are.
    pub(super) counted: bool,
}

/// Reads the body of an event block.
#[inline]
pub(super) fn parse<'a>(block: &'a [u8], layout: Layout, big: bool) -> Parsed<'a> {
    let Some((cpu, ts, tid, len, kind, count, rest)) = header(block, layout, big) else {
        return Parsed::Bad("the event is shorter than its header");
    };
    let Some(facts) = Facts::get().event(kind) else {
        return Parsed::Unknown { kind, ts };
    };
    let head = if layout.counted { 26 } else { 22 };
    let Some(body) = (len as usize).checked_sub(head).and_then(|n| rest.get(..n)) else {
        // Two kinds of old events say too large a length; all of the block is theirs.
        return match (layout.counted, Params::guess(rest, facts.params.len(), big)) {
            (false, Some((count, params))) => Parsed::Event(facts, raw(cpu, ts, tid, kind, rest, count, params)),
            _ => Parsed::Bad("the event is longer than its block"),
        };
    };
    let params = match count {
        Some(count) => Params::parse(body, count as usize, facts.large, big).map(|p| (count as usize, p)),
        None => Params::guess(body, facts.params.len(), big),
    };
    match params {
        Some((count, params)) => Parsed::Event(facts, raw(cpu, ts, tid, kind, body, count, params)),
        None => Parsed::Bad("the parameters do not fit into the event"),
    }
}

fn raw<'a>(cpu: u16, ts: u64, tid: u32, kind: u16, body: &'a [u8], count: usize, params: Params<'a>) -> RawEvent<'a> {
    RawEvent {
        cpu,
        ts,
        tid,
        kind,
        body,
        count,
        params,
    }
}

/// The time of an event; 0 where it has none.
pub(super) fn time_of(block: &[u8], layout: Layout, big: bool) -> u64 {
    header(block, layout, big).map_or(0, |(_, ts, ..)| ts)
}

type Header<'a> = (u16, u64, u32, u32, u16, Option<u32>, &'a [u8]);

#[inline]
fn header(block: &[u8], layout: Layout, big: bool) -> Option<Header<'_>> {
    let mut c = Cursor::new(block, big);
    let cpu = c.u16()?;
    if layout.flags {
        c.u32()?;
    }
    // -1 for what no thread did.
    let (ts, tid, len, kind) = (c.u64()?, c.pid()?, c.u32()?, c.u16()?);
    let tid = if tid == u32::MAX { 0 } else { tid };
    let count = if layout.counted { Some(c.u32()?) } else { None };
    Some((cpu, ts, tid, len, kind, count, c.take(c.left())?))
}
