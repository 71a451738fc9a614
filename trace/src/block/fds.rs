//! Open objects as a dictionary of a block: once per content, in two families.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::MAX_EVENTS;
use super::decoded::{FdRecord, RawPath, StrId};
use super::raw_path::{raw_code, raw_path, read_raw, skip_raw, write_raw};
use super::strings::{Interner, Numbering, Refs, StrRef};
use super::varint::{Cursor, Malformed, WORD, put, put_any, unzigzag, zigzag};
use crate::fd::{FdEntry, FdKind, Role, Socket};

/// The entry that stands for "none".
const NONE: FdRecord = FdRecord {
    kind: FdKind::Unknown,
    name: StrId::NONE,
    name_raw: RawPath::Same,
    open_flags: 0,
    dev: 0,
    ino: 0,
    socket: None,
};

/// Slots of the cache from id to index.
const CACHE: usize = 256;

/// So many ids, from the first that is new in a block, are looked up by their number. What is opened gets the next id, and
/// a block has room for fewer objects; some are used by no event that is kept.
const WINDOW: u64 = 4 * MAX_EVENTS as u64;

/// The open objects of a block under construction: by [`FdEntry::id`], and once per content.
#[derive(Debug)]
pub(super) struct FdTable {
    hasher: DefaultHashBuilder,
    /// As in the table of images.
    space: u64,
    /// What was opened since the block began has ids from this on.
    first: u64,
    /// Indices of those by id, counted from `first`; 0 for none. Looking up an event's object is the hottest thing that
    /// `push` does, and most are used soon after they were opened.
    opened: Vec<u32>,
    /// Ids and indices of all others, see [`place_of`].
    older: HashTable<(u64, u32)>,
    /// Those of them seen lately.
    cache: [(u64, u32); CACHE],
    /// The largest id: what is opened next has a larger one.
    newest: u64,
    /// Per string: the first object of that name; 0 for none. Names are numbered as they come, so what is new lies behind
    /// what was new before, and nearly all objects of a name are one.
    named: Vec<u32>,
    /// All others by content: of names that an object before has too, and without a name.
    contents: HashTable<u32>,
    entries: Vec<FdRecord>,
}

impl Default for FdTable {
    fn default() -> FdTable {
        FdTable {
            hasher: DefaultHashBuilder::default(),
            space: 0,
            first: 0,
            opened: Vec::new(),
            older: HashTable::new(),
            cache: [(0, 0); CACHE],
            newest: 0,
            named: Vec::new(),
            contents: HashTable::new(),
            entries: vec![NONE],
        }
    }
}

impl FdTable {
    /// Ids that follow are of this space: bits that they do not have themselves.
    pub(super) fn enter(&mut self, space: u64) {
        self.space = space;
    }

    /// The index of an object that is there already.
    #[inline]
    pub(super) fn find(&mut self, id: u64) -> Option<u32> {
        let id = id ^ self.space;
        match self.opened.get(id.wrapping_sub(self.first) as usize) {
            Some(0) => None,
            Some(at) => Some(*at),
            None if id > self.newest => None,
            None => self.find_older(id),
        }
    }

    #[inline(never)]
    fn find_older(&mut self, id: u64) -> Option<u32> {
        let slot = &mut self.cache[id as usize % CACHE];
        if slot.0 != id || slot.1 == 0 {
            *slot = *self.older.find(place_of(id), |(known, _)| *known == id)?;
        }
        Some(slot.1)
    }

    /// Adds an object that is not there yet.
    pub(super) fn add(&mut self, fd: &FdEntry, strings: &mut Interner) -> u32 {
        let record = FdRecord {
            kind: fd.kind,
            name: strings.known(&fd.name),
            name_raw: match &fd.name_raw[..] {
                [] => RawPath::Same,
                raw => raw_path(strings, &fd.name, raw),
            },
            open_flags: fd.open_flags,
            dev: fd.dev,
            ino: fd.ino,
            socket: fd.socket.map(Box::new),
        };
        let at = self.content(record);
        let id = fd.id ^ self.space;
        self.newest = self.newest.max(id);
        let place = id.wrapping_sub(self.first);
        if place < WINDOW {
            *slot(&mut self.opened, place as usize) = at;
        } else {
            self.add_older(id, at);
        }
        at
    }

