//! The strings of a block: interned while it is built, front-coded in sections, read back section by section.
//!
//! A string belongs to the first section that uses it and gets its id there, in order of use. A column that names a
//! string for the first time therefore says no more than "the next one".

use std::hash::{BuildHasher, Hasher};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::MAX_STRING_BYTES;
use super::decoded::{Cut, StrId, Strings};
use super::nearest::Recent;
use super::varint::{Cursor, Malformed, put};

/// Ids below this are [`StrId::NONE`] and [`StrId::EMPTY`].
pub(super) const FIXED_IDS: u32 = 2;

/// The sections in id order; the number is the index into [`super::head::DictCounts::strings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Images = 0,
    HotFds = 1,
    HotArgs = 2,
    BulkFds = 3,
    BulkArgs = 4,
}

/// How many sections there are.
pub(super) const SECTIONS: usize = 5;

/// Interns strings by content. Ids are provisional: in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Interner {
    hasher: DefaultHashBuilder,
    table: HashTable<u32>,
    /// Per string: half of its hash, and where it ends in `bytes`.
    entries: Vec<(u32, u32)>,
    bytes: Vec<u8>,
}

impl Interner {
    /// The provisional id of a string; the empty one is [`StrId::EMPTY`].
    #[inline]
    pub(super) fn id(&mut self, s: &[u8]) -> StrId {
        if s.is_empty() {
            return StrId::EMPTY;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(s);
        let hash = hasher.finish() as u32;
        let Interner {
            table, entries, bytes, ..
        } = self;
        let same = |at: &u32| entries[*at as usize].0 == hash && string(entries, bytes, *at) == s;
        let rehash = |at: &u32| both_ends(entries[*at as usize].0);
        let free = match table.entry(both_ends(hash), same, rehash) {
            Entry::Occupied(known) => return StrId(*known.get() + FIXED_IDS),
            Entry::Vacant(free) => free,
        };
        let at = entries.len() as u32;
        free.insert(at);
        bytes.extend_from_slice(s);
        if s.len() >= LONG {
            fetch_behind(bytes, s.len());
        }
        entries.push((hash, bytes.len() as u32));
        StrId(at + FIXED_IDS)
    }

    /// Like [`Interner::id`], for dictionaries, where empty means unknown.
    pub(super) fn known(&mut self, s: &[u8]) -> StrId {
        if s.is_empty() { StrId::NONE } else { self.id(s) }
    }

    /// The string of a provisional id.
    pub(super) fn get(&self, id: StrId) -> &[u8] {
        match id.0.checked_sub(FIXED_IDS) {
            Some(at) => string(&self.entries, &self.bytes, at),
            None => &[],
        }
    }

    /// How many different strings there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.entries.clear();
        self.bytes.clear();
    }
}

/// Texts of this length leave the caches soon: the records of logs.
const LONG: usize = 192;
/// What a processor fetches at once, and how often that is asked for at most.
const CACHE_LINE: usize = 64;
const FETCHES: usize = 24;

/// Has the memory fetched that the next text is going to be copied to, as many bytes as the last one had. What is
/// written there would wait for it, and whoever reads something just written in parts would wait for that.
#[inline]
fn fetch_behind(bytes: &mut Vec<u8>, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes
        .spare_capacity_mut()
        .chunks(CACHE_LINE)
        .take((len / CACHE_LINE + 1).min(FETCHES))
    {
        // SAFETY: SSE is part of x86-64, and nothing is read: it is a hint.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, len, CACHE_LINE, FETCHES);
}

/// Half of a hash as a whole one: tables look at the lowest and the topmost bits.
fn both_ends(hash: u32) -> u64 {
    u64::from(hash) | u64::from(hash) << 32
}

fn string<'a>(entries: &[(u32, u32)], bytes: &'a [u8], at: u32) -> &'a [u8] {
    let (start, end) = place_in(entries, at);
    &bytes[start as usize..end as usize]
}

/// Where a string begins and ends in the bytes of all.
fn place_in(entries: &[(u32, u32)], at: u32) -> (u32, u32) {
    let at = at as usize;
    let start = if at == 0 { 0 } else { entries[at - 1].1 };
    (start, entries[at].1)
}

/// Gives strings their final ids, section by section, in the order in which columns use them.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// Final id by provisional id; 0 where there is none yet.
    ids: Vec<u32>,
    /// Provisional ids in final order.
    order: Vec<u32>,
    /// Where in `order` the section at work began.
    section: usize,
}

/// A string reference as columns store it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StrRef {
    /// The next string of the section.
    New,
    /// A string that was used before, or a fixed one.
    Known(u32),
}