    #[inline(never)]
    fn add_older(&mut self, id: u64, at: u32) {
        self.older
            .insert_unique(place_of(id), (id, at), |(id, _)| place_of(*id));
        self.cache[id as usize % CACHE] = (id, at);
    }

    fn content(&mut self, record: FdRecord) -> u32 {
        let at = self.entries.len() as u32;
        if record.name != StrId::NONE {
            let first = slot(&mut self.named, record.name.0 as usize);
            match *first {
                0 => {
                    *first = at;
                    self.entries.push(record);
                    return at;
                }
                first if self.entries[first as usize] == record => return first,
                _ => (),
            }
        }
        self.other_content(record)
    }

    fn other_content(&mut self, record: FdRecord) -> u32 {
        let FdTable {
            hasher,
            contents,
            entries,
            ..
        } = self;
        let hash = content_hash(hasher, &record);
        if let Some(at) = contents.find(hash, |at| entries[*at as usize] == record) {
            return *at;
        }
        let at = entries.len() as u32;
        entries.push(record);
        contents.insert_unique(hash, at, |at| content_hash(hasher, &entries[*at as usize]));
        at
    }

    /// All entries; the first stands for "none".
    pub(super) fn entries(&self) -> &[FdRecord] {
        &self.entries
    }

    pub(super) fn clear(&mut self) {
        self.first = self.first.max(self.newest.saturating_add(1));
        self.opened.clear();
        self.older.clear();
        self.cache = [(0, 0); CACHE];
        self.newest = 0;
        self.named.clear();
        self.contents.clear();
        self.entries.truncate(1);
    }
}

/// A place in a list that grows as needed, mostly by one.
#[inline]
fn slot(list: &mut Vec<u32>, at: usize) -> &mut u32 {
    if list.len() == at {
        list.push(0);
    } else if list.len() < at {
        list.resize(at + 1, 0);
    }
    &mut list[at]
}

/// Where an id belongs in a table: a few neighbours beside each other, and these anywhere. Ids are given in sequence and
/// used soon after, so that what a table is asked for is what the processor has fetched for those before; longer runs
/// would stand in each other's way. Tables tell ids of a group apart by the topmost bits.
#[inline]
pub(super) fn place_of(id: u64) -> u64 {
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    const TAG: u64 = !(u64::MAX >> 7);
    const RUN: u32 = 4;
    let run = (id >> RUN).wrapping_mul(SPREAD) >> 16;
    (run << RUN | id & ((1 << RUN) - 1)) & !TAG | id.wrapping_mul(SPREAD) & TAG
}

fn content_hash(hasher: &DefaultHashBuilder, fd: &FdRecord) -> u64 {
    hasher.hash_one((fd.name.0, fd.ino, fd.open_flags, &fd.socket))
}

/// Codes of an object's name.
mod name_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const KNOWN: u64 = 2;
}

/// Appends the entries `section` of `fds`, field by field: to one column what rules look at, to the other which files
/// they are.
pub(super) fn write(
    fds: &[FdRecord],
    section: &[u32],
    interner: &Interner,
    numbering: &mut Numbering,
    fields: &mut Fields,
    [out, files]: [&mut Vec<u8>; 2],
) {
    let each = || section.iter().map(|at| &fds[*at as usize]);
    fields.clear();
    // Most objects are no sockets: how many these are since the last one.
    let mut no_sockets = 0;
    // One pass: entries are far more than the nearest cache holds.
    for fd in each() {
        out.push(fd.kind as u8);
        match fd.name {
            StrId::NONE => put(&mut fields.names, name_code::NONE),
            name => match numbering.refer(name) {
                StrRef::New => put(&mut fields.names, name_code::NEW),
                StrRef::Known(id) => put(&mut fields.names, u64::from(id) + name_code::KNOWN),
            },
        }
        put(&mut fields.flags, u64::from(fd.open_flags));
        match &fd.socket {
            None => no_sockets += 1,
            Some(socket) => {
                write_no_sockets(&mut fields.sockets, std::mem::take(&mut no_sockets));
                write_socket(&mut fields.sockets, socket);
            }
        }
        fields.devices.write(files, fd.dev);
        fields.inodes.write(&mut fields.inode_steps, fd.ino);
        fields.raw |= fd.name_raw != RawPath::Same;
    }
    write_no_sockets(&mut fields.sockets, no_sockets);
    out.extend_from_slice(&fields.names);
    if fields.raw {
        // Texts of other forms are numbered behind all names.
        each().for_each(|fd| write_raw(out, fd.name_raw, RawPath::Same, || interner.get(fd.name), numbering));
    } else {
        out.resize(out.len() + section.len(), raw_code::PREDICTED as u8);
    }
    out.extend_from_slice(&fields.flags);
    out.extend_from_slice(&fields.sockets);
    files.extend_from_slice(&fields.inode_steps);
}

/// Fields of entries that stand behind those of all others in their column; memory that is kept between blocks.
#[derive(Debug, Default)]
pub(super) struct Fields {
    names: Vec<u8>,
    flags: Vec<u8>,
    sockets: Vec<u8>,
    inode_steps: Vec<u8>,
    devices: Near,
    inodes: Near,
    /// Whether a caller's form of a name differs from the name.
    raw: bool,
}

impl Fields {
    fn clear(&mut self) {
        let Fields {
            names,
            flags,
            sockets,
            inode_steps,
            ..
        } = self;
        [names, flags, sockets, inode_steps].into_iter().for_each(Vec::clear);
        (self.devices, self.inodes, self.raw) = (Near::default(), Near::default(), false);
    }
}

/// How many values before it a value may be coded against.
const CANDIDATES: usize = 4;
/// Stands before a value that is far from all candidates.
const FAR: u64 = u64::MAX;

/// The last four values, of which the nearest is what the next one is coded against: files that a program opens lie near
/// each other, and several programs run at the same time.
#[derive(Debug, Default)]
struct Near([u64; CANDIDATES]);

impl Near {
    /// Appends a value as `zigzag(difference) · 4 + which`, or [`FAR`] and the value.
    #[inline(always)]
    fn write(&mut self, out: &mut Vec<u8>, v: u64) {
        let Near(recent) = self;
        // Nearly all are of one device.
        if v == recent[0] {
            return put(out, 0);
        }
        let steps = recent.iter().map(|r| zigzag(v.wrapping_sub(*r) as i64));
        let (which, step) = steps.enumerate().min_by_key(|(_, step)| *step).unwrap_or((0, FAR));
        if step < 1 << 61 {
            put_any(out, step << 2 | which as u64);
            renew(recent, which, v);
        } else {
            put(out, FAR);
            put(out, v);
            renew(recent, CANDIDATES - 1, v);
        }
    }
}

/// Puts a value first; the candidate it was coded against makes room.
#[inline]
fn renew(recent: &mut [u64; CANDIDATES], which: usize, v: u64) {
    let [first, second, third, fourth] = *recent;
    // Without a branch: which it is cannot be guessed.
    *recent = [
        v,
        if which > 0 { first } else { second },
        if which > 1 { second } else { third },
        if which > 2 { third } else { fourth },
    ];
}

/// Reads one value.
fn read_step(cursor: &mut Cursor<'_>, recent: &mut [u64; CANDIDATES]) -> Result<u64, Malformed> {
    let (which, v) = match cursor.get()? {
        FAR => (CANDIDATES - 1, cursor.get()?),
        code => {
            let which = (code & 3) as usize;
            (which, recent[which].wrapping_add(unzigzag(code >> 2) as u64))
        }
    };
    renew(recent, which, v);
    Ok(v)
}

/// Starts over with the entry that stands for "none".
pub(super) fn reset(fds: &mut Vec<FdRecord>) {
    fds.clear();
    fds.push(NONE);
}

/// Reads `count` entries of a family, whose names are among `strings`.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    count: u32,
    refs: &mut Refs,
    strings: &super::decoded::Strings,
    out: &mut Vec<FdRecord>,
) -> Result<(), Malformed> {
    let kinds = cursor.take(count as usize)?;
    let start = out.len();
    out.extend(kinds.iter().map(|kind| FdRecord {
        kind: FdKind::from_u8(*kind),
        ..NONE
    }));
    let new = out.get_mut(start..).unwrap_or_default();
    for fd in new.iter_mut() {
        fd.name = match cursor.get()? {
            name_code::NONE => StrId::NONE,
            name_code::NEW => refs.fresh()?,
            id => refs.known(id - name_code::KNOWN)?,
        };
    }
    read_raws(cursor, refs, strings, new)?;
    for fd in new.iter_mut() {
        fd.open_flags = u32::try_from(cursor.get_any()?).map_err(|_| Malformed::OutOfRange)?;
    }
    read_sockets(cursor, new)?;
    cursor.finish()
}