impl Numbering {
    /// Begins a block whose interner has `strings` strings.
    pub(super) fn start(&mut self, strings: usize) {
        self.ids.clear();
        self.ids.resize(strings + FIXED_IDS as usize, 0);
        for (fixed, id) in self.ids.iter_mut().take(FIXED_IDS as usize).enumerate() {
            *id = fixed as u32;
        }
        self.order.clear();
        self.section = 0;
    }

    /// How a column refers to the string of a provisional id.
    #[inline]
    pub(super) fn refer(&mut self, id: StrId) -> StrRef {
        let slot = &mut self.ids[id.0 as usize];
        if *slot == 0 && id != StrId::NONE {
            *slot = self.order.len() as u32 + FIXED_IDS;
            self.order.push(id.0);
            return StrRef::New;
        }
        StrRef::Known(*slot)
    }

    /// Ends a section: writes its strings and says how many they are.
    ///
    /// Each string is coded against one of the last few, see [`Recent::add`]. Programs that run at the same time take turns:
    /// the last string of the same program is not the last of all.
    pub(super) fn finish_section(&mut self, interner: &Interner, lens: &mut Vec<u8>, text: &mut Vec<u8>) -> u32 {
        let section = &self.order[self.section..];
        self.section = self.order.len();
        let bases = lens.len();
        lens.resize(bases + section.len(), 0);
        let mut recent = Recent::new(&interner.bytes);
        for (id, base) in section.iter().zip(bases..) {
            let place = place_in(&interner.entries, *id - FIXED_IDS);
            let (back, same) = recent.add(place);
            lens[base] = back;
            put(lens, u64::from(same));
            put(lens, u64::from(place.1 - place.0 - same));
            text.extend_from_slice(&interner.bytes[(place.0 + same) as usize..place.1 as usize]);
        }
        section.len() as u32
    }
}

/// Where the strings of a section are among all: the id of its first, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Starts over with `count` strings, which are empty until their sections are read.
pub(super) fn reset(strings: &mut Strings, count: u32) {
    strings.used = 0;
    strings.spans.clear();
    strings.spans.resize(count as usize, (0, 0));
    strings.cuts.clear();
    strings.cuts.resize(
        count as usize,
        Cut {
            at: 0,
            like: StrId::NONE,
        },
    );
}

/// So many bytes are copied at once where there is room: most parts of strings are shorter.
const SHORT: usize = 32;

/// Reads the strings of a section. `out` has a place for each.
pub(super) fn read(
    lens: &mut Cursor<'_>,
    text: &mut Cursor<'_>,
    place: Place,
    out: &mut Strings,
) -> Result<(), Malformed> {
    let Strings {
        bytes,
        used,
        spans,
        cuts,
    } = out;
    let (first, count) = (place.first as usize, place.count as usize);
    let spans = spans.get_mut(first..first + count).ok_or(Malformed::Counts)?;
    let cuts = cuts.get_mut(first..first + count).ok_or(Malformed::Counts)?;
    let bases = lens.take(count)?;
    for (i, back) in bases.iter().enumerate() {
        let (same, more) = (lens.get_len()?, lens.get_len()?);
        let (known, rest) = spans.split_at_mut(i);
        let (start, end) = base_of(known, usize::from(*back))?;
        if same > (end - start) as usize {
            return Err(Malformed::OutOfRange);
        }
        if more > text.len() {
            return Err(Malformed::Truncated);
        }
        let (at, len) = (*used, same + more);
        if at + len > MAX_STRING_BYTES {
            return Err(Malformed::TooLarge);
        }
        if bytes.len() < at + len + 2 * SHORT {
            let rest = TEXT_GROWS * text.len();
            bytes.resize((2 * (at + len)).max(at + len + rest) + MIN_GROWTH, 0);
        }
        copy_within(bytes, start as usize, at, same);
        copy(text, bytes, at + same, more)?;
        *used = at + len;
        if let Some(span) = rest.first_mut() {
            *span = (at as u32, (at + len) as u32);
        }
        let base = i.checked_sub(usize::from(*back) + 1).and_then(|base| cuts.get(base));
        let base = base.copied();
        if let (Some(cut), Some(string)) = (cuts.get_mut(i), bytes.get(at..)) {
            *cut = cut_of(StrId((first + i) as u32), base, string, [same, len]);
        }
    }
    lens.finish()?;
    text.finish()
}

/// Where a string is cut that shares its first `same` bytes with the one that is cut at `base`, and is `len` bytes long;
/// more may follow it.
#[inline(always)]
fn cut_of(id: StrId, base: Option<Cut>, string: &[u8], [same, len]: [usize; 2]) -> Cut {
    let at = match (behind_slash(string, same, len), base) {
        (0, Some(base)) if base.at <= same as u32 => return base,
        (0, _) => behind_slash(string, 0, same),
        (at, _) => at,
    };
    Cut { at, like: id }
}

/// So many bytes are looked at together.
const WIDE: usize = 16;

/// Where the part behind the last slash within some bytes begins; 0 where there is none.
#[inline(always)]
fn behind_slash(string: &[u8], from: usize, to: usize) -> u32 {
    const LOW_BITS: u128 = u128::MAX / 255 * 0x7F;
    let part = match string.get(from..).and_then(|part| part.first_chunk::<WIDE>()) {
        Some(part) if to - from < WIDE => u128::from_le_bytes(*part),
        _ => {
            let part = string.get(from..to).unwrap_or_default();
            let slash = part.iter().rposition(|b| *b == b'/');
            return slash.map_or(0, |slash| (from + slash) as u32 + 1);
        }
    };
    // The high bit of each byte that is a slash, and no other.
    let other = part ^ (u128::MAX / 255 * b'/' as u128);
    let slashes = !(((other & LOW_BITS) + LOW_BITS) | other | LOW_BITS);
    let slashes = slashes & ((1 << (8 * (to - from))) - 1);
    match slashes {
        0 => 0,
        _ => from as u32 + slashes.ilog2() / 8 + 1,
    }
}

/// Strings have so many times the bytes of the text that they are coded in: what programs do in few folders has more.
const TEXT_GROWS: usize = 3;

/// The bytes of strings grow by at least so many.
const MIN_GROWTH: usize = 4096;

/// Copies bytes to behind them. What follows the copy may be overwritten.
#[inline(always)]
fn copy_within(bytes: &mut [u8], from: usize, to: usize, len: usize) {
    let short = bytes.get(from..).and_then(|b| b.first_chunk::<SHORT>()).copied();
    match (short, bytes.get_mut(to..).and_then(|b| b.first_chunk_mut::<SHORT>())) {
        (Some(short), Some(place)) if len <= SHORT => *place = short,
        _ => bytes.copy_within(from..from + len, to),
    }
}

/// Copies the next bytes of a text. What follows the copy may be overwritten.
#[inline(always)]
fn copy(text: &mut Cursor<'_>, bytes: &mut [u8], to: usize, len: usize) -> Result<(), Malformed> {
    let short = text.remaining().first_chunk::<SHORT>();
    match (short, bytes.get_mut(to..).and_then(|b| b.first_chunk_mut::<SHORT>())) {
        (Some(short), Some(place)) if len <= SHORT => {
            *place = *short;
            text.take(len)?;
        }
        _ => {
            let place = bytes.get_mut(to..to + len).ok_or(Malformed::TooLarge)?;
            place.copy_from_slice(text.take(len)?);
        }
    }
    Ok(())
}

/// Where the string lies that is `back` before the last one of the section so far. The first string of a section is
/// coded against the empty one.
#[inline(always)]
fn base_of(known: &[(u32, u32)], back: usize) -> Result<(u32, u32), Malformed> {
    match known.len().checked_sub(back + 1) {
        Some(at) => known.get(at).copied().ok_or(Malformed::UnknownId),
        None if known.is_empty() && back == 0 => Ok((0, 0)),
        None => Err(Malformed::UnknownId),
    }
}

/// Resolves references while columns are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refs {
    next: u32,
    end: u32,
}

impl Refs {
    /// References of a section of `count` strings whose first has id `base`.
    pub(super) fn new(base: u32, count: u32) -> Refs {
        Refs {
            next: base,
            end: base + count,
        }
    }

    /// The id of the next new string.
    #[inline]
    pub(super) fn fresh(&mut self) -> Result<StrId, Malformed> {
        let id = self.next;
        if id >= self.end {
            return Err(Malformed::Counts);
        }
        self.next += 1;
        Ok(StrId(id))
    }

    /// The id of a string that was used before.
    #[inline]
    pub(super) fn known(&self, id: u64) -> Result<StrId, Malformed> {
        if id < u64::from(self.next) {
            Ok(StrId(id as u32))
        } else {
            Err(Malformed::UnknownId)
        }
    }