/// Reads `count` entries of a family without names and flags.
pub(super) fn read_nameless(cursor: &mut Cursor<'_>, count: u32, out: &mut Vec<FdRecord>) -> Result<(), Malformed> {
    let kinds = cursor.take(count as usize)?;
    let start = out.len();
    out.extend(kinds.iter().map(|kind| FdRecord {
        kind: FdKind::from_u8(*kind),
        ..NONE
    }));
    cursor.skip(count as usize)?;
    let mut left = count as usize;
    while left > 0 {
        // Most paths are written as they are.
        if left >= WORD && cursor.peek_eight() == Some([raw_code::PREDICTED as u8; WORD]) {
            cursor.take(WORD)?;
            left -= WORD;
        } else {
            skip_raw(cursor)?;
            left -= 1;
        }
    }
    cursor.skip(count as usize)?;
    read_sockets(cursor, out.get_mut(start..).unwrap_or_default())?;
    cursor.finish()
}

fn read_raws(
    cursor: &mut Cursor<'_>,
    refs: &mut Refs,
    strings: &super::decoded::Strings,
    fds: &mut [FdRecord],
) -> Result<(), Malformed> {
    for several in fds.chunks_mut(WORD) {
        // Most paths are written as they are.
        if several.len() == WORD && cursor.peek_eight() == Some([raw_code::PREDICTED as u8; WORD]) {
            cursor.take(WORD)?;
            continue;
        }
        for fd in several {
            fd.name_raw = read_raw(cursor, refs, RawPath::Same, || strings.get(fd.name))?;
        }
    }
    Ok(())
}

/// Reads which files entries are.
pub(super) fn read_files(cursor: &mut Cursor<'_>, fds: &mut [FdRecord]) -> Result<(), Malformed> {
    let mut recent = [0; CANDIDATES];
    for fd in fds.iter_mut() {
        fd.dev = read_step(cursor, &mut recent)?;
    }
    let mut recent = [0; CANDIDATES];
    for fd in fds.iter_mut() {
        fd.ino = read_step(cursor, &mut recent)?;
    }
    cursor.finish()
}

fn read_sockets(cursor: &mut Cursor<'_>, fds: &mut [FdRecord]) -> Result<(), Malformed> {
    for several in fds.chunks_mut(WORD) {
        // Most objects are none.
        if several.len() == WORD && cursor.peek_eight() == Some([0; WORD]) {
            cursor.take(WORD)?;
            continue;
        }
        for fd in several {
            fd.socket = read_socket(cursor)?.map(Box::new);
        }
    }
    Ok(())
}

/// First byte of a socket: which ends are IPv6, and the role; 0 is "no socket".
mod socket_bit {
    pub(super) const PRESENT: u8 = 1;
    pub(super) const LOCAL_V6: u8 = 2;
    pub(super) const REMOTE_V6: u8 = 4;
    pub(super) const CLIENT: u8 = 8;
    pub(super) const SERVER: u8 = 16;
    pub(super) const ALL: u8 = 31;
}

fn write_no_sockets(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}

fn write_socket(out: &mut Vec<u8>, socket: &Socket) {
    let role = match socket.role {
        Role::Unknown => 0,
        Role::Client => socket_bit::CLIENT,
        Role::Server => socket_bit::SERVER,
    };
    let local = if socket.local.is_ipv6() {
        socket_bit::LOCAL_V6
    } else {
        0
    };
    let remote = if socket.remote.is_ipv6() {
        socket_bit::REMOTE_V6
    } else {
        0
    };
    out.push(socket_bit::PRESENT | role | local | remote);
    out.push(socket.protocol);
    write_address(out, &socket.local);
    write_address(out, &socket.remote);
}

fn write_address(out: &mut Vec<u8>, address: &SocketAddr) {
    match address {
        SocketAddr::V4(a) => out.extend_from_slice(&a.ip().octets()),
        SocketAddr::V6(a) => {
            out.extend_from_slice(&a.ip().octets());
            put(out, u64::from(a.flowinfo()));
            put(out, u64::from(a.scope_id()));
        }
    }
    out.extend_from_slice(&address.port().to_le_bytes());
}