    /// Checks that all strings of the section were used.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.next == self.end {
            Ok(())
        } else {
            Err(Malformed::Counts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_come_back_in_order_of_use() {
        let mut interner = Interner::default();
        let names: [&[u8]; 6] = [b"/usr/lib/a", b"/usr/lib/ab", b"", b"x", b"/usr/lib/a\0\xff", b"x"];
        let ids: Vec<StrId> = names.iter().map(|s| interner.id(s)).collect();
        assert_eq!(ids[3], ids[5]);
        assert_eq!(ids[2], StrId::EMPTY);

        let mut numbering = Numbering::default();
        numbering.start(interner.len());
        assert_eq!(numbering.refer(ids[3]), StrRef::New);
        assert_eq!(numbering.refer(ids[5]), StrRef::Known(2));
        let (mut lens, mut text) = (Vec::new(), Vec::new());
        assert_eq!(numbering.finish_section(&interner, &mut lens, &mut text), 1);
        for id in [ids[0], ids[1], ids[2], ids[4]] {
            numbering.refer(id);
        }
        let (mut lens2, mut text2) = (Vec::new(), Vec::new());
        assert_eq!(numbering.finish_section(&interner, &mut lens2, &mut text2), 3);
        assert_eq!(text2, b"/usr/lib/ab\0\xff");

        let mut strings = Strings::default();
        reset(&mut strings, FIXED_IDS + 4);
        let (one, three) = (Place { first: 2, count: 1 }, Place { first: 3, count: 3 });
        let read_second = |strings: &mut Strings| {
            let (mut lens, mut text) = (Cursor::new(&lens2), Cursor::new(&text2));
            assert_eq!(read(&mut lens, &mut text, three, strings), Ok(()));
        };
        // In any order.
        read_second(&mut strings);
        let all = |strings: &Strings| -> Vec<Vec<u8>> {
            (0..strings.len() as u32)
                .map(|id| strings.get(StrId(id)).to_vec())
                .collect()
        };
        assert_eq!(all(&strings), [b"" as &[u8], b"", b"", names[0], names[1], names[4]]);
        let (mut lens, mut text) = (Cursor::new(&lens), Cursor::new(&text));
        assert_eq!(read(&mut lens, &mut text, one, &mut strings), Ok(()));
        assert_eq!(all(&strings), [b"" as &[u8], b"", b"x", names[0], names[1], names[4]]);
    }

    #[test]
    fn a_prefix_longer_than_the_string_before_is_an_error() {
        let mut strings = Strings::default();
        let two = Place {
            first: FIXED_IDS,
            count: 2,
        };
        reset(&mut strings, FIXED_IDS + 2);
        let (lens, text) = ([0, 0, 0, 1, 2, 0], [b'a']);
        let read = read(&mut Cursor::new(&lens), &mut Cursor::new(&text), two, &mut strings);
        assert_eq!(read, Err(Malformed::OutOfRange));
    }

    #[test]
    fn strings_are_cut_behind_their_last_slash() {
        let names: [&[u8]; 12] = [
            b"/usr/lib/a",
            b"/usr/lib/ab",
            b"/usr/lib/",
            b"/usr/libx",
            b"x",
            b"/usr/lib/a/much/longer/folder/than/before",
            b"/usr/lib/a/much/longer/folder/than/before/",
            b"\xaf\xae./\x2e\x30",
            b"/",
            b"name",
            b"name2",
            b"/usr/lib/one name that is long",
        ];
        let (mut interner, mut numbering) = (Interner::default(), Numbering::default());
        let ids: Vec<StrId> = names.iter().map(|s| interner.id(s)).collect();
        numbering.start(interner.len());
        for id in &ids {
            numbering.refer(*id);
        }
        let (mut lens, mut text) = (Vec::new(), Vec::new());
        let count = numbering.finish_section(&interner, &mut lens, &mut text);
        let mut strings = Strings::default();
        reset(&mut strings, FIXED_IDS + count);
        let place = Place {
            first: FIXED_IDS,
            count,
        };
        read(&mut Cursor::new(&lens), &mut Cursor::new(&text), place, &mut strings).unwrap();
        let folder = |id| &strings.get(id)[..strings.cut(id).at as usize];
        for (id, name) in (FIXED_IDS..).map(StrId).zip(names) {
            let cut = name.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
            assert_eq!(strings.cut(id).at as usize, cut, "{:?}", String::from_utf8_lossy(name));
            assert!(strings.cut(id).like <= id);
            assert_eq!(folder(strings.cut(id).like), folder(id));
        }
        assert_eq!(strings.cut(StrId(FIXED_IDS + 1)).like, StrId(FIXED_IDS));
    }

    #[test]
    fn a_base_before_the_section_is_an_error() {
        for lens in [[1, 0, 1], [255, 0, 1]] {
            let mut strings = Strings::default();
            let one = Place {
                first: FIXED_IDS,
                count: 1,
            };
            reset(&mut strings, FIXED_IDS + 1);
            let read = read(&mut Cursor::new(&lens), &mut Cursor::new(b"a"), one, &mut strings);
            assert_eq!(read, Err(Malformed::UnknownId));
        }
    }
}