fn read_socket(cursor: &mut Cursor<'_>) -> Result<Option<Socket>, Malformed> {
    let bits = cursor.byte()?;
    if bits == 0 {
        return Ok(None);
    }
    if bits & socket_bit::PRESENT == 0 || bits & !socket_bit::ALL != 0 {
        return Err(Malformed::UnknownMode);
    }
    let role = match (bits & socket_bit::CLIENT != 0, bits & socket_bit::SERVER != 0) {
        (false, false) => Role::Unknown,
        (true, false) => Role::Client,
        (false, true) => Role::Server,
        (true, true) => return Err(Malformed::UnknownMode),
    };
    Ok(Some(Socket {
        protocol: cursor.byte()?,
        role,
        local: read_address(cursor, bits & socket_bit::LOCAL_V6 != 0)?,
        remote: read_address(cursor, bits & socket_bit::REMOTE_V6 != 0)?,
    }))
}

fn read_address(cursor: &mut Cursor<'_>, v6: bool) -> Result<SocketAddr, Malformed> {
    if !v6 {
        let ip = Ipv4Addr::from(cursor.array::<4>()?);
        return Ok(SocketAddr::new(IpAddr::V4(ip), u16::from_le_bytes(cursor.array()?)));
    }
    let ip = Ipv6Addr::from(cursor.array::<16>()?);
    let (flow, scope) = (cursor.get_u32()?, cursor.get_u32()?);
    let port = u16::from_le_bytes(cursor.array()?);
    Ok(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_numbers_come_back() {
        let values = [
            0,
            5,
            u64::MAX,
            1 << 62,
            6,
            1 << 63,
            7,
            (1 << 62) + 1,
            3 << 61,
            8,
            0,
            1 << 62,
            u64::MAX / 3,
        ];
        let mut bytes = Vec::new();
        let mut near = Near::default();
        values.iter().for_each(|v| near.write(&mut bytes, *v));
        let (mut cursor, mut recent) = (Cursor::new(&bytes), [0; CANDIDATES]);
        for v in values {
            assert_eq!(read_step(&mut cursor, &mut recent), Ok(v));
        }
        assert_eq!(cursor.finish(), Ok(()));
    }

    #[test]
    fn objects_are_found_wherever_their_ids_lie() {
        let object = |id| FdEntry {
            id,
            kind: FdKind::File,
            name: format!("/tmp/{id}").into_bytes(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 1,
            ino: id,
            socket: None,
        };
        let (mut table, mut strings) = (FdTable::default(), Interner::default());
        for first in [1, 7, 2 * WINDOW] {
            for space in [0, 1 << 48] {
                table.enter(space);
                let new = [first, first + 1, first + 40, first + WINDOW, u64::MAX - first];
                // What the block before had is older here, and to be added again.
                for id in new.into_iter().chain([first - 1]) {
                    assert_eq!(table.find(id), None);
                    let at = table.add(&object(id), &mut strings);
                    assert_eq!(table.entries()[at as usize].ino, id);
                    assert_eq!(table.find(id), Some(at));
                }
                for id in new {
                    let at = table.find(id).expect("it was added");
                    assert_eq!(table.entries()[at as usize].ino, id);
                }
                assert_eq!(table.find(first + 2), None);
                assert_eq!(table.find(first + WINDOW + 1), None);
            }
            table.clear();
            strings.clear();
            assert_eq!(table.find(first), None);
        }
        assert!(table.opened.capacity() <= 2 * WINDOW as usize);
    }

    #[test]
    fn sockets_come_back() {
        let v4 = SocketAddr::from(([1, 2, 3, 4], 5));
        let v6 = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 65_535, 9, u32::MAX));
        for (local, remote, role) in [(v4, v6, Role::Client), (v6, v4, Role::Server), (v6, v6, Role::Unknown)] {
            let socket = Socket {
                protocol: 17,
                role,
                local,
                remote,
            };
            let mut bytes = Vec::new();
            write_socket(&mut bytes, &socket);
            assert_eq!(read_socket(&mut Cursor::new(&bytes)), Ok(Some(socket)));
        }
        assert_eq!(read_socket(&mut Cursor::new(&[0])), Ok(None));
        assert_eq!(read_socket(&mut Cursor::new(&[25, 0])), Err(Malformed::UnknownMode));
        assert_eq!(read_socket(&mut Cursor::new(&[2, 0])), Err(Malformed::UnknownMode));
    }
}
